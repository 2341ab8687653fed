"""Network load balancers of a template.

AWS: the ARN of a load balancer of type `network`, of its listeners and its `LoadBalancerFullName` say `net`;
its listeners are TCP, TLS, UDP or TCP_UDP, a TLS one has a certificate, and each forwards to a target group
of a protocol that fits; it has no rules. One with `deletion_protection.enabled` is not deleted
(CloudFormation Template Reference, AWS::ElasticLoadBalancingV2::LoadBalancer and ...::Listener; Elastic Load
Balancing User Guide, Network Load Balancers, "Listeners" and "Deletion protection").
MiniStack: makes every load balancer of a template an `app` one, takes any listener, and deletes what is
protected.
Here: as AWS has it. Nothing listens: an address of the rig is that of the node itself.
"""

from __future__ import annotations

from typing import Any

from ministack.services import acm, alb, ec2
from ministack.services.cloudformation import provisioners

from template_types import Made, mends

TARGETS = {
    "ministack.services.cloudformation.provisioners:_elbv2_load_balancer_create": "2a2822d7d5941d38",
    "ministack.services.cloudformation.provisioners:_elbv2_load_balancer_update": "112eb34491abfb01",
    "ministack.services.cloudformation.provisioners:_elbv2_load_balancer_delete": "b96eac395cf4ce89",
    "ministack.services.cloudformation.provisioners:_elbv2_listener_create": "8fc67cd08574ad5d",
    "ministack.services.cloudformation.provisioners:_elbv2_listener_update": "642e9be5eabf9844",
    "ministack.services.alb:_load_balancer_id_from_arn": "b83eb07ba6c33a35",
}

# Protocol of a listener -> those of the target groups that it may forward to.
FITTING = {"TCP": {"TCP"}, "TLS": {"TCP", "TLS"}, "UDP": {"UDP", "TCP_UDP"}, "TCP_UDP": {"TCP_UDP"}}


def apply() -> None:
    """Wraps the two types' handlers."""
    _wrap_balancers(mends("network_load_balancers", "AWS::ElasticLoadBalancingV2::LoadBalancer"))
    _wrap_listeners(mends("network_load_balancers", "AWS::ElasticLoadBalancingV2::Listener"))


def _wrap_balancers(handlers: dict[str, Any]) -> None:
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def create_of_its_type(logical_id: str, props: dict, stack_name: str) -> Made:
        network = _network_of(props)
        arn, attributes = create(logical_id, props, stack_name)
        if network:
            alb._lbs[arn]["VpcId"] = network
        if props.get("Type") != "network":
            return arn, attributes
        for store in (alb._lbs, alb._tags, alb._lb_attrs):
            store[_net(arn)] = store.pop(arn)
        alb._lbs[_net(arn)]["LoadBalancerArn"] = _net(arn)
        return _net(arn), _told(attributes)

    def update_of_its_type(
        physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        _network_of(new)
        arn, attributes = update(physical_id, old, new, stack_name, logical_id)
        return arn, _told(attributes) if new.get("Type") == "network" else attributes

    def delete_unless_protected(physical_id: str, props: dict) -> None:
        for attribute in alb._lb_attrs.get(physical_id) or ():
            if attribute["Key"] == "deletion_protection.enabled" and attribute["Value"] == "true":
                raise ValueError(
                    f"Load balancer '{physical_id}' cannot be deleted because deletion protection is enabled"
                )
        delete(physical_id, props)

    handlers.update(create=create_of_its_type, update=update_of_its_type, delete=delete_unless_protected)
    # What a new name replaces is made and ended by these names.
    provisioners._elbv2_load_balancer_create = create_of_its_type
    provisioners._elbv2_load_balancer_delete = delete_unless_protected


def _network_of(props: dict) -> str | None:
    networks = set()
    for subnet in provisioners._elbv2_as_list(props.get("Subnets")):
        if subnet not in ec2._subnets:
            raise ValueError(f"The subnet ID '{subnet}' is not valid")
        networks.add(ec2._subnets[subnet]["VpcId"])
    for group in provisioners._elbv2_as_list(props.get("SecurityGroups")):
        if group not in ec2._security_groups:
            raise ValueError(f"The security group ID '{group}' is not valid")
    if len(networks) > 1:
        raise ValueError("the subnets of a load balancer are of one VPC")
    return next(iter(networks), None)


def _net(text: str) -> str:
    for kind in ("loadbalancer", "listener"):
        text = text.replace(f":{kind}/app/", f":{kind}/net/", 1)
    return text


def _told(attributes: dict) -> dict:
    told = {name: _net(value) if isinstance(value, str) else value for name, value in attributes.items()}
    told["LoadBalancerFullName"] = "net/" + attributes["LoadBalancerFullName"].removeprefix("app/")
    return told


def _wrap_listeners(handlers: dict[str, Any]) -> None:
    create, update = handlers["create"], handlers["update"]

    def create_of_its_type(logical_id: str, props: dict, stack_name: str) -> Made:
        if not _is_network(props):
            return create(logical_id, props, stack_name)
        _check_listener(props)
        arn, attributes = create(logical_id, props, stack_name)
        for rule in [name for name, each in alb._rules.items() if each.get("ListenerArn") == arn]:
            alb._rules.pop(rule)
        for store in (alb._listeners, alb._tags):
            store[_net(arn)] = store.pop(arn)
        alb._listeners[_net(arn)]["ListenerArn"] = _net(arn)
        return _net(arn), {name: _net(value) for name, value in attributes.items()}

    def update_of_its_type(
        physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        if _is_network(new):
            _check_listener(new)
        return update(physical_id, old, new, stack_name, logical_id)

    handlers.update(create=create_of_its_type, update=update_of_its_type)
    # A listener that moves to another load balancer is made by this name.
    provisioners._elbv2_listener_create = create_of_its_type


def _is_network(props: dict) -> bool:
    return (alb._lbs.get(props.get("LoadBalancerArn", "")) or {}).get("Type") == "network"


def _check_listener(props: dict) -> None:
    protocol = props.get("Protocol", "")
    if protocol not in FITTING:
        raise ValueError(f"Protocol '{protocol}' is not supported on Network Load Balancers")
    certificates = [each.get("CertificateArn") for each in props.get("Certificates") or ()]
    if (protocol == "TLS") != bool(certificates):
        raise ValueError("A certificate must be specified for TLS listeners, and for those only")
    for arn in certificates:
        if (acm._certificates.get(arn) or {}).get("Status") != "ISSUED":
            raise ValueError(f"The certificate '{arn}' must have a fully-qualified domain name and be issued")
    for action in provisioners._elbv2_listener_actions(props, ""):
        group = alb._tgs.get(action.get("TargetGroupArn", ""))
        if group is None:
            raise ValueError("One or more target groups not found")
        if group["Protocol"] not in FITTING[protocol]:
            raise ValueError(
                f"Listener protocol '{protocol}' is not supported with a target group with the protocol"
                f" '{group['Protocol']}'"
            )
