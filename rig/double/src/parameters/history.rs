//! `GetParameterHistory`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Context;
use crate::clock::seconds;
use crate::error::Answer;
use crate::identities::Caller;
use crate::paging::page;
use crate::parameters::finding::{allowed, find, not_found};
use crate::parameters::{Parameter, ParameterVersion, values};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetParameterHistory {
    name: String,
    #[serde(default)]
    with_decryption: bool,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// The versions that are kept, the oldest first. Without decryption a secure string's values are as they
/// are stored (Systems Manager API Reference, `GetParameterHistory`, `WithDecryption`).
pub(super) fn history(world: &mut World, caller: &Caller, input: &GetParameterHistory) -> Answer {
    allowed(world, caller, "ssm:GetParameterHistory", &input.name, Context::default())?;
    let parameter = find(world, caller, &input.name).ok_or_else(not_found)?;
    let all: Vec<&ParameterVersion> = parameter.versions.iter().collect();
    let (page, next) = page(all, input.max_results, 1..=50, input.next_token.as_deref())?;
    let mut shown = Vec::new();
    for version in page {
        if input.with_decryption {
            values::ask_to_decrypt(world, caller, parameter, version)?;
        }
        shown.push(told(parameter, version, input.with_decryption));
    }
    let mut answer = json!({ "Parameters": shown });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

/// Systems Manager API Reference, `ParameterHistory`.
fn told(parameter: &Parameter, version: &ParameterVersion, decrypted: bool) -> Value {
    let hidden = version.ciphertext.as_ref().filter(|_| !decrypted);
    let mut told = json!({
        "Name": parameter.name,
        "Type": version.kind.name(),
        "Value": hidden.unwrap_or(&version.value),
        "Version": version.version,
        "Labels": version.labels,
        "LastModifiedDate": seconds(version.modified),
        "LastModifiedUser": version.modified_by,
        "Tier": version.tier.name(),
        "Policies": [],
        "DataType": "text",
    });
    for (name, value) in [("KeyId", &version.key), ("Description", &version.description)] {
        if let Some(value) = value {
            told[name] = json!(value);
        }
    }
    told
}
