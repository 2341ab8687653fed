"""Asynchronous invocation, and custom resources over it.

AWS: an asynchronous event that fails is tried again, by default twice and one, then two minutes later,
until it is older than the function's maximum event age; a throttled one waits without using up its
tries; what fails for good goes to the on-failure destination, called with the function's own role
(Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation" and
"Capturing records of Lambda asynchronous invocations"). CloudFormation invokes a custom resource's
function like that and waits for the answer up to `ServiceTimeout`, 3600 s by default; the answer is at
most 4096 bytes and repeats StackId, RequestId and LogicalResourceId (CloudFormation User Guide, "Custom
resource reference", "Custom resource response objects").
MiniStack: runs the function within the operation, once, whatever becomes of it; believes any answer;
its failure record lacks half its fields and counts three tries always.
Here: all of the above. A minute of AWS's delay is `KEYBOOT_RIG_RETRY_SECONDS` here (1 s). An answer
that is refused fails the resource with AWS's wording. A failed Create is remembered for `rollback`.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import random
import string
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ministack import app
from ministack.core import iam_evaluator, lambda_runtime
from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import get_region, new_uuid
from ministack.services import lambda_svc
from ministack.services.cloudformation import custom_resource

TARGETS = {
    "ministack.services.lambda_svc:invoke_async_with_retry": "289fe4d3cbd4089b",
    "ministack.services.lambda_svc:_route_async_failure": "c023331e333f796d",
    "ministack.services.lambda_svc:_execute_function": "3ceb16d6480a2161",
    "ministack.services.lambda_svc:_throttle_response": "647221d5b0775feb",
    "ministack.services.lambda_svc:_put_event_invoke_config": "e53a9f8cbd9cf1c1",
    "ministack.services.lambda_svc:_get_func_record_for_ref": "492b4efe8f903a0f",
    "ministack.services.lambda_svc:_get_base_func_record_for_ref": "ae6bfc449ba542b1",
    "ministack.services.lambda_svc:_execution_record_for_config": "632acaa44892bdae",
    "ministack.services.lambda_svc:_account_region_from_function_config": "701ed919ed4802e4",
    "ministack.core.lambda_runtime:execution_credentials": "cffaadc4f396f6e4",
    "ministack.core.iam_evaluator:resolve_principal": "b6c6131e24bf22f0",
    "ministack.core.iam_evaluator:evaluate": "2a5dd6932d1aca6a",
    "ministack.services.cloudformation.custom_resource:invoke_custom_resource": "d5c75f69f54bf277",
    "ministack.services.cloudformation.custom_resource:register_token": "6ac01fc7ce258b4c",
    "ministack.services.cloudformation.custom_resource:deliver_response": "4f864c27b849e521",
    "ministack.services.cloudformation.custom_resource:_response_url": "e4ffdb252aec7a15",
    "ministack.services.cloudformation.custom_resource:_normalise_resource_properties": "c04a0de92bca358e",
    "ministack.app:_handle_post_body_shortcuts": "950ae5cb53a4d007",
}

ANSWER_PATH = "/_ministack/cfn-response/"
ANSWER_BYTES = 4096
PHYSICAL_ID_BYTES = 1024
DEFAULT_RETRIES = 2
DEFAULT_EVENT_AGE_SECONDS = 21_600
DEFAULT_SERVICE_TIMEOUT_SECONDS = 3_600

logger = logging.getLogger("keyboot.rig")


@dataclass(frozen=True)
class FailedCreate:
    """What CloudFormation knows of a resource whose Create failed."""

    resource_type: str
    physical_id: str
    properties: dict


# (StackId, logical id) -> what failed; read by the plug-ins `rollback` and `stack_state`.
failed_creates: dict[tuple[str, str], FailedCreate] = {}


class CustomResourceFailed(RuntimeError):
    """A custom resource's operation failed; the text is the event's status reason."""


def apply() -> None:
    """Replaces both invocations, and reads an answer before MiniStack parses it."""
    lambda_svc.invoke_async_with_retry = invoke_async
    custom_resource.invoke_custom_resource = invoke_custom_resource
    original = app._handle_post_body_shortcuts

    async def shortcuts(method, path, headers, body, query_params, request_id):
        if method == "PUT" and path.startswith(ANSWER_PATH):
            return _receive_answer(path[len(ANSWER_PATH) :], body)
        return await original(method, path, headers, body, query_params, request_id)

    app._handle_post_body_shortcuts = shortcuts


# --- asynchronous invocation ------------------------------------------------------------------


def invoke_async(func: dict, event: Any) -> None:
    """Queues one event; returns at once, as an invocation of type Event does."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_deliver, func, event), daemon=True).start()


def _deliver(func: dict, event: Any) -> None:
    config = func.get("config") or func
    account, region = lambda_svc._account_region_from_function_config(config)
    lambda_svc._request_account_id.set(account)
    lambda_svc._request_region.set(region)
    name = config.get("FunctionName", "unknown")
    settings = _invoke_settings(config)
    retries = int(settings.get("MaximumRetryAttempts", DEFAULT_RETRIES))
    age = int(settings.get("MaximumEventAgeInSeconds", DEFAULT_EVENT_AGE_SECONDS))
    too_old = time.monotonic() + age
    invoked = 0
    while True:
        if lambda_svc._functions.get(name) is None:
            return  # the function was deleted: AWS drops the event
        result = lambda_svc._execute_function(func, event)
        if result.get("throttle"):
            pause = retry_seconds()
        else:
            invoked += 1
            if not result.get("error"):
                return
            logger.info("%s failed asynchronously (try %d): %s", name, invoked, _error_type(result))
            if invoked > retries:
                condition = "RetriesExhausted"
                break
            pause = retry_seconds() * 2 ** (invoked - 1)
        if time.monotonic() + pause > too_old:
            condition = "EventAgeExceeded"
            break
        time.sleep(pause)
    target = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    target = target or (config.get("DeadLetterConfig") or {}).get("TargetArn")
    if target:
        _send_to_destination(target, config, event, result, condition, invoked)
    else:
        logger.warning("%s: it gave an event up (%s) and has no on-failure destination", name, condition)


def _invoke_settings(config: dict) -> dict:
    """The EventInvokeConfig of the version or alias that was invoked."""
    arn = config.get("FunctionArn", "")
    base, _config, _name = lambda_svc._get_base_func_record_for_ref(arn)
    configs = (base or {}).get("event_invoke_configs") or {}
    parts = arn.split(":")
    qualifier = parts[7] if len(parts) > 7 else ""
    if qualifier not in {"", "$LATEST"}:
        return configs.get(qualifier) or {}
    return configs.get("") or configs.get("$LATEST") or {}


def retry_seconds() -> float:
    """What stands here for the first of AWS's delays."""
    return float(os.environ.get("KEYBOOT_RIG_RETRY_SECONDS", "1"))


def _error_type(result: dict) -> str:
    body = result.get("body")
    return str(body.get("errorType", "error")) if isinstance(body, dict) else "error"


def _send_to_destination(
    target: str, config: dict, event: Any, result: dict, condition: str, invoked: int
) -> None:
    name = config.get("FunctionName", "unknown")
    try:
        service = parse_arn(target).service
    except ArnParseError:
        logger.warning("%s: its on-failure destination is not an ARN", name)
        return
    if service != "lambda":
        lambda_svc._route_async_failure(target, name, event, result)
        return
    func, target_config, _name = lambda_svc._get_func_record_for_ref(target)
    if func is None or target_config is None:
        logger.warning("%s: its on-failure destination %s is not there", name, target)
        return
    if not _role_may_invoke(config, target):
        logger.warning("%s: its role may not invoke the on-failure destination %s", name, target)
        return
    record = failure_record(config, event, result, condition, invoked)
    _deliver(lambda_svc._execution_record_for_config(func, target_config), record)


def failure_record(config: dict, event: Any, result: dict, condition: str, invoked: int) -> dict:
    """The invocation record a destination receives, format version 1.0."""
    version = config.get("Version", "$LATEST")
    arn = config.get("FunctionArn", "")
    if len(arn.split(":")) == 7:
        arn = f"{arn}:{version}"
    record = {
        "version": "1.0",
        "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": new_uuid(),
            "functionArn": arn,
            "condition": condition,
            "approximateInvokeCount": invoked,
        },
        "requestPayload": event,
    }
    if invoked:
        record["responseContext"] = {
            "statusCode": 200,
            "executedVersion": version,
            "functionError": result.get("function_error") or "Unhandled",
        }
        record["responsePayload"] = result.get("body")
    return record


def _role_may_invoke(config: dict, target: str) -> bool:
    if not app.AUTH:
        return True
    account, region = lambda_svc._account_region_from_function_config(config)
    key = lambda_runtime.execution_credentials(config)["AWS_ACCESS_KEY_ID"]
    principal = iam_evaluator.resolve_principal(key, account)
    if not isinstance(principal, iam_evaluator.PrincipalInfo) or principal.policies is None:
        return False
    request = iam_evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=account,
        action="lambda:InvokeFunction",
        resource_arn=target,
        region=region,
    )
    return iam_evaluator.evaluate(request, principal.policies, *principal.limits).decision == "Allow"


# --- custom resources -------------------------------------------------------------------------


def invoke_custom_resource(
    request_type: str,
    logical_id: str,
    props: dict,
    stack_name: str,
    stack_id: str,
    resource_type: str,
    physical_id: str | None = None,
    old_props: dict | None = None,
) -> tuple[str, dict]:
    """Sends one request and waits for its answer; runs on a worker thread, as it blocks."""
    failed_creates.pop((stack_id, logical_id), None)
    record = _service_function(props.get("ServiceToken"))
    token = new_uuid()
    event = {
        "RequestType": request_type,
        "RequestId": new_uuid(),
        "StackId": stack_id,
        "ResponseURL": custom_resource._response_url(token),
        "ResourceType": resource_type,
        "LogicalResourceId": logical_id,
        "ResourceProperties": custom_resource._normalise_resource_properties(props),
    }
    if physical_id is not None:
        event["PhysicalResourceId"] = physical_id
    if old_props is not None:
        event["OldResourceProperties"] = custom_resource._normalise_resource_properties(old_props)

    arrived = custom_resource.register_token(token)
    invoke_async(record, event)
    arrived.wait(timeout=_service_timeout(props))
    with custom_resource._lock:
        entry = custom_resource._pending.pop(token, None)
    answer = (entry or {}).get("result")

    problem = judge(answer, event)
    given = (answer or {}).get("PhysicalResourceId")
    if problem is None:
        return given, answer.get("Data") or {}
    if request_type == "Create":
        # Without a usable id in the answer AWS makes one up, and the Delete that follows carries it.
        usable = isinstance(given, str) and 0 < len(given.encode()) <= PHYSICAL_ID_BYTES
        failed_creates[stack_id, logical_id] = FailedCreate(
            resource_type, given if usable else _made_up_id(stack_name, logical_id), dict(props)
        )
    raise CustomResourceFailed(problem)


def judge(answer: dict | None, event: dict) -> str | None:
    """Why an answer fails its resource, in AWS's words; None for a success."""
    request_id = event["RequestId"]
    if answer is None:
        return (
            "CloudFormation did not receive a response from your custom resource. Please check your logs"
            f" for requestId [{request_id}]. If you are using the Python cfn-response module, you may need"
            " to update your Lambda function code so that CloudFormation can attach the updated version."
        )
    if "Unusable" in answer:
        return answer["Unusable"]
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if answer.get(name) != event[name]:
            return f"Invalid response object: the value of {name} is not that of the request"
    if answer.get("Status") not in {"SUCCESS", "FAILED"}:
        return "Invalid response object: the value of Status must be SUCCESS or FAILED"
    given = answer.get("PhysicalResourceId")
    if not isinstance(given, str) or not 0 < len(given.encode()) <= PHYSICAL_ID_BYTES:
        return "Invalid PhysicalResourceId"
    if answer["Status"] == "FAILED":
        return (
            "Received response status [FAILED] from custom resource. Message returned:"
            f" {answer.get('Reason') or 'no reason given'} (RequestId: {request_id})"
        )
    return None


def _receive_answer(token: str, body: bytes) -> tuple[int, dict, bytes]:
    if len(body) > ANSWER_BYTES:
        answer: Any = {"Unusable": "Response object is too long."}
    else:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            answer = {"Unusable": "Response is not valid JSON"}
    with custom_resource._lock:
        entry = custom_resource._pending.get(token)
        answered = entry is not None and entry["result"] is not None
    # The pre-signed URL takes a second PUT without complaint; CloudFormation has read the first.
    if not answered:
        custom_resource.deliver_response(token, answer)
    return 200, {}, b""


def _service_function(service_token: Any) -> dict:
    if isinstance(service_token, str) and service_token.startswith("arn:"):
        region = service_token.split(":")[3]
        if region != get_region():
            raise CustomResourceFailed(f"the ServiceToken must be in the stack's Region {get_region()}")
    func, config, _name = lambda_svc._get_func_record_for_ref(service_token or "")
    if func is None or config is None:
        raise CustomResourceFailed(f"Lambda function not found: {service_token}")
    return lambda_svc._execution_record_for_config(func, config)


def _service_timeout(props: dict) -> int:
    try:
        return int(props.get("ServiceTimeout", DEFAULT_SERVICE_TIMEOUT_SECONDS))
    except (TypeError, ValueError):
        return DEFAULT_SERVICE_TIMEOUT_SECONDS


def _made_up_id(stack_name: str, logical_id: str) -> str:
    # Not a secret, only distinct: AWS's own are of this form.
    suffix = "".join(random.choices(string.ascii_uppercase + string.digits, k=12))
    return f"{stack_name}-{logical_id}-{suffix}"
