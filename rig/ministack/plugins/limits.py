"""Documented limits that decide how keyboot cuts its data.

AWS: a Standard parameter holds 4,096 bytes, an Advanced one 8,192, and an Advanced one does not become
Standard again (Systems Manager API Reference, PutParameter, Tier); GetParameters and DeleteParameters
take at most 10 names; KMS Encrypt takes at most 4,096 bytes of plaintext (KMS API Reference, Encrypt).
MiniStack: has none of these.
Here: all of them, as ValidationException.
"""

from __future__ import annotations

import base64

from ministack.core.responses import error_response_json
from ministack.services import kms, ssm

TARGETS = {
    "ministack.services.ssm:handle_request": "ca18fc988ca9d8ec",
    "ministack.services.ssm:_put_parameter": "7518a51e56531ffd",
    "ministack.services.ssm:_default_tier": "5e007f7d2586649d",
    "ministack.services.ssm:_get_parameters": "ec9edbf2d732aa82",
    "ministack.services.ssm:_delete_parameters": "c2114e707bd89b18",
    "ministack.services.kms:handle_request": "cbcba1e01b41681a",
    "ministack.services.kms:_encrypt": "27489558008da3a9",
}

TIER_BYTES = {"Standard": 4_096, "Advanced": 8_192, "Intelligent-Tiering": 8_192}
NAMES = 10
PLAINTEXT_BYTES = 4_096


def apply() -> None:
    """Wraps each call by its limit."""
    put, get_many, delete_many = ssm._put_parameter, ssm._get_parameters, ssm._delete_parameters
    encrypt = kms._encrypt

    def put_parameter(data: dict) -> tuple:
        value = data.get("Value", "")
        existing = ssm._parameters.get(data.get("Name") or "")
        tier = data.get("Tier") or ssm._default_tier(data, value, existing)
        if len(value.encode()) > TIER_BYTES.get(tier, TIER_BYTES["Advanced"]):
            return _refused(
                f"{tier} tier parameters support a maximum parameter value of {TIER_BYTES[tier]} characters."
            )
        if existing and existing.get("Tier") == "Advanced" and tier == "Standard" and data.get("Overwrite"):
            return _refused(
                "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the"
                " advanced-parameter tier to the standard-parameter tier."
            )
        return put(data)

    def few_names(handle):
        def handle_few(data: dict) -> tuple:
            if len(data.get("Names") or ()) > NAMES:
                return _refused(f"Member must have length less than or equal to {NAMES}")
            return handle(data)

        return handle_few

    def encrypt_short(data: dict) -> tuple:
        plaintext = data.get("Plaintext", "")
        if isinstance(plaintext, str) and len(base64.b64decode(plaintext)) > PLAINTEXT_BYTES:
            return _refused(
                "1 validation error detected: Value at 'plaintext' failed to satisfy constraint:"
                f" Member must have length less than or equal to {PLAINTEXT_BYTES}"
            )
        return encrypt(data)

    ssm._put_parameter = put_parameter
    ssm._get_parameters = few_names(get_many)
    ssm._delete_parameters = few_names(delete_many)
    kms._encrypt = encrypt_short


def _refused(message: str) -> tuple:
    return error_response_json("ValidationException", message)
