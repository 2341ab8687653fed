"""Reads keys from standard input, writes what it makes of them to standard output, both JSON.

Runs behind names.py. Modes: `names` needs the standard library alone, `keys` needs the package
`cryptography`.
"""

import base64
import json
import sys


def names(keys):
    return [
        {
            "address": address(bytes.fromhex(key["uncompressed"])[1:]),
            "nodeId": keccak256(bytes.fromhex(key["uncompressed"])[1:]).hex(),
            "peerId": peer_id(bytes.fromhex(key["compressed"])),
        }
        for key in keys
    ]


def keys(given):
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    der, plain = form.Encoding.DER, form.NoEncryption()
    curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "secp256k1": ec.SECP256K1}

    def written(private):
        public = private.public_key()
        size = (private.curve.key_size + 7) // 8
        text = lambda data: base64.b64encode(data).decode()
        return {
            "curve": next(name for name, curve in curves.items() if isinstance(private.curve, curve)),
            "scalar": private.private_numbers().private_value.to_bytes(size, "big").hex(),
            "pkcs8": text(private.private_bytes(der, form.PrivateFormat.PKCS8, plain)),
            "sec1": text(private.private_bytes(der, form.PrivateFormat.TraditionalOpenSSL, plain)),
            "spki": text(public.public_bytes(der, form.PublicFormat.SubjectPublicKeyInfo)),
            "uncompressed": public.public_bytes(form.Encoding.X962, form.PublicFormat.UncompressedPoint).hex(),
            "compressed": public.public_bytes(form.Encoding.X962, form.PublicFormat.CompressedPoint).hex(),
        }

    def read(key):
        documents = {name: base64.b64decode(key[name]) for name in ("pkcs8", "sec1", "spki")}
        one = form.load_der_private_key(documents["pkcs8"], None)
        other = form.load_der_private_key(documents["sec1"], None)
        assert one.private_numbers() == other.private_numbers()
        # Signed by the private document, verified by the public one.
        signature = one.sign(b"keyboot", ec.ECDSA(SHA256()))
        form.load_der_public_key(documents["spki"]).verify(signature, b"keyboot", ec.ECDSA(SHA256()))
        return written(one)

    return {
        "read": [read(key) for key in given],
        "made": [written(ec.generate_private_key(curve())) for curve in curves.values() for _ in range(8)],
    }


json.dump({"names": names, "keys": keys}[sys.argv[1]](json.load(sys.stdin)), sys.stdout)
