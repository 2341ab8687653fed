"""Auto Scaling groups have instances.

AWS: a group launches instances of its launch template until it has as many as it wants, registers them with
its target groups, and puts another in the place of one that is gone, of the version that the group names
then; a new version changes no instance that is there. TerminateInstanceInAutoScalingGroup ends one, and an
instance refresh all, one after the other; the group's end is theirs (Amazon EC2 Auto Scaling User Guide,
"Auto Scaling groups", "Health checks for instances in an Auto Scaling group", "Use an instance refresh to
update instances in an Auto Scaling group"; API Reference, TerminateInstanceInAutoScalingGroup). What the
group names must be there (CloudFormation Template Reference, AWS::AutoScaling::AutoScalingGroup), and user
data has at most 16 KB before it is encoded (Amazon EC2 User Guide, "Run commands when you launch an EC2
instance with user data input").
MiniStack: a template's group has no instances; one that is made by a call has ids of which EC2 knows nothing,
whatever becomes of them; it forgets its target groups; there is no such call, and a refresh changes nothing.
Here: each is a record of EC2 as well, with the launch template's settings and AWS's tags, in the group's
subnets in turn. Nothing boots, and no health is looked at: what takes place takes place at once.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from ministack.core.responses import new_uuid, now_iso
from ministack.services import alb, autoscaling, ec2, iam
from ministack.services.cloudformation import provisioners

from template_types import Made, mends

TARGETS = {
    "ministack.services.cloudformation.provisioners:_asg_create": "bb3f047b02777caf",
    "ministack.services.cloudformation.provisioners:_asg_update": "54ca3573fe5aae23",
    "ministack.services.cloudformation.provisioners:_asg_delete": "cb9fd42fba4b6830",
    "ministack.services.cloudformation.provisioners:_asg_launch_template": "e0a60512d154cf73",
    "ministack.services.autoscaling:_reconcile_instances": "2272358babf7c36a",
    "ministack.services.autoscaling:_describe_asgs": "c477261634b03b25",
    "ministack.services.autoscaling:_delete_asg": "139107c11e88992f",
    "ministack.services.autoscaling:_start_instance_refresh": "1539b46a433af117",
    "ministack.services.ec2:_terminate_instances": "2cd7b7d0c4d10340",
    "ministack.services.ec2:_launch_instances_internal": "fc79c2498affcc7a",
    "ministack.services.ec2:_resolve_launch_template_data": "7531aed64ffddd7e",
    "ministack.services.ec2:_resolve_iam_instance_profile": "2a3d201563f42315",
}

USER_DATA_BYTES = 16_384
GROUP_TAG = "aws:autoscaling:groupName"


def apply() -> None:
    """Replaces how a group fills itself, and wraps what changes its instances."""
    autoscaling._reconcile_instances = _fill
    _wrap_handlers()
    _wrap_calls()


# --- templates ----------------------------------------------------------------------------------


def _wrap_handlers() -> None:
    handlers = mends("instance_groups", "AWS::AutoScaling::AutoScalingGroup")
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def create_filled(logical_id: str, props: dict, stack_name: str) -> Made:
        _check(props)
        made = create(logical_id, props, stack_name)
        group = autoscaling._asgs[made[0]]
        try:
            _set(group, props)
        except ValueError:
            delete_with_instances(made[0], props)
            raise
        return made

    def update_filled(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
        _check(new)
        made = update(physical_id, old, new, stack_name, logical_id)
        _set(autoscaling._asgs[made[0]], new)
        return made

    def delete_with_instances(physical_id: str, props: dict) -> None:
        group = autoscaling._asgs.get(physical_id)
        for instance in list(group["Instances"]) if group else ():
            _end(group, instance)
        delete(physical_id, props)

    handlers.update(create=create_filled, update=update_filled, delete=delete_with_instances)
    # What a new name replaces is made and ended by these names.
    provisioners._asg_create = create_filled
    provisioners._asg_delete = delete_with_instances


def _check(props: dict) -> None:
    for subnet in props.get("VPCZoneIdentifier") or ():
        if subnet not in ec2._subnets:
            raise ValueError(f"The subnet ID '{subnet}' does not exist")
    for arn in props.get("TargetGroupARNs") or ():
        if arn not in alb._tgs:
            raise ValueError(f"Provided Target Groups may not be valid: {arn}")
    role = props.get("ServiceLinkedRoleARN")
    if role and all(each.get("Arn") != role for each in iam._roles.values()):
        raise ValueError(f"ARN specified for Service-Linked Role does not exist: {role}")
    template = props.get("LaunchTemplate")
    if template:
        _data, _record, refused = ec2._resolve_launch_template_data(template)
        if refused:
            raise ValueError("The specified launch template, with template ID or name, does not exist.")
    least, most = int(props.get("MinSize", 0)), int(props.get("MaxSize", 0))
    if not least <= int(props.get("DesiredCapacity", least)) <= most:
        raise ValueError("Desired capacity must be between the specified min size and max size")


def _set(group: dict, props: dict) -> None:
    before = set(group.get("TargetGroupARNs") or ())
    group["TargetGroupARNs"] = list(props.get("TargetGroupARNs") or ())
    group["ServiceLinkedRoleARN"] = props.get("ServiceLinkedRoleARN", "")
    for instance in group["Instances"]:
        for arn in before - set(group["TargetGroupARNs"]):
            _deregister(arn, instance["InstanceId"])
        _register(group, instance["InstanceId"])
    _fill(group)


# --- a group's instances ------------------------------------------------------------------------


def _fill(group: dict) -> None:
    """Launches or ends instances until there are as many as the group wants."""
    while len(group["Instances"]) > group["DesiredCapacity"]:
        _end(group, group["Instances"][0])
    while len(group["Instances"]) < group["DesiredCapacity"]:
        _launch(group)


def _launch(group: dict) -> None:
    named = group.get("LaunchTemplate") or {}
    spec = {"LaunchTemplateId": named.get("LaunchTemplateId"), "Version": named.get("Version")}
    data, template, refused = ec2._resolve_launch_template_data(spec)
    if refused:
        raise ValueError("The specified launch template, with template ID or name, does not exist.")
    if len(base64.b64decode(data.get("UserData", ""))) > USER_DATA_BYTES:
        raise ValueError(f"User data is limited to {USER_DATA_BYTES} bytes")
    subnets = [each for each in (group.get("VPCZoneIdentifier") or "").split(",") if each]
    subnet = subnets[len(group["Instances"]) % len(subnets)] if subnets else ec2._DEFAULT_SUBNET_ID
    interface = next(iter(data.get("NetworkInterfaces") or ()), {})
    (made,) = ec2._launch_instances_internal(
        image_id=data.get("ImageId", "ami-00000000"),
        instance_type=data.get("InstanceType", "t2.micro"),
        subnet_id=subnet,
        count=1,
        user_data=data.get("UserData", ""),
        sg_ids=data.get("SecurityGroupIds") or interface.get("Groups"),
        iam_profile=_profile(data.get("IamInstanceProfile") or {}),
    )
    zone = ec2._subnets.get(subnet, {}).get("AvailabilityZone") or made["Placement"]["AvailabilityZone"]
    made["Placement"]["AvailabilityZone"] = zone
    launched_with = {}
    tags = [{"Key": GROUP_TAG, "Value": group["AutoScalingGroupName"]}]
    if template:
        launched_with = {
            "LaunchTemplateId": template["LaunchTemplateId"],
            "LaunchTemplateName": template["LaunchTemplateName"],
            "Version": str(_version(template, spec["Version"])),
        }
        tags += [
            {"Key": "aws:ec2launchtemplate:id", "Value": launched_with["LaunchTemplateId"]},
            {"Key": "aws:ec2launchtemplate:version", "Value": launched_with["Version"]},
        ]
    for wanted in data.get("TagSpecifications") or ():
        if wanted.get("ResourceType") == "instance":
            tags += [{"Key": each["Key"], "Value": each["Value"]} for each in wanted.get("Tags") or ()]
    own = [each for each in group.get("Tags") or () if each.get("PropagateAtLaunch")]
    tags += [{"Key": each["Key"], "Value": each["Value"]} for each in own]
    ec2._tags[made["InstanceId"]] = list({each["Key"]: each for each in tags}.values())
    group["Instances"].append(
        {
            "InstanceId": made["InstanceId"],
            "LifecycleState": "InService",
            "HealthStatus": "Healthy",
            "AvailabilityZone": zone,
            "ProtectedFromScaleIn": group["NewInstancesProtectedFromScaleIn"],
            "LaunchTemplate": launched_with,
            "LaunchConfigurationName": group.get("LaunchConfigurationName", ""),
        }
    )
    _register(group, made["InstanceId"])


def _version(template: dict, asked: Any) -> int:
    if asked in (None, "", "$Default"):
        return template["DefaultVersionNumber"]
    return template["LatestVersionNumber"] if asked == "$Latest" else int(asked)


def _profile(asked: dict) -> dict | None:
    if not asked:
        return None
    profile, _refused = ec2._resolve_iam_instance_profile(asked.get("Arn", ""), asked.get("Name", ""))
    if profile is None:
        raise ValueError(f"Invalid IAM Instance Profile: {asked.get('Arn') or asked.get('Name')}")
    return profile


def _end(group: dict, instance: dict) -> None:
    group["Instances"].remove(instance)
    for arn in group.get("TargetGroupARNs") or ():
        _deregister(arn, instance["InstanceId"])
    if instance["InstanceId"] in ec2._instances:
        _terminate({"InstanceId.1": instance["InstanceId"]})


def _register(group: dict, instance: str) -> None:
    for arn in group.get("TargetGroupARNs") or ():
        targets = alb._targets.setdefault(arn, [])
        if all(each["Id"] != instance for each in targets):
            targets.append({"Id": instance, "Port": alb._tgs[arn]["Port"]})


def _deregister(arn: str, instance: str) -> None:
    if arn in alb._targets:
        alb._targets[arn] = [each for each in alb._targets[arn] if each["Id"] != instance]


def _group_of(instance: str) -> tuple[dict, dict] | None:
    for group in autoscaling._asgs.values():
        for each in group["Instances"]:
            if each["InstanceId"] == instance:
                return group, each
    return None


# --- calls --------------------------------------------------------------------------------------

# EC2's own, without what this plug-in adds.
_terminate: Callable[[dict], tuple] = ec2._terminate_instances


def _wrap_calls() -> None:
    describe, delete, refresh = (
        autoscaling._describe_asgs,
        autoscaling._delete_asg,
        autoscaling._start_instance_refresh,
    )

    def terminate_instances(params: dict) -> tuple:
        answer = _terminate(params)
        if answer[0] != 200:
            return answer
        for name in ec2._parse_member_list(params, "InstanceId"):
            found = _group_of(name)
            if found:
                _end(*found)
                _fill(found[0])
        return answer

    def terminate_in_group(params: dict) -> tuple:
        name = autoscaling._p(params, "InstanceId")
        found = _group_of(name)
        if found is None:
            told = f"Instance Id not found - No managed instance found for instance ID: {name}"
            return autoscaling._error("ValidationError", told)
        group, instance = found
        if autoscaling._p(params, "ShouldDecrementDesiredCapacity") == "true":
            if group["DesiredCapacity"] <= group["MinSize"]:
                told = "Currently, desired capacity equals the group's minimum size."
                return autoscaling._error("ValidationError", told)
            group["DesiredCapacity"] -= 1
        _end(group, instance)
        _fill(group)
        activity = (
            f"<ActivityId>{new_uuid()}</ActivityId><AutoScalingGroupName>{escape(group['AutoScalingGroupName'])}"
            f"</AutoScalingGroupName><Description>Terminating EC2 instance: {name}</Description><Cause>At the"
            f" user's request</Cause><StartTime>{now_iso()}</StartTime><StatusCode>InProgress</StatusCode>"
        )
        return autoscaling._xml(
            200,
            "TerminateInstanceInAutoScalingGroupResponse",
            f"<TerminateInstanceInAutoScalingGroupResult><Activity>{activity}</Activity>"
            "</TerminateInstanceInAutoScalingGroupResult>",
        )

    def describe_groups(params: dict) -> tuple:
        status, headers, body = describe(params)
        text = body.decode()
        for name, group in autoscaling._asgs.items():
            arns = "".join(f"<member>{escape(arn)}</member>" for arn in group.get("TargetGroupARNs") or ())
            mark = f"<AutoScalingGroupARN>{group['AutoScalingGroupARN']}</AutoScalingGroupARN>"
            text = text.replace(mark, f"{mark}<TargetGroupARNs>{arns}</TargetGroupARNs>")
        return status, headers, text.encode()

    def delete_group(params: dict) -> tuple:
        group = autoscaling._asgs.get(autoscaling._p(params, "AutoScalingGroupName"))
        if group and group["Instances"]:
            if autoscaling._p(params, "ForceDelete") != "true":
                told = "You cannot delete an AutoScalingGroup while there are instances in it."
                return autoscaling._error("ResourceInUse", told)
            for instance in list(group["Instances"]):
                _end(group, instance)
        return delete(params)

    def start_refresh(params: dict) -> tuple:
        if any(name.startswith("DesiredConfiguration") for name in params):
            return autoscaling._error("ValidationError", "the rig does not play DesiredConfiguration")
        answer = refresh(params)
        group = autoscaling._asgs.get(autoscaling._p(params, "AutoScalingGroupName"))
        if answer[0] == 200 and group:
            skip = autoscaling._p(params, "Preferences.SkipMatching") == "true"
            for instance in list(group["Instances"]):
                if skip and _matches(group, instance):
                    continue
                _end(group, instance)
                _fill(group)
        return answer

    ec2._ACTION_MAP["TerminateInstances"] = terminate_instances
    autoscaling._ACTION_MAP.update(
        TerminateInstanceInAutoScalingGroup=terminate_in_group,
        DescribeAutoScalingGroups=describe_groups,
        DeleteAutoScalingGroup=delete_group,
        StartInstanceRefresh=start_refresh,
    )


def _matches(group: dict, instance: dict) -> bool:
    named = group.get("LaunchTemplate") or {}
    template = ec2._launch_templates.get(named.get("LaunchTemplateId"))
    if template is None:
        return False
    return instance["LaunchTemplate"].get("Version") == str(_version(template, named.get("Version")))
