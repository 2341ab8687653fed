"""What a schedule of EventBridge Scheduler invokes, when, with what and as whom.

AWS: keywords in the input of a target, such as `<aws.scheduler.scheduled-time>`, are replaced at each
invocation (EventBridge Scheduler User Guide, "Adding context attributes in EventBridge Scheduler"). A
rate() schedule without StartDate begins at once ("Schedule types in EventBridge Scheduler"). A target is
invoked as the execution role, which scheduler.amazonaws.com must be able to assume ("Setting up Amazon
EventBridge Scheduler", execution role) for the schedule's account and group, aws:SourceAccount and
aws:SourceArn ("Confused deputy prevention in EventBridge Scheduler"); a function is invoked asynchronously,
as by an EventBridge rule (Lambda Developer Guide, "Invoke a Lambda function on a schedule"). A schedule of a
template has all properties but ActionAfterCompletion (CloudFormation Template Reference,
AWS::Scheduler::Schedule).
MiniStack: passes keywords on as they are written; waits one interval first; looks at no role; invokes a
function once, whatever becomes of it; never fires an at() schedule whose name has fired before; drops half
the properties of a template's schedule and calls one that was refused made.
Here: all of the above. The scheduled time of what is not at() is that of the invocation. A schedule is due
within ten seconds, by MiniStack's clock for it; expressions are in UTC, whatever time zone is named.
"""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import eventbridge, iam, lambda_svc, scheduler
from ministack.services.cloudformation import provisioners

TARGETS = {
    "ministack.services.scheduler:_create_schedule": "5b205607c15c5c7f",
    "ministack.services.scheduler:_update_schedule": "93f7fec4f7d84d8f",
    "ministack.services.scheduler:_tick_schedules": "0ece514e91205b1d",
    "ministack.services.scheduler:_error": "89d509cf299a8f7f",
    "ministack.services.scheduler:_group_arn": "748eaba658bd61f3",
    "ministack.services.scheduler:_to_epoch": "171d744977fd4531",
    "ministack.services.scheduler:_at_time_epoch": "6f3f5ab6fca1cc72",
    "ministack.services.eventbridge:_invoke_target": "550e304af0809563",
    "ministack.services.eventbridge:_dispatch_to_lambda": "1f95adbaed3a966a",
    "ministack.services.eventbridge:_parse_rate_seconds": "0184f31e965ea481",
    "ministack.services.lambda_svc:_get_func_record_for_ref": "492b4efe8f903a0f",
    "ministack.services.lambda_svc:_execution_record_for_config": "632acaa44892bdae",
    "ministack.services.cloudformation.provisioners:_scheduler_schedule_create": "76f27cf333eb3f04",
    "ministack.services.cloudformation.provisioners:_scheduler_schedule_update": "70e0243c9de11d44",
    "ministack.services.cloudformation.provisioners:_scheduler_schedule_delete": "370cc628b9b731c1",
    "ministack.services.cloudformation.provisioners:_rename_replacement": "457b035809006413",
    "ministack.services.cloudformation.provisioners:_physical_name": "aeef5b394ad26e50",
    "ministack.core.iam_evaluator:_gather_role_policies": "d83d1661b86595ac",
    "ministack.core.iam_evaluator:_permissions_boundary": "55c125bd0cf5cfe7",
    "ministack.core.iam_evaluator:evaluate": "2a5dd6932d1aca6a",
    "ministack.core.iam_evaluator:evaluate_resource_policy": "e49ce7161ad63e35",
}

PRINCIPAL = "scheduler.amazonaws.com"
TYPE = "AWS::Scheduler::Schedule"

logger = logging.getLogger("keyboot.rig")


def apply() -> None:
    """Wraps what keeps a schedule and what fires it; replaces how a function is invoked."""
    scheduler._create_schedule = _kept(scheduler._create_schedule)
    scheduler._update_schedule = _kept(scheduler._update_schedule)
    invoke_target = eventbridge._invoke_target

    def invoke(target: dict, event: dict, rule: dict, view: Any = None) -> None:
        if event.get("Source") == "aws.scheduler" and ":schedule/" in (rule or {}).get("Arn", ""):
            if not _role_may_invoke(target, rule["GroupName"]):
                logger.error("%s: its role may not invoke %s", rule["Arn"], target["Arn"])
                return
            if target.get("Input"):
                target = {**target, "Input": _with_context(target["Input"], rule)}
        invoke_target(target, event, rule, view)

    eventbridge._invoke_target = invoke
    eventbridge._dispatch_to_lambda = _invoke_function
    provisioners._RESOURCE_HANDLERS[TYPE].update(
        create=_create, update=_update, update_with_logical_id=True
    )


def _kept(keep: Any) -> Any:
    def keep_schedule(name: str, body: dict) -> tuple:
        role, group = (body.get("Target") or {}).get("RoleArn"), body.get("GroupName", "default")
        if role and not _assumable(role, group):
            return scheduler._error(
                400,
                "ValidationException",
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
            )
        before = (scheduler._schedules.get(f"{group}/{name}") or {}).get("ScheduleExpression")
        answer = keep(name, body)
        expression = body.get("ScheduleExpression")
        if answer[0] == 200 and expression != before:
            state = (get_account_id(), get_region(), f"{group}/{name}")
            scheduler._schedule_last_fired.pop(state, None)
            interval = eventbridge._parse_rate_seconds(expression)
            if interval:
                scheduler._schedule_last_fired[state] = time.time() - interval
        return answer

    return keep_schedule


def _with_context(text: str, schedule: dict) -> str:
    at = scheduler._at_time_epoch(schedule["ScheduleExpression"])
    due = datetime.fromtimestamp(time.time() if at is None else at, tz=timezone.utc)
    for name, value in (
        ("schedule-arn", schedule["Arn"]),
        ("scheduled-time", due.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("execution-id", new_uuid()),
        ("attempt-number", "1"),
    ):
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _invoke_function(arn: str, payload: str) -> None:
    func, config, name = lambda_svc._get_func_record_for_ref(arn)
    if func is None or config is None:
        logger.error("EventBridge: the function %s is not there", name)
        return
    lambda_svc.invoke_async_with_retry(
        lambda_svc._execution_record_for_config(func, config), json.loads(payload)
    )


# --- the execution role -----------------------------------------------------------------------


def _assumable(role_arn: str, group: str) -> bool:
    if not app.AUTH:
        return True
    role = iam._roles.get_scoped(get_account_id(), None, role_arn.rpartition("/")[2])
    trust = (role or {}).get("AssumeRolePolicyDocument")
    request = _request("*", "Service", "sts:AssumeRole", role_arn, group)
    return iam_evaluator.evaluate_resource_policy(trust, request, service=PRINCIPAL).decision == "Allow"


def _role_may_invoke(target: dict, group: str) -> bool:
    """Only what invokes a function is judged."""
    if not app.AUTH or ":lambda:" not in target["Arn"]:
        return True
    role, account = target.get("RoleArn", ""), get_account_id()
    name = role.rpartition("/")[2]
    request = _request(role, "AssumedRole", "lambda:InvokeFunction", target["Arn"], group)
    policies = iam_evaluator._gather_role_policies(name, account)
    limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
    return _assumable(role, group) and iam_evaluator.evaluate(request, policies, *limits).decision == "Allow"


def _request(
    principal: str, kind: str, action: str, resource: str, group: str
) -> iam_evaluator.EvalContext:
    return iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type=kind,
        principal_account=get_account_id(),
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context={
            "aws:sourceaccount": get_account_id(),
            "aws:sourcearn": scheduler._group_arn(group),
        },
    )


# --- templates ----------------------------------------------------------------------------------


def _create(logical_id: str, props: dict, stack_name: str) -> tuple[str, dict]:
    return _made(scheduler._create_schedule, _name(logical_id, props, stack_name), props)


def _update(
    physical_id: str, old_props: dict, new_props: dict, stack_name: str, logical_id: str | None = None
) -> tuple[str, dict]:
    name = _name(logical_id or physical_id, new_props, stack_name)
    kept = f"{old_props.get('GroupName', 'default')}/{physical_id}" in scheduler._schedules
    replaced = provisioners._rename_replacement(
        physical_id,
        old_props,
        new_props,
        stack_name,
        logical_id,
        name,
        physical_id if kept else None,
        _create,
        provisioners._scheduler_schedule_delete,
    )
    return replaced or _made(scheduler._update_schedule, physical_id, new_props)


def _name(logical_id: str, props: dict, stack_name: str) -> str:
    return props.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=64)


def _made(keep: Any, name: str, props: dict) -> tuple[str, dict]:
    dates = {date: scheduler._to_epoch(props[date]) for date in ("StartDate", "EndDate") if date in props}
    status, _headers, body = keep(name, {**props, **dates})
    answer = json.loads(body)
    if status != 200:
        raise ValueError(f"{TYPE}: {answer.get('Message')}")
    return name, {"Arn": answer["ScheduleArn"]}
