//! Sign, Verify and `GetPublicKey`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::kms::encrypting::blob;
use crate::kms::{Key, KeyUsage, allowed, find};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Sign {
    key_id: String,
    message: String,
    message_type: Option<String>,
    signing_algorithm: String,
}

pub(super) fn sign(world: &mut World, caller: &Caller, input: &Sign) -> Answer {
    let key = find(world, caller, &input.key_id)?;
    let context = conditions(input.message_type.as_deref(), &input.signing_algorithm);
    allowed(world, caller, key, "kms:Sign", context)?;
    let digest =
        digest(key, "Sign", &input.message, input.message_type.as_deref(), &input.signing_algorithm)?;
    let signature =
        key.material.sign(&digest).ok_or_else(|| ApiError::validation("Digest is of invalid length."))?;
    Ok(json!({
        "KeyId": key.arn,
        "Signature": STANDARD.encode(signature),
        "SigningAlgorithm": input.signing_algorithm,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Verify {
    key_id: String,
    message: String,
    message_type: Option<String>,
    signature: String,
    signing_algorithm: String,
}

/// A signature that is not the key's is an error, not an answer (KMS API Reference, Verify,
/// `KMSInvalidSignatureException`).
pub(super) fn verify(world: &mut World, caller: &Caller, input: &Verify) -> Answer {
    let key = find(world, caller, &input.key_id)?;
    let context = conditions(input.message_type.as_deref(), &input.signing_algorithm);
    allowed(world, caller, key, "kms:Verify", context)?;
    let (kind, algorithm) = (input.message_type.as_deref(), &input.signing_algorithm);
    let digest = digest(key, "Verify", &input.message, kind, algorithm)?;
    if !key.material.verifies(&digest, &blob(&input.signature)?) {
        return Err(ApiError::new("KMSInvalidSignatureException", ""));
    }
    Ok(json!({ "KeyId": key.arn, "SignatureValid": true, "SigningAlgorithm": algorithm }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetPublicKey {
    key_id: String,
}

/// Only asymmetric keys have a public half (KMS API Reference, `GetPublicKey`,
/// `UnsupportedOperationException`).
pub(super) fn public_key(world: &mut World, caller: &Caller, input: &GetPublicKey) -> Answer {
    let key = find(world, caller, &input.key_id)?;
    allowed(world, caller, key, "kms:GetPublicKey", Context::default())?;
    let Some(spki) = key.material.spki() else {
        return Err(ApiError::new("UnsupportedOperationException", format!("{} is symmetric.", key.arn)));
    };
    key.usable()?;
    Ok(json!({
        "KeyId": key.arn,
        "PublicKey": STANDARD.encode(spki),
        "KeySpec": key.spec.name(),
        "CustomerMasterKeySpec": key.spec.name(),
        "KeyUsage": key.usage.name(),
        "SigningAlgorithms": [key.spec.signing_algorithm()],
    }))
}

fn conditions(message_type: Option<&str>, algorithm: &str) -> Context {
    let mut context = Context::default();
    context.add("kms:MessageType", [message_type.unwrap_or("RAW")]);
    context.add("kms:SigningAlgorithm", [algorithm]);
    context
}

/// The digest that is signed: a RAW message is digested here, a DIGEST has the algorithm's length
/// (KMS API Reference, Sign, `MessageType`).
fn digest(
    key: &Key,
    operation: &str,
    message: &str,
    message_type: Option<&str>,
    algorithm: &str,
) -> Result<Vec<u8>, ApiError> {
    let message = blob(message)?;
    key.usable_for(KeyUsage::SignVerify, operation)?;
    if algorithm != key.spec.signing_algorithm() {
        let said = format!("Algorithm {algorithm} is incompatible with key spec {}.", key.spec.name());
        return Err(ApiError::new("InvalidKeyUsageException", said));
    }
    match message_type.unwrap_or("RAW") {
        "RAW" => Ok(key.material.digest(&message)),
        "DIGEST" if message.len() == key.material.digest(&[]).len() => Ok(message),
        "DIGEST" => Err(ApiError::validation("Digest is invalid length for algorithm.")),
        other => Err(ApiError::not_in_the_double(format!("the message type {other}"))),
    }
}
