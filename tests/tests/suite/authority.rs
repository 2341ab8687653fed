//! An event counts only on CloudFormation's word. Whoever may invoke the function can write events,
//! and changes nothing by it.

use anyhow::Result;
use provisioning::ownership::OWNER_TAG;
use rig::stack::Deployed;
use serde_json::{Value, json};

use crate::delivery::{ByHand, physical_id, properties};
use crate::snapshot::Snapshot;
use crate::support::{Aws, KMS_STACK, Role};

/// What a forged event may be answered.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// FAILED, with a reason that says this.
    Refused(&'static str),
    /// SUCCESS: there is nothing to do.
    NothingToDo,
}
use Wanted::{NothingToDo, Refused};

const NOT_PINNED: &str = "is not among the stacks pinned";
const NOT_IN_PROGRESS: &str = "does not show this operation in progress";

fn event(
    request: &str,
    stack_id: &str,
    logical_id: &str,
    physical_id: Option<&str>,
    properties: &Value,
) -> Value {
    let mut event = json!({
        "RequestType": request,
        "RequestId": "6f1cbe6f-0000-4000-8000-000000000000",
        "StackId": stack_id,
        "ResourceType": "Custom::NodeKeys",
        "LogicalResourceId": logical_id,
        "ResourceProperties": properties,
    });
    if let Some(id) = physical_id {
        event["PhysicalResourceId"] = json!(id);
    }
    if request == "Update" {
        event["OldResourceProperties"] = properties.clone();
    }
    event
}

/// Every forgery, with what it is to be answered.
fn forgeries(kms: &Deployed, id: &str) -> Result<Vec<(&'static str, Wanted, Value)>> {
    let as_it_is = properties(kms, "tsm", &["0", "1", "2"])?;
    let grown = properties(kms, "tsm", &["0", "1", "2", "3"])?;
    let shrunk = properties(kms, "tsm", &["0"])?;
    let fresh = properties(kms, "fresh", &["0"])?;
    let own = kms.id.as_str();
    let other =
        "arn:aws:cloudformation:us-east-1:000000000000:stack/another/6f1cbe6f-0000-4000-8000-000000000001";
    let elsewhere =
        "arn:aws:cloudformation:eu-west-1:111122223333:stack/kms/6f1cbe6f-0000-4000-8000-000000000001";
    let derived = physical_id(other, "tsm");
    let (foreign, of_fresh) =
        ("keyboot/keyboot/tsm/0123456789abcdef", "keyboot/keyboot/fresh/0123456789abcdef");
    Ok(vec![
        (
            "a Create of a stack that is not pinned",
            Refused(NOT_PINNED),
            event("Create", other, "Keys", None, &fresh),
        ),
        (
            "the same for the cluster in service",
            Refused(NOT_PINNED),
            event("Create", other, "Keys", None, &as_it_is),
        ),
        (
            "an Update of a stack that is not pinned",
            Refused(NOT_PINNED),
            event("Update", other, "Keys", Some(&derived), &grown),
        ),
        (
            "the same with an id of nobody",
            Refused("physical id"),
            event("Update", other, "Keys", Some(foreign), &grown),
        ),
        (
            "a Delete of a stack that is not pinned",
            NothingToDo,
            event("Delete", other, "Keys", Some(id), &as_it_is),
        ),
        ("the same with its own id", NothingToDo, event("Delete", other, "Keys", Some(&derived), &as_it_is)),
        (
            "a Create of another account's stack",
            Refused(NOT_PINNED),
            event("Create", elsewhere, "Keys", None, &fresh),
        ),
        ("a Create that is over", Refused(NOT_IN_PROGRESS), event("Create", own, "Keys", None, &as_it_is)),
        ("a Create of another cluster", Refused(NOT_IN_PROGRESS), event("Create", own, "Keys", None, &fresh)),
        (
            "a Create of a resource that the stack has not",
            Refused(NOT_IN_PROGRESS),
            event("Create", own, "More", None, &fresh),
        ),
        (
            "a Create in the name of another resource",
            Refused(NOT_IN_PROGRESS),
            event("Create", own, "SecretsKey", None, &fresh),
        ),
        (
            "an Update that adds a node",
            Refused(NOT_IN_PROGRESS),
            event("Update", own, "Keys", Some(id), &grown),
        ),
        (
            "an Update that removes nodes",
            Refused(NOT_IN_PROGRESS),
            event("Update", own, "Keys", Some(id), &shrunk),
        ),
        ("an Update that replaces", Refused(NOT_IN_PROGRESS), event("Update", own, "Keys", Some(id), &fresh)),
        (
            "an Update of an id that is not ours",
            Refused(NOT_IN_PROGRESS),
            event("Update", own, "Keys", Some("made-up"), &grown),
        ),
        (
            "a Delete of the cluster in service",
            Refused(NOT_IN_PROGRESS),
            event("Delete", own, "Keys", Some(id), &as_it_is),
        ),
        ("a Delete that asks for no recovery", Refused(NOT_IN_PROGRESS), {
            let mut forged = event("Delete", own, "Keys", Some(id), &as_it_is);
            forged["ResourceProperties"]["ShareSecretOnDelete"] = json!("Schedule");
            forged["ResourceProperties"]["RecoveryWindowDays"] = json!("7");
            forged
        }),
        (
            "a Delete of a resource that the stack has not",
            NothingToDo,
            event("Delete", own, "More", Some(id), &as_it_is),
        ),
        (
            "a Delete of a cluster that is not there",
            NothingToDo,
            event("Delete", own, "Keys", Some(of_fresh), &fresh),
        ),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_cloudformations_word_changes_nothing() -> Result<()> {
    let aws = Aws::start()?;
    let (_, kms) = aws.deploy([]).await?;
    let by_hand = ByHand::of(&aws, &kms).await?;
    let role = Role::of_node_keys(&aws).await?;
    let id = aws.physical_id(KMS_STACK, "Keys").await?;
    assert_eq!(id, physical_id(&kms.id, "tsm"));
    let before = Snapshot::take(&aws).await?;
    assert!(before.secrets.values().all(|secret| secret.tags[OWNER_TAG] == id), "the id is the owner's");
    let mark = aws.mark()?;
    for (what, wanted, forged) in forgeries(&kms, &id)? {
        let answer = by_hand.deliver(&forged).await?;
        let reason = answer["Reason"].as_str().unwrap_or_default();
        match wanted {
            Refused(part) => {
                assert_eq!(answer["Status"], "FAILED", "{what}: {answer}");
                assert!(reason.contains(part), "{what}: {reason}");
            }
            NothingToDo => assert_eq!(answer["Status"], "SUCCESS", "{what}: {answer}"),
        }
        assert!(
            answer.get("Data").is_none_or(|data| data.as_object().is_some_and(serde_json::Map::is_empty)),
            "{what}: {answer}"
        );
        if let Some(delivered) = forged.get("PhysicalResourceId") {
            assert_eq!(&answer["PhysicalResourceId"], delivered, "{what}");
        }
        assert_eq!(aws.writes_since(mark, &role)?, Vec::<String>::new(), "{what}");
    }
    assert_eq!(Snapshot::take(&aws).await?, before);
    by_hand.heard_nothing().await
}
