"""What `keyboot-node exec` is measured against: its work for a TSM node, written with boto3.

    exec.py <cluster> <index> <command> [<argument> ...]

It reads the node's environment and record, fetches the secrets by the version ids in the record, has KMS
open them, and becomes the command with the same variables. It does so as such scripts are usually written:
one call after the other. No signature is checked, no peer's record read, nothing kept, and nothing of the
host looked at. A program for measuring: nothing of it is deployed.
"""

import base64
import json
import os
import sys

import boto3
from cryptography.hazmat.primitives import serialization

KMS = boto3.client("kms")
SECRETS = boto3.client("secretsmanager")
PARAMETERS = boto3.client("ssm")

OWN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")


def main(cluster, index, *command):
    node = f"/{cluster}/node/{index}"
    names = [f"{node}/env", f"{node}/record"]
    found = PARAMETERS.get_parameters(Names=names)["Parameters"]
    documents = {parameter["Name"]: json.loads(parameter["Value"]) for parameter in found}
    environment, record = documents[names[0]], documents[names[1]]["record"]

    pkcs8 = read(environment["p2pKeyArn"], record["versionId"])
    password = read(environment["shareSecretArn"], record["shareVersionId"])
    for name in OWN:
        os.environ.pop(name, None)
    os.environ["KEYBOOT_P2P_PRIVATE_KEY"] = base64.b64encode(as_sec1(pkcs8)).decode()
    os.environ["KEYBOOT_SHARE_ENCRYPTION_PASSWORD"] = password.decode()
    os.execvp(command[0], command)


def read(arn, version):
    """One version of a secret, opened."""
    stored = SECRETS.get_secret_value(SecretId=arn, VersionId=version)["SecretString"]
    envelope = json.loads(stored)
    return KMS.decrypt(
        KeyId=envelope["keyArn"],
        CiphertextBlob=base64.b64decode(envelope["sealed"]),
        EncryptionContext=envelope["context"],
    )["Plaintext"]


def as_sec1(pkcs8):
    key = serialization.load_der_private_key(pkcs8, password=None)
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
