"""Ties each plug-in to the exact source of what it patches.

A plug-in that patches a private function is right for one version of it only. So each names its
targets with a fingerprint of their source, and the launcher refuses to start when one is gone or
has changed: a rig that silently no longer mends anything would make tests pass for no reason.

`python pinning.py` prints the fingerprints of the installed MiniStack, for when the pin is moved.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
from types import ModuleType

MINISTACK = "1.5.33"


class Moved(RuntimeError):
    """A plug-in no longer fits the installed MiniStack."""


def fingerprint(target: str) -> str:
    """The fingerprint of `module:function`, over its source text."""
    module, _, name = target.partition(":")
    source = inspect.getsource(getattr(importlib.import_module(module), name))
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def check_version() -> None:
    """Refuses every MiniStack but the pinned one."""
    found = importlib.metadata.version("ministack")
    if found != MINISTACK:
        raise Moved(f"the plug-ins are written for MiniStack {MINISTACK}, but {found} is installed")


def load(name: str) -> ModuleType:
    """Imports one plug-in; a name it imports from MiniStack may be gone as well."""
    try:
        return importlib.import_module(f"plugins.{name}")
    except (ImportError, AttributeError) as gone:
        raise Moved(f"plug-in {name}: what it imports is gone from MiniStack ({gone})") from gone


def check(plugin: ModuleType) -> None:
    """Refuses a plug-in one of whose targets is gone or has changed."""
    name = plugin.__name__.rpartition(".")[2]
    for target, expected in plugin.TARGETS.items():
        try:
            found = fingerprint(target)
        except (ImportError, AttributeError, TypeError, OSError) as gone:
            raise Moved(f"plug-in {name}: its target {target} is gone from MiniStack ({gone})") from gone
        if found != expected:
            raise Moved(
                f"plug-in {name}: its target {target} has changed in MiniStack"
                f" (fingerprint {found}, written for {expected})"
            )


if __name__ == "__main__":
    from plugins import NAMES

    check_version()
    for each in NAMES:
        for path in load(each).TARGETS:
            print(f'{each}: "{path}": "{fingerprint(path)}",')
