//! What another account shares, by AWS Resource Access Manager.

use crate::{principal::Principal, request::Request};

/// A resource that its owner shares.
///
/// RAM User Guide, "How AWS RAM works with IAM": sharing takes the place of a resource-based policy;
/// the principal's own policies must allow the action too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Share {
    /// The full ARN of what is shared.
    pub resource: String,
    /// With whom.
    pub with: Vec<SharedWith>,
    /// What the managed permission allows, as `ssm:GetParameter`.
    pub actions: Vec<String>,
}

/// Somebody a resource is shared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SharedWith {
    /// An account, by its twelve digits.
    Account(String),
    /// Every account of an organization, by the organization's id (`o-…`).
    Organization(String),
    /// A role, by its ARN.
    Role(String),
}

impl Share {
    /// A parameter of Parameter Store, shared to be read.
    ///
    /// Systems Manager User Guide, "Working with shared parameters": the managed permission
    /// `AWSRAMDefaultPermissionSSMParameterReadOnly`.
    #[must_use]
    pub fn parameter(arn: &str, with: Vec<SharedWith>) -> Self {
        let actions = ["ssm:DescribeParameters", "ssm:GetParameter", "ssm:GetParameters"];
        Self { resource: arn.to_owned(), with, actions: actions.map(str::to_owned).to_vec() }
    }

    /// The same with the history of the parameter
    /// (`AWSRAMPermissionSSMParameterReadOnlyWithHistory`).
    #[must_use]
    pub fn with_history(mut self) -> Self {
        self.actions.push("ssm:GetParameterHistory".to_owned());
        self
    }

    pub(crate) fn allows(&self, request: &Request) -> bool {
        self.resource == request.resource
            && self.actions.iter().any(|action| action.eq_ignore_ascii_case(&request.action))
            && self.with.iter().any(|with| with.is(&request.principal))
    }
}

impl SharedWith {
    fn is(&self, principal: &Principal) -> bool {
        match self {
            Self::Account(account) => principal.account() == Some(account),
            Self::Organization(organization) => principal.organization() == Some(organization),
            Self::Role(arn) => principal.arn().as_deref() == Some(arn),
        }
    }
}
