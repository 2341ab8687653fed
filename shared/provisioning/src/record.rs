//! The node record: a node's public description, signed.
//!
//! It says which public key a node has, which API keys it accepts and which stored version of
//! each secret counts. A reader checks it with [`NodeRecord::verify`] and refuses one that is
//! unsigned, of another node or older than what it has seen. It never holds a secret. No I/O here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use key_material::{ApiKeyHash, Curve, Fingerprint, P2pPublicKey};
use serde::{Deserialize, Serialize};

use crate::names::{Application, ClusterName, NodeIndex, Purpose};
use crate::ownership::Generation;
use crate::signed::{self, Document, DocumentError, PinnedKeys};
use crate::version_label::TokenDigest;

/// The schema number of a record.
pub const SCHEMA: u32 = 1;

/// A node's public description.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRecord {
    /// The API keys that the node accepts, by application.
    pub api_keys: BTreeMap<Application, Vec<AcceptedKey>>,
    /// The cluster, `<namespace>/<cluster>`.
    pub cluster: ClusterName,
    /// The curve of the P2P key.
    #[serde(with = "signed::text_form")]
    pub curve: Curve,
    /// The fingerprint of the P2P key.
    #[serde(with = "signed::text_form")]
    pub fingerprint: Fingerprint,
    /// The operation that made the P2P key.
    pub generation: Generation,
    /// The node's index.
    pub index: NodeIndex,
    /// The keys accepted by the node's management interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub management_keys: Vec<AcceptedKey>,
    /// The P2P key that takes over at a given time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingKey>,
    /// The public half of the P2P key, SPKI in base64.
    #[serde(with = "signed::spki")]
    pub public_key: P2pPublicKey,
    /// The digest of the `Regenerate` token that the keys in here were declared under, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerate: Option<TokenDigest>,
    /// The schema number of this document.
    pub schema: u32,
    /// Grows with every change of this record; a reader refuses less than it has seen.
    pub serial: u64,
    /// The version of the share-encryption password's secret that counts, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_version_id: Option<String>,
    /// How many P2P keys the node has had, from 1.
    pub version: u64,
    /// The version of the P2P key's secret that counts.
    pub version_id: String,
}

/// The public half of an API or management key, and whether it is accepted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptedKey {
    /// SHA-256 of the key's text, in base64.
    #[serde(with = "signed::text_form")]
    pub hash: ApiKeyHash,
    /// What the hash is good for.
    pub state: KeyState,
    /// Until when a retiring key is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The version of the key's secret that holds its plaintext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

impl AcceptedKey {
    /// Whether a node accepts it at a time: what is announced, what is in use, and what is replaced until its
    /// time is over.
    #[must_use]
    pub fn is_accepted_at(&self, now: Timestamp) -> bool {
        self.state != KeyState::Retiring || self.until.is_some_and(|until| until > now)
    }
}

/// What an accepted hash is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Announced before its plaintext is stored; grants nothing by itself.
    Candidate,
    /// In use.
    Current,
    /// Replaced, and accepted until its time is over.
    Retiring,
}

/// A P2P key that takes over at a given time.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PendingKey {
    /// From when on it counts.
    pub counts_from: Timestamp,
    /// Its fingerprint.
    #[serde(with = "signed::text_form")]
    pub fingerprint: Fingerprint,
    /// The operation that made it.
    pub generation: Generation,
    /// Its public half, SPKI in base64.
    #[serde(with = "signed::spki")]
    pub public_key: P2pPublicKey,
    /// Its number among the node's P2P keys.
    pub version: u64,
    /// The version of the P2P key's secret that holds it.
    pub version_id: String,
}

impl Document for NodeRecord {
    const DOMAIN: &'static str = "keyboot.record.v1";
    const FIELD: &'static str = "record";
}

impl NodeRecord {
    /// Reads the record of node `index` of `cluster` as a node or an auditor must: signed by a
    /// pinned key, of that very node, consistent, and no older than `seen`, the highest serial
    /// number the reader has met (0 at first).
    ///
    /// # Errors
    ///
    /// [`DocumentError`], which names the reason.
    pub fn verify(
        stored: &str,
        keys: &PinnedKeys,
        cluster: &ClusterName,
        index: NodeIndex,
        seen: u64,
    ) -> Result<Self, DocumentError> {
        let record: Self = signed::verify(stored, keys)?;
        let (found, expected) =
            (format!("node {} of {}", record.index, record.cluster), format!("node {index} of {cluster}"));
        if found != expected {
            return Err(DocumentError::Foreign { found, expected });
        }
        if record.schema != SCHEMA {
            return Err(DocumentError::Inconsistent("its schema is not 1"));
        }
        if record.public_key.fingerprint() != record.fingerprint || record.public_key.curve() != record.curve
        {
            return Err(DocumentError::Inconsistent("its fingerprint or curve is not its public key's"));
        }
        if let Some(pending) = &record.pending
            && pending.public_key.fingerprint() != pending.fingerprint
        {
            return Err(DocumentError::Inconsistent("its pending fingerprint is not its pending key's"));
        }
        if record.pending.as_ref().is_some_and(|pending| pending.public_key.curve() != record.curve) {
            return Err(DocumentError::Inconsistent("its pending key is on another curve"));
        }
        if record.serial < seen {
            return Err(DocumentError::Older { found: record.serial, seen });
        }
        Ok(record)
    }

    /// Whether `version_id` of the secret for `purpose` is one that this record tells of.
    #[must_use]
    pub fn names(&self, purpose: &Purpose, version_id: &str) -> bool {
        let is_it = |id: Option<&String>| id.is_some_and(|id| id == version_id);
        let any = |keys: &[AcceptedKey]| keys.iter().any(|key| is_it(key.version_id.as_ref()));
        match purpose {
            Purpose::P2pKey => {
                let pending = self.pending.as_ref().map(|pending| &pending.version_id);
                self.version_id == version_id || is_it(pending)
            }
            Purpose::SharePassword => is_it(self.share_version_id.as_ref()),
            Purpose::ManagementKey => any(&self.management_keys),
            Purpose::ApiKey(application) => self.api_keys.get(application).is_some_and(|keys| any(keys)),
        }
    }

    /// The public half that this record tells of a version; the share-encryption password has none.
    #[must_use]
    pub fn public_half(&self, purpose: &Purpose, version_id: &str) -> Option<String> {
        let hash = |keys: &[AcceptedKey]| {
            let key = keys.iter().find(|key| key.version_id.as_deref() == Some(version_id))?;
            Some(key.hash.to_string())
        };
        match purpose {
            Purpose::P2pKey if self.version_id == version_id => Some(self.public_key.to_spki_base64()),
            Purpose::P2pKey => {
                let pending = self.pending.as_ref().filter(|pending| pending.version_id == version_id)?;
                Some(pending.public_key.to_spki_base64())
            }
            Purpose::SharePassword => None,
            Purpose::ManagementKey => hash(&self.management_keys),
            Purpose::ApiKey(application) => hash(self.api_keys.get(application)?),
        }
    }

    /// The digest of the token that the keys in here were declared under, or of its absence.
    pub(crate) fn token(&self) -> TokenDigest {
        self.regenerate.unwrap_or_else(|| TokenDigest::of(None))
    }

    /// What the node has secrets for.
    #[must_use]
    pub fn purposes(&self) -> Vec<Purpose> {
        let mut purposes = vec![Purpose::P2pKey, Purpose::SharePassword, Purpose::ManagementKey];
        purposes.extend(self.api_keys.keys().cloned().map(Purpose::ApiKey));
        purposes.retain(|purpose| self.knows(purpose));
        purposes
    }

    /// Whether the node has a secret for `purpose`.
    pub(crate) fn knows(&self, purpose: &Purpose) -> bool {
        match purpose {
            Purpose::P2pKey => true,
            Purpose::SharePassword => self.share_version_id.is_some(),
            _ => !self.accepted(purpose).is_empty(),
        }
    }

    /// Whether `version_id` of an API or management key is in use, or of a P2P key listed.
    pub(crate) fn counts(&self, purpose: &Purpose, version_id: &str) -> bool {
        match purpose {
            Purpose::P2pKey | Purpose::SharePassword => self.names(purpose, version_id),
            _ => self
                .accepted(purpose)
                .iter()
                .any(|key| key.state == KeyState::Current && key.version_id.as_deref() == Some(version_id)),
        }
    }

    /// Whether `version_id` is about to count: an API or management key that is announced, or a P2P key
    /// that waits for its time.
    pub(crate) fn is_coming(&self, purpose: &Purpose, version_id: &str) -> bool {
        match purpose {
            Purpose::P2pKey => self.pending.as_ref().is_some_and(|pending| pending.version_id == version_id),
            Purpose::SharePassword => false,
            _ => self
                .accepted(purpose)
                .iter()
                .any(|key| key.state == KeyState::Candidate && key.version_id.as_deref() == Some(version_id)),
        }
    }

    fn accepted(&self, purpose: &Purpose) -> &[AcceptedKey] {
        match purpose {
            Purpose::ApiKey(application) => self.api_keys.get(application).map_or(&[], Vec::as_slice),
            Purpose::ManagementKey => &self.management_keys,
            Purpose::P2pKey | Purpose::SharePassword => &[],
        }
    }

    fn accepted_mut(&mut self, purpose: &Purpose) -> Option<&mut Vec<AcceptedKey>> {
        match purpose {
            Purpose::ApiKey(application) => self.api_keys.get_mut(application),
            Purpose::ManagementKey => Some(&mut self.management_keys),
            Purpose::P2pKey | Purpose::SharePassword => None,
        }
    }

    /// Accepts an API or management key before it is stored, in place of one that was announced before.
    pub(crate) fn announce(&mut self, purpose: &Purpose, hash: ApiKeyHash, version_id: &str) {
        let Some(keys) = self.accepted_mut(purpose) else { return };
        keys.retain(|key| key.state != KeyState::Candidate);
        let version_id = Some(version_id.to_owned());
        keys.push(AcceptedKey { hash, state: KeyState::Candidate, until: None, version_id });
    }

    /// Accepts an announced key no more.
    pub(crate) fn withdraw_candidate(&mut self, purpose: &Purpose, version_id: &str) {
        let Some(keys) = self.accepted_mut(purpose) else { return };
        keys.retain(|key| key.state != KeyState::Candidate || key.version_id.as_deref() != Some(version_id));
    }

    /// Makes an announced key the one in use; the one before it is accepted until `until`.
    pub(crate) fn promote(&mut self, purpose: &Purpose, version_id: &str, until: Timestamp) {
        if !self.is_coming(purpose, version_id) {
            return;
        }
        let Some(keys) = self.accepted_mut(purpose) else { return };
        for key in keys.iter_mut() {
            if key.version_id.as_deref() == Some(version_id) {
                key.state = KeyState::Current;
            } else if key.state == KeyState::Current {
                (key.state, key.until) = (KeyState::Retiring, Some(until));
            }
        }
        // The one in use stands first.
        keys.sort_by_key(|key| key.state != KeyState::Current);
    }

    /// Accepts no more what is replaced and whose time is over.
    pub(crate) fn retire(&mut self, now: Timestamp) {
        self.management_keys.retain(|key| key.is_accepted_at(now));
        self.api_keys.values_mut().for_each(|keys| keys.retain(|key| key.is_accepted_at(now)));
    }

    /// Whether something is replaced whose time is over.
    pub(crate) fn has_overdue(&self, now: Timestamp) -> bool {
        let mut keys = self.management_keys.iter().chain(self.api_keys.values().flatten());
        keys.any(|key| !key.is_accepted_at(now))
    }

    /// This record as it is to be read at a time: a P2P key that was waiting for it counts.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        if let Some(pending) = self.pending.take_if(|pending| pending.counts_from <= now) {
            self.curve = pending.public_key.curve();
            self.fingerprint = pending.fingerprint;
            self.generation = pending.generation;
            self.public_key = pending.public_key;
            self.version = pending.version;
            self.version_id = pending.version_id;
        }
        self
    }

    /// This record with the serial number that follows `previous`, or `previous` itself when
    /// nothing else differs: no change, no new text.
    #[must_use]
    pub fn following(mut self, previous: Option<&Self>) -> Self {
        let Some(previous) = previous else { return self };
        self.serial = previous.serial;
        if self != *previous {
            self.serial += 1;
        }
        self
    }
}
