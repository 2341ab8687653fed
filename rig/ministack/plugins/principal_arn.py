"""`aws:PrincipalArn` of a role's session is the role.

AWS: "For IAM roles, the request context returns the ARN of the role, not the ARN of the user that
assumed the role" (IAM User Guide, "AWS global condition context keys", aws:PrincipalArn).
MiniStack: returns the session, `arn:...:assumed-role/<role>/<session>`, so that a policy which names
a planned role by this condition never matches it.
Here: the role's own ARN, with its path.
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam

TARGETS = {"ministack.core.iam_evaluator:_resolve_condition_key": "15e26964cd38f32c"}


def apply() -> None:
    """Wraps the evaluator's one look-up of a condition key."""
    original = iam_evaluator._resolve_condition_key

    def resolve(key: str, ctx: iam_evaluator.EvalContext) -> Any:
        if key.lower() == "aws:principalarn":
            return role_of(ctx.principal_arn, ctx.principal_account)
        return original(key, ctx)

    iam_evaluator._resolve_condition_key = resolve


def role_of(principal_arn: str, account: str) -> str:
    """The role behind an assumed-role session's ARN; any other ARN as it is."""
    head, separator, session = principal_arn.partition(":assumed-role/")
    if not separator:
        return principal_arn
    name = session.split("/")[0]
    role = iam._roles.get_scoped(account, None, name)
    if role and role.get("Arn"):
        return role["Arn"]
    partition = head.split(":")[1]
    return f"arn:{partition}:iam::{account}:role/{name}"
