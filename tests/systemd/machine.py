"""A machine with a real systemd: a Debian root file system, booted in a container (systemd-nspawn).

It shares the host's network, so a server on the host's loopback is one on the machine's.
"""

import functools
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

WAIT_S = 300.0
"""How long a test waits for what should take seconds: the machine may have eight times the work it can do."""
LOOK_S = 0.1
IS_UP = {"running", "degraded"}

CGROUPS = [Path("/sys/fs/cgroup") / name for name in ("systemd", "unified", ".")]
"""Where a hierarchy with processes of systemd may be mounted: the old one, the new one beside it, the new one alone."""
IN_OWN_CGROUP = 'for top in "$@"; do shift; [ "$top" = -- ] && break; echo $$ >"$top/cgroup.procs"; done; exec "$@"'
"""Two machines in one cgroup have the same path for each unit, and end each other's processes and directories."""
_numbers = itertools.count()


def is_hierarchy(top: Path) -> bool:
    """Return whether a hierarchy of cgroups is mounted here."""
    return (top / "cgroup.procs").exists()


def is_removed(top: Path) -> bool:
    """Remove a cgroup and those in it; return whether it is gone, which it cannot be while a process is left."""
    subprocess.run(
        ["find", str(top), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], capture_output=True, check=False
    )
    return not top.exists()


class Machine:
    """One machine. `power_on`, then `run` commands on it."""

    def __init__(self, root: Path, *options: str) -> None:
        """Take the root file system, and options of systemd-nspawn; nothing runs yet."""
        self.root = root
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._cgroups: Sequence[Path] = ()
        self._log = root.with_name(f"{root.name}.log")

    def power_on(self) -> None:
        """Boot, and wait until systemd has started everything."""
        self._leave_cgroups()
        name = f"climahub-{os.getpid()}-{next(_numbers)}"
        self._cgroups = [top / name for top in CGROUPS if is_hierarchy(top)]
        for top in self._cgroups:
            top.mkdir()
        command = [
            "sh",
            "-c",
            IN_OWN_CGROUP,
            "sh",
            *map(str, self._cgroups),
            "--",
            "systemd-nspawn",
            "-q",
            "-D",
            str(self.root),
            "--boot",
            "--register=no",
            "--keep-unit",
            *self._options,
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--console=pipe"],
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait(lambda: self._try("systemctl", "is-system-running").strip() in IS_UP, "the boot")

    def power_off(self) -> None:
        """Cut the power: every process dies at once."""
        if self._process is not None and self._process.poll() is None:
            leader = self._leader()
            if leader is not None:
                os.kill(leader, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self._leave_cgroups()

    def wait_for_restart(self) -> None:
        """Wait until the machine goes down by itself, and boot it again."""
        assert self._process is not None
        process = self._process
        self.wait(lambda: process.poll() is not None, "the restart")
        self.power_on()

    def run(self, *command: str) -> str:
        """Run a command on the machine as root and return what it printed."""
        done = self._run(*command)
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def open(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a command on the machine as root, with its input and output in the hands of the caller."""
        return subprocess.Popen([*self.entrance(), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def entrance(self) -> Sequence[str]:
        """Return the words that run a command on the machine as root, put before it."""
        leader = self._leader()
        assert leader is not None, f"the machine is not up\n{self._log.read_text(errors='replace')[-2000:]}"
        return ["nsenter", "-t", str(leader), "-a"]

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", unit, "--property", name, "--value").strip()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file on the machine."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode=mode)
        target.chmod(mode)
        target.write_text(text)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something to become true on the machine."""
        end_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end_s, f"{what} did not come within {WAIT_S} s\n{self.journal()}"
            time.sleep(LOOK_S)

    def journal(self) -> str:
        """Return the end of the service's log."""
        return self._try("journalctl", "--namespace=+climahub", "-u", "climahub", "-n", "40", "--no-pager", "-o", "cat")

    def _leave_cgroups(self) -> None:
        for top in self._cgroups:
            self.wait(functools.partial(is_removed, top), "the end of all its processes")
        self._cgroups = []

    def _try(self, *command: str) -> str:
        return self._run(*command).stdout if self._leader() is not None else ""

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.entrance(), *command], capture_output=True, text=True, check=False, timeout=WAIT_S)

    def _leader(self) -> int | None:
        """Return the machine's first process."""
        if self._process is None or self._process.poll() is not None:
            return None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else None
