"""The policies of a parameter, where it is described.

AWS: a description and a version of the history list a parameter's policies, each with its text, its type
and its status (AWS Systems Manager API Reference, ParameterInlinePolicy).
MiniStack: gives the text back that was put, which no SDK can read as a list: every description fails as soon
as one parameter has a policy.
Here: a list.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import ssm

TARGETS = {
    "ministack.services.ssm:_describe_parameters": "2b4eb7675b2494ed",
    "ministack.services.ssm:_get_parameter_history": "0025ced06923d753",
}


def apply() -> None:
    """Wraps what gives policies back."""
    ssm._describe_parameters = _listed(ssm._describe_parameters)
    ssm._get_parameter_history = _listed(ssm._get_parameter_history)


def _listed(describe: Any) -> Any:
    def with_policies(data: dict) -> tuple:
        status, headers, body = describe(data)
        if status != 200:
            return status, headers, body
        answer = json.loads(body)
        for parameter in answer["Parameters"]:
            text = parameter.get("Policies")
            if isinstance(text, str):
                parameter["Policies"] = [
                    {"PolicyText": json.dumps(policy), "PolicyType": policy["Type"], "PolicyStatus": "Pending"}
                    for policy in json.loads(text or "[]")
                    if policy  # an empty one stands for none
                ]
        return status, headers, json.dumps(answer).encode()

    return with_policies
