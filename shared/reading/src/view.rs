//! What is public of a cluster, as one node or an auditor sees it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use jiff::Timestamp;
use provisioning::names::{ClusterName, NodeIndex, ParameterName};
use provisioning::record::NodeRecord;
use provisioning::roster::{RosterEntry, RosterIndex};

use crate::environment::NodeEnvironment;
use crate::error::ReadError;
use crate::pins::Pins;
use crate::ports::DocumentReader;
use crate::seen::Seen;

/// Names that one read of the store takes (Systems Manager API Reference, `GetParameters`).
const NAMES_A_READ: usize = 10;
/// What helps where a document is not there.
const NO_CLUSTER: &str =
    "look whether the stack made this cluster and node, and whether account and Region are the stack's";

/// Whose view it is, and how its documents are found.
#[derive(Clone, Debug)]
pub struct Whose {
    /// The cluster.
    pub cluster: ClusterName,
    /// The node; none for an auditor.
    pub index: Option<NodeIndex>,
    /// `arn:<partition>:ssm:<region>:<account>` of documents in another account; none for one's own.
    pub documents: Option<String>,
    /// The nodes of the cluster, where its roster cannot be read.
    pub nodes: Option<BTreeSet<NodeIndex>>,
    /// Records that came another way than through a store, and from where.
    pub imported: BTreeMap<NodeIndex, Imported>,
}

/// A signed record that came as a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Imported {
    /// Where it is.
    pub from: String,
    /// Its text.
    pub text: String,
}

impl Whose {
    /// What a document is asked for by: its name in one's own account, its ARN in another one.
    #[must_use]
    pub fn address(&self, name: &ParameterName) -> String {
        match &self.documents {
            Some(account) => format!("{account}:parameter{name}"),
            None => name.to_string(),
        }
    }
}

/// A document that was not believed, or was not there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The node that it is of.
    pub index: NodeIndex,
    /// Why.
    pub error: ReadError,
}

/// What is public of a cluster. Every record in here is signed by a pinned key, and reads as of now.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// The cluster.
    pub cluster: ClusterName,
    /// The node's own environment; none for an auditor.
    pub environment: Option<NodeEnvironment>,
    /// The records of its nodes, the reader's own among them, as they were read. What waits for its time is
    /// still pending in them.
    pub records: BTreeMap<NodeIndex, NodeRecord>,
    /// The peers whose records were not believed or not there: they are left out.
    pub refused: Vec<Refusal>,
    /// The roster and what it lists, where it could be read.
    pub roster: Option<(RosterIndex, Vec<RosterEntry>)>,
}

impl ClusterView {
    /// Reads it: what is the node's own has to check out; of its peers only those are in it that do.
    ///
    /// # Errors
    ///
    /// [`ReadError`], which names the document.
    pub async fn read(
        from: &impl DocumentReader,
        whose: &Whose,
        pins: &Pins,
        seen: &mut Seen,
    ) -> Result<Self, ReadError> {
        let environment = read_environment(from, whose).await?;
        let roster = read_roster(from, whose, pins, seen).await?;
        let listed = roster.iter().flat_map(|(_, entries)| entries).map(|entry| entry.index);
        let mut nodes: BTreeSet<NodeIndex> = match &whose.nodes {
            Some(nodes) => nodes.clone(),
            None => listed.collect(),
        };
        nodes.extend(whose.index);
        let addresses = nodes.iter().map(|index| {
            let name = whose.cluster.record_parameter(*index);
            (*index, whose.address(&name))
        });
        let elsewhere = environment.iter().flat_map(|environment| &environment.peer_record_arns);
        let elsewhere = elsewhere.filter_map(|arn| Some((node_in(arn, &whose.cluster)?, arn.clone())));
        let mut addresses: BTreeMap<NodeIndex, String> = addresses.chain(elsewhere).collect();
        addresses.retain(|index, _| !whose.imported.contains_key(index));
        let texts = read_all(from, &addresses.values().cloned().collect::<Vec<_>>()).await?;
        let imported =
            whose.imported.iter().map(|(index, file)| ((*index, file.from.clone()), Some(file.text.clone())));
        let mut view = Self {
            cluster: whose.cluster.clone(),
            environment,
            records: BTreeMap::new(),
            refused: Vec::new(),
            roster,
        };
        for ((index, address), text) in addresses.into_iter().zip(texts).chain(imported) {
            let record = match text {
                Some(text) => {
                    let (keys, serial) = (pins.of_node(index), seen.record(&whose.cluster, index));
                    NodeRecord::verify(&text, &keys, &whose.cluster, index, serial)
                        .map_err(|error| ReadError::document(&address, error))
                }
                None => Err(ReadError::NotFound { name: address, hint: NO_CLUSTER }),
            };
            match record {
                Ok(record) => {
                    seen.note_record(&whose.cluster, index, record.serial);
                    view.records.insert(index, record);
                }
                Err(error) if whose.index == Some(index) => return Err(error),
                Err(error) => view.refused.push(Refusal { index, error }),
            }
        }
        Ok(view)
    }

    /// The record of a node as it is to be read at a time.
    #[must_use]
    pub fn record_at(&self, index: NodeIndex, now: Timestamp) -> Option<NodeRecord> {
        self.records.get(&index).map(|record| record.clone().at(now))
    }

    /// The next time at which a key that waits for it begins to count, and whose it is.
    #[must_use]
    pub fn next_cut_over(&self, now: Timestamp) -> Option<(Timestamp, NodeIndex)> {
        let waiting = self.records.iter().filter_map(|(index, record)| {
            let pending = record.pending.as_ref().filter(|pending| pending.counts_from > now)?;
            Some((pending.counts_from, *index))
        });
        waiting.min()
    }
}

async fn read_environment(
    from: &impl DocumentReader,
    whose: &Whose,
) -> Result<Option<NodeEnvironment>, ReadError> {
    let Some(index) = whose.index else { return Ok(None) };
    let address = whose.address(&whose.cluster.environment_parameter(index));
    let text = read_one(from, &address).await?;
    let text = text.ok_or_else(|| ReadError::NotFound { name: address.clone(), hint: NO_CLUSTER })?;
    let environment = NodeEnvironment::read(&text, &whose.cluster, index);
    environment.map(Some).map_err(|error| ReadError::document(&address, error))
}

/// The roster, unless the nodes are told: then it need not be there for this reader.
async fn read_roster(
    from: &impl DocumentReader,
    whose: &Whose,
    pins: &Pins,
    seen: &mut Seen,
) -> Result<Option<(RosterIndex, Vec<RosterEntry>)>, ReadError> {
    if whose.nodes.is_some() {
        return Ok(None);
    }
    let address = whose.address(&whose.cluster.roster_index_parameter());
    let refused = |error| ReadError::document(&address, error);
    let text = read_one(from, &address).await?;
    let text = text.ok_or_else(|| ReadError::NotFound { name: address.clone(), hint: NO_CLUSTER })?;
    let index = RosterIndex::verify(&text, &pins.of_rosters(), &whose.cluster).map_err(refused)?;
    let highest = seen.roster(&whose.cluster);
    if index.serial < highest {
        return Err(refused(provisioning::signed::DocumentError::Older {
            found: index.serial,
            seen: highest,
        }));
    }
    let names: Vec<_> = (0..index.pages)
        .map(|page| whose.address(&whose.cluster.roster_page_parameter(index.serial, page)))
        .collect();
    let pages: Vec<String> = read_all(from, &names).await?.into_iter().flatten().collect();
    let entries = index.entries(&pages).map_err(refused)?;
    seen.note_roster(&whose.cluster, index.serial);
    Ok(Some((index, entries)))
}

/// Which node of the cluster a record's ARN is of.
fn node_in(arn: &str, cluster: &ClusterName) -> Option<NodeIndex> {
    let (_, name) = arn.split_once(":parameter")?;
    let index = name.strip_prefix(&format!("/{cluster}/node/"))?.strip_suffix("/record")?;
    index.parse().ok()
}

async fn read_one(from: &impl DocumentReader, address: &str) -> Result<Option<String>, ReadError> {
    Ok(from.read_documents(&[address.to_owned()]).await?.into_iter().flatten().next())
}

async fn read_all(
    from: &impl DocumentReader,
    addresses: &[String],
) -> Result<Vec<Option<String>>, ReadError> {
    let read = addresses.chunks(NAMES_A_READ).map(|names| from.read_documents(names));
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}
