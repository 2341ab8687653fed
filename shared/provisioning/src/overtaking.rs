//! Whether another operation has followed while one was still at work.
//!
//! CloudFormation begins a rollback without waiting for what it cancelled, and SSM has no
//! compare-and-set. So an operation looks whether the note still names it before it publishes,
//! before the mark and before anything goes. Between the last look and the mark remains a moment;
//! what then is written twice, the next operation repairs.

use crate::error::ProvisionError;
use crate::intent::Intent;
use crate::names::Slot;
use crate::observing::{Observed, read_one};
use crate::operation::Operation;
use crate::parallel::each;
use crate::ports::{PortError, World};
use crate::roster::RosterIndex;
use crate::signed;

/// Refuses a delivery that arrives when a later operation has begun: it would turn that one's work
/// back. An Update that wrote no index (it changed environments only, or nothing) is not known.
pub(crate) fn refuse_what_is_over(operation: &Operation, observed: &Observed) -> Result<(), ProvisionError> {
    if observed.is_over(&operation.generation) { Err(followed()) } else { Ok(()) }
}

/// Asks just before publishing, just before the mark and just after it. What took no note has made
/// nothing, and what wrote no mark has none to lose: then `asks` is false.
pub(crate) async fn refuse_what_was_overtaken(
    world: &impl World,
    operation: &Operation,
    observed: &Observed,
    asks: bool,
) -> Result<(), ProvisionError> {
    if asks && was_overtaken(world, operation, observed).await? {
        return Err(followed());
    }
    Ok(())
}

/// Whether another operation has followed this one while it was still at work: CloudFormation
/// begins a rollback without waiting for what it cancelled. The follower has put its own name on
/// the note, or withdrawn it. A duplicate that came to its end first has done so too, and is none.
pub(crate) async fn was_overtaken(
    world: &impl World,
    operation: &Operation,
    observed: &Observed,
) -> Result<bool, PortError> {
    let owner = &operation.owner.id;
    let names = [owner.cluster().intent_parameter(owner.digest()), owner.cluster().roster_index_parameter()];
    let documents = world.read_documents(&names).await?;
    let [intent, index] = [0, 1].map(|n| documents.get(n).and_then(Option::as_deref));
    let intent = note_in(intent, observed);
    let index = index.and_then(|text| RosterIndex::verify(text, &observed.keys, owner.cluster()).ok());
    if let Some(intent) = &intent
        && intent.is_open(index.as_ref())
    {
        return Ok(intent.generations.first() != Some(&operation.generation));
    }
    let noted = intent.is_some_and(|intent| intent.generations.first() == Some(&operation.generation));
    Ok(!noted && index.is_none_or(|index| index.generation != operation.generation))
}

/// Refuses to go on from the mark of a cluster that was removed between the last look and the mark:
/// whoever removed it found no roster yet, and withdrew the note. A duplicate that has come to its
/// end withdraws the note as well, but then the secrets are there and CloudFormation shows no deletion.
pub(crate) async fn refuse_what_was_deleted(
    world: &impl World,
    operation: &Operation,
    observed: &Observed,
    slots: impl IntoIterator<Item = &Slot>,
) -> Result<(), ProvisionError> {
    let owner = &operation.owner;
    let text = read_one(world, &owner.id.cluster().intent_parameter(owner.id.digest())).await?;
    let noted = note_in(text.as_deref(), observed)
        .is_some_and(|intent| intent.generations.first() == Some(&operation.generation));
    if noted {
        return Ok(());
    }
    let shown = world.resource_state(&owner.stack_id, &owner.logical_id).await?;
    match shown.map(|shown| shown.status) {
        Some(status) if !status.starts_with("DELETE_") => {}
        status => {
            return Err(ProvisionError::NotInProgress(status.unwrap_or_else(|| "no such resource".into())));
        }
    }
    let cluster = owner.id.cluster();
    let found = each(slots, async |slot| {
        world.describe_secret(observed.store, &cluster.secret_name(slot.index, &slot.purpose)).await
    });
    if found.await?.iter().all(Option::is_some) { Ok(()) } else { Err(followed()) }
}

/// The note that a text is, if it checks out.
fn note_in(text: Option<&str>, observed: &Observed) -> Option<Intent> {
    signed::verify(text?, &observed.keys).ok()
}

/// The refusal of a delivery that another operation has followed.
pub(crate) fn followed() -> ProvisionError {
    ProvisionError::NotInProgress("that another operation has followed it".into())
}
