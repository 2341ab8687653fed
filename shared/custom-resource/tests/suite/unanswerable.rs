//! Events that give nobody to answer: nothing is done, and not a byte leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use custom_resource::{
    Deadline, EventFault, Failure, FieldFault, Responder, Served, Success, UrlFault, refuse, serve,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Doing, event, scheme};

/// A socket that everyone may connect to, and the number of those who did.
async fn listen() -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(AtomicU32::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, accepted)
}

/// Serves and refuses an event, and proves that the provider was not asked.
async fn why_unanswerable(event: Value) -> EventFault {
    let provider = Doing::new(async |_| Ok(Success::default()));
    let deadline = Deadline::after(Duration::from_secs(10));
    let responder = Responder::new();
    let served = serve(event.clone(), deadline, &scheme(), &responder, &provider).await;
    let refused = refuse(event, deadline, &scheme(), &responder, Failure::new("it died")).await;
    assert_eq!(served, refused);
    assert_eq!(provider.calls(), 0);
    assert!(!served.deserves_another_invocation());
    match served {
        Served::Unanswerable { why } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_url_that_leads_to_this_machine_gets_no_byte() {
    let (port, accepted) = listen().await;
    let bucket = "cloudformation-custom-resource-response-eucentral1.s3.eu-central-1.amazonaws.com";
    let mut urls = vec![
        format!("https://127.0.0.1:{port}/x"),
        format!("https://localhost:{port}/x"),
        format!("https://[::1]:{port}/x"),
        format!("https://{bucket}@127.0.0.1:{port}/x"),
        format!("https://{bucket}:x@127.0.0.1:{port}/x"),
        format!("http://{bucket}@127.0.0.1:{port}/x"),
        format!("https://127.0.0.1:{port}/{bucket}"),
    ];
    if cfg!(not(feature = "local")) {
        urls.push(format!("http://127.0.0.1:{port}/x"));
        urls.push(format!("http://localhost:{port}/x"));
    }
    for url in urls {
        for request_type in ["Create", "Update", "Delete"] {
            let why = why_unanswerable(event(request_type, &url)).await;
            let EventFault::Field { name: "ResponseURL", fault: FieldFault::Url(_) } = why else {
                panic!("{url}: {why:?}");
            };
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_event_without_a_sound_address_cannot_be_answered() {
    let good = "https://cloudformation-custom-resource-response-eucentral1.s3.eu-central-1.amazonaws.com/x";
    for name in ["ResponseURL", "StackId", "RequestId", "LogicalResourceId"] {
        for (value, expected) in [
            (None, FieldFault::Missing),
            (Some(json!(null)), FieldFault::Missing),
            (Some(json!(7)), FieldFault::NotText),
            (Some(json!({"a": "b"})), FieldFault::NotText),
            (Some(json!([good])), FieldFault::NotText),
        ] {
            let mut event = event("Create", good);
            match value {
                Some(value) => event[name] = value,
                None => drop(event.as_object_mut().unwrap().remove(name)),
            }
            assert_eq!(why_unanswerable(event).await, EventFault::Field { name, fault: expected });
        }
        for text in ["", " ", "a\nb", "ä", &"x".repeat(300)] {
            let mut event = event("Create", good);
            event[name] = json!(text);
            let why = why_unanswerable(event).await;
            assert!(why.to_string().starts_with(&format!("{name} is not ")), "{why}");
        }
    }
}

#[tokio::test]
async fn what_is_no_object_cannot_be_answered() {
    for event in
        [json!(null), json!(true), json!(7), json!("Create"), json!([]), json!([{"ResponseURL": "x"}])]
    {
        assert_eq!(why_unanswerable(event).await, EventFault::NotAnObject);
    }
}

#[tokio::test]
async fn the_region_of_the_stack_decides() {
    let elsewhere = "https://cloudformation-custom-resource-response-euwest1.s3.eu-west-1.amazonaws.com/x";
    assert_eq!(
        why_unanswerable(event("Create", elsewhere)).await,
        EventFault::Field { name: "ResponseURL", fault: FieldFault::Url(UrlFault::Host) },
    );
}

#[tokio::test]
async fn what_is_said_of_it_holds_nothing_of_the_url() {
    let url = "https://evil.example/key?Signature=secret";
    let provider = Doing::new(async |_| Ok(Success::default()));
    let deadline = Deadline::after(Duration::from_secs(10));
    let served = serve(event("Create", url), deadline, &scheme(), &Responder::new(), &provider).await;
    for told in [format!("{served:?}"), served.to_string()] {
        assert!(!told.contains("evil") && !told.contains("secret"), "{told}");
    }
    assert_eq!(
        served.to_string(),
        "could not be answered: ResponseURL does not lead to CloudFormation's response bucket in the \
         stack's Region"
    );
}
