//! `UpdateSecret`, as far as it changes no value.

use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::secrets::finding::{find_allowed, in_use, secret_mut};
use crate::secrets::{keys, staging};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UpdateSecret {
    secret_id: String,
    description: Option<String>,
    kms_key_id: Option<String>,
    #[serde(default)]
    client_request_token: Option<String>,
    #[serde(default)]
    secret_string: Option<String>,
    #[serde(default)]
    secret_binary: Option<String>,
}

/// Another key holds for further versions. Those that are handed out, were so before or are about to
/// be get it too, if the caller may Encrypt under it; otherwise they stay as they are (Secrets Manager
/// API Reference, `UpdateSecret`, `KmsKeyId`). The caller needs both operations of the key, as for a
/// new secret (Secrets Manager User Guide, "Secret encryption and decryption in AWS Secrets Manager").
pub(super) fn update(world: &mut World, caller: &Caller, input: UpdateSecret) -> Answer {
    // The SDKs make up a token for every request.
    drop(input.client_request_token);
    if input.secret_string.is_some() || input.secret_binary.is_some() {
        return Err(ApiError::not_in_the_double("a new value by UpdateSecret"));
    }
    let mut context = Context::default();
    context.add("secretsmanager:Description", &input.description);
    context.add("secretsmanager:KmsKeyId", &input.kms_key_id);
    let action = "secretsmanager:UpdateSecret";
    let secret = find_allowed(world, caller, action, &input.secret_id, context)?;
    in_use(secret)?;
    let (place, name, arn) = (secret.place.clone(), secret.name.clone(), secret.arn.clone());
    let mut key = None;
    let mut encrypted_anew = false;
    if let Some(named) = input.kms_key_id {
        if named.is_empty() || keys::is_default(&named) {
            return Err(ApiError::not_in_the_double("going back to aws/secretsmanager"));
        }
        keys::ask_to_establish(world, caller, &named, &arn)?;
        encrypted_anew = keys::may_encrypt_anew(world, caller, &named, &arn)?;
        key = Some(named);
    }
    let now = world.now();
    let secret = secret_mut(world, &place, &name)?;
    if let Some(description) = input.description {
        secret.description = Some(description);
    }
    if let Some(key) = key {
        secret.key = Some(key.clone());
        let staged = secret.versions.values_mut().filter(|version| {
            staging::OF_AWS.iter().any(|label| version.stages.contains(*label)) && encrypted_anew
        });
        for version in staged {
            version.key = Some(key.clone());
        }
    }
    secret.changed = now;
    Ok(json!({ "ARN": arn, "Name": name }))
}
