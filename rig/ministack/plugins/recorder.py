"""A record of every API call that reaches the emulator, one JSON line each.

AWS: CloudTrail tells who called what; nothing tells the bytes.
MiniStack: its CloudTrail keeps neither bodies nor refused calls.
Here: if `KEYBOOT_RIG_CALLS` names a file, each call appends a line with its place in the order of
arrival, start and end (monotonic nanoseconds), service, operation, access key, principal, request and
response. Answers of custom resources are in it as `custom-resource` `Answer`; health checks are not.
Calls to the Lambda runtime API go to the function's own port and never come here, nor does what
MiniStack does for itself, such as a stack making its resources.

The file holds secrets: it is created with mode 0600, and a file that others can read is refused.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import stat
import threading
import time
from typing import Any
from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_actions, iam_evaluator, router

TARGETS = {
    "ministack.app:app": "ab1297bd6cd59811",
    "ministack.core.router:detect_service": "fd156fac4b5ddc67",
    "ministack.core.router:extract_access_key_id": "4f0df6b2b1cd3320",
    "ministack.core.iam_actions:extract_iam_action": "ec476b92d969822b",
    "ministack.core.iam_evaluator:resolve_caller_identity": "d3b70cb836773b16",
}

# A secret is at most 64 KiB; an uploaded zip is told by its length alone.
BODY_BYTES = 1_048_576
ANSWER_PATH = "/_ministack/cfn-response/"


def apply() -> None:
    """Wraps the server's application, if a file is named."""
    path = os.environ.get("KEYBOOT_RIG_CALLS")
    if path:
        app.app = Recorder(app.app, path)


class Recorder:
    """The ASGI application around MiniStack's."""

    def __init__(self, inner: Any, path: str) -> None:
        self._inner = inner
        self._sequence = itertools.count(1)
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if stat.S_IMODE(os.fstat(self._file).st_mode) & 0o077:
            raise ValueError(f"KEYBOOT_RIG_CALLS: {path} is open to others (mode 0600 is needed)")

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Passes a request through and writes it down once it is answered."""
        if scope["type"] != "http" or _uninteresting(scope["path"]):
            await self._inner(scope, receive, send)
            return
        sequence, started = next(self._sequence), time.monotonic_ns()
        status = 0
        asked, answered = bytearray(), bytearray()

        async def receive_and_keep() -> dict:
            message = await receive()
            asked.extend(message.get("body", b"") if message["type"] == "http.request" else b"")
            return message

        async def send_and_keep(message: dict) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                answered.extend(message.get("body", b""))
            await send(message)

        try:
            await self._inner(scope, receive_and_keep, send_and_keep)
        finally:
            ended = time.monotonic_ns()
            self._write(
                {
                    "sequence": sequence,
                    "start": started,
                    "end": ended,
                    **_who_and_what(scope, bytes(asked)),
                    **_body("request", bytes(asked)),
                    "status": status,
                    **_body("response", bytes(answered)),
                }
            )

    def _write(self, call: dict) -> None:
        line = json.dumps(call, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._file, line) :]


def _uninteresting(path: str) -> bool:
    return path.startswith(("/_ministack/", "/_localstack/")) and not path.startswith(ANSWER_PATH)


def _who_and_what(scope: dict, body: bytes) -> dict[str, Any]:
    method, path = scope["method"], scope["path"]
    about = {"method": method, "path": path}
    if path.startswith(ANSWER_PATH):
        return {"service": "custom-resource", "operation": "Answer", **about}
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    params = {**query, **parse_qs(body.decode("latin-1"), keep_blank_values=True)} if form else query
    # A record must never fail the call it records: what cannot be told is null.
    service = _or_none(router.detect_service, method, path, headers, params)
    action = _or_none(iam_actions.extract_iam_action, service, method, path, headers, body, params)
    key = _or_none(router.extract_access_key_id, headers, query)
    identity = _or_none(iam_evaluator.resolve_caller_identity, key)
    operation = _operation(headers, params) or (action or "").partition(":")[2] or None
    return {
        "service": service,
        "operation": operation,
        "action": action,
        "accessKey": key,
        "principal": (identity or {}).get("userArn"),
        **about,
    }


def _operation(headers: dict, params: dict) -> str | None:
    target = headers.get("x-amz-target")
    if target:
        return target.rpartition(".")[2]
    return params["Action"][0] if "Action" in params else None


def _or_none(function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except Exception:
        return None


def _body(name: str, body: bytes) -> dict[str, Any]:
    if len(body) > BODY_BYTES:
        return {name: None, f"{name}Bytes": len(body)}
    try:
        return {name: body.decode("utf-8")}
    except UnicodeDecodeError:
        return {name: base64.b64encode(body).decode(), f"{name}Encoding": "base64"}
