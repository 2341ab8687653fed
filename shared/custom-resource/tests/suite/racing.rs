//! The watchdog, the work, the bucket and the deadline at the same moment, to the millisecond.
//!
//! Whoever is first and however close the others are, exactly one answer leaves.

use std::cell::Cell;
use std::time::Duration;

use custom_resource::{
    ANSWER_RESERVE, Deadline, DeliveryFault, Ending, Failure, Provider, Request, Responder, Served, Success,
    serve,
};
use tokio::time::{Instant, sleep_until};

use crate::clock::{FINE, fly_by, nothing_more, step_towards};
use crate::support::{Bucket, Reaction, Received, event, scheme};

/// The time of each event here, of which the answer's reserve is kept whole.
const TIME: Duration = Duration::from_secs(20);

/// How far apart, in milliseconds, what is raced may be.
const APART: std::ops::RangeInclusive<i64> = -4..=4;

/// How work ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Success,
    Failure,
    Panic,
    TooMuch,
}

impl End {
    const ALL: [Self; 4] = [Self::Success, Self::Failure, Self::Panic, Self::TooMuch];

    fn told_as(self) -> Ending {
        match self {
            Self::Success => Ending::Succeeded,
            Self::Failure => Ending::Failed,
            Self::Panic => Ending::Panicked,
            Self::TooMuch => Ending::TooLarge,
        }
    }
}

/// Work that ends some milliseconds after the deadline that it is given, or before.
struct EndsAround {
    late: i64,
    end: End,
    /// Whether it was let go so far.
    ended: Cell<bool>,
}

impl EndsAround {
    fn new(late: i64, end: End) -> Self {
        Self { late, end, ended: Cell::new(false) }
    }

    async fn work(&self, deadline: Deadline) -> Result<Success, Failure> {
        let end = Instant::now() + deadline.remaining();
        sleep_until(shifted(end, self.late)).await;
        self.ended.set(true);
        match self.end {
            End::Success => Ok(Success::default().with("Done", "yes")),
            End::Failure => Err(Failure::new("it went wrong")),
            End::Panic => panic!("it went very wrong"),
            End::TooMuch => Ok(Success::default().with("Done", "yes".repeat(4096))),
        }
    }
}

impl Provider for EndsAround {
    async fn create(&self, _: &Request, deadline: Deadline) -> Result<Success, Failure> {
        self.work(deadline).await
    }

    async fn update(&self, _: &Request, deadline: Deadline) -> Result<Success, Failure> {
        self.work(deadline).await
    }

    async fn delete(&self, _: &Request, deadline: Deadline) -> Result<Success, Failure> {
        self.work(deadline).await
    }
}

fn shifted(moment: Instant, millis: i64) -> Instant {
    let by = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { moment - by } else { moment + by }
}

struct Race {
    bucket: Bucket,
    served: Served,
    took: Duration,
}

impl Race {
    /// Serves an event of this time. Whatever happens within some milliseconds around the watchdog's
    /// moment, or around another that comes so long after it, happens in its own order.
    async fn run(
        request_type: &str,
        reaction: Reaction,
        provider: &EndsAround,
        time: Duration,
        moment: Duration,
    ) -> Self {
        let bucket = Bucket::start(&[reaction, Reaction::Status(200)]).await;
        let (scheme, responder) = (scheme(), Responder::new());
        let start = Instant::now();
        let watchdog = start + time - ANSWER_RESERVE.min(time / 4);
        // The way to the bucket takes no time, unless it seems that nobody is on it.
        let turns = Cell::new(0);
        let step = || {
            // A timer strikes up to a millisecond after its moment.
            let answering = provider.ended.get() || Instant::now() >= watchdog + FINE;
            if answering && bucket.connections() == 0 && turns.replace(turns.get() + 1) < 1000 {
                return Duration::ZERO;
            }
            step_towards(&[watchdog, watchdog + moment])
        };
        let event = event(request_type, &bucket.url());
        let serving = serve(event, Deadline::after(time), &scheme, &responder, provider);
        let served = fly_by(&bucket, step, serving).await;
        let took = start.elapsed();
        nothing_more(&bucket).await;
        Self { bucket, served, took }
    }

    fn ending(&self) -> Ending {
        match &self.served {
            Served::Answered { answer, .. } | Served::NotDelivered { answer, .. } => answer.ending,
            other => panic!("{other:?}"),
        }
    }

    /// The one request that was made.
    fn only_request(&self) -> Received {
        assert_eq!(self.bucket.connections(), 1);
        let received = self.bucket.received();
        assert_eq!(received.len(), 1);
        received.into_iter().next().unwrap()
    }

    fn check_words(&self, case: &str) {
        let ending = self.ending();
        for request in self.bucket.received() {
            let document = request.json();
            assert_eq!(document["Status"], ending.status().to_string(), "{case}");
            let reason = document["Reason"].as_str().unwrap_or_default();
            assert_eq!(reason.contains("ran out of time"), ending == Ending::OutOfTime, "{case}: {reason}");
            assert_eq!(document.get("Data").is_some(), ending == Ending::Succeeded, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_around_the_watchdog_gives_one_answer_and_what_ends_with_it_is_heard() {
    for late in APART {
        for end in End::ALL {
            let case = format!("{end:?}, {late} ms after the watchdog");
            let provider = EndsAround::new(late, end);
            let race = Race::run("Create", Reaction::Status(200), &provider, TIME, Duration::ZERO).await;
            let expected = if late <= 0 { end.told_as() } else { Ending::OutOfTime };
            assert_eq!(race.ending(), expected, "{case}");
            assert!(matches!(race.served, Served::Answered { tries: 1, .. }), "{case}");
            assert!(race.only_request().accepted, "{case}");
            race.check_words(&case);
            // What was stopped does not go on.
            assert_eq!(provider.ended.get(), late <= 0, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_does_not_strike_while_an_answer_is_under_way() {
    for early in 0..=3 {
        for under_way in 0..=6 {
            for end in [End::Success, End::Failure] {
                let case = format!("{end:?}, {early} ms before the watchdog, taken after {under_way} ms");
                let provider = EndsAround::new(-early, end);
                let reaction = Reaction::Late(200, Duration::from_millis(under_way));
                let race = Race::run("Update", reaction, &provider, TIME, Duration::ZERO).await;
                assert_eq!(race.ending(), end.told_as(), "{case}");
                assert!(race.only_request().accepted, "{case}");
                race.check_words(&case);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_would_end_while_the_watchdogs_answer_is_under_way_is_not_heard() {
    for late in 1..=4 {
        for under_way in [0, 1, 2, 5, 100] {
            for end in [End::Success, End::Panic] {
                let case = format!("{end:?}, {late} ms after the watchdog, taken after {under_way} ms");
                let provider = EndsAround::new(late, end);
                let reaction = Reaction::Late(200, Duration::from_millis(under_way));
                let race = Race::run("Delete", reaction, &provider, TIME, Duration::ZERO).await;
                assert_eq!(race.ending(), Ending::OutOfTime, "{case}");
                assert!(race.only_request().accepted, "{case}");
                race.check_words(&case);
                assert!(!provider.ended.get(), "{case}");
            }
        }
    }
}

/// A try is left after 2 seconds. What comes in that moment counts or does not; it is never
/// contradicted, for the next try says the same.
#[tokio::test(start_paused = true)]
async fn a_response_around_the_end_of_a_try_counts_or_the_same_answer_is_sent_again() {
    for apart in APART {
        for end in End::ALL {
            let provider = EndsAround::new(0, end);
            let late = Duration::from_millis((2000 + apart).unsigned_abs());
            let reaction = Reaction::Late(200, late);
            let race = Race::run("Create", reaction, &provider, TIME, Duration::from_secs(2)).await;
            let case = format!("{end:?}, {apart} ms: {:?}", race.served);
            let Served::Answered { tries, .. } = race.served else { panic!("{case}") };
            assert_eq!(race.bucket.connections(), tries, "{case}");
            match apart {
                ..=-2 => assert_eq!(tries, 1, "{case}"),
                // Within a timer's tick.
                -1..=1 => assert!((1..=2).contains(&tries), "{case}"),
                2.. => assert_eq!(tries, 2, "{case}"),
            }
            let received = race.bucket.received();
            assert!(received.iter().all(|request| request.body == received[0].body), "{case}");
            race.check_words(&case);
        }
    }
}

/// With 4 seconds, 3 are for the work and the last 200 milliseconds for the log.
#[tokio::test(start_paused = true)]
async fn a_response_around_the_end_of_sending_counts_or_lambda_is_told() {
    let time = Duration::from_secs(4);
    let (sending, over) = (Duration::from_millis(800), Duration::from_millis(3800));
    for apart in APART {
        let provider = EndsAround::new(0, End::Success);
        let late = Duration::from_millis((800_i64 + apart).unsigned_abs());
        let race = Race::run("Create", Reaction::Late(200, late), &provider, time, sending).await;
        let case = format!("{apart} ms: {:?} in {:?}", race.served, race.took);
        race.only_request();
        race.check_words(&case);
        match &race.served {
            Served::Answered { tries: 1, .. } => assert!(apart <= 1, "{case}"),
            Served::NotDelivered { fault: DeliveryFault::TimedOut, tries: 1, .. } => {
                assert!(apart >= -1, "{case}");
                assert!(race.served.deserves_another_invocation(), "{case}");
            }
            _ => panic!("{case}"),
        }
        assert!(race.took <= over + Duration::from_millis(2), "{case}");
    }
}
