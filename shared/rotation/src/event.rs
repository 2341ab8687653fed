//! Reading an event that may be anything.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::names::{Malformed, RotationStep, SecretId, VersionId};
use crate::rotation_token::RotationToken;

/// One step of one rotation, as Secrets Manager asks for it.
///
/// The fields are those of the page "Lambda rotation functions" in the Secrets Manager user guide.
/// An event comes again whenever a step has failed, and may come twice anyway.
#[derive(Debug)]
#[non_exhaustive]
pub struct RotationEvent {
    /// What is to be done: `Step`.
    pub step: RotationStep,
    /// The secret that is rotated: `SecretId`.
    pub secret_id: SecretId,
    /// The version that it is rotated to, the same in all four steps: `ClientRequestToken`.
    pub version: VersionId,
    /// What the calls that put a value have to bring, where Secrets Manager cannot tell by their
    /// caller that they belong to this rotation: `RotationToken`.
    pub rotation_token: Option<RotationToken>,
}

impl RotationEvent {
    /// Reads an event, which is handed over untyped so that a malformed one is a fault that the
    /// function can tell of, and no failure to start.
    ///
    /// Fields that are not known are left alone: Secrets Manager may send more one day. The text of
    /// the token stays in what was handed over; whoever holds that overwrites it.
    ///
    /// # Errors
    ///
    /// An [`EventFault`] that names the first field that is wrong.
    pub fn parse(event: &Value) -> Result<Self, EventFault> {
        let Value::Object(fields) = event else {
            return Err(EventFault::NotAnObject);
        };
        Ok(Self {
            step: required(fields, "Step", RotationStep::ALLOWED)?,
            secret_id: required(fields, "SecretId", SecretId::ALLOWED)?,
            version: required(fields, "ClientRequestToken", VersionId::ALLOWED)?,
            rotation_token: optional(fields, "RotationToken", RotationToken::ALLOWED)?,
        })
    }
}

/// What is wrong with an event. It never holds what the event says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EventFault {
    /// It has no fields at all.
    #[error("the event is no JSON object: it must be one, with Step, SecretId and ClientRequestToken")]
    NotAnObject,
    /// A field is wrong.
    #[error("{name} {fault}: it must be {allowed}")]
    Field {
        /// The name of the field.
        name: &'static str,
        /// What is wrong with it.
        fault: FieldFault,
        /// What would be right.
        allowed: &'static str,
    },
}

/// What is wrong with a field of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldFault {
    /// It is not there, or null.
    #[error("is missing")]
    Missing,
    /// It is there, and no JSON string.
    #[error("is no text")]
    NotText,
    /// It is a text, but not the right one.
    #[error("is wrong")]
    Malformed,
}

fn required<T: FromStr<Err = Malformed>>(
    fields: &Map<String, Value>,
    name: &'static str,
    allowed: &'static str,
) -> Result<T, EventFault> {
    let fault = FieldFault::Missing;
    optional(fields, name, allowed)?.ok_or(EventFault::Field { name, fault, allowed })
}

fn optional<T: FromStr<Err = Malformed>>(
    fields: &Map<String, Value>,
    name: &'static str,
    allowed: &'static str,
) -> Result<Option<T>, EventFault> {
    let wrong = |fault| EventFault::Field { name, fault, allowed };
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| wrong(FieldFault::Malformed)),
        Some(_) => Err(wrong(FieldFault::NotText)),
    }
}
