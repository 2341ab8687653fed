//! How much time there is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What is kept of a function's time for the answer: 5 seconds, or a quarter of the time there is
/// where that is less.
///
/// It is enough to build a TLS client, and for two tries of which the first stalls.
pub const ANSWER_RESERVE: Duration = Duration::from_secs(5);

/// What is kept at the very end, for the function to say in its log what happened to the answer.
const CLOSING_RESERVE: Duration = Duration::from_millis(200);

/// No function runs longer than 15 minutes; a deadline later than this is not believed.
const LONGEST: Duration = Duration::from_hours(1);

/// The moment at which a function's time is over.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline as Lambda gives it with each invocation: in milliseconds since the epoch.
    #[must_use]
    pub fn from_epoch_millis(millis: u64) -> Self {
        // `cargo lambda watch` hands over a span where Lambda hands over a moment: what would lie in
        // the last century is one.
        #[cfg(feature = "local")]
        if millis < 1_000_000_000_000 {
            return Self::after(Duration::from_millis(millis));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::after(Duration::from_millis(millis).saturating_sub(now))
    }

    /// A deadline some time from now; at most an hour.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(LONGEST))
    }

    /// How long it is until then: nothing, once it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it is over.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// When work must stop for the answer to leave in time.
    pub(crate) fn for_work(self) -> Self {
        self.earlier_by(ANSWER_RESERVE)
    }

    /// When sending must stop for the function to end by itself.
    pub(crate) fn for_sending(self) -> Self {
        self.earlier_by(CLOSING_RESERVE)
    }

    pub(crate) fn instant(self) -> Instant {
        self.0
    }

    fn earlier_by(self, reserve: Duration) -> Self {
        let remaining = self.remaining();
        Self(self.0.checked_sub(reserve.min(remaining / 4)).unwrap_or(self.0))
    }
}
