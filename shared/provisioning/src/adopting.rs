//! Adoption: a resource takes over what another one made, by its name, and may have to give it back.
//!
//! Renaming a resource makes CloudFormation create the new one, delete the old one if all went
//! well, and delete the new one if it did not. So an adoption changes owners and nothing else: a
//! claim, so that of two adopters one comes first; secrets out of their recovery window; the
//! owner's tags, with what it takes to hand them back in the same call; and last the roster index,
//! which is the mark. It is provisional as long as CloudFormation knows the old resource, and until
//! then nothing of the cluster may change. No value and no version is touched, ever.

mod claim;
mod former;
mod handing_back;
mod taking_over;

use crate::admitting::lets_others_in;
use crate::audit::Action;
use crate::authority::{PinnedStacks, permit};
use crate::drafting::Drafts;
use crate::error::ProvisionError;
use crate::observing::{Observed, observe, read_one};
use crate::operation::{Operation, OperationKind};
use crate::ownership::{ADOPTED_FROM_TAG, ADOPTION_TAGS, Generation, OwnerId};
use crate::parallel::each;
use crate::planning::{Plan, candidates};
use crate::ports::{PortError, World};
use crate::properties::{ClusterSpec, LenientSpec};
use crate::publishing::{note, sign};
use crate::retiring::{self, withdraw};
use crate::roster::RosterIndex;

pub(crate) use claim::Claimed;
use former::{Former, ask, still_stands};
pub(crate) use handing_back::hand_back_before_removal;
use taking_over::Adoption;

/// Takes over what the declaration names, if it names something, and gives what is there then.
pub(crate) async fn adopt(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    spec: &ClusterSpec,
    before: Option<&LenientSpec>,
    mut observed: Observed,
) -> Result<Observed, ProvisionError> {
    if let Some(owner) = claimed_by_another(world, &observed).await? {
        return Err(ProvisionError::Foreign { subject: format!("cluster {}", spec.cluster), owner });
    }
    if let Some(former) = observed.adopted_from() {
        observed.provisional = still_stands(world, &former).await?;
    }
    if let Some(old) = spec.adopt_from.as_ref().filter(|old| **old != operation.owner.id)
        && let Some(adoption) = Adoption::of(world, pinned, operation, spec, &observed, old).await?
    {
        adoption.carry_out(world, pinned, operation, &observed).await?;
        let provisional = adoption.provisional;
        observed = observe(world, &operation.owner, operation.now, candidates(spec, before)).await?;
        observed.provisional = provisional;
    }
    if observed.provisional {
        let plan = refuse_a_change(world, operation, spec, &observed)?;
        refuse_other_readers(world, spec, &observed, &plan).await?;
    }
    Ok(observed)
}

/// The owner that [`adopt`] would take over from, if it would write anything.
pub(crate) async fn foresee(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
) -> Result<Option<OwnerId>, ProvisionError> {
    if let Some(owner) = claimed_by_another(world, observed).await? {
        return Err(ProvisionError::Foreign { subject: format!("cluster {}", spec.cluster), owner });
    }
    let Some(old) = spec.adopt_from.as_ref().filter(|old| **old != operation.owner.id) else {
        return Ok(None);
    };
    let adoption = Adoption::of(world, pinned, operation, spec, observed, old).await?;
    Ok(adoption.map(|_| old.clone()))
}

/// Who has claimed what this owner has, if somebody has who still exists.
pub(crate) async fn claimed_by_another(
    world: &impl World,
    observed: &Observed,
) -> Result<Option<String>, PortError> {
    match &observed.claimed {
        None => Ok(None),
        Some(Claimed::Unreadable) => Ok(Some("another stack that is taking it over".into())),
        Some(Claimed::By(claim)) => {
            let Some(owner) = claim.owner.parsed() else { return Ok(None) };
            let gone = matches!(ask(world, &owner).await, Ok(Former::Gone));
            Ok((!gone).then(|| owner.id.to_string()))
        }
    }
}

/// Says that an adoption is not confirmed yet, if it is not.
pub(crate) fn tell(observed: &Observed) -> Option<String> {
    let former = observed.adopted_from().filter(|_| observed.provisional)?;
    Some(format!(
        "taken over from {}, to which everything goes back if this resource is deleted before that one",
        former.id
    ))
}

fn provisional(observed: &Observed, change: &'static str) -> ProvisionError {
    let from = observed.adopted_from().map(|former| former.id.to_string()).unwrap_or_default();
    ProvisionError::Provisional { from, change }
}

/// Refuses a declaration that says anything different from what stands, and gives what is left to do:
/// nothing.
fn refuse_a_change(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
) -> Result<Plan, ProvisionError> {
    let refused = |change| Err(provisional(observed, change));
    // As an Update of another operation sees it, which writes only what differs.
    let mut update = operation.clone();
    update.kind = OperationKind::Update;
    update.delivered_id = operation.owner.id.to_string();
    update.generation = Generation::new("none");
    let plan = Plan::of(&update, spec, observed)?;
    if !plan.made.is_empty() {
        return refused("secrets would be made");
    }
    if !plan.renewed.is_empty() {
        return refused("secrets would be renewed");
    }
    if !plan.restored.is_empty() {
        return refused("secrets would be taken out of their recovery window");
    }
    if plan.needs_a_note(&update, spec, observed) {
        return refused("nodes would go");
    }
    if !retiring::leaving(&update, spec, observed, &plan).changes_nothing() {
        return refused("secrets or documents would go");
    }
    if Drafts::of(world, &update, spec, observed, &plan)?.differ() {
        return refused("records, environments or the roster would change");
    }
    Ok(plan)
}

/// Refuses one that names other readers than those whom the policies let in.
async fn refuse_other_readers(
    world: &impl World,
    spec: &ClusterSpec,
    observed: &Observed,
    plan: &Plan,
) -> Result<(), ProvisionError> {
    if lets_others_in(world, spec, plan).await? {
        return Err(provisional(observed, "others would be let in to read"));
    }
    Ok(())
}

/// Takes the mark of an adoption away once the old owner is gone: the tags, the claim, and last the
/// index's word.
pub(crate) async fn confirm(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    observed: &Observed,
) -> Result<(), ProvisionError> {
    let owner = &operation.owner;
    let claim = observed.claim.as_ref().and_then(|claim| claim.of(owner));
    let by_claim = || claim.and_then(|claim| claim.former.parsed());
    let Some(former) = observed.adopted_from().or_else(by_claim).filter(|_| !observed.provisional) else {
        return Ok(());
    };
    let permit = permit(world, pinned, operation).await?;
    let tagged = observed.ours().filter(|(_, facts)| facts.tags.contains_key(ADOPTED_FROM_TAG));
    each(tagged.filter(|(_, facts)| !facts.scheduled_for_deletion), async |(_, facts)| {
        Ok::<_, ProvisionError>(world.untag_secret(&permit, &facts.arn, &ADOPTION_TAGS).await?)
    })
    .await?;
    let (cluster, digest) = (former.id.cluster(), former.id.digest());
    let spent = [cluster.adoption_parameter(digest), cluster.intent_parameter(digest)];
    withdraw(world, &permit, operation, &spent).await?;
    let name = cluster.roster_index_parameter();
    let stored = read_one(world, &name).await?;
    let index = stored.and_then(|text| RosterIndex::verify(&text, &observed.keys, cluster).ok());
    let Some(index) = index.filter(|index| index.owner == owner.id.as_str() && index.adopted_from.is_some())
    else {
        return Ok(());
    };
    let text = sign(world, &permit, &name, &RosterIndex { adopted_from: None, ..index }).await?;
    world.republish(&permit, &name, &text, None).await?;
    note(world, operation, Action::Published, name.as_str());
    Ok(())
}
