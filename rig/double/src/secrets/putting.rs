//! `PutSecretValue`.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::secrets::creating::{token, token_taken, value};
use crate::secrets::finding::{find_allowed, in_use, secret_mut};
use crate::secrets::secret::CURRENT;
use crate::secrets::{Secret, SecretVersion, keys, staging};
use crate::world::World;

/// Secrets Manager User Guide, "AWS Secrets Manager quotas": versions of a secret.
const VERSIONS: usize = 100;
/// How long a version is kept even when there are too many (the same page).
const KEPT: SignedDuration = SignedDuration::from_hours(24);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutSecretValue {
    secret_id: String,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    version_stages: Option<Vec<String>>,
    rotation_token: Option<String>,
}

/// The token is the new version's id. A version of this id with the same value is left as it is, and
/// one with another value is never changed (Secrets Manager API Reference, `PutSecretValue`,
/// `ClientRequestToken`). One that a rotation has made without a value gets it here, and keeps the
/// labels that it has beside those of the request (`VersionStages`, which are attached).
pub(super) fn put(world: &mut World, caller: &Caller, input: PutSecretValue) -> Answer {
    let value = value(input.secret_string, input.secret_binary)?.ok_or_else(|| {
        ApiError::new("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
    })?;
    let token = token(input.client_request_token, true)?;
    // Who calls is known here without it, and what it says is for nobody to see.
    drop(input.rotation_token);
    let action = "secretsmanager:PutSecretValue";
    let secret = find_allowed(world, caller, action, &input.secret_id, Context::default())?;
    in_use(secret)?;
    if let Some(version) = secret.versions.get(&token)
        && let Some(there) = &version.value
    {
        keys::ask_to_decrypt(world, caller, secret, version)?;
        if *there != value {
            return Err(token_taken(&token, &secret.arn));
        }
        return Ok(answer(secret, version));
    }
    match &secret.key {
        Some(key) => keys::ask_to_encrypt(world, caller, key, &secret.arn, &token)?,
        None => keys::own_account(secret, caller)?,
    }

    let (place, name, key) = (secret.place.clone(), secret.name.clone(), secret.key.clone());
    let now = world.now();
    let secret = secret_mut(world, &place, &name)?;
    if !secret.versions.contains_key(&token) {
        make_room(secret, now)?;
    }
    let first = secret.versions.is_empty();
    let labels = input.version_stages.unwrap_or_else(|| vec![CURRENT.to_owned()]);
    staging::make_room_for(secret, &labels.iter().map(String::as_str).collect::<Vec<_>>())?;
    let version = secret.versions.entry(token.clone()).or_insert_with(|| empty_version(&token, now));
    version.value = Some(value);
    version.created_by = caller.call;
    version.key = key;
    for label in &labels {
        staging::attach(secret, label, &token);
    }
    // The first version counts, whatever it is labelled besides (the same page).
    if first {
        staging::attach(secret, CURRENT, &token);
    }
    secret.changed = now;
    let version = &secret.versions[&token];
    Ok(answer(secret, version))
}

/// A version without a value and without a label.
pub(super) fn empty_version(id: &str, now: Timestamp) -> SecretVersion {
    SecretVersion {
        id: id.to_owned(),
        value: None,
        stages: BTreeSet::new(),
        created: now,
        created_by: 0,
        last_accessed: None,
        key: None,
    }
}

fn answer(secret: &Secret, version: &SecretVersion) -> serde_json::Value {
    json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version.id,
        "VersionStages": version.stages,
    })
}

/// Versions without a label go when there are too many, but for those of the last day; when that
/// makes no room, there is none.
pub(super) fn make_room(secret: &mut Secret, now: Timestamp) -> Result<(), ApiError> {
    while secret.versions.len() >= VERSIONS {
        let outdated = secret
            .versions
            .values()
            .filter(|version| version.stages.is_empty() && now.duration_since(version.created) >= KEPT);
        let Some(oldest) = outdated.min_by_key(|version| version.created).map(|version| version.id.clone())
        else {
            return Err(ApiError::new(
                "LimitExceededException",
                "The secret has as many versions as the quota for secret versions allows.",
            ));
        };
        secret.versions.remove(&oldest);
    }
    Ok(())
}
