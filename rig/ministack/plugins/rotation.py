"""Secrets Manager invokes the rotation function.

AWS: RotateSecret labels a new version AWSPENDING, which has no value yet, and answers; then the function
is invoked, synchronously, with createSecret, setSecret, testSecret and finishSecret. If a step fails, all
of them are tried again, several times (Secrets Manager User Guide, "Rotation by Lambda function", "Lambda
rotation functions"; Lambda Developer Guide, "Using AWS Lambda with Secrets Manager"). With
RotateImmediately false only testSecret is invoked, for a version that is removed afterwards. As long as
AWSPENDING is on another version than AWSCURRENT, RotateSecret is refused. Its caller needs
`lambda:InvokeFunction` besides, and the function's own policy must let secretsmanager.amazonaws.com in
(Secrets Manager API Reference, RotateSecret, CancelRotateSecret; User Guide, "Troubleshoot rotation").
MiniStack: never invokes a function; RotateSecret makes a copy of the current version current at once, and
CancelRotateSecret is not there. It answers a version without a value as if it had one.
Here: as AWS has it, but nothing is rotated by its schedule: an expression is kept as it is given. A pause
between two tries begins with `KEYBOOT_RIG_RETRY_SECONDS` (1 s). What a function fails with is in the log.
Not told by AWS, hence guesses: how often it tries (three times here), that the repeated rotation which a
refusal promises is begun by the refused call, and that its condition keys are the account and the secret.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, new_uuid
from ministack.services import lambda_svc, secretsmanager

from .async_custom_resources import retry_seconds
from .secret_versions import has_value
from .stores_ask_kms import caller

TARGETS = {
    "ministack.services.secretsmanager:handle_request": "e1909f662da6e20e",
    "ministack.services.secretsmanager:_rotate_secret": "29b4ea743fc356cf",
    "ministack.services.secretsmanager:_get_secret_value": "faa3eb333a8be736",
    "ministack.services.secretsmanager:_describe_secret": "f50d96905ad3b8c0",
    "ministack.services.secretsmanager:_resolve": "457901fe05e6007c",
    "ministack.services.secretsmanager:_find_stage_version": "4e730b49d7d081bd",
    "ministack.services.secretsmanager:_remove_stage": "f63d882fdef20dcf",
    "ministack.services.secretsmanager:_remove_stage_everywhere": "e489ba91d43a416e",
    "ministack.services.secretsmanager:_sync_replicas": "fbd4b70d97ab2e25",
    "ministack.services.secretsmanager:_is_replica": "120b6b404081ccf6",
    "ministack.services.secretsmanager:_replica_mutation_error": "528c9a5bb53b6071",
    "ministack.services.lambda_svc:_execute_function": "3ceb16d6480a2161",
    "ministack.services.lambda_svc:_get_func_record_for_ref": "492b4efe8f903a0f",
    "ministack.services.lambda_svc:_execution_record_for_config": "632acaa44892bdae",
    "ministack.services.lambda_svc:function_policy_for_arn": "25326cb5e1560cf6",
    "ministack.core.iam_evaluator:enforce": "cf64b1ee5b099c8f",
    "ministack.core.iam_evaluator:evaluate_resource_policy": "e49ce7161ad63e35",
}

PRINCIPAL = "secretsmanager.amazonaws.com"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
TRIES = 3

logger = logging.getLogger("keyboot.rig")

# ARN of a secret -> the version that its function is at work on.
_under_way: dict[str, str] = {}


class Failed(Exception):
    """A step did not succeed; all four are tried again."""


class Over(Exception):
    """There is nothing left to rotate."""


def apply() -> None:
    """Replaces the stub, adds the call that is missing, and tells versions without a value from others."""
    handle, get, describe = (
        secretsmanager.handle_request,
        secretsmanager._get_secret_value,
        secretsmanager._describe_secret,
    )

    async def handle_request(method, path, headers, body, query_params):
        if headers.get("x-amz-target", "").endswith(".CancelRotateSecret"):
            return cancel_rotate_secret(json.loads(body or b"{}"))
        return await handle(method, path, headers, body, query_params)

    def get_secret_value(data: dict) -> tuple:
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        before = (secret or {}).get("LastAccessedDate")
        answer = get(data)
        if answer[0] == 200 and not has_value(json.loads(answer[2])):
            version, stage = data.get("VersionId"), data.get("VersionStage", "AWSCURRENT")
            named = f"VersionId: {version}" if version else f"staging label: {stage}"
            answer = error_response_json(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret value for {named}.",
            )
        if answer[0] != 200 and secret:
            secret["LastAccessedDate"] = before  # nothing was retrieved
        return answer

    def describe_secret(data: dict) -> tuple:
        status, headers, body = describe(data)
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        if status != 200 or not secret.get("RotationEnabled") or "LastRotatedDate" not in secret:
            return status, headers, body
        return json_response({**json.loads(body), "LastRotatedDate": secret["LastRotatedDate"]})

    secretsmanager.handle_request = handle_request
    secretsmanager._get_secret_value = get_secret_value
    secretsmanager._describe_secret = describe_secret
    secretsmanager._rotate_secret = rotate_secret


# --- the calls --------------------------------------------------------------------------------


def rotate_secret(data: dict) -> tuple:
    """Keeps the configuration, makes the version and leaves the rest to a thread."""
    secret, refused = _open(data)
    if refused:
        return refused
    function = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
    if not function:
        return _invalid("No Lambda rotation function ARN is associated with this secret.")
    rules = data.get("RotationRules") or secret.get("RotationRules")
    if rules and {"AutomaticallyAfterDays", "ScheduleExpression"} <= rules.keys():
        return error_response_json(
            "InvalidParameterException",
            "RotationRules takes AutomaticallyAfterDays or ScheduleExpression, not both.",
        )
    if refused := _forbidden(function, secret):
        return refused
    version = data.get("ClientRequestToken") or new_uuid()
    answer = json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": version})
    if version in secret["Versions"]:
        return answer  # the same request once more
    pending, _ = secretsmanager._find_stage_version(secret, "AWSPENDING")
    if pending and "AWSCURRENT" not in _labels(secret, pending):
        if secret.get("RotationEnabled") and secret["ARN"] not in _under_way:
            _begin(_rotate, secret, pending)
        return _invalid("A previous rotation isn't complete. That rotation will be reattempted.")
    secret.update(RotationEnabled=True, RotationLambdaARN=function, RotationRules=rules)
    secretsmanager._remove_stage_everywhere(secret, "AWSPENDING")
    secret["Versions"][version] = {
        "SecretString": None,
        "SecretBinary": None,
        "CreatedDate": int(time.time()),
        "Stages": ["AWSPENDING"],
    }
    _changed(secret)
    _begin(_rotate if data.get("RotateImmediately", True) else _try_out, secret, version)
    return answer


def cancel_rotate_secret(data: dict) -> tuple:
    """Turns rotation off. One that is under way ends before its next step and leaves its label."""
    secret, refused = _open(data)
    if refused:
        return refused
    if not secret.get("RotationLambdaARN"):
        return _invalid(
            "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN"
            " configured and you didn't include such an ARN as a parameter in this call."
        )
    secret["RotationEnabled"] = False
    _changed(secret)
    answer = {"ARN": secret["ARN"], "Name": secret["Name"]}
    pending, _ = secretsmanager._find_stage_version(secret, "AWSPENDING")
    if pending and "AWSCURRENT" not in _labels(secret, pending):
        answer["VersionId"] = pending
    return json_response(answer)


def _open(data: dict) -> tuple[dict, tuple | None]:
    """The secret, and why it cannot be changed, in MiniStack's words."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if not secret:
        return {}, error_response_json(
            "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
        )
    if secret.get("DeletedDate"):
        return secret, _invalid(
            "You can't perform this operation on the secret because it was marked for deletion."
        )
    if secretsmanager._is_replica(secret):
        return secret, secretsmanager._replica_mutation_error()
    return secret, None


def _invalid(message: str) -> tuple:
    return error_response_json("InvalidRequestException", message)


def _forbidden(function: str, secret: dict) -> tuple | None:
    if app.AUTH and caller.get():
        denied = iam_evaluator.enforce(
            caller.get(), "lambda:InvokeFunction", "lambda", get_region(), resource_arn=function
        )
        if denied:
            return error_response_json(
                "AccessDeniedException",
                f"User: {getattr(denied, 'principal_arn', '')} is not authorized to perform:"
                f" lambda:InvokeFunction on resource: {function}",
            )
    if not _admits(function, secret):
        return error_response_json(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy"
            f" grants access to the principal {PRINCIPAL}.",
        )
    return None


def _admits(function: str, secret: dict) -> bool:
    """Whether the function is there, and lets Secrets Manager in on behalf of this secret."""
    found = lambda_svc.function_policy_for_arn(function)
    if found is None or not app.AUTH:
        return found is not None
    account = get_account_id()
    request = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account=account,
        action="lambda:InvokeFunction",
        resource_arn=function,
        region=get_region(),
        service_context={"aws:sourceaccount": account, "aws:sourcearn": secret["ARN"]},
    )
    return iam_evaluator.evaluate_resource_policy(found[0], request, service=PRINCIPAL).decision == "Allow"


# --- the function's work ------------------------------------------------------------------------


# Does a change where calls are handled: there, no other one is half way through the same secret.
InTurn = Callable[[Callable[[], None]], None]


def _begin(work: Callable[[str, str, InTurn], None], secret: dict, version: str) -> None:
    arn, loop = secret["ARN"], asyncio.get_running_loop()
    _under_way[arn] = version

    def in_turn(change: Callable[[], None]) -> None:
        async def run_change() -> None:
            change()

        asyncio.run_coroutine_threadsafe(run_change(), loop).result()

    def run() -> None:
        try:
            work(arn, version, in_turn)
        except Over as why:
            logger.warning("rotation of %s to version %s is over: %s", arn, version, why)
        except Exception:
            logger.exception("rotation of %s to version %s", arn, version)
        finally:
            if _under_way.get(arn) == version:
                del _under_way[arn]

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()


def _rotate(arn: str, version: str, in_turn: InTurn) -> None:
    token = new_uuid()

    def rotated() -> None:
        secret = _rotating(arn, version)
        if "AWSCURRENT" not in _labels(secret, version):
            raise Failed("the function succeeded, but the version is not AWSCURRENT")
        secret["LastRotatedDate"] = round(time.time(), 3)
        _changed(secret)

    for number in range(1, TRIES + 1):
        try:
            for step in STEPS:
                _invoke(step, arn, version, token)
            in_turn(rotated)
            return
        except Failed as why:
            logger.error("rotation of %s to version %s, try %d of %d: %s", arn, version, number, TRIES, why)
            if number < TRIES:
                time.sleep(retry_seconds() * 2 ** (number - 1))
    raise Over("it was given up; the version stays AWSPENDING")


def _try_out(arn: str, version: str, in_turn: InTurn) -> None:
    def removed() -> None:
        _, secret = secretsmanager._resolve(arn)
        if secret:
            secretsmanager._remove_stage(secret, version, "AWSPENDING")
            if not _labels(secret, version):
                secret["Versions"].pop(version, None)
            _changed(secret)

    try:
        _invoke("testSecret", arn, version, new_uuid())
    except Failed as why:
        logger.error("trial of the rotation of %s with version %s: %s", arn, version, why)
    finally:
        in_turn(removed)


def _invoke(step: str, arn: str, version: str, token: str) -> None:
    function = _rotating(arn, version)["RotationLambdaARN"]
    func, config, _name = lambda_svc._get_func_record_for_ref(function)
    if func is None or config is None or not _admits(function, _rotating(arn, version)):
        raise Failed(f"{step}: Secrets Manager cannot invoke {function}")
    event = {"Step": step, "SecretId": arn, "ClientRequestToken": version, "RotationToken": token}
    result = lambda_svc._execute_function(lambda_svc._execution_record_for_config(func, config), event)
    if result.get("error"):
        body: Any = result.get("body")
        told = body.get("errorMessage") or body.get("message") if isinstance(body, dict) else body
        raise Failed(f"{step}: {told}")
    if step == "createSecret" and not has_value(_rotating(arn, version)["Versions"][version]):
        raise Failed(f"{step}: the function succeeded, but the version has no value")


def _rotating(arn: str, version: str) -> dict:
    """The secret as it is now, if it is still to be rotated to that version."""
    _, secret = secretsmanager._resolve(arn)
    if secret is None or secret.get("DeletedDate"):
        raise Over("the secret is deleted")
    if not secret.get("RotationEnabled"):
        raise Over("it was cancelled")
    if not {"AWSPENDING", "AWSCURRENT"} & set(_labels(secret, version)):
        raise Over("the version is AWSPENDING no more")
    return secret


def _labels(secret: dict, version: str) -> list[str]:
    return (secret["Versions"].get(version) or {}).get("Stages", [])


def _changed(secret: dict) -> None:
    secret["LastChangedDate"] = int(time.time())
    secretsmanager._sync_replicas(secret)
