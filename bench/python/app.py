"""What node-keys is measured against: its Create, written with crhelper and boto3.

It makes the same keys, stores the same secrets under the same tags and publishes the same signed
documents, so that whoever checks a cluster of node-keys' accepts this one too. It does so as such
functions are usually written: one call after the other, and no question beforehand. What node-keys
asks and writes besides, so that retries, duplicates and rollbacks do no harm, is not in it. A program
for measuring: nothing of it is deployed.
"""

import base64
import binascii
import hashlib
import json
import os
import secrets
import string

import boto3
import crhelper.utils
from crhelper import CfnResource
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

helper = CfnResource(json_logging=True, log_level="INFO", boto_level="CRITICAL")

try:
    KMS = boto3.client("kms")
    SECRETS = boto3.client("secretsmanager")
    PARAMETERS = boto3.client("ssm")
    SIGNING_KEY = os.environ["KEYBOOT_SIGNING_KEY_ARN"]
except Exception as error:  # whatever it is, CloudFormation is to hear of it
    helper.init_failure(error)

if os.environ.get("AWS_ENDPOINT_URL"):
    # On loopback the answer is plain HTTP, as node-keys' is there. crhelper knows HTTPS alone.
    from http.client import HTTPConnection

    crhelper.utils.HTTPSConnection = lambda host, context: HTTPConnection(host)

NAMESPACE = "keyboot"
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def handler(event, context):
    helper(event, context)


@helper.create
def create(event, _context):
    cluster = Cluster(event)
    records = [cluster.make_node(int(index)) for index in sorted(event["ResourceProperties"]["Nodes"], key=int)]
    helper.Data.update(cluster.publish_roster(records))
    return cluster.owner


@helper.update
@helper.delete
def refuse(_event, _context):
    raise NotImplementedError("only a Create is measured")


class Cluster:
    def __init__(self, event):
        properties = event["ResourceProperties"]
        self.name = f"{NAMESPACE}/{properties['Cluster']}"
        self.key = properties["KmsKeyArn"]
        self.applications = properties.get("Applications", ["default"])
        self.domain = properties.get("NodeDomain")
        self.generation = event["RequestId"]
        self.stack, self.resource = event["StackId"], event["LogicalResourceId"]
        declaration = hashlib.sha256(f"{self.stack}\0{self.resource}".encode()).hexdigest()[:16]
        self.owner = f"keyboot/{self.name}/{declaration}"
        self.documents = SIGNING_KEY.split(":kms:")[0] + ":ssm:" + ":".join(SIGNING_KEY.split(":")[3:5]) + ":parameter"

    def make_node(self, index):
        private_key = ec.generate_private_key(ec.SECP256R1())
        pkcs8 = private_key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        spki = private_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        public_key = base64.b64encode(spki).decode()
        fingerprint = "sha256:" + hashlib.sha256(spki).hexdigest()

        p2p_arn, p2p_version = self.store(index, "p2p-key", self.seal(index, "p2p-key", pkcs8), public_key)
        password = secrets.token_urlsafe(32).encode()
        share = self.seal(index, "share-encryption-password", password)
        share_arn, share_version = self.store(index, "share-encryption-password", share, None)
        api_keys = {name: self.make_key(index, f"api-key/{name}", "keyboot_") for name in self.applications}
        management_key = self.make_key(index, "management-key", "keybootm_")

        record = {
            "apiKeys": {name: [key] for name, key in api_keys.items()},
            "cluster": self.name,
            "curve": "P-256",
            "fingerprint": fingerprint,
            "generation": self.generation,
            "index": index,
            "managementKeys": [management_key],
            "publicKey": public_key,
            "schema": 1,
            "serial": 1,
            "shareVersionId": share_version,
            "version": 1,
            "versionId": p2p_version,
        }
        path = f"/{self.name}/node/{index}"
        self.publish(f"{path}/record", signed("record", record))
        environment = {
            "cluster": self.name,
            "index": index,
            "p2pKeyArn": p2p_arn,
            "peers": "roster",
            "recordArn": f"{self.documents}{path}/record",
            "schema": 1,
            "shareSecretArn": share_arn,
        }
        if self.domain:
            environment["node"] = f"node-{index}.{self.domain}"
        self.publish(f"{path}/env", canonical(environment))
        return record

    def publish_roster(self, records):
        nodes = [{name: record[name] for name in ("fingerprint", "index", "version")} for record in records]
        pages = [canonical({"nodes": nodes[first : first + 64]}) for first in range(0, len(nodes), 64)]
        for number, page in enumerate(pages):
            self.publish(f"/{self.name}/roster/1/page/{number}", page)
        digest = hashlib.sha256("".join(pages).encode()).hexdigest()
        index = {
            "cluster": self.name,
            "generation": self.generation,
            "nodeCount": len(records),
            "owner": self.owner,
            "pages": len(pages),
            "schema": 1,
            "serial": 1,
            "sha256": digest,
        }
        name = f"/{self.name}/roster/index"
        self.publish(name, signed("roster", index))
        return {"RosterArn": self.documents + name, "RosterSha256": digest, "NodeCount": str(len(records))}

    def make_key(self, index, purpose, prefix):
        number, digits = secrets.randbits(256), ""
        for _ in range(43):
            number, digit = divmod(number, 62)
            digits = DIGITS[digit] + digits
        text, checksum = prefix + digits, ""
        number = binascii.crc32(text.encode())
        for _ in range(6):
            number, digit = divmod(number, 62)
            checksum = DIGITS[digit] + checksum
        key = text + checksum
        key_hash = base64.b64encode(hashlib.sha256(key.encode()).digest()).decode()
        _, version = self.store(index, purpose, key, key_hash)
        return {"hash": key_hash, "state": "current", "versionId": version}

    def seal(self, index, purpose, plaintext):
        context = {
            "keyboot:cluster": self.name,
            "keyboot:node": str(index),
            "keyboot:purpose": purpose,
        }
        sealed = KMS.encrypt(KeyId=self.key, Plaintext=plaintext, EncryptionContext=context)["CiphertextBlob"]
        envelope = {
            "schema": 1,
            "kind": purpose,
            "sealed": base64.b64encode(sealed).decode(),
            "keyArn": self.key,
            "context": context,
        }
        return json.dumps(envelope, separators=(",", ":"))

    def store(self, index, purpose, value, public):
        name = f"{self.name}/node/{index}/{purpose}"
        tags = {
            "keyboot:owner": self.owner,
            "keyboot:stack": self.stack,
            "keyboot:resource": self.resource,
            "keyboot:generation": self.generation,
            "keyboot:cluster": self.name,
            "keyboot:node": str(index),
            "keyboot:purpose": purpose,
        }
        if public:
            tags["keyboot:public"] = public
        created = SECRETS.create_secret(
            Name=name,
            ClientRequestToken=hashlib.sha256(f"{self.generation}{name}".encode()).hexdigest(),
            KmsKeyId=self.key,
            SecretString=value,
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        return created["ARN"], created["VersionId"]

    def publish(self, name, text):
        tags = [{"Key": "keyboot:owner", "Value": self.owner}, {"Key": "keyboot:stack", "Value": self.stack}]
        PARAMETERS.put_parameter(Name=name, Value=text, Type="String", Tier="Advanced", Tags=tags)


def canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def signed(kind, document):
    text = canonical(document)
    digest = hashlib.sha256(f"keyboot.{kind}.v1\n{text}".encode()).digest()
    answer = KMS.sign(KeyId=SIGNING_KEY, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")
    signature = base64.b64encode(answer["Signature"]).decode()
    return f'{{"{kind}":{text},"signature":"{signature}","signer":"{SIGNING_KEY}"}}'
