//! What has to be done to come from what is owned to what is declared.
//!
//! Planning only compares: it refuses what is not ours and what cannot change, and says what to
//! make, what to restore, what to renew and what stays. No I/O here.

use std::collections::{BTreeMap, BTreeSet};

use key_material::P2pPublicKey;

use crate::error::ProvisionError;
use crate::names::{NodeIndex, Purpose, Slot};
use crate::observing::{Candidates, Observed, Place, Standing, owner_shown};
use crate::operation::{Operation, OperationKind};
use crate::ownership::{Owner, generation_of};
use crate::ports::SecretFacts;
use crate::properties::{ClusterSpec, LenientSpec, PropertyFault};
use crate::publishing::refused;
use crate::renewing::{Renewal, Tokens};
use crate::signed::DocumentError;
use crate::store::Store;
use crate::version_label::KeyDigest;
use crate::versions::{Evidence, FROM_BEFORE, Item, is_from_before};

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
    /// Secrets of which another version is to count.
    pub(crate) renewed: BTreeMap<Slot, Renewal>,
    /// Whether a note is open that this operation has to bring to its roster.
    pub(crate) noted: bool,
    /// What the reader of the stack's events should know.
    pub(crate) told: Vec<String>,
}

pub(crate) fn candidates(spec: &ClusterSpec, before: Option<&LenientSpec>) -> Candidates {
    let mut candidates = Candidates {
        nodes: spec.nodes.clone(),
        applications: spec.applications.iter().cloned().collect(),
        adopt_from: spec.adopt_from.clone(),
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
        Standing::Unreadable(DocumentError::UnknownSigner(signer)) => {
            let owners = observed.foreign().filter_map(|(_, facts)| Owner::named_by(&facts.tags));
            return Err(ProvisionError::UnknownSigner {
                subject: index.to_string(),
                signer: signer.clone(),
                owner: owners.map(|owner| owner.id.to_string()).next(),
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
    refuse_readers_elsewhere(operation, spec)?;
    let declared = spec.slots();
    for (slot, place) in &observed.secrets {
        if let Place::Foreign(facts) = place
            && declared.contains(slot)
        {
            return Err(ProvisionError::Foreign {
                subject: format!(
                    "secret {}",
                    operation.owner.id.cluster().secret_name(slot.index, &slot.purpose)
                ),
                owner: owner_shown(facts),
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

/// Parameters have no policy that could let another account in.
fn refuse_readers_elsewhere(operation: &Operation, spec: &ClusterSpec) -> Result<(), ProvisionError> {
    let account = operation.owner.stack_id.split(':').nth(4).unwrap_or_default();
    match spec.admitted.names_another_account(account).filter(|_| spec.store == Store::ParameterStore) {
        Some(property) => Err(ProvisionError::Property(PropertyFault {
            property: property.to_owned(),
            fault: "names a reader of another account, which cannot read secrets in Parameter Store",
            allowed: "readers of the stack's own account, or Store SecretsManager".to_owned(),
        })),
        None => Ok(()),
    }
}

impl Plan {
    pub(crate) fn of(
        operation: &Operation,
        spec: &ClusterSpec,
        observed: &Observed,
    ) -> Result<Self, ProvisionError> {
        let mut plan = Self { noted: observed.open_intent().is_some(), ..Self::default() };
        let never_listed = observed.never_listed(None);
        let evidence = Evidence::of(operation, observed);
        let tokens = Tokens::of(operation, spec, observed.index());
        let mut remarks = Remarks::default();
        for slot in spec.slots() {
            let Some(Place::Ours(facts)) = observed.secrets.get(&slot) else {
                plan.made.insert(slot);
                continue;
            };
            // A record that is older than its node's secret does not know of it.
            let is_unlisted = generation_of(&facts.tags).is_some_and(|made| never_listed.contains(&made));
            let stored = observed.record(slot.index);
            if stored.is_some_and(|record| is_from_before(record, evidence, &slot, facts)) {
                let name = spec.cluster.record_parameter(slot.index);
                return Err(incomplete(name.as_str(), FROM_BEFORE));
            }
            let mut item = Item::found(evidence, &slot, facts, stored.filter(|_| !is_unlisted))?;
            let number = first_number(observed, &slot);
            if slot.purpose == Purpose::P2pKey {
                item.number = item.number.or(Some(number));
            }
            let record = stored.filter(|_| observed.lists(slot.index));
            let is_in_service = record.is_some_and(|record| item.is_named_by(record, &slot));
            let renewal = Renewal::of(evidence, spec, &slot, facts, &item, &tokens, is_in_service)?;
            let counts = renewal.as_ref().map_or(Some(&item), Renewal::held);
            if let Some(counts) = counts {
                refuse_a_change_of_kind(spec, &slot, facts, counts)?;
                remarks.on(spec, &slot, facts, counts);
            }
            plan.renewed.extend(renewal.map(|renewal| (slot.clone(), renewal)));
            if facts.scheduled_for_deletion {
                plan.revived.insert(slot.index);
                plan.restored.insert(slot, item);
            } else {
                plan.kept.insert(slot, item);
            }
        }
        plan.told = remarks.told(spec);
        Ok(plan)
    }

    /// Whether there is something to make, to restore or to renew, another roster to write, or the
    /// remains of another operation to take over.
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
        // What was taken over comes back with a roster of its own.
        let is_adopted = operation.kind == OperationKind::Create
            && observed.adopted_from().is_some()
            && !observed.provisional
            && !observed.is_committed(&operation.generation);
        // Another index without anything made has pages of its own, too.
        let is_rotated_otherwise = observed.index().is_some_and(|index| index.rotation != spec.rotation)
            && !observed.is_committed(&operation.generation);
        let makes = !self.made.is_empty() || !self.restored.is_empty() || !self.renewed.is_empty();
        is_adopted || makes || lists_others || of_another || is_rotated_otherwise
    }
}

/// What cannot change without a new key is refused here, by property. The share-encryption password
/// stays as it was made, whatever is declared.
fn refuse_a_change_of_kind(
    spec: &ClusterSpec,
    slot: &Slot,
    facts: &SecretFacts,
    item: &Item,
) -> Result<(), ProvisionError> {
    let changed = |property: &str, allowed: &str| {
        ProvisionError::Property(PropertyFault {
            property: property.to_owned(),
            fault: "changed for keys that exist already, which takes new keys",
            allowed: format!("{allowed}, as they were made, or come with a new Regenerate token"),
        })
    };
    if !slot.purpose.is_read_by_the_node() {
        return if item.public.is_some() { Ok(()) } else { Err(incomplete(&facts.arn, UNKNOWN)) };
    }
    let Some(form) = item.form else {
        let first = generation_of(&facts.tags).map(|made| {
            let name = spec.cluster.secret_name(slot.index, &slot.purpose);
            facts.store.first_version_id(&made, &name)
        });
        // Of a later version whose label does not count, such as one that another stack's key has signed,
        // nobody can say it; of the first its tags have to.
        return if first.is_some_and(|first| first == item.version_id) {
            Err(incomplete(&facts.arn, "has no tag that says how it is protected: restore its tags"))
        } else {
            Ok(())
        };
    };
    if slot.purpose != Purpose::P2pKey {
        return Ok(());
    }
    let curve = public_key(slot, item, &facts.arn)?.curve();
    if curve != spec.curve {
        return Err(changed("P2pCurve", curve.name()));
    }
    if form.protection != spec.protection {
        return Err(changed("Protection", form.protection.as_str()));
    }
    if form.origin != spec.key_origin {
        return Err(changed("KeyOrigin", form.origin.as_str()));
    }
    Ok(())
}

/// What the reader of the stack's events should know of secrets that stay as they are.
#[derive(Default)]
struct Remarks {
    /// The earlier keys that something was made under, and whether that is ever made anew.
    keys: BTreeSet<(bool, String)>,
    /// The protection of passwords that have another one than is declared.
    passwords: BTreeSet<&'static str>,
}

impl Remarks {
    fn on(&mut self, spec: &ClusterSpec, slot: &Slot, facts: &SecretFacts, item: &Item) {
        let is_password = slot.purpose == Purpose::SharePassword;
        let declared = KeyDigest::of(spec.kms_key.as_str());
        let present = facts.key.as_deref().map(|key| (KeyDigest::of(key), key));
        let made_under = item.key.or(present.map(|(digest, _)| digest));
        if made_under.is_some_and(|key| key != declared) {
            let known = present.filter(|(digest, _)| Some(*digest) == made_under).map(|(_, key)| key);
            self.keys.insert((!is_password, known.unwrap_or("the key that they were made under").to_owned()));
        }
        if let (true, Some(form)) = (is_password, item.form)
            && form.protection != spec.protection
        {
            self.passwords.insert(form.protection.as_str());
        }
    }

    fn told(self, spec: &ClusterSpec) -> Vec<String> {
        let keys = self.keys.into_iter().map(|(is_renewed, key)| {
            if is_renewed {
                format!("secrets made before still need {key}: keep it enabled until they are regenerated")
            } else {
                format!("share-encryption passwords made before will always need {key}: keep it enabled")
            }
        });
        let passwords = self.passwords.into_iter().map(|made| {
            let declared = spec.protection.as_str();
            format!(
                "share-encryption passwords are written once: those made with Protection {made} stay so, \
                 whatever is declared now ({declared})"
            )
        });
        keys.chain(passwords).collect()
    }
}

/// The number of a new secret's first version: of a P2P key, the one that follows what the node's record
/// tells of.
pub(crate) fn first_number(observed: &Observed, slot: &Slot) -> u64 {
    let record = observed.record(slot.index).filter(|_| slot.purpose == Purpose::P2pKey);
    record.map_or(1, |record| record.version + 1)
}

/// What is wrong with a version whose public half nothing tells.
pub(crate) const UNKNOWN: &str = "holds a version of which neither its tags nor a signature tell: restore \
                                  its tags, or use a new Regenerate";

pub(crate) fn incomplete(subject: &str, fault: &'static str) -> ProvisionError {
    ProvisionError::Incomplete { subject: subject.to_owned(), fault }
}

pub(crate) fn public_key(slot: &Slot, item: &Item, subject: &str) -> Result<P2pPublicKey, ProvisionError> {
    debug_assert_eq!(slot.purpose, Purpose::P2pKey);
    item.public
        .as_deref()
        .and_then(|spki| P2pPublicKey::from_spki_base64(spki).ok())
        .ok_or_else(|| incomplete(subject, UNKNOWN))
}
