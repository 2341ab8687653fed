//! What an operation takes back that was stopped before it was done.
//!
//! As long as a retry or a follower will come, nothing is touched: whoever comes finds the note and
//! goes on from there. But where CloudFormation waits for the operation no more, or another one has
//! followed and may have looked before all of this was there, nobody would know of it later. What
//! has found a use stays: what a record of a listed node names, and what was retrieved.

use std::collections::BTreeSet;

use crate::audit::{Action, AuditEvent};
use crate::error::ProvisionError;
use crate::names::{NodeIndex, ParameterName, Slot};
use crate::observing::read_all;
use crate::overtaking::was_overtaken;
use crate::parallel::each;
use crate::planning::Item;
use crate::ports::World;
use crate::properties::OnDelete;
use crate::publishing::refused;
use crate::reconciling::Attempt;
use crate::record::NodeRecord;
use crate::roster::{NODES_A_PAGE, RosterIndex};

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
        let listed = if self.too_late { BTreeSet::new() } else { self.listed_now(world).await? };
        each(&self.plan.made_here, async |(slot, item)| {
            if !self.is_used(world, &listed, slot, item).await? {
                world.remove_secret(permit, &item.arn).await?;
                self.record(world, Action::Removed, slot, item);
            }
            Ok::<_, ProvisionError>(())
        })
        .await?;
        each(&self.plan.restored_here, async |(slot, item)| {
            let OnDelete::Schedule { days } = self.spec.deletion.of(&slot.purpose) else { return Ok(()) };
            if !self.is_used(world, &listed, slot, item).await? {
                world.schedule_secret(permit, &item.arn, days).await?;
                self.record(world, Action::Scheduled, slot, item);
            }
            Ok::<_, ProvisionError>(())
        })
        .await?;
        let mut names = self.documents_without_a_use(world, &listed).await?;
        let owner = &self.operation.owner.id;
        let cluster = owner.cluster();
        if self.too_late {
            // Nobody else writes under these names while there is an index.
            names.push(cluster.roster_index_parameter());
            let pages = self.spec.nodes.len().div_ceil(NODES_A_PAGE);
            names.extend((0..pages).map(|page| cluster.roster_page_parameter(1, page)));
        }
        // What an earlier attempt made is found by the note.
        let made_before = |(slot, item): (&Slot, &Item)| {
            item.generation == self.operation.generation && !self.plan.made_here.contains_key(slot)
        };
        if !overtaken && !self.plan.kept.iter().any(made_before) {
            names.push(cluster.intent_parameter(owner.digest()));
        }
        each(names.chunks(10), async |names| Ok(world.withdraw(permit, names).await?)).await.map(drop)
    }

    /// Whether the Delete met the mark after all: then it has let go of everything by the deletion
    /// rules, and what can be restored must not be removed. Every secret was stored before the last
    /// question to CloudFormation, so a Delete that did not meet the mark has removed all of them.
    async fn went_by_rule(&self, world: &impl World) -> Result<bool, ProvisionError> {
        let cluster = self.operation.owner.id.cluster();
        let known: BTreeSet<&Slot> = self.plan.kept.keys().chain(self.plan.made_here.keys()).collect();
        let found = each(known, async |slot| {
            world.describe_secret(&cluster.secret_name(slot.index, &slot.purpose)).await
        });
        Ok(found.await?.into_iter().flatten().next().is_some())
    }

    /// The nodes that the roster lists now. One that cannot be read whole, or is another owner's,
    /// may list anything: then nothing is taken back.
    async fn listed_now(&self, world: &impl World) -> Result<BTreeSet<NodeIndex>, ProvisionError> {
        let owner = &self.operation.owner.id;
        let cluster = owner.cluster();
        let name = cluster.roster_index_parameter();
        let text = world.read_documents(std::slice::from_ref(&name)).await?.into_iter().flatten().next();
        let Some(text) = text else { return Ok(BTreeSet::new()) };
        let index = RosterIndex::verify(&text, &self.observed.keys, cluster)
            .map_err(|error| refused(&name, error))?;
        if index.owner != owner.as_str() {
            return Err(ProvisionError::Foreign {
                subject: format!("cluster {cluster}"),
                owner: index.owner,
            });
        }
        let names: Vec<_> =
            (0..index.pages).map(|page| cluster.roster_page_parameter(index.serial, page)).collect();
        let pages: Vec<String> = read_all(world, &names).await?.into_iter().flatten().collect();
        let entries = index.entries(&pages).map_err(|error| refused(&name, error))?;
        Ok(entries.into_iter().map(|entry| entry.index).collect())
    }

    async fn is_used(
        &self,
        world: &impl World,
        listed: &BTreeSet<NodeIndex>,
        slot: &Slot,
        item: &Item,
    ) -> Result<bool, ProvisionError> {
        let cluster = self.operation.owner.id.cluster();
        let is_named = listed.contains(&slot.index)
            && self
                .record_of(world, slot.index)
                .await?
                .is_some_and(|record| record.names(&slot.purpose, &item.version_id));
        let facts = world.describe_secret(&cluster.secret_name(slot.index, &slot.purpose)).await?;
        Ok(is_named || facts.is_some_and(|facts| facts.was_retrieved))
    }

    async fn record_of(
        &self,
        world: &impl World,
        index: NodeIndex,
    ) -> Result<Option<NodeRecord>, ProvisionError> {
        let cluster = self.operation.owner.id.cluster();
        let text =
            world.read_documents(&[cluster.record_parameter(index)]).await?.into_iter().flatten().next();
        Ok(text.and_then(|text| NodeRecord::verify(&text, &self.observed.keys, cluster, index, 0).ok()))
    }

    /// The documents of nodes that this operation has keys for and that no roster lists. A record
    /// that names other keys is another operation's, and so is what stands beside it.
    async fn documents_without_a_use(
        &self,
        world: &impl World,
        listed: &BTreeSet<NodeIndex>,
    ) -> Result<Vec<ParameterName>, ProvisionError> {
        let cluster = self.operation.owner.id.cluster();
        let known = || self.plan.kept.iter().chain(&self.plan.made_here);
        let nodes: BTreeSet<_> = known().map(|(slot, _)| slot.index).collect();
        let mut names = Vec::new();
        for index in nodes.into_iter().filter(|index| !listed.contains(index)) {
            let is_ours = self.record_of(world, index).await?.is_none_or(|record| {
                let mut ours = known().filter(|(slot, _)| slot.index == index);
                ours.any(|(slot, item)| record.names(&slot.purpose, &item.version_id))
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
