//! How much time an operation has, and what is done when it is nearly over: nothing new is begun, what
//! is under way is waited for, and nothing is given up. The note stands, so a retry goes on from there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::ProvisionError;

/// What is kept for calls that are under way, each of which may wait for its turn among a dozen puts
/// at three a second and then take its time; a quarter of the time there is where that is less.
const RESERVE: Duration = Duration::from_secs(12);

/// How many times a function is run for one event: Lambda retries twice (Lambda Developer Guide, "How
/// Lambda handles errors and retries with asynchronous invocation"), as the template has it.
pub(crate) const RUNS: u32 = 3;

/// How much time an operation has left in this run.
#[derive(Clone, Default)]
pub struct TimeBudget(Option<Limit>);

#[derive(Clone)]
struct Limit {
    left: Arc<dyn Fn() -> Duration + Send + Sync>,
    reserve: Duration,
    has_begun: Arc<AtomicBool>,
}

impl TimeBudget {
    /// As much as it takes.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// What `left` says, whenever it is asked.
    #[must_use]
    pub fn of(left: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let reserve = RESERVE.min(left() / 4);
        Self(Some(Limit { left: Arc::new(left), reserve, has_begun: Arc::default() }))
    }

    /// What is left for new calls, where it is limited.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.0.as_ref().map(|limit| (limit.left)().saturating_sub(limit.reserve))
    }

    /// Asked before anything new is begun. A run that could begin nothing brought nothing further, and
    /// neither would the next one.
    pub(crate) fn check(&self) -> Result<(), ProvisionError> {
        let (Some(limit), Some(left)) = (&self.0, self.left()) else { return Ok(()) };
        if !left.is_zero() {
            limit.has_begun.store(true, Ordering::Relaxed);
            return Ok(());
        }
        Err(if limit.has_begun.load(Ordering::Relaxed) {
            ProvisionError::OutOfTime
        } else {
            ProvisionError::NoTime
        })
    }
}

impl fmt::Debug for TimeBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TimeBudget").field(&self.left()).finish()
    }
}
