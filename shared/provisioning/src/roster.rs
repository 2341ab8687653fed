//! The roster: which nodes a cluster has, with one digest over all of them.
//!
//! Pages are written first, under the roster's serial number, and the signed index last of all:
//! a reader never sees half a roster, and the index is the commit mark of a Create. No I/O here.

use key_material::Fingerprint;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::names::{ClusterName, NodeIndex};
use crate::ownership::{Generation, Owner};
use crate::record::NodeRecord;
use crate::rotation_policy::RotationPolicy;
use crate::signed::{self, Document, DocumentError, PinnedKeys};
use crate::store::Store;
use crate::version_label::{RegenerateToken, TokenDigest};

/// The schema number of the index.
pub const SCHEMA: u32 = 1;
/// Nodes on one page: 64 entries of about 110 bytes fit a parameter's 8,192.
pub const NODES_A_PAGE: usize = 64;
/// Operations that an index remembers. An event lives for half an hour at most; more Updates of one
/// stack do not fit into it.
pub const FINISHED_MAX: usize = 16;

/// One node as the roster lists it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RosterEntry {
    /// The fingerprint of the node's P2P key.
    #[serde(with = "signed::text_form")]
    pub fingerprint: Fingerprint,
    /// The node's index.
    pub index: NodeIndex,
    /// The number of its P2P key.
    pub version: u64,
}

impl From<&NodeRecord> for RosterEntry {
    fn from(record: &NodeRecord) -> Self {
        Self { fingerprint: record.fingerprint, index: record.index, version: record.version }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    nodes: Vec<RosterEntry>,
}

/// A stack resource as a signed document names it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedOwner {
    /// Its physical id.
    pub owner: String,
    /// Its name in the template.
    pub resource: String,
    /// The ARN of its stack.
    pub stack: String,
}

impl From<&Owner> for NamedOwner {
    fn from(owner: &Owner) -> Self {
        Self {
            owner: owner.id.to_string(),
            resource: owner.logical_id.clone(),
            stack: owner.stack_id.clone(),
        }
    }
}

impl NamedOwner {
    /// The same parsed; `None` where the id is not of our form.
    pub(crate) fn parsed(&self) -> Option<Owner> {
        Some(Owner {
            id: self.owner.parse().ok()?,
            stack_id: self.stack.clone(),
            logical_id: self.resource.clone(),
        })
    }
}

/// The index of a roster: what its pages hold, and who stands behind them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RosterIndex {
    /// The owner before an adoption that is not confirmed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_from: Option<NamedOwner>,
    /// The cluster.
    pub cluster: ClusterName,
    /// The operations that wrote the indexes before this one, the latest first, at most
    /// [`FINISHED_MAX`]: a late duplicate of one of them is told by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<Generation>,
    /// The operation that wrote this index.
    pub generation: Generation,
    /// How many nodes the cluster has.
    pub node_count: usize,
    /// The physical id of the stack resource that the cluster belongs to.
    pub owner: String,
    /// How many pages there are.
    pub pages: usize,
    /// The regeneration token applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerate: Option<RegenerateToken>,
    /// The digest of the token that was applied before the present one: the way back leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerate_before: Option<TokenDigest>,
    /// What of the cluster is rotated, and how; nothing where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationPolicy>,
    /// The schema number of this document.
    pub schema: u32,
    /// Grows with every index; part of the pages' names.
    pub serial: u64,
    /// SHA-256 over the page texts in order, in lower-case hex.
    pub sha256: String,
    /// The store of the cluster's secrets; Secrets Manager where it is left out.
    #[serde(default, skip_serializing_if = "Store::is_default")]
    pub store: Store,
}

impl Document for RosterIndex {
    const DOMAIN: &'static str = "keyboot.roster.v1";
    const FIELD: &'static str = "roster";
}

impl RosterIndex {
    /// Reads a cluster's index: signed by a pinned key, of that very cluster.
    ///
    /// # Errors
    ///
    /// [`DocumentError`], which names the reason.
    pub fn verify(stored: &str, keys: &PinnedKeys, cluster: &ClusterName) -> Result<Self, DocumentError> {
        let index: Self = signed::verify(stored, keys)?;
        if index.cluster != *cluster {
            return Err(DocumentError::Foreign {
                found: index.cluster.to_string(),
                expected: cluster.to_string(),
            });
        }
        if index.schema != SCHEMA {
            return Err(DocumentError::Inconsistent("its schema is not 1"));
        }
        Ok(index)
    }

    /// The digest of the regeneration token applied last.
    pub(crate) fn token(&self) -> TokenDigest {
        TokenDigest::of(self.regenerate.as_ref())
    }

    /// The digest of the token before the one that is applied with the index after this one.
    pub(crate) fn token_before(&self, applied: TokenDigest) -> Option<TokenDigest> {
        if applied == self.token() { self.regenerate_before } else { Some(self.token()) }
    }

    /// The operations that the index after this one remembers.
    pub(crate) fn finished_after(&self) -> Vec<Generation> {
        std::iter::once(&self.generation).chain(&self.finished).take(FINISHED_MAX).cloned().collect()
    }

    /// Reads the entries of this index's pages, given in order.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Inconsistent`] when the pages are not the ones the index was made of.
    pub fn entries(&self, pages: &[String]) -> Result<Vec<RosterEntry>, DocumentError> {
        if pages.len() != self.pages || digest(pages) != self.sha256 {
            return Err(DocumentError::Inconsistent("its digest is not that of its pages"));
        }
        let mut entries = Vec::new();
        for page in pages {
            let page: Page =
                serde_json::from_str(page).map_err(|error| DocumentError::Malformed(error.to_string()))?;
            entries.extend(page.nodes);
        }
        if entries.len() != self.node_count || !entries.is_sorted_by(|a, b| a.index < b.index) {
            return Err(DocumentError::Inconsistent("its pages are not in ascending order or not whole"));
        }
        Ok(entries)
    }
}

/// The entries of one page; `None` when it is no page of ours.
pub(crate) fn page_entries(text: &str) -> Option<Vec<RosterEntry>> {
    serde_json::from_str::<Page>(text).ok().map(|page| page.nodes)
}

/// Writes the page texts of a roster, ascending, [`NODES_A_PAGE`] nodes on each.
///
/// # Errors
///
/// [`DocumentError::Malformed`] when an entry cannot be written as JSON.
pub fn pages(entries: &[RosterEntry]) -> Result<Vec<String>, DocumentError> {
    entries
        .chunks(NODES_A_PAGE)
        .map(|nodes| {
            serde_jcs::to_string(&Page { nodes: nodes.to_vec() })
                .map_err(|error| DocumentError::Malformed(error.to_string()))
        })
        .collect()
}

/// SHA-256 over the page texts in order, in lower-case hex.
#[must_use]
pub fn digest(pages: &[String]) -> String {
    let mut hash = Sha256::new();
    for page in pages {
        hash.update(page);
    }
    hex::encode(hash.finalize())
}
