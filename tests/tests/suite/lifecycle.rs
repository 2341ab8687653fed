//! The life of a cluster: made, grown, shrunk, left alone, restored, deleted. At each step what was
//! not meant stays as it is, version by version and value by value.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use provisioning::names::{NodeIndex, Purpose};
use rig::cluster::Published;
use rig::stack::{Deployed, Deployment};

use crate::snapshot::{Parameter, Secret, Snapshot};
use crate::support::{Aws, Role, counting};

/// A cluster as everybody sees it and as root does, at one moment.
struct Moment {
    stack: Deployed,
    published: Published,
    stored: Snapshot,
}

impl Moment {
    async fn of(aws: &Aws, stack: Deployed) -> Result<Self> {
        let published = aws.published(&stack).await?;
        let moment = Self { stack, published, stored: Snapshot::take(aws).await? };
        moment.agrees_with_itself()?;
        Ok(moment)
    }

    /// What the records name is stored and current, and the stack's outputs speak of this roster.
    fn agrees_with_itself(&self) -> Result<()> {
        let Published { index, records } = &self.published;
        assert_eq!(self.stack.output("RosterSha256")?, index.sha256);
        assert_eq!(index.node_count, records.len());
        for record in records.values() {
            for (purpose, version_id) in counting(record) {
                let name = record.cluster.secret_name(record.index, &purpose);
                let secret = self.stored.secrets.get(name.as_str()).with_context(|| format!("no {name}"))?;
                assert_eq!(secret.deleted, None, "{name}");
                let version = &secret.versions[&version_id];
                assert!(version.stages.contains("AWSCURRENT"), "{name}: {:?}", version.stages);
            }
            let arn = self.stack.output(&format!("Node{}RecordArn", record.index))?;
            assert!(arn.ends_with(record.cluster.record_parameter(record.index).as_str()), "{arn}");
        }
        Ok(())
    }

    fn secrets_of(&self, index: u32) -> BTreeMap<&str, &Secret> {
        let prefix = format!("keyboot/tsm/node/{index}/");
        let secrets = self.stored.secrets.iter().filter(|(name, _)| name.starts_with(&prefix));
        secrets.map(|(name, secret)| (name.as_str(), secret)).collect()
    }

    fn documents_of(&self, index: u32) -> BTreeMap<&str, &Parameter> {
        let prefix = format!("/keyboot/tsm/node/{index}/");
        let documents = self.stored.parameters.iter().filter(|(name, _)| name.starts_with(&prefix));
        documents.map(|(name, document)| (name.as_str(), document)).collect()
    }

    fn nodes(&self) -> Vec<u32> {
        self.published.records.keys().map(|index| index.get()).collect()
    }
}

/// Nodes whose secrets and documents no operation between the two moments touched.
fn untouched(before: &Moment, after: &Moment, nodes: &[u32]) {
    for &node in nodes {
        assert_eq!(before.secrets_of(node), after.secrets_of(node), "node {node}");
        assert_eq!(before.documents_of(node), after.documents_of(node), "node {node}");
    }
}

async fn update(aws: &Aws, stack: &mut Deployment, parameter: &str, value: &str) -> Result<Moment> {
    *stack = stack.clone().with(parameter, value);
    Moment::of(aws, stack.update().await?).await
}

const PURPOSES: [&str; 4] = ["api-key/default", "management-key", "p2p-key", "share-encryption-password"];

fn names(nodes: &[u32], purposes: &[&str]) -> BTreeSet<String> {
    let names = nodes
        .iter()
        .flat_map(|node| purposes.iter().map(move |purpose| format!("keyboot/tsm/node/{node}/{purpose}")));
    names.collect()
}

fn owned(names: &BTreeSet<&str>) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_cluster_lives_and_nothing_changes_that_was_not_meant_to() -> Result<()> {
    let aws = Aws::start()?;
    let (mut stack, created) = aws.deploy([]).await?;
    let created = Moment::of(&aws, created).await?;
    assert_eq!(created.nodes(), [0, 1, 2]);
    assert_eq!(owned(&created.stored.kept()), names(&[0, 1, 2], &PURPOSES));
    for record in created.published.records.values() {
        assert_eq!((record.version, record.serial), (1, 1), "node {}", record.index);
    }
    assert_eq!(created.published.index.serial, 1);
    assert!(created.stored.secrets.values().all(|secret| secret.versions.len() == 1));
    assert!(!created.stored.parameters.keys().any(|name| name.contains("/intent/")), "a note stands there");

    let grown = update(&aws, &mut stack, "Nodes", "0,1,2,3").await?;
    assert_eq!(grown.nodes(), [0, 1, 2, 3]);
    untouched(&created, &grown, &[0, 1, 2]);
    assert_eq!(grown.published.index.serial, 2);
    assert_ne!(grown.published.index.sha256, created.published.index.sha256);
    assert_eq!(owned(&grown.stored.kept()), names(&[0, 1, 2, 3], &PURPOSES));

    let shrunk = update(&aws, &mut stack, "Nodes", "0,2,3").await?;
    assert_eq!(shrunk.nodes(), [0, 2, 3]);
    untouched(&grown, &shrunk, &[0, 2, 3]);
    assert_eq!(shrunk.published.index.serial, 3);
    node_1_can_come_back(&shrunk)?;

    nothing_is_written_where_nothing_changes(&aws, &mut stack, &shrunk).await?;

    let whole = update(&aws, &mut stack, "Nodes", "0,1,2,3").await?;
    assert_eq!(whole.nodes(), [0, 1, 2, 3]);
    untouched(&grown, &whole, &[0, 2, 3]);
    assert_eq!(whole.secrets_of(1), grown.secrets_of(1), "node 1 came back with other secrets");
    let index: NodeIndex = "1".parse()?;
    assert_eq!(whole.published.records[&index].public_key, grown.published.records[&index].public_key);
    assert_eq!(whole.published.index.sha256, grown.published.index.sha256, "the same cluster as before");
    assert_eq!(whole.published.index.serial, 4);
    for (name, document) in whole.documents_of(1) {
        assert!(document.policies.is_empty(), "{name} still vanishes: {:?}", document.policies);
    }

    stack.delete(&whole.stack.id).await?;
    what_is_left_is_what_the_rules_say(&aws, &whole).await
}

/// KMS makes the new keys, within the function's own policies, and the token before brings the keys
/// before back.
#[tokio::test]
async fn keys_are_regenerated_and_come_back_with_the_token_before() -> Result<()> {
    let aws = Aws::start()?;
    let (mut stack, created) = aws.deploy([("Nodes", "0,1")]).await?;
    let created = Moment::of(&aws, created).await?;
    stack = stack.with("KeyOrigin", "Kms");
    let renewed = update(&aws, &mut stack, "Regenerate", "2026-01").await?;
    assert_eq!(renewed.nodes(), [0, 1]);
    for (index, record) in &renewed.published.records {
        let before = &created.published.records[index];
        assert_eq!((before.version, record.version), (1, 2), "node {index}");
        assert_ne!(record.public_key, before.public_key);
        assert_eq!(record.share_version_id, before.share_version_id);
        for (name, secret) in renewed.secrets_of(index.get()) {
            let is_password = name.ends_with("/share-encryption-password");
            assert_eq!(secret.versions.len(), if is_password { 1 } else { 2 }, "{name}");
        }
    }
    let calls = aws.calls_since(0, &Role::of_node_keys(&aws).await?)?;
    assert!(calls.iter().any(|call| call == "GenerateDataKeyPairWithoutPlaintext"), "{calls:?}");

    stack = stack.with("KeyOrigin", "Function");
    let back = update(&aws, &mut stack, "Regenerate", "").await?;
    assert_eq!(back.published.index.sha256, created.published.index.sha256);
    for (index, record) in &back.published.records {
        let before = &created.published.records[index];
        assert_eq!((&record.version_id, &record.api_keys), (&before.version_id, &before.api_keys));
        assert_eq!((record.version, record.serial), (before.version, before.serial + 2));
    }
    Ok(())
}

/// `OnDelete: Schedule` for all but the password, whose rule is to stay.
fn node_1_can_come_back(shrunk: &Moment) -> Result<()> {
    let scheduled = owned(&shrunk.stored.scheduled());
    assert_eq!(scheduled, names(&[1], &["api-key/default", "management-key", "p2p-key"]));
    assert!(shrunk.secrets_of(1)["keyboot/tsm/node/1/share-encryption-password"].deleted.is_none());
    let documents = shrunk.documents_of(1);
    assert!(!documents.contains_key("/keyboot/tsm/node/1/env"), "a node that is gone has an environment");
    let record =
        documents.get("/keyboot/tsm/node/1/record").context("the record does not wait for its key")?;
    assert!(record.policies.contains("Expiration"), "{:?}", record.policies);
    Ok(())
}

/// A property changes that is only read when something goes.
async fn nothing_is_written_where_nothing_changes(
    aws: &Aws,
    stack: &mut Deployment,
    before: &Moment,
) -> Result<()> {
    let (role, mark) = (Role::of_node_keys(aws).await?, aws.mark()?);
    let after = update(aws, stack, "RecoveryWindowDays", "29").await?;
    assert_eq!(aws.answers_since(mark)?.len(), 1, "CloudFormation did not send one Update");
    assert_eq!(after.stored, before.stored);
    assert_eq!(after.published, before.published);
    assert_eq!(aws.writes_since(mark, &role)?, Vec::<String>::new());
    let calls = aws.calls_since(mark, &role)?;
    assert!(calls.iter().any(|call| call == "DescribeSecret"), "the recorder saw nothing: {calls:?}");
    Ok(())
}

async fn what_is_left_is_what_the_rules_say(aws: &Aws, before: &Moment) -> Result<()> {
    let left = Snapshot::take(aws).await?;
    let nodes = [0, 1, 2, 3];
    let goes = ["api-key/default", "management-key", "p2p-key"];
    assert_eq!(owned(&left.scheduled()), names(&nodes, &goes));
    assert_eq!(owned(&left.kept()), names(&nodes, &["share-encryption-password"]));
    for (name, secret) in &left.secrets {
        let same = Secret { deleted: None, ..secret.clone() };
        let was = &before.stored.secrets[name];
        assert_eq!(
            same.versions.keys().collect::<Vec<_>>(),
            was.versions.keys().collect::<Vec<_>>(),
            "{name}"
        );
        assert_eq!((&same.arn, &same.tags), (&was.arn, &was.tags), "{name}");
        if name.ends_with(&Purpose::SharePassword.to_string()) {
            assert_eq!(&same, was, "{name}");
        }
    }
    // The records wait for their keys, the roster for the passwords; environments and notes go.
    let serial = before.published.index.serial;
    let mut documents: BTreeSet<String> =
        nodes.iter().map(|node| format!("/keyboot/tsm/node/{node}/record")).collect();
    documents.insert("/keyboot/tsm/roster/index".to_owned());
    documents.insert(format!("/keyboot/tsm/roster/{serial}/page/0"));
    assert_eq!(left.parameters.keys().cloned().collect::<BTreeSet<_>>(), documents);
    for (name, document) in &left.parameters {
        let expires = document.policies.contains("Expiration");
        assert_eq!(expires, name.ends_with("/record"), "{name}: {:?}", document.policies);
        assert_eq!(document.value, before.stored.parameters[name].value, "{name}");
    }
    Ok(())
}
