//! Time that stands still while something happens on a socket, and flies while nothing does.
//!
//! tokio's paused clock jumps to the next timer as soon as every task waits, and one that waits for a
//! socket waits too, so beside a socket every time-out would strike at once. Here the clock is held,
//! and moved by steps only while the bucket has nothing under way. So time-outs strike when they
//! should, to the step, however slow the machine is, and a minute passes in a moment.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

use custom_resource::{Deadline, Provider, Responder, Served, serve};
use serde_json::Value;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, advance, sleep};

use crate::support::{Bucket, scheme};

/// A step where nothing depends on a millisecond.
pub(crate) const COARSE: Duration = Duration::from_millis(10);

/// The finest step that timers can tell.
pub(crate) const FINE: Duration = Duration::from_millis(1);

/// Does something in a test that was started with its clock paused, by steps of this length.
pub(crate) async fn fly<T>(bucket: &Bucket, step: Duration, what: impl Future<Output = T>) -> T {
    fly_by(bucket, || step, what).await
}

/// The same, by whatever step is right each time; none holds the clock for a turn.
pub(crate) async fn fly_by<T>(
    bucket: &Bucket,
    step: impl Fn() -> Duration,
    what: impl Future<Output = T>,
) -> T {
    let _held = Held::new();
    let time = async {
        loop {
            // Turns, and real time, in which a packet on its way arrives.
            std::thread::sleep(Duration::from_micros(100));
            for _ in 0..4 {
                yield_now().await;
            }
            let step = step();
            if !bucket.is_busy() && !step.is_zero() {
                advance(step).await;
            }
        }
    };
    tokio::select! {
        biased;
        done = what => done,
        () = time => unreachable!("time has no end"),
    }
}

/// The step that leads to the next of some moments, ever finer; the finest around each of them.
pub(crate) fn step_towards(moments: &[Instant]) -> Duration {
    let now = Instant::now();
    let next = moments.iter().find(|moment| now < **moment + COARSE);
    next.map_or(COARSE, |next| (next.saturating_duration_since(now + COARSE) / 2).max(FINE))
}

/// Serves an event with some time, and tells how much of it that took.
pub(crate) async fn serve_flying(
    bucket: &Bucket,
    event: Value,
    time: Duration,
    provider: &impl Provider,
) -> (Served, Duration) {
    let (scheme, responder) = (scheme(), Responder::new());
    let start = Instant::now();
    let serving = serve(event, Deadline::after(time), &scheme, &responder, provider);
    let served = fly(bucket, COARSE, serving).await;
    (served, start.elapsed())
}

/// Lets time pass in which nothing should happen any more.
pub(crate) async fn nothing_more(bucket: &Bucket) {
    let before = bucket.connections();
    fly(bucket, Duration::from_millis(500), sleep(Duration::from_secs(10))).await;
    assert_eq!(bucket.connections(), before, "nothing comes after the end");
}

/// A thread of the runtime that is at work, which keeps a paused clock from moving by itself.
struct Held {
    _until_dropped: mpsc::Sender<()>,
}

impl Held {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel::<()>();
        drop(spawn_blocking(move || receiver.recv()));
        Self { _until_dropped: sender }
    }
}
