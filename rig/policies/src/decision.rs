//! Whether a request is allowed.
//!
//! IAM User Guide, "Policy evaluation logic"; KMS Developer Guide, "Key policies in AWS KMS".

use std::fmt;

use crate::{
    condition::NoAnswer,
    context::Context,
    error::EvaluationError,
    policy::{Document, IdentityPolicy, ResourcePolicy},
    principal::{Principal, PrincipalKind},
    principals::Match,
    request::Request,
    statement::Statement,
    target::Target,
};

/// The answer to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// It is allowed.
    Allowed,
    /// A statement denies it, whatever others allow.
    DeniedExplicitly(Denial),
    /// No statement on this side allows it, and one would have to.
    DeniedImplicitly(Side),
}

/// The statement that denies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// On which side its policy stands.
    pub side: Side,
    /// The policy's name.
    pub policy: String,
    /// The statement's Sid, or `Statement[n]` for want of one.
    pub statement: String,
}

/// The two sides of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The policies of who asks.
    Identity,
    /// The policy, or a share, of what is asked for.
    Resource,
}

/// Decides on a request, from the policies attached to its principal and those of its target.
///
/// The root user of an account and a service have no policies attached; any given for them are not
/// looked at.
///
/// # Errors
///
/// [`EvaluationError`] where AWS's pages do not say what the answer is.
pub fn decide<'p>(
    request: &Request,
    identity: impl IntoIterator<Item = &'p IdentityPolicy>,
    target: &Target<'_>,
) -> Result<Decision, EvaluationError> {
    let question = Question::new(request, target);
    let attached: Vec<_> = match request.principal.kind() {
        PrincipalKind::Role { .. } | PrincipalKind::User { .. } => identity.into_iter().collect(),
        PrincipalKind::Root { .. } | PrincipalKind::Service(_) => Vec::new(),
    };
    let attached = attached.into_iter().map(IdentityPolicy::document);
    let resource = target.policy.map(ResourcePolicy::document);

    // All are read before the answer, so that an Allow never hides a Deny.
    let identity = question.read(attached, Side::Identity)?;
    let resource = question.read(resource, Side::Resource)?;
    if let Some(denial) = identity.denied.or(resource.denied) {
        return Ok(Decision::DeniedExplicitly(denial));
    }
    let shared = target.shares.iter().any(|share| share.allows(request));
    let by_identity = match request.principal.kind() {
        PrincipalKind::Root { .. } => true,
        PrincipalKind::Role { .. } | PrincipalKind::User { .. } => identity.allowed.is_some(),
        PrincipalKind::Service(_) => false,
    };
    Ok(weigh(&request.principal, target, by_identity, resource.allowed, shared))
}

/// What the two sides allow, weighed. Denials have been seen to.
fn weigh(
    principal: &Principal,
    target: &Target<'_>,
    by_identity: bool,
    by_policy: Option<Match>,
    shared: bool,
) -> Decision {
    let itself = by_policy == Some(Match::Itself);
    let allowed_or = |allowed: bool, side: Side| {
        if allowed { Decision::Allowed } else { Decision::DeniedImplicitly(side) }
    };
    match principal.account() {
        // A service has no policies attached: the resource's policy names it, or nothing does.
        None => allowed_or(itself, Side::Resource),
        // "Key policies in AWS KMS": unless the key policy allows it, no one has permission; an
        // Allow for the account "gives the account permission to use IAM policies".
        Some(account) if account == target.owner && target.policy_decides => match by_policy {
            None => Decision::DeniedImplicitly(Side::Resource),
            Some(Match::Itself) => Decision::Allowed,
            Some(Match::ItsAccount) => allowed_or(by_identity, Side::Identity),
        },
        // "Evaluating identity-based policies with resource-based policies": within an account,
        // either allows.
        Some(account) if account == target.owner => allowed_or(by_identity || itself, Side::Identity),
        // "Cross-account policy evaluation logic": both allow.
        Some(_) if by_policy.is_none() && !shared => Decision::DeniedImplicitly(Side::Resource),
        Some(_) => allowed_or(by_identity, Side::Identity),
    }
}

/// A request with all that is known of it.
struct Question<'a> {
    request: &'a Request,
    context: Context,
}

/// What the policies of one side say.
#[derive(Default)]
struct Answer {
    denied: Option<Denial>,
    allowed: Option<Match>,
}

impl<'a> Question<'a> {
    fn new(request: &'a Request, target: &Target<'_>) -> Self {
        let mut context = request.context.clone();
        request.principal.describe(&mut context);
        context.set("aws:ResourceAccount", target.owner.to_owned());
        Self { request, context }
    }

    fn read<'p>(
        &self,
        policies: impl IntoIterator<Item = &'p Document>,
        side: Side,
    ) -> Result<Answer, EvaluationError> {
        let mut answer = Answer::default();
        for policy in policies {
            for statement in &policy.statements {
                let Some(how) = statement.names(&self.request.principal) else { continue };
                if !self.applies(statement, policy)? {
                    continue;
                }
                if statement.allows() {
                    answer.allowed = answer.allowed.max(Some(how));
                } else {
                    answer.denied.get_or_insert_with(|| Denial {
                        side,
                        policy: policy.name.clone(),
                        statement: statement.name(),
                    });
                }
            }
        }
        Ok(answer)
    }

    fn applies(&self, statement: &Statement, policy: &Document) -> Result<bool, EvaluationError> {
        let Request { action, resource, .. } = self.request;
        let (policy, name) = (policy.name.clone(), statement.name());
        match statement.applies(action, resource, &self.context) {
            Ok(applies) => Ok(applies),
            Err(NoAnswer::SeveralValues(key)) => {
                Err(EvaluationError::SeveralValues { policy, statement: name, key })
            }
            // "Variables and tags": a variable without value can make the statement invalid. One
            // that is invalid allows nothing; whether it denies is not said.
            Err(NoAnswer::Unresolved(_)) if statement.allows() => Ok(false),
            Err(NoAnswer::Unresolved(key)) => {
                Err(EvaluationError::UnresolvedVariable { policy, statement: name, key })
            }
        }
    }
}

impl Decision {
    /// Whether the request is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        *self == Self::Allowed
    }

    /// What AWS says to who is denied; none to who is allowed.
    ///
    /// IAM User Guide, "Troubleshoot access denied error messages".
    #[must_use]
    pub fn message(&self, request: &Request) -> Option<String> {
        let because = match self {
            Self::Allowed => return None,
            Self::DeniedExplicitly(denial) => format!("with an explicit deny in {}", denial.side.policy()),
            Self::DeniedImplicitly(side) => {
                format!("because no {} allows the {} action", side.kind(), request.action)
            }
        };
        let Request { principal, action, resource, .. } = request;
        let caller = principal.caller_arn();
        Some(format!(
            "User: {caller} is not authorized to perform: {action} on resource: {resource} {because}"
        ))
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed => formatter.write_str("allowed"),
            Self::DeniedExplicitly(Denial { policy, statement, .. }) => {
                write!(formatter, "denied by {statement} of policy {policy}")
            }
            Self::DeniedImplicitly(side) => write!(formatter, "denied: no {} allows it", side.kind()),
        }
    }
}

impl Side {
    fn kind(self) -> &'static str {
        match self {
            Self::Identity => "identity-based policy",
            Self::Resource => "resource-based policy",
        }
    }

    fn policy(self) -> &'static str {
        match self {
            Self::Identity => "an identity-based policy",
            Self::Resource => "a resource-based policy",
        }
    }
}
