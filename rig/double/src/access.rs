//! Whether a call is allowed: the one place that asks `policies`.

use std::collections::BTreeSet;

pub(crate) use policies::Context;
use policies::{Decision, IdentityPolicy, PolicyError, Request, ResourcePolicy, Target, decide};

use crate::error::ApiError;
use crate::identities::Caller;
use crate::world::World;

/// The policy of a key or of a secret.
#[derive(Clone, Debug)]
pub struct Policy {
    text: String,
    document: ResourcePolicy,
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Policy {}

impl Policy {
    /// Reads a JSON document.
    ///
    /// # Errors
    ///
    /// `MalformedPolicyDocumentException` as the services have it, and `NotInTheDouble` for what
    /// cannot be evaluated here.
    pub fn read(text: &str) -> Result<Self, ApiError> {
        let document =
            ResourcePolicy::from_json("the resource's policy", text).map_err(|error| malformed(&error))?;
        check_condition_keys(document.condition_keys())?;
        Ok(Self { text: text.to_owned(), document })
    }

    /// The JSON document.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The document as it is evaluated.
    pub(crate) fn document(&self) -> &ResourcePolicy {
        &self.document
    }

    /// The ARNs of the roles and users that it names and that are not there.
    pub(crate) fn missing_principals(&self, world: &World) -> Vec<String> {
        let named = self.document.named_principals();
        named.into_iter().filter(|arn| world.identities.role(arn).is_none()).collect()
    }
}

/// Reads a role's policy.
pub(crate) fn identity_policy(name: &str, text: &str) -> Result<IdentityPolicy, ApiError> {
    let policy = IdentityPolicy::from_json(name, text).map_err(|error| malformed(&error))?;
    check_condition_keys(policy.condition_keys())?;
    Ok(policy)
}

/// What policies are asked.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// What for, as `kms:Decrypt`.
    pub(crate) action: &'a str,
    /// On what: an ARN, or `*`.
    pub(crate) resource: String,
    /// What the resource's owner says.
    pub(crate) owner: Owner<'a>,
    /// What else the request tells.
    pub(crate) context: Context,
}

/// Whose a resource is, and the policies on its side.
#[derive(Debug)]
pub(crate) enum Owner<'a> {
    /// An account's, with no policy of its own.
    Account(&'a str),
    /// An account's, with a resource policy.
    WithPolicy(&'a str, &'a Policy),
    /// An account's KMS key, with its key policy.
    Key(&'a str, &'a Policy),
}

/// Refuses what policies do not allow.
pub(crate) fn require(world: &World, caller: &Caller, question: Question<'_>) -> Result<(), ApiError> {
    let mut context = question.context;
    for (key, value) in &caller.context {
        context.add(key, [value]);
    }
    let now = world.now();
    context.add("aws:CurrentTime", [now.to_string()]);
    context.add("aws:EpochTime", [now.as_second().to_string()]);
    context.add("aws:RequestedRegion", [&caller.place.region]);
    context.add("aws:SecureTransport", ["true"]);
    if context.values("aws:ViaAWSService").is_empty() {
        context.add("aws:ViaAWSService", ["false"]);
    }
    let request = Request::new(caller.principal.clone(), question.action, &question.resource).with(context);
    let target = match question.owner {
        Owner::Account(account) => Target::in_account(account),
        Owner::WithPolicy(account, policy) => Target::in_account(account).with_policy(&policy.document),
        Owner::Key(account, policy) => Target::kms_key(account, &policy.document),
    };
    let role = world.identities.role(&caller.arn);
    let attached = role.map(|role| role.policies.as_slice()).unwrap_or_default();
    let decision = decide(&request, attached, &target.with_shares(&world.shares))
        .map_err(|error| ApiError::not_in_the_double(error.to_string()))?;
    match &decision {
        Decision::Allowed => Ok(()),
        Decision::DeniedExplicitly(_) | Decision::DeniedImplicitly(_) => {
            let said = decision.message(&request).unwrap_or_default();
            // AWS does not name the statement; a test that fails wants to know it.
            Err(ApiError::new("AccessDeniedException", format!("{said} ({decision})")))
        }
    }
}

/// The condition keys that calls fill, here and in the services; a name that ends in `/` or `:` has
/// any other name after it.
const FILLED: &[&str] = &[
    "aws:CalledVia",
    "aws:CurrentTime",
    "aws:Ec2InstanceSourceVpc",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalOrgID",
    "aws:PrincipalServiceName",
    "aws:PrincipalTag/",
    "aws:PrincipalType",
    "aws:RequestTag/",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:ResourceTag/",
    "aws:SecureTransport",
    "aws:SourceVpc",
    "aws:TagKeys",
    "aws:ViaAWSService",
    "kms:CallerAccount",
    "kms:DataKeyPairSpec",
    "kms:EncryptionAlgorithm",
    "kms:EncryptionContext:",
    "kms:EncryptionContextKeys",
    "kms:KeyOrigin",
    "kms:KeySpec",
    "kms:KeyUsage",
    "kms:MessageType",
    "kms:MultiRegion",
    "kms:ResourceAliases",
    "kms:SigningAlgorithm",
    "kms:ViaService",
    "lambda:SourceFunctionArn",
    "secretsmanager:BlockPublicPolicy",
    "secretsmanager:Description",
    "secretsmanager:ForceDeleteWithoutRecovery",
    "secretsmanager:KmsKeyId",
    "secretsmanager:ModifyRotationRules",
    "secretsmanager:Name",
    "secretsmanager:RecoveryWindowInDays",
    "secretsmanager:ResourceTag/",
    "secretsmanager:RotateImmediately",
    "secretsmanager:RotationLambdaARN",
    "secretsmanager:SecretId",
    "secretsmanager:SecretPrimaryRegion",
    "secretsmanager:VersionId",
    "secretsmanager:VersionStage",
    "secretsmanager:resource/AllowRotationLambdaArn",
    "ssm:Overwrite",
    "ssm:Policies",
    "ssm:Recursive",
    "ssm:resourceTag/",
];

/// The condition keys that are rightly absent from every call: only what a service does on its own for
/// an account's resource carries the first, and the double has roles for callers (IAM User Guide, "AWS global
/// condition context keys"); only operations on grants, of which the double has none, carry the second (KMS
/// Developer Guide, "AWS KMS condition keys"). `aws:CalledVia`, `aws:Ec2InstanceSourceVpc`, `aws:SourceVpc` and
/// `lambda:SourceFunctionArn` are filled where a session tells them ([`crate::World::add_session`]): no other caller
/// is a service's, on an instance, at an endpoint or a function.
const ABSENT: &[&str] = &["aws:SourceAccount", "kms:GrantIsForAWSResource"];

/// Refuses a policy that asks for a key which no call fills: its condition would be met or missed
/// for the wrong reason.
fn check_condition_keys(asked: BTreeSet<&str>) -> Result<(), ApiError> {
    let is_filled = |key: &str| {
        let key = key.to_lowercase();
        FILLED.iter().chain(ABSENT).any(|filled| {
            let filled = filled.to_lowercase();
            if filled.ends_with(['/', ':']) { key.starts_with(&filled) } else { key == filled }
        })
    };
    match asked.into_iter().find(|key| !is_filled(key)) {
        Some(unknown) => Err(ApiError::not_in_the_double(format!("the condition key {unknown}"))),
        None => Ok(()),
    }
}

fn malformed(error: &PolicyError) -> ApiError {
    match error {
        PolicyError::Malformed { .. } => ApiError::new("MalformedPolicyDocumentException", error.to_string()),
        _ => ApiError::not_in_the_double(error.to_string()),
    }
}
