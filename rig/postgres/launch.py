"""Starts one PostgreSQL server on a port of loopback, behind TLS, as RDS would have made it.

    python launch.py --folder FOLDER --port PORT --password PASSWORD [--host NAME]... [--user NAME]
                     [--database NAME] [--authority FOLDER]

The server is PostgreSQL itself, out of the Python package `pgserver`. What it is good for: everything
behind the handshake is real, that is SCRAM-SHA-256, roles and privileges, the statement log. What it
gets wrong:

- The package is built without TLS, so TLS ends in front of the server, in this process. The server
  takes its connections for local ones: channel binding (SCRAM-SHA-256-PLUS) is never offered, and
  `pg_stat_ssl` is empty.
- The version is the package's (16.2), whatever was asked for; there is one server, no replica, no
  snapshot, no parameter group, and `fsync` is off.
- The master user has CREATEROLE and CREATEDB and owns the databases, as on RDS, and is a member of a
  role `rds_superuser` that has a few of the predefined roles. The extensions and the restrictions that
  RDS adds beyond that are not there. `rdsadmin` is the superuser, as there, but here one may know its
  password: it is for tests that look at what only a superuser sees.

A connection without TLS is refused, as by RDS with `rds.force_ssl`. Asked over HTTP on the same port,
it answers 200 once the server is up, as the rig's other services do.

What it leaves in its folder, readable by its starter alone where it is secret:

    ca.pem               the certificate authority, for `rds-roots.pem`
    rdsadmin-password    the superuser's
    postgres.log         the server's log, with every statement and every connection

With `--authority` several servers share one certificate authority, which is made there if it is not
there yet; one `ca.pem` then stands for all of them.

PostgreSQL does not run as root: a starter that is root has it run in a user namespace of its own, where the
same files belong to `nobody`, as whom it runs there. If its standard input is
a pipe, everything ends as soon as that closes, so it cannot outlive its starter. From Python, say from a
plug-in of an emulator, `start(...)` does all of this and waits until the server answers.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import fcntl
import http.client
import ipaddress
import os
import pathlib
import secrets
import signal
import ssl
import stat
import struct
import subprocess
import sys
import time

SUPERUSER = "rdsadmin"
# Who PostgreSQL is where its starter is root: to itself `nobody`, to everybody else its starter still.
AS_NOBODY = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"]
# Time for the server to come up and to end, in seconds.
START_SECONDS, END_SECONDS = 60, 10

# PostgreSQL documentation, "Message Formats": SSLRequest, GSSENCRequest.
SSL_REQUEST, GSSENC_REQUEST = 80877103, 80877104

CONFIGURATION = """
listen_addresses = ''
unix_socket_permissions = 0777
password_encryption = 'scram-sha-256'
shared_buffers = '16MB'
max_connections = 60
fsync = off
full_page_writes = off
logging_collector = off
log_statement = 'all'
log_min_messages = 'info'
log_min_error_statement = 'error'
log_connections = on
log_disconnections = on
log_line_prefix = '%m [%p] %q%u@%d '
"""

# Nothing but SCRAM-SHA-256, for nobody.
WHO_CONNECTS = "local all all scram-sha-256\n"


def quoted(text: str, mark: str) -> str:
    """An identifier (mark ") or a literal (mark ') of SQL."""
    return mark + text.replace(mark, mark * 2) + mark


class Postgres:
    """The server process and its files."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.sockets = folder / "socket"
        self.socket = self.sockets / ".s.PGSQL.5432"
        self.sockets_open: int | None = None
        self.process: subprocess.Popen | None = None
        self.identity = AS_NOBODY if os.getuid() == 0 else []

    def make(self, user: str, password: str, database: str) -> None:
        """Makes the cluster, and in it what RDS makes: the master user and the first database."""
        if self.data.exists():
            return
        of_superuser = secrets.token_urlsafe(24)
        kept = self.folder / "rdsadmin-password"
        write_privately(kept, of_superuser.encode())
        for made in (self.data, self.sockets):
            made.mkdir(mode=0o700)
        passed = self.sockets / "password"
        write_privately(passed, of_superuser.encode())
        try:
            self.run(
                "initdb", "--pgdata", str(self.data), "--username", SUPERUSER, "--auth", "scram-sha-256",
                "--pwfile", str(passed), "--encoding", "UTF8", "--no-locale", "--no-sync",
            )
        finally:
            passed.unlink()
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write(CONFIGURATION)
        (self.data / "pg_hba.conf").write_text(WHO_CONNECTS)
        name, literal, first = quoted(user, '"'), quoted(password, "'"), quoted(database, '"')
        statements = [
            "CREATE ROLE rds_superuser NOLOGIN",
            "GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION",
            f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD {literal} IN ROLE rds_superuser",
            f"CREATE DATABASE {first} OWNER {name}",
            f"ALTER DATABASE postgres OWNER TO {name}",
            f"ALTER DATABASE template1 OWNER TO {name}",
        ]
        # Without a server there is nobody to be authenticated by.
        self.run("postgres", "--single", "-D", str(self.data), "postgres", given="\n".join(statements) + "\n")

    def start(self) -> None:
        """Starts the server, which writes its log into the folder."""
        # A socket's path has at most 107 bytes, and a checkout may lie deep: the server names it from its own
        # folder, whoever connects by the open folder it is in.
        self.sockets_open = os.open(self.sockets, os.O_PATH | os.O_DIRECTORY)
        with (self.folder / "postgres.log").open("ab") as log:
            # It goes down at once when this process dies.
            self.process = subprocess.Popen(
                [
                    *self.identity, "setpriv", "--pdeathsig", "QUIT", "--",
                    self.program("postgres"), "-D", str(self.data), "-k", os.path.relpath(self.sockets, self.data),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data,
            )

    def is_up(self) -> bool:
        """Whether it takes connections."""
        return self.socket.exists() and "ready" in (self.data / "postmaster.pid").read_text()

    def near_socket(self) -> str:
        """A short path of its socket, as long as it runs."""
        return f"/proc/self/fd/{self.sockets_open}/{self.socket.name}"

    def stop(self) -> None:
        """Ends it at once, whoever is connected."""
        if self.sockets_open is not None:
            os.close(self.sockets_open)
            self.sockets_open = None
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def run(self, program: str, *arguments: str, given: str | None = None) -> None:
        """Runs one of PostgreSQL's programs to its end."""
        done = subprocess.run(
            [*self.identity, self.program(program), *arguments], input=given, capture_output=True, text=True,
            cwd=self.sockets,
        )
        # In single-user mode a statement that fails does not make the program fail.
        if done.returncode != 0 or "ERROR" in done.stderr or "FATAL" in done.stderr:
            raise RuntimeError(f"{program} failed: {done.stderr[-500:]}")

    @staticmethod
    def program(name: str) -> str:
        import importlib.util

        # Found without being imported: importing it makes folders in the user's home.
        package = importlib.util.find_spec("pgserver")
        if package is None or package.origin is None:
            raise RuntimeError("the Python package pgserver is not installed")
        return str(pathlib.Path(package.origin).parent / "pginstall" / "bin" / name)


def write_privately(path: pathlib.Path, content: bytes) -> None:
    """Writes a file that nobody else reads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


class Authority:
    """A certificate authority in a folder, made when it is first asked for."""

    def __init__(self, folder: pathlib.Path) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        folder.mkdir(parents=True, exist_ok=True)
        self.certificate_path, key_path = folder / "ca.pem", folder / "ca-key.pem"
        # Two that start at once are to agree.
        with (folder / "ca.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.certificate_path.exists():
                self.make(key_path)
        self.key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        self.certificate = x509.load_pem_x509_certificate(self.certificate_path.read_bytes())

    def make(self, key_path: pathlib.Path) -> None:
        """A new one, whose name no other has: what looks for an issuer by name finds the right one."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = named(f"keyboot rig authority {secrets.token_hex(4)}")
        authority = (
            valid(x509.CertificateBuilder().subject_name(name).issuer_name(name))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(certificates=True), critical=True)
        )
        write_privately(key_path, private_pem(key))
        self.certificate_path.write_bytes(public_pem(signed(authority, key)))

    def issue(self, hosts: list[str], folder: pathlib.Path) -> ssl.SSLContext:
        """A certificate for these names or addresses, and TLS with it."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            valid(x509.CertificateBuilder().subject_name(named(hosts[0])))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName([alternative(host) for host in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]), critical=False)
        )
        chain = folder / "server.pem"
        write_privately(chain, private_pem(key) + public_pem(signed(certificate, self.key)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(chain)
        return context


def named(common_name: str):
    from cryptography import x509

    # A common name has at most 64 characters; what is verified is the alternative name.
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name[:64])])


def valid(builder):
    from cryptography import x509

    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    numbered = builder.serial_number(x509.random_serial_number())
    return numbered.not_valid_before(now - day).not_valid_after(now + 30 * day)


def usage(certificates: bool):
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not certificates, key_cert_sign=certificates, crl_sign=certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )


def alternative(host: str):
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def signed(builder, key):
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def private_pem(key) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(certificate) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM)


class Front:
    """What listens: TLS by PostgreSQL's own way of asking for it, then the server."""

    def __init__(self, server: Postgres, context: ssl.SSLContext) -> None:
        self.server, self.context = server, context

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.begin(reader, writer)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(8)
            if head.startswith(b"GET "):
                status = "200 OK" if self.server.is_up() else "503 Service Unavailable"
                writer.write(f"HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            _, code = struct.unpack(">II", head)
            if code == SSL_REQUEST:
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(self.context)
                await self.pipe(reader, writer)
                return
            if code == GSSENC_REQUEST:
                writer.write(b"N")
                await writer.drain()
                continue
            # PostgreSQL documentation, "Message Formats": ErrorResponse.
            fields = b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for host, no encryption\0\0"
            writer.write(b"E" + struct.pack(">I", len(fields) + 4) + fields)
            await writer.drain()
            return

    async def pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_read, to_write = await asyncio.open_unix_connection(self.server.near_socket())
        ways = [
            asyncio.ensure_future(carry(reader, to_write)),
            asyncio.ensure_future(carry(to_read, writer)),
        ]
        # Whichever side leaves, the other one is shown it.
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        to_write.close()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def serve(server: Postgres, context: ssl.SSLContext, port: int) -> None:
    """Until a signal comes, the starter is gone, or the server has ended by itself."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        loop.add_reader(0, lambda: os.read(0, 4096) or end.set())
    front = Front(server, context)
    listener = await asyncio.start_server(front.converse, "127.0.0.1", port)
    while not end.is_set() and server.process is not None and server.process.poll() is None:
        try:
            await asyncio.wait_for(end.wait(), 0.5)
        except asyncio.TimeoutError:
            pass
    listener.close()


class Running:
    """A launcher that was started from Python."""

    def __init__(self, process: subprocess.Popen, port: int, authority: pathlib.Path) -> None:
        self.process, self.port, self.authority = process, port, authority

    def stop(self) -> None:
        """Ends the server and its launcher."""
        self.process.terminate()
        try:
            self.process.wait(2 * END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(
    folder: str | os.PathLike, port: int, password: str, *, hosts: list[str] | None = None,
    user: str = "postgres", database: str = "tsm", authority: str | os.PathLike | None = None,
) -> Running:
    """Starts this script as a process of its own and waits until it answers.

    It ends with the process that called this, however that one ends. A folder with a server's files in
    it is taken up again as it is: the user's password is then whatever it was last.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, os.path.abspath(__file__), "--folder", str(folder), "--port", str(port)]
    # One word: a password may begin with a hyphen.
    command += ["--user", user, "--database", database, f"--password={password}"]
    for host in hosts or []:
        command += ["--host", host]
    if authority is not None:
        command += ["--authority", str(authority)]
    with (folder / "launcher.log").open("ab") as log:
        # Whoever holds the pipe's other end is this process, and nobody else.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    running = Running(process, port, pathlib.Path(authority or folder) / "ca.pem")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if answers(port):
            return running
        time.sleep(0.05)
    running.stop()
    raise RuntimeError(f"PostgreSQL did not come up: see {folder / 'launcher.log'} and postgres.log beside it")


def answers(port: int) -> bool:
    """Whether a launcher on this port says that its server is up."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="PostgreSQL behind TLS on a port of loopback.")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", action="append")
    parser.add_argument("--user", default="postgres")
    parser.add_argument("--password", required=True)
    parser.add_argument("--database", default="tsm")
    parser.add_argument("--authority", type=pathlib.Path)
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    server = Postgres(folder)
    server.make(asked.user, asked.password, asked.database)
    context = Authority(asked.authority or folder).issue(asked.host or ["localhost"], folder)
    server.start()
    try:
        asyncio.run(serve(server, context, asked.port))
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
