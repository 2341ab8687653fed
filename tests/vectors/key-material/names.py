"""What Ethereum and libp2p call a secp256k1 key, computed apart from this project's code.

Plain integers and the standard library. make.py imports it for the vectors, and the test suite of
key-material runs it on fresh keys.
"""

import hashlib


def keccak256(data, padding=0x01):
    def rotate(word, by):
        return (word << by | word >> 64 - by) & (1 << 64) - 1 if by else word

    state = [[0] * 5 for _ in range(5)]
    rate = 136
    data = bytearray(data + bytes([padding]))
    data += bytes(-len(data) % rate)
    data[-1] |= 0x80
    for block in range(0, len(data), rate):
        for lane in range(rate // 8):
            at = block + 8 * lane
            state[lane % 5][lane // 5] ^= int.from_bytes(data[at:at + 8], "little")
        register = 1
        for _ in range(24):
            parity = [a ^ b ^ c ^ d ^ e for a, b, c, d, e in state]
            for x in range(5):
                change = parity[x - 1] ^ rotate(parity[(x + 1) % 5], 1)
                state[x] = [lane ^ change for lane in state[x]]
            x, y, held = 1, 0, state[1][0]
            for step in range(24):
                x, y = y, (2 * x + 3 * y) % 5
                held, state[x][y] = state[x][y], rotate(held, (step + 1) * (step + 2) // 2 % 64)
            for y in range(5):
                row = [state[x][y] for x in range(5)]
                for x in range(5):
                    state[x][y] = row[x] ^ ~row[(x + 1) % 5] & row[(x + 2) % 5]
            for bit in range(7):
                state[0][0] ^= (register & 1) << (1 << bit) - 1
                register = register << 1 ^ (register >> 7) * 0x171
    return b"".join(state[lane % 5][lane // 5].to_bytes(8, "little") for lane in range(4))


def address(coordinates):
    digits = keccak256(coordinates)[12:].hex()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(d.upper() if m >= "8" else d for d, m in zip(digits, marks))


def peer_id(compressed):
    return base58(bytes.fromhex("002508021221") + compressed)


def base58(data):
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


# With SHA-3's padding the same permutation must give what the standard library gives.
for sample in (b"", b"abc", bytes(200)):
    assert keccak256(sample, 0x06) == hashlib.sha3_256(sample).digest()
