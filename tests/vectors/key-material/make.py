"""Computes the vector files beside it with a second implementation.

Nothing of this project takes part: scalars come from SHA-512 over a label, points and documents
from the PyPI package `cryptography` (OpenSSL), CRC-32 from zlib, Keccak and base58 from names.py.
Run it as `python make.py`; the same input always gives the same files.

ethereum-addresses.json is not made here: its vectors are those of EIP-55.
"""

import base64
import hashlib
import json
import sys
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

sys.dont_write_bytecode = True
from names import address, keccak256, peer_id

HERE = Path(__file__).parent
CURVES = {
    "P-256": (ec.SECP256R1(), 32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551, "06082a8648ce3d030107"),
    "P-384": (ec.SECP384R1(), 48, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973, "06052b81040022"),
    "secp256k1": (ec.SECP256K1(), 32, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141, "06052b8104000a"),
}
EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")


# Points and documents

def key(curve, scalar):
    return ec.derive_private_key(scalar, CURVES[curve][0])


def pkcs8(private):
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def sec1(private):
    return private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def spki(private):
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def point(private, form=PublicFormat.UncompressedPoint):
    return private.public_key().public_bytes(Encoding.X962, form)


def scalars(curve, label):
    """Scalars without end: a digest of curve, label and a counter, reduced to the order."""
    size, order = CURVES[curve][1:3]
    counter = 0
    while True:
        digest = hashlib.sha512(f"{curve} {label} {counter}".encode()).digest()[:size]
        yield int.from_bytes(digest, "big") % (order - 1) + 1
        counter += 1


# p2p-keys.json

def vector(name, source, curve, scalar):
    private, size = key(curve, scalar), CURVES[curve][1]
    document, coordinates = spki(private), point(private)[1:]
    answer = {
        "name": name,
        "source": source,
        "curve": curve,
        "scalar": scalar.to_bytes(size, "big").hex(),
        "pkcs8": base64.b64encode(pkcs8(private)).decode(),
        "sec1": base64.b64encode(sec1(private)).decode(),
        "spki": base64.b64encode(document).decode(),
        "uncompressed": point(private).hex(),
        "compressed": point(private, PublicFormat.CompressedPoint).hex(),
        "fingerprint": "sha256:" + hashlib.sha256(document).hexdigest(),
    }
    if curve == "secp256k1":
        compressed = point(private, PublicFormat.CompressedPoint)
        answer["address"] = address(coordinates)
        answer["nodeId"] = keccak256(coordinates).hex()
        answer["enode"] = f"enode://{coordinates.hex()}@node-0.example.com:30303"
        answer["peerId"] = peer_id(compressed)
    return answer


COMPUTED = "computed with PyPI cryptography"
vendor = vector(
    "vendor sample",
    "sample player key in the Builder Vault TSM documentation: scalar, sec1 and spki; the rest " + COMPUTED,
    "P-256",
    0x96764F4112C46DF8C00EFBAE19FEF4A30EAE4CF6F7A8DE0D439E9C7B0B9963BF,
)
assert vendor["sec1"] == "MHcCAQEEIJZ2T0ESxG34wA77rhn+9KMOrkz296jeDUOenHsLmWO/oAoGCCqGSM49AwEHoUQDQgAE0AyIB0e0A00Z+ovqDQ5mjffEqVabU/eEOwOOrkElnSX1qPkgIn5eLIOC7OWQq6dgZnJLjElg6R4vR5a91aAE8w=="
assert vendor["spki"] == "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0AyIB0e0A00Z+ovqDQ5mjffEqVabU/eEOwOOrkElnSX1qPkgIn5eLIOC7OWQq6dgZnJLjElg6R4vR5a91aAE8w=="
peer = vector(
    "address and peer id sample",
    "scalar, address and peer id from this project's notes on op-node's keys; the rest " + COMPUTED,
    "secp256k1",
    0x53DADF1D5A164D6B4ACDB15E24AA4C5B1D3461BDBD42ABEDB0A4404D56CED8FB,
)
assert peer["address"] == "0x8b805bF52e9cE863375c5105E1158d519537F5B3"
assert peer["peerId"] == "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY"

keys = [vendor, peer]
for curve, (_, size, order, _) in CURVES.items():
    keys.append(vector("the smallest scalar", COMPUTED, curve, 1))
    keys.append(vector("the largest scalar", COMPUTED, curve, order - 1))
    wanted = {
        "x begins with 00": lambda k: k[1] == 0,
        "y begins with 00": lambda k: k[1 + size] == 0,
        "x and y begin with the digit 0": lambda k: k[1] < 0x10 and k[1 + size] < 0x10,
    }
    for name, holds in wanted.items():
        found = next(s for s in scalars(curve, name) if holds(point(key(curve, s))))
        keys.append(vector(name, COMPUTED, curve, found))
    for zeros in (1, 2):
        scalar = next(scalars(curve, "short")) >> 8 * zeros
        while scalar.bit_length() > 8 * (size - zeros) or scalar.bit_length() <= 8 * (size - zeros - 1):
            scalar >>= 1
        keys.append(vector(f"the scalar begins with {'00' * zeros}", COMPUTED, curve, scalar))


# documents.json

def der(tag, *content):
    content = b"".join(content)
    length = len(content)
    if length < 128:
        header = bytes([length])
    else:
        size = (length.bit_length() + 7) // 8
        header = bytes([0x80 | size]) + length.to_bytes(size, "big")
    return bytes([tag]) + header + content


def bits(data, unused=0):
    return der(0x03, bytes([unused]), data)


def inner(scalar, curve=None, public=None, version=1, tail=b""):
    return der(
        0x30,
        der(0x02, bytes([version])),
        der(0x04, scalar),
        der(0xA0, bytes.fromhex(CURVES[curve][3])) if curve else b"",
        der(0xA1, bits(public)) if public else b"",
        tail,
    )


def outer(curve, content, version=0, tail=b"", algorithm=None):
    algorithm = algorithm or der(0x30, EC_PUBLIC_KEY, bytes.fromhex(CURVES[curve][3]))
    return der(0x30, der(0x02, bytes([version])), algorithm, der(0x04, content), tail)


def public_document(curve, public, unused=0, algorithm=None, tail=b""):
    algorithm = algorithm or der(0x30, EC_PUBLIC_KEY, bytes.fromhex(CURVES[curve][3]))
    return der(0x30, algorithm, bits(public, unused), tail)


accepted, refused = [], []


def accept(name, form, document, curve, scalar):
    accepted.append({"name": f"{curve}: {name}", "form": form, "document": document.hex(), "curve": curve, "scalar": scalar.hex()})


def refuse(name, form, document, fault):
    refused.append({"name": name, "form": form, "document": document.hex(), "fault": fault})


for curve, (_, size, order, _) in CURVES.items():
    generator = scalars(curve, "documents")
    number = next(generator)
    private, other = key(curve, number), key(curve, next(generator))
    stranger = "P-256" if curve != "P-256" else "secp256k1"
    scalar = number.to_bytes(size, "big")
    full, compressed = point(private), point(private, PublicFormat.CompressedPoint)
    bent = full[:-1] + bytes([full[-1] ^ 1])
    assert pkcs8(private) == outer(curve, inner(scalar, public=full))
    assert sec1(private) == inner(scalar, curve, full)
    assert spki(private) == public_document(curve, full)

    accept("as OpenSSL writes it", "pkcs8", pkcs8(private), curve, scalar)
    accept("with the curve named again inside", "pkcs8", outer(curve, inner(scalar, curve, full)), curve, scalar)
    accept("without a public key", "pkcs8", outer(curve, inner(scalar)), curve, scalar)
    accept("with a compressed public key", "pkcs8", outer(curve, inner(scalar, public=compressed)), curve, scalar)
    accept("version 2, with the public key outside", "pkcs8", outer(curve, inner(scalar), 1, der(0x81, b"\0", full)), curve, scalar)
    accept("as OpenSSL writes it", "sec1", sec1(private), curve, scalar)
    accept("without a public key", "sec1", inner(scalar, curve), curve, scalar)

    def no(name, form, document, fault):
        refuse(f"{curve}: {name}", form, document, fault)

    no("a byte follows", "pkcs8", pkcs8(private) + b"\0", "Encoding")
    no("the last byte is missing", "pkcs8", pkcs8(private)[:-1], "Encoding")
    no("a byte follows inside", "pkcs8", outer(curve, inner(scalar, public=full) + b"\0"), "Encoding")
    no("an element follows in the inner sequence", "pkcs8", outer(curve, inner(scalar, public=full, tail=b"\x05\x00")), "Encoding")
    no("attributes", "pkcs8", outer(curve, inner(scalar, public=full), tail=bytes.fromhex("a000")), "Encoding")
    no("an extension after the public key", "pkcs8", outer(curve, inner(scalar), 1, der(0x81, b"\0", full) + bytes.fromhex("a3020500")), "Encoding")
    no("version 1 with a public key outside", "pkcs8", outer(curve, inner(scalar), 0, der(0x81, b"\0", full)), "Encoding")
    no("version 2 without a public key outside", "pkcs8", outer(curve, inner(scalar), 1), "Encoding")
    no("an unknown version", "pkcs8", outer(curve, inner(scalar), 2), "Encoding")
    no("an unknown version inside", "pkcs8", outer(curve, inner(scalar, version=2)), "Encoding")
    no("encrypted", "pkcs8", der(0x30, der(0x30, bytes.fromhex("06092a864886f70d01050d")), der(0x04, scalar)), "Encoding")
    no("an ECPrivateKey", "pkcs8", sec1(private), "Encoding")
    no("a public key", "pkcs8", spki(private), "Encoding")
    no("no curve named", "pkcs8", outer(curve, inner(scalar, curve, full), algorithm=der(0x30, EC_PUBLIC_KEY)), "Curve")
    no("another curve inside", "pkcs8", outer(curve, inner(scalar, stranger, full)), "Curve")
    no("the algorithm of RSA", "pkcs8", outer(curve, inner(scalar, public=full), algorithm=der(0x30, bytes.fromhex("06092a864886f70d010101"), bytes.fromhex(CURVES[curve][3]))), "Curve")
    no("a scalar without its last byte", "pkcs8", outer(curve, inner(scalar[:-1])), "Length")
    no("a scalar with a zero byte too many", "pkcs8", outer(curve, inner(b"\0" + scalar)), "Length")
    no("the scalar zero", "pkcs8", outer(curve, inner(bytes(size))), "Range")
    no("the scalar n", "pkcs8", outer(curve, inner(order.to_bytes(size, "big"))), "Range")
    no("a scalar of ones", "pkcs8", outer(curve, inner(b"\xff" * size)), "Range")
    no("another key's public key", "pkcs8", outer(curve, inner(scalar, public=point(other))), "PublicKey")
    no("the negated public key", "pkcs8", outer(curve, inner(scalar, public=bytes([compressed[0] ^ 1]) + compressed[1:])), "PublicKey")
    no("a public key off the curve", "pkcs8", outer(curve, inner(scalar, public=bent)), "PublicKey")
    no("another key's public key outside", "pkcs8", outer(curve, inner(scalar, public=full), 1, der(0x81, b"\0", point(other))), "PublicKey")
    no("an empty public key outside", "pkcs8", outer(curve, inner(scalar, public=full), 1, der(0x81, b"\0")), "PublicKey")

    no("a byte follows", "sec1", sec1(private) + b"\0", "Encoding")
    no("the last byte is missing", "sec1", sec1(private)[:-1], "Encoding")
    no("an element follows in the sequence", "sec1", inner(scalar, curve, full, tail=b"\x05\x00"), "Encoding")
    no("an unknown version", "sec1", inner(scalar, curve, full, version=2), "Encoding")
    no("a PrivateKeyInfo", "sec1", pkcs8(private), "Encoding")
    no("no curve named", "sec1", inner(scalar, public=full), "Curve")
    no("a scalar without its last byte", "sec1", inner(scalar[:-1], curve), "Length")
    no("a scalar with a zero byte too many", "sec1", inner(b"\0" + scalar, curve), "Length")
    no("an empty scalar", "sec1", inner(b"", curve), "Length")
    no("the scalar zero", "sec1", inner(bytes(size), curve), "Range")
    no("the scalar n", "sec1", inner(order.to_bytes(size, "big"), curve), "Range")
    no("another key's public key", "sec1", inner(scalar, curve, point(other)), "PublicKey")
    no("a public key off the curve", "sec1", inner(scalar, curve, bent), "PublicKey")

    no("a byte follows", "spki", spki(private) + b"\0", "Encoding")
    no("the last byte is missing", "spki", spki(private)[:-1], "Encoding")
    no("an element follows in the sequence", "spki", public_document(curve, full, tail=b"\x05\x00"), "Encoding")
    no("the length written in the long form", "spki", b"\x30\x81" + spki(private)[1:], "Encoding")
    no("no curve named", "spki", public_document(curve, full, algorithm=der(0x30, EC_PUBLIC_KEY)), "Curve")
    no("the algorithm of RSA", "spki", public_document(curve, full, algorithm=der(0x30, bytes.fromhex("06092a864886f70d010101"), bytes.fromhex(CURVES[curve][3]))), "Curve")
    no("a compressed point", "spki", public_document(curve, compressed), "Point")
    no("a hybrid point", "spki", public_document(curve, bytes([6 + full[-1] % 2]) + full[1:]), "Point")
    no("the point at infinity", "spki", public_document(curve, b"\0"), "Point")
    no("no point", "spki", public_document(curve, b""), "Point")
    no("a point off the curve", "spki", public_document(curve, bent), "Point")
    no("a coordinate not below the field's prime", "spki", public_document(curve, b"\x04" + b"\xff" * size + full[1 + size:]), "Point")
    no("a point without its last byte", "spki", public_document(curve, full[:-1]), "Point")

foreign = ec.derive_private_key(7, ec.SECP521R1())
refuse("P-521", "pkcs8", pkcs8(foreign), "Curve")
refuse("P-521", "sec1", sec1(foreign), "Curve")
refuse("P-521", "spki", spki(foreign), "Curve")
edwards = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"edwards").digest())
refuse("Ed25519", "pkcs8", pkcs8(edwards), "Curve")
refuse("Ed25519", "spki", spki(edwards), "Curve")
for form in ("pkcs8", "sec1", "spki"):
    refuse("nothing", form, b"", "Encoding")
    refuse("an indefinite length", form, bytes.fromhex("30800000"), "Encoding")


# api-keys.json

def base62(number, width):
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    text = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        text = alphabet[digit] + text
    assert number == 0
    return text


def checked(body):
    return body + base62(zlib.crc32(body.encode()), 6)


def key_hash(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


OURS = "this format's definition; computed with Python's integers, zlib and hashlib"
PREFIXES = {"Application": "keyboot_", "Management": "keybootm_"}
api_keys = []
for name, entropy in {
    "32 bytes 00": bytes(32),
    "the bytes 00 to 1f": bytes(range(32)),
    "32 bytes ff": b"\xff" * 32,
    "31 bytes 00 and 01": bytes(31) + b"\x01",
    "80 and 31 bytes 00": b"\x80" + bytes(31),
}.items():
    for kind, prefix in PREFIXES.items():
        text = checked(prefix + base62(int.from_bytes(entropy, "big"), 43))
        api_keys.append({"name": f"{kind}, {name}", "source": OURS, "kind": kind, "entropy": entropy.hex(), "text": text, "hash": key_hash(text)})
assert api_keys[0]["text"] == "keyboot_00000000000000000000000000000000000000000002wmlYx"
assert api_keys[0]["hash"] == "CSCRAPdDGbot77VH6ISeCpLiNSiUBqEBgS35v4Jqm7s="
assert api_keys[2]["text"] == "keyboot_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf2bBast"
assert api_keys[2]["hash"] == "T6bZyqUpD831rTZsGR6gLsnQW2+hZANNgTsWYsdfpno="
assert api_keys[4]["text"] == "keyboot_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp10D0AvT"
assert api_keys[4]["hash"] == "ZplLA4DjHdrHI4g5cD+SJciXdTt2xby957LOXcGPVdQ="

good = api_keys[2]["text"]
api_keys_refused = [
    {"name": name, "text": text, "fault": fault}
    for name, text, fault in [
        ("nothing", "", "Prefix"),
        ("the prefix in another case", "K" + good[1:], "Prefix"),
        ("another product's prefix", "ghp_" + good[8:], "Prefix"),
        ("a space before it", " " + good, "Prefix"),
        ("the prefix alone", "keyboot_", "Length"),
        ("the last character missing", good[:-1], "Length"),
        ("a newline after it", good + "\n", "Length"),
        ("a character too many", good + "0", "Length"),
        ("a hyphen", good[:20] + "-" + good[21:], "Alphabet"),
        ("an underscore", good[:20] + "_" + good[21:], "Alphabet"),
        ("a letter of two bytes", good[:20] + "\u00e9" + good[22:], "Alphabet"),
        ("a letter in the other case", good.replace("aUl", "auL"), "Checksum"),
        ("two digits swapped", good.replace("3a", "a3", 1), "Checksum"),
        ("the checksum of another key", good[:-6] + api_keys[4]["text"][-6:], "Checksum"),
        ("a checksum of more than 32 bits", good[:-6] + "zzzzzz", "Checksum"),
        ("the other kind's checksum", "keybootm_" + good[8:], "Checksum"),
        ("2 to the power of 256", checked("keyboot_" + base62(1 << 256, 43)), "Range"),
        ("the largest number in 43 digits", checked("keyboot_" + "z" * 43), "Range"),
    ]
]
hashes = [
    {"name": text, "source": "Builder Vault TSM documentation, sample API key", "text": text, "hash": expected}
    for text, expected in [
        ("apikey0", "IntV2sEZRwwd2F+UkDLC7zmFhwvpxAwb0eQKwdEnSZU="),
        ("apikey1", "1PebMT+BBvWvEIrZb/UWIi2/1aCrUvQwjksa0ddA3mA="),
    ]
]
assert all(key_hash(sample["text"]) == sample["hash"] for sample in hashes)


def write(name, about, **vectors):
    text = json.dumps({"about": about, **vectors}, indent=1, ensure_ascii=False)
    (HERE / name).write_text(text + "\n", encoding="utf-8")


write(
    "p2p-keys.json",
    "Private keys and every form they are written in. Each scalar must give each form, byte for "
    "byte, and each form of the private key must read back as the scalar. Documents are base64, "
    "the rest is hexadecimal. Those whose scalar or coordinates begin with zero bytes must come "
    "out padded to the curve's field.",
    keys=keys,
)
write(
    "documents.json",
    "DER documents in hexadecimal that must be read as the scalar stated, or refused for the "
    "fault stated. Put together by hand-written DER, checked against PyPI cryptography where "
    "that writes the same document.",
    accepted=accepted,
    refused=refused,
)
write(
    "api-keys.json",
    "API keys: 32 bytes must give the text and its hash, and the text must parse as its kind. "
    "Texts under `refused` must be refused for the fault stated. Texts under `hashes` are other "
    "makers' keys: no keyboot key, but hashed alike.",
    keys=api_keys,
    refused=api_keys_refused,
    hashes=hashes,
)
