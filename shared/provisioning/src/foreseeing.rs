//! What an operation would do: the same looking, refusing and planning as [`reconcile`](crate::reconcile), and
//! then nothing. It writes nothing and needs no permit.
//!
//! What an adoption leads to is not foreseen: until it is done what is taken over belongs to somebody else.

use std::collections::{BTreeMap, BTreeSet};

use crate::admitting::admissions;
use crate::adopting;
use crate::authority::PinnedStacks;
use crate::drafting::Drafts;
use crate::error::ProvisionError;
use crate::names::Slot;
use crate::observing::{Candidates, Observed, observe};
use crate::operation::Operation;
use crate::ownership::{Owner, OwnerId};
use crate::planning::{Plan, candidates, refuse_what_is_not_ours};
use crate::ports::World;
use crate::properties::{ClusterSpec, LenientSpec};
use crate::retiring::{self, Removal};
use crate::scheduling::{refuse_without_a_rotator, reschedules};

/// What an operation would do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Foresight {
    /// The owner that would be taken over from. Then nothing else is foreseen.
    pub adopts_from: Option<OwnerId>,
    /// Secrets that are there and stay as they are.
    pub kept: BTreeSet<Slot>,
    /// Secrets that would be made.
    pub made: BTreeSet<Slot>,
    /// Secrets that would be taken out of their recovery window.
    pub restored: BTreeSet<Slot>,
    /// Secrets of which another version would count.
    pub renewed: BTreeSet<Slot>,
    /// Secrets that would go: with the days of their recovery window, and for good where there is none.
    pub leaving: BTreeMap<Slot, Option<u8>>,
    /// Whether anything else would be written: signed documents, what is left over of an operation before,
    /// labels.
    pub writes_more: bool,
    /// What the reader should know.
    pub told: Vec<String>,
}

impl Foresight {
    /// Whether the operation would write nothing at all.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.adopts_from.is_none()
            && self.made.is_empty()
            && self.restored.is_empty()
            && self.renewed.is_empty()
            && self.leaving.is_empty()
            && !self.writes_more
    }
}

/// Says what bringing a cluster to what `spec` declares would do.
///
/// # Errors
///
/// What [`reconcile`](crate::reconcile) would refuse before its first write.
pub async fn foresee(
    world: &impl World,
    pinned: &PinnedStacks,
    operation: &Operation,
    spec: &ClusterSpec,
) -> Result<Foresight, ProvisionError> {
    if !pinned.contains(&operation.owner.stack_id) {
        return Err(ProvisionError::NotPinned);
    }
    let observed = observe(world, &operation.owner, operation.now, candidates(spec, None)).await?;
    let adopts = adopting::foresee(world, pinned, operation, spec, &observed).await?;
    if adopts.is_some() {
        return Ok(Foresight { adopts_from: adopts, ..Foresight::default() });
    }
    refuse_what_is_not_ours(operation, spec, &observed)?;
    refuse_without_a_rotator(world, spec)?;
    let plan = Plan::of(operation, spec, &observed)?;
    let leaving = retiring::leaving(operation, spec, &observed, &plan);
    let is_noted = observed.intent.is_some() || plan.needs_a_note(operation, spec, &observed);
    let makes = !plan.made.is_empty() || !plan.restored.is_empty() || !plan.renewed.is_empty();
    // What is still to be made has no place in a draft yet.
    let is_confirmed = observed.adopted_from().is_none() || observed.provisional;
    let writes_more = is_noted
        || !is_confirmed
        || leaving.touches_more_than_secrets()
        || !makes && writes_otherwise(world, operation, spec, &observed, &plan).await?;
    Ok(Foresight {
        adopts_from: None,
        kept: plan.kept.keys().filter(|slot| !plan.renewed.contains_key(slot)).cloned().collect(),
        restored: plan.restored.keys().cloned().collect(),
        renewed: plan.renewed.keys().cloned().collect(),
        leaving: leaving.of_secrets(),
        writes_more,
        told: plan.told.clone(),
        made: plan.made,
    })
}

/// Says what removing a cluster would do.
///
/// # Errors
///
/// What [`remove`](crate::remove) would refuse before its first write.
pub async fn foresee_removal(
    world: &impl World,
    operation: &Operation,
    spec: &LenientSpec,
) -> Result<Foresight, ProvisionError> {
    let candidates = Candidates {
        nodes: spec.nodes.clone(),
        applications: spec.applications.clone(),
        adopt_from: spec.adopt_from.clone(),
        store: spec.store,
    };
    let observed = observe(world, &operation.owner, operation.now, candidates).await?;
    if let Some(other) = adopting::claimed_by_another(world, &observed).await? {
        let told = vec![format!("everything was left alone: {other} takes this cluster over")];
        return Ok(Foresight { told, ..Foresight::default() });
    }
    let removal = Removal::of_all(operation, &observed, spec.deletion);
    // What was taken over may have to be handed back first.
    let hands_back = observed.adopted_from().is_some()
        || observed.ours().any(|(_, facts)| Owner::adopted_from(&facts.tags).is_some());
    Ok(Foresight {
        leaving: removal.of_secrets(),
        writes_more: hands_back || !removal.is_empty(),
        told: removal.told().to_vec(),
        ..Foresight::default()
    })
}

/// Whether what stays the same in all secrets differs in what is published, who is let in, or by what it is
/// rotated.
async fn writes_otherwise(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
    plan: &Plan,
) -> Result<bool, ProvisionError> {
    let differ = Drafts::of(world, operation, spec, observed, plan)?.differ();
    let admits = !admissions(world, operation, spec, None, observed, plan).await?.is_empty();
    Ok(differ || admits || !reschedules(world, operation, spec, observed, plan).is_empty())
}
