"""Names secp256k1 private keys: from standard input to standard output, both JSON.

The curve is the package `cryptography`'s; Keccak and base58 are those of the vectors.
"""

import base64
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vectors/key-material"))
sys.dont_write_bytecode = True
import names  # noqa: E402


def named(scalar: str, host: str) -> dict:
    public = ec.derive_private_key(int(scalar, 16), ec.SECP256K1()).public_key()
    point = public.public_bytes(form.Encoding.X962, form.PublicFormat.UncompressedPoint)[1:]
    compressed = public.public_bytes(form.Encoding.X962, form.PublicFormat.CompressedPoint)
    spki = public.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    return {
        "spki": base64.b64encode(spki).decode(),
        "address": names.address(point),
        "nodeId": names.keccak256(point).hex(),
        "enode": f"enode://{point.hex()}@{host}:30303",
        "peerId": names.peer_id(compressed),
    }


given = json.load(sys.stdin)
json.dump([named(key, given["host"]) for key in given["keys"]], sys.stdout)
