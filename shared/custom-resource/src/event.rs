//! Reading an event that may be anything.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::answer::Heading;
use crate::identity::IdentityScheme;
use crate::physical_id::PhysicalResourceId;
use crate::request::{LogicalId, Properties, Request, RequestId, RequestType};
use crate::response_url::{ResponseUrl, UrlFault};
use crate::stack_id::{Malformed, StackId};

/// What is wrong with an event. It never holds what the event says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EventFault {
    /// It has no fields at all.
    #[error("the event is no JSON object")]
    NotAnObject,
    /// A field is wrong.
    #[error("{name} {fault}")]
    Field {
        /// The name of the field.
        name: &'static str,
        /// What is wrong with it.
        fault: FieldFault,
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
    /// It is there, and no JSON object.
    #[error("is no JSON object")]
    NotAnObject,
    /// It is a text, but not the right one.
    #[error("is {0}")]
    Malformed(#[from] Malformed),
    /// It is a text, but no URL that an answer may be sent to.
    #[error(transparent)]
    Url(#[from] UrlFault),
}

/// The right to answer one event, once, and what every answer to it says.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) url: ResponseUrl,
    pub(crate) stack_id: StackId,
    pub(crate) request_id: RequestId,
    pub(crate) logical_id: LogicalId,
    /// What the event asks for, if that much could be read.
    pub(crate) request_type: Option<RequestType>,
    /// The id that a failure is answered with.
    pub(crate) failure_id: PhysicalResourceId,
}

impl Reply {
    pub(crate) fn heading<'a>(&'a self, physical_id: &'a PhysicalResourceId) -> Heading<'a> {
        Heading {
            physical_id,
            stack_id: &self.stack_id,
            request_id: &self.request_id,
            logical_id: &self.logical_id,
        }
    }
}

/// Reads an event: who is to be answered, and then what is asked for.
///
/// The outer fault leaves nobody to answer. The inner one is to be answered with FAILED, under the
/// id that was delivered or, where none was, the derived one.
pub(crate) fn read(
    event: Value,
    scheme: &IdentityScheme,
) -> Result<(Reply, Result<Request, EventFault>), EventFault> {
    let Value::Object(mut fields) = event else {
        return Err(EventFault::NotAnObject);
    };
    // First of all, so that the credential is overwritten whatever else is wrong.
    let url = take_text(&mut fields, "ResponseURL");
    let stack_id: StackId = parse(&mut fields, "StackId")?;
    let url = ResponseUrl::parse(url?, &stack_id).map_err(|fault| field("ResponseURL", fault))?;
    let request_id: RequestId = parse(&mut fields, "RequestId")?;
    let logical_id: LogicalId = parse(&mut fields, "LogicalResourceId")?;

    let request_type = parse::<RequestType>(&mut fields, "RequestType");
    let delivered_id = match request_type {
        // There is none yet; what an emulator puts here means nothing.
        Ok(RequestType::Create) => None,
        _ => Some(parse::<PhysicalResourceId>(&mut fields, "PhysicalResourceId")),
    };
    let properties = take_properties(&mut fields, "ResourceProperties");
    let derived_id =
        scheme.derive(&stack_id, &logical_id, properties.as_ref().unwrap_or(&Properties::default()));
    let failure_id = match &delivered_id {
        Some(Ok(delivered)) => delivered,
        _ => &derived_id,
    };
    let reply = Reply {
        url,
        stack_id: stack_id.clone(),
        request_id: request_id.clone(),
        logical_id: logical_id.clone(),
        request_type: request_type.ok(),
        failure_id: failure_id.clone(),
    };

    let request = || {
        let request_type = request_type?;
        Ok(Request {
            request_type,
            request_id,
            stack_id,
            logical_id,
            resource_type: take_text(&mut fields, "ResourceType")?,
            physical_id: delivered_id.unwrap_or_else(|| Ok(derived_id.clone()))?,
            derived_id,
            properties: properties?,
            old_properties: match request_type {
                RequestType::Update => optional(take_properties(&mut fields, "OldResourceProperties"))?,
                RequestType::Create | RequestType::Delete => None,
            },
        })
    };
    Ok((reply, request()))
}

fn take(fields: &mut Map<String, Value>, name: &'static str) -> Result<Value, EventFault> {
    match fields.remove(name) {
        None | Some(Value::Null) => Err(field(name, FieldFault::Missing)),
        Some(value) => Ok(value),
    }
}

fn take_text(fields: &mut Map<String, Value>, name: &'static str) -> Result<String, EventFault> {
    match take(fields, name)? {
        Value::String(text) => Ok(text),
        _ => Err(field(name, FieldFault::NotText)),
    }
}

fn take_properties(fields: &mut Map<String, Value>, name: &'static str) -> Result<Properties, EventFault> {
    match take(fields, name)? {
        Value::Object(map) => Ok(Properties::from(map)),
        _ => Err(field(name, FieldFault::NotAnObject)),
    }
}

fn parse<T: FromStr<Err = Malformed>>(
    fields: &mut Map<String, Value>,
    name: &'static str,
) -> Result<T, EventFault> {
    take_text(fields, name)?.parse().map_err(|fault: Malformed| field(name, fault))
}

fn optional<T>(found: Result<T, EventFault>) -> Result<Option<T>, EventFault> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(EventFault::Field { fault: FieldFault::Missing, .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn field(name: &'static str, fault: impl Into<FieldFault>) -> EventFault {
    EventFault::Field { name, fault: fault.into() }
}
