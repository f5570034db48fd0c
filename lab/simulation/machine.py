"""A simulated Raspberry Pi: boots, clocks that must synchronise first, and a disk that loses what was not synced.

Works on real files in a scratch directory, so the real SQLite and the real `Disk` are tested. Decides what a power cut
loses: the data that the operating system would still have had in memory.
"""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

from agent.errors import RebootFailed
from agent.foundation.disk import Operation

BOOT_UPTIME_MS = 12_000
"""How long after the boot the agent starts on a Pi with Debian."""

PROCESS_START_S = 0.5
"""How long a process takes to start: never within the millisecond in which the last one ended."""

REBOOT_S = 20.0
"""How long a reboot takes until the agent starts."""

REBOOT_UNSYNCHRONISED_S = 5.0
"""How long NTP takes after a reboot, with a network."""

_TREES = "slots/"
_GROWING = {"update.part", "update.bundle", "image.part", "image.raucb"}


class PowerCut(BaseException):
    """The machine stops here. Not an `Exception`: nothing in the agent may catch it."""


class VirtualClock:
    """The clocks of the machine's present boot."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    @property
    def boot_id(self) -> str:
        """Changes with each boot."""
        return f"boot-{self._machine.boots}"

    def monotonic_ms(self) -> int:
        """Milliseconds since the boot."""
        return self._machine.now_ms() - self._machine.boot_at_ms

    def utc_ms(self) -> int | None:
        """The true UTC, once the boot is synchronised."""
        if self._machine.now_ms() < self._machine.synchronised_at_ms:
            return None
        return self._machine.start_utc_ms + self._machine.now_ms()


class Machine:
    """One hub's hardware and operating system.

    Attributes:
        boots: The number of boots so far.
        operations: The number of durable operations so far.
        stop_at: Number of the operation before which the power is cut; `None` for never.
        is_cut_now: Called before each operation instead of comparing its number; true where the power is cut.
        is_down: Nothing is durable any more: the process is dead.
        is_disk_full: Every durable operation fails with ENOSPC.
    """

    def __init__(
        self, scratch: Path, *, now_ms: Callable[[], int], start_utc_ms: int, unsynchronised_s: float = 0.0
    ) -> None:
        """Create a machine and boot it.

        Args:
            scratch: An empty directory.
            now_ms: Virtual milliseconds since the simulation's beginning.
            start_utc_ms: The true UTC of that moment.
            unsynchronised_s: How long the first boot is without UTC.
        """
        self.scratch = scratch
        self._owns_state_dir = True
        self.now_ms = now_ms
        self.start_utc_ms = start_utc_ms
        self.clock = VirtualClock(self)
        self.boots = 0
        self.boot_at_ms = 0
        self.synchronised_at_ms = 0
        self.operations = 0
        self.stop_at: int | None = None
        self.is_cut_now: Callable[[], bool] = lambda: self.operations == self.stop_at
        self.is_down = False
        self.is_disk_full = False
        self._lives = 0
        self._written: dict[str, bool] = {}
        self._unsynced_renames: dict[str, bytes | None] = {}
        self._unsynced_trees: set[str] = set()
        self._unsynced_moves: dict[str, str] = {}
        self.run_dir = scratch / "run"
        self.state_dir = scratch / "state-0"
        self.state_dir.mkdir()
        self._boot(unsynchronised_s=unsynchronised_s)

    def utc_of(self, at_ms: int) -> int:
        """Return the true UTC of a boot time of the present boot."""
        return self.start_utc_ms + self.boot_at_ms + at_ms

    def on_operation(self, operation: Operation, target: str) -> None:
        """Carry out a durable operation, or fail it."""
        if self.is_down:
            raise PowerCut
        self.operations += 1
        if self.is_cut_now():
            self.is_down = True
            raise PowerCut
        if self.is_disk_full and operation is not Operation.REMOVE:
            raise OSError(errno.ENOSPC, "No space left on device", target)
        self._remember(operation, target)

    def move(self, scratch: Path) -> None:
        """Go on in another scratch directory, after a fork: the state directory is copied when the hub has died.

        Args:
            scratch: An empty directory.
        """
        self.scratch = scratch
        self._owns_state_dir = False
        shutil.copytree(self.run_dir, scratch / "run")
        self.run_dir = scratch / "run"

    def restart(self) -> None:
        """Let a new process start in the present boot."""
        self.is_down = False

    def start(self, *, unsynchronised_s: float) -> None:
        """Boot again; the agent starts now. The boot is synchronised ``unsynchronised_s`` later."""
        self._boot(unsynchronised_s=unsynchronised_s)
        self.is_down = False

    def _boot(self, *, unsynchronised_s: float) -> None:
        self.boots += 1
        self.boot_at_ms = self.now_ms() - BOOT_UPTIME_MS
        self.synchronised_at_ms = self.now_ms() + int(unsynchronised_s * 1000)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        self.run_dir.mkdir()

    def _remember(self, operation: Operation, target: str) -> None:
        """Record what is not durable yet: only what POSIX guarantees counts as durable."""
        if target.startswith(_TREES) or target in _GROWING:
            self._remember_tree(operation, target)
        elif operation is Operation.WRITE:
            self._written[target] = False
        elif operation is Operation.FSYNC:
            self._written[target] = True
        elif operation is Operation.RENAME and target in self._written:
            path = self.state_dir / target
            self._unsynced_renames[target] = path.read_bytes() if path.exists() else None
            if not self._written.pop(target):
                # Renamed without a sync: the file may be empty after a power cut.
                self._unsynced_renames[target] = b""
        elif operation is Operation.FSYNC_DIRECTORY and self._unsynced_renames.get(target) != b"":
            self._unsynced_renames.pop(target, None)

    def _remember_tree(self, operation: Operation, target: str) -> None:
        """Do the same for files and trees that are written in place and synced as a whole before the rename."""
        name = "/".join(target.split("/")[:2])
        if operation is Operation.WRITE:
            self._unsynced_trees.add(name)
        elif operation is Operation.FSYNC:
            self._unsynced_trees.discard(name)
        elif operation is Operation.RENAME:
            final = _final_name(name)
            self._unsynced_moves[final] = name
            if name in self._unsynced_trees:
                self._unsynced_trees.remove(name)
                self._unsynced_trees.add(final)
        elif operation is Operation.REMOVE:
            self._unsynced_trees.discard(name)
        elif operation is Operation.FSYNC_DIRECTORY:
            self._unsynced_moves.pop(name, None)

    def _lose_trees(self, target: Path) -> None:
        """After a power cut: unsynced files lose their content, and unsynced renames are undone."""
        for name in self._unsynced_trees:
            path = target / name
            for file in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
                file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] + bytes(7))
        for final, name in self._unsynced_moves.items():
            if (target / final).exists() and not (target / name).exists():
                (target / final).rename(target / name)

    def leave(self, *, is_power_cut: bool, are_commits_synced: bool) -> None:
        """Copy the state for the next process, so that nothing which the dead process still does has an effect.

        Args:
            is_power_cut: Lose unsynced data; otherwise the operating system keeps what was written (kill -9).
            are_commits_synced: Whether the database synced its log at each commit; if not, the whole log is lost.
        """
        self._lives += 1
        target = self.scratch / f"state-{self._lives}"
        target.mkdir()
        for path in self.state_dir.iterdir():
            if path.is_dir():
                shutil.copytree(path, target / path.name)
            elif not path.name.endswith(("-shm", ".new")):
                shutil.copyfile(path, target / path.name)
        if is_power_cut:
            self._lose_trees(target)
            for name, content in self._unsynced_renames.items():
                if content is None:
                    (target / name).unlink(missing_ok=True)
                else:
                    (target / name).write_bytes(content)
            if not are_commits_synced:
                for log in target.glob("*-wal"):
                    log.unlink()
        self._unsynced_renames.clear()
        self._unsynced_trees.clear()
        self._unsynced_moves.clear()
        self._written.clear()
        if self._owns_state_dir:
            shutil.rmtree(self.state_dir)
        self._owns_state_dir = True
        self.state_dir = target


def _final_name(name: str) -> str:
    return {"update.part": "update.bundle", "image.part": "image.raucb"}.get(name, name.removesuffix(".new"))


class SimulatedHost:
    """A service manager that ignores notifications, and a machine that reboots on request."""

    watchdog_s: float | None = None

    def __init__(self, on_reboot: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            on_reboot: Called for each request, with its reason.
        """
        self._on_reboot = on_reboot

    def ready(self) -> None:
        """Nothing."""

    def alive(self, status: str) -> None:
        """Nothing."""

    def stopping(self) -> None:
        """Nothing."""

    async def ensure_can_reboot(self) -> None:
        """A simulated machine can always reboot."""

    async def reboot(self, reason: str) -> None:
        """Shut down at once, in good order."""
        self._on_reboot(reason)

    async def ensure_can_power_off(self) -> None:
        """A simulated machine is never powered off: no simulated board has a battery."""
        raise RebootFailed("a simulated machine is not powered off")

    async def power_off(self, reason: str) -> None:
        """As `ensure_can_power_off`."""
        raise RebootFailed(f"a simulated machine is not powered off for {reason}")
