//! `DescribeSecret` and `GetSecretValue`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::access::Context;
use crate::clock::seconds;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::secrets::finding::{find_allowed, in_use, secret_mut};
use crate::secrets::secret::{CURRENT, day_of};
use crate::secrets::{Secret, SecretValue, SecretVersion, keys};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DescribeSecret {
    secret_id: String,
}

/// A secret in its recovery window is described too, with the window's end (Secrets Manager API
/// Reference, `DescribeSecret`, `DeletedDate`). What is empty is left out, and a version without a
/// label is not listed (`VersionIdsToStages`).
pub(super) fn describe(world: &mut World, caller: &Caller, input: &DescribeSecret) -> Answer {
    let action = "secretsmanager:DescribeSecret";
    let secret = find_allowed(world, caller, action, &input.secret_id, Context::default())?;
    Ok(described(secret, "VersionIdsToStages"))
}

/// What is told of a secret, in a description or in a list, which differ in one name.
///
/// Of a rotation that was switched off the schedule and the function are still told, but not when it
/// rotated last; of one that was never set up nothing is (Secrets Manager API Reference, `DescribeSecret`,
/// `RotationEnabled`, `RotationRules` and `LastRotatedDate`). When the next rotation is due is not told
/// here: it begins when the test says so.
pub(super) fn described(secret: &Secret, stages_member: &str) -> Value {
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "CreatedDate": seconds(secret.created),
        "LastChangedDate": seconds(secret.changed),
    });
    let tagged: Vec<Value> =
        secret.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let labelled = secret.versions.values().filter(|version| !version.stages.is_empty());
    let stages: Map<String, Value> =
        labelled.map(|version| (version.id.clone(), json!(version.stages))).collect();
    let rotation = secret.rotation.as_ref();
    let enabled = rotation.filter(|rotation| rotation.enabled);
    let optional = [
        ("Description", secret.description.as_ref().map(|text| json!(text))),
        ("KmsKeyId", secret.key.as_ref().map(|key| json!(key))),
        ("Tags", (!tagged.is_empty()).then(|| json!(tagged))),
        (stages_member, (!stages.is_empty()).then(|| json!(stages))),
        ("RotationEnabled", rotation.map(|rotation| json!(rotation.enabled))),
        ("RotationLambdaARN", rotation.map(|rotation| json!(rotation.function))),
        ("RotationRules", rotation.and_then(|rotation| Some(json!(rotation.rules.as_ref()?)))),
        ("LastRotatedDate", enabled.and_then(|rotation| rotation.last_rotated).map(seconds)),
        ("LastAccessedDate", secret.last_accessed.map(seconds)),
        ("DeletedDate", secret.deletion.as_ref().map(|deletion| seconds(deletion.due))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            answer[name] = value;
        }
    }
    answer
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetSecretValue {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

pub(super) fn value(world: &mut World, caller: &Caller, input: &GetSecretValue) -> Answer {
    let mut context = Context::default();
    context.add("secretsmanager:VersionId", &input.version_id);
    // Filled from the request: a read by version id alone carries no stage.
    context.add("secretsmanager:VersionStage", &input.version_stage);
    let action = "secretsmanager:GetSecretValue";
    let secret = find_allowed(world, caller, action, &input.secret_id, context)?;
    in_use(secret)?;
    let (version, held) = asked_for(secret, input.version_id.as_deref(), input.version_stage.as_deref())?;
    keys::ask_to_decrypt(world, caller, secret, version)?;
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version.id,
        "VersionStages": version.stages,
        "CreatedDate": seconds(version.created),
    });
    match held {
        SecretValue::Text(text) => answer["SecretString"] = json!(text),
        SecretValue::Binary(bytes) => answer["SecretBinary"] = json!(STANDARD.encode(bytes)),
    }
    let (place, name, id) = (secret.place.clone(), secret.name.clone(), version.id.clone());
    let today = day_of(world.now());
    let secret = secret_mut(world, &place, &name)?;
    secret.last_accessed = Some(today);
    if let Some(version) = secret.versions.get_mut(&id) {
        version.last_accessed = Some(today);
    }
    Ok(answer)
}

/// By id, by stage, or by both, which then must name the same version; by neither, the current one
/// (Secrets Manager API Reference, `GetSecretValue`, `VersionId` and `VersionStage`).
///
/// A version that a rotation has made and that has no value yet is told of by `DescribeSecret` and is
/// not found here (the same reference, `DescribeSecret`, `VersionIdsToStages`: "To check if a secret
/// version exists, call `GetSecretValue`").
fn asked_for<'a>(
    secret: &'a Secret,
    id: Option<&str>,
    stage: Option<&str>,
) -> Result<(&'a SecretVersion, &'a SecretValue), ApiError> {
    let (found, named) = match (id, stage) {
        (Some(id), None) => (secret.versions.get(id), format!("VersionId: {id}")),
        (None, stage) => {
            let stage = stage.unwrap_or(CURRENT);
            (secret.staged(stage), format!("staging label: {stage}"))
        }
        (Some(id), Some(stage)) => {
            let version = secret.versions.get(id);
            if version.is_some_and(|version| !version.stages.contains(stage)) {
                return Err(ApiError::new(
                    "InvalidRequestException",
                    "You provided a VersionStage that is not associated to the provided VersionId.",
                ));
            }
            (version, format!("VersionId: {id}"))
        }
    };
    let held = found.and_then(|version| Some((version, version.value.as_ref()?)));
    held.ok_or_else(|| {
        let said = format!("Secrets Manager can't find the specified secret value for {named}");
        ApiError::new("ResourceNotFoundException", said)
    })
}
