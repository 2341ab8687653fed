//! `GetParameter` and `GetParameters`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::parameters::finding::{allowed, find, not_found, version};
use crate::parameters::{naming, values};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetParameter {
    name: String,
    #[serde(default)]
    with_decryption: bool,
}

pub(super) fn one(world: &mut World, caller: &Caller, input: &GetParameter) -> Answer {
    allowed(world, caller, "ssm:GetParameter", &input.name, Context::default())?;
    Ok(json!({ "Parameter": shown(world, caller, &input.name, input.with_decryption)? }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetParameters {
    names: Vec<String>,
    #[serde(default)]
    with_decryption: bool,
}

/// What is not there is named in the answer and is no error (Systems Manager API Reference,
/// `GetParameters`, `InvalidParameters`).
pub(super) fn many(world: &mut World, caller: &Caller, input: &GetParameters) -> Answer {
    check_names(&input.names)?;
    for name in &input.names {
        allowed(world, caller, "ssm:GetParameters", name, Context::default())?;
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &input.names {
        match shown(world, caller, name, input.with_decryption) {
            Ok(parameter) => found.push(parameter),
            Err(error) if is_missing(&error) => missing.push(name),
            Err(error) => return Err(error),
        }
    }
    // "Listed in alphabetical order in query responses" (the same page, Names).
    found.sort_by(|one, other| one["Name"].as_str().cmp(&other["Name"].as_str()));
    Ok(json!({ "Parameters": found, "InvalidParameters": missing }))
}

/// What is said of a name that stands twice in a request no page tells.
pub(super) fn check_names(names: &[String]) -> Result<(), ApiError> {
    let distinct: BTreeSet<&String> = names.iter().collect();
    if distinct.len() == names.len() {
        return Ok(());
    }
    Err(ApiError::not_in_the_double("a name that stands twice in one request"))
}

fn shown(world: &World, caller: &Caller, named: &str, decrypt: bool) -> Answer {
    let (name, selector) = naming::selector(named);
    let parameter = find(world, caller, name).ok_or_else(not_found)?;
    let version = version(parameter, selector)?;
    if decrypt {
        values::ask_to_decrypt(world, caller, parameter, version)?;
    }
    let shown: Value = parameter.shown(version, decrypt, selector);
    Ok(shown)
}

fn is_missing(error: &ApiError) -> bool {
    matches!(error.code.as_str(), "ParameterNotFound" | "ParameterVersionNotFound")
}
