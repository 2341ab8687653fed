"""Calls on several parameters at once are checked for each of them.

AWS: GetParameters and DeleteParameters are authorized for every parameter that they name (Service
Authorization Reference, "Actions, resources, and condition keys for AWS Systems Manager").
MiniStack: takes the resource of such a call for `*`, so a role that may read its own parameters
only is refused all of them.
Here: the call is allowed when each of its names is.
"""

from __future__ import annotations

import contextvars
import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator

TARGETS = {
    "ministack.core.iam_evaluator:enforce": "cf64b1ee5b099c8f",
    "ministack.core.iam_actions:extract_resource_arn": "82f51700695c62fd",
}

ACTIONS = ("ssm:GetParameters", "ssm:DeleteParameters")

# The names of the request under way, from where its body is read to where it is judged.
_named: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("keyboot_named_parameters", default=())


def _arns(body: bytes, region: str, account: str) -> tuple[str, ...]:
    try:
        names = json.loads(body or b"{}").get("Names", [])
    except (ValueError, AttributeError):
        return ()
    texts = [name for name in names if isinstance(name, str)]
    return tuple(
        name if name.startswith("arn:") else f"arn:aws:ssm:{region}:{account}:parameter/{name.lstrip('/')}"
        for name in texts
    )


def apply() -> None:
    """Wraps the reading of the resource, and enforcement."""
    extract = iam_actions.extract_resource_arn
    enforce = iam_evaluator.enforce

    def extract_and_note(
        service: str,
        method: str,
        path: str,
        headers: dict,
        body: bytes,
        query_params: dict,
        region: str,
        account_id: str,
    ) -> str:
        _named.set(_arns(body, region, account_id) if service == "ssm" else ())
        return extract(service, method, path, headers, body, query_params, region, account_id)

    def enforce_each(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        arns = _named.get() if iam_action in ACTIONS and resource_arn == "*" else ()
        for arn in arns or (resource_arn,):
            denied = enforce(
                access_key_id, iam_action, service, region, resource_arn=arn, service_context=service_context
            )
            if denied:
                return denied
        return None

    iam_actions.extract_resource_arn = extract_and_note
    iam_evaluator.enforce = enforce_each
