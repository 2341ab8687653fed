//! `cargo xtask demo --rotate`: one node's API key and another's P2P key are replaced, while the records
//! tell which ones are accepted and which one counts from when.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::ensure;
use console::style;
use provisioning::names::{ClusterName, NodeIndex, Purpose};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use provisioning::signed::PinnedKeys;
use rig::cloud::Cloud;
use rig::{cluster, rotating};

use super::table;
use crate::terminal::{headline, say};

/// What is rotated, and how it is checked.
pub(super) struct Rotating<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) cluster: &'a ClusterName,
    pub(super) keys: &'a PinnedKeys,
    pub(super) api_key_of: NodeIndex,
    pub(super) p2p_key_of: NodeIndex,
}

impl Rotating<'_> {
    /// Shows both before, during and after.
    pub(super) async fn show(&self) -> anyhow::Result<()> {
        headline(&format!(
            "The API key of node {} and the P2P key of node {} rotate",
            self.api_key_of, self.p2p_key_of
        ));
        let before = self.records().await?;
        say("before");
        print(&before);
        let api_key = self.secret(self.api_key_of, "api-key/default")?;
        let p2p_key = self.secret(self.p2p_key_of, "p2p-key")?;
        let versions =
            [rotating::begin(self.cloud, &api_key).await?, rotating::begin(self.cloud, &p2p_key).await?];
        let seen = RefCell::new(before.clone());
        let [of_api_key, of_p2p_key] = &versions;
        let rotations = [(api_key.as_str(), of_api_key.as_str()), (p2p_key.as_str(), of_p2p_key.as_str())];
        rotating::wait(self.cloud, &rotations, async || {
            let now = self.records().await?;
            for (index, record) in &now {
                if seen.borrow().get(index) != Some(record) {
                    say(&format!("  {} of node {index}: {}", style("record").dim(), line(record)));
                }
            }
            *seen.borrow_mut() = now;
            Ok(())
        })
        .await?;
        let after = self.records().await?;
        say("after");
        print(&after);
        self.check(&before, &after)
    }

    /// The old keys are as good as the new ones for now.
    fn check(
        &self,
        before: &BTreeMap<NodeIndex, NodeRecord>,
        after: &BTreeMap<NodeIndex, NodeRecord>,
    ) -> anyhow::Result<()> {
        let accepted = |records: &BTreeMap<NodeIndex, NodeRecord>| {
            records[&self.api_key_of].api_keys.values().next().cloned().unwrap_or_default()
        };
        let (old, new) = (accepted(before), accepted(after));
        let still = old.iter().all(|old| new.iter().any(|new| new.hash == old.hash));
        ensure!(new.len() == old.len() + 1 && still, "the API key before is not accepted any more");
        let (old, new) = (&before[&self.p2p_key_of], &after[&self.p2p_key_of]);
        ensure!(new.pending.is_some() && new.fingerprint == old.fingerprint, "the P2P key does not wait");
        Ok(())
    }

    fn secret(&self, index: NodeIndex, purpose: &str) -> anyhow::Result<String> {
        let purpose: Purpose = purpose.parse()?;
        Ok(self.cluster.secret_name(index, &purpose).as_str().to_owned())
    }

    /// The records of both nodes, every signature checked.
    async fn records(&self) -> anyhow::Result<BTreeMap<NodeIndex, NodeRecord>> {
        let mut records = BTreeMap::new();
        for index in [self.api_key_of, self.p2p_key_of] {
            let text = cluster::document(self.cloud, &self.cluster.record_parameter(index)).await?;
            records.insert(index, NodeRecord::verify(&text, self.keys, self.cluster, index, 0)?);
        }
        Ok(records)
    }
}

fn print(records: &BTreeMap<NodeIndex, NodeRecord>) {
    let mut table = table(["node", "purpose", "what tells the key", "it is"]);
    for (index, record) in records {
        let mut row = |purpose: &str, key: String, state: String| {
            table.add_row([index.to_string(), purpose.to_owned(), key, state]);
        };
        row("p2p-key", record.fingerprint.to_string(), format!("counts, version {}", record.version));
        if let Some(pending) = &record.pending {
            let state = format!("counts from {}, version {}", pending.counts_from, pending.version);
            row("p2p-key", pending.fingerprint.to_string(), state);
        }
        for (application, keys) in &record.api_keys {
            for key in keys {
                row(&format!("api-key/{application}"), format!("SHA-256 {}", key.hash), state(key));
            }
        }
    }
    say(&table.to_string());
}

fn state(key: &AcceptedKey) -> String {
    match (key.state, key.until) {
        (KeyState::Candidate, _) => "accepted, and about to be handed out".to_owned(),
        (KeyState::Current, _) => "accepted, and handed out".to_owned(),
        (KeyState::Retiring, Some(until)) => format!("accepted until {until}"),
        (KeyState::Retiring, None) => "accepted no more".to_owned(),
    }
}

/// A record as it changes, in a line.
fn line(record: &NodeRecord) -> String {
    let keys = record.api_keys.values().flatten().map(|key| {
        let hash = key.hash.to_string();
        format!("{}… {}", &hash[..8], state(key))
    });
    let waits = record.pending.iter().map(|pending| {
        let fingerprint = pending.fingerprint.to_string();
        format!("{}… counts from {}", &fingerprint[..15], pending.counts_from)
    });
    keys.chain(waits).collect::<Vec<_>>().join("; ")
}
