"""Condition keys of KMS, Secrets Manager and Parameter Store.

AWS: a request to KMS carries `kms:EncryptionContext:<name>` for each pair and the multi-valued
`kms:EncryptionContextKeys`, besides keys for the algorithm, key-pair spec, message type and alias of
the request; `kms:ViaService` is there only when a service calls for the principal (AWS Key Management
Service Developer Guide, "AWS KMS condition keys"). Secrets Manager and Systems Manager have their own,
among them `secretsmanager:ResourceTag/<key>` and `ssm:resourceTag/<key>` (Service Authorization
Reference, "Condition keys for AWS Secrets Manager", "... for AWS Systems Manager").
MiniStack: evaluates policies, but fills none of these keys, so an Allow under one always denies and a
Deny under one never does; `aws:ResourceTag/<key>` reaches identity policies only.
Here: the keys above are filled from the request's body and from the resource's tags. Key names are
compared without regard to case, as AWS documents for `kms:EncryptionContext:<name>`, values with it.
`kms:ViaService` is never filled: whoever reaches the gateway calls directly.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import tagging

TARGETS = {
    "ministack.core.iam_actions:request_tag_context": "d46adb816e024778",
    "ministack.core.iam_evaluator:enforce": "cf64b1ee5b099c8f",
    "ministack.core.iam_evaluator:_resolve_condition_key": "15e26964cd38f32c",
    "ministack.core.iam_evaluator:is_root_access_key": "e6ae3b63335593c0",
    "ministack.core.iam_evaluator:_evaluate_single_condition": "42b8a823692c4009",
    "ministack.services.tagging:resource_tags": "5d98719f044cac9b",
}

CONTEXT_MEMBERS = ("EncryptionContext", "SourceEncryptionContext", "DestinationEncryptionContext")

# Condition key -> member of the request's body. Members absent from the body leave the key absent.
KMS_MEMBERS = {
    "kms:EncryptionAlgorithm": "EncryptionAlgorithm",
    "kms:DataKeyPairSpec": "KeyPairSpec",
    "kms:SigningAlgorithm": "SigningAlgorithm",
    "kms:MessageType": "MessageType",
    "kms:KeySpec": "KeySpec",
    "kms:KeyUsage": "KeyUsage",
    "kms:MultiRegion": "MultiRegion",
    "kms:BypassPolicyLockoutSafetyCheck": "BypassPolicyLockoutSafetyCheck",
    "kms:ScheduleKeyDeletionPendingWindowInDays": "PendingWindowInDays",
    "kms:GrantOperations": "Operations",
}
SECRETS_MEMBERS = {
    "secretsmanager:Name": "Name",
    "secretsmanager:Description": "Description",
    "secretsmanager:KmsKeyId": "KmsKeyId",
    "secretsmanager:SecretId": "SecretId",
    "secretsmanager:VersionId": "VersionId",
    "secretsmanager:VersionStage": "VersionStage",
    "secretsmanager:BlockPublicPolicy": "BlockPublicPolicy",
    "secretsmanager:ForceDeleteWithoutRecovery": "ForceDeleteWithoutRecovery",
    "secretsmanager:RecoveryWindowInDays": "RecoveryWindowInDays",
    "secretsmanager:RotateImmediately": "RotateImmediately",
    "secretsmanager:RotationLambdaARN": "RotationLambdaARN",
}
SSM_MEMBERS = {"ssm:Overwrite": "Overwrite", "ssm:Recursive": "Recursive"}
MEMBERS = {"kms": KMS_MEMBERS, "secretsmanager": SECRETS_MEMBERS, "ssm": SSM_MEMBERS}

# What the API's own default puts in the request context when the caller leaves it out.
CRYPTOGRAPHIC = {
    "Encrypt",
    "Decrypt",
    "ReEncrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
}
RESOURCE_TAG_PREFIXES = {
    "kms": ("aws:ResourceTag/",),
    "secretsmanager": ("aws:ResourceTag/", "secretsmanager:ResourceTag/"),
    "ssm": ("aws:ResourceTag/", "ssm:resourceTag/"),
}


def apply() -> None:
    """Wraps where the request's keys are gathered, and where the resource is known."""
    gather = iam_actions.request_tag_context
    enforce = iam_evaluator.enforce

    def request_context(service: str, iam_action: str, body: bytes, params: dict) -> dict:
        context = gather(service, iam_action, body, params)
        if service in MEMBERS:
            context = {**context, **keys_of_request(service, iam_action, body)}
        return context

    def enforce_with_tags(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        context = dict(service_context or {})
        prefixes = RESOURCE_TAG_PREFIXES.get(service, ())
        # The look-up walks all resources of the service; root, whom no policy binds, is spared it.
        if prefixes and not iam_evaluator.is_root_access_key(access_key_id):
            for name, value in (tagging.resource_tags(resource_arn) or {}).items():
                for prefix in prefixes:
                    context.setdefault(prefix + name, value)
        return enforce(
            access_key_id,
            iam_action,
            service,
            region,
            resource_arn=resource_arn,
            service_context=context,
        )

    iam_actions.request_tag_context = request_context
    iam_evaluator.enforce = enforce_with_tags


def keys_of_request(service: str, iam_action: str, body: bytes) -> dict[str, Any]:
    """The condition keys one request carries, by their documented names."""
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return {}
    if not isinstance(request, dict):
        return {}
    context: dict[str, Any] = {}
    for key, member in MEMBERS[service].items():
        if member in request:
            context[key] = _text(request[member])
    if service == "kms":
        _add_kms(context, iam_action.partition(":")[2], request)
    return context


def _add_kms(context: dict[str, Any], operation: str, request: dict) -> None:
    names: list[str] = []
    for member in CONTEXT_MEMBERS:
        pairs = request.get(member)
        for name, value in pairs.items() if isinstance(pairs, dict) else ():
            context[f"kms:EncryptionContext:{name}"] = str(value)
            names.append(str(name))
    if names:
        context["kms:EncryptionContextKeys"] = names
    if operation in CRYPTOGRAPHIC:
        context.setdefault("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
    if operation in {"Sign", "Verify"}:
        context.setdefault("kms:MessageType", "RAW")
    alias = request.get("KeyId")
    if isinstance(alias, str) and (alias.startswith("alias/") or ":alias/" in alias):
        context["kms:RequestAlias"] = alias[alias.index("alias/") :]


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [str(item) for item in value]
    return str(value)
