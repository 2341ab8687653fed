"""The emulator ends when told, and its functions with it.

AWS: nothing to compare; this is about leaving a machine as it was found.
MiniStack: does not end its functions' processes when it is ended, nor remove their unpacked code; a
function that waits for its next event falls over by itself, one that hangs in an event stays. And while
a custom resource is waited for, MiniStack itself does not end before that wait does: up to an hour.
Here: after MiniStack's own shutdown every function's process is killed, the unpacked code and the pid
file are removed, and the process exits at once.
"""

from __future__ import annotations

import os
import shutil
import sys

from ministack import app
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

TARGETS = {
    "ministack.app:_handle_lifespan": "0daf4cf135cf3cb4",
    "ministack.app:_pid_file": "b547077031c0f30e",
    "ministack.app:_resolve_port": "08773515e2758837",
    "ministack.core.lambda_runtime:acquire_worker": "5017d144adb5b983",
    "ministack.services.lambda_svc:_provided_runtime_code_dir": "85d4402ed282c80b",
}


def apply() -> None:
    """Wraps the server's lifespan: our part comes after MiniStack has saved what it saves."""
    original = app._handle_lifespan

    async def lifespan(scope, receive, send) -> None:
        await original(scope, receive, send)
        _end_functions()
        _leave()

    app._handle_lifespan = lifespan


def _end_functions() -> None:
    # The lock is not taken: whoever holds it may be waiting for a function.
    for worker in [worker for pool in list(lambda_runtime._workers.values()) for worker in pool]:
        process = worker._proc
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
    shutil.rmtree(lambda_svc._PROVIDED_CODE_CACHE, ignore_errors=True)


def _leave() -> None:
    try:
        os.remove(app._pid_file(int(app._resolve_port())))
    except OSError:
        pass
    sys.stdout.flush()
    sys.stderr.flush()
    # Not an ordinary exit: asyncio would first wait for every stack operation that is under way.
    os._exit(0)
