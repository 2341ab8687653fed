//! What is public of a cluster, as one node or an auditor sees it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;
use provisioning::names::{ClusterName, NodeIndex, ParameterName};
use provisioning::record::NodeRecord;
use provisioning::roster::{RosterEntry, RosterIndex};
use provisioning::signed::{DocumentError, signer_of};

use crate::environment::NodeEnvironment;
use crate::error::ReadError;
use crate::pins::Pins;
use crate::ports::DocumentReader;
use crate::seen::Seen;

/// Names that one read of the store takes (Systems Manager API Reference, `GetParameters`).
const NAMES_A_READ: usize = 10;
/// What helps where a document is not there.
const NO_CLUSTER: &str = "look whether the stack, or keyboot-onprem, made this cluster and node, and whether account and Region, or the \
     server, are the right ones";

/// A text that may be a node's record, or why there is none, and where it is.
type Candidate = (String, Result<String, ReadError>);

/// What is wrong with the record of a node that is none.
const NOT_A_MEMBER: DocumentError = DocumentError::Inconsistent(
    "it is of a node that the cluster's roster, or the list of its nodes, does not name",
);

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

/// A roster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Roster {
    /// Its index.
    pub index: RosterIndex,
    /// What it lists.
    pub entries: Vec<RosterEntry>,
    /// The ARN of the key that has signed it.
    pub signer: String,
}

/// What is public of a cluster. Every record in here is signed by a pinned key, and reads as of now.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// The cluster.
    pub cluster: ClusterName,
    /// The node's own environment; none for an auditor.
    pub environment: Option<NodeEnvironment>,
    /// The nodes that the cluster has: what its roster lists, or what the reader was told, and nodes made
    /// elsewhere whose records are believed.
    pub members: BTreeSet<NodeIndex>,
    /// The records of its nodes, the reader's own among them, as they were read. What waits for its time is
    /// still pending in them.
    pub records: BTreeMap<NodeIndex, NodeRecord>,
    /// Their texts as they are signed.
    pub texts: BTreeMap<NodeIndex, String>,
    /// The peers whose records were not believed or not there: they are left out.
    pub refused: Vec<Refusal>,
    /// The peers that are in it as they were believed before, since their present records are not.
    pub kept: Vec<Refusal>,
    /// The roster, where it could be read.
    pub roster: Option<Roster>,
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
        let members = members(whose, roster.as_ref());
        let elsewhere = environment.iter().flat_map(|environment| &environment.peer_record_arns);
        let elsewhere = elsewhere.filter_map(|arn| Some((node_in(arn, &whose.cluster)?, arn.clone())));
        let own = members.iter().map(|index| {
            let name = whose.cluster.record_parameter(*index);
            (*index, whose.address(&name))
        });
        let addresses: BTreeMap<NodeIndex, String> = own.chain(elsewhere).collect();
        let mut found: BTreeMap<NodeIndex, Vec<Candidate>> = BTreeMap::new();
        for (index, address, text) in read_each(from, addresses).await {
            found.entry(index).or_default().push((address, text));
        }
        for (index, file) in &whose.imported {
            found.entry(*index).or_default().push((file.from.clone(), Ok(file.text.clone())));
        }
        let mut view = Self {
            cluster: whose.cluster.clone(),
            environment,
            members,
            records: BTreeMap::new(),
            texts: BTreeMap::new(),
            refused: Vec::new(),
            kept: Vec::new(),
            roster,
        };
        for (index, candidates) in found {
            let mut best: Result<(NodeRecord, String), ReadError> =
                Err(ReadError::NotFound { name: whose.cluster.to_string(), hint: NO_CLUSTER });
            for (address, text) in candidates {
                let believed = text.and_then(|text| {
                    if !view.may_be_of(index, &text) {
                        return Err(ReadError::document(&address, NOT_A_MEMBER));
                    }
                    let (keys, serial) = (pins.of_node(index), seen.record(&whose.cluster, index));
                    let record = NodeRecord::verify(&text, &keys, &whose.cluster, index, serial);
                    Ok((record.map_err(|error| ReadError::document(&address, error))?, text))
                });
                // Of two that are believed the newer one is.
                best = match (best, believed) {
                    (Ok(best), Ok(other)) if best.0.serial >= other.0.serial => Ok(best),
                    (Ok(best), Err(_)) => Ok(best),
                    (_, believed) => believed,
                };
            }
            match best {
                Ok((record, text)) => {
                    seen.note_record(&whose.cluster, index, record.serial);
                    view.records.insert(index, record);
                    view.texts.insert(index, text);
                }
                Err(error) if whose.index == Some(index) || error.is_passing() => return Err(error),
                Err(error) => view.refused.push(Refusal { index, error }),
            }
        }
        view.members.extend(view.records.keys());
        Ok(view)
    }

    /// Takes back a peer's record that was believed before, in place of one that is not believed now; it has
    /// to be as new as what was seen. What is wrong with the present one is then in `kept`.
    pub fn keep(&mut self, index: NodeIndex, text: &str, pins: &Pins, seen: &Seen) {
        let Some(at) = self.refused.iter().position(|refusal| refusal.index == index) else { return };
        let serial = seen.record(&self.cluster, index);
        let record = NodeRecord::verify(text, &pins.of_node(index), &self.cluster, index, serial);
        let Some(record) = record.ok().filter(|_| self.may_be_of(index, text)) else { return };
        self.members.insert(index);
        self.records.insert(index, record);
        self.texts.insert(index, text.to_owned());
        self.kept.push(self.refused.swap_remove(at));
    }

    /// Whether a text may be of a node of this cluster: of one that is listed, or made elsewhere. Who signs the
    /// roster says by it which nodes of his there are, since what he has removed stays signed; and who has told
    /// the nodes has no roster.
    fn may_be_of(&self, index: NodeIndex, text: &str) -> bool {
        let is_elsewhere = |roster: &Roster| signer_of(text).as_ref() != Some(&roster.signer);
        self.members.contains(&index) || self.roster.as_ref().is_some_and(is_elsewhere)
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
) -> Result<Option<Roster>, ReadError> {
    if whose.nodes.is_some() {
        return Ok(None);
    }
    let address = whose.address(&whose.cluster.roster_index_parameter());
    let refused = |error| ReadError::document(&address, error);
    let text = read_one(from, &address).await?;
    let text = text.ok_or_else(|| ReadError::NotFound { name: address.clone(), hint: NO_CLUSTER })?;
    let keys = pins.of_rosters(whose.index);
    let index = RosterIndex::verify(&text, &keys, &whose.cluster).map_err(refused)?;
    let highest = seen.roster(&whose.cluster);
    if index.serial < highest {
        return Err(refused(DocumentError::Older { found: index.serial, seen: highest }));
    }
    let names: Vec<_> = (0..index.pages)
        .map(|page| whose.address(&whose.cluster.roster_page_parameter(index.serial, page)))
        .collect();
    let pages: Vec<String> = read_all(from, &names).await?.into_iter().flatten().collect();
    let entries = index.entries(&pages).map_err(refused)?;
    seen.note_roster(&whose.cluster, index.serial);
    Ok(Some(Roster { index, entries, signer: signer_of(&text).unwrap_or_default() }))
}

/// The nodes that there are by the word of the reader, or of the roster; his own is one of them.
fn members(whose: &Whose, roster: Option<&Roster>) -> BTreeSet<NodeIndex> {
    let listed = roster.into_iter().flat_map(|roster| &roster.entries).map(|entry| entry.index);
    let mut members = whose.nodes.clone().unwrap_or_else(|| listed.collect());
    members.extend(whose.index);
    members
}

/// Reads records, as many at a time as one read takes. One that may not be read keeps no other from being
/// read.
async fn read_each(
    from: &impl DocumentReader,
    addresses: BTreeMap<NodeIndex, String>,
) -> Vec<(NodeIndex, String, Result<String, ReadError>)> {
    let addresses: Vec<(NodeIndex, String)> = addresses.into_iter().collect();
    let read = addresses.chunks(NAMES_A_READ).map(async |some| {
        let names: Vec<String> = some.iter().map(|(_, address)| address.clone()).collect();
        match from.read_documents(&names).await {
            Ok(texts) => texts.into_iter().map(Ok).collect(),
            Err(error) if error.is_passing() || some.len() == 1 => {
                some.iter().map(|_| Err(error.clone())).collect()
            }
            Err(_) => join_all(names.iter().map(|name| read_one(from, name))).await,
        }
    });
    let texts: Vec<Result<Option<String>, ReadError>> = join_all(read).await.into_iter().flatten().collect();
    let found = addresses.into_iter().zip(texts).map(|((index, address), text)| {
        let missing = || ReadError::NotFound { name: address.clone(), hint: NO_CLUSTER };
        let text = text.and_then(|text| text.ok_or_else(missing));
        (index, address, text)
    });
    found.collect()
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
