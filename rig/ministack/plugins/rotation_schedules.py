"""A template's rotation schedule.

AWS: AWS::SecretsManager::RotationSchedule makes the call RotateSecret when it is created and whenever it is
changed, with `RotateImmediately` as its `RotateImmediatelyOnUpdate` says, which is true unless told
otherwise; `Ref` is the secret's ARN, another `SecretId` replaces it, there is one a secret, and its deletion
cancels the rotation (CloudFormation Template Reference, AWS::SecretsManager::RotationSchedule).
MiniStack: refuses a template with one.
Here: all of that by the plug-in `rotation`, which plays RotateSecret and CancelRotateSecret. A rotation function
must be there already: the ones that AWS makes (`HostedRotationLambda`) are refused.
"""

from __future__ import annotations

import json

from ministack.services import secretsmanager

from template_types import Made, add_types, flag, only, required

from . import rotation

TARGETS = {
    "ministack.services.cloudformation.provisioners:_update_resource": "21b9b1207f59a864",
    "ministack.services.secretsmanager:_resolve": "457901fe05e6007c",
}

KNOWN = ("SecretId", "RotationLambdaARN", "RotationRules", "RotateImmediatelyOnUpdate")


def apply() -> None:
    """Adds the type."""
    name = "AWS::SecretsManager::RotationSchedule"
    add_types(
        "rotation_schedules",
        {name: {"create": _create, "update": _update, "delete": _delete}},
        {name: ("SecretId",)},
    )


def _create(_logical_id: str, props: dict, _stack_name: str) -> Made:
    _, secret = secretsmanager._resolve(required(props, "SecretId"))
    if secret and secret.get("RotationEnabled"):
        raise ValueError(f"the secret {secret['ARN']} has a rotation schedule already")
    return _rotate(props)


def _update(_physical_id: str, _old: dict, new: dict, _stack_name: str) -> Made:
    return _rotate(new)


def _rotate(props: dict) -> Made:
    only(props, *KNOWN)
    call = {
        "SecretId": required(props, "SecretId"),
        "RotateImmediately": flag(props.get("RotateImmediatelyOnUpdate", True)),
    }
    rules = dict(props.get("RotationRules") or {})
    if "AutomaticallyAfterDays" in rules:
        rules["AutomaticallyAfterDays"] = int(rules["AutomaticallyAfterDays"])
    if rules:
        call["RotationRules"] = rules
    if props.get("RotationLambdaARN"):
        call["RotationLambdaARN"] = props["RotationLambdaARN"]
    status, _headers, body = rotation.rotate_secret(call)
    told = json.loads(body)
    if status != 200:
        raise ValueError(told.get("message") or told.get("Message") or "the rotation was refused")
    return told["ARN"], {"Id": told["ARN"]}


def _delete(physical_id: str, _props: dict) -> None:
    # Of a secret that is gone, or is to be, there is nothing to cancel.
    _, secret = secretsmanager._resolve(physical_id)
    if secret and not secret.get("DeletedDate") and secret.get("RotationEnabled"):
        rotation.cancel_rotate_secret({"SecretId": physical_id})
