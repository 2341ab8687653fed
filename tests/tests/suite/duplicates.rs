//! One event that arrives twice makes one key: in sequence, and at once.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use crate::delivery::{ByHand, RelayedStack, properties};
use crate::snapshot::Snapshot;
use crate::support::{Aws, Role};

const CLUSTER: &str = "second";
const NODES: &[&str] = &["0", "1"];

/// A KMS Stack that serves a second stack, whose Create is in progress as long as the test likes.
async fn create_in_progress(aws: &Aws) -> Result<(ByHand<'_>, RelayedStack, Value)> {
    let (kms, stack) = aws.deploy([]).await?;
    let (client, event) = RelayedStack::begin(aws, "client", &properties(&stack, CLUSTER, NODES)?).await?;
    let stack = kms.with("ClientStackIds", &client.id).update().await?;
    Ok((ByHand::of(aws, &stack).await?, client, event))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_again_finds_its_work_done() -> Result<()> {
    let aws = Aws::start()?;
    let (by_hand, client, event) = create_in_progress(&aws).await?;
    let first = by_hand.deliver(&event).await?;
    assert_eq!(first["Status"], "SUCCESS", "{first}");
    let (stored, mark, role) = (Snapshot::take(&aws).await?, aws.mark()?, Role::of_node_keys(&aws).await?);
    let second = by_hand.deliver(&event).await?;
    assert_eq!(first, second);
    assert_eq!(stored, Snapshot::take(&aws).await?);
    assert_eq!(aws.writes_since(mark, &role)?, Vec::<String>::new());
    one_version_of_each(&stored);
    client.finish(&event, &first, "CREATE_COMPLETE").await?;
    // Lambda may deliver even now. The operation is over, and there is nothing left to do.
    let late = by_hand.deliver(&event).await?;
    assert_eq!(late, first);
    assert_eq!(stored, Snapshot::take(&aws).await?);
    by_hand.heard_nothing().await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_at_once_make_one_key() -> Result<()> {
    const AT_ONCE: usize = 3;
    let aws = Aws::start()?;
    let (by_hand, client, event) = create_in_progress(&aws).await?;
    let text = by_hand.to_be_answered_here(&event).to_string();
    let (a, b, c) = tokio::join!(by_hand.invoke(&text), by_hand.invoke(&text), by_hand.invoke(&text));
    for ended in [a, b, c] {
        ended?;
    }
    let mut answers = Vec::new();
    for _ in 0..AT_ONCE {
        answers.push(by_hand.answer().await?);
    }
    assert_eq!(answers[0]["Status"], "SUCCESS", "{}", answers[0]);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    let stored = Snapshot::take(&aws).await?;
    one_version_of_each(&stored);
    let again = by_hand.deliver(&event).await?;
    assert_eq!(again, answers[0], "a later one has the same to say");
    client.finish(&event, &again, "CREATE_COMPLETE").await?;
    assert_eq!(Snapshot::take(&aws).await?, stored);
    Ok(())
}

fn one_version_of_each(stored: &Snapshot) {
    let prefix = format!("keyboot/{CLUSTER}/");
    let secrets: Vec<_> = stored.secrets.iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
    assert_eq!(secrets.len(), 4 * NODES.len());
    let generations: BTreeSet<_> =
        secrets.iter().map(|(_, secret)| &secret.tags["keyboot:generation"]).collect();
    assert_eq!(generations.len(), 1, "more than one operation made them");
    for (name, secret) in secrets {
        assert_eq!(secret.versions.len(), 1, "{name}");
        assert_eq!(secret.deleted, None, "{name}");
    }
}
