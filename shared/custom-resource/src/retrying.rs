//! When an answer is tried again, and when no more.
//!
//! How it is sent is not known here, only how each try ended.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::deadline::Deadline;
use crate::responder::{DeliveryFault, Undelivered};

/// How long one try may take, from looking up the host to the status of the response.
pub(crate) const TRY_TIMEOUT: Duration = Duration::from_secs(2);

/// About how long the pause after the first try is; each one after is twice as long, up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// About how long a pause can become.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Tries until one try succeeds, one fails for good, or there is no time for another; tells how many
/// there were. None is under way at the deadline, and none begins after it.
pub(crate) async fn until_taken<T>(deadline: Deadline, attempt: impl Fn() -> T) -> Result<u32, Undelivered>
where
    T: Future<Output = Result<(), DeliveryFault>>,
{
    let deadline = deadline.instant();
    let (mut tries, mut fault) = (0, DeliveryFault::NoTime);
    while Instant::now() < deadline {
        tries += 1;
        let limit = deadline.min(Instant::now() + TRY_TIMEOUT);
        fault = match timeout_at(limit, attempt()).await {
            Ok(Ok(())) => return Ok(tries),
            Ok(Err(fault)) => fault,
            Err(_) => DeliveryFault::TimedOut,
        };
        let pause = pause_after(tries);
        if fault.is_final() || Instant::now() + pause >= deadline {
            break;
        }
        sleep(pause).await;
    }
    Err(Undelivered { fault, tries })
}

/// A pause between a half of its nominal length and the whole, so that functions that failed
/// together do not come back together.
fn pause_after(tries: u32) -> Duration {
    let nominal = nominal_pause_after(tries);
    // The standard library seeds each of these anew. It need not be more random than that.
    let random = RandomState::new().build_hasher().finish();
    let share = f64::from(u16::try_from(random % 1000).unwrap_or_default()) / 1000.0;
    nominal.mul_f64(0.5 + share / 2.0)
}

fn nominal_pause_after(tries: u32) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;
    use tokio::time::sleep;

    use super::*;

    /// By how much a timer may be late.
    const TICK: Duration = Duration::from_millis(2);

    const TRANSIENT: DeliveryFault = DeliveryFault::Status(503);
    const FINAL: DeliveryFault = DeliveryFault::Status(403);

    /// What a try would do if it were let.
    #[derive(Clone, Copy, Debug)]
    struct Try {
        takes: Duration,
        ends: Result<(), DeliveryFault>,
    }

    impl Try {
        const FOR_EVER: Self = Self { takes: Duration::from_hours(1), ends: Ok(()) };

        fn after(millis: u64, ends: Result<(), DeliveryFault>) -> Self {
            Self { takes: Duration::from_millis(millis), ends }
        }
    }

    /// From when to when a try was under way, counted from the beginning of the first.
    #[derive(Clone, Copy, Debug)]
    struct Span {
        from: Duration,
        to: Duration,
    }

    impl Span {
        fn length(self) -> Duration {
            self.to.saturating_sub(self.from)
        }
    }

    /// Runs a script, whose last entry holds for all that follow, with some time.
    fn run(script: &[Try], time: Duration) -> (Result<u32, Undelivered>, Vec<Span>) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let spans = RefCell::new(Vec::new());
            let start = Instant::now();
            let result = until_taken(Deadline::after(time), || async {
                let turn = spans.borrow().len();
                let at = start.elapsed();
                spans.borrow_mut().push(Span { from: at, to: at });
                let _until_dropped = OnDrop(|| spans.borrow_mut()[turn].to = start.elapsed());
                let attempt = script.get(turn).or(script.last()).unwrap();
                sleep(attempt.takes).await;
                attempt.ends
            })
            .await;
            (result, spans.into_inner())
        })
    }

    struct OnDrop<F: Fn()>(F);

    impl<F: Fn()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    fn fault(result: Result<u32, Undelivered>) -> (DeliveryFault, u32) {
        let Undelivered { fault, tries } = result.unwrap_err();
        (fault, tries)
    }

    fn any_try() -> impl Strategy<Value = Try> {
        let millis = prop_oneof![0..100_u64, 0..2500_u64, 1995..2005_u64];
        let ends = prop_oneof![
            4 => Just(Err(TRANSIENT)),
            2 => Just(Err(DeliveryFault::ConnectionLost)),
            1 => Just(Err(DeliveryFault::NoConnection)),
            1 => Just(Err(FINAL)),
            1 => Just(Ok(())),
        ];
        prop_oneof![1 => Just(Try::FOR_EVER), 4 => (millis, ends).prop_map(|(m, e)| Try::after(m, e))]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_tries_do_the_rules_are_kept(
            script in prop::collection::vec(any_try(), 1..10),
            millis in 0..30_000_u64,
        ) {
            let time = Duration::from_millis(millis);
            let (result, spans) = run(&script, time);
            let count = u32::try_from(spans.len()).unwrap();
            let told = match result { Ok(tries) | Err(Undelivered { tries, .. }) => tries };
            prop_assert_eq!(told, count);
            let Some(last) = spans.last() else {
                prop_assert_eq!(millis, 0);
                prop_assert_eq!(fault(result), (DeliveryFault::NoTime, 0));
                return Ok(());
            };
            prop_assert!(last.to <= time + TICK, "a try was under way after the deadline");
            for (turn, span) in spans.iter().enumerate() {
                let attempt = script.get(turn).or(script.last()).unwrap();
                let limit = TRY_TIMEOUT.min(time.saturating_sub(span.from));
                let lasted = span.length();
                let expected = attempt.takes.min(limit);
                prop_assert!(lasted >= expected && lasted <= expected + TICK, "try {}: {:?}", turn, span);
                // Where both happen within a tick, either may be heard.
                let unsure = attempt.takes.abs_diff(limit) <= TICK;
                let ended =
                    if attempt.takes <= limit { attempt.ends } else { Err(DeliveryFault::TimedOut) };
                let nominal = nominal_pause_after(u32::try_from(turn).unwrap() + 1);
                if let Some(next) = spans.get(turn + 1) {
                    let again = ended.is_err_and(|fault| !fault.is_final());
                    prop_assert!(again || unsure, "there was a try after {ended:?}");
                    let pause = next.from.saturating_sub(span.to);
                    prop_assert!(pause >= nominal / 2 && pause <= nominal + TICK, "{pause:?}");
                } else if !unsure {
                    prop_assert_eq!(result.map(drop).map_err(|undelivered| undelivered.fault), ended);
                    if ended.is_err_and(|fault| !fault.is_final()) {
                        prop_assert!(span.to + nominal >= time, "it gave up with time left");
                    }
                }
            }
        }
    }

    #[test]
    fn what_hangs_is_left_after_two_seconds_and_at_the_deadline() {
        let (result, spans) = run(&[Try::FOR_EVER], Duration::from_millis(4800));
        assert_eq!(fault(result), (DeliveryFault::TimedOut, 3));
        let lasted: Vec<_> = spans.iter().map(|span| span.length().as_millis()).collect();
        assert!((2000..=2002).contains(&lasted[0]) && (2000..=2002).contains(&lasted[1]), "{lasted:?}");
        let end = spans[2].to.as_millis();
        assert!((4800..=4802).contains(&end), "{end}");
    }

    #[test]
    fn what_is_final_is_tried_once_however_much_time_there_is() {
        let (result, spans) = run(&[Try::after(5, Err(FINAL))], Duration::from_mins(15));
        assert_eq!(fault(result), (FINAL, 1));
        assert!(spans[0].to < Duration::from_millis(10));
    }

    #[test]
    fn what_is_transient_is_tried_until_the_time_is_over() {
        let time = Duration::from_mins(5);
        let (result, spans) = run(&[Try::after(5, Err(TRANSIENT))], time);
        let (fault, tries) = fault(result);
        assert_eq!(fault, TRANSIENT);
        // 6 pauses up to 3.2 seconds, the rest between 2.5 and 5.
        assert!((60..=130).contains(&tries), "{tries}");
        assert!(spans.last().unwrap().to + LONGEST_PAUSE >= time);
    }

    #[test]
    fn after_a_success_there_is_no_other_try() {
        for failures in 0..6 {
            let mut script = vec![Try::after(1, Err(TRANSIENT)); failures];
            script.push(Try::after(1, Ok(())));
            let (result, spans) = run(&script, Duration::from_mins(1));
            assert_eq!(result.unwrap() as usize, failures + 1);
            assert_eq!(spans.len(), failures + 1);
        }
    }

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        for (tries, nominal) in [(1, 100), (2, 200), (3, 400), (6, 3200), (7, 5000), (u32::MAX, 5000)] {
            let nominal = Duration::from_millis(nominal);
            let pauses: Vec<_> = (0..50).map(|_| pause_after(tries)).collect();
            assert!(pauses.iter().all(|pause| (nominal / 2..=nominal).contains(pause)), "{pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }
}
