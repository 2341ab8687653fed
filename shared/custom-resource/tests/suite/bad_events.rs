//! Events that can be answered, and not be served.

use std::time::Duration;

use custom_resource::{Deadline, Ending, Request, RequestType, Responder, Served, Success, serve};
use serde_json::{Value, json};

use crate::support::{Bucket, DECLARATION, Doing, Reaction, event, id_of, scheme};

/// Serves an event that must not reach the provider, and gives the answer.
async fn refusal(mut event: Value) -> (Value, Option<RequestType>) {
    let bucket = Bucket::start(&[Reaction::Status(200)]).await;
    event["ResponseURL"] = json!(bucket.url());
    let provider = Doing::new(async |_| Ok(Success::default()));
    let deadline = Deadline::after(Duration::from_secs(20));
    let served = serve(event, deadline, &scheme(), &Responder::new(), &provider).await;
    assert_eq!(provider.calls(), 0);
    let Served::Answered { answer, tries: 1 } = served else { panic!("{served:?}") };
    assert_eq!(answer.ending, Ending::BadEvent);
    let document = bucket.accepted().json();
    assert_eq!(document["Status"], "FAILED");
    assert_eq!(document["PhysicalResourceId"], answer.physical_id.as_str());
    (document, answer.request_type)
}

fn without(mut event: Value, name: &str) -> Value {
    event.as_object_mut().unwrap().remove(name);
    event
}

fn with(mut event: Value, name: &str, value: Value) -> Value {
    event[name] = value;
    event
}

#[tokio::test]
async fn each_field_that_is_missing_is_named() {
    for request_type in ["Create", "Update", "Delete"] {
        for name in ["RequestType", "PhysicalResourceId", "ResourceType", "ResourceProperties"] {
            if request_type == "Create" && name == "PhysicalResourceId" {
                continue;
            }
            for bad in
                [without(event(request_type, ""), name), with(event(request_type, ""), name, json!(null))]
            {
                let (document, _) = refusal(bad).await;
                assert_eq!(document["Reason"], format!("the event cannot be read: {name} is missing"));
            }
        }
    }
}

#[tokio::test]
async fn each_field_of_another_kind_is_named() {
    for (name, value, fault) in [
        ("RequestType", json!(1), "is no text"),
        ("RequestType", json!(["Create"]), "is no text"),
        ("RequestType", json!("Remove"), "is not Create, Update or Delete"),
        ("RequestType", json!("create"), "is not Create, Update or Delete"),
        ("RequestType", json!(""), "is not Create, Update or Delete"),
        ("PhysicalResourceId", json!(3), "is no text"),
        ("PhysicalResourceId", json!(""), "is not 1 to 1,024 bytes without control characters"),
        ("PhysicalResourceId", json!("a\nb"), "is not 1 to 1,024 bytes without control characters"),
        ("PhysicalResourceId", json!("x".repeat(1025)), "is not 1 to 1,024 bytes without control characters"),
        ("ResourceType", json!({}), "is no text"),
        ("ResourceProperties", json!("Cluster=a"), "is no JSON object"),
        ("ResourceProperties", json!(["a"]), "is no JSON object"),
        ("OldResourceProperties", json!("a"), "is no JSON object"),
    ] {
        let (document, _) = refusal(with(event("Update", ""), name, value)).await;
        assert_eq!(document["Reason"], format!("the event cannot be read: {name} {fault}"));
    }
}

#[tokio::test]
async fn the_id_is_the_delivered_one_if_there_is_one_and_else_the_derived() {
    let other = "keys/plain/z/0123456789abcdef";
    let delivered = |event| with(event, "PhysicalResourceId", json!(other));
    for (bad, expected, request_type) in [
        (without(event("Update", ""), "PhysicalResourceId"), id_of("a"), Some(RequestType::Update)),
        (without(event("Delete", ""), "PhysicalResourceId"), id_of("a"), Some(RequestType::Delete)),
        (
            delivered(without(event("Update", ""), "ResourceType")),
            other.to_owned(),
            Some(RequestType::Update),
        ),
        (
            delivered(without(event("Delete", ""), "ResourceProperties")),
            other.to_owned(),
            Some(RequestType::Delete),
        ),
        (delivered(without(event("Update", ""), "RequestType")), other.to_owned(), None),
        (without(event("Create", ""), "RequestType"), id_of("a"), None),
        (delivered(without(event("Create", ""), "ResourceType")), id_of("a"), Some(RequestType::Create)),
        (
            without(event("Create", ""), "ResourceProperties"),
            format!("keys/plain/-/{DECLARATION}"),
            Some(RequestType::Create),
        ),
    ] {
        let case = bad.to_string();
        let (document, found) = refusal(bad).await;
        assert_eq!(document["PhysicalResourceId"], expected, "{case}");
        assert_eq!(found, request_type, "{case}");
    }
}

#[tokio::test]
async fn what_need_not_be_there_need_not_be_there() {
    let odd = json!({"Cluster": "a", "Nodes": ["0", "1"], "Flag": true, "Count": 3, "None": null});
    for (event, old) in [
        (event("Update", ""), None),
        (with(event("Update", ""), "OldResourceProperties", json!(null)), None),
        (with(event("Update", ""), "OldResourceProperties", json!({"Cluster": "b"})), Some("b")),
        (with(event("Create", ""), "OldResourceProperties", json!("whatever")), None),
        (with(event("Delete", ""), "Unknown", json!([1, 2, 3])), None),
        (without(event("Create", ""), "ServiceToken"), None),
        (with(event("Create", ""), "ResourceProperties", odd), None),
    ] {
        let bucket = Bucket::start(&[Reaction::Status(200)]).await;
        let provider = Doing::new(async |request: Request| {
            assert_eq!(request.properties.text("Cluster"), Some("a"));
            assert_eq!(request.resource_type, "Custom::NodeKeys");
            assert_eq!(request.old_properties.as_ref().and_then(|old| old.text("Cluster")), old);
            Ok(Success::default())
        });
        let event = with(event, "ResponseURL", json!(bucket.url()));
        let deadline = Deadline::after(Duration::from_secs(20));
        let served = serve(event, deadline, &scheme(), &Responder::new(), &provider).await;
        assert_eq!(bucket.accepted().json()["Status"], "SUCCESS", "{served:?}");
    }
}
