//! What an operation takes back that was stopped before it was done.
//!
//! As long as a retry or a follower will come, nothing is touched: whoever comes finds the note and
//! goes on from there. But where CloudFormation waits for the operation no more, or another one has
//! followed and may have looked before all of this was there, nobody would know of it later. What
//! has found a use stays: what a record of a listed node names, and what was retrieved. Of a secret that
//! was only renewed nothing is taken back: a version that no record names is never used.

use std::collections::BTreeSet;

use crate::audit::{Action, AuditEvent};
use crate::error::ProvisionError;
use crate::names::{NodeIndex, ParameterName, Slot};
use crate::observing::{Standing, read_one, read_pages, standing};
use crate::overtaking::was_overtaken;
use crate::ownership::generation_of;
use crate::parallel::each;
use crate::planning::incomplete;
use crate::ports::{PortError, SecretFacts, World};
use crate::properties::OnDelete;
use crate::publishing::refused;
use crate::reconciling::Attempt;
use crate::record::NodeRecord;
use crate::retiring::withdraw;
use crate::roster::NODES_A_PAGE;
use crate::signed::DocumentError;
use crate::versions::{Item, is_any_named};

/// The shortest recovery window, in days (Secrets Manager API Reference, `DeleteSecret`).
const SHORTEST_WINDOW: u8 = 7;

/// What the roster says at the end of an operation that was stopped.
#[derive(Default)]
struct RosterNow {
    /// Whether there is one.
    stands: bool,
    /// Whether it is another one than when the operation looked.
    is_another: bool,
    listed: BTreeSet<NodeIndex>,
}

impl Attempt<'_> {
    /// Takes back what has to be taken back, and gives the failure to answer: the one that stopped
    /// the operation, or the one that kept it from taking back what it had made.
    pub(crate) async fn give_up(&self, world: &impl World, stopped: ProvisionError) -> ProvisionError {
        let undone = self.undo(world, &stopped).await;
        undone.err().unwrap_or(stopped)
    }

    async fn undo(&self, world: &impl World, stopped: &ProvisionError) -> Result<(), ProvisionError> {
        // Without a permit nothing was written.
        let Some(permit) = &self.permit else { return Ok(()) };
        let overtaken = was_overtaken(world, self.operation, self.observed).await?;
        let nobody_waits = matches!(stopped, ProvisionError::NotInProgress(_));
        if !overtaken && !nobody_waits {
            return Ok(());
        }
        if self.too_late && self.went_by_rule(world).await? {
            return Ok(());
        }
        let now = if self.too_late { RosterNow::default() } else { self.roster_now(world).await? };
        each(&self.plan.made_here, async |(slot, item)| {
            if self.is_named(world, &now.listed, slot, item).await? || self.was_retrieved(world, slot).await?
            {
                return Ok(());
            }
            // A follower may be about to list it after all: then it goes in a way that can be undone.
            if overtaken && now.stands {
                world.schedule_secret(permit, &item.arn, self.days(slot).unwrap_or(SHORTEST_WINDOW)).await?;
                self.record(world, Action::Scheduled, slot, item);
            } else {
                world.remove_secret(permit, &item.arn).await?;
                self.record(world, Action::Removed, slot, item);
            }
            Ok::<_, ProvisionError>(())
        })
        .await?;
        // It was scheduled when this operation looked. What named it then is no reason to keep it.
        let listed_since = if now.is_another { now.listed.clone() } else { BTreeSet::new() };
        each(&self.plan.restored_here, async |(slot, item)| {
            let Some(days) = self.days(slot) else { return Ok(()) };
            if !self.is_any_named(world, &listed_since, slot, item).await? {
                world.schedule_secret(permit, &item.arn, days).await?;
                self.record(world, Action::Scheduled, slot, item);
            }
            Ok::<_, ProvisionError>(())
        })
        .await?;
        let mut names = self.documents_without_a_use(world, &now.listed).await?;
        let owner = &self.operation.owner.id;
        let cluster = owner.cluster();
        if self.too_late {
            // Nobody else writes under these names while there is an index.
            names.push(cluster.roster_index_parameter());
            let pages = self.spec.nodes.len().div_ceil(NODES_A_PAGE);
            names.extend((0..pages).map(|page| cluster.roster_page_parameter(1, page)));
        }
        // What an earlier attempt or another operation made is found by the note alone.
        let made_before = |(slot, item): (&Slot, &Item)| {
            item.generation == self.operation.generation
                && !self.plan.made_here.contains_key(slot)
                && !self.plan.renewed.contains_key(slot)
        };
        if !overtaken && self.observed.open_intent().is_none() && !self.plan.kept.iter().any(made_before) {
            names.push(cluster.intent_parameter(owner.digest()));
        }
        withdraw(world, permit, self.operation, &names).await
    }

    /// Whether the Delete met the mark after all: then it has let go of everything by the deletion
    /// rules, and what can be restored must not be removed. Every secret was stored before the last
    /// question to CloudFormation, so a Delete that did not meet the mark has removed all of them.
    async fn went_by_rule(&self, world: &impl World) -> Result<bool, ProvisionError> {
        let known = self.plan.kept.iter().chain(&self.plan.made_here);
        let own = known.filter(|(_, item)| item.generation == self.operation.generation);
        let slots: BTreeSet<&Slot> = own.map(|(slot, _)| slot).collect();
        let found = each(slots, async |slot| self.facts_of(world, slot).await).await?;
        let is_own = |facts: SecretFacts| {
            self.operation.owner.owns(&facts.tags)
                && generation_of(&facts.tags).as_ref() == Some(&self.operation.generation)
        };
        Ok(found.into_iter().flatten().any(is_own))
    }

    /// The roster as it is now. One that is not there any more, cannot be read whole or is another
    /// owner's may have listed anything: then nothing is taken back.
    async fn roster_now(&self, world: &impl World) -> Result<RosterNow, ProvisionError> {
        let owner = &self.operation.owner;
        let cluster = owner.id.cluster();
        let name = cluster.roster_index_parameter();
        let before = self.observed.index();
        let text = read_one(world, &name).await?;
        let standing = standing(text.as_deref(), &self.observed.keys, owner);
        let listed = match &standing {
            Standing::Ours(index) => Some(index),
            _ => None,
        };
        let (_, entries) = read_pages(world, cluster, listed).await?;
        let index = match standing {
            Standing::Ours(index) => index,
            Standing::None if before.is_none() => return Ok(RosterNow::default()),
            Standing::None => return Err(incomplete(name.as_str(), "came and went meanwhile: try again")),
            Standing::Unreadable(error) => return Err(refused(&name, error)),
            Standing::Foreign(index) => {
                let subject = format!("cluster {cluster}");
                return Err(ProvisionError::Foreign { subject, owner: index.owner });
            }
        };
        let entries = entries.map_err(|error| refused(&name, error))?;
        Ok(RosterNow {
            stands: true,
            is_another: before.is_none_or(|before| before.generation != index.generation),
            listed: entries.into_iter().map(|entry| entry.index).collect(),
        })
    }

    /// Whether the record of a listed node names this version. One that cannot be read may.
    async fn is_named(
        &self,
        world: &impl World,
        listed: &BTreeSet<NodeIndex>,
        slot: &Slot,
        item: &Item,
    ) -> Result<bool, ProvisionError> {
        if !listed.contains(&slot.index) {
            return Ok(false);
        }
        Ok(match self.record_of(world, slot.index).await? {
            None => false,
            Some(Ok(record)) => item.is_named_by(&record, slot),
            Some(Err(_)) => true,
        })
    }

    /// Whether the record of a listed node names this version or another one of its secret.
    async fn is_any_named(
        &self,
        world: &impl World,
        listed: &BTreeSet<NodeIndex>,
        slot: &Slot,
        item: &Item,
    ) -> Result<bool, ProvisionError> {
        if !listed.contains(&slot.index) {
            return Ok(false);
        }
        let facts = self.facts_of(world, slot).await?;
        Ok(match self.record_of(world, slot.index).await? {
            None => false,
            Some(Ok(record)) => {
                item.is_named_by(&record, slot)
                    || facts.is_some_and(|facts| is_any_named(&record, slot, &facts))
            }
            Some(Err(_)) => true,
        })
    }

    async fn was_retrieved(&self, world: &impl World, slot: &Slot) -> Result<bool, ProvisionError> {
        Ok(self.facts_of(world, slot).await?.is_some_and(|facts| facts.was_retrieved))
    }

    async fn facts_of(&self, world: &impl World, slot: &Slot) -> Result<Option<SecretFacts>, PortError> {
        let cluster = self.operation.owner.id.cluster();
        world.describe_secret(self.spec.store, &cluster.secret_name(slot.index, &slot.purpose)).await
    }

    /// The recovery window of what goes by the rules; none for what stays.
    fn days(&self, slot: &Slot) -> Option<u8> {
        match self.spec.deletion.of(&slot.purpose) {
            OnDelete::Schedule { days } => Some(days),
            OnDelete::Retain => None,
        }
    }

    async fn record_of(
        &self,
        world: &impl World,
        index: NodeIndex,
    ) -> Result<Option<Result<NodeRecord, DocumentError>>, ProvisionError> {
        let cluster = self.operation.owner.id.cluster();
        let text = read_one(world, &cluster.record_parameter(index)).await?;
        Ok(text.map(|text| NodeRecord::verify(&text, &self.observed.keys, cluster, index, 0)))
    }

    /// The documents of nodes that this operation has keys for and that no roster lists, now or when
    /// it looked. A record that names other keys is another operation's, and so is what stands beside
    /// it.
    async fn documents_without_a_use(
        &self,
        world: &impl World,
        listed: &BTreeSet<NodeIndex>,
    ) -> Result<Vec<ParameterName>, ProvisionError> {
        if self.observed.broken.is_some() {
            return Ok(Vec::new());
        }
        let cluster = self.operation.owner.id.cluster();
        let known = || self.plan.kept.iter().chain(&self.plan.made_here);
        let nodes: BTreeSet<_> = known().map(|(slot, _)| slot.index).collect();
        let mut names = Vec::new();
        let is_listed = |index: &NodeIndex| listed.contains(index) || self.observed.lists(*index);
        for index in nodes.into_iter().filter(|index| !is_listed(index)) {
            let is_ours = self.record_of(world, index).await?.is_none_or(|record| {
                let mut ours = known().filter(|(slot, _)| slot.index == index);
                record.is_ok_and(|record| ours.any(|(slot, item)| item.is_named_by(&record, slot)))
            });
            if is_ours {
                names.extend([cluster.record_parameter(index), cluster.environment_parameter(index)]);
            }
        }
        Ok(names)
    }

    fn record(&self, world: &impl World, action: Action, slot: &Slot, item: &Item) {
        let event = AuditEvent::new(action, &self.operation.owner.id, &self.operation.generation, &item.arn);
        world.record(&event.of(slot));
    }
}
