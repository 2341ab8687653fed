"""A function has the memory of its configuration and no more, and less time if a test says so.

AWS: a function's environment has as much memory as `MemorySize` says; one that needs more is killed
(Lambda Developer Guide, "Configure Lambda function memory"). One that runs longer than its `Timeout` is
ended ("Configure Lambda function timeout").
MiniStack: ends what overruns; what it runs natively may take all the memory that the machine has.
Here: the kernel refuses a native function (`provided.*`) private memory beyond `MemorySize`, by
RLIMIT_DATA: an allocation that fails ends a Rust program, unanswered, as AWS's kill does; a page counts
from when it is asked for, not from when it is first used. And if `KEYBOOT_RIG_FUNCTION_SECONDS` is set, no
function has more time than that: a template's five minutes are too long for a test that waits for their end.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime

TARGETS = {
    "ministack.core.lambda_runtime:ProvidedWorker": "10c36526207f20fc",
    "ministack.services.lambda_svc:_provided_worker_env": "8cccaed6a6d8792a",
}

MEBIBYTE = 1024 * 1024


def apply() -> None:
    """Wraps the start of a native function's process, and what its environment is made for."""
    # The module's own view of `subprocess`: nobody else's is touched.
    lambda_runtime.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": _limited})

    seconds = os.environ.get("KEYBOOT_RIG_FUNCTION_SECONDS")
    if seconds:
        original = lambda_runtime.ProvidedWorker.__init__

        def with_less_time(self: Any, func_name: str, config: dict, code_zip: bytes) -> None:
            time = min(int(config.get("Timeout", 3)), int(seconds))
            original(self, func_name, {**config, "Timeout": time}, code_zip)

        lambda_runtime.ProvidedWorker.__init__ = with_less_time


def _limited(args: list[str], **options: Any) -> subprocess.Popen:
    process = subprocess.Popen(args, **options)
    if os.path.basename(args[0]) == "bootstrap":
        limit = int(options["env"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) * MEBIBYTE
        # One that ended as it began needs no limit any more.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (limit, limit))
    return process
