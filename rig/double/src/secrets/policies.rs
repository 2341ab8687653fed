//! Resource policies of secrets.

use policies::{Principal, Request, Target, decide};
use serde::Deserialize;
use serde_json::json;

use crate::access::{Context, Policy};
use crate::error::{Answer, ApiError};
use crate::identities::Caller;
use crate::secrets::finding::{find_allowed, find_mut, in_use};
use crate::world::World;

/// Somebody whom no policy has any reason to let in.
const STRANGER: &str = "arn:aws:iam::999999999999:root";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutResourcePolicy {
    secret_id: String,
    resource_policy: String,
    #[serde(default)]
    block_public_policy: bool,
}

/// A policy that names a principal which is not there is refused (Secrets Manager User Guide,
/// "Resource-based policies"; the code is `MalformedPolicyDocumentException`).
pub(super) fn put(world: &mut World, caller: &Caller, input: &PutResourcePolicy) -> Answer {
    let mut context = Context::default();
    context.add("secretsmanager:BlockPublicPolicy", [input.block_public_policy.to_string()]);
    let action = "secretsmanager:PutResourcePolicy";
    let secret = find_allowed(world, caller, action, &input.secret_id, context.clone())?;
    in_use(secret)?;
    let policy = Policy::read(&input.resource_policy)?;
    if !policy.missing_principals(world).is_empty() {
        return Err(ApiError::new(
            "MalformedPolicyDocumentException",
            "This resource policy contains an unsupported principal.",
        ));
    }
    if input.block_public_policy && lets_strangers_in(&policy, &secret.place.account, &secret.arn)? {
        return Err(ApiError::new(
            "PublicPolicyException",
            "You can't attach a resource policy that allows broad access to the secret.",
        ));
    }
    let now = world.now();
    let secret = find_mut(world, caller, action, &input.secret_id, context)?;
    secret.policy = Some(policy);
    secret.changed = now;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OnlyAnId {
    secret_id: String,
}

pub(super) fn get(world: &mut World, caller: &Caller, input: &OnlyAnId) -> Answer {
    let action = "secretsmanager:GetResourcePolicy";
    let secret = find_allowed(world, caller, action, &input.secret_id, Context::default())?;
    in_use(secret)?;
    let mut answer = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(policy) = &secret.policy {
        answer["ResourcePolicy"] = json!(policy.text());
    }
    Ok(answer)
}

pub(super) fn delete(world: &mut World, caller: &Caller, input: &OnlyAnId) -> Answer {
    let now = world.now();
    let action = "secretsmanager:DeleteResourcePolicy";
    let secret = find_mut(world, caller, action, &input.secret_id, Context::default())?;
    in_use(secret)?;
    secret.policy = None;
    secret.changed = now;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
}

/// Whether a policy lets somebody of an account that it does not name do anything with the secret.
fn lets_strangers_in(policy: &Policy, account: &str, arn: &str) -> Result<bool, ApiError> {
    let stranger = Principal::root(STRANGER).expect("the ARN of an account's root");
    let target = Target::in_account(account).with_policy(policy.document());
    for action in ["GetSecretValue", "DescribeSecret", "PutSecretValue", "PutResourcePolicy", "DeleteSecret"]
    {
        let request = Request::new(stranger.clone(), &format!("secretsmanager:{action}"), arn);
        let decision = decide(&request, [], &target);
        let decision = decision.map_err(|error| ApiError::not_in_the_double(error.to_string()))?;
        if decision.is_allowed() {
            return Ok(true);
        }
    }
    Ok(false)
}
