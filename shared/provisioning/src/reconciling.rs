//! Create and Update: from what is declared and what is owned to what is published.
//!
//! One way, no step back: look, plan, note, make, store, sign, publish, commit; only then does
//! anything go, and the note last. A repeated request finds its own work done and answers the
//! same; a request that changes nothing writes nothing; one that another has followed stops.

use crate::authority::{Permit, PinnedStacks, permit};
use crate::drafting::Drafts;
use crate::error::ProvisionError;
use crate::observing::{Observed, observe};
use crate::operation::Operation;
use crate::outcome::Outcome;
use crate::overtaking::{refuse_what_is_over, refuse_what_was_overtaken};
use crate::planning::{Plan, candidates, refuse_what_is_not_ours};
use crate::ports::World;
use crate::properties::{ClusterSpec, LenientSpec};
use crate::retiring;

/// Brings a cluster to what `spec` declares.
///
/// `before` is what the properties said before, where the event tells: a hint at names, no more.
///
/// # Errors
///
/// [`ProvisionError`]; whatever was made by then carries this operation's generation and is found
/// again by a retry or by the clean-up.
pub async fn reconcile(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    spec: &ClusterSpec,
    before: Option<&LenientSpec>,
) -> Result<Outcome, ProvisionError> {
    if !pinned.contains(&operation.owner.stack_id) {
        return Err(ProvisionError::NotPinned);
    }
    let observed = observe(world, &operation.owner, candidates(spec, before)).await?;
    refuse_what_is_not_ours(operation, spec, &observed)?;
    refuse_what_is_over(operation, &observed)?;
    let mut plan = Plan::of(operation, spec, &observed)?;
    let leaving = retiring::leaving(operation, spec, &observed);

    let mut making = None;
    if plan.needs_a_note(operation, &observed) {
        let permit = making.insert(permit(world, pinned, operation).await?);
        if let Err(stopped) = plan.carry_out(world, permit, operation, spec, &observed).await {
            return Err(plan.give_up(world, making.as_ref(), operation, &observed, stopped).await);
        }
    }

    let drafts = Drafts::of(world, operation, spec, &observed, &plan)?;
    if drafts.differ() || !leaving.changes_nothing() || observed.intent.is_some() {
        let permit = match permit_to_publish(world, pinned, operation, &plan, &observed).await {
            Ok(permit) => permit,
            Err(stopped) => {
                return Err(plan.give_up(world, making.as_ref(), operation, &observed, stopped).await);
            }
        };
        drafts.publish(world, &permit, operation, &observed, plan.noted).await?;
        // What a follower has taken back into service must not be let go of.
        let is_marked = drafts.index.differs || observed.is_committed(&operation.generation);
        refuse_what_was_overtaken(world, operation, &observed, is_marked).await?;
        let pages = drafts.page_names(operation);
        let written = drafts.index.differs.then_some(pages.as_slice());
        let noted = plan.noted || observed.intent.is_some();
        let told = retiring::retire(world, &permit, operation, &observed, leaving, written, noted).await?;
        plan.told.extend(told);
    }
    Ok(drafts.outcome(world, operation, spec, plan))
}

async fn permit_to_publish(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    plan: &Plan,
    observed: &Observed,
) -> Result<Permit, ProvisionError> {
    let permit = permit(world, pinned, operation).await?;
    refuse_what_was_overtaken(world, operation, observed, plan.noted).await?;
    Ok(permit)
}
