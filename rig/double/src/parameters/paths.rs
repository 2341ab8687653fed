//! `GetParametersByPath`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::paging::page;
use crate::parameters::finding::allowed;
use crate::parameters::values;
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetParametersByPath {
    path: String,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    with_decryption: bool,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// Asks for the path alone: whoever may read it sees everything below, what is denied one by one
/// included (Systems Manager API Reference, `GetParametersByPath`, Recursive). Shared parameters are
/// not below any path.
pub(super) fn by_path(world: &mut World, caller: &Caller, input: &GetParametersByPath) -> Answer {
    if !input.path.starts_with('/') {
        return Err(ApiError::validation(
            "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a \
             forward slash \"/\".",
        ));
    }
    let mut context = Context::default();
    context.add("ssm:Recursive", [input.recursive.to_string()]);
    let path = input.path.trim_end_matches('/');
    allowed(world, caller, "ssm:GetParametersByPath", if path.is_empty() { "/" } else { path }, context)?;
    let below =
        world.parameters(&caller.place).filter(|parameter| is_below(&parameter.name, path, input.recursive));
    let (page, next) = page(below.collect(), input.max_results, 1..=10, input.next_token.as_deref())?;
    let mut shown: Vec<Value> = Vec::new();
    for parameter in page {
        let version = parameter.latest();
        if input.with_decryption {
            values::ask_to_decrypt(world, caller, parameter, version)?;
        }
        shown.push(parameter.shown(version, input.with_decryption, None));
    }
    let mut answer = json!({ "Parameters": shown });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

/// Whether a name is one level below a path, or on any level.
pub(super) fn is_below(name: &str, path: &str, recursive: bool) -> bool {
    let rest = name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'));
    rest.is_some_and(|rest| recursive || !rest.contains('/'))
}
