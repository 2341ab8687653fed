"""Starts MiniStack with our plug-ins, in one process, as its console script would.

Configured by environment alone: everything MiniStack reads (GATEWAY_PORT, AUTH, ...), and ours:

KEYBOOT_RIG_CALLS             file that gets a JSON line for each API call (see plugins/recorder.py)
KEYBOOT_RIG_RETRY_SECONDS     delay before the first retry of an asynchronous invocation, or of a rotation
                              (default 1)
KEYBOOT_RIG_FUNCTION_SECONDS  the most time that a native function has, where its Timeout is longer
KEYBOOT_RIG_PLUGINS           `none`: MiniStack as it comes, with all the faults that our plug-ins mend

Where MiniStack's defaults open a port to the world or start a service we never use, ours differ.
Start it as the leader of its own process group: the functions it runs are in that group, so one
signal to the group ends all of them whatever state they are in. If its standard input is a pipe, it
ends in order as soon as that closes: so it cannot outlive who started it, however that one ends.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time

import pinning
import plugins

DEFAULTS = {
    "GATEWAY_PORT": "4566",
    "BIND_HOST": "127.0.0.1",
    "MINISTACK_HOST": "127.0.0.1",
    "IOT_MTLS_ENABLED": "false",
    "SFTP_ENABLED": "false",
}

# MiniStack takes the access key of its own environment for root's: with a developer's keys there,
# a negative test could pass as root. None of these is of any use to an emulator.
FOREIGN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)

# Time for an end in order, in seconds; it takes about two.
END_SECONDS = 10


def prepare_environment() -> None:
    """Sets our defaults; must run before MiniStack is imported, which reads them once."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault(
        "AWS_ENDPOINT_URL", f"http://{os.environ['MINISTACK_HOST']}:{os.environ['GATEWAY_PORT']}"
    )


def load_plugins() -> None:
    """Checks every plug-in against the installed MiniStack, then applies them all."""
    pinning.check_version()
    loaded = [pinning.load(name) for name in plugins.NAMES]
    # All are checked before the first is applied: afterwards the source is no longer MiniStack's.
    for plugin in loaded:
        pinning.check(plugin)
    for plugin in loaded:
        plugin.apply()


def end_with_the_starter() -> None:
    """Ends this process once the pipe on standard input, if there is one, has no writer any more."""
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(0).st_mode)
    except OSError:
        return
    if is_pipe:
        threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    # An end in order did not come about: nothing of this group may stay.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def main() -> int:
    """Runs until a signal ends it, or its starter is gone."""
    prepare_environment()
    try:
        if os.environ.get("KEYBOOT_RIG_PLUGINS") != "none":
            load_plugins()
    except (pinning.Moved, ValueError, OSError) as refusal:
        print(f"launch.py: {refusal}", file=sys.stderr)
        return 1
    from ministack import app

    end_with_the_starter()
    sys.argv = ["ministack"]
    app.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
