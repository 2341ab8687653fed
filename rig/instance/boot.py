"""The first process of an instance that the rig runs: `boot.py <folder of the instance>`.

It is process 1 of the instance's own mount and process namespaces (rig/src/instances.rs starts it there). It
lays the instance's own folders over those of this machine, runs the user data as cloud-init would, once, with
bash and as it was deployed, and then does what systemd does for the units that user data switched on: their
folders, limits and capabilities, restarts after failures, and an end in order.

What the rest of an instance would have is not there: no network of its own, no kernel, no package manager.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

# Where units switched on by `systemctl` are written down (bin/systemctl).
ENABLED = Path("/run/rig/enabled")
# What of this machine's /etc an instance has as well.
SHARED = (
    "alternatives", "default/useradd", "group", "gshadow", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
    "localtime", "login.defs", "nsswitch.conf", "passwd", "shadow", "ssl", "os-release",
)  # fmt: skip
# What an Amazon Linux instance has.
MADE = ("etc/systemd/system", "var/lib", "var/log", "run/lock", "tmp", "usr/local/bin")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How a unit's process is to have ended for systemd not to start it again, and how long it waits otherwise.
CLEAN = {0, -signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE}


def main() -> None:
    """Boots, and goes on as the instance's systemd."""
    folder = Path(sys.argv[1])
    instance = json.loads((folder / "instance.json").read_text())
    lay_out(folder / "disk", instance)
    started = (run_user_data(folder / "user-data", folder / "disk/tmp", instance) == 0)
    (folder / "booted").write_text("user data ended well\n" if started else "user data failed\n")
    describe_host(instance)
    units = [Unit(name, instance) for name in enabled()]
    supervise([unit for unit in units if unit.is_playable()])


def lay_out(disk: Path, instance: dict[str, Any]) -> None:
    """Lays the instance's folders over this machine's."""
    for made in MADE:
        (disk / made).mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        source, target = Path("/etc") / name, disk / "etc" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy(source, target)
        except OSError:
            pass  # Not readable for who runs the rig: then nobody on the instance needs it.
    (disk / "etc/hostname").write_text(instance["id"] + "\n")
    # Programs of this machine stay reachable where others come to lie over them.
    for program in Path("/usr/local/bin").iterdir():
        aside = disk / "usr/local/host-bin"
        aside.mkdir(exist_ok=True)
        link = disk / "usr/local/bin" / program.name
        if not link.is_symlink():
            link.symlink_to(aside / program.name)
    if (aside := disk / "usr/local/host-bin").exists():
        mount("--bind", "/usr/local/bin", aside)
    for place in ("etc", "usr/local/bin", "var/lib", "var/log"):
        mount("--bind", disk / place, Path("/") / place)
    mount("-t", "tmpfs", "-o", "mode=0755,size=64m", "rig", "/run")
    ENABLED.parent.mkdir()
    # Only its own processes, and to each user only that user's.
    mount("-t", "proc", "-o", "hidepid=invisible", "proc", "/proc")


def mount(*arguments: object) -> None:
    """Mounts something in this namespace."""
    subprocess.run(["mount", *map(str, arguments)], check=True)


def run_user_data(user_data: Path, temporary: Path, instance: dict[str, Any]) -> int:
    """Runs user data as cloud-init does, and gives its exit status."""
    stubs = Path(__file__).parent / "bin"
    environment = base_environment(instance) | {
        "HOME": "/root",
        "PATH": f"{stubs}:{PATH}",
        "TMPDIR": str(temporary),
        "KEYBOOT_RIG_PYTHON": sys.executable,
    }
    return subprocess.run(["bash", user_data], cwd="/", env=environment, check=False).returncode


def base_environment(instance: dict[str, Any]) -> dict[str, str]:
    """Where the local AWS and the instance's metadata service are."""
    return {
        "AWS_ENDPOINT_URL": instance["endpoint"],
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": instance["metadata"],
        "AWS_DEFAULT_REGION": instance["region"],
    }


def describe_host(instance: dict[str, Any]) -> None:
    """Says in the nodes' configurations what of this machine is no node's host, and has them look more often: all
    that the rig changes of what user data wrote."""
    for file in Path("/etc/keyboot").glob("*.toml"):
        accepted = f"accepted-findings = {json.dumps(instance['findings'])}\n"
        file.write_text(accepted + file.read_text() + instance["watch"])


def enabled() -> list[str]:
    """The units that were switched on, in that order."""
    lines = ENABLED.read_text().splitlines() if ENABLED.exists() else []
    return list(dict.fromkeys(line.removesuffix(".service") for line in lines if not line.endswith(".timer")))


class Unit:
    """A service that user data installed in /etc/systemd/system."""

    def __init__(self, name: str, instance: dict[str, Any]) -> None:
        self.name, self.instance = name, instance
        self.settings = self._read()
        self.process: subprocess.Popen[bytes] | None = None
        self.next_start: float | None = 0.0

    @staticmethod
    def files(name: str) -> list[Path]:
        """Its file, of the template where it is an instance of one, and its drop-ins."""
        folder = Path("/etc/systemd/system")
        template = name.split("@")[0] + "@" if "@" in name else name
        files = [folder / f"{template}.service"]
        if not files[0].is_file():
            return []
        for drop_ins in (f"{template}.service.d", f"{name}.service.d"):
            files += sorted((folder / drop_ins).glob("*.conf"))
        return files

    def is_playable(self) -> bool:
        """Whether user data installed it and the rig has its program: all else is left alone."""
        program = shlex.split(self.last("ExecStart"))[:1]
        if program and os.access(program[0], os.X_OK):
            return True
        print(f"rig: {self.name} is not started: the rig has no such service", flush=True)
        return False

    def _read(self) -> dict[str, list[str]]:
        """The settings of [Service]; an empty one takes back those before (systemd.unit(5))."""
        settings: dict[str, list[str]] = {}
        for file in self.files(self.name):
            section = ""
            for line in file.read_text().splitlines():
                line = line.strip()
                if line.startswith("["):
                    section = line
                elif section == "[Service]" and "=" in line and line[:1] not in "#;":
                    key, value = (part.strip() for part in line.split("=", 1))
                    if value:
                        value = value.replace("%i", self.name.partition("@")[2])
                        settings.setdefault(key, []).append(value)
                    else:
                        settings.pop(key, None)
        return settings

    def last(self, key: str, default: str = "") -> str:
        """What a setting of one value says."""
        return self.settings.get(key, [default])[-1]

    def start(self) -> None:
        """Does what its settings say, and starts its command."""
        for kind, parent, mode in (("Runtime", "/run", "0755"), ("State", "/var/lib", "0755")):
            for folder in " ".join(self.settings.get(f"{kind}Directory", [])).split():
                path = Path(parent) / folder
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(int(self.last(f"{kind}DirectoryMode", mode), 8))
        command = ["setpriv"]
        if self.last("NoNewPrivileges") == "yes":
            command.append("--no-new-privs")
        if (bounding := self.settings.get("CapabilityBoundingSet")) is not None:
            kept = [name.removeprefix("CAP_").lower() for name in " ".join(bounding).split()]
            command += ["--bounding-set", ",".join(["-all", *(f"+{name}" for name in kept)])]
        command += shlex.split(self.last("ExecStart"))
        environment = base_environment(self.instance) | self.instance["environment"] | {"PATH": PATH}
        for line in self.settings.get("Environment", []):
            environment |= dict(word.split("=", 1) for word in shlex.split(line))
        print(f"rig: {self.name} starts", flush=True)
        out = self._output("StandardOutput", None)
        self.process = subprocess.Popen(  # noqa: PLW1509
            command,
            cwd="/",
            env=environment,
            stdout=out,
            stderr=self._output("StandardError", out),
            preexec_fn=self._limit,
        )
        self.next_start = None

    def _output(self, setting: str, default: BinaryIO | None) -> BinaryIO | None:
        """A file, where a setting names one; the console otherwise."""
        kind, _, path = self.last(setting).partition(":")
        return open(path, "ab") if kind == "append" else default  # noqa: SIM115

    def _limit(self) -> None:
        """In its process, before its command."""
        os.umask(int(self.last("UMask", "0022"), 8))
        for setting, limit in (("LimitCORE", resource.RLIMIT_CORE), ("LimitMEMLOCK", resource.RLIMIT_MEMLOCK)):
            if value := self.last(setting):
                number = resource.RLIM_INFINITY if value == "infinity" else int(value)
                try:
                    resource.setrlimit(limit, (number, number))
                except (OSError, ValueError):
                    pass  # More than whoever runs the rig may.

    def ended(self, status: int) -> None:
        """Its command has ended: it is started again after a failure."""
        print(f"rig: {self.name} ended ({status})", flush=True)
        self.process = None
        final = {int(code) for code in " ".join(self.settings.get("RestartPreventExitStatus", [])).split()}
        fine = CLEAN | {int(code) for code in " ".join(self.settings.get("SuccessExitStatus", [])).split()}
        if self.last("Restart") == "on-failure" and status not in fine | final:
            self.next_start = time.monotonic() + float(self.last("RestartSec", "0.1"))


def supervise(units: list[Unit]) -> None:
    """Keeps units running until the instance is told to end."""
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        ending = True
        for unit in units:
            if unit.process:
                os.kill(unit.process.pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    while not ending or any(unit.process for unit in units):
        for unit in units:
            if not ending and unit.next_start is not None and unit.next_start <= time.monotonic():
                unit.start()
        try:
            # Whoever lost its parent is process 1's to wait for.
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pid, status = 0, 0
        if not pid:
            time.sleep(0.02)
        for unit in units:
            if pid and unit.process and unit.process.pid == pid:
                unit.ended(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
