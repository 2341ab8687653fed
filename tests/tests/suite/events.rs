//! The events in `events/`: each is what CloudFormation sends, or is meant to be wrong, and does
//! here what its name says. A file that no test names fails a test.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use rig::stack::Deployed;
use serde_json::{Value, json};

use crate::delivery::{ByHand, RelayedStack, physical_id};
use crate::snapshot::Snapshot;
use crate::support::{Aws, Role};

// What stands in the files for what only a deployment knows.
const RESPONSE_URL: &str = "http://127.0.0.1:4580/answer";
const STACK_ID: &str =
    "arn:aws:cloudformation:us-east-1:111122223333:stack/kms/51af3dc0-da77-11e4-872e-1234567db123";
const KMS_KEY_ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const SERVICE_TOKEN: &str = "arn:aws:lambda:us-east-1:111122223333:function:kms-NodeKeysFunction";

const CREATE: &str = "create";
const ADD_NODE: &str = "update-add-node";
const REMOVE_NODE: &str = "update-remove-node";
const NOTHING: &str = "update-nothing";
const REGENERATE: &str = "update-regenerate";
const DELETE: &str = "delete";

/// Files that are answered FAILED, and what the reason says.
const MALFORMED: &[(&str, &str)] = &[
    ("malformed-boolean-for-string", "property ManagementKey is not a string: it must be true or false"),
    ("malformed-number-for-string", "property RecoveryWindowDays is not a string"),
    ("malformed-numbers-in-list", "property Nodes is not a list of strings"),
    ("malformed-physical-id-missing", "PhysicalResourceId is missing"),
    ("malformed-properties-missing", "ResourceProperties is missing"),
    ("malformed-properties-no-object", "ResourceProperties is no JSON object"),
    (
        "malformed-property-adopt-from-elsewhere",
        "property AdoptFrom is of another Namespace or Cluster than this resource",
    ),
    ("malformed-property-alias", "property KmsKeyArn is an alias"),
    ("malformed-property-missing", "property Cluster is missing"),
    ("malformed-property-unknown", "property nodes is unknown"),
    ("malformed-property-wrong", "it must be a whole number from 7 to 30"),
    ("malformed-request-type-no-text", "RequestType is no text"),
    ("malformed-request-type-unknown", "RequestType is"),
    ("malformed-update", "property Nodes names one entry twice"),
];
/// A Delete is not refused for what it says: it follows a Create that failed for the same.
const DELETE_AFTER: &str = "delete-after-a-malformed-create";
/// Files that leave nobody to answer, and what the log says.
const UNANSWERABLE: &[(&str, &str)] = &[
    ("unanswerable-empty", "StackId is missing"),
    ("unanswerable-list", "the event is no JSON object"),
    ("unanswerable-logical-id-missing", "LogicalResourceId is missing"),
    ("unanswerable-null", "the event is no JSON object"),
    ("unanswerable-request-id-missing", "RequestId is missing"),
    ("unanswerable-response-url-elsewhere", "does not lead to CloudFormation's response bucket"),
    ("unanswerable-response-url-missing", "ResponseURL is missing"),
    ("unanswerable-response-url-no-text", "ResponseURL is no text"),
    ("unanswerable-stack-id-missing", "StackId is missing"),
    ("unanswerable-stack-id-wrong", "StackId is not the ARN of a stack"),
    ("unanswerable-text", "the event is no JSON object"),
];

fn folder() -> PathBuf {
    rig::repository().join("events")
}

fn text(name: &str) -> Result<String> {
    let path = folder().join(format!("{name}.json"));
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

fn json_of(name: &str) -> Result<Value> {
    Ok(serde_json::from_str(&text(name)?)?)
}

#[test]
fn every_file_is_named_by_a_test_and_speaks_of_nobodys_account() -> Result<()> {
    let mut named: BTreeSet<String> =
        [CREATE, ADD_NODE, REMOVE_NODE, NOTHING, REGENERATE, DELETE, DELETE_AFTER].map(str::to_owned).into();
    named.extend(MALFORMED.iter().chain(UNANSWERABLE).map(|(name, _)| (*name).to_owned()));
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.insert(path.file_stem().and_then(|stem| stem.to_str()).context("a name")?.to_owned());
        }
    }
    assert_eq!(found, named);
    for name in &found {
        let text = text(name)?;
        for account in
            text.split(':').filter(|part| part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit()))
        {
            assert_eq!(account, "111122223333", "{name}");
        }
    }
    Ok(())
}

/// A file's text with what a deployment knows put in, and the answer coming to the test.
fn filled(name: &str, kms: &Deployed, stack_id: &str, by_hand: &ByHand) -> Result<String> {
    let text = text(name)?.replace(RESPONSE_URL, &by_hand.response_url());
    Ok(text.replace(STACK_ID, stack_id).replace(KMS_KEY_ARN, kms.output("KmsKeyArn")?))
}

/// The properties of a file, but for the function, which is another one here.
fn properties(name: &str, kms: &Deployed) -> Result<Value> {
    let mut properties = json_of(name)?["ResourceProperties"].take();
    properties["KmsKeyArn"] = json!(kms.output("KmsKeyArn")?);
    properties.as_object_mut().and_then(|map| map.remove("ServiceToken")).context("no ServiceToken")?;
    Ok(properties)
}

struct Play<'a> {
    kms: Deployed,
    by_hand: ByHand<'a>,
    client: RelayedStack,
    physical_id: Option<String>,
}

impl Play<'_> {
    /// Delivers a file in place of the event that CloudFormation sent, from which it may differ only
    /// by what a file cannot know; then has CloudFormation go on with the answer.
    async fn deliver(&mut self, name: &str, sent: &Value, wanted: &str) -> Result<Value> {
        let filled = filled(name, &self.kms, &self.client.id, &self.by_hand)?;
        let mut event: Value = serde_json::from_str(&filled)?;
        event["RequestId"] = sent["RequestId"].clone();
        if let Some(id) = &self.physical_id {
            let stands = event["PhysicalResourceId"].as_str().context("a file without a physical id")?;
            assert_eq!(stands, physical_id(STACK_ID, "tsm"), "{name}");
            event["PhysicalResourceId"] = json!(id);
        }
        assert_eq!(comparable(&event), comparable(sent), "{name} is not what CloudFormation sends");
        self.by_hand.invoke(&event.to_string()).await?;
        let answer = self.by_hand.answer().await?;
        assert_eq!(answer["Status"], "SUCCESS", "{name}: {answer}");
        let id = answer["PhysicalResourceId"].as_str().context("no physical id")?;
        self.physical_id = Some(id.to_owned());
        self.client.finish(sent, &answer, wanted).await?;
        Ok(answer)
    }
}

/// An event without what differs between any two deployments.
fn comparable(event: &Value) -> Value {
    let mut event = event.clone();
    event["ResponseURL"] = json!(RESPONSE_URL);
    for properties in ["ResourceProperties", "OldResourceProperties"] {
        if let Some(token) =
            event.get_mut(properties).and_then(|properties| properties.get_mut("ServiceToken"))
        {
            *token = json!(SERVICE_TOKEN);
        }
    }
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_cluster_are_cloudformations_and_do_what_they_say() -> Result<()> {
    let aws = Aws::start()?;
    let (stack, kms) = aws.deploy([("Cluster", "first")]).await?;
    let (client, event) = RelayedStack::begin(&aws, "client", &properties(CREATE, &kms)?).await?;
    let kms = stack.with("ClientStackIds", &client.id).update().await?;
    let by_hand = ByHand::of(&aws, &kms).await?;
    let mut play = Play { kms, by_hand, client, physical_id: None };

    let created = play.deliver(CREATE, &event, "CREATE_COMPLETE").await?;
    assert_eq!(created["Data"]["NodeCount"], "3");
    let mut nodes = Vec::new();
    for name in [ADD_NODE, REMOVE_NODE] {
        let event = play.client.begin_update(&aws, "client", &properties(name, &play.kms)?).await?;
        let answer = play.deliver(name, &event, "UPDATE_COMPLETE").await?;
        nodes.push(answer["Data"]["NodeCount"].clone());
    }
    assert_eq!(nodes, ["4", "3"]);
    let before = Snapshot::take(&aws).await?;
    assert_eq!(before.scheduled().len(), 3, "{:?}", before.scheduled());
    assert!(before.scheduled().iter().all(|name| name.starts_with("keyboot/tsm/node/1/")));

    let event = play.client.begin_update(&aws, "client", &properties(NOTHING, &play.kms)?).await?;
    play.deliver(NOTHING, &event, "UPDATE_COMPLETE").await?;
    assert_eq!(Snapshot::take(&aws).await?, before);

    let event = play.client.begin_update(&aws, "client", &properties(REGENERATE, &play.kms)?).await?;
    let renewed = play.deliver(REGENERATE, &event, "UPDATE_COMPLETE").await?;
    assert_ne!(renewed["Data"]["Node0PublicKey"], created["Data"]["Node0PublicKey"]);
    let after = Snapshot::take(&aws).await?;
    assert_eq!(after.scheduled(), before.scheduled());
    for (name, secret) in &after.secrets {
        let stays = name.ends_with("/share-encryption-password") || name.contains("/node/1/");
        let versions = before.secrets[name].versions.len();
        let made = usize::from(!stays && name.starts_with("keyboot/tsm/"));
        assert_eq!(secret.versions.len(), versions + made, "{name}");
    }

    let event = play.client.begin_delete().await?;
    play.deliver(DELETE, &event, "DELETE_COMPLETE").await?;
    let after = Snapshot::take(&aws).await?;
    assert_eq!(after.scheduled().len(), 12);
    play.by_hand.heard_nothing().await
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_events_are_refused_by_name_before_any_call() -> Result<()> {
    let aws = Aws::start()?;
    let (_, kms) = aws.deploy([("Cluster", "first")]).await?;
    let (by_hand, role) = (ByHand::of(&aws, &kms).await?, Role::of_node_keys(&aws).await?);
    let (before, mark) = (Snapshot::take(&aws).await?, aws.mark()?);
    for (name, reason) in MALFORMED {
        by_hand.invoke(&filled(name, &kms, &kms.id, &by_hand)?).await?;
        let answer = by_hand.answer().await.with_context(|| (*name).to_owned())?;
        assert_eq!(answer["Status"], "FAILED", "{name}");
        let told = answer["Reason"].as_str().context("no reason")?;
        assert!(told.contains(reason), "{name}: {told}");
        let event = json_of(name)?;
        for echoed in ["RequestId", "LogicalResourceId"] {
            assert_eq!(answer[echoed], event[echoed], "{name}");
        }
        assert!(answer["PhysicalResourceId"].as_str().is_some_and(|id| !id.is_empty()), "{name}: {answer}");
        assert_eq!(aws.calls_since(mark, &role)?, Vec::<String>::new(), "{name}");
    }
    by_hand.invoke(&filled(DELETE_AFTER, &kms, &kms.id, &by_hand)?).await?;
    let answer = by_hand.answer().await.context(DELETE_AFTER)?;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    assert_eq!(aws.writes_since(mark, &role)?, Vec::<String>::new(), "{DELETE_AFTER}");
    assert_eq!(Snapshot::take(&aws).await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_leave_nobody_to_answer_are_told_in_the_log_alone() -> Result<()> {
    let aws = Aws::start()?;
    let (_, kms) = aws.deploy([("Cluster", "first")]).await?;
    let (by_hand, role) = (ByHand::of(&aws, &kms).await?, Role::of_node_keys(&aws).await?);
    let (before, mark) = (Snapshot::take(&aws).await?, aws.mark()?);
    for (name, reason) in UNANSWERABLE {
        let logged = log(&aws)?.len();
        by_hand.invoke(&filled(name, &kms, &kms.id, &by_hand)?).await.with_context(|| (*name).to_owned())?;
        let log = log(&aws)?;
        let fresh = &log[logged..];
        ensure!(
            fresh.contains("could not be answered") && fresh.contains(reason),
            "{name}: the log says {fresh}"
        );
    }
    by_hand.heard_nothing().await?;
    assert_eq!(aws.calls_since(mark, &role)?, Vec::<String>::new());
    assert_eq!(Snapshot::take(&aws).await?, before);
    Ok(())
}

/// What MiniStack and the functions wrote by now.
fn log(aws: &Aws) -> Result<String> {
    Ok(std::fs::read_to_string(aws.ministack.log())?)
}
