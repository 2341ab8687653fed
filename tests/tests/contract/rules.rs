//! What must hold of what is stored, whatever happened before.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_material::{ApiKeyHash, P2pPrivateKey};
use provisioning::names::{ClusterName, NodeIndex, Purpose, Slot};
use provisioning::properties::ClusterSpec;
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use provisioning::roster::RosterIndex;
use provisioning::rotation_policy::ScheduleExpression;
use provisioning::store::Store;
use provisioning::version_label::VersionLabel;
use serde_json::Value;

use crate::cloudformation::Properties;
use crate::stage::{Stage, Stored, StoredSecret};

/// Whether the cluster reached its commit mark.
pub(crate) fn is_marked(stored: &Stored) -> bool {
    stored.documents.keys().any(|name| name.ends_with("/roster/index"))
}

/// Rules 2 and 3 of a cluster in service: each public half fits the private half that is stored, each
/// record names the version that is handed out, and nothing is left over. `allows` are nodes and
/// applications that were there before and go by their rules.
pub(crate) fn assert_in_service(stage: &Stage, declared: &Properties) -> Result<()> {
    let stored = stage.stored();
    let spec = ClusterSpec::parse(&stage.with_key(declared).0).context("the declared properties")?;
    let cluster = &spec.cluster;
    let keys = &stage.keys;
    let document = |name: &str| stored.documents.get(name).with_context(|| format!("there is no {name}"));

    let index = &document(cluster.roster_index_parameter().as_str())?.text;
    let index = RosterIndex::verify(index, keys, cluster)?;
    let mut pages = Vec::new();
    let mut expected = BTreeSet::from([cluster.roster_index_parameter()]);
    for page in 0..index.pages {
        let name = cluster.roster_page_parameter(index.serial, page);
        pages.push(document(name.as_str())?.text.clone());
        expected.insert(name);
    }
    ensure!(index.regenerate == spec.regenerate, "the roster is of another token");
    let entries = index.entries(&pages)?;
    let listed: BTreeSet<NodeIndex> = entries.iter().map(|entry| entry.index).collect();
    ensure!(listed == spec.nodes, "the roster lists {listed:?}");
    for &node in &spec.nodes {
        expected.extend([cluster.record_parameter(node), cluster.environment_parameter(node)]);
    }
    let expected: BTreeSet<_> = expected.iter().map(|name| name.as_str().to_owned()).collect();
    for (name, document) in stored.documents_of(cluster) {
        if expected.contains(name) {
            ensure!(!document.expires, "{name} vanishes although it is in service");
        } else if !name.ends_with("/lease") {
            ensure!(name.ends_with("/record") && document.expires, "{name} is left over");
        }
    }

    let slots = spec.slots();
    let names: BTreeSet<String> =
        slots.iter().map(|slot| cluster.secret_name(slot.index, &slot.purpose).as_str().to_owned()).collect();
    for (name, secret) in stored.secrets_of(cluster) {
        let labels: Vec<VersionLabel> = secret.labels.keys().filter_map(|label| label.parse().ok()).collect();
        ensure!(labels.len() <= 2, "{name} holds too many versions: {labels:?}");
        ensure!(!labels.is_empty() || secret.versions.len() == 1, "{name} has versions without a label");
        if let (false, true) = (labels.is_empty(), names.contains(name)) {
            let labelled = labels.iter().any(|label| {
                let held = label.to_text().ok().and_then(|text| secret.labels.get(&text));
                label.token == spec.token() && held == secret.labels.get("AWSCURRENT")
            });
            ensure!(labelled, "{name} hands out a version of another token");
        }
        let goes_by_rule = name.ends_with("/share-encryption-password") || secret.scheduled;
        ensure!(names.contains(name) || goes_by_rule, "{name} is left over");
    }
    for entry in &entries {
        let text = &document(cluster.record_parameter(entry.index).as_str())?.text;
        let record = NodeRecord::verify(text, keys, cluster, entry.index, 0)?;
        ensure!(
            (record.fingerprint, record.version) == (entry.fingerprint, entry.version),
            "the roster lists another key"
        );
        let environment = &document(cluster.environment_parameter(entry.index).as_str())?.text;
        let environment: Value = serde_json::from_str(environment)?;
        let applications: BTreeSet<_> = record.api_keys.keys().collect();
        ensure!(applications == spec.applications.iter().collect(), "applications {applications:?}");
        for purpose in spec.purposes() {
            let name = cluster.secret_name(entry.index, &purpose);
            let secret = stored.secrets.get(name.as_str()).with_context(|| format!("there is no {name}"))?;
            ensure!(!secret.scheduled, "{name} is scheduled for deletion although it is in service");
            ensure!(
                secret.tags["keyboot:owner"] == stage.physical_id(cluster_of(cluster)),
                "{name} is not its owner's"
            );
            let slot = Slot { index: entry.index, purpose: purpose.clone() };
            let rotated = secret.rotated.as_deref().and_then(|rotated| rotated.split(" by ").next());
            ensure!(rotated == schedule_of(&spec, &purpose), "{name} is rotated by {:?}", secret.rotated);
            ensure!(
                admitted(secret)? == spec.admitted.to(&slot).roles.iter().map(ToString::to_string).collect(),
                "{name} is for others than those declared: {:?}",
                secret.policy
            );
            let (version_id, value) = secret.current().context("no version")?;
            let names_it = |keys: &[AcceptedKey]| {
                let [key] = keys else { return false };
                key.state == KeyState::Current
                    && key.version_id.as_ref() == Some(version_id)
                    && key.hash == ApiKeyHash::of(value)
            };
            let fits = match &purpose {
                Purpose::P2pKey => {
                    let key = P2pPrivateKey::from_pkcs8_der(&open(stage, value)?)?;
                    key.matches(&record.public_key)
                        && record.curve == spec.curve
                        && record.version_id == *version_id
                        && environment["p2pKeyArn"] == secret.arn.as_str()
                }
                Purpose::SharePassword => {
                    ensure!(open(stage, value)?.len() == 43, "no password");
                    record.share_version_id.as_ref() == Some(version_id)
                        && environment["shareSecretArn"] == secret.arn.as_str()
                }
                Purpose::ManagementKey => names_it(&record.management_keys),
                Purpose::ApiKey(application) => names_it(&record.api_keys[application]),
            };
            ensure!(fits, "the record does not fit {name}");
        }
    }
    Ok(())
}

/// The schedule that Secrets Manager is to keep for a secret.
fn schedule_of<'a>(spec: &'a ClusterSpec, purpose: &Purpose) -> Option<&'a str> {
    let policy = spec.rotation.as_ref().filter(|_| spec.store == Store::SecretsManager)?;
    policy.every(purpose).map(ScheduleExpression::as_str)
}

/// The roles that a secret's policy names: those whom it lets in and, no others, whom it does not keep
/// out.
fn admitted(secret: &StoredSecret) -> Result<BTreeSet<String>> {
    let Some(policy) = &secret.policy else { return Ok(BTreeSet::new()) };
    let policy: Value = serde_json::from_str(policy)?;
    let named = |effect: &str, operator: &str| -> Result<BTreeSet<String>> {
        let statements = policy["Statement"].as_array().context("no statements")?;
        let reads = |statement: &&Value| {
            statement["Effect"] == effect && statement["Action"].to_string().contains("GetSecretValue")
        };
        let statement = statements.iter().find(reads).context("nothing is said of reading")?;
        Ok(serde_json::from_value(statement["Condition"][operator]["aws:PrincipalArn"].clone())?)
    };
    let admitted = named("Allow", "StringEquals")?;
    ensure!(admitted == named("Deny", "StringNotEquals")?, "a policy of two minds: {policy}");
    Ok(admitted)
}

/// The cluster's own name, without its namespace.
fn cluster_of(cluster: &ClusterName) -> &str {
    let name = cluster.as_str();
    name.rsplit('/').next().unwrap_or(name)
}

/// What a node finds in its secret.
pub(crate) fn open(stage: &Stage, value: &str) -> Result<Vec<u8>> {
    let stored: Value = serde_json::from_str(value)?;
    let Some(sealed) = stored["sealed"].as_str() else {
        let plain = stored["pkcs8"].as_str().context("neither sealed nor plain")?;
        return Ok(STANDARD.decode(plain)?);
    };
    let context: BTreeMap<String, String> = serde_json::from_value(stored["context"].clone())?;
    stage.decrypt(&STANDARD.decode(sealed)?, &context)
}

/// Rule 6, before the mark: a Create that never reached it leaves nothing at all.
pub(crate) fn assert_nothing_is_left(stored: &Stored) -> Result<()> {
    let names: Vec<_> = stored.secrets.keys().chain(stored.documents.keys()).collect();
    ensure!(names.is_empty(), "left over: {names:?}");
    Ok(())
}

/// Rules 6 and 9, after the mark, by the default deletion rules: secrets can come back, the password
/// stays, documents vanish in time, and nothing tells of an unfinished removal.
pub(crate) fn assert_gone_by_rule(stored: &Stored) -> Result<()> {
    ensure!(!stored.secrets.is_empty(), "nothing can come back");
    for (name, secret) in &stored.secrets {
        let is_password = name.ends_with("/share-encryption-password");
        ensure!(secret.scheduled != is_password, "{name}: scheduled is {}", secret.scheduled);
    }
    for (name, document) in &stored.documents {
        let is_roster = name.contains("/roster/");
        let stays = ["/record", "/lease"].iter().any(|kind| name.ends_with(kind));
        ensure!(is_roster || stays, "{name} is left over");
        ensure!(is_roster || document.expires, "{name} does not vanish");
    }
    Ok(())
}

/// The rule of the commit mark.
pub(crate) fn assert_removed(before: &Stored, stored: &Stored) -> Result<()> {
    if is_marked(before) { assert_gone_by_rule(stored) } else { assert_nothing_is_left(stored) }
}

/// What a rollback has to bring back (rule 5): the value and the version of every secret of these
/// nodes, every record but its serial number, and the roster's digest.
pub(crate) fn to_bring_back(stage: &Stage, declared: &Properties) -> Result<Vec<String>> {
    let spec = ClusterSpec::parse(&stage.with_key(declared).0)?;
    let (stored, keys) = (stage.stored(), &stage.keys);
    let mut lines = Vec::new();
    for slot in spec.slots() {
        let name = spec.cluster.secret_name(slot.index, &slot.purpose);
        let secret = stored.secrets.get(name.as_str()).with_context(|| format!("there is no {name}"))?;
        let current = secret.current().context("no version")?;
        let StoredSecret { arn, policy, key, rotated, .. } = secret;
        lines.push(format!("{name} {arn} {} {current:?} {key:?} {policy:?} {rotated:?}", secret.scheduled));
    }
    for &node in &spec.nodes {
        let name = spec.cluster.record_parameter(node);
        let text = &stored.documents.get(name.as_str()).with_context(|| format!("there is no {name}"))?.text;
        let mut record = NodeRecord::verify(text, keys, &spec.cluster, node, 0)?;
        record.serial = 0;
        lines.push(serde_json::to_string(&record)?);
        let name = spec.cluster.environment_parameter(node);
        lines.push(stored.documents.get(name.as_str()).with_context(|| format!("no {name}"))?.text.clone());
    }
    lines.push(roster_digest(&stored, &spec.cluster)?);
    Ok(lines)
}

fn roster_digest(stored: &Stored, cluster: &ClusterName) -> Result<String> {
    let index = stored.documents.get(cluster.roster_index_parameter().as_str()).context("no roster")?;
    let index: Value = serde_json::from_str(&index.text)?;
    // The signed text stands in it as a document of its own.
    Ok(index["roster"]["sha256"].as_str().context("no digest")?.to_owned())
}
