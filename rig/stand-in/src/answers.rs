//! What a node answers, as its clients read it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The answer to `POST /call`: the API key was accepted, and the node asked every other node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Called {
    /// Which node answers.
    pub index: u32,
    /// What came of each other node: `ok`, or why not.
    pub peers: BTreeMap<u32, String>,
}

impl Called {
    /// What stands for a peer that authenticated itself and answered.
    pub const OK: &str = "ok";

    /// Whether the node that answered reaches another.
    #[must_use]
    pub fn reaches(&self, peer: u32) -> bool {
        self.peers.get(&peer).is_some_and(|outcome| outcome == Self::OK)
    }
}

/// The answer to `GET /status`: what anybody may know.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Which node answers.
    pub index: u32,
    /// `sha256:` and the digits of SHA-256 over the node's own `SubjectPublicKeyInfo`.
    pub fingerprint: String,
    /// Its process.
    pub pid: u32,
    /// When that process started.
    pub started: Timestamp,
    /// How often it took a configuration: once at its start, and at each SIGHUP that it followed.
    pub configured: u32,
    /// How many hashes of API keys the SDK port accepts.
    pub accepted_hashes: usize,
    /// How many the management port accepts.
    pub management_hashes: usize,
    /// What it knows of its database; none where it has none.
    #[serde(default)]
    pub database: Option<DatabaseStatus>,
}

/// What a node knows of its database. Nothing, until it was there once.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DatabaseStatus {
    /// Whom it was logged in as last, whomever that one acts as there.
    pub user: Option<String>,
    /// The node's row, which has its index and was written with its password of the key shares: another one is
    /// not shown.
    pub row: Option<Row>,
    /// Whether it is connected now.
    pub is_connected: bool,
}

/// A row of a node's own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Row {
    /// Whose it is.
    pub node: u32,
    /// What it got when it was made, once and for all.
    pub id: String,
}
