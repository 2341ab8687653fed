//! Which version of a secret counts, and what is known of every one that is held.
//!
//! The node's record names the version that counts; of a new secret, which no record knows, it is the
//! first. What is known of the first version stands in the secret's tags, of every other one in its
//! label. Who may put versions may label them as he likes, so a label is believed where its signature
//! stands beside it. Where a store's version ids begin again with a new secret of an old name, an id alone
//! tells nothing: the public half has to be the same. No I/O here.

use crate::error::ProvisionError;
use crate::names::{ClusterName, Purpose, Slot};
use crate::observing::Observed;
use crate::operation::Operation;
use crate::ownership::{Generation, ORIGIN_TAG, PROTECTION_TAG, PUBLIC_TAG, REGENERATE_TAG, generation_of};
use crate::planning::{incomplete, public_key};
use crate::ports::{CURRENT, SecretFacts};
use crate::properties::ClusterSpec;
use crate::record::{AcceptedKey, KeyState, NodeRecord};
use crate::sealing::{KeyOrigin, Protection};
use crate::signed::PinnedKeys;
use crate::version_label::{Form, KeyDigest, SignedLabel, TokenDigest, VersionLabel, signature_in};

/// What is wrong with a secret of which nobody knows when it was made.
pub(crate) const NO_GENERATION: &str = "has no tag that names its generation: restore its tags";

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
    /// Its label, where it has one that is signed.
    pub(crate) label: Option<String>,
}

/// What tells which labels are this function's own.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) cluster: &'a ClusterName,
    /// The keys whose signature counts.
    pub(crate) keys: &'a PinnedKeys,
}

impl<'a> Evidence<'a> {
    pub(crate) fn of(operation: &'a Operation, observed: &'a Observed) -> Self {
        Self { cluster: operation.owner.id.cluster(), keys: &observed.keys }
    }

    /// The label of a version that is signed, if one is.
    fn label_of(self, slot: &Slot, facts: &SecretFacts, version_id: &str) -> Option<(VersionLabel, String)> {
        let labels = facts.versions.get(version_id)?;
        let name = self.cluster.secret_name(slot.index, &slot.purpose);
        let first = generation_of(&facts.tags)?;
        let signatures: Vec<_> = labels.iter().filter_map(|label| signature_in(label)).collect();
        labels.iter().find_map(|text| {
            let label = text.parse().ok()?;
            let digest = SignedLabel::digest(&name, &first, version_id, text);
            let is_signed = signatures.iter().any(|signature| self.keys.have_signed(&digest, signature));
            is_signed.then(|| (label, text.clone()))
        })
    }
}

impl Item {
    /// The version of a secret that counts.
    pub(crate) fn found(
        evidence: Evidence<'_>,
        slot: &Slot,
        facts: &SecretFacts,
        record: Option<&NodeRecord>,
    ) -> Result<Self, ProvisionError> {
        let first = Self::first(evidence.cluster, slot, facts)?;
        let named = record.and_then(|record| named_by(record, slot));
        let Some((version_id, public)) = named.filter(|(id, public)| is_of(facts, id, public.as_deref()))
        else {
            return Ok(Self::handed_out(evidence, slot, facts, first));
        };
        // Of another one than the first, what no label says nobody knows.
        let is_first = version_id == first.version_id;
        let form = first.form.filter(|_| is_first);
        let mut item = Self { version_id, public, form, ..first };
        item = item.labelled(evidence, slot, facts);
        // The password is of no token.
        if slot.purpose != Purpose::SharePassword {
            item.token = record.map(NodeRecord::token);
        }
        if let (Purpose::P2pKey, Some(record)) = (&slot.purpose, record) {
            item.number = Some(record.version);
        }
        Ok(item)
    }

    /// The version that counts where no record tells: the latest that is signed, whatever is handed out, and
    /// before there is one the first. What is handed out and is neither was handed out by somebody else:
    /// then nothing is known but that it has to be made anew.
    fn handed_out(evidence: Evidence<'_>, slot: &Slot, facts: &SecretFacts, first: Self) -> Self {
        let signed = Self::signed(evidence, slot, facts, &first);
        if let Some(latest) = signed.into_iter().max_by_key(|item| item.number) {
            return latest;
        }
        match facts.staged(CURRENT) {
            Some(current) if current != first.version_id => Self { public: None, token: None, ..first },
            _ => first,
        }
    }

    /// Every version that is held and has a label that is signed.
    pub(crate) fn all_signed(
        evidence: Evidence<'_>,
        slot: &Slot,
        facts: &SecretFacts,
    ) -> Result<Vec<Self>, ProvisionError> {
        let first = Self::first(evidence.cluster, slot, facts)?;
        Ok(Self::signed(evidence, slot, facts, &first))
    }

    fn signed(evidence: Evidence<'_>, slot: &Slot, facts: &SecretFacts, first: &Self) -> Vec<Self> {
        let ids = facts.versions.keys();
        let items = ids.map(|id| {
            let item = Self { version_id: id.clone(), public: None, token: None, ..first.clone() };
            item.labelled(evidence, slot, facts)
        });
        items.filter(|item| item.label.is_some()).collect()
    }

    /// The first version, as the tags tell of it.
    fn first(cluster: &ClusterName, slot: &Slot, facts: &SecretFacts) -> Result<Self, ProvisionError> {
        let generation = generation_of(&facts.tags).ok_or_else(|| incomplete(&facts.arn, NO_GENERATION))?;
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

    /// With what its label says, where it has a signed one.
    fn labelled(self, evidence: Evidence<'_>, slot: &Slot, facts: &SecretFacts) -> Self {
        let found = evidence.label_of(slot, facts, &self.version_id);
        let of_this = found.filter(|(label, _)| self.may_be(Some(&label.public_base64())));
        let Some((label, text)) = of_this else { return self };
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
        // Somebody has put and handed out others since, and what they left behind is not looked at.
        None => facts.versions.keys().filter_map(|id| number(id)).max() > number(version_id),
    }
}

/// Whether a record is from before the version of a secret that is handed out: that one is signed, of the
/// record's own token, and later than all that the record names. Every version is named before it is handed
/// out, so somebody has put back what was published before.
pub(crate) fn is_from_before(
    record: &NodeRecord,
    evidence: Evidence<'_>,
    slot: &Slot,
    facts: &SecretFacts,
) -> bool {
    let Some(current) = facts.staged(CURRENT) else { return false };
    // What is switched off is in no record, and keeps its versions.
    if !record.knows(&slot.purpose) || record.names(&slot.purpose, current) {
        return false;
    }
    let label_of = |id: &str| evidence.label_of(slot, facts, id).map(|(label, _)| label);
    let named = facts.versions.keys().filter(|id| record.names(&slot.purpose, id));
    let latest = named.filter_map(|id| label_of(id)).map(|label| label.number).max();
    label_of(current).is_some_and(|label| label.token == record.token() && label.number > latest.unwrap_or(1))
}

/// What is wrong with such a record.
pub(crate) const FROM_BEFORE: &str = "is from before the keys that its node's secrets hand out: somebody has \
                                      put an older text back. Put the one of the highest serial in the \
                                      parameter's history in its place, and find out who did it";

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
