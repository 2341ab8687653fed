//! IAM policies, evaluated as AWS documents it.
//!
//! A double of an AWS service asks [`decide`] whether a [`Request`] is allowed by the policies of
//! its [`Principal`] and of its [`Target`]. No I/O here, no clock, no state.
//!
//! Whatever of a policy is not understood is refused when the policy is read ([`PolicyError`]), so
//! that no statement is ever quietly without effect. Not modelled, and so never to be relied on:
//! permissions boundaries, session policies, service and resource control policies, KMS grants.
//!
//! Why no library: those there are (2026) evaluate one list of statements and know nothing of
//! accounts, key policies or shares; and none keeps to the pages in what it does. `iam-rs` 0.8
//! compares `ArnEquals` without wildcards, passes over elements of a statement that it does not
//! know, and puts nothing in the place of a variable that the request lacks. `scratchstack-aspen`
//! 0.3 takes a negated operator for false when its key is absent, and has no `ForAllValues`.
//! `aws-iam` 0.2 denies whatever a statement is not about, and takes an error for false.

mod answers;
mod arn;
mod condition;
mod context;
mod decision;
mod error;
pub mod event_pattern;
mod expected;
mod json;
mod keys;
mod path;
mod pattern;
mod place;
mod policy;
mod principal;
mod principals;
mod request;
mod share;
mod statement;
mod target;
pub mod template;

pub use context::Context;
pub use decision::{Decision, Denial, Side, decide};
pub use error::{EvaluationError, PolicyError, PrincipalError};
pub use policy::{IdentityPolicy, ResourcePolicy};
pub use principal::{Principal, PrincipalKind};
pub use request::Request;
pub use share::{Share, SharedWith};
pub use target::Target;
