//! `keyboot-node status`: what is public of a cluster, as a table or as JSON.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use jiff::Timestamp;
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use reading::{ClusterView, Roster, SecretArn};
use serde_json::{Value, json};

/// The login at a node's own database: which version is current, or why that could not be read.
#[derive(Clone, Debug)]
pub struct DatabaseLogin {
    /// The secret that holds it.
    pub secret: SecretArn,
    /// The version's id.
    pub version: Result<String, String>,
}

/// What is public of a cluster, for programs; beside it what is told of the login at the node's own database,
/// where it is handed one.
#[must_use]
pub fn to_json(view: &ClusterView, login: Option<&DatabaseLogin>, now: Timestamp) -> Value {
    let nodes: Vec<Value> = records(view, now).iter().map(node).collect();
    let refused: Vec<Value> = view
        .refused
        .iter()
        .map(|refusal| json!({"error": refusal.error.to_string(), "index": refusal.index}))
        .collect();
    let roster = view.roster.as_ref().map(|Roster { index, .. }| {
        json!({
            "generation": index.generation,
            "nodeCount": index.node_count,
            "owner": index.owner,
            "regenerate": index.regenerate,
            "serial": index.serial,
            "sha256": index.sha256,
            "store": index.store,
        })
    });
    let mut status =
        json!({"cluster": view.cluster, "nodes": nodes, "refused": refused, "roster": roster, "schema": 1});
    if let Some(DatabaseLogin { secret, version }) = login {
        let (version, error) = (version.as_ref().ok(), version.as_ref().err());
        status["databaseLogin"] = json!({"error": error, "secret": secret.as_str(), "versionId": version});
    }
    status
}

fn node(record: &NodeRecord) -> Value {
    json!({
        "apiKeys": record.api_keys,
        "curve": record.curve.name(),
        "fingerprint": record.fingerprint.to_string(),
        "generation": record.generation,
        "index": record.index,
        "managementKeys": record.management_keys,
        "pending": record.pending,
        "serial": record.serial,
        "shareVersionId": record.share_version_id,
        "version": record.version,
        "versionId": record.version_id,
    })
}

/// The same for people.
#[must_use]
pub fn to_text(view: &ClusterView, login: Option<&DatabaseLogin>, now: Timestamp) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["node", "purpose", "what tells the key", "version id", "it is"]);
    for record in records(view, now) {
        let mut row = |purpose: String, key: String, version: Option<&str>, state: String| {
            let version = version.unwrap_or_default().to_owned();
            table.add_row([record.index.to_string(), purpose, key, version, state]);
        };
        let counts = format!("counts, number {}", record.version);
        row("p2p-key".into(), record.fingerprint.to_string(), Some(&record.version_id), counts);
        if let Some(pending) = &record.pending {
            let state = format!("counts from {}, number {}", pending.counts_from, pending.version);
            row("p2p-key".into(), pending.fingerprint.to_string(), Some(&pending.version_id), state);
        }
        if let Some(version) = &record.share_version_id {
            row(
                "share-encryption-password".into(),
                "(nothing public)".into(),
                Some(version),
                "written once".into(),
            );
        }
        let management = record.management_keys.iter().map(|key| ("management-key".to_owned(), key));
        let api = record.api_keys.iter().flat_map(|(application, keys)| {
            keys.iter().map(move |key| (format!("api-key/{application}"), key))
        });
        for (purpose, key) in management.chain(api) {
            row(purpose, format!("SHA-256 {}", key.hash), key.version_id.as_deref(), state(key, now));
        }
    }
    let mut text = format!("{table}\n");
    if let Some(Roster { index, .. }) = &view.roster {
        let _ = writeln!(
            text,
            "roster: serial {}, {} nodes, digest {} (recomputed), owner {}",
            index.serial, index.node_count, index.sha256, index.owner
        );
    }
    match login.map(|login| (&login.secret, &login.version)) {
        Some((secret, Ok(version))) => {
            let _ = writeln!(text, "database login: version {version} of {secret} is current");
        }
        Some((_, Err(error))) => {
            let _ = writeln!(text, "database login: {error}");
        }
        None => {}
    }
    for refusal in &view.refused {
        let _ = writeln!(text, "node {} is not shown: {}", refusal.index, refusal.error);
    }
    text
}

fn state(key: &AcceptedKey, now: Timestamp) -> String {
    match (key.state, key.until) {
        (KeyState::Candidate, _) => "accepted, and about to be handed out".into(),
        (KeyState::Current, _) => "accepted, and handed out".into(),
        (KeyState::Retiring, Some(until)) if key.is_accepted_at(now) => format!("accepted until {until}"),
        (KeyState::Retiring, _) => "accepted no more".into(),
    }
}

fn records(view: &ClusterView, now: Timestamp) -> Vec<NodeRecord> {
    view.records.values().map(|record| record.clone().at(now)).collect()
}
