//! `DeleteParameter` and `DeleteParameters`.

use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::error::Answer;
use crate::identities::Caller;
use crate::parameters::finding::{allowed, not_found};
use crate::parameters::reading::check_names;
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteParameter {
    name: String,
}

pub(super) fn delete(world: &mut World, caller: &Caller, input: &DeleteParameter) -> Answer {
    allowed(world, caller, "ssm:DeleteParameter", &input.name, Context::default())?;
    if take(world, caller, &input.name) { Ok(json!({})) } else { Err(not_found()) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteParameters {
    names: Vec<String>,
}

/// What is not there is named in the answer and is no error (Systems Manager API Reference,
/// `DeleteParameters`, `InvalidParameters`).
pub(super) fn delete_many(world: &mut World, caller: &Caller, input: DeleteParameters) -> Answer {
    check_names(&input.names)?;
    for name in &input.names {
        allowed(world, caller, "ssm:DeleteParameters", name, Context::default())?;
    }
    let (gone, missing): (Vec<String>, Vec<String>) =
        input.names.into_iter().partition(|name| take(world, caller, name));
    Ok(json!({ "DeletedParameters": gone, "InvalidParameters": missing }))
}

/// Takes a parameter away, and its shares with it; it is named by its name, not by its ARN.
fn take(world: &mut World, caller: &Caller, name: &str) -> bool {
    let taken = world.parameters.get_mut(&caller.place).and_then(|there| there.remove(name));
    taken.is_some_and(|taken| {
        world.unshare(&taken.arn);
        true
    })
}
