//! Create and Update: from what is declared and what is owned to what is published.
//!
//! One way, no step back: look, plan, note, make, store, admit, renew, sign, publish, schedule, hand out, commit;
//! only then does anything go, and the note last. A repeated request finds its own work done and answers
//! the same; a request that changes nothing writes nothing; one that another has followed stops.

use crate::admitting::{admissions, admit};
use crate::adopting;
use crate::authority::{Permit, PinnedStacks, permit};
use crate::drafting::Drafts;
use crate::error::ProvisionError;
use crate::estimating::refuse_what_takes_too_long;
use crate::observing::{Observed, observe};
use crate::operation::Operation;
use crate::outcome::Outcome;
use crate::overtaking::{followed, refuse_what_is_over, refuse_what_was_deleted, refuse_what_was_overtaken};
use crate::planning::{Plan, candidates, refuse_what_is_not_ours};
use crate::ports::World;
use crate::properties::{ClusterSpec, LenientSpec};
use crate::retiring::{self, Removal};
use crate::scheduling::{refuse_without_a_rotator, reschedules};

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
    let observed = observe(world, &operation.owner, operation.now, candidates(spec, before)).await?;
    let observed = adopting::adopt(world, pinned, operation, spec, before, observed).await?;
    refuse_what_is_not_ours(operation, spec, &observed)?;
    refuse_what_is_over(operation, &observed)?;
    refuse_without_a_rotator(world, spec)?;
    let plan = Plan::of(operation, spec, &observed)?;
    let leaving = retiring::leaving(operation, spec, &observed, &plan);
    refuse_what_takes_too_long(world, operation, spec, &observed, &plan, &leaving)?;
    let mut attempt =
        Attempt { operation, spec, before, observed: &observed, plan, permit: None, too_late: false };
    let drafts = match attempt.publish(world, pinned, &leaving).await {
        Ok(drafts) => drafts,
        Err(stopped) => return Err(attempt.give_up(world, stopped).await),
    };
    let Attempt { mut plan, permit, .. } = attempt;
    if permit.is_some() {
        // What a follower has taken back into service must not be let go of.
        let is_marked = drafts.index.differs || observed.is_committed(&operation.generation);
        refuse_what_was_overtaken(world, operation, &observed, is_marked).await?;
    }
    // Nothing loses a tag any more once it is in its recovery window.
    adopting::confirm(world, pinned, operation, &observed).await?;
    if let Some(permit) = permit {
        let pages = drafts.page_names(operation);
        let written = drafts.index.differs.then_some(pages.as_slice());
        let noted = plan.noted || observed.intent.is_some();
        let told = retiring::retire(world, &permit, operation, &observed, leaving, written, noted).await?;
        plan.told.extend(told);
    }
    plan.told.extend(adopting::tell(&observed));
    Ok(drafts.outcome(world, operation, spec, plan))
}

/// One delivery's way from a plan to a published roster, as far as it has come.
pub(crate) struct Attempt<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) spec: &'a ClusterSpec,
    /// What the properties said before, where the event tells.
    pub(crate) before: Option<&'a LenientSpec>,
    pub(crate) observed: &'a Observed,
    pub(crate) plan: Plan,
    /// The latest permit; none as long as nothing was written.
    pub(crate) permit: Option<Permit>,
    /// Whether it wrote the first roster of a cluster that had been deleted by then.
    pub(crate) too_late: bool,
}

impl Attempt<'_> {
    /// Makes, stores and publishes what is missing, up to the mark.
    async fn publish(
        &mut self,
        world: &impl World,
        pinned: &PinnedStacks,
        leaving: &Removal,
    ) -> Result<Drafts, ProvisionError> {
        let (operation, spec, observed) = (self.operation, self.spec, self.observed);
        if self.plan.needs_a_note(operation, spec, observed) {
            if observed.is_committed(&operation.generation) {
                // All of it was there at its mark.
                return Err(followed());
            }
            let permit = self.permit.insert(permit(world, pinned, operation).await?);
            self.plan.carry_out(world, permit, operation, spec, observed).await?;
        }
        let mut admissions = admissions(world, operation, spec, self.before, observed, &self.plan).await?;
        if let Some(permit) = &self.permit
            && !self.plan.renewed.is_empty()
        {
            // A policy that names an earlier role of the function keeps this one from putting versions.
            refuse_what_was_overtaken(world, operation, observed, !admissions.is_empty()).await?;
            admit(world, permit, operation, std::mem::take(&mut admissions)).await?;
            self.plan.renew(world, permit, operation, spec, observed).await?;
        }
        let drafts = Drafts::of(world, operation, spec, observed, &self.plan)?;
        let schedules = reschedules(world, operation, spec, observed, &self.plan);
        let is_done = !drafts.differ() && leaving.changes_nothing() && observed.intent.is_none();
        if is_done && admissions.is_empty() && schedules.is_empty() {
            return Ok(drafts);
        }
        let permit = permit(world, pinned, operation).await?;
        refuse_what_was_overtaken(world, operation, observed, self.plan.noted).await?;
        let permit = self.permit.insert(permit);
        admit(world, permit, operation, admissions).await?;
        drafts.publish(world, permit, operation, observed, self.plan.noted, schedules).await?;
        if observed.index().is_none() && drafts.index.differs {
            self.too_late = true;
            refuse_what_was_deleted(world, operation, observed, self.plan.kept.keys()).await?;
            self.too_late = false;
        }
        Ok(drafts)
    }
}
