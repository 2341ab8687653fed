"""`Fn::Join`, `Fn::Split` and `Fn::Sub` in the conditions of a template.

AWS: a condition compares what functions give, these among them, by which a template tells an empty list from
another, or looks at the parts of a text (CloudFormation Template Reference, "Condition functions", and
cfn-lint's schema of what they take).
MiniStack: knows `Ref` and `Fn::Select` there and compares any other function as it is written, so that a list
without entries counts as one that has some, and selects from no other list than a parameter. With the
transform AWS::LanguageExtensions it joins, but only that.
Here: the join of a list, or of a list parameter, is its text; the split of a text is a list; what is
substituted are parameters.
"""

from __future__ import annotations

import re
from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers, stacks

TARGETS = {
    "ministack.services.cloudformation.engine:_evaluate_conditions": "e7f9e29b6c01a4a7",
}

VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")


def apply() -> None:
    """Wraps the evaluation wherever it was imported."""
    evaluate = engine._evaluate_conditions

    def evaluate_texts(template: dict, params: dict) -> dict:
        conditions = _texts(template.get("Conditions", {}), params)
        return evaluate({**template, "Conditions": conditions}, params)

    for module in (engine, changesets, handlers, stacks):
        module._evaluate_conditions = evaluate_texts


def _texts(part: Any, params: dict) -> Any:
    """The same with what these functions give in their place, where that can be told."""
    if isinstance(part, list):
        return [_texts(each, params) for each in part]
    if not isinstance(part, dict):
        return part
    part = {name: _texts(each, params) for name, each in part.items()}
    if len(part) != 1:
        return part
    ((name, argument),) = part.items()
    if name == "Fn::Join":
        delimiter, items = argument
        items = _listed(items, params)
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return delimiter.join(items)
    if name == "Fn::Split":
        delimiter, text = argument
        if isinstance(text, dict) and text.get("Ref") in params:
            text = params[text["Ref"]]["Value"]
        if isinstance(text, str):
            return text.split(delimiter)
    if name == "Fn::Sub" and isinstance(argument, str):
        if all(variable in params for variable in VARIABLE.findall(argument)):
            return VARIABLE.sub(lambda found: params[found[1]]["Value"], argument)
    return part


def _listed(items: Any, params: dict) -> Any:
    if isinstance(items, dict) and items.get("Ref") in params:
        return [item.strip() for item in params[items["Ref"]]["Value"].split(",")]
    return items
