"""What CloudFormation undoes, and when it cleans up.

AWS: a custom resource whose Create failed gets a Delete with the PhysicalResourceId of that failed
answer, as part of the rollback, or of the stack's own deletion if failures are kept (CloudFormation
User Guide, "Custom resource request types", Delete; "Stack failure options"). After an update what it
replaced or removed is deleted in the phase UPDATE_COMPLETE_CLEANUP_IN_PROGRESS, with DELETE_* events
that carry the old physical id (CloudFormation User Guide, "Stack status codes").
MiniStack: forgets a resource whose Create failed; cleans up in UPDATE_IN_PROGRESS, without events. What
it does right and is left alone: an update that fails sends each custom resource it had updated, the
failed one too, a second Update with old and new properties swapped, and a Delete to each it had made.
Here: a failed Create stands in the stack as CREATE_FAILED and is deleted like the rest; the clean-up
has its phase and its events. Needs `async_custom_resources`, which remembers the failed answer.
"""

from __future__ import annotations

import contextvars

from ministack.core.responses import now_iso
from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

from .async_custom_resources import failed_creates

TARGETS = {
    "ministack.services.cloudformation.stacks:_add_event": "0adea13d13a60aa0",
    "ministack.services.cloudformation.stacks:_failed_operation": "acbc9b0d8ef40489",
    "ministack.services.cloudformation.stacks:_roll_back_operation": "3464033d8f285fe3",
    "ministack.services.cloudformation.stacks:_resolve_stack_outputs": "353ef6908a4f10eb",
    "ministack.services.cloudformation.stacks:_delete_resource": "9e9ba54fb4281d65",
    "ministack.services.cloudformation.stacks:_deploy_stack_async": "34c0aed718d8b61b",
    "ministack.services.cloudformation.stacks:_delete_stack_async": "910363eef2d9f026",
}

CLEANING = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
STACK_TYPE = "AWS::CloudFormation::Stack"

# Which stack told of a failure last, within its operation's own task: the failure's record, made right
# after, does not say.
_failing: contextvars.ContextVar[str] = contextvars.ContextVar("keyboot_failing_stack", default="")


def apply() -> None:
    """Wraps the failure's record, its event, the end of an update, and every deletion."""
    _keep_failed_creates()
    _clean_up_in_its_phase()


def _keep_failed_creates() -> None:
    add_event = stacks._add_event
    failed_operation = stacks._failed_operation

    def add_event_with_id(
        stack_id, stack_name, logical_id, resource_type, status, reason="", physical_id="", detailed_status=""
    ) -> None:
        failed = failed_creates.get((stack_id, logical_id))
        if failed is not None and status in ("CREATE_FAILED", "UPDATE_FAILED"):
            physical_id = failed.physical_id
            _failing.set(stack_id)
        add_event(
            stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, detailed_status
        )

    def with_failed_create(
        is_update, previous_stack, created, failed_update, failed_logical_id, *rest, **named
    ) -> dict:
        stack_id = _failing.get()
        failed = failed_creates.pop((stack_id, failed_logical_id), None)
        if failed is not None:
            stack = next(each for each in cloudformation._stacks.values() if each["StackId"] == stack_id)
            stack["_resources"][failed_logical_id] = {
                "PhysicalResourceId": failed.physical_id,
                "ResourceType": failed.resource_type,
                "ResourceStatus": "CREATE_FAILED",
                "LogicalResourceId": failed_logical_id,
                "Properties": failed.properties,
                "Attributes": {},
                "Timestamp": now_iso(),
            }
            created = [*created, failed_logical_id]
        return failed_operation(
            is_update, previous_stack, created, failed_update, failed_logical_id, *rest, **named
        )

    stacks._add_event = add_event_with_id
    stacks._failed_operation = with_failed_create


def _clean_up_in_its_phase() -> None:
    resolve_outputs = stacks._resolve_stack_outputs
    delete_resource = stacks._delete_resource

    def outputs_then_clean_up(
        outputs_defs, conditions, resources, param_values, mappings, stack_name, stack_id
    ) -> tuple:
        resolved = resolve_outputs(
            outputs_defs, conditions, resources, param_values, mappings, stack_name, stack_id
        )
        stack = cloudformation._stacks.get(stack_name)
        # Reached once every resource is updated and the outputs hold: the update cannot fail any more.
        if stack and stack["StackId"] == stack_id and stack["StackStatus"] == "UPDATE_IN_PROGRESS":
            stack["StackStatus"] = CLEANING
            stacks._add_event(stack_id, stack_name, stack_name, STACK_TYPE, CLEANING, physical_id=stack_id)
        return resolved

    def delete_with_events(resource_type, physical_id, props, stack_name=None, logical_id=None) -> None:
        stack = cloudformation._stacks.get(stack_name or "")
        if not stack or stack["StackStatus"] != CLEANING:
            delete_resource(resource_type, physical_id, props, stack_name, logical_id)
            return
        about = (stack["StackId"], stack_name, logical_id, resource_type)
        stacks._add_event(*about, "DELETE_IN_PROGRESS", physical_id=physical_id)
        delete_resource(resource_type, physical_id, props, stack_name, logical_id)
        stacks._add_event(*about, "DELETE_COMPLETE", physical_id=physical_id)

    stacks._resolve_stack_outputs = outputs_then_clean_up
    stacks._delete_resource = delete_with_events

