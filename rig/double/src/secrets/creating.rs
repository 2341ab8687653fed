//! `CreateSecret`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::access::{self, Context, Owner, Question};
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::random;
use crate::secrets::naming::{arn_without_suffix, check_name, new_arn};
use crate::secrets::secret::CURRENT;
use crate::secrets::tagging::added;
use crate::secrets::{Secret, SecretValue, SecretVersion, keys};
use crate::tags::{Tag, condition_keys};
use crate::world::World;

/// The longest value, in bytes (Secrets Manager User Guide, "AWS Secrets Manager quotas").
const VALUE: usize = 65_536;

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
    let value = value(input.secret_string, input.secret_binary)?;
    let token = token(input.client_request_token, value.is_some())?;

    let mut context = condition_keys(&input.tags);
    context.add("secretsmanager:Name", [&input.name]);
    context.add("secretsmanager:Description", &input.description);
    context.add("secretsmanager:KmsKeyId", &input.kms_key_id);
    let create = Some("secretsmanager:CreateSecret");
    let tag = (!input.tags.is_empty()).then_some("secretsmanager:TagResource");
    for action in create.into_iter().chain(tag) {
        let resource = arn_without_suffix(&caller.place, &input.name);
        let owner = Owner::Account(&caller.place.account);
        access::require(world, caller, Question { action, resource, owner, context: context.clone() })?;
    }

    let tags = added(input.tags, &BTreeMap::new())?;
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
        let version = first_version(caller, now, &token, value, key.clone());
        versions.insert(token, version);
    }
    let secret = made(caller, now, &arn, &input.name, key, versions);
    let secret = Secret { description: input.description, tags, ..secret };
    world.secrets.entry(caller.place.clone()).or_default().insert(input.name, secret);
    Ok(answer)
}

/// RDS makes the secret of a database's master user, with the rights of who makes the database: he needs
/// `secretsmanager:CreateSecret` and `secretsmanager:TagResource`, and of the key `kms:GenerateDataKey` and `kms:Decrypt` (Amazon RDS User
/// Guide, "Password management with Amazon RDS and AWS Secrets Manager", "Permissions required for Secrets
/// Manager integration"). Its name, in which stands a `!`, is the service's. Gives the ARN.
pub(crate) fn made_by_rds(
    world: &mut World,
    caller: &Caller,
    name: &str,
    key: &str,
    value: String,
) -> Result<String, ApiError> {
    let arn = new_arn(&caller.place, name);
    for action in ["secretsmanager:CreateSecret", "secretsmanager:TagResource"] {
        let owner = Owner::Account(&caller.place.account);
        let question = Question { action, resource: arn.clone(), owner, context: Context::default() };
        access::require(world, caller, question)?;
    }
    let id = random::uuid();
    keys::ask_to_establish(world, caller, key, &arn)?;
    keys::ask_to_encrypt(world, caller, key, &arn, &id)?;
    let now = world.now();
    let key = Some(key.to_owned());
    let version = first_version(caller, now, &id, SecretValue::Text(value), key.clone());
    // Secrets Manager User Guide, "AWS Secrets Manager secrets managed by other AWS services".
    let tags = BTreeMap::from([("aws:secretsmanager:owningService".to_owned(), "rds".to_owned())]);
    let secret = made(caller, now, &arn, name, key, BTreeMap::from([(id, version)]));
    let secret = Secret { tags, ..secret };
    world.secrets.entry(caller.place.clone()).or_default().insert(name.to_owned(), secret);
    Ok(arn)
}

/// The version that a secret begins with.
fn first_version(
    caller: &Caller,
    now: Timestamp,
    id: &str,
    value: SecretValue,
    key: Option<String>,
) -> SecretVersion {
    SecretVersion {
        id: id.to_owned(),
        value: Some(value),
        stages: BTreeSet::from([CURRENT.to_owned()]),
        created: now,
        created_by: caller.call,
        last_accessed: None,
        key,
    }
}

/// A secret that has just been made, without a description and tags.
fn made(
    caller: &Caller,
    now: Timestamp,
    arn: &str,
    name: &str,
    key: Option<String>,
    versions: BTreeMap<String, SecretVersion>,
) -> Secret {
    Secret {
        place: caller.place.clone(),
        arn: arn.to_owned(),
        name: name.to_owned(),
        description: None,
        key,
        tags: BTreeMap::new(),
        versions,
        policy: None,
        rotation: None,
        created: now,
        created_by: caller.call,
        changed: now,
        last_accessed: None,
        deletion: None,
    }
}

/// A name in its recovery window is refused as a state (Secrets Manager API Reference,
/// `CreateSecret`, `InvalidRequestException`); a name in use is taken, unless this is the same
/// request again: the same token and the same value (`ClientRequestToken`).
fn name_in_use(known: &Secret, token: &str, value: Option<&SecretValue>) -> Answer {
    if known.deletion.is_some() {
        return Err(scheduled());
    }
    match known.versions.get(token) {
        Some(version) if value.is_some() && version.value.as_ref() == value => {
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
    if length <= VALUE {
        return Ok(Some(value));
    }
    Err(ApiError::validation("A secret value has at most 65536 bytes."))
}

/// The token of a request. The SDKs make one; who calls without them and puts a value has to (Secrets
/// Manager API Reference, `CreateSecret`, `ClientRequestToken`).
pub(super) fn token(token: Option<String>, needed: bool) -> Result<String, ApiError> {
    match token {
        None if needed => Err(ApiError::new(
            "InvalidRequestException",
            "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
        )),
        token => Ok(token.unwrap_or_default()),
    }
}

fn scheduled() -> ApiError {
    ApiError::new(
        "InvalidRequestException",
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
    )
}
