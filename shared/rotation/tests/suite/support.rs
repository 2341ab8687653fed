//! Events to test with, and a work that does nothing but remember what it was asked.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rotation::{Rotate, RotateError, Rotated, RotationEvent, SecretId, SecretVersions, Tested, rotate};
use serde_json::{Value, json};

/// The secret of every event here.
pub(crate) const SECRET_ID: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:keys/a-Ab3dEf";

/// The version that every event here rotates to, unless it says otherwise.
pub(crate) const VERSION: &str = "5b0c9c5e-1f6d-11f0-8f1a-0a1b2c3d4e5f";

/// The version that is current before.
pub(crate) const OLD: &str = "00000000-1f6d-11f0-8f1a-0a1b2c3d4e5f";

/// A version of neither.
pub(crate) const OTHER: &str = "99999999-1f6d-11f0-8f1a-0a1b2c3d4e5f";

/// A sound event as Secrets Manager sends it.
pub(crate) fn json_event(step: &str, version: &str) -> Value {
    json!({ "Step": step, "SecretId": SECRET_ID, "ClientRequestToken": version })
}

/// The same, parsed.
pub(crate) fn event(step: &str, version: &str) -> RotationEvent {
    RotationEvent::parse(&json_event(step, version)).unwrap()
}

/// What was described: versions, with their labels after them.
pub(crate) fn described(rotation_enabled: bool, versions: &[(&str, &[&str])]) -> SecretVersions {
    let labels = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    let versions = versions.iter().map(|(id, staged)| ((*id).to_owned(), labels(staged))).collect();
    SecretVersions { rotation_enabled, versions }
}

/// The end of something that never waits.
pub(crate) fn now<T>(what: impl Future<Output = T>) -> T {
    match pin!(what).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(end) => end,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// Why a recorder did not do something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault(pub(crate) &'static str);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Fault {}

/// Does nothing, and remembers what it was asked to do.
pub(crate) struct Recorder {
    pub(crate) described: Result<Option<SecretVersions>, Fault>,
    pub(crate) tested: Tested,
    /// The call that fails.
    pub(crate) fails: Option<&'static str>,
    calls: RefCell<Vec<String>>,
}

impl Recorder {
    pub(crate) fn of(described: SecretVersions) -> Self {
        Self {
            described: Ok(Some(described)),
            tested: Tested::Passed,
            fails: None,
            calls: RefCell::default(),
        }
    }

    /// Has an event done, and gives what came of it and the calls after the describing.
    pub(crate) fn rotate(&self, event: &RotationEvent) -> (Result<Rotated, RotateError<Fault>>, Vec<String>) {
        self.calls.borrow_mut().clear();
        let end = now(rotate(event, self));
        let mut calls = self.calls.take();
        assert_eq!(calls.remove(0), "describe", "first of all");
        (end, calls)
    }

    fn called(&self, call: &str, event: &RotationEvent) -> Result<(), Fault> {
        assert_eq!(event.secret_id.as_str(), SECRET_ID);
        self.calls.borrow_mut().push(call.to_owned());
        match self.fails {
            Some(fails) if call.starts_with(fails) => Err(Fault("it was throttled")),
            _ => Ok(()),
        }
    }
}

impl Rotate for Recorder {
    type Error = Fault;

    async fn describe(&self, secret_id: &SecretId) -> Result<Option<SecretVersions>, Fault> {
        assert_eq!(secret_id.as_str(), SECRET_ID);
        self.calls.borrow_mut().push("describe".to_owned());
        self.described.clone()
    }

    async fn create(&self, event: &RotationEvent) -> Result<(), Fault> {
        self.called("create", event)
    }

    async fn set(&self, event: &RotationEvent) -> Result<(), Fault> {
        self.called("set", event)
    }

    async fn test(&self, event: &RotationEvent) -> Result<Tested, Fault> {
        self.called("test", event)?;
        Ok(self.tested)
    }

    async fn finish(&self, event: &RotationEvent, described: &SecretVersions) -> Result<(), Fault> {
        assert_eq!(Some(described), self.described.as_ref().unwrap().as_ref());
        self.called("finish", event)
    }

    async fn discard(&self, event: &RotationEvent, version: &str) -> Result<(), Fault> {
        self.called(&format!("discard {version}"), event)
    }
}
