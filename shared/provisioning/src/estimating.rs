//! Whether an operation can be done in the time there is, asked before it changes anything.
//!
//! What cannot is refused with what to do instead, and CloudFormation has nothing to take back. How long
//! calls take is the adapter's knowledge ([`Pace`](crate::ports::Pace)); how many there will be is known here.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::drafting::differing_documents;
use crate::error::ProvisionError;
use crate::names::NodeIndex;
use crate::observing::Observed;
use crate::operation::Operation;
use crate::planning::Plan;
use crate::ports::{Workload, World};
use crate::properties::ClusterSpec;
use crate::retiring::Removal;
use crate::roster::NODES_A_PAGE;
use crate::time::RUNS;

/// Refuses an operation that would take longer than all runs that it can have. One that has begun,
/// in a run before, is not asked again.
pub(crate) fn refuse_what_takes_too_long(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
    plan: &Plan,
    leaving: &Removal,
) -> Result<(), ProvisionError> {
    let Some(left) = operation.time.left() else { return Ok(()) };
    if observed.own_note(&operation.generation).is_some() || observed.is_committed(&operation.generation) {
        return Ok(());
    }
    let work = workload(world, operation, spec, observed, plan)? + leaving.workload();
    let (takes, has) = (world.time_for(&work), left * RUNS);
    if takes <= has {
        return Ok(());
    }
    let nodes = spec.nodes.len() + leaving.nodes();
    Err(ProvisionError::TakesTooLong { takes, has, nodes: share(nodes, has, takes) })
}

/// How many of so many nodes fit.
fn share(nodes: usize, has: Duration, takes: Duration) -> usize {
    let fit = nodes as u128 * has.as_millis() / takes.as_millis().max(1);
    usize::try_from(fit).unwrap_or(nodes)
}

fn workload(
    world: &impl World,
    operation: &Operation,
    spec: &ClusterSpec,
    observed: &Observed,
    plan: &Plan,
) -> Result<Workload, ProvisionError> {
    let documents = differing_documents(world, operation, spec, observed, plan)?;
    // The note, the pages and the index.
    let roster = if documents > 0 { spec.nodes.len().div_ceil(NODES_A_PAGE) + 2 } else { 0 };
    // Two more puts for each record, and for each node whose secrets are renewed.
    let renewed: BTreeSet<NodeIndex> = plan.renewed.keys().map(|slot| slot.index).collect();
    let leases = if observed.rotates() { documents + 2 * renewed.len() } else { 0 };
    Ok(Workload {
        published: documents + leases + roster,
        store: spec.store,
        created: plan.made.len(),
        renewed: plan.renewed.values().filter(|renewal| renewal.makes()).count(),
        restored: plan.restored.len(),
        removed: 0,
    })
}
