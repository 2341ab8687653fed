//! What has to be done to come from what is owned to what is declared.
//!
//! Planning only compares: it refuses what is not ours and what cannot change, and says what to
//! make, what to restore and what stays. No I/O here.

use std::collections::{BTreeMap, BTreeSet};

use key_material::P2pPublicKey;

use crate::error::ProvisionError;
use crate::names::{NodeIndex, Purpose, SecretName, Slot};
use crate::observing::{Candidates, Observed, Place, Standing};
use crate::operation::Operation;
use crate::ownership::{Generation, PROTECTION_TAG, PUBLIC_TAG, generation_of};
use crate::ports::SecretFacts;
use crate::properties::{ClusterSpec, LenientSpec, PropertyFault};
use crate::publishing::refused;
use crate::record::{AcceptedKey, KeyState, NodeRecord};

/// A stored secret that counts: its place, its version and its public half.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) arn: String,
    pub(crate) version_id: String,
    pub(crate) public: Option<String>,
    pub(crate) generation: Generation,
}

/// What has to be done to come from what is owned to what is declared.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Secrets that are there and stay.
    pub(crate) kept: BTreeMap<Slot, Item>,
    /// Secrets to make.
    pub(crate) made: BTreeSet<Slot>,
    /// Secrets that this very call made.
    pub(crate) made_here: BTreeMap<Slot, Item>,
    /// Secrets to take out of their recovery window.
    pub(crate) restored: BTreeMap<Slot, Item>,
    /// Secrets that this very call took out of it, or may have.
    pub(crate) restored_here: BTreeMap<Slot, Item>,
    /// The nodes of these.
    pub(crate) revived: BTreeSet<NodeIndex>,
    /// Whether a note is open that this operation has to bring to its roster.
    pub(crate) noted: bool,
    /// What the reader of the stack's events should know.
    pub(crate) told: Vec<String>,
}

pub(crate) fn candidates(spec: &ClusterSpec, before: Option<&LenientSpec>) -> Candidates {
    let mut candidates = Candidates {
        nodes: spec.nodes.clone(),
        applications: spec.applications.iter().cloned().collect(),
        store: Some(spec.store),
    };
    if let Some(before) = before {
        candidates.nodes.extend(&before.nodes);
        candidates.applications.extend(before.applications.iter().cloned());
    }
    candidates
}

pub(crate) fn refuse_what_is_not_ours(
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
) -> Result<(), ProvisionError> {
    let index = spec.cluster.roster_index_parameter();
    match &observed.standing {
        Standing::None | Standing::Ours(_) => {}
        Standing::Foreign(other) => {
            return Err(ProvisionError::Foreign {
                subject: format!("cluster {}", spec.cluster),
                owner: other.owner.clone(),
            });
        }
        Standing::Unreadable(error) => return Err(refused(&index, error.clone())),
    }
    if observed.store != spec.store {
        return Err(ProvisionError::Property(PropertyFault {
            property: "Store".into(),
            fault: "changed for a cluster that exists (a move is a new cluster: choose another Cluster)",
            allowed: format!("{}, as its secrets were made", observed.store),
        }));
    }
    let declared = spec.slots();
    for (slot, place) in &observed.secrets {
        if let Place::Foreign(owner) = place
            && declared.contains(slot)
        {
            return Err(ProvisionError::Foreign {
                subject: format!(
                    "secret {}",
                    operation.owner.id.cluster().secret_name(slot.index, &slot.purpose)
                ),
                owner: owner.clone(),
            });
        }
    }
    for (&index, record) in &observed.records {
        if let (Err(error), true) = (&record.checked, spec.nodes.contains(&index)) {
            return Err(refused(&spec.cluster.record_parameter(index), error.clone()));
        }
    }
    Ok(())
}

impl Plan {
    pub(crate) fn of(
        operation: &Operation,
        spec: &ClusterSpec,
        observed: &Observed,
    ) -> Result<Self, ProvisionError> {
        let mut plan = Self { noted: observed.open_intent().is_some(), ..Self::default() };
        let mut under_other_keys = BTreeSet::new();
        let never_listed = observed.never_listed(None);
        for slot in spec.slots() {
            let Some(Place::Ours(facts)) = observed.secrets.get(&slot) else {
                plan.made.insert(slot);
                continue;
            };
            // A record that is older than its node's secret does not know of it.
            let is_unlisted = generation_of(&facts.tags).is_some_and(|made| never_listed.contains(&made));
            let record = observed.record(slot.index).filter(|_| !is_unlisted);
            let item = Item::found(operation, &slot, facts, record)?;
            refuse_a_change_of_kind(spec, &slot, facts, &item)?;
            if facts.key.as_deref().is_some_and(|key| key != spec.kms_key.as_str()) {
                under_other_keys.extend(facts.key.clone());
            }
            if facts.scheduled_for_deletion {
                plan.revived.insert(slot.index);
                plan.restored.insert(slot, item);
            } else {
                plan.kept.insert(slot, item);
            }
        }
        plan.told.extend(under_other_keys.into_iter().map(|key| {
            format!("secrets made before still need {key}: keep it enabled until they are regenerated")
        }));
        Ok(plan)
    }

    /// Whether there is something to make or to restore, another roster to write, or the remains of
    /// another operation to take over.
    pub(crate) fn needs_a_note(
        &self,
        operation: &Operation,
        spec: &ClusterSpec,
        observed: &Observed,
    ) -> bool {
        let of_another = observed
            .open_intent()
            .is_some_and(|intent| intent.generations.first() != Some(&operation.generation));
        let lists_others = observed.entries.iter().map(|entry| &entry.index).ne(&spec.nodes)
            && !observed.is_committed(&operation.generation);
        !self.made.is_empty() || !self.restored.is_empty() || lists_others || of_another
    }
}

/// What cannot change without a new key is refused here, by property.
fn refuse_a_change_of_kind(
    spec: &ClusterSpec,
    slot: &Slot,
    facts: &SecretFacts,
    item: &Item,
) -> Result<(), ProvisionError> {
    let changed = |property: &str, allowed: &str| {
        ProvisionError::Property(PropertyFault {
            property: property.to_owned(),
            fault: "changed for keys that exist already, which this version does not do",
            allowed: format!("{allowed}, as they were made"),
        })
    };
    if slot.purpose == Purpose::P2pKey {
        let curve = public_key(slot, item, &facts.arn)?.curve();
        if curve != spec.curve {
            return Err(changed("P2pCurve", curve.name()));
        }
    }
    let protection = facts.tags.get(PROTECTION_TAG).map(String::as_str);
    if slot.purpose.is_read_by_the_node() && protection != Some(spec.protection.as_str()) {
        return Err(match protection {
            Some("Envelope") => changed("Protection", "Envelope"),
            Some("Service") => changed("Protection", "Service"),
            _ => incomplete(&facts.arn, "has no tag that says how it is protected: restore its tags"),
        });
    }
    Ok(())
}

pub(crate) fn incomplete(subject: &str, fault: &'static str) -> ProvisionError {
    ProvisionError::Incomplete { subject: subject.to_owned(), fault }
}

pub(crate) fn public_key(slot: &Slot, item: &Item, subject: &str) -> Result<P2pPublicKey, ProvisionError> {
    debug_assert_eq!(slot.purpose, Purpose::P2pKey);
    item.public
        .as_deref()
        .and_then(|spki| P2pPublicKey::from_spki_base64(spki).ok())
        .ok_or_else(|| incomplete(subject, "has no tag with its public key: restore its tags"))
}

impl Item {
    /// A secret that is there: which version counts is told by the node's record; before there is
    /// one, it is the first version, whose id follows from the tags.
    pub(crate) fn found(
        operation: &Operation,
        slot: &Slot,
        facts: &SecretFacts,
        record: Option<&NodeRecord>,
    ) -> Result<Self, ProvisionError> {
        let name = operation.owner.id.cluster().secret_name(slot.index, &slot.purpose);
        let first = Self::first(&name, facts).ok_or_else(|| {
            incomplete(&facts.arn, "has no tag that names its generation: restore its tags")
        })?;
        let Some(record) = record else { return Ok(first) };
        let current = |keys: &[AcceptedKey]| {
            let key = keys.iter().find(|key| key.state == KeyState::Current)?;
            Some((key.version_id.clone()?, Some(key.hash.to_string())))
        };
        let named = match &slot.purpose {
            Purpose::P2pKey => Some((record.version_id.clone(), Some(record.public_key.to_spki_base64()))),
            Purpose::SharePassword => record.share_version_id.clone().map(|id| (id, None)),
            Purpose::ManagementKey => current(&record.management_keys),
            Purpose::ApiKey(application) => record.api_keys.get(application).and_then(|keys| current(keys)),
        };
        let Some((version_id, public)) = named else { return Ok(first) };
        let named = Self { version_id, public, ..first.clone() };
        Ok(if named.version_id == first.version_id && !named.may_be(first.public.as_deref()) {
            first
        } else {
            named
        })
    }

    /// The version that the call made which created a secret.
    pub(crate) fn first(name: &SecretName, facts: &SecretFacts) -> Option<Self> {
        let generation = generation_of(&facts.tags)?;
        Some(Self {
            arn: facts.arn.clone(),
            version_id: facts.store.first_version_id(&generation, name),
            public: facts.tags.get(PUBLIC_TAG).cloned(),
            generation,
        })
    }

    /// Whether a record tells of this version. A version id that another secret of the name had before
    /// does not make it this one.
    pub(crate) fn is_named_by(&self, record: &NodeRecord, slot: &Slot) -> bool {
        record.names(&slot.purpose, &self.version_id)
            && self.may_be(record.public_half(&slot.purpose, &self.version_id).as_deref())
    }

    /// Whether this is the public half, as far as both are known. Where version ids begin again with a
    /// new secret of an old name, it alone tells the two apart.
    pub(crate) fn may_be(&self, public: Option<&str>) -> bool {
        self.public.as_deref().zip(public).is_none_or(|(own, other)| own == other)
    }
}
