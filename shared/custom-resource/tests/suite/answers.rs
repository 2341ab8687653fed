//! What CloudFormation is told, over a real socket.

use std::time::Duration;

use custom_resource::{
    Answer, Deadline, Ending, Failure, MAX_ANSWER_BYTES, Provider, Request, RequestType, Responder, Served,
    Success, data_budget, refuse, serve,
};
use serde_json::{Value, json};

use crate::clock::{nothing_more, serve_flying};
use crate::support::{Bucket, Doing, Reaction, Received, STACK_ID, event, id_of, scheme};

const TAKEN: &[Reaction] = &[Reaction::Status(200)];

/// Serves one event, and gives what the log and what CloudFormation is told.
async fn told(event: impl Fn(&str) -> Value, provider: &impl Provider) -> (Answer, Received) {
    let bucket = Bucket::start(TAKEN).await;
    let deadline = Deadline::after(Duration::from_secs(20));
    let served = serve(event(&bucket.url()), deadline, &scheme(), &Responder::new(), provider).await;
    assert_eq!(bucket.connections(), 1);
    match served {
        Served::Answered { answer, tries: 1 } => (answer, bucket.accepted()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_success_is_told_in_full() {
    let provider =
        Doing::new(async |_| Ok(Success::default().with("Name", "ä\"\\\n🔑").because("it went well")));
    let (answer, received) = told(|url| event("Create", url), &provider).await;
    assert_eq!(
        received.json(),
        json!({
            "Status": "SUCCESS",
            "Reason": "it went well",
            "PhysicalResourceId": id_of("a"),
            "StackId": STACK_ID,
            "RequestId": "0d6e2c1a-64a9-4d51-8e3e-0f6f3d1b9c11",
            "LogicalResourceId": "NodeKeys",
            "Data": {"Name": "ä\"\\\n🔑"},
        })
    );
    assert_eq!(provider.calls(), 1);
    assert_eq!(answer.ending, Ending::Succeeded);
    assert_eq!(answer.request_type, Some(RequestType::Create));
    assert_eq!(answer.physical_id.as_str(), id_of("a"));
}

#[tokio::test]
async fn what_is_unfinished_is_not_told_and_deserves_another_run() {
    for kind in ["Create", "Update", "Delete"] {
        let provider = Doing::new(async |_| Err(Failure::unfinished("the next run goes on")));
        let bucket = Bucket::start(TAKEN).await;
        let deadline = Deadline::after(Duration::from_secs(20));
        let served =
            serve(event(kind, &bucket.url()), deadline, &scheme(), &Responder::new(), &provider).await;
        assert_eq!((bucket.connections(), provider.calls()), (0, 1), "{kind}");
        assert!(served.deserves_another_invocation());
        assert!(served.to_string().contains("to the next run"), "{served}");
        assert!(matches!(served, Served::Unfinished { reason, .. } if reason == "the next run goes on"));
    }
}

#[tokio::test]
async fn a_failure_is_told_with_its_reason_and_nothing_more() {
    let provider = Doing::new(async |_| Err(Failure::new("the key is disabled")));
    let (answer, received) = told(|url| event("Delete", url), &provider).await;
    assert_eq!(
        received.json(),
        json!({
            "Status": "FAILED",
            "Reason": "the key is disabled",
            "PhysicalResourceId": id_of("a"),
            "StackId": STACK_ID,
            "RequestId": "0d6e2c1a-64a9-4d51-8e3e-0f6f3d1b9c11",
            "LogicalResourceId": "NodeKeys",
        })
    );
    assert_eq!(answer.ending, Ending::Failed);
    assert_eq!(answer.reason.as_deref(), Some("the key is disabled"));
}

#[tokio::test]
async fn the_request_is_what_a_pre_signed_url_needs() {
    let provider = Doing::new(async |_| Ok(Success::default().with("Name", "€€€")));
    let (_, received) = told(|url| event("Create", url), &provider).await;
    let mut lines = received.head.lines();
    assert_eq!(lines.next().unwrap(), format!("PUT {} HTTP/1.1", Bucket::PATH));
    let mut headers: Vec<_> = lines.map(str::to_lowercase).collect();
    headers.sort();
    assert_eq!(headers.len(), 3, "{headers:?}");
    assert_eq!(headers[0], format!("content-length: {}", received.body.len()));
    assert_eq!(headers[1].trim_end(), "content-type:");
    assert!(headers[2].starts_with("host: 127.0.0.1:"));
}

/// Request type, delivered id, cluster in the event -> id on success, id on failure.
#[tokio::test]
async fn which_id_is_answered() {
    let elsewhere = "keys/plain/a/0123456789abcdef";
    let made_up = "stack-NodeKeys-1A2B3C";
    let a = &*id_of("a");
    let b = &*id_of("b");
    for (request_type, delivered, cluster, on_success, on_failure) in [
        ("Create", None, "a", a, a),
        // What an emulator may send with a Create means nothing.
        ("Create", Some("x"), "a", a, a),
        ("Create", Some(""), "a", a, a),
        ("Update", Some(a), "a", a, a),
        ("Update", Some(a), "b", b, a),
        // Declared elsewhere now, and the same resource.
        ("Update", Some(elsewhere), "a", elsewhere, elsewhere),
        ("Update", Some(elsewhere), "b", b, elsewhere),
        ("Update", Some(made_up), "a", a, made_up),
        ("Delete", Some(a), "a", a, a),
        ("Delete", Some(a), "b", a, a),
        ("Delete", Some(made_up), "a", made_up, made_up),
    ] {
        let build = |url: &str| {
            let mut event = event(request_type, url);
            event["ResourceProperties"]["Cluster"] = json!(cluster);
            match delivered {
                Some(id) => event["PhysicalResourceId"] = json!(id),
                None => assert!(event.get("PhysicalResourceId").is_none()),
            }
            event
        };
        let case = format!("{request_type} {delivered:?} {cluster}");
        let good = Doing::new(async |request: Request| {
            assert_eq!(request.derived_id.as_str(), id_of(cluster));
            Ok(Success::default())
        });
        let (answer, received) = told(build, &good).await;
        assert_eq!(answer.ending, Ending::Succeeded, "{case}");
        assert_eq!(received.json()["PhysicalResourceId"], on_success, "{case}");
        assert_eq!(answer.physical_id.as_str(), on_success, "{case}");

        let (_, received) = told(build, &Doing::new(async |_| Err(Failure::new("no")))).await;
        assert_eq!(received.json()["PhysicalResourceId"], on_failure, "{case}");
        let (_, received) = told(build, &Doing::new(async |_| panic!("no"))).await;
        assert_eq!(received.json()["PhysicalResourceId"], on_failure, "{case}");
        let too_much = Doing::new(async |_| Ok(Success::default().with("A", "x".repeat(4096))));
        let (_, received) = told(build, &too_much).await;
        assert_eq!(received.json()["PhysicalResourceId"], on_failure, "{case}");

        // The on-failure destination comes to the same id as the function would have.
        let bucket = Bucket::start(TAKEN).await;
        let deadline = Deadline::after(Duration::from_secs(20));
        let failure = Failure::new("the function died");
        refuse(build(&bucket.url()), deadline, &scheme(), &Responder::new(), failure).await;
        let answer = bucket.accepted().json();
        assert_eq!(answer["PhysicalResourceId"], on_failure, "{case}");
        assert_eq!(answer["Status"], "FAILED");
        assert_eq!(answer["Reason"], "the function died");
    }
}

#[tokio::test]
async fn data_fill_the_answer_to_the_last_byte_and_not_beyond() {
    for (spare, ending) in [(1, Ending::Succeeded), (0, Ending::Succeeded), (-1, Ending::TooLarge)] {
        let provider = Doing::new(async |request: Request| {
            // `{"K":"…"}` is 8 bytes around its value; each ä is 2 bytes, each quote 2 in JSON.
            let room = data_budget(&request).checked_sub_signed(spare).unwrap() - 8;
            let value = "ä\"".repeat(room / 4) + &"x".repeat(room % 4);
            let success = Success::default().with("K", value);
            assert_eq!(success.data_bytes(), room + 8);
            assert_eq!(success.fits(&request), ending == Ending::Succeeded);
            Ok(success)
        });
        let (answer, received) = told(|url| event("Create", url), &provider).await;
        assert_eq!(answer.ending, ending);
        if ending == Ending::Succeeded {
            assert_eq!(received.body.len(), MAX_ANSWER_BYTES.checked_sub_signed(spare).unwrap());
            assert_eq!(received.json()["Status"], "SUCCESS");
        } else {
            let document = received.json();
            assert_eq!(document["Status"], "FAILED");
            assert!(document["Reason"].as_str().unwrap().contains("4097 bytes"), "{document}");
            assert!(document.get("Data").is_none());
        }
    }
}

#[tokio::test]
async fn a_budget_counts_the_id_that_will_be_answered() {
    let build = |url: &str| {
        let mut event = event("Update", url);
        event["PhysicalResourceId"] = json!("short");
        event
    };
    let provider = Doing::new(async |request: Request| {
        assert!(request.is_replacement());
        let room = data_budget(&request) - 8;
        Ok(Success::default().with("K", "x".repeat(room)))
    });
    let (answer, received) = told(build, &provider).await;
    assert_eq!(answer.ending, Ending::Succeeded);
    assert_eq!(received.body.len(), MAX_ANSWER_BYTES);
}

#[tokio::test]
async fn a_panic_is_told_without_its_message() {
    let at_once = Doing::new(async |_| panic!("8f14e45f"));
    let later = Doing::new(async |_| {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let number: u32 = "8f14e45f".parse().expect("a number");
        Ok(Success::default().with("Number", number.to_string()))
    });
    let (first, received_first) = told(|url| event("Create", url), &at_once).await;
    let (second, received_second) = told(|url| event("Create", url), &later).await;
    for (answer, received) in [(first, received_first), (second, received_second)] {
        assert_eq!(answer.ending, Ending::Panicked);
        let text = String::from_utf8(received.body).unwrap();
        assert!(text.contains("FAILED") && text.contains("panicked"), "{text}");
        assert!(!text.contains("8f14e45f"), "{text}");
        assert!(!format!("{answer:?}").contains("8f14e45f"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_stopped_and_answered_for() {
    let bucket = Bucket::start(TAKEN).await;
    let provider = Doing::new(async |_| std::future::pending().await);
    let time = Duration::from_secs(8);
    let (served, took) = serve_flying(&bucket, event("Create", &bucket.url()), time, &provider).await;
    // Three quarters of so little time are for the work.
    assert!((Duration::from_secs(6)..Duration::from_secs(7)).contains(&took), "{took:?}");
    let Served::Answered { answer, .. } = served else { panic!("{served:?}") };
    assert_eq!(answer.ending, Ending::OutOfTime);
    let document = bucket.accepted().json();
    assert_eq!(document["Status"], "FAILED");
    assert!(document["Reason"].as_str().unwrap().contains("ran out of time"));
    nothing_more(&bucket).await;
}

#[tokio::test]
async fn a_deadline_from_lambda_counts_from_the_epoch() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let millis = u64::try_from(now.as_millis()).unwrap();
    let left = Deadline::from_epoch_millis(millis + 60_000).remaining();
    assert!((Duration::from_secs(58)..=Duration::from_secs(61)).contains(&left), "{left:?}");
    assert!(Deadline::from_epoch_millis(millis - 1).has_passed());
    assert!(Deadline::from_epoch_millis(0).has_passed());
    assert!(Deadline::from_epoch_millis(u64::MAX).remaining() <= Duration::from_hours(1));
}
