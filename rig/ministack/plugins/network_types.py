"""Types of a network that a keyboot template declares and MiniStack's CloudFormation does not know.

AWS: AWS::EC2::EIP, whose `Ref` is the address and `AllocationId` an attribute; AWS::EC2::NatGateway, which
is in a subnet and, if public, has an address that nothing else has; AWS::EC2::SecurityGroupIngress and
AWS::EC2::SecurityGroupEgress, of which every property but `Description` replaces the rule, while EC2 refuses
one that is there already, be it of these or of the group itself; AWS::EC2::FlowLog, of which nothing but the
tags can be changed and which writes to a log group as a role that vpc-flow-logs.amazonaws.com may assume
(CloudFormation Template Reference, the pages of these types; EC2 API Reference,
AuthorizeSecurityGroupIngress; Amazon VPC User Guide, "IAM role for publishing flow logs to CloudWatch Logs").
MiniStack: has all five in its EC2 API, and refuses a template with one of them; a group of a template may have
a rule twice.
Here: they are made as that API keeps them, and what they name must be there. These are records: no address
is anybody's, and no packet is seen.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from ministack.services import ec2, iam
from ministack.services.cloudformation import provisioners

from template_types import Made, add_types, answered, mends, only, required

TARGETS = {
    "ministack.services.cloudformation.provisioners:_update_resource": "21b9b1207f59a864",
    "ministack.services.cloudformation.provisioners:_ec2_apply_tags": "dbcea5275da75899",
    "ministack.services.cloudformation.provisioners:_ec2_sg_permissions": "fa71231f925a9c9f",
    "ministack.services.ec2:_allocate_address": "33fe9dae4202b714",
    "ministack.services.ec2:_release_address": "c8d4c1a1b92935ed",
    "ministack.services.ec2:_create_nat_gateway": "440bbbbfa2a79a1e",
    "ministack.services.ec2:_describe_nat_gateways": "1673fcd2dd021638",
    "ministack.services.ec2:_create_flow_logs": "8882a038ef8ef39d",
    "ministack.services.ec2:_delete_flow_logs": "7e24d6dfabc1c47a",
    "ministack.services.ec2:_rules_match": "df4e365e73223c22",
    "ministack.services.ec2:_sg_rule_id": "097cbea3caed70e3",
}

FLOW_LOGS = "vpc-flow-logs.amazonaws.com"
RULE = ("IpProtocol", "FromPort", "ToPort", "CidrIp", "CidrIpv6")
INGRESS = ("GroupId", *RULE, "SourcePrefixListId", "SourceSecurityGroupId", "SourceSecurityGroupOwnerId")
EGRESS = ("GroupId", *RULE, "DestinationPrefixListId", "DestinationSecurityGroupId")
FLOW_LOG = (
    "ResourceId",
    "ResourceType",
    "TrafficType",
    "LogDestinationType",
    "LogDestination",
    "LogGroupName",
    "LogFormat",
    "DeliverLogsPermissionArn",
    "MaxAggregationInterval",
)


def apply() -> None:
    """Adds the types, and lets stack tags reach those that have tags."""
    tagged = ("AWS::EC2::EIP", "AWS::EC2::NatGateway", "AWS::EC2::FlowLog")
    add_types(
        "network_types",
        {
            "AWS::EC2::EIP": {"create": _address, "update": _update_address, "delete": _release},
            "AWS::EC2::NatGateway": {"create": _gateway, "update": _update_gateway, "delete": _end_gateway},
            "AWS::EC2::SecurityGroupIngress": _rule_handlers("IpPermissions", INGRESS),
            "AWS::EC2::SecurityGroupEgress": _rule_handlers("IpPermissionsEgress", EGRESS),
            "AWS::EC2::FlowLog": {"create": _flow_log, "update": _update_flow_log, "delete": _end_flow_log},
        },
        {
            "AWS::EC2::EIP": ("Domain",),
            "AWS::EC2::NatGateway": ("AllocationId", "ConnectivityType", "SubnetId"),
            "AWS::EC2::SecurityGroupIngress": INGRESS,
            "AWS::EC2::SecurityGroupEgress": EGRESS,
            "AWS::EC2::FlowLog": FLOW_LOG,
        },
    )
    groups = mends("network_types", "AWS::EC2::SecurityGroup")
    groups.update(create=_without_doubles(groups["create"], 1), update=_without_doubles(groups["update"], 2))
    for name in tagged:
        provisioners._STACK_TAG_PROPERTY[name] = ("Tags", "list")


# --- addresses and gateways ---------------------------------------------------------------------


def _address(_logical_id: str, props: dict, _stack_name: str) -> Made:
    only(props, "Domain", "Tags")
    body = answered(ec2._allocate_address({"Domain": props.get("Domain", "vpc")}))
    allocation = re.search("<allocationId>(.*?)</allocationId>", body)[1]
    provisioners._ec2_apply_tags(allocation, props)
    return _address_made(allocation)


def _address_made(allocation: str) -> Made:
    address = ec2._addresses[allocation]["PublicIp"]
    return address, {"AllocationId": allocation, "PublicIp": address}


def _allocation_of(address: str) -> str | None:
    return next((name for name, each in ec2._addresses.items() if each["PublicIp"] == address), None)


def _update_address(physical_id: str, old: dict, new: dict, _stack_name: str) -> Made:
    only(new, "Domain", "Tags")
    allocation = _allocation_of(physical_id)
    if allocation is None:
        raise ValueError(f"Address {physical_id} not found.")
    provisioners._ec2_apply_tags(allocation, new, old)
    return _address_made(allocation)


def _release(physical_id: str, _props: dict) -> None:
    allocation = _allocation_of(physical_id)
    if allocation is None:
        return
    if ec2._addresses[allocation]["AssociationId"]:
        raise ValueError(f"Address with allocation id [{allocation}] cannot be released: it is in use.")
    answered(ec2._release_address({"AllocationId": allocation}))


def _gateway(_logical_id: str, props: dict, _stack_name: str) -> Made:
    only(props, "AllocationId", "ConnectivityType", "SubnetId", "Tags")
    subnet, kind = required(props, "SubnetId"), props.get("ConnectivityType", "public")
    if subnet not in ec2._subnets:
        raise ValueError(f"The subnet ID '{subnet}' does not exist")
    address = None
    if kind == "public":
        allocation = required(props, "AllocationId")
        address = ec2._addresses.get(allocation)
        if address is None:
            raise ValueError(f"The allocation ID '{allocation}' does not exist")
        if address["AssociationId"]:
            raise ValueError(f"Elastic IP address [{allocation}] is already associated")
    body = answered(
        ec2._create_nat_gateway(
            {"SubnetId": subnet, "AllocationId": props.get("AllocationId", ""), "ConnectivityType": kind}
        )
    )
    gateway = re.search("<natGatewayId>(.*?)</natGatewayId>", body)[1]
    if address is not None:
        address["AssociationId"] = f"eipassoc-{secrets.token_hex(9)[:17]}"
    provisioners._ec2_apply_tags(gateway, props)
    return gateway, {"NatGatewayId": gateway}


def _update_gateway(physical_id: str, old: dict, new: dict, _stack_name: str) -> Made:
    only(new, "AllocationId", "ConnectivityType", "SubnetId", "Tags")
    provisioners._ec2_apply_tags(physical_id, new, old)
    return physical_id, {"NatGatewayId": physical_id}


def _end_gateway(physical_id: str, _props: dict) -> None:
    gateway = ec2._nat_gateways.get(physical_id)
    if gateway is None or gateway["State"] == "deleted":
        return
    gateway["State"] = "deleted"
    address = ec2._addresses.get(gateway["AllocationId"])
    if address is not None:
        address["AssociationId"] = None


# --- rules of security groups -------------------------------------------------------------------


def _rule_handlers(direction: str, known: tuple[str, ...]) -> dict[str, Any]:
    egress = direction == "IpPermissionsEgress"

    def rules(group: str) -> list[dict]:
        record = ec2._security_groups.get(group)
        if record is None:
            raise ValueError(f"The security group '{group}' does not exist")
        return record.setdefault(direction, [])

    def create(_logical_id: str, props: dict, _stack_name: str) -> Made:
        only(props, "Description", *known)
        group = required(props, "GroupId")
        required(props, "IpProtocol")
        for other in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
            if props.get(other) and not props.get("SourceSecurityGroupOwnerId"):
                rules(props[other])
        (rule,) = provisioners._ec2_sg_permissions([props])
        if not any(rule[kind] for kind in ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")):
            raise ValueError("a rule must name exactly one peer")
        for each in rules(group):
            # Equal but for the id, which this one is given below.
            there = {name: value for name, value in each.items() if name != "SecurityGroupRuleId"}
            if not ec2._rules_match(rule, there):
                continue
            raise ValueError(f"the specified rule already exists in {group} (InvalidPermission.Duplicate)")
        rule["SecurityGroupRuleId"] = ec2._sg_rule_id(group, egress, rule)
        rules(group).append(rule)
        return rule["SecurityGroupRuleId"], {"Id": rule["SecurityGroupRuleId"]}

    def update(physical_id: str, _old: dict, new: dict, _stack_name: str) -> Made:
        only(new, "Description", *known)
        (described,) = provisioners._ec2_sg_permissions([new])
        for rule in rules(new["GroupId"]):
            if rule.get("SecurityGroupRuleId") == physical_id:
                rule.update(described)
        return physical_id, {"Id": physical_id}

    def delete(physical_id: str, props: dict) -> None:
        record = ec2._security_groups.get(props["GroupId"])
        if record is not None:
            record[direction] = [
                rule for rule in record.get(direction, []) if rule.get("SecurityGroupRuleId") != physical_id
            ]

    return {"create": create, "update": update, "delete": delete}


def _without_doubles(handle: Callable[..., Made], properties: int) -> Callable[..., Made]:
    """Refuses a group that says a rule twice; its properties are the argument of that position."""

    def checked(*arguments: Any) -> Made:
        for direction in ("SecurityGroupIngress", "SecurityGroupEgress"):
            said = provisioners._ec2_sg_permissions(arguments[properties].get(direction))
            for number, rule in enumerate(said):
                if any(ec2._rules_match(rule, other) for other in said[:number]):
                    raise ValueError("The same permission must not appear multiple times")
        return handle(*arguments)

    return checked


# --- flow logs ----------------------------------------------------------------------------------


def _flow_log(_logical_id: str, props: dict, _stack_name: str) -> Made:
    only(props, "Tags", *FLOW_LOG)
    watched, kind = required(props, "ResourceId"), required(props, "ResourceType")
    stores = {"VPC": ec2._vpcs, "Subnet": ec2._subnets, "NetworkInterface": ec2._network_interfaces}
    if watched not in stores.get(kind, {}):
        raise ValueError(f"The {kind} '{watched}' does not exist")
    if props.get("LogDestinationType", "cloud-watch-logs") != "cloud-watch-logs":
        raise ValueError("the rig plays flow logs to CloudWatch Logs only")
    _check_role(required(props, "DeliverLogsPermissionArn"))
    group = props.get("LogGroupName")
    if not group:
        group = required(props, "LogDestination").partition(":log-group:")[2].removesuffix(":*")
    body = answered(
        ec2._create_flow_logs(
            {
                "ResourceId.1": watched,
                "ResourceType": kind,
                "TrafficType": required(props, "TrafficType"),
                "LogGroupName": group,
            }
        )
    )
    made = re.search("<flowLogIdSet><item>(.*?)</item>", body)[1]
    provisioners._ec2_apply_tags(made, props)
    return made, {"Id": made}


def _check_role(arn: str) -> None:
    role = next((role for role in iam._roles.values() if role.get("Arn") == arn), None)
    if role is None:
        raise ValueError(f"The role {arn} does not exist")
    trust = role.get("AssumeRolePolicyDocument") or "{}"
    trust = json.loads(unquote(trust)) if isinstance(trust, str) else trust
    statements = trust.get("Statement") or []
    trusted = [
        service
        for statement in (statements if isinstance(statements, list) else [statements])
        if statement.get("Effect") == "Allow"
        for service in _listed((statement.get("Principal") or {}).get("Service"))
    ]
    if FLOW_LOGS not in trusted:
        raise ValueError(f"Unable to assume given IAM role: {arn} does not trust {FLOW_LOGS}")


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _update_flow_log(physical_id: str, old: dict, new: dict, _stack_name: str) -> Made:
    only(new, "Tags", *FLOW_LOG)
    provisioners._ec2_apply_tags(physical_id, new, old)
    return physical_id, {"Id": physical_id}


def _end_flow_log(physical_id: str, _props: dict) -> None:
    answered(ec2._delete_flow_logs({"FlowLogId.1": physical_id}))
