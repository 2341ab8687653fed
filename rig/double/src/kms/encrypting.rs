//! Encrypt, Decrypt and `GenerateDataKey`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::access::Context;
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::kms::{Key, KeyUsage, allowed, find};
use crate::random;
use crate::world::World;

/// What the double adds to a plaintext; KMS adds about as much.
const OVERHEAD: usize = 148;

/// What is behind a ciphertext.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) key: String,
    pub(crate) context: BTreeMap<String, String>,
    pub(crate) plaintext: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Encrypt {
    key_id: String,
    plaintext: String,
    #[serde(default)]
    encryption_context: BTreeMap<String, String>,
    encryption_algorithm: Option<String>,
}

pub(super) fn encrypt(world: &mut World, caller: &Caller, input: Encrypt) -> Answer {
    let plaintext = blob(&input.plaintext)?;
    let key = find(world, caller, &input.key_id)?;
    allowed(world, caller, key, "kms:Encrypt", cryptographic(&input.encryption_context))?;
    key.usable_for(KeyUsage::EncryptDecrypt, "Encrypt")?;
    symmetric_default(input.encryption_algorithm.as_deref())?;
    let arn = key.arn.clone();
    let ciphertext = world.kms.seal(&arn, input.encryption_context, plaintext);
    Ok(json!({
        "CiphertextBlob": STANDARD.encode(ciphertext),
        "KeyId": arn,
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Decrypt {
    ciphertext_blob: String,
    key_id: Option<String>,
    #[serde(default)]
    encryption_context: BTreeMap<String, String>,
    encryption_algorithm: Option<String>,
}

/// A ciphertext names its key; a `KeyId` beside it must name the same one, and the context must be
/// the one it was encrypted under, exactly (KMS API Reference, Decrypt).
pub(super) fn decrypt(world: &mut World, caller: &Caller, input: &Decrypt) -> Answer {
    let ciphertext = blob(&input.ciphertext_blob)?;
    let sealed = world.kms.sealed.get(&ciphertext);
    let key = match (&input.key_id, sealed) {
        (Some(named), _) => find(world, caller, named)?,
        (None, Some(sealed)) => find(world, caller, &sealed.key)?,
        (None, None) => return Err(invalid_ciphertext()),
    };
    allowed(world, caller, key, "kms:Decrypt", cryptographic(&input.encryption_context))?;
    key.usable_for(KeyUsage::EncryptDecrypt, "Decrypt")?;
    symmetric_default(input.encryption_algorithm.as_deref())?;
    let sealed = sealed.ok_or_else(invalid_ciphertext)?;
    if sealed.key != key.arn {
        return Err(ApiError::new(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        ));
    }
    if sealed.context != input.encryption_context {
        return Err(invalid_ciphertext());
    }
    Ok(json!({
        "KeyId": key.arn,
        "Plaintext": STANDARD.encode(&sealed.plaintext),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GenerateDataKey {
    key_id: String,
    key_spec: Option<String>,
    number_of_bytes: Option<usize>,
    #[serde(default)]
    encryption_context: BTreeMap<String, String>,
}

/// One of `KeySpec` and `NumberOfBytes` (1 to 1,024), and not both (KMS API Reference,
/// `GenerateDataKey`).
pub(super) fn generate_data_key(world: &mut World, caller: &Caller, input: GenerateDataKey) -> Answer {
    let length = match (input.key_spec.as_deref(), input.number_of_bytes) {
        (Some("AES_256"), None) => 32,
        (Some("AES_128"), None) => 16,
        (None, Some(length)) if (1..=1024).contains(&length) => length,
        _ => {
            return Err(ApiError::validation(
                "Please specify either number of bytes (1 to 1024) or key spec (AES_128, AES_256).",
            ));
        }
    };
    let key = find(world, caller, &input.key_id)?;
    allowed(world, caller, key, "kms:GenerateDataKey", cryptographic(&input.encryption_context))?;
    key.usable_for(KeyUsage::EncryptDecrypt, "GenerateDataKey")?;
    let arn = key.arn.clone();
    let plaintext = random::vector(length);
    let answer = STANDARD.encode(&plaintext);
    let ciphertext = world.kms.seal(&arn, input.encryption_context, plaintext);
    Ok(json!({ "CiphertextBlob": STANDARD.encode(ciphertext), "Plaintext": answer, "KeyId": arn }))
}

impl super::Keys {
    /// Seals bytes, and gives the ciphertext that stands for them.
    pub(crate) fn seal(
        &mut self,
        key: &str,
        context: BTreeMap<String, String>,
        plaintext: Vec<u8>,
    ) -> Vec<u8> {
        let ciphertext = random::vector(plaintext.len() + OVERHEAD);
        self.sealed.insert(ciphertext.clone(), Sealed { key: key.to_owned(), context, plaintext });
        ciphertext
    }
}

/// The condition keys of a cryptographic operation under a context (KMS Developer Guide, "AWS KMS
/// condition keys").
pub(super) fn cryptographic(encryption_context: &BTreeMap<String, String>) -> Context {
    let mut context = Context::default();
    context.add("kms:EncryptionAlgorithm", ["SYMMETRIC_DEFAULT"]);
    for (name, value) in encryption_context {
        context.add(&format!("kms:EncryptionContext:{name}"), [value]);
    }
    context.add("kms:EncryptionContextKeys", encryption_context.keys());
    context
}

/// The id of the key that a ciphertext was made under.
pub(super) fn key_of_ciphertext(world: &World, ciphertext: &str) -> Option<String> {
    let sealed = world.kms.sealed.get(&STANDARD.decode(ciphertext).ok()?)?;
    world.kms.all.get(&sealed.key).map(|key: &Key| key.id.clone())
}

/// Reads a blob.
pub(super) fn blob(text: &str) -> Result<Vec<u8>, ApiError> {
    STANDARD.decode(text).map_err(|error| ApiError::new("SerializationException", error.to_string()))
}

fn symmetric_default(algorithm: Option<&str>) -> Result<(), ApiError> {
    match algorithm {
        None | Some("SYMMETRIC_DEFAULT") => Ok(()),
        Some(other) => Err(ApiError::new(
            "InvalidKeyUsageException",
            format!("Algorithm {other} is incompatible with key spec SYMMETRIC_DEFAULT."),
        )),
    }
}

fn invalid_ciphertext() -> ApiError {
    // KMS says no more than the code.
    ApiError::new("InvalidCiphertextException", "")
}
