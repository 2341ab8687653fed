"""A template's secret.

AWS: `Ref` of an AWS::SecretsManager::Secret is its ARN; with neither `SecretString` nor
`GenerateSecretString` it has no version; a name that is taken, or that waits for its deletion, is refused
(CloudFormation Template Reference, AWS::SecretsManager::Secret; Secrets Manager API Reference,
CreateSecret). An ARN ends with a hyphen and six random characters (Secrets Manager User Guide,
"Secrets Manager secret").
MiniStack: `Ref` is the name; a secret without a value gets a version with an empty one; a secret of the same
name, one that an earlier stack left behind say, is overwritten with all its versions.
Here: as AWS has it, through MiniStack's own CreateSecret.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from template_types import Made, mends

TARGETS = {
    "ministack.services.cloudformation.provisioners:_sm_secret_create": "0bae0110fce2f2ba",
    "ministack.services.cloudformation.provisioners:_sm_secret_update": "e87220a5ff35a459",
    "ministack.services.cloudformation.provisioners:_sm_secret_delete": "4ff615ac828999af",
    "ministack.services.cloudformation.provisioners:_sm_secret_string": "35e09b8c3f3d4989",
    "ministack.services.cloudformation.provisioners:_physical_name": "aeef5b394ad26e50",
    "ministack.services.secretsmanager:_create_secret": "d3de7fac76ba4232",
    "ministack.services.secretsmanager:_resolve": "457901fe05e6007c",
}


def apply() -> None:
    """Wraps the type's handlers, which know a secret by its name."""
    handlers = mends("template_secrets", "AWS::SecretsManager::Secret")
    update, delete = provisioners._sm_secret_update, provisioners._sm_secret_delete

    def update_by_arn(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
        made, attributes = update(_name(physical_id), old, new, stack_name, logical_id)
        return attributes["Arn"], attributes

    def delete_by_arn(physical_id: str, props: dict) -> None:
        delete(_name(physical_id), props)

    # The update makes and ends what a new name replaces through the module's own names.
    provisioners._sm_secret_create = _create
    handlers.update(create=_create, update=update_by_arn, delete=delete_by_arn)


def _name(physical_id: str) -> str:
    name, _secret = secretsmanager._resolve(physical_id)
    return name or physical_id


def _create(logical_id: str, props: dict, stack_name: str) -> Made:
    request: dict[str, Any] = {
        "Name": props.get("Name") or provisioners._physical_name(stack_name, logical_id),
        "Description": props.get("Description", ""),
        "Tags": props.get("Tags", []),
    }
    if props.get("KmsKeyId"):
        request["KmsKeyId"] = props["KmsKeyId"]
    if "SecretString" in props or "GenerateSecretString" in props:
        request["SecretString"] = provisioners._sm_secret_string(props)
    # By the module's name: the plug-in `secret_versions` has wrapped it.
    status, _headers, body = secretsmanager._create_secret(request)
    told = json.loads(body)
    if status != 200:
        raise ValueError(told.get("message") or told.get("Message") or "the secret was refused")
    if props.get("ReplicaRegions"):
        provisioners._sm_secret_replicate(request["Name"], props["ReplicaRegions"])
    return told["ARN"], {"Id": told["ARN"]}
