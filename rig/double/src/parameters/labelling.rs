//! `LabelParameterVersion`.

use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::parameters::finding::{allowed, find_mut};
use crate::world::World;

/// Systems Manager API Reference, `LabelParameterVersion`: labels of a version.
const LABELS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct LabelParameterVersion {
    name: String,
    parameter_version: Option<i64>,
    labels: Vec<String>,
}

/// A label that breaks the rules is named in the answer; one that another version has is moved
/// (Systems Manager API Reference, `LabelParameterVersion`).
pub(super) fn label(world: &mut World, caller: &Caller, input: LabelParameterVersion) -> Answer {
    allowed(world, caller, "ssm:LabelParameterVersion", &input.name, Context::default())?;
    let parameter = find_mut(world, &caller.place, &input.name)?;
    let number = input.parameter_version.unwrap_or(parameter.latest().version);
    let Some(chosen) = parameter.versions.iter().find(|version| version.version == number) else {
        return Err(ApiError::new(
            "ParameterVersionNotFound",
            format!("Systems Manager could not find version {number} of {}.", input.name),
        ));
    };
    let (valid, invalid): (Vec<String>, Vec<String>) =
        input.labels.into_iter().partition(|label| is_valid(label));
    let fresh = valid.iter().filter(|label| !chosen.labels.contains(*label)).count();
    if chosen.labels.len() + fresh > LABELS {
        return Err(ApiError::new(
            "ParameterVersionLabelLimitExceeded",
            "A parameter version can have a maximum of ten labels.",
        ));
    }
    for version in &mut parameter.versions {
        if version.version == number {
            version.labels.extend(valid.iter().cloned());
        } else {
            version.labels.retain(|label| !valid.contains(label));
        }
    }
    Ok(json!({ "InvalidLabels": invalid, "ParameterVersion": number }))
}

/// Up to 100 letters, digits and `.-_`, not beginning with a digit, `aws` or `ssm` (the same page).
fn is_valid(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    (1..=100).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        && !label.starts_with(|first: char| first.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}
