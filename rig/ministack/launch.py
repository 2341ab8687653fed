"""Starts MiniStack with our plug-ins, in one process, as its console script would.

Configured by environment alone: everything MiniStack reads (GATEWAY_PORT, AUTH, ...), and ours:

KEYBOOT_RIG_CALLS          file that gets a JSON line for each API call (see plugins/recorder.py)
KEYBOOT_RIG_RETRY_SECONDS  delay before the first retry of an asynchronous invocation (default 1)

Where MiniStack's defaults open a port to the world or start a service we never use, ours differ.
Start it as the leader of its own process group: the functions it runs are in that group, so one
signal to the group ends all of them whatever state they are in.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pinning

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
    from plugins import PLUGINS

    for plugin in PLUGINS:
        pinning.check(plugin)
    for plugin in PLUGINS:
        plugin.apply()


def main() -> int:
    """Runs until a signal ends it."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    prepare_environment()
    try:
        load_plugins()
    except (pinning.Moved, ImportError, ValueError, OSError) as refusal:
        print(f"launch.py: {refusal}", file=sys.stderr)
        return 1
    from ministack import app

    sys.argv = ["ministack"]
    app.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
