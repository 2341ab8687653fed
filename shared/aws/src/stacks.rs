//! CloudFormation: whether an operation that an event speaks of is in progress.

use provisioning::ports::{PortError, ResourceState, StackState};

use crate::failure::{code, failure};
use crate::session::AwsWorld;

/// The answer for a stack or a resource that is not known.
const UNKNOWN: &str = "ValidationError";

impl StackState for AwsWorld {
    async fn resource_state(
        &self,
        stack_id: &str,
        logical_id: &str,
    ) -> Result<Option<ResourceState>, PortError> {
        let call =
            self.stacks().describe_stack_resource().stack_name(stack_id).logical_resource_id(logical_id);
        let detail = match call.send().await {
            Ok(answer) => answer.stack_resource_detail,
            Err(error) if code(&error) == Some(UNKNOWN) => None,
            Err(error) => return Err(failure("DescribeStackResource", logical_id, &error)),
        };
        Ok(detail.and_then(|detail| {
            let physical_id = detail.physical_resource_id.filter(|id| !id.is_empty());
            Some(ResourceState { status: detail.resource_status?.as_str().to_owned(), physical_id })
        }))
    }

    async fn stack_status(&self, stack_id: &str) -> Result<Option<String>, PortError> {
        let stacks = match self.stacks().describe_stacks().stack_name(stack_id).send().await {
            Ok(answer) => answer.stacks.unwrap_or_default(),
            Err(error) if code(&error) == Some(UNKNOWN) => return Ok(None),
            Err(error) => return Err(failure("DescribeStacks", stack_id, &error)),
        };
        Ok(stacks.into_iter().next().and_then(|stack| Some(stack.stack_status?.as_str().to_owned())))
    }
}
