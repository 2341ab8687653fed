//! Policies of parameters: the Expiration. Notifications would need somebody to notify.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::parameters::{ParameterVersion, Tier};

/// Systems Manager API Reference, `PutParameter`, `PoliciesLimitExceededException`.
const POLICIES: usize = 10;

/// Policies are for Advanced parameters. `[{}]` takes all away, and left out they stay as they are
/// (Systems Manager API Reference, `PutParameter`, Policies; Systems Manager User Guide, "Assigning
/// parameter policies in Parameter Store").
pub(super) fn read(
    text: Option<&str>,
    tier: Tier,
    before: Option<&ParameterVersion>,
) -> Result<Vec<Value>, ApiError> {
    let Some(text) = text else {
        return Ok(before.map(|before| before.policies.clone()).unwrap_or_default());
    };
    let policies: Vec<Value> = serde_json::from_str(text).map_err(|_| {
        ApiError::new("InvalidPolicyTypeException", "The policies are no JSON array of objects.")
    })?;
    let policies: Vec<Value> = policies.into_iter().filter(|policy| *policy != json!({})).collect();
    if policies.len() > POLICIES {
        return Err(ApiError::new(
            "PoliciesLimitExceededException",
            "You specified more than the maximum number of allowed policies for the parameter. The maximum is 10.",
        ));
    }
    if !policies.is_empty() && tier != Tier::Advanced {
        return Err(ApiError::validation(
            "Parameter policies are only supported for advanced-tier parameters.",
        ));
    }
    Ok(policies)
}

/// The time of the Expiration among the policies, of which there is one at most
/// (`IncompatiblePolicyException`).
pub(super) fn expiration(policies: &[Value]) -> Result<Option<Timestamp>, ApiError> {
    let mut expires = None;
    for policy in policies {
        match policy["Type"].as_str() {
            Some("Expiration") if expires.is_some() => {
                return Err(ApiError::new(
                    "IncompatiblePolicyException",
                    "You can't specify two Expiration policies for a parameter.",
                ));
            }
            Some("Expiration") => expires = Some(expiration_of(policy)?),
            Some(other @ ("ExpirationNotification" | "NoChangeNotification")) => {
                return Err(ApiError::not_in_the_double(format!("the parameter policy {other}")));
            }
            _ => {
                return Err(ApiError::new(
                    "InvalidPolicyTypeException",
                    "The policy type isn't supported. Parameter Store supports the following policy types: \
                     Expiration, ExpirationNotification, and NoChangeNotification.",
                ));
            }
        }
    }
    Ok(expires)
}

fn expiration_of(policy: &Value) -> Result<Timestamp, ApiError> {
    let at = policy["Attributes"]["Timestamp"].as_str().and_then(|at| at.parse().ok());
    let at = at.filter(|_| policy["Version"] == "1.0");
    at.ok_or_else(|| {
        ApiError::new("InvalidPolicyAttributeException", "An Expiration has the Version 1.0 and a Timestamp.")
    })
}
