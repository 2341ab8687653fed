//! What Lambda tells a destination of an event that it has given up.
//!
//! The fields are those of the page "Capturing records of Lambda asynchronous invocations" in the
//! Lambda Developer Guide. What only words the reason may be missing or odd, since no stack is to
//! wait for its sake. The event is in the record whole, with its `ResponseURL`: no fault repeats
//! anything of it, and nothing here has a `Debug` that shows it.

use std::fmt;
use std::str::FromStr;

use custom_resource::FieldFault;
use serde_json::{Map, Value};

/// One event that a function left without a success, and what is known of that.
pub(crate) struct InvocationRecord {
    /// The function that was to handle it, with its version.
    pub(crate) function: String,
    /// Why Lambda gave it up.
    pub(crate) condition: Condition,
    /// How many times the function was run for it.
    pub(crate) runs: Option<u64>,
    /// What those runs are called in the function's log.
    pub(crate) request_id: Option<String>,
    /// How the last of them ended.
    pub(crate) last_run: Option<LastRun>,
    /// The event itself.
    pub(crate) event: Value,
}

/// Why Lambda gave an event up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Condition {
    /// It was tried as often as it may be.
    RetriesExhausted,
    /// It was too old to be tried, or tried again.
    EventAgeExceeded,
    /// Lambda has a word for it that was not there when this was written.
    Other,
}

/// How the last run for an event ended, in Lambda's view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LastRun {
    /// Lambda stopped it at its `Timeout`.
    OverranItsTime,
    /// It needed more than its `MemorySize`.
    RanOutOfMemory,
    /// It was killed, which is how the end of its memory looks to some runtimes.
    WasKilled,
    /// Its process ended by itself.
    Exited,
    /// It left the rest of the work to the next run, and there is none.
    LeftTheRest,
    /// It said that it failed, or something else.
    Failed,
}

/// Why a record is not acted on. It never holds what the record says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RecordFault {
    /// It has no fields at all.
    NotAnObject,
    /// A field that has to be there is wrong.
    Field(&'static str, FieldFault),
    /// It tells of a success.
    NotAFailure,
    /// It tells of another function.
    AnotherFunction,
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an invocation record to act on: ")?;
        match self {
            Self::NotAnObject => f.write_str("it is no JSON object"),
            Self::Field(name, fault) => write!(f, "{name} {fault}"),
            Self::NotAFailure => f.write_str("requestContext.condition is Success"),
            Self::AnotherFunction => f.write_str(
                "requestContext.functionArn is not the function that the environment variable \
                 KEYBOOT_FUNCTION_ARN names",
            ),
        }
    }
}

impl InvocationRecord {
    /// Reads a record that may be anything.
    pub(crate) fn parse(record: Value) -> Result<Self, RecordFault> {
        let Value::Object(mut fields) = record else { return Err(RecordFault::NotAnObject) };
        let Value::Object(context) = take(&mut fields, "requestContext", "requestContext")? else {
            return Err(RecordFault::Field("requestContext", FieldFault::NotAnObject));
        };
        let condition = match text(&context, "condition", "requestContext.condition")? {
            "RetriesExhausted" => Condition::RetriesExhausted,
            "EventAgeExceeded" => Condition::EventAgeExceeded,
            "Success" => return Err(RecordFault::NotAFailure),
            _ => Condition::Other,
        };
        Ok(Self {
            function: text(&context, "functionArn", "requestContext.functionArn")?.to_owned(),
            condition,
            runs: context.get("approximateInvokeCount").and_then(Value::as_u64),
            request_id: context.get("requestId").and_then(Value::as_str).filter(is_uuid).map(str::to_owned),
            last_run: fields.get("responsePayload").and_then(LastRun::parse),
            event: take(&mut fields, "requestPayload", "requestPayload")?,
        })
    }
}

impl LastRun {
    /// Reads what stands for the response of a run that gave none. Only its kind is kept: the rest
    /// is a text that anything may stand in.
    fn parse(response: &Value) -> Option<Self> {
        let said = |name| response.get(name).and_then(Value::as_str).unwrap_or_default();
        let (kind, message) = (said("errorType"), said("errorMessage"));
        Some(match kind {
            _ if response.is_null() => return None,
            _ if message == custom_resource::UNFINISHED => Self::LeftTheRest,
            "Sandbox.Timedout" => Self::OverranItsTime,
            "Runtime.OutOfMemory" => Self::RanOutOfMemory,
            _ if message.contains("Task timed out after") => Self::OverranItsTime,
            _ if message.ends_with("signal: killed") => Self::WasKilled,
            "Runtime.ExitError" => Self::Exited,
            _ if message.contains("exited") => Self::Exited,
            _ => Self::Failed,
        })
    }
}

/// The ARN of a function, without a version or alias:
/// `arn:<partition>:lambda:<region>:<account>:function:<name>`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FunctionArn(String);

impl FunctionArn {
    /// Whether a record that names a function so is about this one. Lambda adds the version that
    /// it ran, and only the latest has its destination here.
    pub(crate) fn is_named_by(&self, text: &str) -> bool {
        text.strip_prefix(self.0.as_str()).is_some_and(|version| matches!(version, "" | ":$LATEST"))
    }
}

impl FromStr for FunctionArn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<_> = text.split(':').collect();
        match parts.as_slice() {
            ["arn", partition, "lambda", region, account, "function", name]
                if [partition, region, account, name].iter().all(|part| !part.is_empty()) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(()),
        }
    }
}

fn take(fields: &mut Map<String, Value>, name: &str, path: &'static str) -> Result<Value, RecordFault> {
    match fields.remove(name) {
        None | Some(Value::Null) => Err(RecordFault::Field(path, FieldFault::Missing)),
        Some(value) => Ok(value),
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str, path: &'static str) -> Result<&'a str, RecordFault> {
    match fields.get(name) {
        None | Some(Value::Null) => Err(RecordFault::Field(path, FieldFault::Missing)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(RecordFault::Field(path, FieldFault::NotText)),
    }
}

fn is_uuid(text: &&str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}
