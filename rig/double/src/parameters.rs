//! Parameter Store: parameters, their versions, tags and policies.

mod describing;
mod finding;
mod history;
mod labelling;
mod naming;
mod parameter;
mod paths;
mod policies;
mod putting;
mod reading;
mod removing;
mod tagging;
mod values;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::place::Place;
use crate::service::read;
use crate::world::World;

pub use parameter::{Parameter, ParameterKind, ParameterVersion, Tier};

/// The parameters of all accounts: by place, then by name.
pub(crate) type Parameters = BTreeMap<Place, BTreeMap<String, Parameter>>;

/// Carries a call out.
pub(crate) fn carry_out(world: &mut World, caller: &Caller, operation: &str, input: Value) -> Answer {
    match operation {
        "AddTagsToResource" => tagging::add(world, caller, read(input)?),
        "DeleteParameter" => removing::delete(world, caller, &read(input)?),
        "DeleteParameters" => removing::delete_many(world, caller, read(input)?),
        "DescribeParameters" => describing::describe(world, caller, &read(input)?),
        "GetParameter" => reading::one(world, caller, &read(input)?),
        "GetParameterHistory" => history::history(world, caller, &read(input)?),
        "GetParameters" => reading::many(world, caller, &read(input)?),
        "GetParametersByPath" => paths::by_path(world, caller, &read(input)?),
        "LabelParameterVersion" => labelling::label(world, caller, read(input)?),
        "ListTagsForResource" => tagging::list(world, caller, &read(input)?),
        "PutParameter" => putting::put(world, caller, read(input)?),
        "RemoveTagsFromResource" => tagging::remove(world, caller, &read(input)?),
        _ => Err(ApiError::not_in_the_double(format!("the operation ssm:{operation}"))),
    }
}

/// The name, the names with a comma between, the path, or the resource that is tagged.
pub(crate) fn subject(input: &Value) -> String {
    if let Some(names) = input["Names"].as_array() {
        return names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    }
    let named = ["Name", "Path", "ResourceId"].iter().find_map(|member| input[*member].as_str());
    named.unwrap_or_default().to_owned()
}

/// The parameter that a put is about.
pub(crate) fn name_of_put(operation: &str, input: &Value) -> Option<String> {
    if operation != "PutParameter" {
        return None;
    }
    input["Name"].as_str().map(str::to_owned)
}
