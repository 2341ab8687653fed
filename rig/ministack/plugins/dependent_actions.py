"""Calls that need more than the permission of their own name.

AWS: creating something with tags needs the tagging permission besides: CreateSecret with Tags needs
`secretsmanager:TagResource` (Secrets Manager API Reference, CreateSecret), PutParameter with Tags
needs `ssm:AddTagsToResource` (Systems Manager API Reference, PutParameter), CreateKey with Tags needs
`kms:TagResource` (KMS API Reference, CreateKey).
MiniStack: asks only for the permission of the call's own name, so a policy that forgets the other
one works here and fails in AWS.
Here: the other one is asked for too, and a refusal names it.
"""

from __future__ import annotations

import contextvars
from typing import Any

from ministack.core import iam_actions, iam_evaluator

TARGETS = {
    "ministack.core.iam_evaluator:enforce": "cf64b1ee5b099c8f",
    "ministack.core.iam_actions:access_denied_response": "3cc2e315f91f45da",
}

WITH_TAGS = {
    "secretsmanager:CreateSecret": "secretsmanager:TagResource",
    "ssm:PutParameter": "ssm:AddTagsToResource",
    "kms:CreateKey": "kms:TagResource",
}


# The action that was refused, from where it is known to where the refusal is worded.
_refused: contextvars.ContextVar[str] = contextvars.ContextVar("keyboot_refused_action", default="")


def apply() -> None:
    """Wraps enforcement; whether tags are set is told by the request's `aws:TagKeys`."""
    enforce = iam_evaluator.enforce
    denied_response = iam_actions.access_denied_response

    def enforce_both(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        _refused.set("")
        actions = [iam_action]
        if iam_action in WITH_TAGS and (service_context or {}).get("aws:TagKeys"):
            actions.append(WITH_TAGS[iam_action])
        for action in actions:
            denied = enforce(
                access_key_id,
                action,
                service,
                region,
                resource_arn=resource_arn,
                service_context=service_context,
            )
            if denied:
                _refused.set(action)
                return denied
        return None

    def response(service: str, action: str, *args: Any, **kwargs: Any) -> tuple:
        refused = _refused.get()
        named = refused if WITH_TAGS.get(action) == refused else action
        return denied_response(service, named, *args, **kwargs)

    iam_evaluator.enforce = enforce_both
    iam_actions.access_denied_response = response
