"""A stand-in for Web3Signer. It is not Web3Signer: it does what Web3Signer's documentation says that one does.

    python stand_in.py --http-listen-port PORT --key-config-path FOLDER [--http-host-allowlist NAMES]
                       {eth1 --chain-id ID | eth2}

It says so in its first line, in the header `Server` of each answer, and when it is asked for
`web3_clientVersion` (which Web3Signer itself passes on to a node behind it).

What it does as Web3Signer 25.11.0 and later do, as far as a key in HashiCorp's KV v2 goes:

- It reads every key file (`*.yaml`, `*.yml`, not hidden) in the folder. One file may hold several documents.
  Fields that it does not know are passed over; scalars may be texts (`tlsEnabled: "true"`).
- `type: hashicorp` fetches the secret by HTTPS with the file's token and keeps the key in memory. `keyType` is
  BLS if it is missing, and a BLS key is no key in `eth1` mode: no error, no key. `eth2` loads no key here and
  answers no JSON-RPC.
- With `tlsEnabled` and `tlsKnownServersPath` the server's certificate is taken if its SHA-256 stands behind
  `<host>:<port>` in that file, by TLS 1.3, before the token is sent. Without that file, the machine's own
  authorities decide. Without `tlsEnabled` it speaks plain HTTP.
- `keyName` is `value`, `serverPort` 8200, and `timeout` 10000 milliseconds if they are missing.
- A file is read again once its modification time is another; one that is gone takes its key with it; one that
  has changed and cannot be loaded loses the key it had. `POST /reload` does this behind its answer (202, or 409
  while one is under way), `GET /reload` tells how it went.
- `GET /upcheck` is OK, and `GET /healthcheck` UP, with no key at all.
- A request whose host is not in `--http-host-allowlist` (localhost, 127.0.0.1) is answered 403.
- `eth_accounts`, `eth_sign`, `eth_signTransaction`, `health_status`. A transaction is signed for the chain of the
  command line, whatever chain and access list the request names, and needs a nonce. Anything else would be
  passed on to a node: there is none here.

What it gets wrong or does not have: every other kind of key file (`file-raw`, `file-keystore`, the clouds', YubiHSM);
raw `blobs` instead of their hashes; `eth_signTypedData`, `eth_sendTransaction`; a node behind it; TLS of its own;
metrics; slashing protection. Signatures are `eth-account`'s.

If its standard input is a pipe, it ends as soon as that closes, so it cannot outlive its starter.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import ssl
import stat
import sys
import threading
import time

import yaml
from eth_account import Account
from eth_account.messages import encode_defunct

NAME = "keyboot's stand-in for Web3Signer"
SERVER = "keyboot-stand-in-for-Web3Signer"
DEFAULT_HOSTS = "localhost,127.0.0.1"
DEFAULT_PORT, DEFAULT_TIMEOUT_MILLISECONDS, DEFAULT_KEY_NAME = 8200, 10_000, "value"
DEFAULT_GAS = "0x15f90"

# JSON-RPC 2.0, "Error object", and what Web3Signer adds to it; with the status of the answer.
PARSE_ERROR = (400, -32700, "Parse error")
INVALID_PARAMS = (400, -32602, "Invalid params")
NOT_UNLOCKED = (400, -32000, "No unlocked account matches the Sender")
NO_NODE = (502, -32000, "Failed to connect to downstream node")


class KeyFileError(Exception):
    """Why a key file gives no key. Never holds a token or a key."""


class RpcError(Exception):
    """An error of JSON-RPC."""


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Keys:
    """The keys that key files lead to, by address."""

    def __init__(self, folder: pathlib.Path, mode: str) -> None:
        self.folder, self.mode = folder, mode
        # Path -> its modification time, and its keys.
        self.files: dict[pathlib.Path, tuple[int, list]] = {}
        self.accounts: dict[str, object] = {}

    def load(self) -> int:
        """Reads what is new or changed, drops what is gone. Gives the number of errors."""
        found = {path: path.stat().st_mtime_ns for path in self.folder.iterdir() if is_key_file(path)}
        kept = {path: known for path, known in self.files.items() if found.get(path) == known[0]}
        errors = 0
        for path in sorted(found.keys() - kept.keys()):
            try:
                kept[path] = (found[path], self.read(path))
            except (KeyFileError, OSError, yaml.YAMLError) as fault:
                # PyYAML's own words hold lines of the file, thus a token.
                log(f"{path.name}: {type(fault).__name__ if isinstance(fault, yaml.YAMLError) else fault}")
                errors += 1
        self.files = kept
        self.accounts = {account.address.lower(): account for _, keys in kept.values() for account in keys}
        log(f"keys loaded: {len(self.accounts)}, errors: {errors}")
        return errors

    def read(self, path: pathlib.Path) -> list:
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document is not None]
        fetched = []
        for document in documents:
            if not isinstance(document, dict):
                raise KeyFileError("not a mapping")
            if document.get("type") != "hashicorp":
                raise KeyFileError(f"no known type: {document.get('type')!r}")
            key_type = str(document.get("keyType", "BLS")).upper()
            if key_type not in ("BLS", "SECP256K1"):
                raise KeyFileError(f"no known keyType: {key_type!r}")
            if self.mode == "eth1" and key_type == "SECP256K1":
                fetched.append(HashiCorp(document, self.folder).account())
        return fetched


def is_key_file(path: pathlib.Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml") and not path.name.startswith(".")


class HashiCorp:
    """A key file of the type `hashicorp`."""

    def __init__(self, fields: dict, folder: pathlib.Path) -> None:
        for required in ("serverHost", "keyPath", "token"):
            if fields.get(required) is None:
                raise KeyFileError(f"{required} is missing")
        self.host, self.path, self.token = (str(fields[name]) for name in ("serverHost", "keyPath", "token"))
        self.port = whole(fields, "serverPort", DEFAULT_PORT)
        self.timeout = whole(fields, "timeout", DEFAULT_TIMEOUT_MILLISECONDS) / 1000
        self.key_name = str(fields.get("keyName") or DEFAULT_KEY_NAME)
        self.has_tls = truth(fields, "tlsEnabled", False)
        self.known_servers = fields.get("tlsKnownServersPath")
        self.folder = folder

    def account(self):
        if not self.path.startswith("/"):
            raise KeyFileError("keyPath does not begin with a slash")
        connection = self.connect()
        try:
            connection.request("GET", self.path, headers={"X-Vault-Token": self.token})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as fault:
            raise KeyFileError(f"error communicating with the server: {type(fault).__name__}") from None
        finally:
            connection.close()
        if answer.status not in (200, 204):
            raise KeyFileError(f"the server answered with status {answer.status}")
        return account_of(self.value(body))

    def value(self, body: bytes) -> str:
        try:
            value = json.loads(body)["data"]["data"].get(self.key_name)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise KeyFileError("the answer is not one of KV v2") from None
        if value is None:
            raise KeyFileError(f"the secret has no entry {self.key_name!r}")
        return str(value)

    def connect(self) -> http.client.HTTPConnection:
        if not self.has_tls:
            return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        fingerprint = None if self.known_servers is None else self.known_fingerprint()
        context = ssl.create_default_context()
        if fingerprint is not None:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=context)
        try:
            connection.connect()
        except OSError as fault:
            raise KeyFileError(f"no connection with TLS: {type(fault).__name__}") from None
        if fingerprint is not None:
            shown = hashlib.sha256(connection.sock.getpeercert(binary_form=True)).hexdigest()
            if shown != fingerprint:
                connection.close()
                raise KeyFileError(f"the certificate of {self.host}:{self.port} is not the one that is known")
        return connection

    def known_fingerprint(self) -> str:
        """The fingerprint for this server, in hexadecimal without colons."""
        path = pathlib.Path(self.known_servers)
        # It looks for the file beside the key files, and reads it from where it was started.
        if not (path if path.is_absolute() else self.folder / path).exists():
            raise KeyFileError(f"the known servers file {path} does not exist")
        try:
            lines = path.absolute().read_text().splitlines()
        except OSError:
            raise KeyFileError(f"the known servers file {path} cannot be read") from None
        for line in lines:
            parts = line.split(maxsplit=1)
            if len(parts) == 2 and parts[0].lower() == f"{self.host}:{self.port}".lower():
                return parts[1].strip().replace(":", "").lower()
        raise KeyFileError(f"{self.host}:{self.port} is no known server")


def whole(fields: dict, name: str, default: int) -> int:
    try:
        return default if fields.get(name) is None else int(str(fields[name]))
    except ValueError:
        raise KeyFileError(f"{name} is no number") from None


def truth(fields: dict, name: str, default: bool) -> bool:
    text = str(default if fields.get(name) is None else fields[name]).lower()
    if text not in ("true", "false"):
        raise KeyFileError(f"{name} is neither true nor false")
    return text == "true"


def account_of(text: str):
    """The account of a key in hexadecimal, however many of its digits are there."""
    digits = text.removeprefix("0x")
    try:
        if not digits or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
            raise ValueError
        return Account.from_key(int(digits, 16).to_bytes(32, "big"))
    except (ValueError, OverflowError):
        raise KeyFileError("the secret is no private key in hexadecimal") from None
    except Exception:
        # The library's own words may hold the key.
        raise KeyFileError("the secret is no private key of the curve") from None


class Signer:
    """What the methods of JSON-RPC do."""

    def __init__(self, keys: Keys, chain_id: int) -> None:
        self.keys, self.chain_id = keys, chain_id

    def answer(self, method: str, params: object) -> object:
        if method == "health_status":
            return "OK"
        if method == "web3_clientVersion":
            return NAME
        if method == "eth_accounts":
            if params not in (None, []):
                raise RpcError(INVALID_PARAMS)
            return sorted(self.keys.accounts)
        if method == "eth_sign":
            return self.sign(params)
        if method == "eth_signTransaction":
            return self.sign_transaction(params)
        raise RpcError(NO_NODE)

    def sign(self, params: object) -> str:
        if not isinstance(params, list) or len(params) != 2:
            raise RpcError(INVALID_PARAMS)
        signed = self.account(params[0]).sign_message(encode_defunct(hexstr=str(params[1])))
        return hexadecimal(signed.signature)

    def sign_transaction(self, params: object) -> str:
        asked = params[0] if isinstance(params, list) and len(params) == 1 else params
        if not isinstance(asked, dict) or asked.get("nonce") is None or asked.get("blobs") is not None:
            raise RpcError(INVALID_PARAMS)
        account = self.account(asked.get("from"))
        transaction = {
            "chainId": self.chain_id,
            "nonce": asked["nonce"],
            "gas": asked.get("gas") or DEFAULT_GAS,
            "to": address(asked.get("to")),
            "value": asked.get("value") or "0x0",
            "data": asked.get("data") or asked.get("input") or "0x",
        }
        fees = {name: asked.get(name) for name in ("maxFeePerGas", "maxPriorityFeePerGas")}
        if None in fees.values():
            transaction["gasPrice"] = asked.get("gasPrice") or "0x0"
        else:
            transaction |= {"type": 2, "accessList": [], **fees}
            if asked.get("maxFeePerBlobGas") is not None and asked.get("blobVersionedHashes") is not None:
                blobs = {name: asked[name] for name in ("maxFeePerBlobGas", "blobVersionedHashes")}
                transaction |= {"type": 3, **blobs}
        try:
            return hexadecimal(account.sign_transaction(transaction).raw_transaction)
        except (TypeError, ValueError):
            raise RpcError(INVALID_PARAMS) from None

    def account(self, named: object):
        account = self.keys.accounts.get(f"0x{str(named).removeprefix('0x')}".lower())
        if account is None:
            raise RpcError(NOT_UNLOCKED)
        return account


def address(named: object) -> str:
    """An address as the library wants it: with its checksum, or none."""
    from eth_utils import to_checksum_address

    try:
        return "" if named is None else to_checksum_address(str(named))
    except ValueError:
        raise RpcError(INVALID_PARAMS) from None


def hexadecimal(data: bytes) -> str:
    return "0x" + bytes(data).hex()


class Reload:
    """The one reload that may be under way."""

    def __init__(self, keys: Keys) -> None:
        self.keys, self.lock, self.status = keys, threading.Lock(), {"status": "idle"}

    def begin(self) -> bool:
        if not self.lock.acquire(blocking=False):
            return False
        self.status = {"status": "running"}
        threading.Thread(target=self.run, daemon=True).start()
        return True

    def run(self) -> None:
        try:
            errors = self.keys.load()
            self.status = {"status": "completed_with_errors" if errors else "completed"}
        except OSError as fault:
            log(f"the folder cannot be read: {type(fault).__name__}")
            self.status = {"status": "failed"}
        finally:
            self.lock.release()


class Handler(http.server.BaseHTTPRequestHandler):
    """HTTP."""

    protocol_version = "HTTP/1.1"
    hosts: list[str]
    signer: Signer | None
    reload: Reload

    def version_string(self) -> str:
        return SERVER

    def log_message(self, *_: object) -> None:
        """What is asked is not logged."""

    def do_GET(self) -> None:
        if self.is_allowed():
            if self.path == "/upcheck":
                self.send(200, b"OK", "text/plain; charset=utf-8")
            elif self.path == "/healthcheck":
                checks = [{"id": "default-check", "status": "UP"}]
                self.send_json(200, {"status": "UP", "checks": checks, "outcome": "UP"})
            elif self.path == "/reload":
                self.send_json(200, self.reload.status)
            else:
                self.send(404, b"", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.is_allowed():
            return
        if self.path == "/reload":
            if self.reload.begin():
                self.send_json(202, {"status": "accepted"})
            else:
                self.send_json(409, {"status": "error", "message": "a reload is under way"})
        elif self.path == "/" and self.signer is not None:
            self.send_json(*self.rpc(self.signer, body))
        else:
            self.send(404, b"", "text/plain")

    def is_allowed(self) -> bool:
        host = self.headers.get("Host", "").partition(":")[0]
        if "*" in self.hosts or host.lower() in self.hosts:
            return True
        self.send_json(403, {"message": "Host not authorized."})
        return False

    @staticmethod
    def rpc(signer: Signer, body: bytes) -> tuple[int, dict]:
        asked: dict = {}
        try:
            asked = json.loads(body)
            result = signer.answer(asked["method"], asked.get("params"))
            return 200, {"jsonrpc": "2.0", "id": asked.get("id"), "result": result}
        except RpcError as fault:
            status, code, message = fault.args[0]
        except (ValueError, KeyError, TypeError, AttributeError):
            status, code, message = PARSE_ERROR
        number = asked.get("id") if isinstance(asked, dict) else None
        return status, {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}

    def send_json(self, status: int, body: object) -> None:
        self.send(status, json.dumps(body).encode(), "application/json")

    def send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def hosts_of(text: str) -> list[str]:
    """The hosts of an allow-list: `*` and `all` are every one, `none` is none."""
    hosts = [host.strip().lower() for host in text.split(",") if host.strip()]
    return [] if hosts == ["none"] else ["*" if host == "all" else host for host in hosts]


def end_with_starter() -> None:
    """Ends this process once its standard input, if it is a pipe, has closed."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        while os.read(0, 4096):
            pass
        os._exit(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=NAME)
    parser.add_argument("--http-listen-port", type=int, required=True)
    parser.add_argument("--key-config-path", type=pathlib.Path, required=True)
    parser.add_argument("--http-host-allowlist", default=DEFAULT_HOSTS)
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("eth1").add_argument("--chain-id", type=int, required=True)
    modes.add_parser("eth2")
    asked = parser.parse_args()
    print(f"This is {NAME}, not Web3Signer. What it does is told by rig/web3signer/stand_in.py.", flush=True)
    keys = Keys(asked.key_config_path.absolute(), asked.mode)
    keys.load()
    Handler.hosts = hosts_of(asked.http_host_allowlist)
    Handler.signer = Signer(keys, asked.chain_id) if asked.mode == "eth1" else None
    Handler.reload = Reload(keys)
    threading.Thread(target=end_with_starter, daemon=True).start()
    http.server.ThreadingHTTPServer(("127.0.0.1", asked.http_listen_port), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
