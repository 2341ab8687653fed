//! The double's own clock: the real time, and what a test has made of it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A clock that runs with the real one, some time ahead of it, or stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    ahead: SignedDuration,
    /// The real time at which it was stopped.
    stopped: Option<Timestamp>,
}

impl Clock {
    /// The present time.
    pub(crate) fn now(self) -> Timestamp {
        let real = self.stopped.unwrap_or_else(Timestamp::now);
        real.saturating_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    /// Stands from now on, and goes ahead only when it is set.
    pub(crate) fn stop(&mut self) {
        self.stopped.get_or_insert_with(Timestamp::now);
    }

    /// Goes ahead at once.
    pub(crate) fn advance(&mut self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.ahead = self.ahead.saturating_add(by);
    }
}

/// A time as AWS's JSON has it: seconds since the epoch.
pub(crate) fn seconds(at: Timestamp) -> serde_json::Value {
    at.as_second().into()
}
