//! What belongs to somebody else is refused by name, and left as it is: by the Create, and by the
//! Delete that CloudFormation sends after it.

use anyhow::{Context as _, Result};
use aws_sdk_secretsmanager::types::Tag;
use rig::stack::{Deployed, Deployment};
use serde_json::json;

use crate::delivery::{ByHand, RelayedStack, properties};
use crate::snapshot::Snapshot;
use crate::support::{Aws, KMS_STACK};

const NAME: &str = "keyboot/tsm/node/1/p2p-key";

#[tokio::test]
async fn a_secret_that_nobody_claims_is_in_the_way_and_stays() -> Result<()> {
    over_a_strangers_secret(&[]).await
}

#[tokio::test]
async fn a_secret_of_another_owner_is_in_the_way_and_stays() -> Result<()> {
    let tags = [
        ("keyboot:owner", "keyboot/keyboot/tsm/0123456789abcdef"),
        ("keyboot:stack", "arn:aws:cloudformation:us-east-1:000000000000:stack/another/6f1cbe6f"),
        ("keyboot:resource", "Keys"),
        ("keyboot:generation", "6f1cbe6f-0000-4000-8000-000000000000"),
        ("keyboot:cluster", "keyboot/tsm"),
    ];
    over_a_strangers_secret(&tags).await
}

async fn over_a_strangers_secret(tags: &[(&str, &str)]) -> Result<()> {
    let aws = Aws::start()?;
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
    let made =
        aws.root.secrets().create_secret().name(NAME).secret_string("a stranger's").set_tags(Some(tags));
    made.send().await?;
    let before = Snapshot::take(&aws).await?;
    let kms = Deployment::of_kms_stack(&aws.root, KMS_STACK, []).await?;
    let failed = refused(&kms).await?;
    let reasons = failed.reasons().join("\n");
    assert!(reasons.contains(NAME), "{reasons}");
    assert!(reasons.contains("nothing of it was touched"), "{reasons}");
    let answers = aws.answers_since(0)?;
    assert_eq!(answers.len(), 2, "a Create and a Delete: {answers:?}");
    assert_eq!((&answers[0]["Status"], &answers[1]["Status"]), (&json!("FAILED"), &json!("SUCCESS")));
    assert_eq!(answers[0]["PhysicalResourceId"], answers[1]["PhysicalResourceId"]);
    assert_eq!(Snapshot::take(&aws).await?, before, "nothing but the stranger's, and that as it was");
    Ok(())
}

/// Creates a stack that has to fail, and waits until CloudFormation has rolled it back.
async fn refused(stack: &Deployment) -> Result<Deployed> {
    let id = stack.begin_create().await?;
    let failed = stack.wait(&id, |_| ()).await?;
    assert_eq!(failed.status, "ROLLBACK_COMPLETE", "{:?}", failed.reasons());
    Ok(failed)
}

#[tokio::test]
async fn a_second_kms_stack_for_the_same_cluster_is_refused() -> Result<()> {
    let aws = Aws::start()?;
    let (_, first) = aws.deploy([]).await?;
    let (before, published) = (Snapshot::take(&aws).await?, aws.published(&first).await?);
    let second = Deployment::of_kms_stack(&aws.root, "kms-again", []).await?;
    let failed = refused(&second).await?;
    let reasons = failed.reasons().join("\n");
    assert!(reasons.contains("keyboot/tsm") && reasons.contains("Keys"), "{reasons}");
    assert_eq!(Snapshot::take(&aws).await?, before);
    assert_eq!(aws.published(&first).await?, published);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stack_of_the_same_function_for_the_same_cluster_is_refused() -> Result<()> {
    let aws = Aws::start()?;
    let (kms, first) = aws.deploy([]).await?;
    let id = aws.physical_id(KMS_STACK, "Keys").await?;
    let (client, event) =
        RelayedStack::begin(&aws, "client", &properties(&first, "tsm", &["0", "1", "2", "3"])?).await?;
    let first = kms.with("ClientStackIds", &client.id).update().await?;
    let before = Snapshot::take(&aws).await?;
    let by_hand = ByHand::of(&aws, &first).await?;
    let answer = by_hand.deliver(&event).await?;
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    let reason = answer["Reason"].as_str().context("no reason")?;
    assert!(reason.contains("cluster keyboot/tsm belongs to") && reason.contains(&id), "{reason}");
    assert_eq!(Snapshot::take(&aws).await?, before);
    // CloudFormation sends a Delete to what failed.
    let finishing = client.finish(&event, &answer, "ROLLBACK_COMPLETE");
    let deleting = async {
        let event = client.event().await?;
        assert_eq!(event["RequestType"], "Delete");
        assert_eq!(event["PhysicalResourceId"], answer["PhysicalResourceId"]);
        let answer = by_hand.deliver(&event).await?;
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        client.answer(&event, &answer).await
    };
    tokio::try_join!(finishing, deleting)?;
    assert_eq!(Snapshot::take(&aws).await?, before);
    Ok(())
}
