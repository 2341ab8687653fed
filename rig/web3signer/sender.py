"""Who sent a transaction: reads it in hexadecimal from the standard input, and writes JSON.

It is the executable specification of Ethereum (`ethereum-execution`) that says so, by way of libsecp256k1. What
signs here is `eth-account`, which has its own code for all of it. Typed transactions alone (EIP-2718).
"""

from __future__ import annotations

import dataclasses
import json
import sys

from ethereum.forks.prague.transactions import Transaction, decode_transaction, recover_sender


def told(transaction: Transaction, kind: int) -> dict:
    fields = {field.name for field in dataclasses.fields(transaction)}
    hashes = transaction.blob_versioned_hashes if "blob_versioned_hashes" in fields else ()
    return {
        "sender": hexadecimal(recover_sender(transaction.chain_id, transaction)),
        "chain_id": int(transaction.chain_id),
        "kind": kind,
        "nonce": int(transaction.nonce),
        "gas": int(transaction.gas),
        "to": hexadecimal(transaction.to),
        "value": str(int(transaction.value)),
        "input": hexadecimal(transaction.data),
        "blob_versioned_hashes": [hexadecimal(blob) for blob in hashes],
    }


def hexadecimal(data: bytes) -> str:
    return "0x" + bytes(data).hex()


def main() -> int:
    raw = bytes.fromhex(sys.stdin.read().strip().removeprefix("0x"))
    print(json.dumps(told(decode_transaction(raw), raw[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
