//! `GenerateDataKeyPairWithoutPlaintext`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::kms::encrypting::cryptographic;
use crate::kms::material::Material;
use crate::kms::{KeySpec, KeyUsage, allowed, find};
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Generate {
    key_id: String,
    key_pair_spec: String,
    #[serde(default)]
    encryption_context: BTreeMap<String, String>,
}

/// The public half is an SPKI, the private half a PKCS#8 within the ciphertext (KMS API Reference,
/// `GenerateDataKeyPairWithoutPlaintext`).
pub(super) fn generate(world: &mut World, caller: &Caller, input: Generate) -> Answer {
    let material = match KeySpec::of_name(&input.key_pair_spec) {
        Some(spec) if spec != KeySpec::SymmetricDefault => Material::make(spec),
        _ => return Err(ApiError::not_in_the_double(format!("the key pair spec {}", input.key_pair_spec))),
    };
    let key = find(world, caller, &input.key_id)?;
    let mut context = cryptographic(&input.encryption_context);
    context.add("kms:DataKeyPairSpec", [&input.key_pair_spec]);
    allowed(world, caller, key, "kms:GenerateDataKeyPairWithoutPlaintext", context)?;
    key.usable_for(KeyUsage::EncryptDecrypt, "GenerateDataKeyPairWithoutPlaintext")?;
    let arn = key.arn.clone();
    let private = material.pkcs8().unwrap_or_default();
    let ciphertext = world.kms.seal(&arn, input.encryption_context, private);
    Ok(json!({
        "KeyId": arn,
        "KeyPairSpec": input.key_pair_spec,
        "PrivateKeyCiphertextBlob": STANDARD.encode(ciphertext),
        "PublicKey": STANDARD.encode(material.spki().unwrap_or_default()),
    }))
}
