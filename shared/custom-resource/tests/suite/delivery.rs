//! How an answer travels when the way is bad.

use std::time::Duration;

use custom_resource::{Deadline, DeliveryFault, Responder, Served, Success, serve};
use futures_util::future::join;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::clock::{COARSE, nothing_more, serve_flying};
use crate::support::{Bucket, Doing, Reaction, event, scheme};

/// More than any function has.
const QUARTER_OF_AN_HOUR: Duration = Duration::from_mins(15);

/// By when sending ends: 200 milliseconds before a function's time does, or a quarter of it.
fn end_of_sending(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(200).min(time / 4))
}

/// Serves a sound event to a bucket with some time, and gives how that ended and how long it took.
async fn deliver_to(bucket: &Bucket, url: &str, time: Duration) -> (Served, Duration) {
    let provider = Doing::new(async |_| Ok(Success::default().with("Name", "value")));
    let (served, took) = serve_flying(bucket, event("Create", url), time, &provider).await;
    assert_eq!(provider.calls(), 1, "the work is done once, however often its answer is sent");
    nothing_more(bucket).await;
    let received = bucket.received();
    assert!(received.iter().all(|request| request.body == received[0].body), "every try says the same");
    assert!(received.iter().all(|request| request.head == received[0].head), "every try says the same");
    (served, took)
}

async fn deliver(bucket: &Bucket, time: Duration) -> (Served, Duration) {
    deliver_to(bucket, &bucket.url(), time).await
}

fn expect_fault(served: &Served, expected: DeliveryFault) -> u32 {
    let Served::NotDelivered { fault, tries, .. } = served else { panic!("{served:?}") };
    assert_eq!(*fault, expected);
    assert_eq!(served.deserves_another_invocation(), !expected.is_final());
    assert!(served.to_string().contains(&format!("tries: {tries}, and the last: {fault}")), "{served}");
    *tries
}

fn expect_answered(served: &Served) -> u32 {
    let Served::Answered { tries, .. } = served else { panic!("{served:?}") };
    assert!(!served.deserves_another_invocation());
    assert!(served.to_string().ends_with(&format!("tries: {tries}")), "{served}");
    *tries
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_until_it_has_passed() {
    const SCRIPTS: &[(&[Reaction], u32)] = &[
        (&[Reaction::Status(200)], 1),
        (&[Reaction::Status(204)], 1),
        (&[Reaction::Status(500), Reaction::Status(200)], 2),
        (&[Reaction::Status(503), Reaction::Status(429), Reaction::Status(408), Reaction::Status(200)], 4),
        (&[Reaction::Reset, Reaction::Status(200)], 2),
        (&[Reaction::ResetAfterReading, Reaction::Status(200)], 2),
        (&[Reaction::BreakOff("HTTP/1.1 2"), Reaction::Status(200)], 2),
        (&[Reaction::BreakOff("HTTP/1.1 200 OK\r\nContent-Le"), Reaction::Status(200)], 2),
        (&[Reaction::Close, Reaction::Status(200)], 2),
        (&[Reaction::Babble, Reaction::Status(200)], 2),
        (&[Reaction::EndlessHead, Reaction::Status(200)], 2),
        (&[Reaction::Stall, Reaction::Status(200)], 2),
        (&[Reaction::Stall, Reaction::Stall, Reaction::Status(200)], 3),
        (&[Reaction::Late(200, Duration::from_millis(1900))], 1),
        (&[Reaction::Late(500, Duration::from_millis(1900)), Reaction::Status(200)], 2),
        (&[Reaction::AcceptLate(Duration::from_millis(1900))], 1),
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
        let (served, _) = deliver(&bucket, Duration::from_secs(30)).await;
        assert_eq!(expect_answered(&served), *expected, "{script:?}");
        assert_eq!(bucket.connections(), *expected, "{script:?}");
        assert_eq!(bucket.received().last().unwrap().json()["Status"], "SUCCESS");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_the_nth_try_that_is_taken() {
    for nth in 1..=7 {
        let mut script = vec![Reaction::Status(500); nth - 1];
        script.push(Reaction::Status(200));
        let bucket = Bucket::start(&script).await;
        let (served, took) = deliver(&bucket, Duration::from_mins(1)).await;
        assert_eq!(expect_answered(&served) as usize, nth);
        assert_eq!(bucket.connections() as usize, nth);
        bucket.accepted();
        // The pauses so far, each of which is between a half of 100, 200, 400 … milliseconds and all.
        let pauses = Duration::from_millis(100) * ((1 << (nth - 1)) - 1);
        let beside = Duration::from_secs(1);
        assert!((pauses / 2..=pauses + beside).contains(&took), "{nth}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_final_is_tried_once_however_much_time_there_is() {
    for status in [300, 304, 400, 401, 403, 404, 405, 409, 410, 411, 412, 413] {
        let bucket = Bucket::start(&[Reaction::Status(status)]).await;
        let (served, took) = deliver(&bucket, QUARTER_OF_AN_HOUR).await;
        assert_eq!(expect_fault(&served, DeliveryFault::Status(status)), 1);
        assert_eq!(bucket.connections(), 1);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_final_is_not_tried_again() {
    let script = [Reaction::Status(503), Reaction::Reset, Reaction::Status(403), Reaction::Status(200)];
    let bucket = Bucket::start(&script).await;
    let (served, _) = deliver(&bucket, QUARTER_OF_AN_HOUR).await;
    assert_eq!(expect_fault(&served, DeliveryFault::Status(403)), 3);
    assert_eq!(bucket.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Bucket::start(&[Reaction::Status(200)]).await;
        let location: &'static str = elsewhere.url().leak();
        // To another host, to another path of the same one, and to nowhere.
        for location in [location, Bucket::PATH, "/x", ""] {
            let bucket = Bucket::start(&[Reaction::Redirect(status, location)]).await;
            let (served, _) = deliver(&bucket, QUARTER_OF_AN_HOUR).await;
            assert_eq!(expect_fault(&served, DeliveryFault::Status(status)), 1);
            assert_eq!(bucket.connections(), 1);
            assert_eq!(elsewhere.connections(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_status_does_not_matter() {
    for reaction in [
        Reaction::EndlessBody,
        Reaction::BreakOff("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        Reaction::BreakOff("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<x"),
        Reaction::BreakOff("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n<x"),
        Reaction::BreakOff("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ] {
        let bucket = Bucket::start(&[reaction]).await;
        let (served, took) = deliver(&bucket, Duration::from_secs(30)).await;
        assert_eq!(expect_answered(&served), 1, "{reaction:?}");
        assert_eq!(bucket.connections(), 1, "{reaction:?}");
        assert!(took < Duration::from_secs(1), "{reaction:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_always_breaks_is_told_from_one_that_never_stands() {
    for reaction in [
        Reaction::ResetAfterReading,
        Reaction::BreakOff("HTTP/1.1 2"),
        Reaction::BreakOff("HTTP/1.1 200 OK\r\nContent-Le"),
        Reaction::Close,
        Reaction::Babble,
        Reaction::EndlessHead,
    ] {
        let bucket = Bucket::start(&[reaction]).await;
        let (served, _) = deliver(&bucket, Duration::from_secs(2)).await;
        assert_eq!(expect_fault(&served, DeliveryFault::ConnectionLost), bucket.connections());
        assert!(bucket.connections() > 1, "{reaction:?}");
    }
    // Which of the two the client sees depends on when the reset arrives.
    let bucket = Bucket::start(&[Reaction::Reset]).await;
    let (served, _) = deliver(&bucket, Duration::from_secs(2)).await;
    let Served::NotDelivered { fault, tries, .. } = served else { panic!("{served:?}") };
    assert!(matches!(fault, DeliveryFault::NoConnection | DeliveryFault::ConnectionLost), "{fault}");
    assert_eq!(tries, bucket.connections());
    assert!(tries > 1);
}

/// A server that does not accept and whose queue is full: the client's packets are dropped.
#[tokio::test(start_paused = true)]
async fn a_connection_that_never_stands_is_given_up_and_tried_again() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let _filling = [TcpStream::connect(address).await.unwrap()];
    let beside = Bucket::start(&[Reaction::Status(200)]).await;
    let time = Duration::from_secs(5);
    let (served, took) = deliver_to(&beside, &format!("http://{address}/x"), time).await;
    assert_eq!(expect_fault(&served, DeliveryFault::TimedOut), 3);
    assert!(took <= end_of_sending(time) + 2 * COARSE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_not_there_is_tried_until_the_time_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    drop(listener);
    let beside = Bucket::start(&[Reaction::Status(200)]).await;
    let time = Duration::from_secs(5);
    let (served, took) = deliver_to(&beside, &url, time).await;
    assert!(expect_fault(&served, DeliveryFault::NoConnection) > 3);
    assert!(took <= end_of_sending(time) + 2 * COARSE, "{took:?}");
}

/// For all that does not pass: tried more than once, and over before the function's time is.
#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_tried_again_and_ends_before_the_function_does() {
    for reaction in [Reaction::Stall, Reaction::Status(503), Reaction::Close] {
        for millis in [400, 1000, 2000, 3000, 5000, 10_000] {
            let time = Duration::from_millis(millis);
            let bucket = Bucket::start(&[reaction]).await;
            let (served, took) = deliver(&bucket, time).await;
            let Served::NotDelivered { fault, tries, .. } = &served else { panic!("{served:?}") };
            let case = format!("{reaction:?}, {time:?}: {tries} tries took {took:?}");
            assert!(!fault.is_final() && served.deserves_another_invocation(), "{case}");
            assert_eq!(*tries, bucket.connections(), "{case}");
            let over = end_of_sending(time);
            assert!(took <= over + 2 * COARSE, "{case}");
            if let Reaction::Stall = reaction {
                // A try takes 2 seconds, the pauses become 3.2 seconds at most in this time.
                assert!(*tries >= u32::try_from(millis / 5000 + 1).unwrap(), "{case}");
                assert!(u64::from(*tries) <= millis / 2000 + 1, "{case}");
            } else {
                // The shortest pauses are 50, 100, 200, 400 …, the longest twice as long.
                assert!(*tries >= (over.as_millis() / 100 + 1).ilog2(), "{case}");
                assert!(u128::from(*tries) <= 10 + over.as_millis() / 2500, "{case}");
            }
        }
    }
}

/// The watchdog leaves room for two tries of which the first stalls, and for words in the log.
#[tokio::test(start_paused = true)]
async fn after_the_watchdog_there_is_time_for_a_second_try() {
    let time = Duration::from_secs(20);
    for script in [&[Reaction::Stall][..], &[Reaction::Stall, Reaction::Status(200)]] {
        let bucket = Bucket::start(script).await;
        let provider = Doing::new(async |_| std::future::pending().await);
        let (served, took) = serve_flying(&bucket, event("Create", &bucket.url()), time, &provider).await;
        if script.len() == 1 {
            assert_eq!(expect_fault(&served, DeliveryFault::TimedOut), 3);
        } else {
            assert_eq!(expect_answered(&served), 2);
            assert_eq!(bucket.accepted().json()["Status"], "FAILED");
        }
        assert!(took <= end_of_sending(time) + 2 * COARSE, "{took:?}");
        nothing_more(&bucket).await;
    }
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

/// Lambda may deliver an event twice, one after the other or at once: each is answered, with the
/// same words.
#[tokio::test]
async fn each_delivery_of_an_event_is_answered_once() {
    let responder = Responder::new();
    let provider = Doing::new(async |_| Ok(Success::default().with("Name", "value")));
    for at_once in [false, true] {
        let bucket = Bucket::start(&[Reaction::Status(200)]).await;
        let scheme = scheme();
        let delivery = async || {
            let deadline = Deadline::after(Duration::from_secs(20));
            serve(event("Create", &bucket.url()), deadline, &scheme, &responder, &provider).await
        };
        let (first, second) =
            if at_once { join(delivery(), delivery()).await } else { (delivery().await, delivery().await) };
        assert_eq!(first, second);
        assert_eq!(expect_answered(&first), 1);
        let received = bucket.received();
        assert_eq!(received.len(), 2);
        assert_eq!(received[0].body, received[1].body);
    }
    assert_eq!(provider.calls(), 4);
}

/// A function lives through many events, and may be frozen for hours between two. A connection that
/// was kept would be broken by then.
#[tokio::test]
async fn one_responder_serves_event_after_event_each_on_its_own_connection() {
    let responder = Responder::new();
    let provider = Doing::new(async |_| Ok(Success::default()));
    for reaction in [Reaction::Status(200), Reaction::KeepAlive] {
        let bucket = Bucket::start(&[reaction]).await;
        for turn in 1..=3 {
            let deadline = Deadline::after(Duration::from_secs(20));
            let event = event("Update", &bucket.url());
            let served = serve(event, deadline, &scheme(), &responder, &provider).await;
            assert!(matches!(served, Served::Answered { tries: 1, .. }), "{served:?}");
            assert_eq!(bucket.connections(), turn);
            let closed = async {
                while bucket.open() > 0 {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            assert!(timeout(Duration::from_secs(5), closed).await.is_ok(), "a connection was kept");
        }
    }
}

/// `serve` must be able to run on a runtime that moves tasks between threads.
#[tokio::test(flavor = "multi_thread")]
async fn serving_can_move_between_threads() {
    let bucket = Bucket::start(&[Reaction::Status(200)]).await;
    let url = bucket.url();
    let served = tokio::spawn(async move {
        let provider = Doing::new(async |_| Ok(Success::default().with("Name", "value")));
        let deadline = Deadline::after(Duration::from_secs(20));
        serve(event("Create", &url), deadline, &scheme(), &Responder::new(), &provider).await
    });
    assert!(matches!(served.await.unwrap(), Served::Answered { .. }));
    let document: Value = bucket.accepted().json();
    assert_eq!(document["Data"]["Name"], "value");
}
