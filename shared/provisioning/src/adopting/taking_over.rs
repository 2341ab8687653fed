//! Taking over, step by step: the claim, the secrets' tags, the roster index.
//!
//! Everything is looked at and refused before the first step, and each step may be repeated: a
//! retry goes on where the last attempt ended, and a Delete gives back whatever was taken by then.

use std::collections::BTreeMap;

use super::claim::{Claim, Claimed};
use super::former::{Former, ask_to_adopt, still_stands};
use super::handing_back::hand_back;
use super::{refuse_a_change, refuse_other_readers};
use crate::audit::{Action, AuditEvent};
use crate::authority::{Permit, PinnedStacks, permit};
use crate::error::ProvisionError;
use crate::names::{ParameterName, Purpose, Slot};
use crate::observing::{Candidates, Observed, Place, Standing, observe, owner_shown, read_one};
use crate::operation::Operation;
use crate::ownership::{Owner, OwnerId, Tags};
use crate::parallel::each;
use crate::planning::{Plan, refuse_what_is_not_ours};
use crate::ports::{PortError, SecretFacts, World};
use crate::properties::ClusterSpec;
use crate::publishing::{note, sign};
use crate::retiring::withdraw;
use crate::roster::{NamedOwner, RosterIndex};

/// What is taken over, from whom, and for how long.
pub(super) struct Adoption {
    former: Owner,
    /// The secrets that are declared and not ours yet.
    taken: BTreeMap<Slot, SecretFacts>,
    pub(super) provisional: bool,
    /// Whether our cluster is in service and only gets more secrets.
    in_service: bool,
}

impl Adoption {
    /// What there is to take over from `old`; `None` when that is done already, or when what stands
    /// there is refused anyway.
    pub(super) async fn of(
        world: &impl World,
        pinned: &PinnedStacks,
        operation: &Operation,
        spec: &ClusterSpec,
        observed: &Observed,
        old: &OwnerId,
    ) -> Result<Option<Self>, ProvisionError> {
        let refused = |fault: &str| ProvisionError::NotAdopted { from: old.to_string(), fault: fault.into() };
        match &observed.standing {
            Standing::Foreign(index) if index.owner != old.as_str() => return Ok(None),
            Standing::Unreadable(_) => return Ok(None),
            Standing::None | Standing::Ours(_) | Standing::Foreign(_) => {}
        }
        let in_service = observed.index().is_some();
        let dead = if in_service { None } else { rival(world, operation, observed, old).await? };
        let declared = spec.slots();
        let taken: BTreeMap<Slot, SecretFacts> = observed
            .foreign()
            .filter(|(slot, facts)| declared.contains(slot) && is_of(facts, old, dead.as_ref()))
            .map(|(slot, facts)| (slot.clone(), facts.clone()))
            .collect();
        let begun = observed.ours().filter_map(|(_, facts)| Owner::adopted_from(&facts.tags));
        let begun = begun.filter(|former| former.id == *old).last();
        let former = taken.values().find_map(|facts| former_of(facts, old)).or(begun);
        let Some(former) = former else {
            if in_service {
                return Ok(None);
            }
            if let Some((slot, facts)) = observed.foreign().find(|(slot, _)| declared.contains(slot)) {
                let name = spec.cluster.secret_name(slot.index, &slot.purpose);
                return Err(refused(&format!("secret {name} belongs to {}", owner_shown(facts))));
            }
            return Err(refused(
                "none of the secrets that are asked for is its own: leave AdoptFrom out to make new keys",
            ));
        };
        if in_service && taken.is_empty() {
            return Ok(None);
        }
        let shown = ask_to_adopt(world, &former).await?;
        if matches!(shown, Former::Busy | Former::Leaving) {
            return Err(refused("an operation of it is in progress: try again when it is over"));
        }
        let provisional = shown == Former::Stands;
        if provisional && (in_service || matches!(observed.standing, Standing::None)) {
            return Err(refused(
                "it still exists, and this cluster's roster is not its own: remove it first",
            ));
        }
        if provisional && observed.former_is_at_work {
            return Err(refused("an operation of it never ended: update it first"));
        }
        if let Standing::Foreign(index) = &observed.standing
            && let Some(before) = index.adopted_from.as_ref().and_then(NamedOwner::parsed)
            && still_stands(world, &before).await?
        {
            return Err(ProvisionError::NotAdopted {
                from: old.to_string(),
                fault: format!("it was itself taken over from {}, which still exists", before.id),
            });
        }
        let adoption = Self { former, taken, provisional, in_service };
        let assumed = adoption.assumed(operation, observed);
        refuse_what_is_not_ours(operation, spec, &assumed)?;
        Plan::of(operation, spec, &assumed)?;
        if provisional {
            let plan = refuse_a_change(world, operation, spec, &assumed)?;
            // Another stack's policies can be looked at once they are ours.
            if pinned.contains(&adoption.former.stack_id) {
                refuse_other_readers(world, spec, &assumed, &plan).await?;
            }
        }
        Ok(Some(adoption))
    }

    /// What there would be if everything were taken over already.
    fn assumed(&self, operation: &Operation, observed: &Observed) -> Observed {
        let mut assumed = observed.clone();
        for (slot, facts) in &self.taken {
            assumed.secrets.insert(slot.clone(), Place::Ours(facts.clone()));
        }
        if let Standing::Foreign(index) = &observed.standing {
            let mut index = index.clone();
            index.owner = operation.owner.id.to_string();
            index.adopted_from = Some((&self.former).into());
            assumed.standing = Standing::Ours(index);
        }
        assumed.provisional = self.provisional;
        assumed
    }

    pub(super) async fn carry_out(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
        operation: &Operation,
        observed: &Observed,
    ) -> Result<(), ProvisionError> {
        let first = permit(world, pinned, operation).await?;
        if self.in_service {
            // Nobody else can have the cluster, and the old owner is gone.
            return self.take(world, &first, operation, &operation.owner.owner_tags()).await;
        }
        let made_here = self.claim(world, &first, operation, observed).await?;
        // The old owner's operations look for the claim, and CloudFormation shows them before they do.
        let shown = ask_to_adopt(world, &self.former).await?;
        if shown != (if self.provisional { Former::Stands } else { Former::Gone }) {
            if made_here {
                withdraw(world, &first, operation, &[self.claim_name()]).await?;
            }
            return Err(self.refused("something happened to it meanwhile: try again"));
        }
        self.take(world, &first, operation, &operation.owner.adopting_tags(&self.former)).await?;
        let marked = self.mark(world, pinned, operation, observed).await;
        if let Err(ProvisionError::NotInProgress(_)) = marked {
            self.give_back(world, &first, operation, observed).await?;
        }
        marked
    }

    /// Publishes the claim, and tells whether it was this call that did.
    async fn claim(
        &self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        observed: &Observed,
    ) -> Result<bool, ProvisionError> {
        let (owner, name) = (&operation.owner, self.claim_name());
        match &observed.claim {
            Some(claim) if claim.of(owner).is_some() => return Ok(false),
            // Whoever made it is gone: see `rival`.
            Some(_) => withdraw(world, permit, operation, std::slice::from_ref(&name)).await?,
            None => {}
        }
        let index = if self.provisional { observed.index_text.clone() } else { None };
        let scheduled = self.taken.iter().filter(|(_, facts)| facts.scheduled_for_deletion);
        let claim = Claim::new(owner, &self.former, index, scheduled.map(|(slot, _)| slot));
        let text = sign(world, permit, &name, &claim).await?;
        match world.publish_new(permit, &name, &text, &owner.document_tags(), None).await {
            Ok(()) => {
                note(world, operation, Action::Published, name.as_str());
                Ok(true)
            }
            Err(PortError::Exists { .. }) => {
                if self.is_claimed(world, operation, observed).await? {
                    return Ok(false);
                }
                Err(self.refused("another resource was about to do so: try again"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sets the owner's tags: nothing can be tagged in its recovery window.
    async fn take(
        &self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        tags: &Tags,
    ) -> Result<(), ProvisionError> {
        each(&self.taken, async |(slot, facts)| {
            let write_down = |action| {
                let event = AuditEvent::new(action, &operation.owner.id, &operation.generation, &facts.arn);
                world.record(&event.of(slot).because(self.former.id.as_str()));
            };
            if facts.scheduled_for_deletion {
                world.restore_secret(permit, &facts.arn).await?;
                write_down(Action::Restored);
            }
            world.tag_secret(permit, &facts.arn, tags).await?;
            write_down(Action::Adopted);
            Ok::<_, ProvisionError>(())
        })
        .await
        .map(drop)
    }

    /// Writes the index with the new owner. SSM has no compare-and-set, so the claim is asked for
    /// before and after: who deletes this resource meanwhile hands back and withdraws it.
    async fn mark(
        &self,
        world: &impl World,
        pinned: &PinnedStacks,
        operation: &Operation,
        observed: &Observed,
    ) -> Result<(), ProvisionError> {
        let permit = permit(world, pinned, operation).await?;
        self.refuse_without_claim(world, operation, observed).await?;
        let Standing::Foreign(before) = &observed.standing else { return Ok(()) };
        let mut index = RosterIndex {
            adopted_from: Some((&self.former).into()),
            owner: operation.owner.id.to_string(),
            ..before.clone()
        };
        if self.provisional {
            // That is all this operation does.
            index.finished = before.finished_after();
            index.generation = operation.generation.clone();
        }
        let name = operation.owner.id.cluster().roster_index_parameter();
        let text = sign(world, &permit, &name, &index).await?;
        // A duplicate of this very operation may have come further.
        if read_one(world, &name).await? == observed.index_text {
            world.republish(&permit, &name, &text, None).await?;
            note(world, operation, Action::Committed, name.as_str());
        }
        self.refuse_without_claim(world, operation, observed).await
    }

    async fn refuse_without_claim(
        &self,
        world: &impl World,
        operation: &Operation,
        observed: &Observed,
    ) -> Result<(), ProvisionError> {
        if self.is_claimed(world, operation, observed).await? {
            return Ok(());
        }
        Err(ProvisionError::NotInProgress("that it was taken back meanwhile".into()))
    }

    async fn is_claimed(
        &self,
        world: &impl World,
        operation: &Operation,
        observed: &Observed,
    ) -> Result<bool, PortError> {
        let text = read_one(world, &self.claim_name()).await?;
        Ok(text.is_some_and(|text| Claimed::read(&text, &observed.keys).of(&operation.owner).is_some()))
    }

    /// Gives back what this call took after the one that took it back had looked.
    async fn give_back(
        &self,
        world: &impl World,
        permit: &Permit,
        operation: &Operation,
        before: &Observed,
    ) -> Result<(), ProvisionError> {
        let mut candidates = Candidates { adopt_from: Some(self.former.id.clone()), ..Default::default() };
        for slot in before.secrets.keys() {
            candidates.nodes.insert(slot.index);
            if let Purpose::ApiKey(application) = &slot.purpose {
                candidates.applications.insert(application.clone());
            }
        }
        let mut observed = observe(world, &operation.owner, operation.now, candidates).await?;
        if observed.claim.is_none() {
            // It is withdrawn; what it told is known here.
            let index = if self.provisional { before.index_text.clone() } else { None };
            let scheduled = self.taken.iter().filter(|(_, facts)| facts.scheduled_for_deletion);
            let scheduled = scheduled.map(|(slot, _)| slot);
            let claim = Claim::new(&operation.owner, &self.former, index, scheduled);
            observed.claim = Some(Claimed::By(Box::new(claim)));
        }
        if !self.provisional && observed.index().is_some() {
            // Confirmed, and let go of by the deletion rules.
            return Ok(());
        }
        hand_back(world, permit, operation, &observed, &self.former).await
    }

    fn claim_name(&self) -> ParameterName {
        self.former.id.cluster().adoption_parameter(self.former.id.digest())
    }

    fn refused(&self, fault: &str) -> ProvisionError {
        ProvisionError::NotAdopted { from: self.former.id.to_string(), fault: fault.into() }
    }
}

/// Refuses what another has claimed. A claim whose owner CloudFormation no longer knows holds
/// nothing: its owner is given.
async fn rival(
    world: &impl World,
    operation: &Operation,
    observed: &Observed,
    old: &OwnerId,
) -> Result<Option<OwnerId>, ProvisionError> {
    let refused = |fault: String| ProvisionError::NotAdopted { from: old.to_string(), fault };
    let claim = match &observed.claim {
        Some(Claimed::By(claim)) if !claim.is_of(&operation.owner) => claim,
        Some(Claimed::Unreadable) => {
            return Err(refused(
                "another stack, whose signature is not trusted here, is taking it over".into(),
            ));
        }
        _ => return Ok(None),
    };
    let Some(other) = claim.owner.parsed() else { return Ok(None) };
    if ask_to_adopt(world, &other).await? == Former::Gone {
        return Ok(Some(other.id));
    }
    Err(refused(format!("{} is taking it over", other.id)))
}

/// Whether a secret is the old owner's, or was taken from it by a claimant that is gone.
fn is_of(facts: &SecretFacts, old: &OwnerId, dead: Option<&OwnerId>) -> bool {
    let owner = Owner::named_by(&facts.tags).map(|owner| owner.id);
    owner.as_ref() == Some(old)
        || owner.is_some()
            && owner.as_ref() == dead
            && Owner::adopted_from(&facts.tags).is_some_and(|former| former.id == *old)
}

/// The old owner in full, as the secret's tags tell.
fn former_of(facts: &SecretFacts, old: &OwnerId) -> Option<Owner> {
    let named = Owner::named_by(&facts.tags).filter(|owner| owner.id == *old);
    named.or_else(|| Owner::adopted_from(&facts.tags))
}
