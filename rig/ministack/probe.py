"""Proves each plug-in from outside: `python probe.py <endpoint>` against a running launch.py.

The launcher must run with AUTH=true, KEYBOOT_RIG_RETRY_SECONDS=0.2 (or so) and KEYBOOT_RIG_CALLS; the
probe is given the same KEYBOOT_RIG_CALLS. Each check is a function named by what it claims; all run,
each failure is told, and the exit status is 0 only if there was none.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import io
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

HERE = Path(__file__).resolve().parent
REGION = "us-east-1"
RUN = secrets.token_hex(3)
ENDPOINT = ""

# What AWS starts as `bootstrap`: a client of the runtime API. What it does in an event is told by the
# event's `Behave`; what it saw goes to a file in `Scratch`, which this process reads. Events of others have
# no such members: there the folder is told by the environment; a step of a rotation fails whose name the
# file `fail` in it has, and what a schedule sends fails once.
BOOTSTRAP = r'''
import json, os, sys, time, urllib.request
from pathlib import Path

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime"

def call(url, body=None, method="GET"):
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": ""})
    return urllib.request.urlopen(request, timeout=60)

def answer(event, status, physical_id, **more):
    body = {"Status": status, "PhysicalResourceId": physical_id, "Reason": "as asked",
            **{k: event[k] for k in ("StackId", "RequestId", "LogicalResourceId")}, **more}
    call(event["ResponseURL"], json.dumps(body).encode(), "PUT").read()

def keep(scratch, line):
    with open(Path(scratch) / "events.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")

def as_its_role(service):
    import boto3
    return boto3.client(service)

def tried(act):
    try:
        return act()
    except Exception as error:
        return {"error": str(error)}

def custom_resource(event):
    props = event["ResourceProperties"]
    behave, scratch = props["Behave"], props["Scratch"]
    seen = Path(scratch) / ("tries-" + event["RequestId"])
    tries = int(seen.read_text()) + 1 if seen.exists() else 1
    seen.write_text(str(tries))
    kind = event["RequestType"]
    line = {"event": event, "try": tries, "at": time.monotonic(), "pid": os.getpid(), "environment": dict(os.environ)}
    if "look" in behave:
        formation = as_its_role("cloudformation")
        line["resource"] = tried(lambda: {k: str(v) for k, v in formation.describe_stack_resource(
            StackName=event["StackId"], LogicalResourceId=event["LogicalResourceId"])["StackResourceDetail"].items()})
        line["stack"] = tried(lambda: formation.describe_stacks(StackName=event["StackId"])["Stacks"][0]["StackStatus"])
    keep(scratch, line)
    if behave == "crash" and kind == "Create" or behave == "crash-once" and tries == 1:
        os._exit(3)
    if behave == "silent" and kind != "Delete":
        return
    if behave == "long-answer" and kind == "Create":
        return answer(event, "SUCCESS", "long", Data={"Long": "x" * 4096})
    if behave == "foreign-answer" and kind == "Create":
        return answer({**event, "RequestId": "another"}, "SUCCESS", "foreign")
    if behave == "fill" and kind == "Create":
        # Half of what the function has, and then twice as much.
        keep(scratch, {"taken": [tried(lambda: len(bytearray(size << 20)) >> 20) for size in (128, 512)]})
    if behave == "hang" and kind == "Create":
        time.sleep(600)
    physical_id = event.get("PhysicalResourceId", "made")
    if "replace" in behave and kind != "Delete":
        physical_id = "made-" + props["Name"]
    if behave == "fail-create" and kind == "Create" or "fail-update" in behave and kind == "Update":
        return answer(event, "FAILED", "failed-id")
    answer(event, "SUCCESS", physical_id, Data={"Try": str(tries)})

def rotate(event):
    scratch, step, secret = os.environ["SCRATCH"], event["Step"], event["SecretId"]
    store, version = as_its_role("secretsmanager"), event["ClientRequestToken"]
    line = {"event": event, "errors": [tried(lambda: store.get_secret_value(SecretId=secret, **which)).get("error", "")
                                       for which in ({"VersionId": version}, {"VersionStage": "AWSPENDING"})]}
    described = store.describe_secret(SecretId=secret)
    stages = described["VersionIdsToStages"]
    keep(scratch, {**line, "stages": stages, "enabled": described["RotationEnabled"],
                   "read": bool(described.get("LastAccessedDate"))})
    fail = Path(scratch) / "fail"
    if fail.exists() and fail.read_text() == step:
        raise RuntimeError("as asked")
    if step == "createSecret":
        about = {"SecretId": secret, "ClientRequestToken": version, "RotationToken": event["RotationToken"]}
        store.put_secret_value(**about, SecretString="of " + version, VersionStages=["AWSPENDING", "MINE"])
    current = [each for each, labels in stages.items() if "AWSCURRENT" in labels]
    if step == "finishSecret" and current != [version]:
        about = {"MoveToVersionId": version, "RemoveFromVersionId": current[0]}
        store.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT", **about)

while True:
    with call(API + "/invocation/next") as response:
        identity = response.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(response)
    outcome, told = "/response", {}
    if "requestContext" in event:
        inner = event["requestPayload"]
        keep(inner["ResourceProperties"]["Scratch"], {"record": event})
        answer(inner, "FAILED", "from-destination")
    elif "Step" in event:
        try:
            rotate(event)
        except Exception as error:
            outcome, told = "/error", {"errorType": "Failed", "errorMessage": str(error)}
    elif "ResourceProperties" in event:
        custom_resource(event)
    else:
        keep(os.environ["SCRATCH"], {"event": event})
        again = Path(os.environ["SCRATCH"]) / ("again-" + event["which"])
        if not again.exists():
            again.touch()
            outcome, told = "/error", {"errorType": "Failed", "errorMessage": "as asked"}
    call(API + "/invocation/" + identity + outcome, json.dumps(told).encode(), "POST").read()
'''


class Failed(AssertionError):
    """A claim that does not hold."""


def expect(claim: bool, told: Any) -> None:
    """Asserts, with what was seen."""
    if not claim:
        raise Failed(str(told))


def client(service: str, key: str = "test", secret: str = "test", token: str | None = None) -> Any:
    """A client with no retries, so that what is refused is refused once."""
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
    )


def refusal(call: Callable[[], Any]) -> str:
    """The error code of a call that must fail."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise Failed("the call was allowed")


def user(policy: list[dict], *services: str) -> list[Any]:
    """Clients of a new IAM user with one inline policy."""
    iam, name = client("iam"), f"probe-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    document = json.dumps({"Version": "2012-10-17", "Statement": policy})
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return [client(each, key["AccessKeyId"], key["SecretAccessKey"]) for each in services]


def allow(*actions: str, **condition: dict) -> dict:
    """An Allow on everything, under one condition block."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", "Condition": condition}


# --- stacks -----------------------------------------------------------------------------------


class Rig:
    """What every stack of the probe shares: the code in S3, and where functions leave what they saw."""

    def __init__(self, scratch: str) -> None:
        self.scratch = scratch
        self.formation = client("cloudformation")
        self.bucket = f"probe-{RUN}"
        s3 = client("s3")
        s3.create_bucket(Bucket=self.bucket)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, f"#!{sys.executable}\n{BOOTSTRAP}")
        s3.put_object(Bucket=self.bucket, Key="code.zip", Body=packed.getvalue())


class Stack:
    """One stack with a function, its on-failure destination and custom resources."""

    def __init__(self, rig: Rig, name: str, **function: Any) -> None:
        self.rig, self.name = rig, f"probe-{name}-{RUN}"
        self.scratch = tempfile.mkdtemp(dir=rig.scratch)
        self.function = function
        self.stack_id = ""

    def template(self, resources: dict[str, dict]) -> str:
        """The function's part, and the custom resources one after the other."""
        made: dict[str, Any] = {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Principal": {"Service": "lambda.amazonaws.com"},
                                "Action": "sts:AssumeRole",
                            }
                        ],
                    },
                    "Policies": [
                        {
                            "PolicyName": "own",
                            "PolicyDocument": {
                                "Version": "2012-10-17",
                                "Statement": [
                                    {
                                        "Effect": "Allow",
                                        "Action": "cloudformation:DescribeStackResource",
                                        "Resource": {"Ref": "AWS::StackId"},
                                    },
                                    {
                                        "Effect": "Allow",
                                        "Action": "cloudformation:DescribeStacks",
                                        "Resource": {"Ref": "AWS::StackId"},
                                    },
                                    *(
                                        [
                                            {
                                                "Effect": "Allow",
                                                "Action": "lambda:InvokeFunction",
                                                "Resource": {"Fn::GetAtt": ["Unanswered", "Arn"]},
                                            }
                                        ]
                                        if self.function.get("MayInvoke", True)
                                        else []
                                    ),
                                ],
                            },
                        }
                    ],
                },
            },
            "Basic": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Principal": {"Service": "lambda.amazonaws.com"},
                                "Action": "sts:AssumeRole",
                            }
                        ],
                    }
                },
            },
            "Unanswered": self._function("Basic", 10),
            "Function": self._function("Role", self.function.get("Timeout", 10)),
            "Invocation": {
                "Type": "AWS::Lambda::EventInvokeConfig",
                "Properties": {
                    "FunctionName": {"Ref": "Function"},
                    "Qualifier": "$LATEST",
                    "MaximumRetryAttempts": self.function.get("Retries", 2),
                    "MaximumEventAgeInSeconds": 60,
                    "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Unanswered", "Arn"]}}},
                },
            },
        }
        before = "Invocation"
        for name, properties in resources.items():
            made[name] = {
                "Type": "Custom::Probe",
                "DependsOn": before,
                "Properties": {
                    "ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]},
                    "Scratch": self.scratch,
                    "ServiceTimeout": 20,
                    **properties,
                },
            }
            before = name
        return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": made})

    def _function(self, role: str, timeout: int) -> dict:
        return {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "provided.al2023",
                "Handler": "bootstrap",
                "Architectures": ["x86_64"],
                "Timeout": timeout,
                "MemorySize": 256,
                "Role": {"Fn::GetAtt": [role, "Arn"]},
                "Code": {"S3Bucket": self.rig.bucket, "S3Key": "code.zip"},
                "Environment": {"Variables": {"OWN": "of the template"}},
            },
        }

    def create(self, resources: dict[str, dict], **options: Any) -> dict:
        """Creates and waits; returns the stack as described."""
        made = self.rig.formation.create_stack(
            StackName=self.name,
            TemplateBody=self.template(resources),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            **options,
        )
        self.stack_id = made["StackId"]
        return self.settled()

    def update(self, resources: dict[str, dict]) -> dict:
        """Updates and waits."""
        self.rig.formation.update_stack(
            StackName=self.name,
            TemplateBody=self.template(resources),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        return self.settled()

    def delete(self) -> dict:
        """Deletes and waits."""
        self.rig.formation.delete_stack(StackName=self.name)
        return self.settled()

    def settled(self, seconds: float = 25) -> dict:
        """Polls until no operation is in progress."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            stack = self.rig.formation.describe_stacks(StackName=self.stack_id)["Stacks"][0]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return stack
            time.sleep(0.05)
        raise Failed(f"{self.name} is still {stack['StackStatus']}")

    def lines(self) -> list[dict]:
        """What the functions saw, oldest first."""
        file = Path(self.scratch) / "events.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def requests(self) -> list[tuple[str, str, str | None]]:
        """(logical id, request type, physical id) of each event, oldest first."""
        return [
            (e["LogicalResourceId"], e["RequestType"], e.get("PhysicalResourceId"))
            for e in (line["event"] for line in self.lines() if "event" in line)
        ]

    def events(self, logical_id: str) -> list[dict]:
        """The stack's events of one resource, oldest first."""
        found = self.rig.formation.describe_stack_events(StackName=self.stack_id)["StackEvents"]
        return [event for event in reversed(found) if event["LogicalResourceId"] == logical_id]

    def statuses(self, logical_id: str) -> list[str]:
        """The statuses one resource went through."""
        return [event["ResourceStatus"] for event in self.events(logical_id)]


# --- encryption_context, principal_arn, dependent_actions ---------------------------------------


CONTEXT = {"keyboot:cluster": "keyboot/a", "keyboot:node": "0", "keyboot:purpose": "p2p-key"}


def kms_key(*statements: dict) -> str:
    """A new key under a policy: root manages, the given statements allow."""
    root = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [root, *statements]})
    return client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]


def encryption_context_conditions_allow_the_exact_context_and_nothing_else(_rig: Rig) -> None:
    key = kms_key()
    names = {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": list(CONTEXT)}}
    equal = {f"kms:EncryptionContext:{name}": value for name, value in CONTEXT.items()}
    present = {"kms:EncryptionContextKeys": "false"}
    (kms,) = user([allow("kms:Encrypt", StringEquals=equal, Null=present, **names)], "kms")

    def encrypt(context: dict) -> Any:
        return kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context)

    sealed = encrypt(CONTEXT)["CiphertextBlob"]
    for wrong in ({}, {**CONTEXT, "keyboot:node": "1"}, {**CONTEXT, "more": "x"}, {"keyboot:node": "0"}):
        expect(refusal(lambda wrong=wrong: encrypt(wrong)) == "AccessDeniedException", wrong)
    opened = client("kms").decrypt(CiphertextBlob=sealed, EncryptionContext=CONTEXT)
    expect(opened["Plaintext"] == b"x", opened)


def encryption_context_conditions_work_in_deny_and_for_any_value(_rig: Rig) -> None:
    key = kms_key()
    deny = {
        "Effect": "Deny",
        "Action": "kms:Encrypt",
        "Resource": "*",
        "Condition": {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["forbidden"]}},
    }
    (kms,) = user([allow("kms:Encrypt"), deny], "kms")
    kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"fine": "1"})
    code = refusal(lambda: kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"fine": "1", "forbidden": "1"}))
    expect(code == "AccessDeniedException", code)


def via_service_is_absent_for_a_direct_call(_rig: Rig) -> None:
    key = kms_key()
    via = {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}
    (only_via,) = user([allow("kms:Encrypt", StringEquals=via)], "kms")
    (not_via,) = user([allow("kms:Encrypt", StringNotEquals=via)], "kms")
    (absent,) = user([allow("kms:Encrypt", Null={"kms:ViaService": "true"})], "kms")
    expect(refusal(lambda: only_via.encrypt(KeyId=key, Plaintext=b"x")) == "AccessDeniedException", "via")
    not_via.encrypt(KeyId=key, Plaintext=b"x")
    absent.encrypt(KeyId=key, Plaintext=b"x")


def key_pair_spec_is_a_condition(_rig: Rig) -> None:
    key = kms_key()
    (kms,) = user(
        [allow("kms:GenerateDataKeyPairWithoutPlaintext", StringEquals={"kms:DataKeyPairSpec": "ECC_NIST_P256"})], "kms"
    )
    kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P256")
    code = refusal(
        lambda: kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P384")
    )
    expect(code == "AccessDeniedException", code)


def secret_tags_are_conditions_on_request_and_resource(_rig: Rig) -> None:
    name = f"keyboot/{RUN}/tags"
    (maker,) = user(
        [
            allow(
                "secretsmanager:CreateSecret",
                "secretsmanager:TagResource",
                StringEquals={"aws:RequestTag/keyboot:owner": "me"},
                **{"ForAllValues:StringEquals": {"aws:TagKeys": ["keyboot:owner"]}},
            )
        ],
        "secretsmanager",
    )

    def create(**tags: str) -> Any:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        return maker.create_secret(Name=name, SecretString="x", Tags=pairs)

    for wrong in ({}, {"keyboot:owner": "you"}, {"keyboot:owner": "me", "more": "x"}):
        expect(refusal(lambda wrong=wrong: create(**wrong)) == "AccessDeniedException", wrong)
    create(**{"keyboot:owner": "me"})
    for prefix in ("aws:ResourceTag/", "secretsmanager:ResourceTag/"):
        (mine,) = user([allow("secretsmanager:*", StringEquals={f"{prefix}keyboot:owner": "me"})], "secretsmanager")
        (other,) = user([allow("secretsmanager:*", StringEquals={f"{prefix}keyboot:owner": "you"})], "secretsmanager")
        mine.describe_secret(SecretId=name)
        expect(refusal(lambda o=other: o.describe_secret(SecretId=name)) == "AccessDeniedException", prefix)


def version_stage_is_the_stage_named_in_the_request(_rig: Rig) -> None:
    name = f"keyboot/{RUN}/stage"
    made = client("secretsmanager").create_secret(Name=name, SecretString="x")
    (reader,) = user(
        [allow("secretsmanager:GetSecretValue", StringEquals={"secretsmanager:VersionStage": "AWSCURRENT"})],
        "secretsmanager",
    )
    reader.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")
    code = refusal(lambda: reader.get_secret_value(SecretId=name, VersionId=made["VersionId"]))
    expect(code == "AccessDeniedException", code)


def principal_arn_of_a_session_is_its_role(_rig: Rig) -> None:
    iam, name = client("iam"), f"probe-{secrets.token_hex(4)}"
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, Path="/nodes/", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    planned = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "kms:Encrypt",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalArn": role}},
    }
    root_manages = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": ["kms:Describe*", "kms:Put*"],
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [root_manages, planned]})
    key = client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]
    own = json.dumps({"Version": "2012-10-17", "Statement": [allow("kms:Encrypt")]})
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=own)
    given = client("sts").assume_role(RoleArn=role, RoleSessionName="probe")["Credentials"]
    session = client("kms", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    session.encrypt(KeyId=key, Plaintext=b"x")
    (stranger,) = user([allow("kms:Encrypt")], "kms")
    expect(refusal(lambda: stranger.encrypt(KeyId=key, Plaintext=b"x")) == "AccessDeniedException", "stranger")


def tagging_at_creation_needs_its_own_permission(_rig: Rig) -> None:
    tags = [{"Key": "a", "Value": "b"}]
    secret_maker, parameter_maker = user(
        [allow("secretsmanager:CreateSecret", "ssm:PutParameter")], "secretsmanager", "ssm"
    )
    secret_maker.create_secret(Name=f"keyboot/{RUN}/bare", SecretString="x")
    parameter_maker.put_parameter(Name=f"/keyboot/{RUN}/bare", Value="x", Type="String")
    for call, named in (
        (lambda: secret_maker.create_secret(Name=f"keyboot/{RUN}/t", SecretString="x", Tags=tags), "TagResource"),
        (
            lambda: parameter_maker.put_parameter(Name=f"/keyboot/{RUN}/t", Value="x", Type="String", Tags=tags),
            "AddTagsToResource",
        ),
    ):
        try:
            call()
        except ClientError as error:
            expect(named in str(error), error)
        else:
            raise Failed(f"allowed without {named}")


# --- resources_of_a_call, policy_principals, limits -----------------------------------------------


MANAGED = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
    "Action": ["kms:Describe*", "kms:Put*"],
    "Resource": "*",
}


def managed_key(*statements: dict, multi_region: bool = False) -> str:
    """A key whose account may manage it, not use it, unless a statement says so."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": [MANAGED, *statements]})
    return client("kms").create_key(Policy=policy, MultiRegion=multi_region)["KeyMetadata"]["Arn"]


def a_key_policy_holds_for_multi_region_ciphertexts_and_aliases(_rig: Rig) -> None:
    (kms,) = user([allow("kms:Encrypt", "kms:Decrypt")], "kms")
    for multi_region in (False, True):
        key = managed_key(multi_region=multi_region)
        sealed = client("kms").encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        code = refusal(lambda sealed=sealed: kms.decrypt(CiphertextBlob=sealed))
        expect(code == "AccessDeniedException", (multi_region, code))
        alias = f"alias/probe-{secrets.token_hex(4)}"
        client("kms").create_alias(AliasName=alias, TargetKeyId=key)
        code = refusal(lambda alias=alias: kms.encrypt(KeyId=alias, Plaintext=b"x"))
        expect(code == "AccessDeniedException", (alias, code))


def calls_over_several_parameters_are_authorized_on_each(_rig: Rig) -> None:
    for name in ("mine", "other"):
        client("ssm").put_parameter(Name=f"/keyboot/{RUN}/{name}/a", Value="x", Type="String")
    mine = f"arn:aws:ssm:{REGION}:000000000000:parameter/keyboot/{RUN}/mine"
    only = {"Effect": "Allow", "Action": "ssm:*", "Resource": [mine, f"{mine}/*"]}
    (ssm,) = user([only], "ssm")
    got = ssm.get_parameters(Names=[f"/keyboot/{RUN}/mine/a", f"/keyboot/{RUN}/mine/none"])
    expect(len(got["Parameters"]) == 1 and len(got["InvalidParameters"]) == 1, got)
    ssm.get_parameters_by_path(Path=f"/keyboot/{RUN}/mine")
    ssm.get_parameter(Name=f"{mine}/a")
    (exact,) = user([{"Effect": "Allow", "Action": "ssm:*", "Resource": f"{mine}/a"}], "ssm")
    exact.get_parameter(Name=f"/keyboot/{RUN}/mine/a:1")
    exact.get_parameter(Name=f"{mine}/a:1")
    ssm.get_parameters(Names=[f"{mine}/a"])
    code = refusal(lambda: ssm.get_parameter(Name=f"{mine.replace('/mine', '/other')}/a"))
    expect(code == "AccessDeniedException", code)
    both = [f"/keyboot/{RUN}/mine/a", f"/keyboot/{RUN}/other/a"]
    for call in (
        lambda: ssm.get_parameters(Names=both),
        lambda: ssm.delete_parameters(Names=both),
        lambda: ssm.get_parameters_by_path(Path=f"/keyboot/{RUN}/other"),
    ):
        expect(refusal(call) == "AccessDeniedException", "a foreign parameter was reached")


def policies_with_missing_or_public_principals_are_refused(_rig: Rig) -> None:
    store, name = client("secretsmanager"), f"keyboot/{RUN}/policy"
    store.create_secret(Name=name, SecretString="x")

    def policy(principal: Any, **condition: dict) -> str:
        statement = {
            "Effect": "Allow",
            "Principal": principal,
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
            "Condition": condition,
        }
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    def put(document: str) -> Any:
        return store.put_resource_policy(SecretId=name, ResourcePolicy=document, BlockPublicPolicy=True)

    missing = {"AWS": "arn:aws:iam::000000000000:role/not-yet-there"}
    expect(refusal(lambda: put(policy(missing))) == "MalformedPolicyDocumentException", "missing role")
    expect(refusal(lambda: put(policy("*"))) == "PublicPolicyException", "public")
    planned = {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/not-yet-there"}
    put(policy({"AWS": "arn:aws:iam::111122223333:root"}, StringEquals=planned))
    use = {"Effect": "Allow", "Principal": missing, "Action": "kms:Decrypt", "Resource": "*"}
    expect(refusal(lambda: managed_key(use)) == "MalformedPolicyDocumentException", "missing role in a key policy")


def documented_limits_are_kept(_rig: Rig) -> None:
    ssm, kms, name = client("ssm"), client("kms"), f"/keyboot/{RUN}/limit"
    key = kms_key()

    def put(size: int, tier: str) -> Any:
        return ssm.put_parameter(Name=name, Value="x" * size, Type="String", Tier=tier, Overwrite=True)

    put(4096, "Standard")
    put(8192, "Advanced")
    for call in (
        lambda: put(1, "Standard"),
        lambda: put(8193, "Advanced"),
        lambda: ssm.put_parameter(Name=name + "s", Value="x" * 4097, Type="String"),
        lambda: ssm.get_parameters(Names=[f"{name}/{number}" for number in range(11)]),
        lambda: kms.encrypt(KeyId=key, Plaintext=b"x" * 4097),
    ):
        expect(refusal(call) == "ValidationException", "a limit is not kept")


# --- secret_versions, stores_ask_kms ----------------------------------------------------------------


def the_same_token_is_the_same_version_or_refused(_rig: Rig) -> None:
    store, name = client("secretsmanager"), f"keyboot/{RUN}/token"
    first, second = secrets.token_hex(16), secrets.token_hex(16)

    def create(token: str, value: str) -> Any:
        return store.create_secret(Name=name, SecretString=value, ClientRequestToken=token)

    def put(token: str, value: str, *labels: str) -> Any:
        return store.put_secret_value(
            SecretId=name, SecretString=value, ClientRequestToken=token, VersionStages=list(labels)
        )

    expect(create(first, "a")["VersionId"] == first, "the token is not the version")
    expect(create(first, "a")["VersionId"] == first, "a repetition is not the same")
    expect(refusal(lambda: create(first, "b")) == "ResourceExistsException", "another value")
    expect(refusal(lambda: create(second, "a")) == "ResourceExistsException", "another token")
    put(second, "b", "MINE")
    put(second, "b", "MINE")
    expect(refusal(lambda: put(second, "c", "MINE")) == "ResourceExistsException", "another value")
    third = secrets.token_hex(16)
    put(third, "c", "MINE")
    stages = store.describe_secret(SecretId=name)["VersionIdsToStages"]
    expect(stages == {first: ["AWSCURRENT"], third: ["MINE"]}, stages)
    about = {"SecretId": name, "VersionStage": "AWSCURRENT", "MoveToVersionId": third}
    expect(refusal(lambda: store.update_secret_version_stage(**about)) == "InvalidParameterException", "no remove")
    wrong = {**about, "RemoveFromVersionId": second}
    expect(refusal(lambda: store.update_secret_version_stage(**wrong)) == "InvalidParameterException", "wrong remove")
    store.update_secret_version_stage(**about, RemoveFromVersionId=first)
    empty = store.create_secret(Name=f"{name}/empty")
    expect("VersionId" not in empty, empty)


def a_name_scheduled_for_deletion_is_refused_as_such(_rig: Rig) -> None:
    store, name = client("secretsmanager"), f"keyboot/{RUN}/gone"
    store.create_secret(Name=name, SecretString="x")
    store.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    code = refusal(lambda: store.create_secret(Name=name, SecretString="x"))
    expect(code == "InvalidRequestException", code)
    store.restore_secret(SecretId=name)
    for _ in range(2):
        store.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    expect(refusal(lambda: store.delete_secret(SecretId=name)) == "ResourceNotFoundException", "gone")


def secrets_under_a_customer_key_need_the_key_via_the_store(_rig: Rig) -> None:
    store, kms = user([allow("secretsmanager:*", "kms:*")], "secretsmanager", "kms")
    me = client("sts", *_keys_of(store)).get_caller_identity()["Arn"]

    def statement(*actions: str, service: str = "secretsmanager") -> dict:
        via = {
            "StringEquals": {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"},
            "StringLike": {"kms:EncryptionContext:SecretARN": f"arn:aws:secretsmanager:*:*:secret:keyboot/{RUN}/*"},
        }
        principal = {"AWS": me}
        return {"Effect": "Allow", "Principal": principal, "Action": list(actions), "Resource": "*", "Condition": via}

    def create(key: str, name: str) -> Any:
        return store.create_secret(Name=name, SecretString="x", KmsKeyId=key)

    both = managed_key(statement("kms:GenerateDataKey", "kms:Decrypt"), multi_region=True)
    create(both, f"keyboot/{RUN}/kms/both")
    expect(store.get_secret_value(SecretId=f"keyboot/{RUN}/kms/both")["SecretString"] == "x", "not readable")
    sealed = client("kms").encrypt(KeyId=both, Plaintext=b"x")["CiphertextBlob"]
    expect(refusal(lambda: kms.decrypt(CiphertextBlob=sealed)) == "AccessDeniedException", "direct")
    expect(refusal(lambda: create(both, f"other/{RUN}")) == "AccessDeniedException", "another name")
    for number, key in enumerate(
        (
            managed_key(statement("kms:GenerateDataKey")),
            managed_key(statement("kms:Decrypt")),
            managed_key(statement("kms:GenerateDataKey", "kms:Decrypt", service="ssm")),
        )
    ):
        name = f"keyboot/{RUN}/kms/{number}"
        expect(refusal(lambda key=key, name=name: create(key, name)) == "AccessDeniedException", number)
        code = refusal(lambda name=name: client("secretsmanager").describe_secret(SecretId=name))
        expect(code == "ResourceNotFoundException", "a refused secret is left behind")
    client("kms").disable_key(KeyId=both)
    root = client("secretsmanager")
    code = refusal(lambda: root.create_secret(Name=f"keyboot/{RUN}/kms/off", SecretString="x", KmsKeyId=both))
    expect(code == "EncryptionFailure", code)
    code = refusal(lambda: root.get_secret_value(SecretId=f"keyboot/{RUN}/kms/both"))
    expect(code == "DecryptionFailure", code)


def secure_strings_under_a_customer_key_need_the_key_via_the_store(_rig: Rig) -> None:
    (ssm,) = user([allow("ssm:*", "kms:*")], "ssm")
    me = client("sts", *_keys_of(ssm)).get_caller_identity()["Arn"]
    for tier, action in (("Standard", "kms:Encrypt"), ("Advanced", "kms:GenerateDataKey")):
        name = f"/keyboot/{RUN}/secure/{tier}"
        arn = f"arn:aws:ssm:{REGION}:000000000000:parameter{name}"
        write = {
            "Effect": "Allow",
            "Principal": {"AWS": me},
            "Action": action,
            "Resource": "*",
            "Condition": {
                "StringEquals": {
                    "kms:ViaService": f"ssm.{REGION}.amazonaws.com",
                    "kms:EncryptionContext:PARAMETER_ARN": arn,
                }
            },
        }
        about = {"Name": name, "Value": "x", "Type": "SecureString", "Tier": tier}
        expect(refusal(lambda a=about: ssm.put_parameter(**a, KeyId=managed_key())) == "AccessDeniedException", tier)
        ssm.put_parameter(**about, KeyId=managed_key(write))
        ssm.get_parameter(Name=name)
        code = refusal(lambda name=name: ssm.get_parameter(Name=name, WithDecryption=True))
        expect(code == "AccessDeniedException", code)


def _keys_of(service: Any) -> tuple[str, str]:
    held = service._request_signer._credentials
    return held.access_key, held.secret_key


# --- rotation, schedules ------------------------------------------------------------------------


def trust(service: str) -> str:
    """The trust policy that lets a service assume a role."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Function:
    """A function outside of a stack, and what it saw."""

    def __init__(self, rig: Rig, *actions: str) -> None:
        self.name = f"probe-{secrets.token_hex(4)}"
        self.scratch = Path(tempfile.mkdtemp(dir=rig.scratch))
        role = client("iam").create_role(RoleName=self.name, AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))
        own = {"Version": "2012-10-17", "Statement": [allow(*actions or ("sts:GetCallerIdentity",))]}
        client("iam").put_role_policy(RoleName=self.name, PolicyName="own", PolicyDocument=json.dumps(own))
        self.arn = client("lambda").create_function(
            FunctionName=self.name,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Timeout=20,
            MemorySize=256,
            Role=role["Role"]["Arn"],
            Code={"S3Bucket": rig.bucket, "S3Key": "code.zip"},
            Environment={"Variables": {"SCRATCH": str(self.scratch)}},
        )["FunctionArn"]

    def admit(self, principal: str, **conditions: str) -> None:
        """Lets a service in."""
        client("lambda").add_permission(
            FunctionName=self.name,
            StatementId="probe",
            Action="lambda:InvokeFunction",
            Principal=principal,
            **conditions,
        )

    def lines(self) -> list[dict]:
        """What it saw, oldest first."""
        file = self.scratch / "events.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def steps(self) -> list[str]:
        """The steps it was asked for, oldest first."""
        return [line["event"]["Step"] for line in self.lines()]


STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]
RULES = {"ScheduleExpression": "rate(30 days)", "Duration": "3h"}


class Rotated:
    """A secret, its rotation function, and who may rotate it."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.function = Function(rig, "secretsmanager:*")
        self.function.admit("secretsmanager.amazonaws.com", SourceAccount="000000000000")
        self.store = client("secretsmanager")
        self.name, self.first = f"keyboot/{RUN}/rotated-{name}", secrets.token_hex(16)
        made = self.store.create_secret(Name=self.name, SecretString="first", ClientRequestToken=self.first)
        self.arn = made["ARN"]

    def rotate(self, **options: Any) -> str:
        """Begins a rotation; the id of its version."""
        return self.store.rotate_secret(SecretId=self.name, **options)["VersionId"]

    def switch_on(self) -> str:
        """Configures the rotation, which is tried out."""
        return self.rotate(RotationLambdaARN=self.function.arn, RotationRules=RULES, RotateImmediately=False)

    def described(self) -> dict:
        """The secret as described."""
        return self.store.describe_secret(SecretId=self.name)

    def stages(self) -> dict[str, list[str]]:
        """Each labelled version, with its labels in order."""
        return {version: sorted(labels) for version, labels in self.described()["VersionIdsToStages"].items()}


def until(claim: Callable[[], bool], told: Callable[[], Any], seconds: float = 20) -> None:
    """Waits for something to hold."""
    end = time.monotonic() + seconds
    while not claim():
        expect(time.monotonic() < end, told())
        time.sleep(0.05)


def a_rotation_that_is_switched_on_is_tried_out_and_leaves_nothing(rig: Rig) -> None:
    secret = Rotated(rig, "on")
    version = secret.switch_on()
    until(lambda: version not in secret.stages(), secret.stages)
    described = secret.described()
    expect(secret.stages() == {secret.first: ["AWSCURRENT"]}, described)
    expect(described["RotationEnabled"] and described["RotationRules"] == RULES, described)
    expect(described["RotationLambdaARN"] == secret.function.arn and "LastRotatedDate" not in described, described)
    (seen,) = secret.function.lines()
    expect(seen["enabled"] and seen["stages"][version] == ["AWSPENDING"], seen)
    expect(all("(ResourceNotFoundException)" in error for error in seen["errors"]) and not seen["read"], seen)
    event = seen["event"]
    expect(len(event.pop("RotationToken")) > 16, "no token")
    expect(event == {"Step": "testSecret", "SecretId": secret.arn, "ClientRequestToken": version}, event)
    (secret.function.scratch / "fail").write_text("testSecret")
    version = secret.switch_on()
    until(lambda: version not in secret.stages(), secret.stages)
    expect(secret.function.steps() == ["testSecret"] * 2, "a failed trial is repeated")


def a_rotation_asks_for_all_steps_and_moves_the_labels(rig: Rig) -> None:
    secret = Rotated(rig, "all")
    token = secrets.token_hex(16)
    about = {"RotationLambdaARN": secret.function.arn, "RotationRules": RULES, "ClientRequestToken": token}
    expect(secret.rotate(**about) == token, "the token is not the version")
    expect(secret.rotate(**about) == token, "a repetition is not the same")
    until(lambda: "LastRotatedDate" in secret.described(), secret.described)
    stages = {token: ["AWSCURRENT", "AWSPENDING", "MINE"], secret.first: ["AWSPREVIOUS"]}
    expect(secret.stages() == stages, secret.stages())
    expect(secret.function.steps() == STEPS, secret.function.steps())
    expect(secret.store.get_secret_value(SecretId=secret.name)["SecretString"] == f"of {token}", "another value")
    before = secret.described()["LastRotatedDate"]
    second = secret.rotate()
    until(lambda: secret.described()["LastRotatedDate"] > before, secret.described)
    stages = {second: ["AWSCURRENT", "AWSPENDING", "MINE"], token: ["AWSPREVIOUS"]}
    expect(secret.stages() == stages, secret.stages())


def a_rotation_that_fails_is_repeated_then_left_and_reattempted(rig: Rig) -> None:
    secret = Rotated(rig, "fails")
    fail = secret.function.scratch / "fail"
    fail.write_text("setSecret")
    version = secret.rotate(RotationLambdaARN=secret.function.arn, RotationRules=RULES)
    until(lambda: secret.function.steps() == STEPS[:2] * 3, secret.function.lines)
    time.sleep(1)
    expect(len(secret.function.steps()) == 6, "it is repeated for ever")
    left = {version: ["AWSPENDING", "MINE"], secret.first: ["AWSCURRENT"]}
    expect(secret.stages() == left and "LastRotatedDate" not in secret.described(), secret.stages())
    fail.unlink()
    code = refusal(secret.rotate)
    expect(code == "InvalidRequestException", code)
    until(lambda: "LastRotatedDate" in secret.described(), secret.described)
    expect(secret.function.steps() == STEPS[:2] * 3 + STEPS, secret.function.steps())
    expect("AWSCURRENT" in secret.stages()[version], secret.stages())


def a_cancelled_rotation_ends_and_its_configuration_stays(rig: Rig) -> None:
    secret = Rotated(rig, "off")
    expect(refusal(lambda: secret.rotate()) == "InvalidRequestException", "no function is known")
    expect(refusal(lambda: secret.store.cancel_rotate_secret(SecretId=secret.name)) == "InvalidRequestException", "")
    (secret.function.scratch / "fail").write_text("createSecret")
    version = secret.rotate(RotationLambdaARN=secret.function.arn, RotationRules=RULES)
    until(lambda: bool(secret.function.steps()), secret.described)
    answer = secret.store.cancel_rotate_secret(SecretId=secret.name)
    expect(answer["VersionId"] == version, answer)
    described = secret.described()
    expect(not described["RotationEnabled"] and described["RotationRules"] == RULES, described)
    expect(described["RotationLambdaARN"] == secret.function.arn, described)
    seen = len(secret.function.steps())
    time.sleep(1.5)
    expect(len(secret.function.steps()) <= seen + 1, "it goes on")
    (secret.function.scratch / "fail").unlink()
    expect(refusal(secret.rotate) == "InvalidRequestException", "a label is left")
    about = {"SecretId": secret.name, "VersionStage": "AWSPENDING", "RemoveFromVersionId": version}
    secret.store.update_secret_version_stage(**about)
    secret.rotate()
    until(lambda: "LastRotatedDate" in secret.described(), secret.described)


def a_rotation_needs_the_function_to_admit_and_the_caller_to_invoke(rig: Rig) -> None:
    secret, other = Rotated(rig, "who"), Function(rig)
    may = {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}
    invoke = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": secret.function.arn}
    (bare,) = user([may], "secretsmanager")
    (full,) = user([may, invoke], "secretsmanager")

    def switch_on(store: Any, function: str) -> Any:
        return store.rotate_secret(
            SecretId=secret.name, RotationLambdaARN=function, RotationRules=RULES, RotateImmediately=False
        )

    for store, function in (
        (bare, secret.function.arn),
        (secret.store, other.arn),
        (secret.store, f"{other.arn}-not"),
    ):
        expect(refusal(lambda s=store, f=function: switch_on(s, f)) == "AccessDeniedException", function)
    expect(not secret.described()["RotationEnabled"], "a refused call has changed something")
    other.admit("secretsmanager.amazonaws.com", SourceAccount="111122223333")
    expect(refusal(lambda: switch_on(secret.store, other.arn)) == "AccessDeniedException", "another account")
    switch_on(full, secret.function.arn)
    until(lambda: secret.function.steps() == ["testSecret"], secret.described)


def schedules_fire_as_their_role_with_their_context(rig: Rig) -> None:
    function, scheduler, iam = Function(rig), client("scheduler"), client("iam")
    roles = {}
    for name, service, action in (
        ("good", "scheduler.amazonaws.com", "lambda:InvokeFunction"),
        ("bare", "scheduler.amazonaws.com", "lambda:GetFunction"),
        ("stranger", "lambda.amazonaws.com", "lambda:InvokeFunction"),
    ):
        role = f"{function.name}-{name}"
        roles[name] = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust(service))["Role"]["Arn"]
        own = json.dumps({"Version": "2012-10-17", "Statement": [allow(action)]})
        iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=own)

    def text(which: str) -> str:
        names = ("scheduled-time", "schedule-arn", "execution-id", "attempt-number")
        return json.dumps({"which": which, **{name: f"<aws.scheduler.{name}>" for name in names}})

    def create(which: str, role: str, expression: str) -> Any:
        return scheduler.create_schedule(
            Name=f"{function.name}-{which}",
            ScheduleExpression=expression,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": function.arn, "RoleArn": roles[role], "Input": text(which)},
        )["ScheduleArn"]

    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 5))
    code = refusal(lambda: create("stranger", "stranger", f"at({at})"))
    expect(code == "ValidationException", code)
    create("bare", "bare", f"at({at})")
    one = create("one", "good", f"at({at})")
    of_the_group = json.loads(trust("scheduler.amazonaws.com"))
    of_the_group["Statement"][0]["Condition"] = {
        "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["Group", "Arn"]}},
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
    }
    own = {"Version": "2012-10-17", "Statement": [allow("lambda:InvokeFunction")]}
    policies = [{"PolicyName": "own", "PolicyDocument": own}]
    role = {"Fn::GetAtt": ["Role", "Arn"]}
    resources = {
        "Group": {"Type": "AWS::Scheduler::ScheduleGroup"},
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": of_the_group, "Policies": policies},
        },
        "Rate": {
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {
                "GroupName": {"Ref": "Group"},
                "ScheduleExpression": "rate(1 days)",
                "ScheduleExpressionTimezone": "Europe/Zurich",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {"Arn": function.arn, "RoleArn": role, "Input": text("rate")},
            },
        },
    }
    stack = Stack(rig, "schedule")
    made = rig.formation.create_stack(
        StackName=stack.name,
        TemplateBody=json.dumps({"Resources": resources}),
        Capabilities=["CAPABILITY_IAM"],
    )
    stack.stack_id = made["StackId"]
    expect(stack.settled()["StackStatus"] == "CREATE_COMPLETE", stack.events("Rate"))
    described = rig.formation.describe_stack_resources(StackName=stack.name)["StackResources"]
    ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in described}
    name, group = ids["Rate"], ids["Group"]
    kept = scheduler.get_schedule(Name=name, GroupName=group)
    expect(kept["ScheduleExpressionTimezone"] == "Europe/Zurich", kept)
    roles["of the group"] = iam.get_role(RoleName=ids["Role"])["Role"]["Arn"]
    code = refusal(lambda: create("elsewhere", "of the group", f"at({at})"))
    expect(code == "ValidationException", code)
    # Each fails at first and is invoked again: a function is invoked asynchronously.
    until(lambda: len(function.lines()) == 4, function.lines)
    events = sorted((line["event"] for line in function.lines()), key=lambda event: event["which"])
    first, again = events[0], events[1]
    expect([event["which"] for event in events] == ["one", "one", "rate", "rate"] and first == again, events)
    expect(first["scheduled-time"] == f"{at}Z" and first["schedule-arn"] == one, first)
    expect(first["attempt-number"] == "1" and "<" not in first["execution-id"], first)
    expect(stack.delete()["StackStatus"] == "DELETE_COMPLETE", "not deleted")
    for gone in (
        lambda: scheduler.get_schedule(Name=name, GroupName=group),
        lambda: scheduler.get_schedule_group(Name=group),
    ):
        expect(refusal(gone) == "ResourceNotFoundException", group)


# --- async_custom_resources, function_environment, function_limits -------------------------------


def a_silent_crash_is_retried_with_the_same_event(rig: Rig) -> None:
    stack = Stack(rig, "retried")
    made = stack.create({"Thing": {"Behave": "crash-once", "Flag": True, "Count": 3, "List": [1, False]}})
    expect(made["StackStatus"] == "CREATE_COMPLETE", made)
    first, second = stack.lines()
    expect(first["event"] == second["event"] and second["try"] == 2, stack.lines())
    properties = first["event"]["ResourceProperties"]
    expect(properties["Flag"] == "true" and properties["Count"] == "3", properties)
    expect(properties["List"] == ["1", "false"] and properties["ServiceTimeout"] == "20", properties)
    environment = second["environment"]
    expect(environment["OWN"] == "of the template", environment)
    expect(environment["AWS_ACCESS_KEY_ID"].startswith("ASIA"), "not the role's credentials")
    foreign = [
        name
        for name in environment
        if name.startswith(("SSL_CERT", "AWS_CA", "KEYBOOT_RIG")) or "PROXY" in name.upper()
    ]
    expect(not foreign and "GATEWAY_PORT" not in environment, foreign)


def what_fails_for_good_goes_to_the_destination_and_is_answered_there(rig: Rig) -> None:
    stack = Stack(rig, "destination", Retries=1)
    made = stack.create({"Thing": {"Behave": "crash"}})
    expect(made["StackStatus"] == "ROLLBACK_COMPLETE", made)
    tries = [line for line in stack.lines() if "event" in line and line["event"]["RequestType"] == "Create"]
    expect(len(tries) == 2, stack.requests())
    record = next(line["record"] for line in stack.lines() if "record" in line)
    expect(record["requestPayload"] == tries[0]["event"], record)
    # The fields and no others: Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations".
    fields = {"version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload"}
    expect(record.keys() == fields, record)
    context = record["requestContext"]
    expect(context.keys() == {"requestId", "functionArn", "condition", "approximateInvokeCount"}, context)
    expect(record["responseContext"].keys() == {"statusCode", "executedVersion", "functionError"}, record)
    expect("errorMessage" in record["responsePayload"], record)
    expect(context["condition"] == "RetriesExhausted" and context["approximateInvokeCount"] == 2, context)
    expect(context["functionArn"].endswith(":$LATEST") and record["version"] == "1.0", record)
    expect(record["responseContext"]["functionError"] == "Unhandled", record)
    failed = next(event for event in stack.events("Thing") if event["ResourceStatus"] == "CREATE_FAILED")
    expect(failed["PhysicalResourceId"] == "from-destination", failed)
    expect(failed["ResourceStatusReason"].startswith("Received response status [FAILED]"), failed)


def a_destination_the_role_may_not_invoke_is_not_invoked(rig: Rig) -> None:
    stack = Stack(rig, "not-allowed", Retries=0, MayInvoke=False)
    made = stack.create({"Thing": {"Behave": "crash", "ServiceTimeout": 2}})
    expect(made["StackStatus"] == "ROLLBACK_COMPLETE", made["StackStatus"])
    expect(not any("record" in line for line in stack.lines()), "the destination was invoked")


def no_answer_within_the_service_timeout_fails_with_a_made_up_id(rig: Rig) -> None:
    stack = Stack(rig, "silent")
    started = time.monotonic()
    made = stack.create({"Thing": {"Behave": "silent", "ServiceTimeout": 1}})
    expect(made["StackStatus"] == "ROLLBACK_COMPLETE" and time.monotonic() - started < 10, made)
    failed = next(event for event in stack.events("Thing") if event["ResourceStatus"] == "CREATE_FAILED")
    expect("did not receive a response" in failed["ResourceStatusReason"], failed)
    (_create, delete) = stack.requests()
    expect(delete[1] == "Delete" and delete[2].startswith(f"{stack.name}-Thing-"), delete)


def an_event_that_times_out_is_ended_and_retried(rig: Rig) -> None:
    stack = Stack(rig, "times-out", Timeout=1, Retries=1)
    made = stack.create({"Thing": {"Behave": "hang", "ServiceTimeout": 15}})
    expect(made["StackStatus"] == "ROLLBACK_COMPLETE", made)
    creates = [line for line in stack.lines() if line.get("event", {}).get("RequestType") == "Create"]
    expect(len(creates) == 2 and creates[0]["pid"] != creates[1]["pid"], stack.requests())
    record = next(line["record"] for line in stack.lines() if "record" in line)
    expect("timed out after 1.00 seconds" in record["responsePayload"]["errorMessage"], record)


def a_function_gets_its_memory_and_no_more(rig: Rig) -> None:
    stack = Stack(rig, "memory")
    made = stack.create({"Thing": {"Behave": "fill"}})
    expect(made["StackStatus"] == "CREATE_COMPLETE", made)
    half, twice = next(line["taken"] for line in stack.lines() if "taken" in line)
    expect(half == 128 and "error" in str(twice), (half, twice))


def unusable_answers_fail_the_resource(rig: Rig) -> None:
    for behave, told in (("long-answer", "Response object is too long"), ("foreign-answer", "RequestId")):
        stack = Stack(rig, behave)
        made = stack.create({"Thing": {"Behave": behave}})
        failed = next(event for event in stack.events("Thing") if event["ResourceStatus"] == "CREATE_FAILED")
        expect(made["StackStatus"] == "ROLLBACK_COMPLETE" and told in failed["ResourceStatusReason"], failed)


# --- stack_state, rollback ----------------------------------------------------------------------


def the_stack_tells_each_operation_while_it_runs(rig: Rig) -> None:
    stack = Stack(rig, "state")
    stack.create({"Thing": {"Behave": "look", "Name": "a"}})
    made = stack.update({"Thing": {"Behave": "look", "Name": "b"}, "More": {"Behave": "look"}})
    expect(made["StackStatus"] == "UPDATE_COMPLETE", made)
    shown = rig.formation.describe_stack_resources(StackName=stack.name)["StackResources"]
    expect({each["LogicalResourceId"] for each in shown} >= {"Thing", "More", "Function"}, shown)
    stack.update({"Thing": {"Behave": "look", "Name": "b"}})
    shown = rig.formation.describe_stack_resources(StackName=stack.name)["StackResources"]
    expect("More" not in {each["LogicalResourceId"] for each in shown}, shown)
    stack.delete()
    seen = [
        (line["event"]["LogicalResourceId"], line["resource"].get("ResourceStatus"), line["stack"])
        for line in stack.lines()
    ]
    expect(
        seen
        == [
            ("Thing", "CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS"),
            ("Thing", "UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"),
            ("More", "CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"),
            ("More", "DELETE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
            ("Thing", "DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS"),
        ],
        stack.lines(),
    )
    expect("PhysicalResourceId" not in stack.lines()[0]["resource"], stack.lines()[0])
    expect(stack.lines()[1]["resource"]["PhysicalResourceId"] == "made", stack.lines()[1])
    expect(stack.statuses("More")[:2] == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"], stack.statuses("More"))
    gone = rig.formation.describe_stack_resource(StackName=stack.stack_id, LogicalResourceId="Thing")
    expect(gone["StackResourceDetail"]["ResourceStatus"] == "DELETE_COMPLETE", gone)
    code = refusal(lambda: rig.formation.describe_stack_resource(StackName=stack.name, LogicalResourceId="Thing"))
    expect(code == "ValidationError", code)


def a_failed_create_is_deleted_by_the_id_of_its_answer(rig: Rig) -> None:
    stack = Stack(rig, "failed-create")
    made = stack.create({"Good": {"Behave": "ok"}, "Bad": {"Behave": "fail-create"}})
    expect(made["StackStatus"] == "ROLLBACK_COMPLETE", made)
    expect(
        stack.requests()
        == [
            ("Good", "Create", None),
            ("Bad", "Create", None),
            ("Bad", "Delete", "failed-id"),
            ("Good", "Delete", "made"),
        ],
        stack.requests(),
    )
    expect(
        stack.statuses("Bad") == ["CREATE_IN_PROGRESS", "CREATE_FAILED", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"],
        stack.statuses("Bad"),
    )


def do_nothing_keeps_a_failed_create_until_the_stack_is_deleted(rig: Rig) -> None:
    stack = Stack(rig, "do-nothing")
    made = stack.create({"Bad": {"Behave": "fail-create"}}, OnFailure="DO_NOTHING")
    expect(made["StackStatus"] == "CREATE_FAILED" and len(stack.requests()) == 1, (made, stack.requests()))
    kept = rig.formation.describe_stack_resource(StackName=stack.name, LogicalResourceId="Bad")["StackResourceDetail"]
    expect((kept["ResourceStatus"], kept["PhysicalResourceId"]) == ("CREATE_FAILED", "failed-id"), kept)
    gone = stack.delete()
    expect(gone["StackStatus"] == "DELETE_COMPLETE", gone)
    expect(stack.requests()[1:] == [("Bad", "Delete", "failed-id")], stack.requests())


def a_failed_update_sends_back_old_properties_and_deletes_what_it_made(rig: Rig) -> None:
    stack = Stack(rig, "failed-update")
    stack.create({"One": {"Behave": "ok", "Name": "a"}, "Two": {"Behave": "ok", "Name": "a"}})
    made = stack.update(
        {
            "One": {"Behave": "ok", "Name": "b"},
            "New": {"Behave": "ok"},
            "Two": {"Behave": "fail-update", "Name": "b"},
        }
    )
    expect(made["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE", made)
    sent = [
        (e["LogicalResourceId"], e["RequestType"], e["ResourceProperties"].get("Name"), old.get("Name"))
        for e, old in (
            (line["event"], line["event"].get("OldResourceProperties", {})) for line in stack.lines()[2:]
        )
    ]
    expect(sent[:3] == [("One", "Update", "b", "a"), ("New", "Create", None, None), ("Two", "Update", "b", "a")], sent)
    expect(set(sent[3:5]) == {("One", "Update", "a", "b"), ("Two", "Update", "a", "b")}, sent)
    expect(sent[5:] == [("New", "Delete", None, None)], sent)
    expect("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" in stack.statuses(stack.name), stack.statuses(stack.name))


def a_create_that_fails_in_an_update_is_deleted_too(rig: Rig) -> None:
    stack = Stack(rig, "failed-addition")
    stack.create({"One": {"Behave": "ok"}})
    made = stack.update({"One": {"Behave": "ok"}, "Bad": {"Behave": "fail-create"}})
    expect(made["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE", made)
    expect(stack.requests()[1:] == [("Bad", "Create", None), ("Bad", "Delete", "failed-id")], stack.requests())
    expect(stack.statuses("Bad")[:2] == ["CREATE_IN_PROGRESS", "CREATE_FAILED"], stack.statuses("Bad"))


def a_changed_id_is_cleaned_up_after_the_update(rig: Rig) -> None:
    stack = Stack(rig, "replaced")
    stack.create({"Thing": {"Behave": "look-replace", "Name": "a"}, "Last": {"Behave": "ok", "Name": "a"}})
    made = stack.update({"Thing": {"Behave": "look-replace", "Name": "b"}, "Last": {"Behave": "ok", "Name": "b"}})
    expect(made["StackStatus"] == "UPDATE_COMPLETE", made)
    expect(
        stack.requests()[2:]
        == [("Thing", "Update", "made-a"), ("Last", "Update", "made"), ("Thing", "Delete", "made-a")],
        stack.requests(),
    )
    delete = stack.lines()[-1]
    expect(delete["stack"] == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", delete["stack"])
    expect(delete["resource"]["PhysicalResourceId"] == "made-b", delete["resource"])
    expect(delete["resource"]["ResourceStatus"] == "UPDATE_COMPLETE", delete["resource"])
    expect(delete["event"]["ResourceProperties"]["Name"] == "a", delete["event"])


# --- recorder, pinning, end_functions -----------------------------------------------------------


def every_call_is_one_whole_line_of_the_record(_rig: Rig) -> None:
    path = os.environ.get("KEYBOOT_RIG_CALLS")
    expect(bool(path), "KEYBOOT_RIG_CALLS is not set: the recorder cannot be checked")
    expect(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "the record is open to others")
    ssm = client("ssm")
    names = [f"/keyboot/{RUN}/record/{number}" for number in range(40)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: ssm.put_parameter(Name=name, Value="x" * 3000, Type="String"), names))
    (kms,) = user([allow("kms:ListKeys")], "kms")
    refusal(lambda: kms.generate_random(NumberOfBytes=8))
    time.sleep(0.1)
    calls = [json.loads(line) for line in Path(path).read_text().splitlines()]
    puts = {
        json.loads(call["request"])["Name"]: call
        for call in calls
        if call["operation"] == "PutParameter" and "/record/" in call["request"]
    }
    expect(set(names) <= set(puts), "calls are missing from the record")
    one = puts[names[0]]
    expect(one["service"] == "ssm" and one["status"] == 200 and one["end"] > one["start"], one)
    expect(one["accessKey"] == "test" and one["principal"].endswith(":root"), one)
    expect(len({call["sequence"] for call in calls}) == len(calls), "a sequence number is there twice")
    refused = [call for call in calls if call["operation"] == "GenerateRandom"][-1]
    expect(refused["status"] == 403 or refused["status"] == 400, refused)
    expect(":user/probe-" in refused["principal"] and "AccessDenied" in refused["response"], refused)
    answers = [call for call in calls if call["operation"] == "Answer"]
    expect(bool(answers) and "PhysicalResourceId" in answers[0]["request"], "no answer is in the record")
    by_role = [call for call in calls if call["operation"] == "DescribeStackResource" and call["status"] == 200]
    expect(any(":assumed-role/" in call["principal"] for call in by_role), "no call by a function's role")


def a_plugin_whose_target_moved_refuses_to_start(_rig: Rig) -> None:
    script = (
        "import sys; sys.path.insert(0, '.'); import launch, pinning; launch.prepare_environment()\n"
        "from plugins import rollback\n"
        "rollback.TARGETS[{target!r}] = {mark!r}\n"
        "try: pinning.check(rollback)\n"
        "except pinning.Moved as told: print(told)\n"
    )
    for target, mark, told in (
        ("ministack.services.cloudformation.stacks:_add_event", "0" * 16, "has changed"),
        ("ministack.services.cloudformation.stacks:_gone", "", "is gone"),
    ):
        run = subprocess.run(
            [sys.executable, "-B", "-c", script.format(target=target, mark=mark)],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        expect("plug-in rollback" in run.stdout and told in run.stdout, run)
    script = (
        "import sys; sys.path.insert(0, '.'); import launch; launch.prepare_environment()\n"
        "from plugins import rotation_schedules\n"
        "rotation_schedules.apply()\n"
        "try: rotation_schedules.apply()\n"
        "except ValueError as told: print(told)\n"
    )
    run = subprocess.run(
        [sys.executable, "-B", "-c", script], cwd=HERE, capture_output=True, text=True, timeout=20, check=False
    )
    wanted = "plug-in rotation_schedules: MiniStack has AWS::SecretsManager::RotationSchedule itself by now"
    expect(wanted in run.stdout, run)


def functions_end_with_the_launcher_on_a_signal(rig: Rig) -> None:
    _functions_end(rig, lambda process: process.send_signal(signal.SIGTERM))


def functions_end_with_the_launcher_when_its_starter_is_gone(rig: Rig) -> None:
    _functions_end(rig, lambda process: process.stdin.close())


def _functions_end(rig: Rig, end_it: Callable[[Any], None]) -> None:
    with another_launcher() as process:
        stack = Stack(Rig(rig.scratch), "ended", Timeout=600)
        stack.rig.formation.create_stack(
            StackName=stack.name,
            TemplateBody=stack.template({"Thing": {"Behave": "hang"}}),
            Capabilities=["CAPABILITY_IAM"],
        )
        end = time.monotonic() + 10
        while not stack.lines() and time.monotonic() < end:
            time.sleep(0.05)
        function = stack.lines()[0]
        end_it(process)
        process.wait(timeout=15)
        time.sleep(0.1)
        expect(not Path(f"/proc/{function['pid']}").exists(), "the function outlived the launcher")
        expect(not Path(function["environment"]["LAMBDA_TASK_ROOT"]).exists(), "the unpacked code is left behind")


@contextlib.contextmanager
def another_launcher(**settings: str) -> Iterator[subprocess.Popen]:
    """A launcher of its own, which everything is asked of meanwhile."""
    global ENDPOINT
    outer = ENDPOINT
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GATEWAY_PORT": str(port), "AUTH": "false", "LOG_LEVEL": "ERROR", **settings}
    for name in ("KEYBOOT_RIG_CALLS", "AWS_ENDPOINT_URL"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-B", HERE / "launch.py"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ENDPOINT = f"http://127.0.0.1:{port}"
        ready(20)
        yield process
    finally:
        ENDPOINT = outer
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# --- what a stack of machines needs ---------------------------------------------------------------


def ref(name: str) -> dict:
    """`Ref`."""
    return {"Ref": name}


def att(name: str, attribute: str) -> dict:
    """`Fn::GetAtt`."""
    return {"Fn::GetAtt": [name, attribute]}


def of(resource_type: str, properties: dict | None = None, **attributes: Any) -> dict:
    """A resource of a template; those that another one replaces or that are removed are deleted."""
    policies = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
    return {"Type": resource_type, "Properties": properties or {}, **policies, **attributes}


class Deployed(Stack):
    """A stack of nothing but the given resources."""

    def __init__(self, rig: Rig, name: str, resources: dict, outputs: dict | None = None) -> None:
        super().__init__(rig, name)
        text = self._text(resources, outputs)
        made = rig.formation.create_stack(StackName=self.name, TemplateBody=text, Capabilities=["CAPABILITY_NAMED_IAM"])
        self.stack_id = made["StackId"]
        self.described = self.settled(60)

    def _text(self, resources: dict, outputs: dict | None) -> str:
        told = {name: {"Value": value} for name, value in (outputs or {}).items()}
        return json.dumps({"Resources": resources, **({"Outputs": told} if told else {})})

    def replace_with(self, resources: dict, outputs: dict | None = None) -> Deployed:
        """Updates to other resources, and waits."""
        text = self._text(resources, outputs)
        self.rig.formation.update_stack(StackName=self.name, TemplateBody=text, Capabilities=["CAPABILITY_NAMED_IAM"])
        self.described = self.settled(60)
        return self

    def expect(self, status: str) -> dict[str, str]:
        """The outputs of a stack that must be in a state."""
        self.described = self.settled(60)
        told = self.rig.formation.describe_stack_events(StackName=self.stack_id)["StackEvents"]
        why = [each.get("ResourceStatusReason") for each in told if each["ResourceStatus"].endswith("FAILED")]
        expect(self.described["StackStatus"] == status, (self.described["StackStatus"], why))
        return {each["OutputKey"]: each["OutputValue"] for each in self.described.get("Outputs") or ()}

    def refused(self, words: str) -> None:
        """The creation must have failed, for a reason with these words."""
        self.expect("ROLLBACK_COMPLETE")
        told = self.rig.formation.describe_stack_events(StackName=self.stack_id)["StackEvents"]
        why = [each.get("ResourceStatusReason", "") for each in told if each["ResourceStatus"] == "CREATE_FAILED"]
        expect(any(words in each for each in why), why)


def network(**more: dict) -> dict:
    """A VPC with two private subnets and a security group, and more."""
    subnet = {"VpcId": ref("Vpc"), "AvailabilityZone": f"{REGION}a"}
    return {
        "Vpc": of("AWS::EC2::VPC", {"CidrBlock": "10.42.0.0/16"}),
        "First": of("AWS::EC2::Subnet", {**subnet, "CidrBlock": "10.42.0.0/24"}),
        "Second": of(
            "AWS::EC2::Subnet", {**subnet, "CidrBlock": "10.42.1.0/24", "AvailabilityZone": f"{REGION}b"}
        ),
        "Group": of("AWS::EC2::SecurityGroup", {"GroupDescription": "probe", "VpcId": ref("Vpc")}),
        **more,
    }


def a_network_of_a_template_has_addresses_gateways_rules_and_flow_logs(rig: Rig) -> None:
    def resources(description: str, port: int) -> dict:
        rule = {"GroupId": ref("Group"), "IpProtocol": "tcp", "FromPort": port, "ToPort": port}
        return network(
            Address=of("AWS::EC2::EIP", {"Domain": "vpc"}),
            Gateway=of(
                "AWS::EC2::NatGateway", {"SubnetId": ref("First"), "AllocationId": att("Address", "AllocationId")}
            ),
            In=of(
                "AWS::EC2::SecurityGroupIngress",
                {**rule, "SourceSecurityGroupId": ref("Group"), "Description": description},
            ),
            Out=of("AWS::EC2::SecurityGroupEgress", {**rule, "CidrIp": "10.42.0.0/16"}),
            Logs=of("AWS::Logs::LogGroup"),
            Role=of("AWS::IAM::Role", {"AssumeRolePolicyDocument": json.loads(trust("vpc-flow-logs.amazonaws.com"))}),
            Flow=of(
                "AWS::EC2::FlowLog",
                {
                    "ResourceId": ref("Vpc"),
                    "ResourceType": "VPC",
                    "TrafficType": "ALL",
                    "LogGroupName": ref("Logs"),
                    "DeliverLogsPermissionArn": att("Role", "Arn"),
                },
            ),
        )

    told = {
        "Group": ref("Group"),
        "In": ref("In"),
        "Address": ref("Address"),
        "Gateway": ref("Gateway"),
        "Flow": ref("Flow"),
        "Range": att("Vpc", "CidrBlock"),
    }
    ec2 = client("ec2")
    stack = Deployed(rig, "network", resources("one", 5432), told)
    made = stack.expect("CREATE_COMPLETE")
    expect(made["Range"] == "10.42.0.0/16", made)
    (address,) = [each for each in ec2.describe_addresses()["Addresses"] if each["PublicIp"] == made["Address"]]
    expect(address.get("AssociationId"), address)
    (gateway,) = ec2.describe_nat_gateways(NatGatewayIds=[made["Gateway"]])["NatGateways"]
    expect(gateway["State"] == "available", gateway)
    (flow,) = ec2.describe_flow_logs(FlowLogIds=[made["Flow"]])["FlowLogs"]
    expect(flow["FlowLogStatus"] == "ACTIVE", flow)

    def rules() -> list[tuple]:
        (group,) = ec2.describe_security_groups(GroupIds=[made["Group"]])["SecurityGroups"]
        ingress = [(each["FromPort"], each["UserIdGroupPairs"][0]["Description"]) for each in group["IpPermissions"]]
        return ingress + [each["FromPort"] for each in group["IpPermissionsEgress"] if "FromPort" in each]

    expect(rules() == [(5432, "one"), 5432], rules())
    # A description is changed in place; another port is another rule.
    same = stack.replace_with(resources("two", 5432), told).expect("UPDATE_COMPLETE")
    expect(same["In"] == made["In"] and rules() == [(5432, "two"), 5432], (same, rules()))
    other = stack.replace_with(resources("two", 5433), told).expect("UPDATE_COMPLETE")
    expect(other["In"] != made["In"] and rules() == [(5433, "two"), 5433], (other, rules()))
    stack.delete()
    stack.expect("DELETE_COMPLETE")
    left = [each for each in ec2.describe_addresses()["Addresses"] if each["PublicIp"] == made["Address"]]
    expect(not left, left)


def a_network_that_ec2_would_refuse_is_refused(rig: Rig) -> None:
    rule = {"GroupId": ref("Group"), "IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIp": "10.0.0.0/8"}
    twice = {name: of("AWS::EC2::SecurityGroupIngress", {**rule, "Description": name}) for name in ("One", "Two")}
    Deployed(rig, "rule-twice", network(**twice)).refused("already exists")
    said = [{name: value for name, value in rule.items() if name != "GroupId"}] * 2
    inline = {"GroupDescription": "twice", "VpcId": ref("Vpc"), "SecurityGroupIngress": said}
    double = network(Double=of("AWS::EC2::SecurityGroup", inline))
    Deployed(rig, "rule-inline", double).refused("must not appear multiple times")
    gateway = {"SubnetId": ref("First"), "AllocationId": att("Address", "AllocationId")}
    used = {name: of("AWS::EC2::NatGateway", gateway) for name in ("One", "Two")}
    Deployed(rig, "address-twice", network(Address=of("AWS::EC2::EIP"), **used)).refused("already associated")
    flow = {
        "ResourceId": ref("Vpc"),
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "LogGroupName": "any",
        "DeliverLogsPermissionArn": att("Role", "Arn"),
    }
    role = of("AWS::IAM::Role", {"AssumeRolePolicyDocument": json.loads(trust("ec2.amazonaws.com"))})
    Deployed(rig, "flow-role", network(Role=role, Flow=of("AWS::EC2::FlowLog", flow))).refused("Unable to assume")


def a_templates_secret_is_known_by_its_arn_and_may_be_empty(rig: Rig) -> None:
    store, name = client("secretsmanager"), f"keyboot/{RUN}/empty"
    kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}

    def resources(description: str) -> dict:
        properties = {"Name": name, "Description": description}
        return {"Empty": {"Type": "AWS::SecretsManager::Secret", "Properties": properties, **kept}}

    told = {"Ref": ref("Empty"), "Id": att("Empty", "Id")}
    stack = Deployed(rig, "empty", resources("one"), told)
    made = stack.expect("CREATE_COMPLETE")
    expect(made["Ref"] == made["Id"] == store.describe_secret(SecretId=name)["ARN"], made)
    expect(not store.describe_secret(SecretId=name).get("VersionIdsToStages"), "it has a version")
    expect(refusal(lambda: store.get_secret_value(SecretId=name)) == "ResourceNotFoundException", "it has a value")
    store.put_secret_value(SecretId=name, SecretString="written later")
    stack.replace_with(resources("two"), told).expect("UPDATE_COMPLETE")
    expect(store.describe_secret(SecretId=name)["Description"] == "two", "not updated")
    stack.delete()
    stack.expect("DELETE_COMPLETE")
    # What an earlier stack left behind is nobody's to overwrite.
    Deployed(rig, "taken", resources("three")).refused("already exists")
    expect(store.get_secret_value(SecretId=name)["SecretString"] == "written later", "it was overwritten")


def a_rotation_schedule_of_a_template_rotates_and_is_cancelled(rig: Rig) -> None:
    function = Function(rig, "secretsmanager:*")
    store, name = client("secretsmanager"), f"keyboot/{RUN}/scheduled"
    made = store.create_secret(Name=name, SecretString="first")

    def resources(immediately: bool, days: int) -> dict:
        properties = {
            "SecretId": made["ARN"],
            "RotationLambdaARN": function.arn,
            "RotateImmediatelyOnUpdate": immediately,
            "RotationRules": {"ScheduleExpression": f"rate({days} days)", "Duration": "3h"},
        }
        return {"Schedule": of("AWS::SecretsManager::RotationSchedule", properties)}

    Deployed(rig, "not-admitted", resources(False, 30)).refused("cannot invoke")
    function.admit("secretsmanager.amazonaws.com", SourceAccount="000000000000")
    stack = Deployed(rig, "scheduled", resources(False, 30), {"Ref": ref("Schedule")})
    expect(stack.expect("CREATE_COMPLETE")["Ref"] == made["ARN"], stack.described)
    until(lambda: function.steps() == ["testSecret"], function.steps)
    described = store.describe_secret(SecretId=name)
    expect(described["RotationRules"]["ScheduleExpression"] == "rate(30 days)", described)
    versions = lambda: list(store.describe_secret(SecretId=name)["VersionIdsToStages"])
    until(lambda: versions() == [made["VersionId"]], versions)
    Deployed(rig, "second-schedule", resources(False, 30)).refused("already")
    stack.replace_with(resources(True, 7)).expect("UPDATE_COMPLETE")
    until(lambda: function.steps()[1:] == STEPS, function.steps)
    until(lambda: store.get_secret_value(SecretId=name)["SecretString"] != "first", lambda: "not rotated")
    stack.delete()
    stack.expect("DELETE_COMPLETE")
    expect(not store.describe_secret(SecretId=name).get("RotationEnabled"), "still switched on")


def network_load_balancers_are_told_as_such_and_protected(rig: Rig) -> None:
    def resources(protocol: str, group: str, protected: str = "false") -> dict:
        certificate = [{"CertificateArn": ref("Certificate")}] if protocol == "TLS" else []
        return network(
            Certificate=of(
                "AWS::CertificateManager::Certificate", {"DomainName": "node.example", "ValidationMethod": "DNS"}
            ),
            Balancer=of(
                "AWS::ElasticLoadBalancingV2::LoadBalancer",
                {
                    "Type": "network",
                    "Scheme": "internal",
                    "Subnets": [ref("First"), ref("Second")],
                    "SecurityGroups": [ref("Group")],
                    "LoadBalancerAttributes": [{"Key": "deletion_protection.enabled", "Value": protected}],
                },
            ),
            Targets=of(
                "AWS::ElasticLoadBalancingV2::TargetGroup", {"Protocol": group, "Port": 8080, "VpcId": ref("Vpc")}
            ),
            Listener=of(
                "AWS::ElasticLoadBalancingV2::Listener",
                {
                    "LoadBalancerArn": ref("Balancer"),
                    "Port": 443,
                    "Protocol": protocol,
                    "Certificates": certificate,
                    "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("Targets")}],
                },
            ),
        )

    told = {
        "Arn": ref("Balancer"),
        "Listener": ref("Listener"),
        "FullName": att("Balancer", "LoadBalancerFullName"),
        "Name": att("Balancer", "DNSName"),
        "Zone": att("Balancer", "CanonicalHostedZoneID"),
        "Vpc": ref("Vpc"),
    }
    stack = Deployed(rig, "balancer", resources("TLS", "TCP", "true"), told)
    made = stack.expect("CREATE_COMPLETE")
    expect(made["FullName"].startswith("net/") and made["Arn"].endswith(f":loadbalancer/{made['FullName']}"), made)
    (balancer,) = client("elbv2").describe_load_balancers(LoadBalancerArns=[made["Arn"]])["LoadBalancers"]
    expect((balancer["Type"], balancer["VpcId"]) == ("network", made["Vpc"]), balancer)
    (listener,) = client("elbv2").describe_listeners(LoadBalancerArn=made["Arn"])["Listeners"]
    expect(listener["Protocol"] == "TLS" and listener["ListenerArn"] == made["Listener"], listener)
    stack.delete()
    stack.expect("DELETE_FAILED")
    client("elbv2").modify_load_balancer_attributes(
        LoadBalancerArn=made["Arn"], Attributes=[{"Key": "deletion_protection.enabled", "Value": "false"}]
    )
    stack.delete()
    stack.expect("DELETE_COMPLETE")
    Deployed(rig, "balancer-http", resources("HTTP", "TCP")).refused("not supported")
    Deployed(rig, "balancer-fit", resources("TLS", "HTTP")).refused("not supported with a target group")


def a_group_launches_replaces_and_ends_its_instances(rig: Rig) -> None:
    name = f"probe-group-{RUN}"
    image = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    wanted = client("ssm").get_parameter(Name=image)["Parameter"]["Value"]

    def resources(version: str) -> dict:
        data = {
            "ImageId": "{{resolve:ssm:" + image + "}}",
            "InstanceType": "t4g.small",
            "SecurityGroupIds": [ref("Group")],
            "IamInstanceProfile": {"Name": ref("Profile")},
            "MetadataOptions": {"HttpTokens": "required"},
            "UserData": base64.b64encode(version.encode()).decode(),
        }
        return network(
            Starter=of(
                "AWS::IAM::ServiceLinkedRole", {"AWSServiceName": "autoscaling.amazonaws.com", "CustomSuffix": RUN}
            ),
            Role=of("AWS::IAM::Role", {"AssumeRolePolicyDocument": json.loads(trust("ec2.amazonaws.com"))}),
            Profile=of("AWS::IAM::InstanceProfile", {"Roles": [ref("Role")], "InstanceProfileName": name}),
            Launch=of("AWS::EC2::LaunchTemplate", {"LaunchTemplateData": data}),
            Targets=of(
                "AWS::ElasticLoadBalancingV2::TargetGroup", {"Protocol": "TCP", "Port": 9000, "VpcId": ref("Vpc")}
            ),
            Machines=of(
                "AWS::AutoScaling::AutoScalingGroup",
                {
                    "AutoScalingGroupName": name,
                    "MinSize": "0",
                    "MaxSize": "1",
                    "DesiredCapacity": "1",
                    "VPCZoneIdentifier": [ref("First"), ref("Second")],
                    "TargetGroupARNs": [ref("Targets")],
                    "ServiceLinkedRoleARN": {
                        "Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/"
                        "autoscaling.amazonaws.com/${Starter}"
                    },
                    "LaunchTemplate": {
                        "LaunchTemplateId": ref("Launch"),
                        "Version": att("Launch", "LatestVersionNumber"),
                    },
                    "Tags": [{"Key": "Name", "Value": "a node", "PropagateAtLaunch": True}],
                },
            ),
        )

    scaling, ec2 = client("autoscaling"), client("ec2")

    def group() -> dict:
        return scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]

    def only() -> tuple[str, str]:
        (instance,) = group()["Instances"]
        return instance["InstanceId"], instance["LaunchTemplate"]["Version"]

    def state(instance: str) -> str:
        (reservation,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        return reservation["Instances"][0]["State"]["Name"]

    told = {"Profile": ref("Profile"), "Starter": ref("Starter"), "Targets": ref("Targets")}
    stack = Deployed(rig, "group", resources("one"), told)
    made = stack.expect("CREATE_COMPLETE")
    expect(made["Profile"] == name and made["Starter"] == f"AWSServiceRoleForAutoScaling_{RUN}", made)
    first, version = only()
    expect(version == "1" and group()["TargetGroupARNs"] == [made["Targets"]], group())
    (reservation,) = ec2.describe_instances(InstanceIds=[first])["Reservations"]
    (instance,) = reservation["Instances"]
    expect((instance["ImageId"], instance["InstanceType"]) == (wanted, "t4g.small"), instance)
    expect(instance["IamInstanceProfile"]["Arn"].endswith(f":instance-profile/{name}"), instance)
    tags = {each["Key"]: each["Value"] for each in instance["Tags"]}
    expect(tags["aws:autoscaling:groupName"] == name and tags["Name"] == "a node", tags)
    health = client("elbv2").describe_target_health(TargetGroupArn=made["Targets"])["TargetHealthDescriptions"]
    expect([each["Target"]["Id"] for each in health] == [first], health)

    # Another version is what the next instance is launched with; the one that is there stays.
    stack.replace_with(resources("two"), told).expect("UPDATE_COMPLETE")
    expect(only() == (first, "1") and group()["LaunchTemplate"]["Version"] == "2", group())
    scaling.terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=False)
    second, version = only()
    expect(second != first and version == "2" and state(first) == "terminated", group())
    launched = group()["Instances"][0]["LaunchTemplate"]
    (data,) = ec2.describe_launch_template_versions(
        LaunchTemplateId=launched["LaunchTemplateId"], Versions=[launched["Version"]]
    )["LaunchTemplateVersions"]
    expect(base64.b64decode(data["LaunchTemplateData"]["UserData"]) == b"two", data)
    expect(data["LaunchTemplateData"]["MetadataOptions"]["HttpTokens"] == "required", data)
    ec2.terminate_instances(InstanceIds=[second])
    third, _ = only()
    expect(third not in (first, second) and state(second) == "terminated", group())
    scaling.start_instance_refresh(AutoScalingGroupName=name, Preferences={"SkipMatching": True})
    expect(only()[0] == third, "what matches was replaced")
    scaling.start_instance_refresh(AutoScalingGroupName=name)
    fourth, _ = only()
    expect(fourth != third, "nothing was replaced")
    expect(refusal(lambda: scaling.delete_auto_scaling_group(AutoScalingGroupName=name)) == "ResourceInUse", "deleted")
    stack.delete()
    stack.expect("DELETE_COMPLETE")
    expect(state(fourth) == "terminated", "it outlived its group")


def a_function_in_a_vpc_needs_its_network_and_has_its_files(rig: Rig) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, f"#!{sys.executable}\n{BOOTSTRAP}")
        archive.writestr("beside.pem", "beside it")
    client("s3").put_object(Bucket=rig.bucket, Key="two-files.zip", Body=packed.getvalue())
    interfaces = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface"]

    def resources(scratch: str, actions: list[str], subnets: list) -> dict:
        own = {"Version": "2012-10-17", "Statement": [allow(*actions)]}
        return network(
            Role=of(
                "AWS::IAM::Role",
                {
                    "AssumeRolePolicyDocument": json.loads(trust("lambda.amazonaws.com")),
                    "Policies": [{"PolicyName": "own", "PolicyDocument": own}],
                },
            ),
            Function=of(
                "AWS::Lambda::Function",
                {
                    "Runtime": "provided.al2023",
                    "Handler": "bootstrap",
                    "Timeout": 20,
                    "MemorySize": 256,
                    "Role": att("Role", "Arn"),
                    "Code": {"S3Bucket": rig.bucket, "S3Key": "two-files.zip"},
                    "VpcConfig": {"SubnetIds": subnets, "SecurityGroupIds": [ref("Group")]},
                },
            ),
            Thing={
                "Type": "Custom::Probe",
                "Properties": {
                    "ServiceToken": att("Function", "Arn"),
                    "ServiceTimeout": 20,
                    "Scratch": scratch,
                    "Behave": "ok",
                },
            },
        )

    scratch = tempfile.mkdtemp(dir=rig.scratch)
    both = [ref("First"), ref("Second")]
    stack = Deployed(rig, "vpc", resources(scratch, interfaces, both), {"Function": ref("Function"), "Vpc": ref("Vpc")})
    made = stack.expect("CREATE_COMPLETE")
    config = client("lambda").get_function_configuration(FunctionName=made["Function"])["VpcConfig"]
    expect(config["VpcId"] == made["Vpc"] and len(config["SubnetIds"]) == 2, config)
    line = json.loads((Path(scratch) / "events.jsonl").read_text().splitlines()[0])
    beside = Path(line["environment"]["LAMBDA_TASK_ROOT"]) / "beside.pem"
    expect(beside.read_text() == "beside it", beside)
    stack.delete()
    Deployed(rig, "vpc-role", resources(scratch, interfaces[:2], both)).refused("DeleteNetworkInterface")
    Deployed(rig, "vpc-subnet", resources(scratch, interfaces, ["subnet-0"])).refused("does not exist")


# --- databases ------------------------------------------------------------------------------------


def database(key: Any, **properties: Any) -> dict:
    """A template's database, whose end is a snapshot."""
    declared = {
        "Engine": "postgres",
        "EngineVersion": "16",
        "DBInstanceClass": "db.t4g.micro",
        "AllocatedStorage": "20",
        "DBName": "tsm",
        "MasterUsername": "master",
        "ManageMasterUserPassword": True,
        "MasterUserSecret": {"KmsKeyId": key},
        "StorageEncrypted": True,
        "KmsKeyId": key,
        "DBSubnetGroupName": ref("Subnets"),
        "VPCSecurityGroups": [ref("Group")],
        **properties,
    }
    declared = {name: value for name, value in declared.items() if value is not None}
    return of("AWS::RDS::DBInstance", declared, DeletionPolicy="Snapshot", UpdateReplacePolicy="Snapshot")


def databases(key: str, **more: Any) -> dict:
    """A network with one database."""
    subnets = {"DBSubnetGroupDescription": "probe", "SubnetIds": [ref("First"), ref("Second")]}
    return network(Subnets=of("AWS::RDS::DBSubnetGroup", subnets), Database=database(key, **more))


DATABASE = {
    "Name": ref("Database"),
    "Host": att("Database", "Endpoint.Address"),
    "Port": att("Database", "Endpoint.Port"),
    "Secret": att("Database", "MasterUserSecret.SecretArn"),
    "Resource": att("Database", "DbiResourceId"),
}


def master(made: dict[str, str], database: str = "tsm", **options: str) -> Any:
    """A connection as the master user, by what the secret says now."""
    import psycopg2

    secret = json.loads(client("secretsmanager").get_secret_value(SecretId=made["Secret"])["SecretString"])
    connection = psycopg2.connect(
        host=made["Host"],
        port=made["Port"],
        user=secret["username"],
        password=options.pop("password", secret["password"]),
        dbname=database,
        **{"sslmode": "verify-full", "sslrootcert": str(authority()), **options},
    )
    connection.autocommit = True
    return connection


def authority() -> Path:
    """The certificate authority of the launcher that is probed: beside its record of calls, where all of it is."""
    (found,) = Path(os.environ["KEYBOOT_RIG_CALLS"]).parent.glob("*/authority/ca.pem")
    return found


def asked(connection: Any, statement: str) -> Any:
    """What a statement returns, if it returns anything."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if cursor.description else None


def a_database_of_a_template_is_a_server_with_a_managed_password(rig: Rig) -> None:
    import psycopg2

    key = kms_key()
    stack = Deployed(rig, "database", databases(key), DATABASE)
    made = stack.expect("CREATE_COMPLETE")
    rds, store = client("rds"), client("secretsmanager")
    (told,) = rds.describe_db_instances(DBInstanceIdentifier=made["Name"])["DBInstances"]
    expect(told["MasterUserSecret"]["SecretArn"] == made["Secret"], told)
    expect(told["DbiResourceId"] == made["Resource"] and str(told["Endpoint"]["Port"]) == made["Port"], told)
    expect(store.describe_secret(SecretId=made["Secret"])["KmsKeyId"] == key, "under another key")
    connection = master(made)
    who = asked(connection, "SELECT rolname::text, rolsuper FROM pg_roles WHERE rolname = current_user")
    expect(who == ("master", False), who)
    for wrong in ({"password": "another"}, {"sslmode": "disable"}, {"sslrootcert": os.devnull}):
        try:
            master(made, **wrong)
        except psycopg2.OperationalError:
            continue
        raise Failed(f"let in with {wrong}")
    # The password changes, as RDS changes it, and who was in stays.
    rds.modify_db_instance(DBInstanceIdentifier=made["Name"], RotateMasterUserPassword=True, ApplyImmediately=True)
    expect(asked(master(made), "SELECT 1") == (1,) and asked(connection, "SELECT 1") == (1,), "not rotated")
    # A change of what RDS only records leaves the server; a protected one is not deleted.
    same = stack.replace_with(databases(key, DeletionProtection=True, AllocatedStorage="30"), DATABASE)
    expect(same.expect("UPDATE_COMPLETE") == made and asked(connection, "SELECT 1") == (1,), same.described)
    stack.delete()
    stack.expect("DELETE_FAILED")
    expect(asked(connection, "SELECT 1") == (1,), "the server is gone")
    expect(not rds.describe_db_snapshots(DBInstanceIdentifier=made["Name"])["DBSnapshots"], "a snapshot was made")
    rds.modify_db_instance(DBInstanceIdentifier=made["Name"], DeletionProtection=False, ApplyImmediately=True)
    stack.delete()
    stack.expect("DELETE_COMPLETE")
    expect(refusal(lambda: store.describe_secret(SecretId=made["Secret"])) == "ResourceNotFoundException", "kept")
    try:
        asked(connection, "SELECT 1")
    except psycopg2.Error:
        return
    raise Failed("the server outlived its instance")


def a_database_leaves_a_snapshot_of_which_another_is_made(rig: Rig) -> None:
    key, rds = kms_key(), client("rds")
    stack = Deployed(rig, "snapshot", databases(key), DATABASE)
    made = stack.expect("CREATE_COMPLETE")
    asked(master(made), "CREATE TABLE kept AS SELECT 7 AS number")

    def snapshots(name: str) -> list[str]:
        found = rds.describe_db_snapshots(DBInstanceIdentifier=name)["DBSnapshots"]
        return [each["DBSnapshotIdentifier"] for each in found]

    # Another subnet group replaces the instance, which leaves a snapshot as its deletion would.
    subnets = {"DBSubnetGroupDescription": "other", "SubnetIds": [ref("First"), ref("Second")]}
    other = databases(key, DBSubnetGroupName=ref("Others"))
    other["Others"] = of("AWS::RDS::DBSubnetGroup", subnets)
    replaced = stack.replace_with(other, DATABASE).expect("UPDATE_COMPLETE")
    expect(replaced["Resource"] != made["Resource"], replaced)
    expect(asked(master(replaced), "SELECT to_regclass('kept') IS NULL") == (True,), "not a new one")
    (kept,) = snapshots(made["Name"])
    asked(master(replaced), "CREATE TABLE kept AS SELECT 8 AS number")
    stack.delete()
    stack.expect("DELETE_COMPLETE")
    (last,) = snapshots(replaced["Name"])
    for snapshot, number in ((kept, 7), (last, 8)):
        restored = databases(key, DBSnapshotIdentifier=snapshot, MasterUsername=None, DBName=None)
        again = Deployed(rig, f"restored-{number}", restored, DATABASE)
        expect(asked(master(again.expect("CREATE_COMPLETE")), "SELECT number FROM kept") == (number,), snapshot)
        again.delete()
        again.expect("DELETE_COMPLETE")


def databases_end_with_the_launcher_on_a_signal(rig: Rig) -> None:
    _databases_end(rig, lambda process: process.send_signal(signal.SIGTERM))


def databases_end_with_the_launcher_when_it_is_killed(rig: Rig) -> None:
    # The launcher alone, not its group.
    _databases_end(rig, lambda process: process.kill())


def _databases_end(rig: Rig, end_it: Callable[[Any], None]) -> None:
    # As short a name as the rig's own folders have.
    folder = tempfile.mkdtemp()

    def left() -> list[str]:
        """The processes that have the folder in their command."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if folder in command:
                    found.append(command)
        return found

    with another_launcher(KEYBOOT_RIG_DATABASES=folder) as process:
        Deployed(Rig(rig.scratch), "ends", databases(kms_key()), DATABASE).expect("CREATE_COMPLETE")
        expect(len(left()) >= 2, left())
        end_it(process)
        process.wait(timeout=15)
        until(lambda: not left(), left)
    shutil.rmtree(folder, ignore_errors=True)


def databases_are_records_if_there_are_to_be_no_servers(rig: Rig) -> None:
    with another_launcher(KEYBOOT_RIG_DATABASES="none"):
        made = Deployed(Rig(rig.scratch), "none", databases(kms_key()), DATABASE).expect("CREATE_COMPLETE")
        with socket.socket() as probe:
            expect(probe.connect_ex(("127.0.0.1", int(made["Port"]))) != 0, "somebody listens")


def a_database_that_rds_would_refuse_is_refused(rig: Rig) -> None:
    key = kms_key()
    for name, wrong, words in (
        ("reserved", {"MasterUsername": "admin"}, "cannot be used"),
        ("no-group", {"DBSubnetGroupName": "none"}, "does not exist"),
        ("no-parameters", {"DBParameterGroupName": "none"}, "not found"),
        ("no-key", {"KmsKeyId": f"arn:aws:kms:{REGION}:000000000000:key/none"}, "is not enabled"),
        ("two-passwords", {"MasterUserPassword": "of the template"}, "one of"),
    ):
        Deployed(rig, f"database-{name}", databases(key, **wrong)).refused(words)


# --- what needs no plug-in, and must stay so ------------------------------------------------------


def a_template_like_ours_deploys_with_what_it_declares(rig: Rig) -> None:
    name = f"probe-sam-{RUN}"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Manage",
                "Effect": "Allow",
                "Principal": {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }
    scratch = tempfile.mkdtemp(dir=rig.scratch)
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {"Nodes": {"Type": "CommaDelimitedList", "Default": "0,1,2"}},
        "Resources": {
            "Signing": {
                "Type": "AWS::KMS::Key",
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": {
                    "KeySpec": "ECC_NIST_P256",
                    "KeyUsage": "SIGN_VERIFY",
                    "MultiRegion": True,
                    "PendingWindowInDays": 30,
                    "KeyPolicy": policy,
                },
            },
            "Alias": {
                "Type": "AWS::KMS::Alias",
                "Properties": {"AliasName": f"alias/{name}", "TargetKeyId": {"Ref": "Signing"}},
            },
            "Logs": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": f"/aws/lambda/{name}", "RetentionInDays": 30},
            },
            "Function": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "FunctionName": name,
                    "Runtime": "provided.al2023",
                    "Handler": "bootstrap",
                    "Architectures": ["x86_64"],
                    "Timeout": 10,
                    "CodeUri": {"Bucket": rig.bucket, "Key": "code.zip"},
                    "EventInvokeConfig": {"MaximumEventAgeInSeconds": 300, "MaximumRetryAttempts": 2},
                },
            },
            "Keys": {
                "Type": "Custom::NodeKeys",
                "DependsOn": "Logs",
                "Properties": {
                    "ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]},
                    "ServiceTimeout": 60,
                    "Nodes": {"Ref": "Nodes"},
                    "Behave": "ok",
                    "Scratch": scratch,
                },
            },
        },
        "Outputs": {
            "KeyArn": {
                "Value": {"Fn::GetAtt": ["Signing", "Arn"]},
                "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-KmsKeyArn"}},
            },
            "Try": {"Value": {"Fn::GetAtt": ["Keys", "Try"]}},
        },
    }
    stack = Stack(rig, "sam")
    stack.name, stack.scratch = name, scratch
    made = rig.formation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    stack.stack_id = made["StackId"]
    described = stack.settled()
    expect(described["StackStatus"] == "CREATE_COMPLETE", (described, stack.events("Function")))
    outputs = {output["OutputKey"]: output for output in described["Outputs"]}
    expect(outputs["KeyArn"]["ExportName"] == f"{name}-KmsKeyArn", outputs)
    expect(outputs["Try"]["OutputValue"] == "1", outputs)
    (seen,) = stack.lines()
    expect(seen["event"]["ResourceProperties"]["Nodes"] == ["0", "1", "2"], seen["event"])
    kms = client("kms")
    key = kms.describe_key(KeyId=outputs["KeyArn"]["OutputValue"])["KeyMetadata"]
    expect((key["KeySpec"], key["KeyUsage"], key["MultiRegion"]) == ("ECC_NIST_P256", "SIGN_VERIFY", True), key)
    digest = base64.b64decode("n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=")
    about = {"KeyId": f"alias/{name}", "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(**about)["Signature"]
    expect(kms.verify(**about, Signature=signature)["SignatureValid"], "the signature does not verify")
    groups = client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
    expect(groups[0]["retentionInDays"] == 30, groups)


def a_list_without_entries_is_told_from_another_in_a_condition(rig: Rig) -> None:
    has = {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "Names"}]}, ""]}]}
    template = {
        "Parameters": {"Names": {"Type": "CommaDelimitedList", "Default": ""}},
        "Conditions": {"HasNames": has},
        "Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": []}}}},
        "Outputs": {"Has": {"Value": {"Fn::If": ["HasNames", "yes", "no"]}}},
    }
    for name, given, wanted in (("list-empty", [], "no"), ("list", [("Names", "a, b")], "yes")):
        stack = Stack(rig, name)
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in given]
        made = rig.formation.create_stack(
            StackName=stack.name,
            TemplateBody=json.dumps(template),
            Parameters=parameters,
            Capabilities=["CAPABILITY_IAM"],
        )
        stack.stack_id = made["StackId"]
        described = stack.settled()
        expect(described["Outputs"][0]["OutputValue"] == wanted, described)
        stack.delete()


def parts_of_a_text_are_told_in_a_condition(rig: Rig) -> None:
    def has(number: int) -> dict:
        parts = {"Fn::Split": [",", {"Fn::Sub": "${Text},,,"}]}
        return {"Fn::Not": [{"Fn::Equals": [{"Fn::Select": [number, parts]}, ""]}]}

    template = {
        "Parameters": {"Text": {"Type": "String", "Default": ""}},
        "Conditions": {"HasFirst": has(0), "HasSecond": has(1)},
        "Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
        "Outputs": {name: {"Value": {"Fn::If": [name, "yes", "no"]}} for name in ("HasFirst", "HasSecond")},
    }
    for name, text, wanted in (("none", "", "no no"), ("one", "a", "yes no"), ("two", "a,b", "yes yes")):
        stack = Stack(rig, f"parts-{name}")
        made = rig.formation.create_stack(
            StackName=stack.name,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": "Text", "ParameterValue": text}],
        )
        stack.stack_id = made["StackId"]
        told = {each["OutputKey"]: each["OutputValue"] for each in stack.settled()["Outputs"]}
        expect(f"{told['HasFirst']} {told['HasSecond']}" == wanted, told)
        stack.delete()


def types_that_ministack_lacks_take_effect(rig: Rig) -> None:
    parameter, secret = f"/keyboot/{RUN}/shared", f"keyboot/{RUN}/by-template"
    client("ssm").put_parameter(Name=parameter, Value="x", Type="String", Tier="Advanced")
    client("ssm").put_parameter(Name=f"{parameter}-not", Value="x", Type="String")
    made = client("secretsmanager").create_secret(Name=secret, SecretString="x")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    read = {"Effect": "Allow", "Action": "secretsmanager:DescribeSecret", "Resource": made["ARN"]}
    let = {
        "Effect": "Allow",
        "Principal": {"AWS": {"Fn::GetAtt": ["Reader", "Arn"]}},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }

    def template(name: str) -> str:
        arn = {"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter" + name}
        resources = {
            "Reader": {
                "Type": "AWS::IAM::Role",
                "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}},
            },
            "Policy": {
                "Type": "AWS::IAM::RolePolicy",
                "Properties": {
                    "RoleName": {"Ref": "Reader"},
                    "PolicyName": "own",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": [read]},
                },
            },
            "SecretPolicy": {
                "Type": "AWS::SecretsManager::ResourcePolicy",
                "Properties": {
                    "SecretId": made["ARN"],
                    "ResourcePolicy": {"Version": "2012-10-17", "Statement": [let]},
                },
            },
            "Share": {
                "Type": "AWS::RAM::ResourceShare",
                "Properties": {"Name": "nodes", "Principals": ["111122223333"], "ResourceArns": [arn]},
            },
        }
        return json.dumps({"Resources": resources, "Outputs": {"Reader": {"Value": {"Fn::GetAtt": ["Reader", "Arn"]}}}})

    def deploy(name: str, parameter: str) -> tuple[Stack, dict]:
        stack = Stack(rig, name)
        made = rig.formation.create_stack(
            StackName=stack.name, TemplateBody=template(parameter), Capabilities=["CAPABILITY_IAM"]
        )
        stack.stack_id = made["StackId"]
        return stack, stack.settled()

    stack, described = deploy("types", parameter)
    expect(described["StackStatus"] == "CREATE_COMPLETE", described)
    given = client("sts").assume_role(RoleArn=described["Outputs"][0]["OutputValue"], RoleSessionName="probe")
    session = [given["Credentials"][part] for part in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    reader = client("secretsmanager", *session)
    reader.describe_secret(SecretId=made["ARN"])
    reader.get_secret_value(SecretId=made["ARN"])
    expect(refusal(lambda: reader.list_secrets()) == "AccessDeniedException", "more than was given")
    expect(stack.delete()["StackStatus"] == "DELETE_COMPLETE", "not deleted")
    policy = client("secretsmanager").get_resource_policy(SecretId=made["ARN"])
    expect("ResourcePolicy" not in policy, policy)
    _, refused = deploy("types-standard", f"{parameter}-not")
    expect(refused["StackStatus"] == "ROLLBACK_COMPLETE", refused)


# --- running --------------------------------------------------------------------------------------


def ready(seconds: float) -> None:
    """Waits for the endpoint's health."""
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"{ENDPOINT}/_ministack/health", timeout=5).read()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


CHECKS = (
    encryption_context_conditions_allow_the_exact_context_and_nothing_else,
    encryption_context_conditions_work_in_deny_and_for_any_value,
    via_service_is_absent_for_a_direct_call,
    key_pair_spec_is_a_condition,
    secret_tags_are_conditions_on_request_and_resource,
    version_stage_is_the_stage_named_in_the_request,
    principal_arn_of_a_session_is_its_role,
    tagging_at_creation_needs_its_own_permission,
    a_key_policy_holds_for_multi_region_ciphertexts_and_aliases,
    calls_over_several_parameters_are_authorized_on_each,
    policies_with_missing_or_public_principals_are_refused,
    documented_limits_are_kept,
    the_same_token_is_the_same_version_or_refused,
    a_name_scheduled_for_deletion_is_refused_as_such,
    secrets_under_a_customer_key_need_the_key_via_the_store,
    secure_strings_under_a_customer_key_need_the_key_via_the_store,
    a_rotation_that_is_switched_on_is_tried_out_and_leaves_nothing,
    a_rotation_asks_for_all_steps_and_moves_the_labels,
    a_rotation_that_fails_is_repeated_then_left_and_reattempted,
    a_cancelled_rotation_ends_and_its_configuration_stays,
    a_rotation_needs_the_function_to_admit_and_the_caller_to_invoke,
    schedules_fire_as_their_role_with_their_context,
    a_silent_crash_is_retried_with_the_same_event,
    what_fails_for_good_goes_to_the_destination_and_is_answered_there,
    a_destination_the_role_may_not_invoke_is_not_invoked,
    no_answer_within_the_service_timeout_fails_with_a_made_up_id,
    an_event_that_times_out_is_ended_and_retried,
    a_function_gets_its_memory_and_no_more,
    unusable_answers_fail_the_resource,
    the_stack_tells_each_operation_while_it_runs,
    a_failed_create_is_deleted_by_the_id_of_its_answer,
    do_nothing_keeps_a_failed_create_until_the_stack_is_deleted,
    a_failed_update_sends_back_old_properties_and_deletes_what_it_made,
    a_create_that_fails_in_an_update_is_deleted_too,
    a_changed_id_is_cleaned_up_after_the_update,
    a_template_like_ours_deploys_with_what_it_declares,
    a_list_without_entries_is_told_from_another_in_a_condition,
    parts_of_a_text_are_told_in_a_condition,
    types_that_ministack_lacks_take_effect,
    a_network_of_a_template_has_addresses_gateways_rules_and_flow_logs,
    a_network_that_ec2_would_refuse_is_refused,
    a_templates_secret_is_known_by_its_arn_and_may_be_empty,
    a_rotation_schedule_of_a_template_rotates_and_is_cancelled,
    network_load_balancers_are_told_as_such_and_protected,
    a_group_launches_replaces_and_ends_its_instances,
    a_function_in_a_vpc_needs_its_network_and_has_its_files,
    a_database_of_a_template_is_a_server_with_a_managed_password,
    a_database_leaves_a_snapshot_of_which_another_is_made,
    a_database_that_rds_would_refuse_is_refused,
    databases_end_with_the_launcher_on_a_signal,
    databases_end_with_the_launcher_when_it_is_killed,
    databases_are_records_if_there_are_to_be_no_servers,
    every_call_is_one_whole_line_of_the_record,
    a_plugin_whose_target_moved_refuses_to_start,
    functions_end_with_the_launcher_on_a_signal,
    functions_end_with_the_launcher_when_its_starter_is_gone,
)


def main() -> int:
    """Runs every check; tells each by name, with the time it took."""
    global ENDPOINT
    if len(sys.argv) != 2:
        print("usage: probe.py <endpoint>", file=sys.stderr)
        return 2
    ENDPOINT = sys.argv[1].rstrip("/")
    ready(10)
    with tempfile.TemporaryDirectory(prefix="keyboot-probe-", ignore_cleanup_errors=True) as scratch:
        failed = run(Rig(scratch))
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} hold")
    return 1 if failed else 0


def run(rig: Rig) -> int:
    """The number of checks that fail."""
    failed = 0
    for check in CHECKS:
        started = time.monotonic()
        try:
            check(rig)
            verdict = "ok"
        except Exception:
            failed += 1
            verdict = "FAILED"
            traceback.print_exc()
        print(f"{verdict:6} {time.monotonic() - started:5.1f} s  {check.__name__.replace('_', ' ')}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
