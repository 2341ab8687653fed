"""Secrets Manager and Parameter Store use the customer's key, on the caller's behalf.

AWS: under a customer managed key, CreateSecret, PutSecretValue and UpdateSecret need
`kms:GenerateDataKey` and `kms:Decrypt` of their caller, GetSecretValue `kms:Decrypt`; the calls reach KMS
with `kms:ViaService` secretsmanager.<region>.amazonaws.com and the context SecretARN, SecretVersionId; for
a write the Decrypt checks access, with SecretVersionId `RequestToValidateKeyAccess` (Secrets Manager User
Guide, "Secret encryption and decryption in AWS Secrets Manager"). A SecureString needs `kms:Encrypt`
(Standard) or `kms:GenerateDataKey` (Advanced) to write and `kms:Decrypt` to read decrypted, via
ssm.<region>.amazonaws.com with the context PARAMETER_ARN (Systems Manager User Guide, "How AWS Systems
Manager Parameter Store uses AWS KMS").
MiniStack: never asks KMS, so a key policy without those statements works, and a key that is disabled,
pending deletion or not there as well.
Here: the caller is checked against key policy and identity policies, and the key's state. A key policy
that covers only a direct call, or only via the store, tells them apart. Keys of AWS are not asked for.
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import iam_evaluator, router
from ministack.core.responses import error_response_json, get_region
from ministack.services import kms, secretsmanager, ssm

TARGETS = {
    "ministack.services.secretsmanager:handle_request": "e1909f662da6e20e",
    "ministack.services.secretsmanager:_create_secret": "d3de7fac76ba4232",
    "ministack.services.secretsmanager:_put_secret_value": "d09b0557e1697d62",
    "ministack.services.secretsmanager:_update_secret": "4227455f1f1e478f",
    "ministack.services.secretsmanager:_get_secret_value": "faa3eb333a8be736",
    "ministack.services.secretsmanager:_purge_secret": "6f986d22028c4855",
    "ministack.services.secretsmanager:_resolve": "457901fe05e6007c",
    "ministack.services.ssm:handle_request": "ca18fc988ca9d8ec",
    "ministack.services.ssm:_put_parameter": "7518a51e56531ffd",
    "ministack.services.ssm:_get_parameter": "b442d63c5a8ebc6c",
    "ministack.services.ssm:_get_parameters": "ec9edbf2d732aa82",
    "ministack.services.ssm:_select_parameter": "008ce160feb3e9cd",
    "ministack.services.ssm:_param_arn": "561a5c7232c79a2b",
    "ministack.services.kms:_resolve_key": "90e6b84ded7c823f",
    "ministack.core.iam_evaluator:enforce": "cf64b1ee5b099c8f",
    "ministack.core.router:extract_access_key_id": "4f0df6b2b1cd3320",
}

VALIDATION = "RequestToValidateKeyAccess"

# Who makes the request that is being handled; empty for what MiniStack does for itself.
caller: contextvars.ContextVar[str] = contextvars.ContextVar("keyboot_store_caller", default="")


def apply() -> None:
    """Wraps the two services' calls that encrypt or decrypt."""
    for service in (secretsmanager, ssm):
        service.handle_request = _knowing_the_caller(service.handle_request)
    create, put, update, get = (
        secretsmanager._create_secret,
        secretsmanager._put_secret_value,
        secretsmanager._update_secret,
        secretsmanager._get_secret_value,
    )

    def create_secret(data: dict) -> tuple:
        known = data.get("Name") in secretsmanager._secrets
        answer = create(data)
        if answer[0] != 200 or known or not data.get("KmsKeyId"):
            return answer
        made = json.loads(answer[2])
        if "VersionId" not in made:
            return answer
        refused = _write_secret(data["KmsKeyId"], made["ARN"], made["VersionId"])
        if refused:
            # The context needs the ARN, which only the stored secret has: nothing is left of it.
            secretsmanager._purge_secret(*secretsmanager._resolve(made["ARN"]))
            return refused
        return answer

    def put_secret_value(data: dict) -> tuple:
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        if secret and secret.get("KmsKeyId") and not secret.get("DeletedDate"):
            version = data.get("ClientRequestToken") or VALIDATION
            if refused := _write_secret(secret["KmsKeyId"], secret["ARN"], version):
                return refused
        return put(data)

    def update_secret(data: dict) -> tuple:
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        key = data.get("KmsKeyId") or (secret or {}).get("KmsKeyId")
        writes = {"SecretString", "SecretBinary", "KmsKeyId"} & data.keys()
        if secret and key and writes and not secret.get("DeletedDate"):
            version = data.get("ClientRequestToken") or VALIDATION
            if refused := _write_secret(key, secret["ARN"], version):
                return refused
        return update(data)

    def get_secret_value(data: dict) -> tuple:
        answer = get(data)
        if answer[0] != 200:
            return answer
        got = json.loads(answer[2])
        _, secret = secretsmanager._resolve(got["ARN"])
        if not secret or not secret.get("KmsKeyId"):
            return answer
        context = {"SecretARN": got["ARN"], "SecretVersionId": got["VersionId"]}
        return _ask("secretsmanager", secret["KmsKeyId"], "Decrypt", context, "DecryptionFailure") or answer

    secretsmanager._create_secret = create_secret
    secretsmanager._put_secret_value = put_secret_value
    secretsmanager._update_secret = update_secret
    secretsmanager._get_secret_value = get_secret_value
    _wrap_parameters()


def _wrap_parameters() -> None:
    put, get, get_many = ssm._put_parameter, ssm._get_parameter, ssm._get_parameters

    def put_parameter(data: dict) -> tuple:
        key = data.get("KeyId")
        if data.get("Type") == "SecureString" and key and not str(key).startswith("alias/aws/"):
            operation = "GenerateDataKey" if data.get("Tier") == "Advanced" else "Encrypt"
            context = {"PARAMETER_ARN": ssm._param_arn(data.get("Name", ""))}
            if refused := _ask("ssm", key, operation, context, "InvalidKeyId"):
                return refused
        return put(data)

    def reading(names: Callable[[dict], list], read: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
        def read_parameters(data: dict) -> tuple:
            for name in names(data) if data.get("WithDecryption") else ():
                parameter, _ = ssm._select_parameter(name)
                key = (parameter or {}).get("KeyId") or "alias/aws/ssm"
                if not key.startswith("alias/aws/"):
                    context = {"PARAMETER_ARN": parameter["ARN"]}
                    if refused := _ask("ssm", key, "Decrypt", context, "InvalidKeyId"):
                        return refused
            return read(data)

        return read_parameters

    ssm._put_parameter = put_parameter
    ssm._get_parameter = reading(lambda data: [data.get("Name", "")], get)
    ssm._get_parameters = reading(lambda data: data.get("Names", []), get_many)


def _knowing_the_caller(handle: Callable) -> Callable:
    async def handle_request(method, path, headers, body, query_params):
        token = caller.set(router.extract_access_key_id(headers, query_params) or "")
        try:
            return await handle(method, path, headers, body, query_params)
        finally:
            caller.reset(token)

    return handle_request


def _write_secret(key: str, arn: str, version: str) -> tuple | None:
    encrypt = {"SecretARN": arn, "SecretVersionId": version}
    validate = {"SecretARN": arn, "SecretVersionId": VALIDATION}
    return _ask("secretsmanager", key, "GenerateDataKey", encrypt, "EncryptionFailure") or _ask(
        "secretsmanager", key, "Decrypt", validate, "EncryptionFailure"
    )


def _ask(service: str, key_id: str, operation: str, context: dict, failure: str) -> tuple | None:
    """The refusal of the store's call to KMS, if there is one."""
    if not caller.get():
        return None
    key: Any = kms._resolve_key(key_id)
    if key is None:
        return error_response_json("ResourceNotFoundException" if service != "ssm" else failure, f"{key_id} not found")
    if key["KeyState"] != "Enabled":
        return error_response_json(failure, f"{key['Arn']} is in state {key['KeyState']}.")
    if not app.AUTH:
        return None
    request = {
        "kms:ViaService": f"{service}.{get_region()}.amazonaws.com",
        "kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "kms:EncryptionContextKeys": list(context),
        **{f"kms:EncryptionContext:{name}": value for name, value in context.items()},
    }
    denied = iam_evaluator.enforce(
        caller.get(),
        f"kms:{operation}",
        "kms",
        get_region(),
        resource_arn=key["Arn"],
        service_context=request,
    )
    if denied is None:
        return None
    return error_response_json(
        "AccessDeniedException", f"Access to KMS is not allowed (kms:{operation} on {key['Arn']})"
    )
