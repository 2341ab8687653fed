"""What the stack's API says of a resource while something happens to it.

AWS: DescribeStackResource, DescribeStackResources and ListStackResources show a resource from the
moment its operation starts (CREATE_IN_PROGRESS, at first without a physical id), as it fails, and while
it is updated or deleted; a deleted stack's resources are found by the stack's id only (CloudFormation
API Reference, StackResourceDetail and DescribeStackResources). A resource that an update adds is
created: its events are CREATE_* (CloudFormation User Guide, "Monitor stack progress").
MiniStack: shows a resource only once it is complete, with its last complete status; calls what an
update adds UPDATE_*.
Here: the stack's own events are laid over what MiniStack shows, and they name additions CREATE_*.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

TARGETS = {
    "ministack.services.cloudformation.handlers:_describe_stack_resource": "332fc6ba4c7b1574",
    "ministack.services.cloudformation.handlers:_describe_stack_resources": "e205f8128aa33b13",
    "ministack.services.cloudformation.handlers:_list_stack_resources": "8e2a2b6d6163cedb",
    "ministack.services.cloudformation.handlers:_resolve_stack": "4f50b42437d86631",
    "ministack.services.cloudformation.stacks:_add_event": "0adea13d13a60aa0",
    "ministack.services.cloudformation.stacks:_deploy_stack_async": "34c0aed718d8b61b",
}

STACK_TYPE = "AWS::CloudFormation::Stack"
ENDED = {"DELETE_COMPLETE", "DELETE_SKIPPED"}

# Set while one of the three calls is answered: only they see the resources as they are now.
_showing: contextvars.ContextVar[bool] = contextvars.ContextVar("keyboot_showing", default=False)


def apply() -> None:
    """Wraps the three calls, the look-up they share, and the events' one entrance."""
    for action in ("DescribeStackResource", "DescribeStackResources", "ListStackResources"):
        handlers._ACTION_HANDLERS[action] = _showing_now(handlers._ACTION_HANDLERS[action])

    resolve = handlers._resolve_stack

    def resolve_stack(stack_name: str) -> dict | None:
        stack = resolve(stack_name)
        if stack is None or not _showing.get():
            return stack
        if stack["StackStatus"] == "DELETE_COMPLETE" and stack_name != stack["StackId"]:
            return None
        return {**stack, "_resources": resources_now(stack)}

    handlers._resolve_stack = resolve_stack

    add_event = stacks._add_event

    def add_named_event(
        stack_id, stack_name, logical_id, resource_type, status, reason="", physical_id="", detailed_status=""
    ) -> None:
        if logical_id != stack_name:
            status = _named(stack_id, stack_name, logical_id, status)
        add_event(
            stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, detailed_status
        )

    stacks._add_event = add_named_event


def resources_now(stack: dict) -> dict[str, dict]:
    """The stack's resources with their status of this moment, by logical id."""
    now = {name: dict(resource) for name, resource in (stack.get("_resources") or {}).items()}
    ending = stack["StackStatus"].startswith(("DELETE", "ROLLBACK"))
    for event in list(cloudformation._stack_events.get(stack["StackId"], [])):
        name, status = event["LogicalResourceId"], event["ResourceStatus"]
        if event["ResourceType"] == STACK_TYPE and event["PhysicalResourceId"] in ("", stack["StackId"]):
            continue
        resource = now.get(name)
        given = event["PhysicalResourceId"]
        if resource is None or "_told" in resource:
            # Known from events alone: being made, failed, or gone.
            if resource is None:
                resource = now[name] = {"_told": True, "PhysicalResourceId": ""}
            resource["ResourceType"] = event["ResourceType"]
            resource["PhysicalResourceId"] = given if status.startswith("CREATE") else (
                given or resource["PhysicalResourceId"]
            )
        elif status.startswith("DELETE") and given != resource.get("PhysicalResourceId"):
            continue  # a predecessor is cleaned up; the resource itself stands
        resource["ResourceStatus"] = status
        resource["ResourceStatusReason"] = event["ResourceStatusReason"]
        resource["Timestamp"] = event["Timestamp"]
    return {
        name: resource
        for name, resource in now.items()
        if ending or "_told" not in resource or resource["ResourceStatus"] not in ENDED
    }


def _showing_now(handler: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
    def shown(params: dict) -> tuple:
        token = _showing.set(True)
        try:
            status, headers, body = handler(params)
        finally:
            _showing.reset(token)
        # No physical id is no element, not an empty one.
        text = body if isinstance(body, bytes) else body.encode()
        return status, headers, text.replace(b"<PhysicalResourceId></PhysicalResourceId>", b"")

    return shown


def _named(stack_id: str, stack_name: str, logical_id: str, status: str) -> str:
    if not status.startswith("UPDATE_"):
        return status
    last = next(
        (
            event["ResourceStatus"]
            for event in reversed(cloudformation._stack_events.get(stack_id, []))
            if event["LogicalResourceId"] == logical_id
        ),
        None,
    )
    stack = cloudformation._stacks.get(stack_name) or {}
    if last == "CREATE_IN_PROGRESS" or logical_id not in (stack.get("_resources") or {}):
        return "CREATE_" + status.removeprefix("UPDATE_")
    return status
