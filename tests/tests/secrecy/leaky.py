#!/usr/bin/env python3
"""A function that leaks what it was told to leak, in every place where a function can."""

import json
import os
import sys
import urllib.request

if len(sys.argv) == 1:
    os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), os.environ["LEAKED"]])

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/"
PARTS = json.loads(os.environ["PARTS"])

for folder in (os.getcwd(), os.environ["TMPDIR"]):
    with open(os.path.join(folder, "leaked"), "wb") as file:
        file.write(os.environ["LEAKED"].encode())
        file.write(bytes.fromhex(os.environ["RAW"]))


def send(method: str, url: str, body: dict) -> None:
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), method=method)).close()


while True:
    with urllib.request.urlopen(API + "next") as following:
        request, event = following.headers["Lambda-Runtime-Aws-Request-Id"], json.load(following)
    print(os.environ["LEAKED"], flush=True)
    print(event["ResponseURL"], file=sys.stderr, flush=True)
    properties = event["ResourceProperties"]
    answer = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"PhysicalResourceId": "leaky", "Status": "SUCCESS"}
    if event["RequestType"] == "Create":
        part = PARTS[int(properties["Part"])]
        answer |= {"Status": "FAILED", "Reason": part} if properties["Fails"] == "true" else {"Data": {"Said": part}}
    send("PUT", event["ResponseURL"], answer)
    send("POST", f"{API}{request}/response", {})
