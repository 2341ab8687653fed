//! Whether an old owner still exists: CloudFormation is asked, and nobody else.

use crate::error::ProvisionError;
use crate::ownership::Owner;
use crate::ports::{PortError, StackState};

/// What CloudFormation shows of an old owner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Former {
    /// It exists, and no operation of it is under way.
    Stands,
    /// It exists, and an operation of it is under way.
    Busy,
    /// It is being deleted: its Delete leaves alone what is not its own.
    Leaving,
    /// There is no such resource any more.
    Gone,
}

/// Asks CloudFormation about a resource. It knows a deleted stack by its id for 90 days
/// (CloudFormation API Reference, `DescribeStackResource`); of one that it does not know, nothing is left.
pub(super) async fn ask(world: &impl StackState, owner: &Owner) -> Result<Former, PortError> {
    let Some(shown) = world.resource_state(&owner.stack_id, &owner.logical_id).await? else {
        return Ok(Former::Gone);
    };
    // Skipped: its stack let go of it without a Delete, and no other will come.
    if matches!(shown.status.as_str(), "DELETE_COMPLETE" | "DELETE_SKIPPED") {
        return Ok(Former::Gone);
    }
    if shown.physical_id.as_deref().is_some_and(|id| id != owner.id.as_str()) {
        // It was replaced. As long as its stack is at work, the old one may be needed again.
        let stack = world.stack_status(&owner.stack_id).await?;
        let at_work = stack.is_some_and(|status| status.ends_with("_IN_PROGRESS"));
        return Ok(if at_work { Former::Stands } else { Former::Gone });
    }
    Ok(match shown.status.as_str() {
        "DELETE_IN_PROGRESS" => Former::Leaving,
        status if status.ends_with("_IN_PROGRESS") => Former::Busy,
        _ => Former::Stands,
    })
}

/// The same before something is taken over: who may not ask has to be told how to be allowed to.
pub(super) async fn ask_to_adopt(world: &impl StackState, owner: &Owner) -> Result<Former, ProvisionError> {
    match ask(world, owner).await {
        Err(PortError::Denied { code, .. }) => Err(ProvisionError::NotAdopted {
            from: owner.id.to_string(),
            fault: format!(
                "CloudFormation cannot be asked about it ({code}): name its stack {} in the parameter \
                 AdoptFromStackIds",
                owner.stack_id
            ),
        }),
        other => Ok(other?),
    }
}

/// Whether something that was adopted may have to be handed back. Where nobody may ask, it may.
pub(super) async fn still_stands(world: &impl StackState, owner: &Owner) -> Result<bool, PortError> {
    match ask(world, owner).await {
        Ok(former) => Ok(matches!(former, Former::Stands | Former::Busy)),
        Err(PortError::Denied { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}
