//! From an invocation record to the refusal that CloudFormation gets.

use std::fmt::Write as _;

use custom_resource::{Deadline, Failure, IdentityScheme, Responder, Served, StackId, refuse};
use serde_json::Value;

use crate::record::{Condition, InvocationRecord, LastRun, RecordFault};
use crate::settings::Settings;

/// Answers for node-keys.
#[derive(Debug)]
pub(crate) struct Unanswered {
    settings: Settings,
    scheme: IdentityScheme,
    responder: Responder,
}

impl Unanswered {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, scheme: identity::scheme(), responder: Responder::new() }
    }

    /// Answers FAILED for the event in a record.
    ///
    /// A Delete is answered FAILED as well: what it was to remove may all be there, and whoever
    /// deletes the stack is to hear of it and try again. A stack that node-keys does not serve is
    /// answered too, as node-keys would have done.
    pub(crate) async fn answer(&self, record: Value, deadline: Deadline) -> Result<Served, RecordFault> {
        let record = InvocationRecord::parse(record)?;
        if !self.settings.function.is_named_by(&record.function) {
            return Err(RecordFault::AnotherFunction);
        }
        let failure = Failure::new(self.reason(&record));
        Ok(refuse(record.event, deadline, &self.scheme, &self.responder, failure).await)
    }

    fn reason(&self, record: &InvocationRecord) -> String {
        let mut reason = String::new();
        if !self.serves(&record.event) {
            reason.push_str(
                "this stack's id is not among the KMS Stack's ClientStackIds, without which nothing is done for it; \
                 and ",
            );
        }
        let _ = match record.runs {
            Some(0) => write!(reason, "node-keys was not run"),
            Some(1) => write!(reason, "node-keys was run once and did not answer"),
            Some(runs) => write!(reason, "node-keys was run {runs} times and never answered"),
            None => write!(reason, "node-keys did not answer"),
        };
        reason.push_str(match record.condition {
            Condition::RetriesExhausted => ", and Lambda tries no more (RetriesExhausted)",
            Condition::EventAgeExceeded => {
                ", and the event has become too old to be tried again (EventAgeExceeded), as it does while Lambda has \
                 no capacity for the function"
            }
            Condition::Other => ", and Lambda has given the event up",
        });
        reason.push_str(match record.last_run {
            Some(LastRun::OverranItsTime) => "; the last run overran its time",
            Some(LastRun::RanOutOfMemory) => "; the last run ran out of memory",
            Some(LastRun::WasKilled) => "; the last run was killed, as it is when it runs out of memory",
            Some(LastRun::Exited) => "; the last run's process exited",
            Some(LastRun::LeftTheRest) => {
                "; each run went on where the one before had stopped, and the time of all of them was not enough: \
                 change fewer nodes at a time, or raise the KMS Stack's FunctionTimeout"
            }
            Some(LastRun::Failed) => "; the last run failed",
            None => "",
        });
        reason.push_str(". Its log has more");
        if let Some(id) = &record.request_id {
            let _ = write!(reason, " under request id {id}");
        }
        reason.push_str(". Mend the cause, then try the operation again");
        reason
    }

    fn serves(&self, event: &Value) -> bool {
        let stack = event.get("StackId").and_then(Value::as_str);
        stack
            .is_some_and(|stack| self.settings.stacks.iter().map(StackId::as_str).any(|known| known == stack))
    }
}
