//! The four services, and which operation of which of them a call is for.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::world::World;
use crate::{kms, parameters, secrets, stacks};

/// A service that the double stands for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Service {
    /// CloudFormation.
    CloudFormation,
    /// Key Management Service.
    Kms,
    /// Systems Manager Parameter Store.
    ParameterStore,
    /// Secrets Manager.
    SecretsManager,
}

impl Service {
    /// The service that a target's first half names.
    pub(crate) fn of_target(prefix: &str) -> Option<Self> {
        match prefix {
            "TrentService" => Some(Self::Kms),
            "secretsmanager" => Some(Self::SecretsManager),
            "AmazonSSM" => Some(Self::ParameterStore),
            _ => None,
        }
    }

    /// The name in ARNs, policies and signatures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudFormation => "cloudformation",
            Self::Kms => "kms",
            Self::ParameterStore => "ssm",
            Self::SecretsManager => "secretsmanager",
        }
    }

    /// Carries a call out.
    pub(crate) fn carry_out(
        self,
        world: &mut World,
        caller: &Caller,
        operation: &str,
        input: Value,
    ) -> Answer {
        match self {
            Self::CloudFormation => stacks::carry_out(world, caller, operation, input),
            Self::Kms => kms::carry_out(world, caller, operation, input),
            Self::ParameterStore => parameters::carry_out(world, caller, operation, input),
            Self::SecretsManager => secrets::carry_out(world, caller, operation, input),
        }
    }

    /// What a call is about, in words that do not change from run to run.
    pub(crate) fn subject(self, world: &World, caller: &Caller, input: &Value) -> String {
        match self {
            Self::CloudFormation => stacks::subject(input),
            Self::Kms => kms::subject(world, caller, input),
            Self::ParameterStore => parameters::subject(input),
            Self::SecretsManager => secrets::subject(world, caller, input),
        }
    }

    /// The refusal of more calls than the service takes (each API Reference, "Common Errors").
    pub(crate) fn throttled(self) -> ApiError {
        match self {
            Self::CloudFormation => ApiError::new("Throttling", "Rate exceeded"),
            Self::Kms => ApiError::new(
                "ThrottlingException",
                "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
            ),
            Self::ParameterStore | Self::SecretsManager => {
                ApiError::new("ThrottlingException", "Rate exceeded")
            }
        }
    }

    /// A failure of the service itself: 500 under the service's own code, 503 under the common one
    /// (each API Reference, "Errors" and "Common Errors").
    pub(crate) fn failed(self, status: u16) -> ApiError {
        let code = match (self, status) {
            (_, 503) => "ServiceUnavailable",
            (Self::CloudFormation, _) => "InternalFailure",
            (Self::Kms, _) => "KMSInternalException",
            (Self::ParameterStore, _) => "InternalServerError",
            (Self::SecretsManager, _) => "InternalServiceError",
        };
        ApiError::new(code, "The request was not completed because of an internal failure.")
            .with_status(status)
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads an operation's input. A member that the double does not know is refused, never ignored.
pub(crate) fn read<T: DeserializeOwned>(input: Value) -> Result<T, ApiError> {
    serde_json::from_value(input).map_err(|error| {
        let error = error.to_string();
        if error.starts_with("unknown field") || error.starts_with("unknown variant") {
            ApiError::not_in_the_double(error)
        } else if error.starts_with("missing field") {
            ApiError::validation(format!("1 validation error detected: {error}: Member must not be null"))
        } else {
            ApiError::new("SerializationException", error)
        }
    })
}
