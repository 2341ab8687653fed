//! Whether an event may act: only on CloudFormation's word.
//!
//! An event is a text that anyone with the right to invoke the function can write. It counts only
//! if its stack is one the template pinned and CloudFormation shows that very operation in
//! progress. A [`Permit`] is the proof that both were asked, and writing needs one. An operation
//! asks twice, before its first write and before it publishes, so that a Create that arrives after
//! its Delete makes nothing.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::error::ProvisionError;
use crate::operation::{Operation, OperationKind};
use crate::ownership::Owner;
use crate::ports::{PortError, ResourceState, StackState};

/// The stacks whose events count, by their ids (full ARNs).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PinnedStacks(BTreeSet<String>);

/// A text is not a list of stack ids.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a list of full stack ids (ARNs), separated by commas")]
pub struct PinnedStacksError;

impl FromStr for PinnedStacks {
    type Err = PinnedStacksError;

    /// Reads a comma-separated list of stack ids, as the template writes it: what is empty in it
    /// names no stack, and one has to be named.
    fn from_str(list: &str) -> Result<Self, PinnedStacksError> {
        let is_stack_id = |id: &&str| {
            let parts: Vec<&str> = id.splitn(6, ':').collect();
            matches!(parts.as_slice(), ["arn", _, "cloudformation", _, _, stack] if stack.starts_with("stack/"))
        };
        let ids: Vec<&str> = list.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
        if ids.is_empty() || !ids.iter().all(is_stack_id) {
            return Err(PinnedStacksError);
        }
        Ok(Self(ids.into_iter().map(str::to_owned).collect()))
    }
}

impl PinnedStacks {
    /// One alone, which need be no stack of CloudFormation's: on premises whoever runs the tool says on whose
    /// behalf, and his rights at the store are what holds him to it.
    #[must_use]
    pub fn only(id: impl Into<String>) -> Self {
        Self(BTreeSet::from([id.into()]))
    }

    /// Whether events of this stack count.
    #[must_use]
    pub fn contains(&self, stack_id: &str) -> bool {
        self.0.contains(stack_id)
    }
}

/// The proof that CloudFormation was asked and that the operation is in progress; or that what is rotated
/// belongs to a pinned stack.
#[derive(Debug)]
pub struct Permit(());

/// Asks CloudFormation whether `operation` is in progress, and gives the permit to write.
///
/// # Errors
///
/// [`ProvisionError::NotPinned`] without a call, [`ProvisionError::NotInProgress`] when
/// CloudFormation shows something else, [`ProvisionError::Port`] when it could not be asked.
pub(crate) async fn permit(
    state: &impl StackState,
    pinned: &PinnedStacks,
    operation: &Operation,
) -> Result<Permit, ProvisionError> {
    let stack_id = &operation.owner.stack_id;
    if !pinned.contains(stack_id) {
        return Err(ProvisionError::NotPinned);
    }
    let resource = state.resource_state(stack_id, &operation.owner.logical_id).await?;
    let shown = match operation.kind {
        OperationKind::Create => status_is(resource.as_ref(), "CREATE_IN_PROGRESS"),
        OperationKind::Update => status_is(resource.as_ref(), "UPDATE_IN_PROGRESS"),
        OperationKind::Delete => is_being_deleted(state, operation, resource.as_ref()).await?,
    };
    if shown {
        Ok(Permit(()))
    } else {
        Err(ProvisionError::NotInProgress(
            resource.map_or_else(|| "no such resource".into(), |state| state.status),
        ))
    }
}

/// The permit to rotate what belongs to `owner`. A rotation is no operation of CloudFormation's: a schedule
/// asks for it, of what a stack has made and still has in service.
///
/// # Errors
///
/// [`ProvisionError::NotPinned`].
pub(crate) fn permit_to_rotate(pinned: &PinnedStacks, owner: &Owner) -> Result<Permit, ProvisionError> {
    if pinned.contains(&owner.stack_id) { Ok(Permit(())) } else { Err(ProvisionError::NotPinned) }
}

fn status_is(resource: Option<&ResourceState>, status: &str) -> bool {
    resource.is_some_and(|resource| resource.status == status)
}

/// A Delete is either of the resource as it stands, which then says so itself, or the clean-up of
/// a physical resource that a replacement left behind. In that case the stack is in a clean-up or
/// a rollback, and the resource's present id is another one.
async fn is_being_deleted(
    state: &impl StackState,
    operation: &Operation,
    resource: Option<&ResourceState>,
) -> Result<bool, PortError> {
    if status_is(resource, "DELETE_IN_PROGRESS") {
        return Ok(true);
    }
    let is_the_present_one = resource
        .and_then(|resource| resource.physical_id.as_deref())
        .is_some_and(|id| id == operation.delivered_id);
    if is_the_present_one {
        return Ok(false);
    }
    let status = state.stack_status(&operation.owner.stack_id).await?;
    Ok(matches!(
        status.as_deref(),
        Some(
            "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
                | "UPDATE_ROLLBACK_IN_PROGRESS"
                | "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
                | "ROLLBACK_IN_PROGRESS"
                | "DELETE_IN_PROGRESS"
        )
    ))
}
