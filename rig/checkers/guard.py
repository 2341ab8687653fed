"""Looks at templates by rules of CloudFormation Guard.

    guard.py RULES BROKEN TEMPLATE...

Each template has to comply with every rule, and each rule has to find its example in the folder BROKEN,
`<rule>.yaml`, at fault and no other rule may: a rule that finds nothing anywhere is worth nothing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import guardpycfn


def faults(template: Path, rules: str) -> dict[str, list[str]]:
    """The messages of the rules that a template does not comply with, by rule."""
    report = guardpycfn.validate_with_guard(template.read_text(encoding="utf-8"), rules, False)
    if not report["success"]:
        raise SystemExit(f"{template}: {report}")
    result = report["result"]
    if not isinstance(result, dict):
        # The binding cuts a long report; its end names the rules that were complied with.
        _, _, end = str(result).rpartition('"not_applicable"')
        names = re.findall(r"^rule (\w+)", rules, re.MULTILINE)
        return {name: ["at fault"] for name in names if f'"{name}"' not in end}
    found: dict[str, list[str]] = {}
    for failed in result["not_compliant"]:
        rule = failed["Rule"]
        found[rule["name"]] = sorted(set(_messages(rule["checks"])))
    return found


def _messages(part: object) -> list[str]:
    if isinstance(part, list):
        return [message for each in part for message in _messages(each)]
    if not isinstance(part, dict):
        return []
    messages = part.get("messages")
    if isinstance(messages, dict):
        said, place = messages.get("custom_message"), str(messages.get("error_message"))
        path = re.search(r"\[Path=([^\[\]]+)\[", place)
        return [f"{path.group(1) if path else '?'}: {said or place}"]
    return [message for each in part.values() for message in _messages(each)]


def main(rules_file: str, broken: str, *templates: str) -> None:
    rules = Path(rules_file).read_text(encoding="utf-8")
    names = re.findall(r"^rule (\w+)", rules, re.MULTILINE)
    wrong = []
    for name in names:
        found = faults(Path(broken) / f"{name}.yaml", rules)
        if set(found) != {name}:
            wrong.append(f"{name}.yaml breaks {sorted(found) or 'nothing'}")
    strays = {path.stem for path in Path(broken).glob("*.yaml")} - set(names)
    wrong += [f"{name}.yaml is an example of no rule" for name in sorted(strays)]
    for template in templates:
        for rule, messages in faults(Path(template), rules).items():
            wrong += [f"{template}: {rule}: {message}" for message in messages]
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"{len(names)} rules, {len(templates)} templates")


if __name__ == "__main__":
    main(*sys.argv[1:])
