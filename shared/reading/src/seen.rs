//! The highest serial numbers that a reader has met.
//!
//! A signature proves who wrote a document, not that it is the latest: somebody who may write the
//! parameter could put an older one back, and with it keys that were replaced. So a reader keeps what it
//! has seen, and refuses less.

use std::collections::BTreeMap;

use provisioning::names::{ClusterName, NodeIndex};
use serde::{Deserialize, Serialize};

/// The highest serial numbers that a reader has met. Public facts, kept over restarts.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    #[serde(default)]
    records: BTreeMap<String, u64>,
    #[serde(default)]
    rosters: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    chains: BTreeMap<String, u64>,
}

impl Seen {
    /// Of the record of a node; 0 where none was met.
    #[must_use]
    pub fn record(&self, cluster: &ClusterName, index: NodeIndex) -> u64 {
        self.records.get(&key(cluster, index)).copied().unwrap_or_default()
    }

    /// Of the roster of a cluster; 0 where none was met.
    #[must_use]
    pub fn roster(&self, cluster: &ClusterName) -> u64 {
        self.rosters.get(cluster.as_str()).copied().unwrap_or_default()
    }

    /// Of the document of a chain; 0 where none was met.
    #[must_use]
    pub fn chain(&self, chain: &ClusterName) -> u64 {
        self.chains.get(chain.as_str()).copied().unwrap_or_default()
    }

    /// Takes note of all that another one has.
    pub fn merge(&mut self, other: &Self) {
        let both = [
            (&mut self.records, &other.records),
            (&mut self.rosters, &other.rosters),
            (&mut self.chains, &other.chains),
        ];
        for (own, others) in both {
            for (key, serial) in others {
                let seen = own.entry(key.clone()).or_default();
                *seen = (*serial).max(*seen);
            }
        }
    }

    /// Takes note of a record's serial number.
    pub fn note_record(&mut self, cluster: &ClusterName, index: NodeIndex, serial: u64) {
        let seen = self.records.entry(key(cluster, index)).or_default();
        *seen = serial.max(*seen);
    }

    /// Takes note of a roster's serial number.
    pub fn note_roster(&mut self, cluster: &ClusterName, serial: u64) {
        let seen = self.rosters.entry(cluster.to_string()).or_default();
        *seen = serial.max(*seen);
    }

    /// Takes note of a chain document's serial number.
    pub fn note_chain(&mut self, chain: &ClusterName, serial: u64) {
        let seen = self.chains.entry(chain.to_string()).or_default();
        *seen = serial.max(*seen);
    }
}

fn key(cluster: &ClusterName, index: NodeIndex) -> String {
    format!("{cluster}/node/{index}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_only_grows_and_survives_a_restart() {
        let (cluster, node) = ("keyboot/tsm".parse().unwrap(), "1".parse().unwrap());
        let mut seen = Seen::default();
        assert_eq!((seen.record(&cluster, node), seen.roster(&cluster)), (0, 0));
        for serial in [3, 2] {
            seen.note_record(&cluster, node, serial);
            seen.note_roster(&cluster, serial + 1);
        }
        let text = serde_json::to_string(&seen).unwrap();
        assert_eq!(text, r#"{"records":{"keyboot/tsm/node/1":3},"rosters":{"keyboot/tsm":4}}"#);
        let again: Seen = serde_json::from_str(&text).unwrap();
        assert_eq!((again.record(&cluster, node), again.roster(&cluster)), (3, 4));
        assert_eq!(again.record(&cluster, "0".parse().unwrap()), 0);
    }

    #[test]
    fn of_chains_the_same() {
        let chain = "keyboot/l2".parse().unwrap();
        let (mut seen, mut other) = (Seen::default(), Seen::default());
        assert_eq!(seen.chain(&chain), 0);
        seen.note_chain(&chain, 3);
        seen.note_chain(&chain, 2);
        other.note_chain(&chain, 4);
        assert_eq!(
            serde_json::to_string(&seen).unwrap(),
            r#"{"records":{},"rosters":{},"chains":{"keyboot/l2":3}}"#
        );
        seen.merge(&other);
        assert_eq!(seen.chain(&chain), 4);
    }
}
