//! What a secure string needs of KMS.

use crate::error::ApiError;
use crate::identities::Caller;
use crate::kms::{self, AskedFor};
use crate::parameters::{ParameterVersion, Tier};
use crate::service::Service;
use crate::world::World;

/// The key of AWS that encrypts what no key is named for.
pub(super) const DEFAULT_KEY: &str = "alias/aws/ssm";

/// A Standard secure string is encrypted by KMS itself, an Advanced one under a data key (Systems
/// Manager User Guide, "AWS KMS encryption for AWS Systems Manager Parameter Store SecureString
/// parameters").
pub(super) fn ask_to_encrypt(
    world: &World,
    caller: &Caller,
    arn: &str,
    tier: Tier,
    key: &str,
) -> Result<(), ApiError> {
    let operation = match tier {
        Tier::Standard => "Encrypt",
        Tier::Advanced => "GenerateDataKey",
    };
    ask(world, caller, arn, operation, key)
}

/// What is no secure string is read without KMS.
pub(super) fn ask_to_decrypt(
    world: &World,
    caller: &Caller,
    arn: &str,
    version: &ParameterVersion,
) -> Result<(), ApiError> {
    match &version.key {
        Some(key) => ask(world, caller, arn, "Decrypt", key),
        None => Ok(()),
    }
}

fn ask(world: &World, caller: &Caller, arn: &str, operation: &str, key: &str) -> Result<(), ApiError> {
    if key.ends_with(DEFAULT_KEY) {
        return Ok(());
    }
    let context = [("PARAMETER_ARN", arn)];
    let asked = AskedFor { store: Service::ParameterStore, key, operation, context: &context };
    kms::ask(world, caller, asked).map_err(|refusal| match refusal.code.as_str() {
        "AccessDeniedException" => refusal,
        // Systems Manager API Reference, `PutParameter` and `GetParameter`, `InvalidKeyId`.
        _ => ApiError::new("InvalidKeyId", refusal.to_string()),
    })
}
