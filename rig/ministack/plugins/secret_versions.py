"""Request tokens, versions, labels and names of secrets.

AWS: ClientRequestToken is the new version's id; the same token with the same value changes nothing and
answers the same, with another value it is refused (Secrets Manager API Reference, CreateSecret and
PutSecretValue). A label that PutSecretValue names moves to the new version. A version that RotateSecret has
made has no value until one is put under its id, and it keeps its labels then (User Guide, "Lambda rotation
functions"). A secret made without a value has no version. A name whose secret is scheduled for deletion is
refused as InvalidRequestException, not as ResourceExistsException (CreateSecret, Errors). A forced deletion
of a secret that is not there succeeds (DeleteSecret, ForceDeleteWithoutRecovery). A value has at most
65,536 bytes.
MiniStack: CreateSecret ignores the token; PutSecretValue overwrites the value of a version it has and its
labels, drops what is named besides AWSCURRENT and leaves a custom label on two versions; a secret without
value has a version; every taken name is called existing.
Here: as AWS has it.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import secretsmanager

TARGETS = {
    "ministack.services.secretsmanager:handle_request": "e1909f662da6e20e",
    "ministack.services.secretsmanager:_create_secret": "d3de7fac76ba4232",
    "ministack.services.secretsmanager:_store_new_secret": "e1f750dbc602c7fe",
    "ministack.services.secretsmanager:_put_secret_value": "d09b0557e1697d62",
    "ministack.services.secretsmanager:_delete_secret": "ab8f3c8efe5a635b",
    "ministack.services.secretsmanager:_resolve": "457901fe05e6007c",
    "ministack.services.secretsmanager:_remove_stage_everywhere": "e489ba91d43a416e",
    "ministack.services.secretsmanager:_add_stage": "6eb937dd928db69c",
    "ministack.services.secretsmanager:_sync_replicas": "fbd4b70d97ab2e25",
}

VALUE_BYTES = 65_536
RESERVED_LABELS = {"AWSCURRENT", "AWSPREVIOUS"}


def apply() -> None:
    """Wraps the three calls that make versions and end names."""
    create, put, delete = (
        secretsmanager._create_secret,
        secretsmanager._put_secret_value,
        secretsmanager._delete_secret,
    )

    def create_secret(data: dict) -> tuple:
        existing = secretsmanager._secrets.get(data.get("Name") or "")
        if existing and existing.get("DeletedDate"):
            return error_response_json(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            )
        repeated = existing and _repeated(existing, data)
        if repeated:
            return repeated
        if too_long := _too_long(data):
            return too_long
        status, headers, body = create(data)
        if status != 200:
            return status, headers, body
        return json_response(_with_token(data, json.loads(body)))

    def put_secret_value(data: dict) -> tuple:
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        labels: list[str] = []
        if secret and not secret.get("DeletedDate"):
            repeated = _repeated(secret, data)
            if repeated:
                return repeated
            empty = secret["Versions"].get(data.get("ClientRequestToken") or "") or {}
            labels = [*empty.get("Stages", []), *(data.get("VersionStages") or ())]
        if too_long := _too_long(data):
            return too_long
        status, headers, body = put(data)
        if status != 200:
            return status, headers, body
        answer = json.loads(body)
        version = answer["VersionId"]
        for label in labels:
            if label not in RESERVED_LABELS:
                secretsmanager._remove_stage_everywhere(secret, label, except_version_id=version)
                secretsmanager._add_stage(secret, version, label)
        secretsmanager._sync_replicas(secret)
        return json_response({**answer, "VersionStages": list(secret["Versions"][version]["Stages"])})

    def delete_secret(data: dict) -> tuple:
        name = data.get("SecretId")
        _, secret = secretsmanager._resolve(name)
        if secret is None and name and data.get("ForceDeleteWithoutRecovery") is True:
            return json_response({"ARN": name, "Name": name, "DeletionDate": int(time.time())})
        return delete(data)

    secretsmanager._create_secret = create_secret
    secretsmanager._put_secret_value = put_secret_value
    secretsmanager._delete_secret = delete_secret


def _with_token(data: dict, answer: dict) -> dict:
    secret = secretsmanager._secrets[answer["Name"]]
    made = secret["Versions"].pop(answer.pop("VersionId"))
    if data.get("SecretString") is None and data.get("SecretBinary") is None:
        return answer
    # Without a token the SDKs make one; a caller without either still gets the one MiniStack made up.
    version = data.get("ClientRequestToken") or secretsmanager.new_uuid()
    secret["Versions"][version] = made
    return {**answer, "VersionId": version}


def has_value(version: dict) -> bool:
    """Whether a version, or an answer that tells of one, has a value."""
    return version.get("SecretString") is not None or version.get("SecretBinary") is not None


def _repeated(secret: dict, data: dict) -> tuple | None:
    token = data.get("ClientRequestToken")
    version = secret["Versions"].get(token) if token else None
    if version is None or not has_value(version):
        return None
    same = all(version.get(member) == data.get(member) for member in ("SecretString", "SecretBinary"))
    if not same:
        return error_response_json(
            "ResourceExistsException",
            f"You can't use ClientRequestToken {token} because that value is already in use for a version"
            f" of secret {secret['ARN']}.",
        )
    answer = {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token}
    if "SecretId" in data:
        answer["VersionStages"] = list(version["Stages"])
    return json_response(answer)


def _too_long(data: dict) -> tuple | None:
    value: Any = data.get("SecretString") or ""
    if len(value.encode()) <= VALUE_BYTES:
        return None
    return error_response_json(
        "ValidationException",
        "1 validation error detected: Value at 'secretString' failed to satisfy constraint:"
        f" Member must have length less than or equal to {VALUE_BYTES}",
    )
