//! What is there before an operation decides anything: documents, and what can be told of secrets.
//!
//! Nothing is listed, since the stores' listings lag behind by minutes: every name that may exist
//! is asked for by itself. (But for what waits to be removed: that has been there for days.) Names come from the event, the roster, the records and the note of an
//! unfinished operation; who owns what they name is told by tags alone. Nothing here writes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use key_material::P2pPublicKey;

use crate::adopting::Claimed;
use crate::intent::{self, Intent};
use crate::names::{Application, ClusterName, NodeIndex, ParameterName, Purpose, Slot};
use crate::ownership::{Generation, OWNER_TAG, Owner, OwnerId, PUBLIC_TAG};
use crate::parallel::{both, each};
use crate::ports::{PortError, Publisher, RecordSigner, SecretFacts, SecretStore, World};
use crate::record::NodeRecord;
use crate::roster::{self, NODES_A_PAGE, RosterEntry, RosterIndex};
use crate::signed::{self, DocumentError, PinnedKeys};
use crate::store::Store;
use crate::version_label::VersionLabel;
use crate::versions::{Evidence, is_from_before, named_by};

/// The most names that one read asks for (Systems Manager API Reference, `GetParameters`).
const NAMES_A_READ: usize = 10;

/// The roster index that stands under a cluster's name.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// There is none.
    None,
    /// It is this owner's: the cluster is in service.
    Ours(RosterIndex),
    /// It is another owner's, by our own signature.
    Foreign(RosterIndex),
    /// It cannot be checked with our key.
    Unreadable(DocumentError),
}

impl Standing {
    /// The index, whose ever it is.
    pub(crate) fn index(&self) -> Option<&RosterIndex> {
        match self {
            Self::Ours(index) | Self::Foreign(index) => Some(index),
            Self::None | Self::Unreadable(_) => None,
        }
    }
}

/// What stands in a secret's place.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A secret of this owner.
    Ours(SecretFacts),
    /// A secret of somebody else, as far as its tags tell.
    Foreign(SecretFacts),
}

/// A node's record as it is stored, and what checking it gave.
#[derive(Clone, Debug)]
pub(crate) struct StoredRecord {
    pub(crate) text: String,
    pub(crate) checked: Result<NodeRecord, DocumentError>,
}

/// What is there.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) keys: PinnedKeys,
    /// The claim of another on what this owner has.
    pub(crate) claimed: Option<Claimed>,
    /// The claim that stands on what `AdoptFrom` names, whose ever it is.
    pub(crate) claim: Option<Claimed>,
    /// Whether the note of what `AdoptFrom` names tells of an operation that never ended.
    pub(crate) former_is_at_work: bool,
    /// Whether what was adopted may have to be handed back: then it stays as it is, signatures too.
    pub(crate) provisional: bool,
    /// The store in which secrets were looked for.
    pub(crate) store: Store,
    pub(crate) standing: Standing,
    /// What is wrong with the pages of an index of ours. Then nothing is known of what it lists.
    pub(crate) broken: Option<DocumentError>,
    pub(crate) intent: Option<Intent>,
    pub(crate) index_text: Option<String>,
    pub(crate) pages: Vec<String>,
    pub(crate) entries: Vec<RosterEntry>,
    /// Pages that an operation wrote and no index ever named.
    pub(crate) unlisted_pages: Vec<ParameterName>,
    pub(crate) records: BTreeMap<NodeIndex, StoredRecord>,
    pub(crate) environments: BTreeMap<NodeIndex, String>,
    pub(crate) secrets: BTreeMap<Slot, Place>,
}

/// The nodes and applications that may have something stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    pub(crate) nodes: BTreeSet<NodeIndex>,
    pub(crate) applications: BTreeSet<Application>,
    /// The old owner whose secrets are taken over.
    pub(crate) adopt_from: Option<OwnerId>,
    /// The store that the properties name, where they can be read.
    pub(crate) store: Option<Store>,
}

impl Observed {
    /// The index, where it is ours.
    pub(crate) fn index(&self) -> Option<&RosterIndex> {
        match &self.standing {
            Standing::Ours(index) => Some(index),
            _ => None,
        }
    }

    /// Whether the roster that stands is the one that this operation wrote.
    pub(crate) fn is_committed(&self, generation: &Generation) -> bool {
        self.index().is_some_and(|index| index.generation == *generation)
    }

    /// Whether a later operation than this one has begun, as far as the index and the note tell:
    /// this one's index was followed by another, or by a note of another that is still open.
    pub(crate) fn is_over(&self, generation: &Generation) -> bool {
        let noted = self.open_intent().is_some_and(|intent| intent.generations.first() != Some(generation));
        self.index().is_some_and(|index| index.finished.contains(generation))
            || self.is_committed(generation) && noted
    }

    /// The note of an operation that never reached its roster. While the roster cannot be read,
    /// nothing is concluded from a note.
    pub(crate) fn open_intent(&self) -> Option<&Intent> {
        if self.is_unreadable() {
            return None;
        }
        self.intent.as_ref().filter(|intent| intent.is_open(self.index()))
    }

    /// The open note, where this operation wrote it, in this run or in one before.
    pub(crate) fn own_note(&self, generation: &Generation) -> Option<&Intent> {
        self.open_intent().filter(|intent| intent.generations.first() == Some(generation))
    }

    /// Whether this operation has published the documents of a node before. They are written together,
    /// and where a record stood already the environment is written after it.
    pub(crate) fn has_published(&self, generation: &Generation, index: NodeIndex) -> bool {
        self.environments.contains_key(&index)
            && self
                .own_note(generation)
                .is_some_and(|note| note.schema == intent::SCHEMA && !note.unproven.contains(&index))
    }

    /// The operations that never reached a roster; see [`Intent::never_listed`].
    pub(crate) fn never_listed(&self, current: Option<&Generation>) -> BTreeSet<Generation> {
        match &self.intent {
            Some(intent) if !self.is_unreadable() => intent.never_listed(self.index(), current),
            _ => BTreeSet::new(),
        }
    }

    fn is_unreadable(&self) -> bool {
        self.broken.is_some() || matches!(self.standing, Standing::Unreadable(_))
    }

    /// The serial number of the index that `current` writes. Whoever takes over from an operation
    /// that died, or is still dying, takes another number, so that pages of the two never mix.
    pub(crate) fn next_serial(&self, current: &Generation) -> u64 {
        let Some(index) = self.index() else { return 1 };
        match self.open_intent() {
            Some(intent) if intent.generations.first() == Some(current) => intent.serial,
            Some(intent) => intent.serial + 1,
            None => index.serial + 1,
        }
    }

    /// The secrets of this owner.
    pub(crate) fn ours(&self) -> impl Iterator<Item = (&Slot, &SecretFacts)> {
        self.secrets.iter().filter_map(|(slot, place)| match place {
            Place::Ours(facts) => Some((slot, facts)),
            Place::Foreign(_) => None,
        })
    }

    /// The secrets of others.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = (&Slot, &SecretFacts)> {
        self.secrets.iter().filter_map(|(slot, place)| match place {
            Place::Foreign(facts) => Some((slot, facts)),
            Place::Ours(_) => None,
        })
    }

    /// Whether a node's secrets are somebody else's: some are, and where `or_shared` is not set none
    /// is ours.
    pub(crate) fn is_anothers(&self, index: NodeIndex, or_shared: bool) -> bool {
        self.foreign().any(|(slot, _)| slot.index == index)
            && (or_shared || self.ours().all(|(slot, _)| slot.index != index))
    }

    /// The owner before an adoption that is not confirmed yet, as our index tells.
    pub(crate) fn adopted_from(&self) -> Option<Owner> {
        self.index()?.adopted_from.as_ref()?.parsed()
    }

    /// Whether rotations of this cluster's secrets may be under way.
    pub(crate) fn rotates(&self) -> bool {
        self.index().is_some_and(|index| index.rotation.is_some())
    }

    /// Whether the roster lists the node.
    pub(crate) fn lists(&self, index: NodeIndex) -> bool {
        self.entries.iter().any(|entry| entry.index == index)
    }

    /// Whether the node's record carries the signature of another key than ours.
    pub(crate) fn is_signed_by_another(&self, world: &impl RecordSigner, index: NodeIndex) -> bool {
        let signer = self.records.get(&index).and_then(|record| signed::signer_of(&record.text));
        signer.is_some_and(|signer| signer != world.signer())
    }

    /// The node's record, where it checks out.
    pub(crate) fn record(&self, index: NodeIndex) -> Option<&NodeRecord> {
        self.records.get(&index).and_then(|record| record.checked.as_ref().ok())
    }
}

/// Looks at everything that may exist for `owner`, in a fixed number of rounds.
pub(crate) async fn observe(
    world: &impl World,
    owner: &Owner,
    now: Timestamp,
    mut candidates: Candidates,
) -> Result<Observed, PortError> {
    let cluster = owner.id.cluster();
    let mut first = vec![
        cluster.roster_index_parameter(),
        cluster.intent_parameter(owner.id.digest()),
        cluster.adoption_parameter(owner.id.digest()),
    ];
    let old = candidates.adopt_from.clone().filter(|old| *old != owner.id && old.cluster() == cluster);
    if let Some(old) = &old {
        first.extend([cluster.adoption_parameter(old.digest()), cluster.intent_parameter(old.digest())]);
    }
    let (spki, documents) = both(world.verifying_key(), world.read_documents(&first)).await?;
    let mut keys = pin(world, &spki)?;
    let [index, intent, claimed, claim, former_intent] =
        [0, 1, 2, 3, 4].map(|n| documents.get(n).and_then(Option::as_deref));
    let mut standing = standing(index, &keys, owner);
    let is_adopted = matches!(&standing, Standing::Ours(index) if index.adopted_from.is_some());
    if old.is_some() || is_adopted {
        keys = pin_former(world, keys).await?;
        standing = self::standing(index, &keys, owner);
    }
    let former = match &standing {
        Standing::Ours(index) => index.adopted_from.as_ref().and_then(|former| former.owner.parse().ok()),
        _ => None,
    };
    // The declaration may not name any more what was taken over.
    let claim = match former.filter(|former: &OwnerId| old.as_ref() != Some(former)) {
        Some(former) => read_one(world, &cluster.adoption_parameter(former.digest())).await?,
        None => claim.map(str::to_owned),
    };
    let claimed = claimed.map(|text| Claimed::read(text, &keys));
    let claim = claim.map(|text| Claimed::read(&text, &keys));
    let former_is_at_work = former_intent
        .and_then(|text| signed::verify::<Intent>(text, &keys).ok())
        .is_some_and(|intent| intent.is_open(standing.index()));
    // A note that does not check out is no note: it could name things for removal.
    let intent = intent
        .and_then(|text| signed::verify::<Intent>(text, &keys).ok())
        .filter(|intent| intent.owner == owner.id.as_str());
    let index_text = index.map(str::to_owned);
    let listed = match &standing {
        Standing::Ours(index) => Some(index),
        Standing::Foreign(index) if old.as_ref().is_some_and(|old| index.owner == old.as_str()) => {
            Some(index)
        }
        _ => None,
    };
    let (pages, entries) = read_pages(world, cluster, listed).await?;
    let (broken, entries) = match entries {
        Ok(entries) => (None, entries),
        Err(error) => (Some(error), Vec::new()),
    };

    let store = store_of(listed, intent.as_ref(), candidates.store);
    candidates.nodes.extend(entries.iter().map(|entry| entry.index));
    if let Some(intent) = &intent {
        candidates.nodes.extend(&intent.nodes);
        candidates.applications.extend(intent.applications.iter().cloned());
    }
    let (documents, (mut secrets, awaiting)) = both(
        read_node_documents(world, cluster, &candidates.nodes),
        both(
            describe_all(world, owner, store, slots(&candidates.nodes, &candidates.applications)),
            world.secrets_awaiting_removal(store, &owner.id),
        ),
    )
    .await?;
    let (mut records, mut environments) = (BTreeMap::new(), BTreeMap::new());
    for (&index, [record, environment]) in candidates.nodes.iter().zip(documents) {
        records.extend(record.map(|text: String| {
            let checked = NodeRecord::verify(&text, &keys, cluster, index, 0).map(|record| record.at(now));
            (index, StoredRecord { text, checked })
        }));
        environments.extend(environment.map(|text| (index, text)));
    }
    let late = known_late(cluster, &candidates, &records, &awaiting, &secrets);
    secrets.extend(describe_all(world, owner, store, late).await?);
    look_again(world, cluster, &keys, now, &mut records, &secrets).await?;
    secrets.extend(describe_all(world, owner, store, changed_meanwhile(&records, &secrets)).await?);
    let mut observed = Observed {
        keys,
        store,
        claimed,
        claim,
        former_is_at_work,
        provisional: false,
        standing,
        broken,
        intent,
        index_text,
        pages,
        entries,
        unlisted_pages: Vec::new(),
        records,
        environments,
        secrets,
    };
    observed.unlisted_pages = find_unlisted_pages(world, cluster, &observed).await?;
    Ok(observed)
}

/// The secrets of applications that only a record still knows of, and those that wait to be removed.
fn known_late(
    cluster: &ClusterName,
    candidates: &Candidates,
    records: &BTreeMap<NodeIndex, StoredRecord>,
    awaiting: &[String],
    secrets: &BTreeMap<Slot, Place>,
) -> BTreeSet<Slot> {
    let known = records.iter().filter_map(|(index, record)| Some((index, record.checked.as_ref().ok()?)));
    let of_records = known
        .flat_map(|(&index, record)| record.api_keys.keys().map(move |application| (index, application)))
        .filter(|(_, application)| !candidates.applications.contains(*application))
        .map(|(index, application)| Slot { index, purpose: Purpose::ApiKey(application.clone()) });
    let waiting = awaiting.iter().filter_map(|name| cluster.slot_of(name));
    of_records.chain(waiting).filter(|slot| !secrets.contains_key(slot)).collect()
}

/// The pages that the operation of an open note may have written. In a cluster of ours they are
/// ours; where there is no index of ours yet, another stack may be writing its own under the same
/// names, so only pages that list keys of ours count.
async fn find_unlisted_pages(
    world: &impl Publisher,
    cluster: &ClusterName,
    observed: &Observed,
) -> Result<Vec<ParameterName>, PortError> {
    let Some(intent) = observed.open_intent() else { return Ok(Vec::new()) };
    let listed = observed.index().map_or(0, |index| index.serial);
    let pages = intent.nodes.len().div_ceil(NODES_A_PAGE);
    let names: Vec<_> = (listed + 1..=intent.serial)
        .flat_map(|serial| (0..pages).map(move |page| cluster.roster_page_parameter(serial, page)))
        .collect();
    if observed.index().is_some() {
        return Ok(names);
    }
    let is_ours = |entry: &RosterEntry| {
        let slot = Slot { index: entry.index, purpose: Purpose::P2pKey };
        let Some(Place::Ours(facts)) = observed.secrets.get(&slot) else { return false };
        let labels = facts.versions.values().filter_map(VersionLabel::among);
        let further = labels.map(|label| label.public_base64());
        let mut publics = further.chain(facts.tags.get(PUBLIC_TAG).cloned());
        publics.any(|spki| {
            P2pPublicKey::from_spki_base64(&spki)
                .is_ok_and(|public| public.fingerprint() == entry.fingerprint)
        })
    };
    let texts = read_all(world, &names).await?;
    let ours = names.into_iter().zip(texts).filter(|(_, text)| {
        let entries = text.as_deref().and_then(roster::page_entries).unwrap_or_default();
        !entries.is_empty() && entries.iter().all(is_ours)
    });
    Ok(ours.map(|(name, _)| name).collect())
}

/// Trusts the one key that this function signs with.
pub(crate) fn pin(world: &impl RecordSigner, spki: &[u8]) -> Result<PinnedKeys, PortError> {
    PinnedKeys::default().pin(world.signer(), spki).map_err(|_| PortError::Refused {
        what: format!("using the signing key {}", world.signer()),
        code: "it is not an ECC_NIST_P256 key".into(),
    })
}

/// Trusts the former keys as well, as far as they can be had: what one that is gone has signed is
/// refused by its name.
async fn pin_former(world: &impl RecordSigner, keys: PinnedKeys) -> Result<PinnedKeys, PortError> {
    let mut pinned = keys;
    for signer in world.former_signers() {
        match world.former_verifying_key(&signer).await {
            Ok(spki) => {
                pinned = pinned.clone().pin(signer, &spki).unwrap_or(pinned);
            }
            Err(error @ PortError::Unavailable { .. }) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(pinned)
}

/// What an index, if one is stored, says to this owner.
pub(crate) fn standing(stored: Option<&str>, keys: &PinnedKeys, owner: &Owner) -> Standing {
    let Some(stored) = stored else { return Standing::None };
    match RosterIndex::verify(stored, keys, owner.id.cluster()) {
        Ok(index) if index.owner == owner.id.as_str() => Standing::Ours(index),
        Ok(index) => Standing::Foreign(index),
        Err(error) => Standing::Unreadable(error),
    }
}

/// The pages of an index, and what they list.
pub(crate) async fn read_pages(
    world: &impl Publisher,
    cluster: &ClusterName,
    index: Option<&RosterIndex>,
) -> Result<(Vec<String>, Result<Vec<RosterEntry>, DocumentError>), PortError> {
    let Some(index) = index else { return Ok((Vec::new(), Ok(Vec::new()))) };
    let names: Vec<_> =
        (0..index.pages).map(|page| cluster.roster_page_parameter(index.serial, page)).collect();
    let pages: Vec<String> = read_all(world, &names).await?.into_iter().flatten().collect();
    let entries = index.entries(&pages);
    Ok((pages, entries))
}

/// The record and the environment of each node, in the order of the nodes.
async fn read_node_documents(
    world: &impl Publisher,
    cluster: &ClusterName,
    nodes: &BTreeSet<NodeIndex>,
) -> Result<Vec<[Option<String>; 2]>, PortError> {
    let names: Vec<_> = nodes
        .iter()
        .flat_map(|&index| [cluster.record_parameter(index), cluster.environment_parameter(index)])
        .collect();
    let mut texts = read_all(world, &names).await?.into_iter();
    Ok(nodes.iter().map(|_| [texts.next().flatten(), texts.next().flatten()]).collect())
}

/// Reads one document.
pub(crate) async fn read_one(
    world: &impl Publisher,
    name: &ParameterName,
) -> Result<Option<String>, PortError> {
    Ok(world.read_documents(std::slice::from_ref(name)).await?.into_iter().flatten().next())
}

/// Reads documents, so many at a time as one read takes.
async fn read_all(world: &impl Publisher, names: &[ParameterName]) -> Result<Vec<Option<String>>, PortError> {
    let read = each(names.chunks(NAMES_A_READ), |names| world.read_documents(names)).await?;
    Ok(read.into_iter().flatten().collect())
}

/// The secrets of which a record names a version that they did not have yet: it was written after
/// they were looked at.
fn changed_meanwhile(
    records: &BTreeMap<NodeIndex, StoredRecord>,
    secrets: &BTreeMap<Slot, Place>,
) -> Vec<Slot> {
    let names_another = |slot: &Slot, facts: &SecretFacts| {
        let record = records.get(&slot.index).and_then(|record| record.checked.as_ref().ok());
        let named = record.and_then(|record| named_by(record, slot));
        named.is_some_and(|(version_id, _)| !facts.versions.contains_key(&version_id))
    };
    let changed = secrets.iter().filter_map(|(slot, place)| match place {
        Place::Ours(facts) if names_another(slot, facts) => Some(slot.clone()),
        _ => None,
    });
    changed.collect()
}

/// Reads records again that seem to be from before what their node's secrets hand out: documents and secrets
/// are looked at side by side, and by now the secrets have been.
async fn look_again(
    world: &impl Publisher,
    cluster: &ClusterName,
    keys: &PinnedKeys,
    now: Timestamp,
    records: &mut BTreeMap<NodeIndex, StoredRecord>,
    secrets: &BTreeMap<Slot, Place>,
) -> Result<(), PortError> {
    let again = seemingly_from_before(cluster, keys, records, secrets);
    let documents = read_node_documents(world, cluster, &again).await?;
    for (&index, [record, _]) in again.iter().zip(documents) {
        if let Some(text) = record {
            let checked = NodeRecord::verify(&text, keys, cluster, index, 0).map(|record| record.at(now));
            records.insert(index, StoredRecord { text, checked });
        }
    }
    Ok(())
}

/// The nodes whose records are from before what their secrets hand out, as far as both were looked at.
fn seemingly_from_before(
    cluster: &ClusterName,
    keys: &PinnedKeys,
    records: &BTreeMap<NodeIndex, StoredRecord>,
    secrets: &BTreeMap<Slot, Place>,
) -> BTreeSet<NodeIndex> {
    let evidence = Evidence { cluster, keys };
    let found = secrets.iter().filter(|(slot, place)| {
        let record = records.get(&slot.index).and_then(|record| record.checked.as_ref().ok());
        matches!((record, place), (Some(record), Place::Ours(facts)) if is_from_before(record, evidence, slot, facts))
    });
    found.map(|(slot, _)| slot.index).collect()
}

/// Every secret that these nodes may have.
fn slots(nodes: &BTreeSet<NodeIndex>, applications: &BTreeSet<Application>) -> Vec<Slot> {
    let mut purposes = vec![Purpose::P2pKey, Purpose::SharePassword, Purpose::ManagementKey];
    purposes.extend(applications.iter().cloned().map(Purpose::ApiKey));
    nodes
        .iter()
        .flat_map(|&index| purposes.iter().map(move |purpose| Slot { index, purpose: purpose.clone() }))
        .collect()
}

/// Where the secrets are: as the signed documents of this owner say, which outlive the properties
/// that they were made of; before there are any, as the properties say.
fn store_of(listed: Option<&RosterIndex>, intent: Option<&Intent>, declared: Option<Store>) -> Store {
    match (listed, intent) {
        (Some(index), _) => index.store,
        (_, Some(intent)) => intent.store,
        (_, None) => declared.unwrap_or_default(),
    }
}

async fn describe_all(
    world: &impl SecretStore,
    owner: &Owner,
    store: Store,
    slots: impl IntoIterator<Item = Slot>,
) -> Result<BTreeMap<Slot, Place>, PortError> {
    let described = each(slots, async |slot: Slot| {
        let name = owner.id.cluster().secret_name(slot.index, &slot.purpose);
        let facts = world.describe_secret(store, &name).await?;
        Ok::<_, PortError>(facts.map(|facts| (slot, place(owner, facts))))
    })
    .await?;
    Ok(described.into_iter().flatten().collect())
}

/// Whose secret this is, by its tags.
pub(crate) fn place(owner: &Owner, facts: SecretFacts) -> Place {
    if owner.owns(&facts.tags) { Place::Ours(facts) } else { Place::Foreign(facts) }
}

/// Whose a secret is, as it may stand in a message.
pub(crate) fn owner_shown(facts: &SecretFacts) -> String {
    let id = facts.tags.get(OWNER_TAG).map(|id| printable(id));
    id.unwrap_or_else(|| "somebody who is not a keyboot resource".into())
}

/// A tag's value as far as it may stand in a message.
fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(200).collect()
}
