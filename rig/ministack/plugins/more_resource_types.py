"""Resource types a keyboot template declares and MiniStack does not know.

AWS: AWS::RAM::ResourceShare shares Advanced parameters (CloudFormation Template Reference,
AWS::RAM::ResourceShare; Systems Manager User Guide, "Working with shared parameters in Parameter
Store"); AWS::IAM::RolePolicy is an inline policy of a role and AWS::SecretsManager::ResourcePolicy the
policy of a secret (CloudFormation Template Reference).
MiniStack: refuses a template with one of them.
Here: a role's and a secret's policy take effect. A share is checked (each parameter is there and Advanced)
and recorded, no more: MiniStack has no RAM, and nobody in another account sees anything by it.
"""

from __future__ import annotations

import json

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import iam, secretsmanager, ssm

from template_types import Made, add_types

TARGETS = {
    "ministack.services.cloudformation.provisioners:_provision_resource": "3b8f01fb187141b6",
    "ministack.services.cloudformation.provisioners:_update_resource": "21b9b1207f59a864",
    "ministack.services.cloudformation.provisioners:_delete_resource": "9e9ba54fb4281d65",
    "ministack.services.secretsmanager:_put_resource_policy": "3d60854aab3febfe",
    "ministack.services.secretsmanager:_delete_resource_policy": "9e979adc5d3703f3",
    "ministack.core.iam_evaluator:_gather_role_policies": "d83d1661b86595ac",
}


def apply() -> None:
    """Adds the types; one that MiniStack has by now is a reason to drop it here."""
    ours = {
        "AWS::RAM::ResourceShare": {"create": _share, "update": _update_share, "delete": _forget},
        "AWS::IAM::RolePolicy": {"create": _role_policy, "update": _update_role_policy, "delete": _end_role_policy},
        "AWS::SecretsManager::ResourcePolicy": {
            "create": _secret_policy,
            "update": _update_secret_policy,
            "delete": _end_secret_policy,
        },
    }
    add_types("more_resource_types", ours, {})


def _share(_logical_id: str, props: dict, _stack_name: str) -> Made:
    _check_shared(props)
    arn = f"arn:aws:ram:{get_region()}:{get_account_id()}:resource-share/{new_uuid()}"
    return arn, {"Arn": arn}


def _update_share(physical_id: str, _old: dict, new: dict, _stack_name: str) -> Made:
    _check_shared(new)
    return physical_id, {"Arn": physical_id}


def _check_shared(props: dict) -> None:
    if not props.get("Name"):
        raise ValueError("#: required key [Name] not found")
    for arn in props.get("ResourceArns") or ():
        _, separator, name = str(arn).partition(":parameter/")
        parameter = ssm._parameters.get(f"/{name}") or ssm._parameters.get(name)
        if not separator:
            raise ValueError(f"the rig shares parameters only, not {arn}")
        if parameter is None:
            raise ValueError(f"Resource {arn} could not be found.")
        if parameter.get("Tier") != "Advanced":
            raise ValueError(f"Resource {arn} cannot be shared: only Advanced parameters can.")


def _forget(_physical_id: str, _props: dict) -> None:
    """A share leaves nothing behind."""


def _role_policy(_logical_id: str, props: dict, _stack_name: str) -> Made:
    name, role = props["PolicyName"], props["RoleName"]
    record = iam._roles.get(role)
    if record is None:
        raise ValueError(f"The role with name {role} cannot be found.")
    record.setdefault("InlinePolicies", {})[name] = json.dumps(props.get("PolicyDocument") or {})
    return f"{name}|{role}", {}


def _update_role_policy(physical_id: str, _old: dict, new: dict, stack_name: str) -> Made:
    # With another name or role the id changes, and CloudFormation deletes the old one.
    return _role_policy(physical_id, new, stack_name)


def _end_role_policy(physical_id: str, _props: dict) -> None:
    name, _, role = physical_id.partition("|")
    ((iam._roles.get(role) or {}).get("InlinePolicies") or {}).pop(name, None)


def _secret_policy(_logical_id: str, props: dict, _stack_name: str) -> Made:
    status, _headers, body = secretsmanager._put_resource_policy(
        {
            "SecretId": props["SecretId"],
            "ResourcePolicy": json.dumps(props["ResourcePolicy"]),
            "BlockPublicPolicy": str(props.get("BlockPublicPolicy", "true")).lower() == "true",
        }
    )
    if status != 200:
        raise ValueError(json.loads(body).get("message", "the policy was refused"))
    return json.loads(body)["ARN"], {}


def _update_secret_policy(physical_id: str, _old: dict, new: dict, stack_name: str) -> Made:
    return _secret_policy(physical_id, new, stack_name)


def _end_secret_policy(physical_id: str, _props: dict) -> None:
    secretsmanager._delete_resource_policy({"SecretId": physical_id})
