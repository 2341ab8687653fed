//! What can be wrong with a policy, and with a question put to one.

/// A policy that AWS would refuse, or that this crate does not understand.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// AWS would refuse it (`MalformedPolicyDocument`).
    #[error("policy {policy}, {place}: {fault}")]
    Malformed {
        /// The policy's name.
        policy: String,
        /// Where in the policy, as `Statement[0] (Sid).Action`.
        place: String,
        /// What is wrong there.
        fault: String,
    },
    /// AWS knows it and this crate does not: nothing can be said about such a policy.
    #[error("policy {policy}, {place}: {what} is not supported here")]
    Unsupported {
        /// The policy's name.
        policy: String,
        /// Where in the policy, as `Statement[0] (Sid).NotPrincipal`.
        place: String,
        /// What is not supported.
        what: String,
    },
}

/// A question that cannot be answered as AWS would.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// AWS's pages say nothing of an operator without `ForAllValues:` or `ForAnyValue:` that meets
    /// a key with more than one value.
    #[error("policy {policy}, {statement}: {key} has several values, and the operator takes one")]
    SeveralValues {
        /// The policy's name.
        policy: String,
        /// The statement's Sid or its position.
        statement: String,
        /// The condition key.
        key: String,
    },
    /// A Deny hangs on a variable that the request has no value for: "might" be without effect.
    #[error("policy {policy}, {statement}: the request has no {key} to put into the Deny")]
    UnresolvedVariable {
        /// The policy's name.
        policy: String,
        /// The statement's Sid or its position.
        statement: String,
        /// The variable's condition key.
        key: String,
    },
}

/// Text that does not name a principal.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text} is not {expected}")]
pub struct PrincipalError {
    pub(crate) text: String,
    pub(crate) expected: &'static str,
}
