"""An emulated Raspberry Pi 3 (QEMU), with Debian's kernel and systemd on it, and no network.

What runs on it is told through its second serial port (`hand.py`). What its GPIO controller does is read from outside,
at the emulated registers themselves, and every write to them can be recorded.
"""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.raspberry import registers
from tests.raspberry.cpio import Archive
from tests.raspberry.registers import Controller

EMULATOR = "qemu"
"""The directory of the image in which it is, where that of this machine is too old (`image.py`)."""
BOOT_S_MAX = 480.0
"""About half a minute on an idle machine; builders are not idle."""
COMMAND_S_MAX = 150.0
LIFE_S_MAX = 2400
"""It ends then, even if who has started it was killed."""
LOOK_S = 0.1
HAND = Path(__file__).with_name("hand.py")
HAND_UNIT = """\
[Unit]
Description=The tests' hand on this machine
[Service]
ExecStart=/usr/bin/python3 -I -S /hand.py
"""
UNUSED_UNITS = (
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "kmod-static-nodes.service",
    "ldconfig.service",
    "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "run-lock.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-creds.socket",
    "systemd-firstboot.service",
    "systemd-hibernate-clear.service",
    "systemd-hostnamed.socket",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-network-generator.service",
    "systemd-networkd.socket",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "systemd-sysext.socket",
    "systemd-tmpfiles-setup-dev-early.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-udev-load-credentials.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "systemd-update-done.service",
    "tmp.mount",
)
"""Each takes a second of the emulated processor, and nothing here needs it."""
PARAMETERS = "console=ttyAMA0 loglevel=4 rdinit=/sbin/init systemd.unit=hand.service systemd.show_status=no"


def emulator(image: Path) -> list[str]:
    """Return the command of QEMU: the one that came with the image, else that of this machine."""
    root = image / EMULATOR
    if not root.exists():
        return ["qemu-system-aarch64"]
    libraries = next((root / "usr/lib").glob("*-linux-gnu"))
    loader = next(path for path in sorted((root / "usr").glob("lib*/ld-linux*.so*")) if path.exists())
    program = [str(loader), "--library-path", f"{libraries}:{libraries}/pulseaudio"]
    return [*program, str(root / "usr/bin/qemu-system-aarch64"), "-L", str(root / "usr/share/qemu")]


class Machine:
    """One machine. `power_on`, then `run` commands on it and look at its lines."""

    def __init__(self, image: Path, directory: Path, devices: Sequence[str] = ()) -> None:
        """Take the image; nothing runs yet.

        Args:
            image: What `image.py` has made.
            directory: For the machine's files.
            devices: What is connected to it, as QEMU's -device has it.
        """
        self._devices = devices
        self._image = image
        self._directory = directory
        self._log = directory / "writes.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._connections: list[_Lines] = []
        self._port: _Lines
        self._monitor: _Lines

    def power_on(self, add: Callable[[Archive], None], parameter: str = "") -> None:
        """Boot, and wait until commands can be run.

        Args:
            add: Puts what is tested on the machine, over the image.
            parameter: One more for the kernel.
        """
        initrd = self._directory / "initrd.cpio"
        with initrd.open("wb") as out:
            out.write((self._image / "system.cpio").read_bytes())
            with Archive(out) as archive:
                _prepare(archive)
                add(archive)
        self._process = subprocess.Popen(
            [
                *(
                    "timeout",
                    str(LIFE_S_MAX),
                    "nice",
                    *emulator(self._image),
                    "-machine",
                    "raspi3b",
                    "-accel",
                    "tcg,thread=single",
                ),
                *("-nodefaults", "-nic", "none", "-display", "none", "-D", str(self._log)),
                *("-kernel", str(self._image / "kernel"), "-dtb", str(self._image / "board.dtb")),
                *("-initrd", str(initrd), "-append", f"{PARAMETERS} {parameter}"),
                *(word for device in self._devices for word in ("-device", device)),
                *("-serial", f"file:{self._directory / 'console.log'}"),
                *("-serial", f"unix:{self._directory / 'port'},server=on,wait=off"),
                *("-qmp", f"unix:{self._directory / 'monitor'},server=on,wait=off"),
            ],
            stdin=subprocess.DEVNULL,
        )
        self._monitor = self._connect("monitor")
        self._monitor.ask({"execute": "qmp_capabilities"})
        self._port = self._connect("port")
        assert "ready" in self._port.receive(BOOT_S_MAX)

    def power_off(self) -> None:
        """Cut the power."""
        if self._process is not None:
            # `timeout` passes it on.
            self._process.terminate()
            self._process.wait()
        for connection in self._connections:
            connection.close()

    def run(self, *command: str) -> str:
        """Run a command on the machine as root and return what it printed."""
        code, out, error = self.attempt(*command)
        assert code == 0, f"{' '.join(command)}: {code}\n{out}{error}"
        return out

    def attempt(self, *command: str, user: str | None = None, groups: tuple[str, ...] = ()) -> tuple[int, str, str]:
        """Run a command and return its exit code and what it printed, and said of errors."""
        answer = self._port.ask({"run": command, "user": user, "groups": groups})
        return int(answer["code"]), str(answer["out"]), str(answer["err"])

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", unit, "--property", name, "--value").strip()

    def write(self, path: str, text: str) -> None:
        """Put a file on the machine."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"', "sh", path, text)

    def wait(self, condition: Callable[[], object], timeout_s: float, what: str) -> None:
        """Wait for something to become true on the machine."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, f"{what} did not come within {timeout_s} s\n{self.journal()}"
            time.sleep(LOOK_S)

    def journal(self) -> str:
        """Return the end of the service's log."""
        return self.attempt("journalctl", "-u", "climahub", "-n", "40", "--no-pager", "-o", "cat")[1]

    def controller(self) -> Controller:
        """Look at the GPIO controller's registers, from outside."""
        told = self._human(f"xp /{registers.WORDS}wx {registers.BASE:#x}")
        words = [word for line in told.splitlines() for word in line.partition(":")[2].split()]
        return registers.read([int(word, 16) for word in words])

    @contextmanager
    def recorded(self) -> Iterator[Callable[[], list[Controller]]]:
        """Record every write to the controller; what is given returns all states so far, the first one included."""
        start = self.controller()
        place = self._log.stat().st_size if self._log.exists() else 0
        self._human("trace-event memory_region_ops_write on")

        def states() -> list[Controller]:
            with self._log.open() as log:
                log.seek(place)
                return list(registers.replay(start, log))

        try:
            yield states
        finally:
            self._human("trace-event memory_region_ops_write off")

    def set_property(self, path: str, name: str, value: int) -> None:
        """Set a property of a device, from outside."""
        arguments = {"path": path, "property": name, "value": value}
        answer = self._monitor.ask({"execute": "qom-set", "arguments": arguments})
        assert "error" not in answer, answer

    def _human(self, command: str) -> str:
        answer = self._monitor.ask({"execute": "human-monitor-command", "arguments": {"command-line": command}})
        return str(answer["return"])

    def _connect(self, name: str) -> "_Lines":
        path = self._directory / name
        end_s = time.monotonic() + BOOT_S_MAX
        while not path.exists():
            assert self._process is not None
            assert self._process.poll() is None, "the emulator does not start"
            assert time.monotonic() < end_s, "the emulator does not come up"
            time.sleep(LOOK_S)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        self._connections.append(_Lines(connection))
        return self._connections[-1]


class _Lines:
    """A connection on which objects are exchanged, a line each."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pending = b""

    def ask(self, question: Mapping[str, object]) -> Mapping[str, Any]:
        """Send one and return what comes back."""
        self._connection.sendall(json.dumps(question).encode() + b"\n")
        return self.receive(COMMAND_S_MAX)

    def receive(self, timeout_s: float) -> Mapping[str, Any]:
        """Return the next one; the monitor's greeting and news are passed over."""
        self._connection.settimeout(timeout_s)
        while True:
            line, newline, rest = self._pending.partition(b"\n")
            if not newline:
                received = self._connection.recv(65536)
                assert received, "the machine has gone"
                self._pending += received
                continue
            self._pending = rest
            # The serial port's own drivers say a letter too, when they look what it is.
            if line.startswith(b"{"):
                found: Mapping[str, Any] = json.loads(line)
                if not {"QMP", "event"} & found.keys():
                    return found

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _prepare(archive: Archive) -> None:
    """Add what the tests need on any machine: users, the hand, and no services that are not looked at."""
    archive.file("etc/machine-id", b"00000000000000000000000000000001\n")
    archive.file("hand.py", HAND.read_bytes())
    archive.file("etc/systemd/system/hand.service", HAND_UNIT.encode())
    for name in UNUSED_UNITS:
        archive.link(f"etc/systemd/system/{name}", "/dev/null")
