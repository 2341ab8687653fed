//! What a process sees of this crate before and beside an event: its clock, its words.

use custom_resource::{Properties, RequestType, Status};
use serde_json::json;

#[test]
fn a_status_is_spelled_as_the_protocol_does() {
    assert_eq!(
        (Status::Success.to_string(), Status::Failed.to_string()),
        ("SUCCESS".into(), "FAILED".into())
    );
}

#[test]
fn a_request_type_is_spelled_as_it_is_read() {
    for word in ["Create", "Update", "Delete"] {
        let request_type: RequestType = word.parse().unwrap();
        assert_eq!((request_type.to_string(), request_type.as_str()), (word.to_owned(), word));
    }
}

#[test]
fn properties_are_handed_on_whole() {
    let json = json!({ "ServiceToken": "t", "Nested": { "List": ["1", null, 2] } });
    let map = json.as_object().unwrap();
    assert_eq!(Properties::from(map.clone()).as_map(), map);
}

/// A local invocation may bring a span instead of a moment.
#[cfg(feature = "local")]
#[test]
fn what_would_be_the_last_century_is_a_span() {
    use std::time::Duration;

    use custom_resource::Deadline;

    let remaining = |millis| Deadline::from_epoch_millis(millis).remaining();
    assert!((Duration::from_secs(50)..=Duration::from_mins(1)).contains(&remaining(60_000)));
    // The first moment that is one, and long gone.
    assert!(remaining(999_999_999_999) > Duration::from_mins(50));
    assert_eq!(remaining(1_000_000_000_000), Duration::ZERO);
}

/// What goes to the log when there is no time to answer: all that tells which event it was.
#[cfg(feature = "local")]
#[tokio::test(start_paused = true)]
async fn without_time_nothing_is_tried_and_the_log_says_for_what() {
    use std::time::Duration;

    use custom_resource::{Deadline, DeliveryFault, Failure, Responder, Served, refuse};

    use crate::support::{event, scheme};

    let event = event("Create", "http://127.0.0.1:9/answer");
    let failure = Failure::new("the function died");
    let served =
        refuse(event.clone(), Deadline::after(Duration::ZERO), &scheme(), &Responder::new(), failure).await;
    assert!(
        matches!(served, Served::NotDelivered { fault: DeliveryFault::NoTime, tries: 0, .. }),
        "{served:?}"
    );
    let told = served.to_string();
    let text = |name: &str| event[name].as_str().unwrap();
    for word in ["FAILED (failed)", "Create", text("LogicalResourceId"), text("StackId"), text("RequestId")] {
        assert!(told.contains(word), "{word}: {told}");
    }
}
