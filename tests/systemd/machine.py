"""A machine with a real systemd: a Debian root file system, booted in a container (systemd-nspawn).

It shares the host's network, so a server on the host's loopback is one on the machine's.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

WAIT_S = 300.0
"""How long a test waits for what should take seconds: the machine may have eight times the work it can do."""
LOOK_S = 0.1
IS_UP = {"running", "degraded"}


class Machine:
    """One machine. `power_on`, then `run` commands on it."""

    def __init__(self, root: Path, *options: str) -> None:
        """Take the root file system, and options of systemd-nspawn; nothing runs yet."""
        self.root = root
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._log = root.with_name(f"{root.name}.log")

    def power_on(self) -> None:
        """Boot, and wait until systemd has started everything."""
        command = [
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
        leader = self._leader()
        assert leader is not None
        return subprocess.Popen(
            ["nsenter", "-t", str(leader), "-a", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

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

    def _try(self, *command: str) -> str:
        return self._run(*command).stdout if self._leader() is not None else ""

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        leader = self._leader()
        assert leader is not None, f"the machine is not up\n{self._log.read_text(errors='replace')[-2000:]}"
        return subprocess.run(
            ["nsenter", "-t", str(leader), "-a", *command], capture_output=True, text=True, check=False, timeout=WAIT_S
        )

    def _leader(self) -> int | None:
        """Return the machine's first process."""
        if self._process is None or self._process.poll() is not None:
            return None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else None
