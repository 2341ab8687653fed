//! node-keys and `unanswered` give an event the same id, whatever it says.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use provisioning::ownership::OwnerId;
use serde_json::{Value, json};

use crate::by_hand::{ByHand, NODE_KEYS, STACK_ID};

/// More than an answer takes.
const TIME: Duration = Duration::from_secs(20);
/// A stack that node-keys does not serve: it answers without a call to AWS.
const STACK_OF_ANOTHER: &str =
    "arn:aws:cloudformation:us-east-1:111122223333:stack/another/51af3dc0-da77-11e4-872e-1234567db123";
/// An id that CloudFormation made up.
const MADE_UP: &str = "another-Keys-1A2B3C4D5E6F";

fn event(properties: &Value, changed: &Value) -> Value {
    let mut event = json!({
        "RequestType": "Create",
        "RequestId": "6f1cbe6f-0000-4000-8000-000000000001",
        "StackId": STACK_OF_ANOTHER,
        "ResourceType": "Custom::NodeKeys",
        "LogicalResourceId": "Keys",
        "ResourceProperties": properties,
    });
    for (name, value) in changed.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    event
}

/// Events that differ in all that an id is made of, and in what keeps it from being made.
fn events() -> Vec<Value> {
    let properties = json!({
        "Cluster": "tsm",
        "Nodes": ["0"],
        "KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    });
    let with = |name: &str, value: Value| {
        let mut properties = properties.clone();
        properties[name] = value;
        event(&properties, &json!({}))
    };
    let delivered = |request_type: &str, id: &str| {
        // What makes no id leaves node-keys nothing to ask AWS for.
        event(&json!({}), &json!({"RequestType": request_type, "PhysicalResourceId": id}))
    };
    vec![
        event(&properties, &json!({})),
        event(&properties, &json!({"LogicalResourceId": "OtherKeys"})),
        event(
            &properties,
            &json!({"StackId": STACK_ID, "ResourceProperties": {"Cluster": "tsm", "Unknown": "x"}}),
        ),
        with("Cluster", json!("other")),
        with("Cluster", json!("TSM")),
        with("Cluster", json!("a b")),
        with("Cluster", json!(7)),
        with("Cluster", json!("x".repeat(65))),
        with("Namespace", json!("keyboot")),
        with("Namespace", json!("team/chain")),
        with("Namespace", json!("")),
        with("Namespace", json!(["team"])),
        with("cluster", json!("other")),
        event(&json!({}), &json!({})),
        event(&json!("none"), &json!({})),
        event(&json!(null), &json!({})),
        event(&properties, &json!({"RequestType": "Destroy"})),
        event(&properties, &json!({"RequestType": "Create", "PhysicalResourceId": MADE_UP})),
        event(&properties, &json!({"RequestType": "Update"})),
        delivered("Update", "keyboot/keyboot/tsm/0123456789abcdef"),
        delivered("Update", MADE_UP),
        delivered("Delete", "keyboot/keyboot/old/0123456789abcdef"),
        delivered("Delete", MADE_UP),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn both_functions_give_an_event_the_same_id() -> Result<()> {
    let (mut node_keys, mut unanswered) =
        (ByHand::start("node-keys").await?, ByHand::start("unanswered").await?);
    let mut ids = BTreeSet::new();
    for mut event in events() {
        let told = event.to_string();
        event["ResponseURL"] = json!(node_keys.response_url());
        node_keys.invoke(&event.to_string(), TIME).await?;
        let of_node_keys = node_keys.answer().await.with_context(|| told.clone())?;

        event["ResponseURL"] = json!(unanswered.response_url());
        let context = json!({"functionArn": NODE_KEYS, "condition": "RetriesExhausted"});
        let record = json!({"requestContext": context, "requestPayload": event});
        unanswered.invoke(&record.to_string(), TIME).await?;
        let of_unanswered = unanswered.answer().await.with_context(|| told.clone())?;

        let (id, other) = (&of_node_keys["PhysicalResourceId"], &of_unanswered["PhysicalResourceId"]);
        assert_eq!(id, other, "{told}");
        for echoed in ["StackId", "RequestId", "LogicalResourceId"] {
            assert_eq!(of_node_keys[echoed], of_unanswered[echoed], "{told}");
        }
        ids.insert(id.as_str().context("no id")?.to_owned());
    }
    // They are not alike for want of being different.
    assert!(ids.len() > 10, "{ids:?}");
    let sound = ids.iter().filter(|id| id.parse::<OwnerId>().is_ok()).count();
    assert!(sound > 5, "ids that the owner of a secret cannot have: {ids:?}");
    Ok(())
}
