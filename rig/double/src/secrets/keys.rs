//! What a secret's key has to allow its caller.

use crate::error::ApiError;
use crate::identities::Caller;
use crate::kms::{self, AskedFor};
use crate::secrets::{Secret, SecretVersion};
use crate::service::Service;
use crate::world::World;

/// The version id under which Secrets Manager tries whether its caller may use a key.
const VALIDATION: &str = "RequestToValidateKeyAccess";

/// Whether this is the key of AWS that encrypts what no key is named for.
pub(super) fn is_default(key: &str) -> bool {
    key.ends_with("alias/aws/secretsmanager")
}

/// When a secret gets a key, Secrets Manager tries both operations that it needs later (Secrets
/// Manager User Guide, "Secret encryption and decryption in AWS Secrets Manager", "Validating access
/// to the KMS key").
pub(super) fn ask_to_establish(world: &World, caller: &Caller, key: &str, arn: &str) -> Result<(), ApiError> {
    ask(world, caller, key, "GenerateDataKey", arn, VALIDATION)?;
    ask(world, caller, key, "Decrypt", arn, VALIDATION)
}

/// A new value gets a new data key (the same page, `GenerateDataKey`).
pub(super) fn ask_to_encrypt(
    world: &World,
    caller: &Caller,
    key: &str,
    arn: &str,
    version: &str,
) -> Result<(), ApiError> {
    ask(world, caller, key, "GenerateDataKey", arn, version)
}

/// Whether values that are there can be encrypted anew when their secret gets another key (Secrets
/// Manager API Reference, `UpdateSecret`, `KmsKeyId`). Who may not is not refused.
pub(super) fn may_encrypt_anew(
    world: &World,
    caller: &Caller,
    key: &str,
    arn: &str,
) -> Result<bool, ApiError> {
    match ask(world, caller, key, "Encrypt", arn, VALIDATION) {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.code == "AccessDeniedException" => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// A value that is read, or compared with one that is put again, is decrypted (the same page,
/// "Decrypt"). The key of AWS serves its own account only (the same guide, "Access AWS Secrets Manager
/// secrets from a different account").
pub(super) fn ask_to_decrypt(
    world: &World,
    caller: &Caller,
    secret: &Secret,
    version: &SecretVersion,
) -> Result<(), ApiError> {
    match &version.key {
        Some(key) => ask(world, caller, key, "Decrypt", &secret.arn, &version.id),
        None => own_account(secret, caller),
    }
}

/// Refuses the key of AWS to another account.
pub(super) fn own_account(secret: &Secret, caller: &Caller) -> Result<(), ApiError> {
    if secret.place.account == caller.place.account {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidRequestException",
        "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS \
         service key.",
    ))
}

/// A right that is missing stays one; for anything else Secrets Manager says what it could not do
/// (Secrets Manager API Reference, `EncryptionFailure` and `DecryptionFailure`).
fn ask(
    world: &World,
    caller: &Caller,
    key: &str,
    operation: &str,
    arn: &str,
    version: &str,
) -> Result<(), ApiError> {
    let context = [("SecretARN", arn), ("SecretVersionId", version)];
    let asked = AskedFor { store: Service::SecretsManager, key, operation, context: &context };
    kms::ask(world, caller, asked).map_err(|refusal| match refusal.code.as_str() {
        "AccessDeniedException" => {
            ApiError::new(refusal.code, format!("Access to KMS is not allowed: {}", refusal.message))
        }
        ApiError::NOT_IN_THE_DOUBLE => refusal,
        _ if operation == "Decrypt" => ApiError::new("DecryptionFailure", refusal.to_string()),
        _ => ApiError::new("EncryptionFailure", refusal.to_string()),
    })
}
