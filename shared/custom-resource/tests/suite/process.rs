//! What a process sees of this crate before and beside an event: its hook, its clock, its words.

use std::process::Command;

use custom_resource::{Properties, RequestType, Status, install_silent_panic_hook};
use serde_json::json;

/// No test by itself: a process that panics once the hook is there.
#[test]
#[ignore = "started by the test below"]
fn a_process_that_panics() {
    install_silent_panic_hook();
    panic!("the value 8f14e45f");
}

#[test]
fn the_hook_writes_the_place_to_standard_error() {
    let this = std::env::current_exe().unwrap();
    let child = ["--exact", "process::a_process_that_panics", "--ignored", "--nocapture"];
    let output = Command::new(this).args(child).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(told.contains(&format!("panicked at {}:", file!())), "{told}");
    assert!(!told.contains("8f14e45f"), "{told}");
}

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
