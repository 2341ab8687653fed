//! The record of all calls, and what a test reads out of it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::ApiError;
use crate::service::Service;

/// One call, as it is known so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its place in the order of arrival, from 1.
    pub number: u64,
    /// The session token it was signed with, which tells processes of one role apart.
    pub session: Option<String>,
    /// The ARN of the caller; for an unknown access key, that key.
    pub principal: String,
    /// The service; `None` where the request named none that the double knows.
    pub service: Option<Service>,
    /// The operation, such as `CreateSecret`.
    pub operation: String,
    /// What it is about, the same in every run: the name of a secret, the names of parameters with
    /// a comma between, the id of a key with the encryption context after it, `stack/resource`.
    pub subject: String,
    /// The input, as JSON, but for a `RotationToken`: only that there was one is written down.
    pub request: Value,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether the operation was carried out, whatever the caller came to know of it.
    pub took_effect: bool,
    /// The instant of its arrival. One counter counts the arrivals and answers of all calls.
    pub arrived: u64,
    /// The instant of its answer; for a connection that was closed instead, of that.
    pub answered: Option<u64>,
}

/// What a caller was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing yet.
    Unanswered,
    /// The operation's answer, as JSON.
    Answer(Value),
    /// A refusal.
    Error(ApiError),
    /// Nothing: the connection was closed.
    Lost,
}

impl Call {
    /// The code of the refusal, if there was one.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Error(error) => Some(&error.code),
            _ => None,
        }
    }

    /// The HTTP status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.outcome {
            Outcome::Answer(_) => Some(200),
            Outcome::Error(error) => Some(error.status),
            Outcome::Unanswered | Outcome::Lost => None,
        }
    }
}

/// A call by name: the same in every run that makes the same calls, in whatever order.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CallKey {
    /// The operation.
    pub operation: String,
    /// The subject.
    pub subject: String,
    /// Which of the calls with this operation and subject, from 1.
    pub occurrence: u64,
}

impl std::fmt::Display for CallKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} #{}", self.operation, self.subject, self.occurrence)
    }
}

/// The names of these calls, in their order. Occurrences are counted among the calls given.
#[must_use]
pub fn call_keys(calls: &[Call]) -> Vec<CallKey> {
    let mut seen: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let key = |call: &Call, occurrence| CallKey {
        operation: call.operation.clone(),
        subject: call.subject.clone(),
        occurrence,
    };
    let mut keys = Vec::with_capacity(calls.len());
    for call in calls {
        let count = seen.entry((&call.operation, &call.subject)).or_default();
        *count += 1;
        keys.push(key(call, *count));
    }
    keys
}

/// The length of the longest chain of calls of which each arrived after the one before was
/// answered: how often a caller at least waited for an answer.
///
/// The double answers within microseconds, so calls that were sent together may look like a chain.
/// A test that counts rounds lets every answer take its time, with [`crate::Twist::Slow`].
#[must_use]
pub fn sequential_rounds(calls: &[Call]) -> usize {
    let mut longest_answered = 0;
    let mut length_of: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, event) in events(calls) {
        match event {
            Event::Arrival(call) => {
                length_of.insert(call, longest_answered + 1);
            }
            Event::Answer(call) => {
                longest_answered = longest_answered.max(length_of.get(&call).copied().unwrap_or_default());
            }
        }
    }
    length_of.into_values().max().unwrap_or_default()
}

/// The most calls that were under way at one instant. What [`sequential_rounds`] says of answers
/// that come too fast holds here as well.
#[must_use]
pub fn most_at_once(calls: &[Call]) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for (_, event) in events(calls) {
        match event {
            Event::Arrival(_) => now += 1,
            Event::Answer(_) => now = now.saturating_sub(1),
        }
        most = most.max(now);
    }
    most
}

enum Event {
    Arrival(u64),
    Answer(u64),
}

fn events(calls: &[Call]) -> BTreeMap<u64, Event> {
    let arrivals = calls.iter().map(|call| (call.arrived, Event::Arrival(call.number)));
    let answers = calls.iter().filter_map(|call| Some((call.answered?, Event::Answer(call.number))));
    arrivals.chain(answers).collect()
}

/// What stands in the place of a rotation token.
const NOT_WRITTEN: &str = "(not written down)";

/// An input as it is written down. A rotation token is to be kept out of every log (Secrets Manager API
/// Reference, `PutSecretValue`, `RotationToken`); the values of secrets, which are to be as well, are
/// what tests look for.
pub(crate) fn as_written(input: &Value) -> Value {
    let mut written = input.clone();
    if let Some(token) = written.get_mut("RotationToken") {
        *token = NOT_WRITTEN.into();
    }
    written
}

/// All calls since the start.
#[derive(Debug, Default)]
pub(crate) struct Record {
    calls: Vec<Call>,
    instant: u64,
}

impl Record {
    /// The number of the call that arrives next.
    pub(crate) fn next_number(&self) -> u64 {
        self.calls.len() as u64 + 1
    }

    /// Writes an arrival down; the instant is set here.
    pub(crate) fn arrives(&mut self, call: Call) {
        let arrived = self.tick();
        self.calls.push(Call { arrived, ..call });
    }

    /// Notes that a call has been carried out.
    pub(crate) fn takes_effect(&mut self, number: u64) {
        if let Some(call) = self.call(number) {
            call.took_effect = true;
        }
    }

    /// Notes what a caller is told.
    pub(crate) fn is_answered(&mut self, number: u64, outcome: Outcome) {
        let at = self.tick();
        if let Some(call) = self.call(number) {
            call.outcome = outcome;
            call.answered = Some(at);
        }
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }

    fn call(&mut self, number: u64) -> Option<&mut Call> {
        self.calls.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    fn tick(&mut self) -> u64 {
        self.instant += 1;
        self.instant
    }
}
