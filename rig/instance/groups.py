"""What the Auto Scaling groups of a stack are to run, as JSON: `groups.py <stack>`.

Everything is asked of the services as anybody could: the group, its launch template's version, the profile's
role, and by which names others reach what the group runs: Cloud Map's alias of the load balancer whose target
groups the group is registered with (Auto Scaling User Guide, "Use Elastic Load Balancing to distribute incoming
application traffic"; Cloud Map Developer Guide, "AWS Cloud Map service instance values").
"""

from __future__ import annotations

import base64
import json
import re
import sys
from typing import Any

import boto3


def groups(stack: str) -> list[dict[str, Any]]:
    """The groups, each with what it runs."""
    cloudformation, autoscaling = boto3.client("cloudformation"), boto3.client("autoscaling")
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    logical = {
        resource["PhysicalResourceId"]: resource["LogicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::AutoScaling::AutoScalingGroup"
        and not resource["ResourceStatus"].startswith("DELETE")
    }
    if not logical:
        return []
    pages = autoscaling.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=list(logical))
    found = [group for page in pages for group in page["AutoScalingGroups"]]
    balancers, names = load_balancers(), private_names()
    return [described(group, logical[group["AutoScalingGroupName"]], balancers, names) for group in found]


def described(
    group: dict[str, Any], logical_id: str, balancers: list[dict[str, Any]], names: dict[str, list[str]]
) -> dict[str, Any]:
    """A group, what its instances are launched with, and how they are reached."""
    template = group["LaunchTemplate"]
    versions = boto3.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=[template["Version"]]
    )["LaunchTemplateVersions"]
    data = versions[0]["LaunchTemplateData"]
    profile = data["IamInstanceProfile"]
    name = profile.get("Name") or profile["Arn"].rpartition("/")[2]
    roles = boto3.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]
    registered = set(group.get("TargetGroupARNs", []))
    own = [balancer for balancer in balancers if registered & set(balancer["targets"].values())]
    return {
        "index": int(re.search(r"(\d+)$", logical_id)[1]),
        "group": group["AutoScalingGroupName"],
        "instances": [instance["InstanceId"] for instance in group["Instances"]],
        "role": roles[0]["Arn"],
        "userData": base64.b64decode(data["UserData"]).decode(),
        "names": sorted(name for balancer in own for name in names.get(balancer["dns"].lower(), [])),
        "ports": {port: port_of for balancer in own for port, port_of in balancer["ports"].items()},
    }


def load_balancers() -> list[dict[str, Any]]:
    """The load balancers: name, and for each listener's port the target group and its port."""
    elb = boto3.client("elbv2")
    target_ports = {group["TargetGroupArn"]: group["Port"] for group in elb.describe_target_groups()["TargetGroups"]}
    balancers = []
    for balancer in elb.describe_load_balancers()["LoadBalancers"]:
        listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        targets = {str(listener["Port"]): target(listener) for listener in listeners}
        ports = {port: target_ports[arn] for port, arn in targets.items()}
        balancers.append({"dns": balancer["DNSName"], "targets": targets, "ports": ports})
    return balancers


def target(listener: dict[str, Any]) -> str:
    """Where a listener forwards to."""
    action = listener["DefaultActions"][0]
    return action.get("TargetGroupArn") or action["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"]


def private_names() -> dict[str, list[str]]:
    """The names that Cloud Map gives to load balancers, by these."""
    discovery = boto3.client("servicediscovery")
    domains = {namespace["Id"]: namespace["Name"] for namespace in discovery.list_namespaces()["Namespaces"]}
    names: dict[str, list[str]] = {}
    for service in discovery.list_services()["Services"]:
        details = discovery.get_service(Id=service["Id"])["Service"]
        domain = domains.get(details.get("NamespaceId") or details["DnsConfig"]["NamespaceId"])
        for instance in discovery.list_instances(ServiceId=service["Id"])["Instances"]:
            alias = instance["Attributes"].get("AWS_ALIAS_DNS_NAME")
            if alias and domain:
                names.setdefault(alias.lower(), []).append(f"{service['Name']}.{domain}")
    return names


if __name__ == "__main__":
    print(json.dumps(groups(sys.argv[1])))
