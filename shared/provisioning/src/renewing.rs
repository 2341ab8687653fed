//! Further versions: what a new `Regenerate` token asks for, and what the way back from one does.
//!
//! A version counts under the token it was made with. Where another one is declared, a version that
//! is held under that token is used again, and otherwise a new one is put, under an id that follows
//! from the request, so that a retry and a duplicate meet the version of the first. Before anything
//! is published, the version that counted until now gets a label of its own: by it a rollback finds
//! it, and the store keeps it. What is not signed was put by somebody else, and is never used again. A
//! version that no record names is never used, so nothing is taken back.
//! The share-encryption password is never renewed.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{Action, AuditEvent};
use crate::authority::Permit;
use crate::drafting::Draft;
use crate::error::ProvisionError;
use crate::leases::Lease;
use crate::making::{MadeValue, make_value};
use crate::names::{NodeIndex, Purpose, Slot};
use crate::observing::{Observed, Place, place};
use crate::operation::Operation;
use crate::ownership::{Generation, OwnerId, further_version_token, generation_of};
use crate::parallel::each;
use crate::planning::{Plan, incomplete};
use crate::ports::{CURRENT, MakeError, NewVersion, PENDING, PREVIOUS, PortError, SecretFacts, World};
use crate::properties::ClusterSpec;
use crate::publishing::sign_label;
use crate::record::NodeRecord;
use crate::roster::RosterIndex;
use crate::sealing::{KeyOrigin, Protection};
use crate::version_label::{Form, KeyDigest, LabelError, TokenDigest, VersionLabel, is_ours};
use crate::versions::{Evidence, Item, NO_GENERATION};

/// What has to be done to a secret so that another version of it can count.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    /// The version that counted until now.
    old: Item,
    /// The operation that made the secret's first version.
    first: Generation,
    /// The label that has to be signed and put on it.
    mark: Option<String>,
    /// Whether further versions have to be encrypted with another key.
    rekeyed: bool,
    next: Next,
}

/// The version that counts then.
#[derive(Clone, Debug)]
enum Next {
    /// The same.
    Same,
    /// One that is held.
    Held(Item),
    /// One to make, with this number, which gets this id if nobody is faster.
    New(u64, String),
}

/// On whose behalf secrets are renewed, and what was there before.
#[derive(Clone, Copy)]
struct Renewing<'a> {
    operation: &'a Operation,
    spec: &'a ClusterSpec,
    observed: &'a Observed,
}

/// Which tokens lead back to a version that is held.
pub(crate) struct Tokens {
    /// The one that is declared.
    declared: TokenDigest,
    /// The one that the roster was written under.
    applied: Option<TokenDigest>,
    /// Whether the one that is declared leads back: it is applied, or was the one before. Of an older one
    /// nothing is held, whoever kept a version of it.
    leads_back: bool,
    /// The request that is carried out: it goes on with what it has put itself.
    generation: Generation,
}

impl Tokens {
    pub(crate) fn of(operation: &Operation, spec: &ClusterSpec, index: Option<&RosterIndex>) -> Self {
        let (declared, applied) = (spec.token(), index.map(RosterIndex::token));
        let before = index.and_then(|index| index.regenerate_before);
        let leads_back = applied.is_none_or(|applied| applied == declared) || before == Some(declared);
        Self { declared, applied, leads_back, generation: operation.generation.clone() }
    }
}

impl Renewal {
    /// What has to be done to the secret for `slot` of which version `old` counts; none where nothing
    /// has. `is_in_service` tells whether the record of a listed node names that version.
    pub(crate) fn of(
        evidence: Evidence<'_>,
        spec: &ClusterSpec,
        slot: &Slot,
        facts: &SecretFacts,
        old: &Item,
        tokens: &Tokens,
        is_in_service: bool,
    ) -> Result<Option<Self>, ProvisionError> {
        let (declared, applied) = (tokens.declared, tokens.applied);
        let shares_key = !facts.store.counts_versions();
        let is_other_key = shares_key && facts.key.as_deref().is_some_and(|key| key != spec.kms_key.as_str());
        let first = generation_of(&facts.tags).ok_or_else(|| incomplete(&facts.arn, NO_GENERATION))?;
        let may_come_back = |item: &Item| tokens.leads_back || item.generation == tokens.generation;
        let stays = || {
            // A renewal that was given up may have come as far as the key.
            let rekeyed = is_other_key && old.key == Some(KeyDigest::of(spec.kms_key.as_str()));
            let renewal =
                Self { old: old.clone(), first: first.clone(), mark: None, rekeyed, next: Next::Same };
            rekeyed.then_some(renewal)
        };
        let is_declared = old.token == Some(declared) && (is_in_service || may_come_back(old));
        if is_declared || slot.purpose == Purpose::SharePassword {
            return Ok(stays());
        }
        let held = Item::all_signed(evidence, slot, facts)?;
        let last = held.iter().chain([old]).filter_map(|item| item.number).max().unwrap_or(1);
        let fits = |item: &Item| item.token == Some(declared) && item.is_as_declared(spec, slot);
        let fitting = held.into_iter().filter(|item| fits(item) && may_come_back(item));
        let again = fitting.max_by_key(|item| item.number);
        // Of a version of which nothing tells, the token that is applied does.
        if old.token.is_none() && again.is_none() && applied.is_none_or(|applied| applied == declared) {
            return Ok(stays());
        }
        let token = old.token.or(applied.filter(|_| again.is_none()));
        // A version of which no label tells how it was made is not described: nothing would be true of it.
        let is_known = old.public.is_some() && old.form.is_some();
        let mark = match token.filter(|_| old.label.is_none() && is_known) {
            // Where versions are counted, every one has been given its label with its value.
            Some(token) if shares_key => Some(mark_of(old, facts, token)?),
            _ => None,
        };
        let next = again.map_or_else(
            || {
                let name = evidence.cluster.secret_name(slot.index, &slot.purpose);
                let token = further_version_token(&tokens.generation, &name);
                Next::New(last + 1, facts.store.next_version_id(&token, &facts.versions))
            },
            Next::Held,
        );
        Ok(Some(Self { old: old.clone(), first, mark, rekeyed: is_other_key, next }))
    }

    /// Whether a new value has to be made.
    pub(crate) fn makes(&self) -> bool {
        matches!(self.next, Next::New(..))
    }

    /// The version that is used again, if that is what is done.
    pub(crate) fn held(&self) -> Option<&Item> {
        match &self.next {
            Next::Same => Some(&self.old),
            Next::Held(item) => Some(item),
            Next::New(..) => None,
        }
    }

    /// Makes what it takes and does it.
    async fn renew(
        &self,
        world: &impl World,
        permit: &Permit,
        on_behalf: Renewing<'_>,
        slot: &Slot,
    ) -> Result<(Slot, Item), ProvisionError> {
        on_behalf.operation.time.check()?;
        let made: Option<Result<_, MakeError>> =
            if self.makes() { Some(make_value(world, on_behalf.spec.into(), slot).await) } else { None };
        let made = made.transpose()?;
        let item = self.carry_out(world, permit, on_behalf, slot, made.as_ref()).await?;
        Ok((slot.clone(), item))
    }

    /// Does it: first the label of the old version, which tells the key it was encrypted with, then
    /// the other key, then the new version.
    async fn carry_out(
        &self,
        world: &impl World,
        permit: &Permit,
        on_behalf: Renewing<'_>,
        slot: &Slot,
        made: Option<&MadeValue>,
    ) -> Result<Item, ProvisionError> {
        let Renewing { operation, spec, .. } = on_behalf;
        let arn = &self.old.arn;
        if let Some(mark) = &self.mark {
            let (name, id) = (spec.cluster.secret_name(slot.index, &slot.purpose), &self.old.version_id);
            let mark = sign_label(world, permit, &name, &self.first, id, mark.clone()).await?;
            for label in [&mark.signature, &mark.label] {
                world.label_version(permit, arn, id, label).await?;
            }
        }
        if self.rekeyed {
            world.encrypt_with(permit, arn, &spec.kms_key).await?;
            let event = AuditEvent::new(Action::Rekeyed, &operation.owner.id, &operation.generation, arn);
            world.record(&event.of(slot).because(spec.kms_key.as_str()));
        }
        match (&self.next, made) {
            (Next::New(number, version_id), Some(made)) => {
                let public = made.public.as_deref().unwrap_or_default();
                let label = label_for(operation, spec, slot, *number, public);
                self.put(world, permit, on_behalf, slot, version_id, made, label).await
            }
            _ => Ok(self.held().unwrap_or(&self.old).clone()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what is put, where, and on whose behalf")]
    async fn put(
        &self,
        world: &impl World,
        permit: &Permit,
        on_behalf: Renewing<'_>,
        slot: &Slot,
        version_id: &str,
        made: &MadeValue,
        label: VersionLabel,
    ) -> Result<Item, ProvisionError> {
        let Renewing { operation, spec, observed } = on_behalf;
        let arn = &self.old.arn;
        let name = spec.cluster.secret_name(slot.index, &slot.purpose);
        let text = label.to_text().map_err(|error| cannot_label(arn, error))?;
        let signed = sign_label(world, permit, &name, &self.first, version_id, text).await?;
        let token = further_version_token(&operation.generation, &name);
        let (value, key) = (&made.value, &spec.kms_key);
        let version =
            NewVersion { name: &name, arn, token: &token, value, label: &signed, key, pending: false };
        match world.put_version(permit, version).await {
            // It is signed as another one.
            Ok(put) if put != version_id => {
                Err(incomplete(arn, "was changed by somebody else while it was renewed: try again"))
            }
            Ok(version_id) => {
                let event = AuditEvent::new(Action::Renewed, &operation.owner.id, &operation.generation, arn);
                world.record(&event.of(slot).version(&version_id).public(made.public.as_deref()));
                Ok(Item {
                    arn: arn.clone(),
                    version_id,
                    public: made.public.clone(),
                    generation: operation.generation.clone(),
                    number: Some(label.number),
                    token: Some(label.token),
                    form: Some(label.form),
                    key: Some(label.key),
                    label: Some(signed.label),
                })
            }
            // A delivery of this very request was faster: what it put counts.
            Err(PortError::Exists { .. }) => {
                let facts = world.describe_secret(spec.store, &name).await?;
                let facts = facts.ok_or_else(|| incomplete(arn, "went while it was renewed: try again"))?;
                let Place::Ours(facts) = place(&operation.owner, facts) else {
                    return Err(incomplete(arn, "changed its owner while it was renewed: try again"));
                };
                let held = Item::all_signed(Evidence::of(operation, observed), slot, &facts)?;
                let is_it =
                    |item: &Item| item.generation == operation.generation && item.token == Some(label.token);
                held.into_iter().find(is_it).ok_or_else(|| {
                    incomplete(arn, "has a version of this request without its label: use another Regenerate")
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The label that a version gets before another one takes its place.
fn mark_of(old: &Item, facts: &SecretFacts, token: TokenDigest) -> Result<String, ProvisionError> {
    let public = old.public.as_deref().and_then(VersionLabel::public_bytes);
    let (Some(public), Some(form)) = (public, old.form) else {
        return Err(incomplete(&old.arn, "has no tags that tell what it holds: restore its tags"));
    };
    let label = VersionLabel {
        token,
        number: old.number.unwrap_or(1),
        form,
        key: KeyDigest::of(facts.key.as_deref().unwrap_or_default()),
        generation: old.generation.clone(),
        public,
    };
    label.to_text().map_err(|error| cannot_label(&old.arn, error))
}

/// The label of a version that is made now, as the properties ask for it.
pub(crate) fn label_for(
    operation: &Operation,
    spec: &ClusterSpec,
    slot: &Slot,
    number: u64,
    public: &str,
) -> VersionLabel {
    VersionLabel {
        token: spec.token(),
        number,
        form: form_of(spec, slot),
        key: KeyDigest::of(spec.kms_key.as_str()),
        generation: operation.generation.clone(),
        public: VersionLabel::public_bytes(public).unwrap_or_default(),
    }
}

pub(crate) fn cannot_label(arn: &str, error: LabelError) -> ProvisionError {
    match error {
        LabelError::Generation => incomplete(
            arn,
            "cannot be given a further version: this request's id, or the one that made it, does not fit a label",
        ),
        LabelError::Malformed => incomplete(arn, "cannot be given a label"),
    }
}

fn form_of(spec: &ClusterSpec, slot: &Slot) -> Form {
    if slot.purpose == Purpose::P2pKey {
        Form { protection: spec.protection, origin: spec.key_origin }
    } else {
        Form { protection: Protection::Service, origin: KeyOrigin::Function }
    }
}

impl Plan {
    /// The version of a secret that counts once this plan is carried out.
    pub(crate) fn counting(&self, operation: &Operation, slot: &Slot) -> String {
        if let Some(renewal) = self.renewed.get(slot) {
            let name = operation.owner.id.cluster().secret_name(slot.index, &slot.purpose);
            return renewal.held().map_or_else(
                || further_version_token(&operation.generation, &name),
                |item| item.version_id.clone(),
            );
        }
        let item = self.kept.get(slot).or_else(|| self.restored.get(slot));
        item.map(|item| item.version_id.clone()).unwrap_or_default()
    }

    /// Renews what has to be renewed. However much that is, a few values are in memory at once.
    pub(crate) async fn renew(
        &mut self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        spec: &ClusterSpec,
        observed: &Observed,
    ) -> Result<(), ProvisionError> {
        let on_behalf = Renewing { operation, spec, observed };
        let renewed = if spec.store.counts_versions() && observed.rotates() {
            let nodes: BTreeSet<NodeIndex> = self.renewed.keys().map(|slot| slot.index).collect();
            let of_nodes =
                each(nodes, async |index| self.renew_in_turn(world, permit, on_behalf, index).await);
            of_nodes.await?.into_iter().flatten().collect()
        } else {
            each(&self.renewed, async |(slot, renewal)| renewal.renew(world, permit, on_behalf, slot).await)
                .await?
        };
        self.kept.extend(renewed);
        Ok(())
    }

    /// Renews a node's secrets while no rotation puts a version of them: what is signed is the number that is
    /// put next.
    async fn renew_in_turn(
        &self,
        world: &impl World,
        permit: &Permit,
        on_behalf: Renewing<'_>,
        index: NodeIndex,
    ) -> Result<Vec<(Slot, Item)>, ProvisionError> {
        let Renewing { operation, spec, observed } = on_behalf;
        let name = spec.cluster.lease_parameter(index);
        let lease = Lease::take(world, permit, &operation.owner, &name).await?;
        let of_node = || self.renewed.iter().filter(|(slot, _)| slot.index == index);
        let renewed = async {
            each(of_node(), async |(slot, _)| {
                let name = spec.cluster.secret_name(slot.index, &slot.purpose);
                let facts = world.describe_secret(spec.store, &name).await?;
                let seen = observed.ours().find(|(seen, _)| *seen == slot).map(|(_, facts)| &facts.versions);
                // One has been put since this operation looked.
                if facts.as_ref().map(|facts| &facts.versions) == seen {
                    Ok(())
                } else {
                    Err(ProvisionError::Busy { subject: name.to_string() })
                }
            })
            .await?;
            each(of_node(), async |(slot, renewal)| renewal.renew(world, permit, on_behalf, slot).await).await
        };
        let renewed = renewed.await;
        lease.release(world, permit).await?;
        renewed
    }
}

/// A version that has to be handed out instead of another.
#[derive(Debug)]
pub(crate) struct Switch {
    slot: Slot,
    item: Item,
    from: String,
}

impl Switch {
    /// What is handed out and does not count, nor is about to, whatever an operation before this one left.
    pub(crate) fn all(plan: &Plan, observed: &Observed, records: &[Draft<NodeRecord>]) -> Vec<Self> {
        let records: BTreeMap<_, _> =
            records.iter().map(|draft| (draft.document.index, &draft.document)).collect();
        let switches = plan.kept.iter().filter_map(|(slot, item)| {
            let Some(Place::Ours(facts)) = observed.secrets.get(slot) else { return None };
            // Where the first version gets that label in a call of its own, it may not have come to it.
            let nothing = facts.store.counts_versions().then_some(item.version_id.as_str());
            let from = match facts.staged(CURRENT) {
                Some(current) => Some(current).filter(|current| {
                    let record = records.get(&slot.index);
                    let is_coming = record.is_some_and(|record| record.is_coming(&slot.purpose, current));
                    *current != item.version_id && !is_coming
                }),
                None => nothing,
            }?;
            Some(Self { slot: slot.clone(), item: item.clone(), from: from.to_owned() })
        });
        switches.collect()
    }

    pub(crate) fn index(&self) -> NodeIndex {
        self.slot.index
    }

    pub(crate) async fn carry_out(
        &self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
    ) -> Result<(), ProvisionError> {
        let Item { arn, version_id, public, .. } = &self.item;
        world.make_current(permit, arn, &self.from, version_id).await?;
        let event = AuditEvent::new(Action::MadeCurrent, &operation.owner.id, &operation.generation, arn);
        world.record(&event.of(&self.slot).version(version_id).public(public.as_deref()));
        Ok(())
    }
}

/// A label of ours on a version that is neither handed out at the end nor was before. A secret takes
/// 20 labels on all its versions (Secrets Manager User Guide, "AWS Secrets Manager quotas"), and a
/// version without any may be removed by the store.
#[derive(Debug)]
pub(crate) struct StaleLabel {
    slot: Slot,
    arn: String,
    version_id: String,
    label: String,
}

impl StaleLabel {
    /// All of a secret whose version `counts` once the operation is through. What a rotation is making, of
    /// which the node's `record` tells, stays, unless the operation renews the secret itself: then that
    /// rotation is over, and what it made goes.
    pub(crate) fn all(
        slot: &Slot,
        facts: &SecretFacts,
        counts: &str,
        record: Option<&NodeRecord>,
        renewal: Option<&Renewal>,
    ) -> Vec<Self> {
        if facts.store.counts_versions() {
            // It is part of the version, and goes with it.
            return Vec::new();
        }
        let old = renewal.map(|renewal| renewal.old.version_id.as_str()).filter(|old| *old != counts);
        let current = facts.staged(CURRENT);
        let is_early = |id| record.is_some_and(|record| record.is_coming(&slot.purpose, id));
        let before = match current {
            // A rotation handed it out before it counted.
            Some(current) if current != counts && is_early(current) => old,
            Some(current) if current != counts => Some(current),
            _ => facts.staged(PREVIOUS),
        };
        let is_rotated = |id: &str| {
            let is_named = record.is_some_and(|record| record.names(&slot.purpose, id));
            old.is_none() && (is_named || facts.staged(PENDING) == Some(id))
        };
        let others = facts.versions.iter().filter(|(id, _)| *id != counts && !is_rotated(id));
        let labels = others.flat_map(|(id, labels)| labels.iter().map(move |label| (id, label)));
        labels
            .filter(|(id, label)| {
                // What a rotation left pending keeps the next one from beginning, whichever version it is.
                let ends_a_rotation = *label == PENDING && old.is_some();
                ends_a_rotation || is_ours(label) && Some(id.as_str()) != before
            })
            .map(|(id, label)| Self {
                slot: slot.clone(),
                arn: facts.arn.clone(),
                version_id: id.clone(),
                label: label.clone(),
            })
            .collect()
    }

    pub(crate) fn version_id(&self) -> &str {
        &self.version_id
    }

    pub(crate) async fn release(
        &self,
        world: &impl World,
        permit: &Permit,
        owner: &OwnerId,
        generation: &Generation,
    ) -> Result<(), ProvisionError> {
        world.unlabel_version(permit, &self.arn, &self.version_id, &self.label).await?;
        if self.label.parse::<VersionLabel>().is_err() {
            // The label that it signs tells of it.
            return Ok(());
        }
        let event = AuditEvent::new(Action::Released, owner, generation, &self.arn);
        world.record(&event.of(&self.slot).version(&self.version_id));
        Ok(())
    }
}
