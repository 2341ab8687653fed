//! What is asked for, and what its owner says.

use crate::{policy::ResourcePolicy, share::Share};

/// A resource: whose it is, and the policies on its side.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub(crate) owner: &'a str,
    pub(crate) policy: Option<&'a ResourcePolicy>,
    pub(crate) shares: &'a [Share],
    pub(crate) policy_decides: bool,
}

impl<'a> Target<'a> {
    /// Something in an account (twelve digits), with no policy of its own. So is an action that is
    /// on no resource, in the account of who asks.
    #[must_use]
    pub fn in_account(owner: &'a str) -> Self {
        Self { owner, policy: None, shares: &[], policy_decides: false }
    }

    /// A KMS key. No one has any right to it but what the key policy gives, the account's root
    /// included.
    ///
    /// KMS Developer Guide, "Key policies in AWS KMS".
    #[must_use]
    pub fn kms_key(owner: &'a str, policy: &'a ResourcePolicy) -> Self {
        Self { owner, policy: Some(policy), shares: &[], policy_decides: true }
    }

    /// A role, to be taken on. No one takes it but whom its trust policy names.
    ///
    /// IAM User Guide, "Policy evaluation logic": trust policies "must explicitly allow access".
    #[must_use]
    pub fn role(owner: &'a str, trust: &'a ResourcePolicy) -> Self {
        Self { owner, policy: Some(trust), shares: &[], policy_decides: true }
    }

    /// The same with a resource-based policy, as a secret can have.
    #[must_use]
    pub fn with_policy(mut self, policy: &'a ResourcePolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// The same with the owner's shares, among which may be some of other resources.
    #[must_use]
    pub fn with_shares(mut self, shares: &'a [Share]) -> Self {
        self.shares = shares;
        self
    }
}
