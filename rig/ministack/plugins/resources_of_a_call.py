"""Which resource a call is authorized on.

AWS: a KMS call is authorized on the key, whatever names it: an alias, or the ciphertext of a Decrypt,
which carries its key (AWS Key Management Service Developer Guide, "Key policies in AWS KMS";
KMS API Reference, Decrypt). GetParameters and DeleteParameters are authorized on every parameter they
name, GetParametersByPath on its path (Service Authorization Reference, "Actions, resources, and
condition keys for AWS Systems Manager"), whatever version of it they ask for.
MiniStack: does not find the key in a multi-Region key's ciphertext, whose id does not look like a UUID,
and authorizes such a Decrypt on `*`, past the key policy; takes an alias for the resource itself; and
authorizes the calls over several parameters, and by path, on `*`, takes an ARN for a mere name, and a version
for a part of one.
Here: the key's ARN, and each parameter's.
"""

from __future__ import annotations

import base64
import contextvars
import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import kms

TARGETS = {
    "ministack.core.iam_actions:extract_resource_arn": "82f51700695c62fd",
    "ministack.core.iam_actions:_kms_key_id_from_ciphertext": "9a193cf2adae8765",
    "ministack.core.iam_evaluator:enforce": "cf64b1ee5b099c8f",
    "ministack.services.kms:_resolve_key": "90e6b84ded7c823f",
    "ministack.services.kms:_encrypt": "27489558008da3a9",
    "ministack.services.kms:_generate_data_key_pair_without_plaintext": "210e1a7c004052c4",
}

# A ciphertext of MiniStack begins with its key's id: 36 characters, multi-Region or not.
KEY_ID_BYTES = 36

# The parameters a call names besides the first, from where they are read to where they are checked.
_more: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("keyboot_more_resources", default=())


def apply() -> None:
    """Wraps the reading of a call's resource, and its enforcement."""
    extract = iam_actions.extract_resource_arn
    enforce = iam_evaluator.enforce

    def resource_arn_of(service, method, path, headers, body, query_params, region, account_id) -> str:
        _more.set(())
        found = extract(service, method, path, headers, body, query_params, region, account_id)
        if service == "kms":
            return _key_arn(found, _json(body))
        if service == "ssm":
            arns = [_parameter_arn(name, region, account_id) for name in _parameter_names(_json(body))]
            _more.set(tuple(arns[1:]))
            return arns[0] if arns else found
        return found

    def enforce_all(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        others = _more.get() if service == "ssm" else ()
        for arn in (resource_arn, *others):
            denied = enforce(
                access_key_id,
                iam_action,
                service,
                region,
                resource_arn=arn,
                service_context=service_context,
            )
            if denied:
                return denied
        return None

    iam_actions.extract_resource_arn = resource_arn_of
    iam_evaluator.enforce = enforce_all


def _key_arn(found: str, request: dict) -> str:
    if found == "*":
        name = _key_in_ciphertext(request.get("CiphertextBlob"))
    else:
        name = found
    key = kms._resolve_key(name) if name else None
    return key["Arn"] if key else found


def _key_in_ciphertext(blob: Any) -> str:
    try:
        return base64.b64decode(blob or "")[:KEY_ID_BYTES].decode("ascii")
    except (ValueError, TypeError):
        return ""


def _parameter_names(request: dict) -> list[str]:
    names = request.get("Names") or [request.get("Name") or request.get("Path")]
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _parameter_arn(name: str, region: str, account_id: str) -> str:
    # A parameter shared by another account is named by its ARN. The version or label behind a name is no
    # part of the resource.
    if name.startswith("arn:"):
        return ":".join(name.split(":")[:6])
    return f"arn:aws:ssm:{region}:{account_id}:parameter/{name.split(':')[0].lstrip('/')}"


def _json(body: bytes) -> dict:
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}
