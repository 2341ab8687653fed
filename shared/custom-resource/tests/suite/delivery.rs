//! How an answer travels when the way is bad.

use std::time::{Duration, Instant};

use custom_resource::{Deadline, DeliveryFault, Responder, Served, Success, serve};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::{Bucket, Doing, Reaction, event, scheme};

/// Serves a sound event to a bucket with some time, and gives how that ended and how long it took.
async fn deliver(url: &str, time: Duration) -> (Served, Duration) {
    let provider = Doing::new(async |_| Ok(Success::default().with("Name", "value")));
    let start = Instant::now();
    let served =
        serve(event("Create", url), Deadline::after(time), &scheme(), &Responder::new(), &provider).await;
    assert_eq!(provider.calls(), 1, "the work is done once, however often its answer is sent");
    (served, start.elapsed())
}

fn expect_fault(served: &Served, expected: DeliveryFault) -> u32 {
    let Served::NotDelivered { fault, tries, .. } = served else { panic!("{served:?}") };
    assert_eq!(*fault, expected);
    assert_eq!(served.deserves_another_invocation(), !expected.is_final());
    *tries
}

#[tokio::test]
async fn what_may_pass_is_tried_until_it_has_passed() {
    const SCRIPTS: &[(&[Reaction], u32)] = &[
        (&[Reaction::Status(200)], 1),
        (&[Reaction::Status(204)], 1),
        (&[Reaction::Status(500), Reaction::Status(200)], 2),
        (&[Reaction::Status(503), Reaction::Status(429), Reaction::Status(408), Reaction::Status(200)], 4),
        (&[Reaction::Reset, Reaction::Status(200)], 2),
        (&[Reaction::Close, Reaction::Status(200)], 2),
        (&[Reaction::Babble, Reaction::Status(200)], 2),
        (&[Reaction::EndlessHead, Reaction::Status(200)], 2),
        (&[Reaction::Stall, Reaction::Status(200)], 2),
        (
            &[
                Reaction::Reset,
                Reaction::Close,
                Reaction::Status(500),
                Reaction::Babble,
                Reaction::Status(200),
            ],
            5,
        ),
    ];
    for (script, expected) in SCRIPTS {
        let bucket = Bucket::start(script).await;
        let (served, _) = deliver(&bucket.url(), Duration::from_secs(30)).await;
        let Served::Answered { tries, .. } = &served else { panic!("{script:?}: {served:?}") };
        assert_eq!(tries, expected, "{script:?}");
        assert_eq!(bucket.connections(), *expected, "{script:?}");
        let received = bucket.received();
        assert_eq!(received.last().unwrap().json()["Status"], "SUCCESS");
        // Every try says the same.
        assert!(received.iter().all(|request| request.body == received[0].body));
        assert!(received.iter().all(|request| request.head == received[0].head));
    }
}

#[tokio::test]
async fn what_is_final_is_tried_once() {
    const STATUSES: &[&[Reaction]] = &[
        &[Reaction::Status(400)],
        &[Reaction::Status(403)],
        &[Reaction::Status(404)],
        &[Reaction::Status(411)],
    ];
    for (script, status) in STATUSES.iter().zip([400, 403, 404, 411]) {
        let bucket = Bucket::start(script).await;
        let (served, took) = deliver(&bucket.url(), Duration::from_secs(30)).await;
        assert_eq!(expect_fault(&served, DeliveryFault::Status(status)), 1);
        assert_eq!(bucket.connections(), 1);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Box::leak(Box::new(Bucket::start(&[Reaction::Status(200)]).await));
        let location: &'static str = elsewhere.url().leak();
        let script: &'static [Reaction] = vec![Reaction::Redirect(status, location)].leak();
        let bucket = Bucket::start(script).await;
        let (served, _) = deliver(&bucket.url(), Duration::from_secs(10)).await;
        assert_eq!(expect_fault(&served, DeliveryFault::Status(status)), 1);
        assert_eq!(bucket.connections(), 1);
        assert_eq!(elsewhere.connections(), 0);
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_read() {
    let bucket = Bucket::start(&[Reaction::EndlessBody]).await;
    let (served, took) = deliver(&bucket.url(), Duration::from_secs(30)).await;
    assert!(matches!(served, Served::Answered { tries: 1, .. }), "{served:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_bucket_that_stalls_is_left_before_the_deadline() {
    let time = Duration::from_secs(4);
    let bucket = Bucket::start(&[Reaction::Stall]).await;
    let (served, took) = deliver(&bucket.url(), time).await;
    let tries = expect_fault(&served, DeliveryFault::TimedOut);
    assert_eq!(tries, 2);
    assert!(took < time, "{took:?}");
}

#[tokio::test]
async fn a_bucket_that_always_fails_is_tried_with_growing_pauses_until_the_time_is_over() {
    let time = Duration::from_secs(4);
    let bucket = Bucket::start(&[Reaction::Status(503)]).await;
    let (served, took) = deliver(&bucket.url(), time).await;
    let tries = expect_fault(&served, DeliveryFault::Status(503));
    // Pauses of at most 100, 200, 400, 800 … milliseconds, and of half of that at least.
    assert!((4..=8).contains(&tries), "{tries}");
    assert_eq!(bucket.connections(), tries);
    assert!(took < time, "{took:?}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_tried_until_the_time_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/x", listener.local_addr().unwrap().port());
    drop(listener);
    let time = Duration::from_secs(2);
    let (served, took) = deliver(&url, time).await;
    assert!(expect_fault(&served, DeliveryFault::NoConnection) > 1);
    assert!(took < time, "{took:?}");
}

#[tokio::test]
async fn without_time_nothing_is_sent() {
    let bucket = Bucket::start(&[Reaction::Status(200)]).await;
    let provider = Doing::new(async |_| Ok(Success::default()));
    let deadline = Deadline::after(Duration::ZERO);
    let served =
        serve(event("Create", &bucket.url()), deadline, &scheme(), &Responder::new(), &provider).await;
    assert_eq!(expect_fault(&served, DeliveryFault::NoTime), 0);
    assert_eq!(provider.calls(), 0);
    assert_eq!(bucket.connections(), 0);
}

/// A function lives through many events, and may be frozen for hours between two.
#[tokio::test]
async fn one_responder_serves_event_after_event_each_on_its_own_connection() {
    let bucket = Bucket::start(&[Reaction::Status(200)]).await;
    let responder = Responder::new();
    let provider = Doing::new(async |_| Ok(Success::default()));
    for turn in 1..=3 {
        let deadline = Deadline::after(Duration::from_secs(20));
        let served = serve(event("Update", &bucket.url()), deadline, &scheme(), &responder, &provider).await;
        assert!(matches!(served, Served::Answered { tries: 1, .. }), "{served:?}");
        assert_eq!(bucket.connections(), turn);
    }
}

/// `serve` must be able to run on a runtime that moves tasks between threads.
#[tokio::test(flavor = "multi_thread")]
async fn serving_can_move_between_threads() {
    let bucket = Bucket::start(&[Reaction::Status(200)]).await;
    let url = bucket.url();
    let served = tokio::spawn(async move { deliver(&url, Duration::from_secs(20)).await }).await;
    assert!(matches!(served.unwrap().0, Served::Answered { .. }));
    let document: Value = bucket.accepted().json();
    assert_eq!(document["Data"]["Name"], "value");
}
