//! Which version of a secret counts, and what is known of every one that is held.
//!
//! The node's record names the version that counts; of a new secret, which no record knows, it is the
//! first. What is known of the first version stands in the secret's tags, of every other one in its
//! label. Who may put versions may label them as he likes, so a label is believed where a signed record
//! vouches for it, or where this very request has just put it. Where a store's version ids begin again
//! with a new secret of an old name, an id alone tells nothing: the public half has to be the same.
//! No I/O here.

use crate::error::ProvisionError;
use crate::names::{ClusterName, Purpose, Slot};
use crate::operation::Operation;
use crate::ownership::{Generation, ORIGIN_TAG, PROTECTION_TAG, PUBLIC_TAG, REGENERATE_TAG, generation_of};
use crate::planning::{incomplete, public_key};
use crate::ports::{CURRENT, SecretFacts};
use crate::properties::ClusterSpec;
use crate::record::{AcceptedKey, KeyState, NodeRecord};
use crate::sealing::{KeyOrigin, Protection};
use crate::version_label::{Form, KeyDigest, LabelDigest, TokenDigest, VersionLabel};

/// A version of a stored secret: its place, its id, its public half, and what else is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) arn: String,
    pub(crate) version_id: String,
    pub(crate) public: Option<String>,
    /// The operation that made it.
    pub(crate) generation: Generation,
    /// Its number among the versions of its secret; none of one that was just made as the first.
    pub(crate) number: Option<u64>,
    /// The token that it was made under; none where nothing tells.
    pub(crate) token: Option<TokenDigest>,
    /// How it was made; none where nothing tells.
    pub(crate) form: Option<Form>,
    /// The key that it was encrypted with, where a label tells.
    pub(crate) key: Option<KeyDigest>,
    /// Its label, where it has one that is believed.
    pub(crate) label: Option<String>,
}

/// What tells which labels were put by this function.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) cluster: &'a ClusterName,
    /// The request that is carried out: what it has put, no record may vouch for yet.
    pub(crate) generation: &'a Generation,
    /// The node's record, where it knows of the secret.
    pub(crate) record: Option<&'a NodeRecord>,
}

impl<'a> Evidence<'a> {
    pub(crate) fn of(operation: &'a Operation, record: Option<&'a NodeRecord>) -> Self {
        Self { cluster: operation.owner.id.cluster(), generation: &operation.generation, record }
    }

    /// The label of a version, if it is to be believed; `item` is what is known of the version without it.
    fn label_of(&self, slot: &Slot, facts: &SecretFacts, item: &Item) -> Option<(VersionLabel, String)> {
        let is_believed = |label: &VersionLabel, text: &str| {
            let public = label.public_base64();
            let repeats_the_tags = item.public.as_deref() == Some(public.as_str())
                && item.token == Some(label.token)
                && item.generation == label.generation;
            let is_vouched_for =
                self.record.is_some_and(|record| record.vouches_for(&slot.purpose, &item.version_id, text));
            let is_our_own = label.generation == *self.generation;
            item.may_be(Some(&public)) && (repeats_the_tags || is_vouched_for || is_our_own)
        };
        let labels = facts.versions.get(&item.version_id)?;
        labels.iter().find_map(|text| {
            let label = text.parse().ok().filter(|label| is_believed(label, text))?;
            Some((label, text.clone()))
        })
    }
}

impl Item {
    /// The version of a secret that counts.
    pub(crate) fn found(
        evidence: Evidence<'_>,
        slot: &Slot,
        facts: &SecretFacts,
    ) -> Result<Self, ProvisionError> {
        let first = Self::first(evidence.cluster, slot, facts)?;
        let named = evidence.record.and_then(|record| named_by(record, slot));
        let Some((version_id, public)) = named.filter(|(id, public)| is_of(facts, id, public.as_deref()))
        else {
            // A version is handed out after a record has named it, but for the first.
            return match facts.staged(CURRENT) {
                Some(current) if current != first.version_id => Err(incomplete(
                    &facts.arn,
                    "hands out a version that no record of its node tells of: restore the record",
                )),
                _ => Ok(first.labelled(evidence, slot, facts)),
            };
        };
        let mut item =
            if version_id == first.version_id { first } else { Self { version_id, token: None, ..first } };
        item.public = public;
        item = item.labelled(evidence, slot, facts);
        if let (Purpose::P2pKey, Some(record)) = (&slot.purpose, evidence.record) {
            item.number = Some(record.version);
        }
        Ok(item)
    }

    /// Every version that is held and of which everything is known.
    pub(crate) fn all_held(
        evidence: Evidence<'_>,
        slot: &Slot,
        facts: &SecretFacts,
    ) -> Result<Vec<Self>, ProvisionError> {
        let first = Self::first(evidence.cluster, slot, facts)?;
        let held = facts.versions.keys().filter_map(|id| {
            if *id == first.version_id {
                return Some(first.clone().labelled(evidence, slot, facts));
            }
            let item = Self { version_id: id.clone(), public: None, token: None, ..first.clone() };
            Some(item.labelled(evidence, slot, facts)).filter(|item| item.label.is_some())
        });
        Ok(held.collect())
    }

    /// The first version, as the tags tell of it.
    fn first(cluster: &ClusterName, slot: &Slot, facts: &SecretFacts) -> Result<Self, ProvisionError> {
        let generation = generation_of(&facts.tags).ok_or_else(|| {
            incomplete(&facts.arn, "has no tag that names its generation: restore its tags")
        })?;
        let name = cluster.secret_name(slot.index, &slot.purpose);
        let token = match facts.tags.get(REGENERATE_TAG) {
            Some(digest) => digest.parse().ok(),
            None => Some(TokenDigest::of(None)),
        };
        let protection = match facts.tags.get(PROTECTION_TAG).map(String::as_str) {
            Some("Envelope") => Some(Protection::Envelope),
            Some("Service") => Some(Protection::Service),
            // Only what the node reads has a choice.
            None if !slot.purpose.is_read_by_the_node() => Some(Protection::Service),
            _ => None,
        };
        let origin = match facts.tags.get(ORIGIN_TAG).map(String::as_str) {
            None | Some("Function") => Some(KeyOrigin::Function),
            Some("Kms") => Some(KeyOrigin::Kms),
            Some(_) => None,
        };
        Ok(Self {
            arn: facts.arn.clone(),
            version_id: facts.store.first_version_id(&generation, &name),
            public: facts.tags.get(PUBLIC_TAG).cloned(),
            generation,
            number: None,
            token,
            form: protection.zip(origin).map(|(protection, origin)| Form { protection, origin }),
            key: None,
            label: None,
        })
    }

    /// Whether a record tells of this version. A version id that another secret of the name had before
    /// does not make it this one.
    pub(crate) fn is_named_by(&self, record: &NodeRecord, slot: &Slot) -> bool {
        record.names(&slot.purpose, &self.version_id)
            && self.may_be(record.public_half(&slot.purpose, &self.version_id).as_deref())
    }

    /// Whether this is the public half, as far as both are known.
    pub(crate) fn may_be(&self, public: Option<&str>) -> bool {
        self.public.as_deref().zip(public).is_none_or(|(own, other)| own == other)
    }

    /// What a record has to say of its label, so that it is believed from then on.
    pub(crate) fn label_digest(&self) -> Option<LabelDigest> {
        self.label.as_deref().map(|label| LabelDigest::of(&self.version_id, label))
    }

    fn labelled(self, evidence: Evidence<'_>, slot: &Slot, facts: &SecretFacts) -> Self {
        let Some((label, text)) = evidence.label_of(slot, facts, &self) else { return self };
        Self {
            public: Some(label.public_base64()),
            generation: label.generation,
            number: Some(label.number),
            token: Some(label.token),
            form: Some(label.form),
            key: Some(label.key),
            label: Some(text),
            ..self
        }
    }

    /// Whether this version is of the kind that is asked for now: one of a P2P key has a curve, a
    /// protection and an origin; any other is like the next.
    pub(crate) fn is_as_declared(&self, spec: &ClusterSpec, slot: &Slot) -> bool {
        if slot.purpose != Purpose::P2pKey {
            return true;
        }
        let form = Form { protection: spec.protection, origin: spec.key_origin };
        self.form == Some(form)
            && public_key(slot, self, &self.arn).is_ok_and(|public| public.curve() == spec.curve)
    }
}

/// Whether what a record says of a version may be said of this secret, and not of one that had the
/// name before it.
fn is_of(facts: &SecretFacts, version_id: &str, public: Option<&str>) -> bool {
    let number = |id: &str| id.parse::<u64>().ok();
    match facts.versions.get(version_id) {
        _ if !facts.store.counts_versions() => true,
        Some(labels) => {
            VersionLabel::among(labels).is_none_or(|label| Some(label.public_base64().as_str()) == public)
        }
        // Somebody has handed out others since, and what they left behind is not looked at.
        None => facts.staged(CURRENT).is_some_and(|current| number(version_id) < number(current)),
    }
}

/// Whether a record names any version of a secret.
pub(crate) fn is_any_named(record: &NodeRecord, slot: &Slot, facts: &SecretFacts) -> bool {
    let name = record.cluster.secret_name(slot.index, &slot.purpose);
    let first = generation_of(&facts.tags).map(|made| facts.store.first_version_id(&made, &name));
    facts.versions.keys().chain(first.as_ref()).any(|id| {
        record.names(&slot.purpose, id) && is_of(facts, id, record.public_half(&slot.purpose, id).as_deref())
    })
}

/// The version that a record names for a secret, and the public half it gives it.
pub(crate) fn named_by(record: &NodeRecord, slot: &Slot) -> Option<(String, Option<String>)> {
    let current = |keys: &[AcceptedKey]| {
        let key = keys.iter().find(|key| key.state == KeyState::Current)?;
        Some((key.version_id.clone()?, Some(key.hash.to_string())))
    };
    match &slot.purpose {
        Purpose::P2pKey => Some((record.version_id.clone(), Some(record.public_key.to_spki_base64()))),
        Purpose::SharePassword => record.share_version_id.clone().map(|id| (id, None)),
        Purpose::ManagementKey => current(&record.management_keys),
        Purpose::ApiKey(application) => record.api_keys.get(application).and_then(|keys| current(keys)),
    }
}
