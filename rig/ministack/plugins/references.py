"""What `Ref` and `Fn::GetAtt` give of a template's resources.

AWS: `Ref` of an AWS::IAM::InstanceProfile is its name, and an AWS::EC2::VPC has the attribute `CidrBlock`
(CloudFormation Template Reference, the pages of these types, "Return values").
MiniStack: `Ref` is the profile's ARN, so that a launch template that names a profile names none; a VPC has no
such attribute.
Here: as AWS has it.
"""

from __future__ import annotations

from typing import Any

from ministack.services import ec2, iam

from template_types import Made, mends

TARGETS = {
    "ministack.services.cloudformation.provisioners:_iam_ip_create": "b5dde952b22756db",
    "ministack.services.cloudformation.provisioners:_iam_ip_update": "3a607f272a19e5ab",
    "ministack.services.cloudformation.provisioners:_iam_ip_delete": "16640a6444d6016e",
    "ministack.services.cloudformation.provisioners:_ec2_vpc_create": "4920746a78254f7a",
    "ministack.services.cloudformation.provisioners:_ec2_vpc_update": "4e762c188f5488c1",
}


def apply() -> None:
    """Wraps the two types' handlers."""
    _profiles_by_name(mends("references", "AWS::IAM::InstanceProfile"))
    networks = mends("references", "AWS::EC2::VPC")
    for name in ("create", "update"):
        networks[name] = _with_its_range(networks[name])


def _profiles_by_name(handlers: dict[str, Any]) -> None:
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def arn_of(name: str) -> str:
        profile = iam._instance_profiles.get(name)
        return profile["Arn"] if profile else name

    def create_named(logical_id: str, props: dict, stack_name: str) -> Made:
        return _named(create(logical_id, props, stack_name))

    def update_named(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
        return _named(update(arn_of(physical_id), old, new, stack_name, logical_id))

    def delete_named(physical_id: str, props: dict) -> None:
        delete(arn_of(physical_id), props)

    handlers.update(create=create_named, update=update_named, delete=delete_named)


def _named(made: Made) -> Made:
    arn, attributes = made
    return arn.rpartition("/")[2], attributes


def _with_its_range(handle: Any) -> Any:
    def handled(*arguments: Any) -> Made:
        made, attributes = handle(*arguments)
        return made, {**attributes, "CidrBlock": ec2._vpcs[made]["CidrBlock"]}

    return handled
