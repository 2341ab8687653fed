//! A question to put to policies.

use crate::{context::Context, principal::Principal};

/// One action of one principal on one resource.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub principal: Principal,
    /// What for, as `kms:Decrypt`.
    pub action: String,
    /// On what: an ARN, or `*` for an action that is on no resource.
    pub resource: String,
    /// What else the request tells. What its principal tells need not be put here.
    pub context: Context,
}

impl Request {
    /// A request that tells nothing but who asks, what for and on what.
    #[must_use]
    pub fn new(principal: Principal, action: &str, resource: &str) -> Self {
        Self { principal, action: action.to_owned(), resource: resource.to_owned(), context: Context::new() }
    }

    /// The same request with this context in the place of its own.
    #[must_use]
    pub fn with(mut self, context: Context) -> Self {
        self.context = context;
        self
    }
}
