"""A function gets AWS's environment, not the emulator's.

AWS: a function's process has the reserved variables, the runtime's few, and what its configuration
sets (Lambda Developer Guide, "Working with Lambda environment variables").
MiniStack: passes on its own whole environment, so that a developer's `SSL_CERT_FILE`, `AWS_CA_BUNDLE`
or `HTTPS_PROXY` reaches the function and its behaviour depends on whose machine it is.
Here: what the function inherited is dropped but for a short list; three reserved variables which
MiniStack leaves out are added. `AWS_ENDPOINT_URL` stays: it is how a local build finds the emulator. So
does `KEYBOOT_RATES_TIMES`: a local build need not call as slowly as AWS asks.
"""

from __future__ import annotations

import os

from ministack.services import lambda_svc

TARGETS = {
    "ministack.services.lambda_svc:_provided_worker_env": "8cccaed6a6d8792a",
    "ministack.services.lambda_svc:_runtime_env_vars": "ddc6960ee0e4b284",
}

# Without PATH a bootstrap that is a script finds no interpreter; LANG and TZ are AWS's own values.
INHERITED = {"PATH", "KEYBOOT_RATES_TIMES"}
RUNTIME = {"LANG": "en_US.UTF-8", "TZ": ":UTC"}


def apply() -> None:
    """Wraps the one place where the environment of a native function is put together."""
    original = lambda_svc._provided_worker_env

    def worker_env(config: dict, code_dir: str, port: int) -> dict:
        full = original(config, code_dir, port)
        own = lambda_svc._runtime_env_vars(config)
        env = {
            name: value
            for name, value in full.items()
            if name in own or name in INHERITED or os.environ.get(name) != value or _reserved(name)
        }
        for name, value in RUNTIME.items():
            env[name] = own.get(name, value)
        log_group = (config.get("LoggingConfig") or {}).get("LogGroup")
        env["AWS_LAMBDA_LOG_GROUP_NAME"] = log_group or f"/aws/lambda/{config.get('FunctionName', '')}"
        env["AWS_LAMBDA_INITIALIZATION_TYPE"] = "on-demand"
        env["LAMBDA_RUNTIME_DIR"] = "/var/runtime"
        return env

    lambda_svc._provided_worker_env = worker_env


def _reserved(name: str) -> bool:
    # A reserved variable counts even if the emulator happens to have the same value.
    return name in {
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_TASK_ROOT",
        "_HANDLER",
    } or name.startswith("AWS_LAMBDA_")
