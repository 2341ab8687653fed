//! Staging labels, and `UpdateSecretVersionStage`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::secrets::Secret;
use crate::secrets::finding::{find_mut, in_use};
use crate::secrets::secret::{CURRENT, PENDING, PREVIOUS};
use crate::world::World;

/// The labels that mean something to Secrets Manager.
pub(super) const OF_AWS: [&str; 3] = [CURRENT, PENDING, PREVIOUS];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UpdateSecretVersionStage {
    secret_id: String,
    version_stage: String,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

/// Moves a label, adds one or takes one away. A label that is on another version moves only if that
/// version is named, so that who moves it knows what was there (Secrets Manager API Reference,
/// `UpdateSecretVersionStage`, `RemoveFromVersionId`).
pub(super) fn update(world: &mut World, caller: &Caller, input: &UpdateSecretVersionStage) -> Answer {
    let mut context = Context::default();
    context.add("secretsmanager:VersionStage", [&input.version_stage]);
    let now = world.now();
    let action = "secretsmanager:UpdateSecretVersionStage";
    let secret = find_mut(world, caller, action, &input.secret_id, context)?;
    in_use(secret)?;
    let label = input.version_stage.as_str();
    let holder = secret.staged(label).map(|version| version.id.clone());
    if let Some(from) = &input.remove_from_version_id
        && holder.as_ref() != Some(from)
    {
        return Err(invalid(format!("Staging label {label} isn't currently attached to version {from}.")));
    }
    match (&input.move_to_version_id, holder) {
        (None, _) if input.remove_from_version_id.is_none() => {
            return Err(invalid("You must specify RemoveFromVersionId or MoveToVersionId.".to_owned()));
        }
        (None, _) if label == CURRENT => {
            return Err(invalid(
                "You can only move staging label AWSCURRENT to a different secret version. It can't be completely \
                 removed."
                    .to_owned(),
            ));
        }
        (None, holder) => {
            let version = holder.and_then(|holder| secret.versions.get_mut(&holder));
            if let Some(version) = version {
                version.stages.remove(label);
            }
        }
        (Some(to), _) if !secret.versions.contains_key(to) => {
            return Err(ApiError::new(
                "ResourceNotFoundException",
                format!("Secrets Manager can't find the specified secret version: {to}."),
            ));
        }
        (Some(to), Some(holder)) if holder != *to && input.remove_from_version_id.is_none() => {
            return Err(invalid(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to \
                 version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            )));
        }
        (Some(to), _) if label == CURRENT && has_no_value(secret, to) => {
            return Err(ApiError::new(
                "InvalidRequestException",
                format!("You can't move staging label AWSCURRENT to version {to}, which has no value."),
            ));
        }
        (Some(to), _) => {
            let to = to.clone();
            make_room_for(secret, &[label])?;
            attach(secret, label, &to);
        }
    }
    secret.changed = now;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
}

/// Whether a version was made by a rotation that has put no value yet. Who asks for the secret gets the
/// version that is current (Secrets Manager API Reference, `GetSecretValue`, `VersionStage`), so that a
/// version without a value cannot be it; the pages do not say with which code that is refused.
fn has_no_value(secret: &Secret, version: &str) -> bool {
    secret.versions.get(version).is_some_and(|version| version.value.is_none())
}

/// Secrets Manager User Guide, "AWS Secrets Manager quotas": labels attached across all versions of a
/// secret.
const LABELS: usize = 20;

/// Refuses labels that would be too many on a secret.
pub(super) fn make_room_for(secret: &Secret, labels: &[&str]) -> Result<(), ApiError> {
    let mut attached: BTreeSet<&str> =
        secret.versions.values().flat_map(|version| &version.stages).map(String::as_str).collect();
    attached.extend(labels);
    if attached.len() <= LABELS {
        return Ok(());
    }
    Err(ApiError::new(
        "LimitExceededException",
        "The secret has as many staging labels as the quota for staging labels allows.",
    ))
}

/// Attaches a label to a version, and to no other. Whatever AWSCURRENT leaves gets AWSPREVIOUS (the
/// same page).
pub(super) fn attach(secret: &mut Secret, label: &str, to: &str) {
    let holder = secret.staged(label).map(|version| version.id.clone());
    if holder.as_deref() == Some(to) {
        return;
    }
    if let Some(version) = holder.as_ref().and_then(|holder| secret.versions.get_mut(holder)) {
        version.stages.remove(label);
    }
    if let Some(version) = secret.versions.get_mut(to) {
        version.stages.insert(label.to_owned());
    }
    if label == CURRENT
        && let Some(holder) = holder
    {
        attach(secret, PREVIOUS, &holder);
        if let Some(version) = secret.versions.get_mut(to) {
            version.stages.remove(PREVIOUS);
        }
    }
}

fn invalid(said: String) -> ApiError {
    ApiError::new("InvalidParameterException", said)
}
