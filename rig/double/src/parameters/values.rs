//! What a secure string needs of KMS.

use crate::error::ApiError;
use crate::identities::Caller;
use crate::kms::{self, AskedFor};
use crate::parameters::{Parameter, ParameterKind, ParameterVersion, Tier};
use crate::service::Service;
use crate::world::World;

/// The key of AWS that encrypts what no key is named for.
pub(super) const DEFAULT_KEY: &str = "alias/aws/ssm";

/// A Standard secure string is encrypted by KMS itself, an Advanced one under a data key (Systems
/// Manager User Guide, "AWS KMS encryption for AWS Systems Manager Parameter Store `SecureString`
/// parameters"). Gives the ARN of a customer's key.
pub(super) fn ask_to_encrypt(
    world: &World,
    caller: &Caller,
    arn: &str,
    tier: Tier,
    key: &str,
) -> Result<Option<String>, ApiError> {
    if key.ends_with(DEFAULT_KEY) {
        return Ok(None);
    }
    let operation = match tier {
        Tier::Standard => "Encrypt",
        Tier::Advanced => "GenerateDataKey",
    };
    ask(world, caller, arn, operation, key)?;
    Ok(kms::find(world, caller, key).ok().map(|key| key.arn.clone()))
}

/// What is no secure string is read without KMS. The key of AWS serves its own account only (Systems
/// Manager User Guide, "Working with shared parameters in Parameter Store").
pub(super) fn ask_to_decrypt(
    world: &World,
    caller: &Caller,
    parameter: &Parameter,
    version: &ParameterVersion,
) -> Result<(), ApiError> {
    match (version.kind, &version.key_arn) {
        (ParameterKind::SecureString, Some(key)) => ask(world, caller, &parameter.arn, "Decrypt", key),
        (ParameterKind::SecureString, None) if parameter.place.account != caller.place.account => {
            Err(ApiError::new("AccessDeniedException", format!("{DEFAULT_KEY} serves its own account only.")))
        }
        _ => Ok(()),
    }
}

fn ask(world: &World, caller: &Caller, arn: &str, operation: &str, key: &str) -> Result<(), ApiError> {
    let context = [("PARAMETER_ARN", arn)];
    let asked = AskedFor { store: Service::ParameterStore, key, operation, context: &context };
    kms::ask(world, caller, asked).map_err(|refusal| match refusal.code.as_str() {
        "AccessDeniedException" | ApiError::NOT_IN_THE_DOUBLE => refusal,
        // Systems Manager API Reference, `PutParameter` and `GetParameter`, `InvalidKeyId`.
        _ => ApiError::new("InvalidKeyId", refusal.to_string()),
    })
}
