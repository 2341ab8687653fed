//! `CreateSecret`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::access::{self, Owner, Question};
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::secrets::naming::{arn_without_suffix, check_name, new_arn};
use crate::secrets::secret::CURRENT;
use crate::secrets::tagging::{Tag, check_tags, condition_keys};
use crate::secrets::{Secret, SecretValue, SecretVersion, keys};
use crate::world::World;

/// What the limits on a value count: bytes (Secrets Manager API Reference, `SecretString`).
const VALUE: std::ops::RangeInclusive<usize> = 1..=65_536;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreateSecret {
    name: String,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// Makes a secret. Tags need the permission to tag besides.
pub(super) fn create(world: &mut World, caller: &Caller, input: CreateSecret) -> Answer {
    check_name(&input.name)?;
    check_description(input.description.as_deref())?;
    let tags = check_tags(input.tags, &BTreeMap::new())?;
    let value = value(input.secret_string, input.secret_binary)?;
    let token = token(input.client_request_token, value.is_some())?;

    let mut context = condition_keys(&tags);
    context.add("secretsmanager:Name", [&input.name]);
    context.add("secretsmanager:Description", &input.description);
    context.add("secretsmanager:KmsKeyId", &input.kms_key_id);
    let actions: &[&str] = match tags.is_empty() {
        true => &["secretsmanager:CreateSecret"],
        false => &["secretsmanager:CreateSecret", "secretsmanager:TagResource"],
    };
    for action in actions {
        let resource = arn_without_suffix(&caller.place, &input.name);
        let owner = Owner::Account(&caller.place.account);
        access::require(world, caller, Question { action, resource, owner, context: context.clone() })?;
    }

    if let Some(known) = world.secrets.get(&caller.place).and_then(|there| there.get(&input.name)) {
        return name_in_use(known, &token, value.as_ref());
    }
    if world.name_lingers(&caller.place, &input.name) {
        return Err(scheduled());
    }

    let arn = new_arn(&caller.place, &input.name);
    let key = input.kms_key_id.filter(|key| !keys::is_default(key));
    if let Some(key) = &key {
        keys::ask_to_establish(world, caller, key, &arn)?;
        if value.is_some() {
            keys::ask_to_encrypt(world, caller, key, &arn, &token)?;
        }
    }
    let now = world.now();
    let mut answer = json!({ "ARN": arn, "Name": input.name });
    let mut versions = BTreeMap::new();
    if let Some(value) = value {
        answer["VersionId"] = json!(token);
        let version = SecretVersion {
            id: token.clone(),
            value,
            stages: BTreeSet::from([CURRENT.to_owned()]),
            created: now,
            created_by: caller.call,
            last_accessed: None,
            key: key.clone(),
        };
        versions.insert(token, version);
    }
    let secret = Secret {
        place: caller.place.clone(),
        arn,
        name: input.name.clone(),
        description: input.description,
        key,
        tags,
        versions,
        policy: None,
        created: now,
        created_by: caller.call,
        changed: now,
        last_accessed: None,
        deletion: None,
    };
    world.secrets.entry(caller.place.clone()).or_default().insert(input.name, secret);
    Ok(answer)
}

/// A name in its recovery window is refused as a state (Secrets Manager API Reference,
/// `CreateSecret`, `InvalidRequestException`); a name in use is taken, unless this is the same
/// request again: the same token and the same value (`ClientRequestToken`).
fn name_in_use(known: &Secret, token: &str, value: Option<&SecretValue>) -> Answer {
    if known.deletion.is_some() {
        return Err(scheduled());
    }
    match known.versions.get(token) {
        Some(version) if Some(&version.value) == value => {
            Ok(json!({ "ARN": known.arn, "Name": known.name, "VersionId": token }))
        }
        Some(_) => Err(token_taken(token, &known.arn)),
        None => Err(ApiError::new(
            "ResourceExistsException",
            format!("The operation failed because the secret {} already exists.", known.name),
        )),
    }
}

pub(super) fn token_taken(token: &str, arn: &str) -> ApiError {
    ApiError::new(
        "ResourceExistsException",
        format!(
            "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {arn}."
        ),
    )
}

/// The value of a request: a text or bytes, not both.
pub(super) fn value(text: Option<String>, binary: Option<String>) -> Result<Option<SecretValue>, ApiError> {
    let (value, length) = match (text, binary) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(ApiError::new(
                "InvalidParameterException",
                "You can't specify both a binary secret value and a string secret value in the same secret.",
            ));
        }
        (Some(text), None) => {
            let length = text.len();
            (SecretValue::Text(text), length)
        }
        (None, Some(binary)) => {
            let bytes = STANDARD.decode(binary);
            let bytes = bytes.map_err(|error| ApiError::new("SerializationException", error.to_string()))?;
            let length = bytes.len();
            (SecretValue::Binary(bytes), length)
        }
    };
    if VALUE.contains(&length) {
        return Ok(Some(value));
    }
    Err(ApiError::length("secretString", "less than or equal to 65536, and at least 1"))
}

/// The token of a request: 32 to 64 characters. The SDKs make one; who calls without them and puts
/// a value has to (Secrets Manager API Reference, `CreateSecret`, `ClientRequestToken`).
pub(super) fn token(token: Option<String>, needed: bool) -> Result<String, ApiError> {
    match token {
        Some(token) if (32..=64).contains(&token.len()) => Ok(token),
        Some(_) => Err(ApiError::length("clientRequestToken", "less than or equal to 64, and at least 32")),
        None if needed => Err(ApiError::new(
            "InvalidParameterException",
            "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
        )),
        None => Ok(String::new()),
    }
}

pub(super) fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    match description {
        Some(text) if text.chars().count() > 2048 => {
            Err(ApiError::length("description", "less than or equal to 2048"))
        }
        _ => Ok(()),
    }
}

fn scheduled() -> ApiError {
    ApiError::new(
        "InvalidRequestException",
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
    )
}
