"""Policies that name a principal which does not exist, or everybody.

AWS: a resource policy or key policy that names a role or user which is not there is refused (Secrets
Manager API Reference, PutResourcePolicy, MalformedPolicyDocumentException; KMS API Reference,
PutKeyPolicy and CreateKey, MalformedPolicyDocumentException). With BlockPublicPolicy a policy that lets
everybody in is refused (PutResourcePolicy, PublicPolicyException).
MiniStack: stores every policy.
Here: both are refused. A principal is looked up in the account its ARN names, in this emulator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import iam, kms, secretsmanager

TARGETS = {
    "ministack.services.secretsmanager:_put_resource_policy": "3d60854aab3febfe",
    "ministack.services.kms:_create_key": "b2509f44b316e4ea",
    "ministack.services.kms:_put_key_policy": "996b086b167a43ab",
    "ministack.services.secretsmanager:handle_request": "e1909f662da6e20e",
    "ministack.services.kms:handle_request": "cbcba1e01b41681a",
}

IDENTITY = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):(role|user)/(?:.*/)?([^/]+)")

# Condition keys that keep a statement for everybody from being public.
NARROWING = ("aws:principal", "aws:sourceaccount", "aws:sourcearn", "aws:sourcevpc", "aws:userid", "kms:calleraccount")


def apply() -> None:
    """Wraps the calls that take a policy; CloudFormation makes its keys through them too."""
    put_resource_policy = secretsmanager._put_resource_policy
    create_key = kms._create_key
    put_key_policy = kms._put_key_policy

    def checked_resource_policy(data: dict) -> tuple:
        statements = list(_statements(data.get("ResourcePolicy")))
        if any(_missing(statement) for statement in statements):
            return error_response_json(
                "MalformedPolicyDocumentException", "This resource policy contains an unsupported principal."
            )
        if data.get("BlockPublicPolicy") and any(_public(statement) for statement in statements):
            return error_response_json(
                "PublicPolicyException",
                "You can't attach a resource policy that allows broad access to the secret.",
            )
        return put_resource_policy(data)

    def checked_create_key(data: dict) -> tuple:
        return _refused_key_policy(data) or create_key(data)

    def checked_key_policy(data: dict) -> tuple:
        return _refused_key_policy(data) or put_key_policy(data)

    secretsmanager._put_resource_policy = checked_resource_policy
    kms._create_key = checked_create_key
    kms._put_key_policy = checked_key_policy


def _refused_key_policy(data: dict) -> tuple | None:
    if any(_missing(statement) for statement in _statements(data.get("Policy"))):
        return error_response_json(
            "MalformedPolicyDocumentException",
            "Policy contains a statement with one or more invalid principals.",
        )
    return None


def _statements(policy: Any) -> Iterator[dict]:
    try:
        document = json.loads(policy) if isinstance(policy, str) else policy or {}
    except ValueError:
        return
    found = document.get("Statement", []) if isinstance(document, dict) else []
    for statement in [found] if isinstance(found, dict) else found:
        if isinstance(statement, dict):
            yield statement


def _principals(statement: dict) -> list[str]:
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        principal = principal.get("AWS", [])
    return [principal] if isinstance(principal, str) else list(principal or [])


def _missing(statement: dict) -> bool:
    for principal in _principals(statement):
        match = IDENTITY.fullmatch(str(principal))
        if match:
            account, kind, name = match.groups()
            known = iam._roles if kind == "role" else iam._users
            if known.get_scoped(account, None, name) is None:
                return True
    return False


def _public(statement: dict) -> bool:
    if statement.get("Effect") != "Allow" or "*" not in _principals(statement):
        return False
    keys = [key.lower() for block in (statement.get("Condition") or {}).values() for key in block]
    return not any(key.startswith(NARROWING) for key in keys)
