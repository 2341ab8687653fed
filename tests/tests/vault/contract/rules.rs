//! What must hold of what is stored, whatever happened before.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use key_material::{ApiKeyHash, Curve, P2pPrivateKey};
use provisioning::names::{Application, ClusterName, Purpose};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use provisioning::roster::RosterIndex;
use serde_json::{Value, json};

use crate::stage::{Declared, Secret, Stage, Stored};

/// What is published of a cluster, every signature checked.
pub(crate) struct Published {
    pub(crate) index: RosterIndex,
    pub(crate) records: BTreeMap<u32, NodeRecord>,
    /// The paths of the documents that it takes.
    names: BTreeSet<String>,
}

impl Published {
    pub(crate) fn of(stage: &Stage, stored: &Stored, cluster: &ClusterName) -> Result<Self> {
        let keys = &stage.keys;
        let index_name = cluster.roster_index_parameter();
        let index = RosterIndex::verify(&stored.document(index_name.as_str())?.text, keys, cluster)?;
        let mut names = BTreeSet::from([path(index_name.as_str())]);
        let mut pages = Vec::new();
        for page in 0..index.pages {
            let name = cluster.roster_page_parameter(index.serial, page);
            pages.push(stored.document(name.as_str())?.text.clone());
            names.insert(path(name.as_str()));
        }
        let mut records = BTreeMap::new();
        for entry in index.entries(&pages)? {
            let name = cluster.record_parameter(entry.index);
            let record =
                NodeRecord::verify(&stored.document(name.as_str())?.text, keys, cluster, entry.index, 0)?;
            ensure!(
                (record.fingerprint, record.version) == (entry.fingerprint, entry.version),
                "the roster lists another key for node {}",
                entry.index
            );
            names.insert(path(name.as_str()));
            names.insert(path(cluster.environment_parameter(entry.index).as_str()));
            records.insert(entry.index.get(), record);
        }
        Ok(Self { index, records, names })
    }
}

fn path(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}

/// Whether a document vanishes at a time.
fn expires(stored: &Stored, name: &str) -> bool {
    stored.documents.get(name).is_some_and(|document| document.expires.is_some())
}

/// A cluster in service: each public half fits the private half that is stored, each record names what is
/// handed out, all is its owner's, and nothing is left over.
pub(crate) async fn assert_in_service(stage: &Stage, declared: &Declared, stored: &Stored) -> Result<()> {
    let cluster = declared.cluster_name();
    let asked = declared.cluster.as_ref().context("no cluster is declared")?;
    let published = Published::of(stage, stored, &cluster)?;
    let listed: BTreeSet<u32> = published.records.keys().copied().collect();
    ensure!(listed == asked.nodes, "the roster lists {listed:?}");
    ensure!(
        published.index.owner == declared.owner_id(&cluster),
        "the roster is {}'s",
        published.index.owner
    );

    let mut expected = BTreeSet::new();
    for (&node, record) in &published.records {
        let applications: BTreeSet<&str> = record.api_keys.keys().map(Application::as_str).collect();
        ensure!(
            applications == asked.applications.iter().copied().collect(),
            "node {node} accepts keys of {applications:?}"
        );
        for purpose in asked.purposes() {
            let name = format!("{cluster}/node/{node}/{purpose}");
            let secret = stored.secret(&name)?;
            ensure!(!secret.is_leaving(), "{name} goes although it is in service");
            assert_counts(stage, declared, record, &name, &purpose.parse()?, secret)
                .await
                .with_context(|| name.clone())?;
            expected.insert(name);
        }
    }
    assert_nothing_is_left_over(stored, &cluster, &published.names, &expected)?;
    assert_owned(declared, &cluster, stored)
}

/// Of one secret exactly one version counts, and what is published of it is its public half.
async fn assert_counts(
    stage: &Stage,
    declared: &Declared,
    record: &NodeRecord,
    name: &str,
    purpose: &Purpose,
    secret: &Secret,
) -> Result<()> {
    let current = secret.current()?;
    let value = secret.value(current)?;
    let id = current.to_string();
    let names_it = |keys: &[AcceptedKey]| {
        let mut counting = keys.iter().filter(|key| key.state == KeyState::Current);
        let counts = counting.next().is_some_and(|key| {
            key.version_id.as_deref() == Some(id.as_str()) && key.hash == ApiKeyHash::of(value)
        });
        counts && counting.next().is_none()
    };
    let fits = match purpose {
        Purpose::P2pKey => {
            let counting: u64 = record.version_id.parse()?;
            let key = open_key(stage, declared, name, secret.value(counting)?).await?;
            let pending = record.pending.as_ref();
            if let Some(pending) = pending {
                let next =
                    open_key(stage, declared, name, secret.value(pending.version_id.parse()?)?).await?;
                ensure!(next.matches(&pending.public_key), "what is announced is another key");
            }
            let handed_out = pending.map_or(&record.version_id, |pending| &pending.version_id);
            key.matches(&record.public_key) && *handed_out == id && record.curve == curve_of(declared)?
        }
        Purpose::SharePassword => {
            let password = open(stage, declared, name, value).await?;
            ensure!(password.len() == 43, "no password");
            ensure!(secret.values.len() == 1, "a password has {} versions", secret.values.len());
            record.share_version_id.as_deref() == Some(id.as_str())
        }
        Purpose::ManagementKey => names_it(&record.management_keys),
        Purpose::ApiKey(application) => names_it(&record.api_keys[application]),
    };
    ensure!(fits, "the record does not fit version {id}");
    Ok(())
}

fn curve_of(declared: &Declared) -> Result<Curve> {
    let lines = declared.cluster.as_ref().map(|cluster| &cluster.lines);
    let curve = lines.and_then(|lines| lines.get("curve")).map_or("P-256", |curve| curve.trim_matches('"'));
    curve.parse().map_err(|_| anyhow::anyhow!("no curve"))
}

/// What a node finds in its secret: sealed for itself and for nobody else.
async fn open(stage: &Stage, declared: &Declared, name: &str, value: &str) -> Result<Vec<u8>> {
    let stored: Value = serde_json::from_str(value).context("a value that is no JSON")?;
    let cluster = declared.namespace.clone() + "/";
    let below = name.strip_prefix(&cluster).context("of another namespace")?;
    let (own, rest) = below.split_once("/node/").context("no name of a secret")?;
    let (node, purpose) = rest.split_once('/').context("no name of a secret")?;
    let context = json!({
        "keyboot:cluster": format!("{cluster}{own}"), "keyboot:node": node, "keyboot:purpose": purpose,
    });
    ensure!(stored["context"] == context, "sealed for {}", stored["context"]);
    ensure!(stored["keyArn"] == "arn:vault:transit:ops:root:key/seal", "sealed under {}", stored["keyArn"]);
    stage.open(value).await
}

pub(crate) async fn open_key(
    stage: &Stage,
    declared: &Declared,
    name: &str,
    value: &str,
) -> Result<P2pPrivateKey> {
    Ok(P2pPrivateKey::from_pkcs8_der(&open(stage, declared, name, value).await?)?)
}

/// What is there beside what is expected goes by its rule: secrets into their recovery window or, of the
/// password, nowhere; records vanish.
fn assert_nothing_is_left_over(
    stored: &Stored,
    cluster: &ClusterName,
    documents: &BTreeSet<String>,
    secrets: &BTreeSet<String>,
) -> Result<()> {
    let below = format!("{cluster}/");
    for (name, secret) in stored.secrets.iter().filter(|(name, _)| name.starts_with(&below)) {
        if name[below.len()..].starts_with("role/") {
            continue;
        }
        let goes_by_rule = secret.is_leaving() || name.ends_with("/share-encryption-password");
        ensure!(secrets.contains(name) || goes_by_rule, "{name} is left over");
    }
    for name in stored.documents.keys().filter(|name| name.starts_with(&below)) {
        if documents.contains(name) {
            ensure!(!expires(stored, name), "{name} vanishes although it is in service");
        } else {
            let is_of_work = ["operation", "chain"].iter().any(|of_work| name[below.len()..] == **of_work)
                || name.ends_with("/lease");
            let vanishes = name.ends_with("/record") && expires(stored, name);
            ensure!(is_of_work || vanishes, "{name} is left over");
        }
    }
    Ok(())
}

/// Everything is its owner's, so that nothing is there which nobody would ever remove.
pub(crate) fn assert_owned(declared: &Declared, cluster: &ClusterName, stored: &Stored) -> Result<()> {
    let (below, owner) = (format!("{cluster}/"), declared.owner_id(cluster));
    for (name, secret) in stored.secrets.iter().filter(|(name, _)| name.starts_with(&below)) {
        ensure!(secret.owner() == Some(owner.as_str()), "{name} is {:?}'s", secret.owner());
    }
    Ok(())
}

/// No value is there that was not, and none has changed; where nothing may have been made at all.
pub(crate) fn assert_same_values(before: &Stored, after: &Stored) -> Result<()> {
    ensure!(values(before) == values(after), "a value was made, changed or lost");
    Ok(())
}

/// Every value by its name and version.
pub(crate) fn values(stored: &Stored) -> BTreeMap<String, BTreeMap<u64, Option<String>>> {
    stored.secrets.iter().map(|(name, secret)| (name.clone(), secret.values.clone())).collect()
}

/// Whatever was there is there with its values, and of nothing is there more than one version more.
pub(crate) fn assert_made_once(start: &Stored, died: &Stored, after: &Stored) -> Result<()> {
    for (name, secret) in &died.secrets {
        let kept = after.secrets.get(name).with_context(|| format!("{name} is gone"))?;
        for (version, value) in &secret.values {
            ensure!(kept.values.get(version) == Some(value), "version {version} of {name} has another value");
        }
    }
    for (name, secret) in &after.secrets {
        let before = start.secrets.get(name).map_or(0, |secret| secret.values.len());
        ensure!(secret.values.len() <= before + 1, "{name} was made twice");
    }
    Ok(())
}

/// After a removal by the default rules: what was in service can come back, the password stays, nothing tells
/// of an unfinished removal.
pub(crate) fn assert_gone_by_rule(stored: &Stored, cluster: &ClusterName) -> Result<()> {
    let below = format!("{cluster}/");
    let mut secrets = 0;
    for (name, secret) in stored.secrets.iter().filter(|(name, _)| name.starts_with(&below)) {
        let is_password = name.ends_with("/share-encryption-password");
        ensure!(secret.is_leaving() != is_password, "{name}: goes is {}", secret.is_leaving());
        secrets += 1;
    }
    ensure!(secrets > 0, "nothing can come back");
    for name in stored.documents.keys().filter(|name| name.starts_with(&below)) {
        let below = &name[below.len()..];
        let is_roster = below.starts_with("roster/");
        let stays =
            is_roster || below == "operation" || below.ends_with("/record") || below.ends_with("/lease");
        ensure!(stays, "{name} is left over");
        ensure!(!below.ends_with("/record") || expires(stored, name), "{name} does not vanish");
    }
    Ok(())
}
