"""Service-linked roles of a template.

AWS: AWS::IAM::ServiceLinkedRole makes the role that a service acts as, under a name of the service's own with
an underscore and `CustomSuffix` behind it where one is given, which Auto Scaling allows; `Ref` is its name.
Only `Description` can be changed. One that the service still uses is not deleted (CloudFormation Template
Reference, AWS::IAM::ServiceLinkedRole; Amazon EC2 Auto Scaling User Guide, "Service-linked roles for Amazon EC2
Auto Scaling").
MiniStack: refuses a template with one, and its call knows no suffix.
Here: the role of Auto Scaling. What that service does is done by the emulator itself, so nobody acts as it:
the role is there for the policies that name it.
"""

from __future__ import annotations

from ministack.core.responses import get_account_id
from ministack.services import autoscaling, iam

from template_types import Made, add_types, answered, only, required

TARGETS = {
    "ministack.services.iam:_create_service_linked_role": "91eea53d4cecd201",
    "ministack.services.cloudformation.provisioners:_update_resource": "21b9b1207f59a864",
}

SERVICE, ROLE = "autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"
PATH = f"/aws-service-role/{SERVICE}/"


def apply() -> None:
    """Adds the type."""
    name = "AWS::IAM::ServiceLinkedRole"
    add_types(
        "service_linked_roles",
        {name: {"create": _create, "update": _update, "delete": _delete}},
        {name: ("AWSServiceName", "CustomSuffix")},
    )


def _create(_logical_id: str, props: dict, _stack_name: str) -> Made:
    only(props, "AWSServiceName", "CustomSuffix", "Description")
    if required(props, "AWSServiceName") != SERVICE:
        raise ValueError(f"the rig plays the role of {SERVICE} only")
    suffix = props.get("CustomSuffix")
    name = f"{ROLE}_{suffix}" if suffix else ROLE
    if name in iam._roles:
        raise ValueError(f"Service role name {name} has been taken in this account, please try a different suffix.")
    answered(iam._create_service_linked_role({"AWSServiceName": SERVICE}))
    # The call names it by the service alone, in MiniStack's own spelling.
    made = iam._roles.pop("AWSServiceRoleForAutoscaling")
    made.update(
        RoleName=name,
        Arn=f"arn:aws:iam::{get_account_id()}:role{PATH}{name}",
        Description=props.get("Description", made["Description"]),
    )
    iam._roles[name] = made
    return name, {"RoleName": name}


def _update(physical_id: str, _old: dict, new: dict, _stack_name: str) -> Made:
    iam._roles[physical_id]["Description"] = new.get("Description", "")
    return physical_id, {"RoleName": physical_id}


def _delete(physical_id: str, _props: dict) -> None:
    role = iam._roles.get(physical_id)
    if role is None:
        return
    users = [name for name, group in autoscaling._asgs.items() if group.get("ServiceLinkedRoleARN") == role["Arn"]]
    if users:
        raise ValueError(f"The role {physical_id} is in use by {', '.join(users)}")
    iam._roles.pop(physical_id)
