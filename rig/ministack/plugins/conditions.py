"""`Fn::Join` in the conditions of a template.

AWS: a condition compares what functions give, `Fn::Join` among them, by which a template tells an empty
list from another (CloudFormation Template Reference, "Condition functions", and cfn-lint's schema of
what they take).
MiniStack: knows `Ref` and `Fn::Select` there and compares any other function as it is written, so that a list
without entries counts as one that has some. Only with the transform AWS::LanguageExtensions it does
better, which a template for service-managed stack sets does not have.
Here: the join of a list, or of a list parameter, is its text.
"""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers, stacks

TARGETS = {
    "ministack.services.cloudformation.engine:_evaluate_conditions": "e7f9e29b6c01a4a7",
}


def apply() -> None:
    """Wraps the evaluation wherever it was imported."""
    evaluate = engine._evaluate_conditions

    def evaluate_joined(template: dict, params: dict) -> dict:
        conditions = _joined(template.get("Conditions", {}), params)
        return evaluate({**template, "Conditions": conditions}, params)

    for module in (engine, changesets, handlers, stacks):
        module._evaluate_conditions = evaluate_joined


def _joined(part: Any, params: dict) -> Any:
    if isinstance(part, list):
        return [_joined(each, params) for each in part]
    if not isinstance(part, dict):
        return part
    if set(part) == {"Fn::Join"}:
        delimiter, items = part["Fn::Join"]
        if isinstance(items, dict) and items.get("Ref") in params:
            items = [item.strip() for item in params[items["Ref"]]["Value"].split(",")]
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return delimiter.join(items)
    return {name: _joined(each, params) for name, each in part.items()}
