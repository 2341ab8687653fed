//! The four-step rotation protocol of Secrets Manager: parse, check, do one step.
//!
//! Secrets Manager rotates a secret by invoking a function four times: to create a new version, to
//! set it where it is used, to test it, and to finish by making it current (Secrets Manager user
//! guide, "Lambda rotation functions"). Any of the four may fail, die half way, come twice or come
//! late, and then it comes again. What a step does is the business of a [`Rotate`]; this crate sees
//! to it that it does so only for a version that is to be rotated to, and that no state in which a
//! run can have died is mistaken for another.
//!
//! ```no_run
//! use rotation::{Rotate, RotationEvent, SecretId, SecretVersions, Tested, rotate};
//!
//! struct Passwords;
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("the password server does not answer")]
//! struct NoAnswer;
//!
//! impl Rotate for Passwords {
//!     type Error = NoAnswer;
//!
//!     async fn describe(&self, _: &SecretId) -> Result<Option<SecretVersions>, NoAnswer> {
//!         Err(NoAnswer) // never `Ok(None)`: nobody has said that there is no such secret
//!     }
//!
//!     async fn create(&self, _: &RotationEvent) -> Result<(), NoAnswer> {
//!         Ok(())
//!     }
//!
//!     async fn set(&self, _: &RotationEvent) -> Result<(), NoAnswer> {
//!         Ok(())
//!     }
//!
//!     async fn test(&self, _: &RotationEvent) -> Result<Tested, NoAnswer> {
//!         Ok(Tested::Passed)
//!     }
//!
//!     async fn finish(&self, _: &RotationEvent, _: &SecretVersions) -> Result<(), NoAnswer> {
//!         Ok(())
//!     }
//!
//!     async fn discard(&self, _: &RotationEvent, _: &str) -> Result<(), NoAnswer> {
//!         Ok(())
//!     }
//! }
//!
//! # async fn handle(payload: serde_json::Value) -> Result<String, String> {
//! let event = RotationEvent::parse(&payload).map_err(|fault| fault.to_string())?;
//! let rotated = rotate(&event, &Passwords).await.map_err(|error| error.to_string())?;
//! Ok(rotated.to_string())
//! # }
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`RotationEvent`], [`RotationStep`], [`SecretId`], [`VersionId`] | an event, parsed |
//! | [`RotationToken`] | the credential that some events bring |
//! | [`SecretVersions`], [`CURRENT`], [`PENDING`], [`PREVIOUS`] | what a describe gives, and the labels in it |
//! | [`Rotate`], [`Tested`] | the work, which this crate knows nothing of |
//! | [`rotate`], [`Rotated`], [`RotateError`] | the checks around the work |
//!
//! # What it never does
//!
//! It makes no call of its own, reads no environment variable, writes no log line and keeps no state
//! between events. It never sees a secret's value: no method of [`Rotate`] takes or gives one. It
//! takes no reading that failed for an answer: a secret that cannot be described is not touched.

mod event;
mod names;
mod rotating;
mod rotation_token;
mod versions;

pub use event::{EventFault, FieldFault, RotationEvent};
pub use names::{Malformed, RotationStep, SecretId, VersionId};
pub use rotating::{Done, Refusal, Rotate, RotateError, Rotated, Tested, rotate};
pub use rotation_token::RotationToken;
pub use versions::{CURRENT, PENDING, PREVIOUS, SecretVersions};
