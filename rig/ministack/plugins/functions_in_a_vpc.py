"""A template's function in a VPC.

AWS: the subnets and security groups of `VpcConfig` must be there and of one VPC, and the function's role
must be allowed to make, see and remove network interfaces, or the function is not made (Lambda Developer
Guide, "Giving Lambda functions access to resources in an Amazon VPC"; "Required IAM permissions" there).
MiniStack: drops a template's `VpcConfig`.
Here: it is checked and told by GetFunctionConfiguration. The function runs where every function of the rig
does: no packet is kept from anything.
"""

from __future__ import annotations

from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2, lambda_svc
from ministack.services.cloudformation import provisioners

from template_types import Made, mends

TARGETS = {
    "ministack.services.cloudformation.provisioners:_lambda_create": "8b2cf80e961d92ee",
    "ministack.services.cloudformation.provisioners:_lambda_update": "4855410e37d7a80d",
    "ministack.services.lambda_svc:_vpc_config_with_id": "94b6de447bdeaa2a",
    "ministack.core.iam_evaluator:_gather_role_policies": "d83d1661b86595ac",
    "ministack.core.iam_evaluator:evaluate": "2a5dd6932d1aca6a",
}


def apply() -> None:
    """Wraps the type's handlers."""
    handlers = mends("functions_in_a_vpc", "AWS::Lambda::Function")
    create, update = handlers["create"], handlers["update"]

    def create_in_vpc(logical_id: str, props: dict, stack_name: str) -> Made:
        _check(props)
        return _placed(create(logical_id, props, stack_name), props)

    def update_in_vpc(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
        _check(new)
        return _placed(update(physical_id, old, new, stack_name, logical_id), new)

    handlers.update(create=create_in_vpc, update=update_in_vpc)
    # What a new name replaces is made by this name.
    provisioners._lambda_create = create_in_vpc


def _placed(made: Made, props: dict) -> Made:
    config = lambda_svc._functions[made[0]]["config"]
    config["VpcConfig"] = lambda_svc._vpc_config_with_id(props.get("VpcConfig"))
    return made


def _check(props: dict) -> None:
    config: dict[str, Any] = props.get("VpcConfig") or {}
    subnets, groups = config.get("SubnetIds") or [], config.get("SecurityGroupIds") or []
    if not subnets and not groups:
        return
    if not subnets or not groups:
        raise ValueError("VpcConfig needs subnets and security groups")
    networks = set()
    for kind, ids, store in (("subnet", subnets, ec2._subnets), ("security group", groups, ec2._security_groups)):
        for each in ids:
            if each not in store:
                raise ValueError(f"The {kind} ID '{each}' does not exist")
            networks.add(store[each]["VpcId"])
    if len(networks) > 1:
        raise ValueError("Security Groups are required to be in the same VPC as the subnets")
    if app.AUTH:
        _check_role(props["Role"], subnets, groups)


def _check_role(role: str, subnets: list[str], groups: list[str]) -> None:
    account, region = get_account_id(), get_region()
    policies = iam_evaluator._gather_role_policies(role.rpartition("/")[2], account)
    there = f"arn:aws:ec2:{region}:{account}:"
    interface = f"{there}network-interface/eni-00000000000000000"
    # The resources that EC2 asks of each (Service Authorization Reference, Amazon EC2).
    asked = {
        "CreateNetworkInterface": [
            f"{there}network-interface/*",
            *(f"{there}subnet/{each}" for each in subnets),
            *(f"{there}security-group/{each}" for each in groups),
        ],
        "DescribeNetworkInterfaces": ["*"],
        "DeleteNetworkInterface": [interface],
    }
    for action, resources in asked.items():
        for resource in resources:
            request = iam_evaluator.EvalContext(
                principal_arn=role,
                principal_type="AssumedRole",
                principal_account=account,
                action=f"ec2:{action}",
                resource_arn=resource,
                region=region,
                service_context={
                    "ec2:vpc": f"{there}vpc/{ec2._subnets[subnets[0]]['VpcId']}",
                    "ec2:subnet": f"{there}subnet/{subnets[0]}",
                },
            )
            if iam_evaluator.evaluate(request, policies).decision != "Allow":
                raise ValueError(f"The provided execution role does not have permissions to call {action} on EC2")
