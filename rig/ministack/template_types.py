"""What the plug-ins that teach MiniStack's CloudFormation a resource type have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

# What making or updating a resource returns: its physical id, and its attributes for `Fn::GetAtt`.
Made = tuple[str, dict[str, Any]]


def add_types(plugin: str, types: dict[str, dict[str, Any]], replacing: dict[str, Iterable[str]]) -> None:
    """Adds types, with the properties that replace a resource; one that MiniStack has by now is refused.

    An `update` is called for what does not replace, with (id, old properties, new ones, stack name).
    """
    from ministack.services.cloudformation import provisioners

    known = sorted(types.keys() & provisioners._RESOURCE_HANDLERS.keys())
    if known:
        raise ValueError(f"plug-in {plugin}: MiniStack has {', '.join(known)} itself by now")
    provisioners._RESOURCE_HANDLERS.update(types)
    for name in types:
        _tell(name, "played", plugin)
    for name, properties in replacing.items():
        provisioners._REPLACING_PROPERTIES[name] = tuple(properties)


def mends(plugin: str, resource_type: str) -> dict[str, Any]:
    """The handlers of a type that MiniStack has, to be changed."""
    from ministack.services.cloudformation import provisioners

    _tell(resource_type, "mended", plugin)
    return provisioners._RESOURCE_HANDLERS[resource_type]


def _tell(resource_type: str, how: str, plugin: str) -> None:
    # Read out of the log by whoever tells what of a template the rig only plays.
    print(f"rig: {resource_type} is {how} by {plugin}", flush=True)


def only(properties: dict[str, Any], *known: str) -> None:
    """Refuses a property that the rig does not play: it must not pass for one that took effect."""
    unknown = sorted(properties.keys() - set(known))
    if unknown:
        raise ValueError(f"the rig does not play [{', '.join(unknown)}] of this type")


def required(properties: dict[str, Any], name: str) -> Any:
    """A property that CloudFormation wants."""
    if properties.get(name) in (None, ""):
        raise ValueError(f"#: required key [{name}] not found")
    return properties[name]


def flag(value: Any) -> bool:
    """A boolean as templates write it."""
    return str(value).lower() == "true"


def answered(answer: tuple[int, dict, bytes | str]) -> str:
    """The body of a service's answer; its refusal fails the resource, in the service's words."""
    status, _headers, body = answer
    text = body if isinstance(body, str) else body.decode()
    if status >= 400:
        raise ValueError(text)
    return text
