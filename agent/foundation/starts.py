"""The trail of starts: when the agent began, and how each of its processes ended; kept over boots.

Owns `starts.json` in the state directory (the last `STARTS_MAX`, a crash loop being one of them) and reads what the
service manager said of the last end (`last-end.json` in the run directory, written by `climahub run --outputs-off`).
What the disk does not take is kept in memory. Must never keep the hub from starting: nothing here raises.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import msgspec

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.decoding import UNREADABLE
from agent.foundation.disk import Disk
from agent.foundation.foreign_text import harmless
from agent.foundation.last_end import LAST_END_NAME, LastEnd
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

FILE_NAME = "starts.json"
FILE_BYTES_MAX = 64 * 1024
LAST_END_BYTES_MAX = 4096
STARTS_MAX = 20
_TEXT_CHARACTERS_MAX = 80
TIME_LOOK_S = 10.0
"""How often it is asked whether the time is known."""

_EXIT_CONFIG = "78"


class End(StrEnum):
    """How a process of the agent ended. `running` is the present one."""

    RUNNING = "running"
    STOPPED = "stopped"
    CRASHED = "crashed"
    WATCHDOG = "watchdog"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    POWER_LOST = "power_lost"
    MACHINE_WATCHDOG = "machine_watchdog"


class Start(msgspec.Struct, frozen=True, omit_defaults=True):
    """One process of the agent; several in a row that ended alike are one.

    Attributes:
        boot_id: The boot of the machine.
        boot_reason: Why the machine had booted (`vitals.boot_reason`).
        version: Of the agent; empty where it did not come that far.
        at_utc_ms: When it began, once that was known.
        end: How it ended.
        detail: What the service manager said of that.
        count: How many processes in a row this stands for; the times are those of the last.
    """

    boot_id: str
    boot_reason: str = ""
    version: str = ""
    at_utc_ms: int | None = None
    end: End = End.RUNNING
    detail: str = ""
    count: int = 1


_ENDS: Mapping[str, tuple[End, str]] = MappingProxyType(
    {
        "success": (End.STOPPED, ""),
        "watchdog": (End.WATCHDOG, "it did not say in time that it lives"),
        "oom-kill": (End.OUT_OF_MEMORY, ""),
        "signal": (End.CRASHED, "signal"),
        "core-dump": (End.CRASHED, "signal"),
        "exit-code": (End.CRASHED, "exit code"),
    }
)
"""By $SERVICE_RESULT."""
_HAVE_STATUS = frozenset({"signal", "core-dump", "exit-code"})


class _Content(msgspec.Struct, frozen=True):
    starts: tuple[Start, ...] = ()


def judged(said: LastEnd) -> tuple[End, str]:
    """Return how a process ended, by the service manager's word, and the detail for people."""
    end, detail = _ENDS.get(said.result, (End.CRASHED, f"the service manager says {said.result}"))
    if said.result == "exit-code" and said.status == _EXIT_CONFIG:
        detail = "exit code 78: the configuration or a file that it names was refused"
    elif detail and said.result in _HAVE_STATUS:
        detail = f"{detail} {said.status}".rstrip()
    return end, detail


def ended(start: Start, said: LastEnd | None, *, boot_id: str, boot_reason: str) -> Start:
    """Return a start that the trail holds as running, as it ended: nobody has noted an orderly end.

    Args:
        start: The last one.
        said: The service manager's word, where there is one.
        boot_id: The present boot.
        boot_reason: Why the machine has booted.
    """
    if start.end is not End.RUNNING:
        return start
    if start.boot_id != boot_id:
        end, detail = (End.MACHINE_WATCHDOG, "") if boot_reason == "watchdog" else (End.POWER_LOST, "")
    elif said is not None:
        end, detail = judged(said)
    else:
        end, detail = End.KILLED, ""
    return msgspec.structs.replace(start, end=end, detail=harmless(detail, characters_max=_TEXT_CHARACTERS_MAX))


def appended(starts: tuple[Start, ...], start: Start) -> tuple[Start, ...]:
    """Return the trail with one more at its end: bounded, and with ends that are alike as one."""
    if len(starts) > 1 and _alike(starts[-2], starts[-1]):
        one = msgspec.structs.replace(starts[-1], count=starts[-2].count + starts[-1].count)
        starts = (*starts[:-2], one)
    return (*starts, start)[-STARTS_MAX:]


def _alike(one: Start, other: Start) -> bool:
    key = ("boot_id", "version", "end", "detail")
    return all(getattr(one, name) == getattr(other, name) for name in key)


class Starts:
    """The trail and its file. All methods but `run` block, and none raises."""

    def __init__(
        self, state_dir: Path, run_dir: Path, *, disk: Disk, clock: Clock, version: str, boot_reason: Callable[[], str]
    ) -> None:
        """Read and write nothing yet.

        Args:
            state_dir: Where the trail lies.
            run_dir: Where the service manager's word lies.
            disk: Reads and writes.
            clock: The machine's clocks.
            version: Of the agent.
            boot_reason: Returns why the machine has booted.
        """
        self._path = state_dir / FILE_NAME
        self._last_end = run_dir / LAST_END_NAME
        self._disk = disk
        self._clock = clock
        self._version = version
        self._boot_reason = boot_reason
        self._is_kept = True
        self.trail: tuple[Start, ...] = ()

    @property
    def is_time_noted(self) -> bool:
        """Whether the trail says when this process began, or nothing can be said yet."""
        return not self.trail or self.trail[-1].at_utc_ms is not None

    async def run(self, worker: Worker) -> None:
        """Note that this process begins, and when, as soon as the time is known."""
        if not self.trail:
            await worker.run(self.begin)
        while not self.is_time_noted:
            await asyncio.sleep(TIME_LOOK_S)
            await worker.run(self.note_time)

    def begin(self) -> None:
        """Note that this process begins, and how the one before it ended."""
        boot_id, boot_reason = self._clock.boot_id, self._boot_reason()
        said, starts = self._said(), self._read()
        if starts and starts[-1].end is End.RUNNING:
            starts = (*starts[:-1], ended(starts[-1], said, boot_id=boot_id, boot_reason=boot_reason))
        elif said is not None and (failed := judged(said))[0] is not End.STOPPED:
            starts = appended(starts, Start(boot_id, boot_reason, end=failed[0], detail=failed[1]))
        if starts and starts[-1].end not in {End.RUNNING, End.STOPPED}:
            _log.warning("the agent did not stop in good order before: %s %s", starts[-1].end, starts[-1].detail)
        self.trail = appended(starts, Start(boot_id, boot_reason, self._version, self._began_utc_ms()))
        self._write()

    def note_time(self) -> None:
        """Note when this process began, once the time is known."""
        at_utc_ms = self._began_utc_ms()
        if at_utc_ms is not None and not self.is_time_noted:
            self.trail = (*self.trail[:-1], msgspec.structs.replace(self.trail[-1], at_utc_ms=at_utc_ms))
            self._write()

    def stop(self) -> None:
        """Note that this process ends in good order."""
        if self.trail:
            self.trail = (*self.trail[:-1], msgspec.structs.replace(self.trail[-1], end=End.STOPPED))
            self._write()

    def _began_utc_ms(self) -> int | None:
        # A process is asked within minutes of its beginning: near enough for people.
        return self._clock.utc_ms()

    def _said(self) -> LastEnd | None:
        """Return the service manager's word, once: it is about the last end only."""
        try:
            data = self._disk.read(self._last_end, bytes_max=LAST_END_BYTES_MAX)
            said = None if data is None else msgspec.json.decode(data, type=LastEnd)
        except (Corrupt, ReadFailed, *UNREADABLE):
            said = None
        with contextlib.suppress(OSError):
            self._last_end.unlink(missing_ok=True)
        return said

    def _read(self) -> tuple[Start, ...]:
        try:
            data = self._disk.read(self._path, bytes_max=FILE_BYTES_MAX)
            return () if data is None else msgspec.json.decode(data, type=_Content).starts[-STARTS_MAX:]
        except ReadFailed as error:
            # It may be whole: what the disk does not give is not written over.
            self._is_kept = False
            _log.warning("the trail of starts is kept in memory: %s", error)
        except (Corrupt, *UNREADABLE) as error:
            _log.warning("the trail of starts (%s) begins anew: %s", FILE_NAME, error)
        return ()

    def _write(self) -> None:
        if self._is_kept:
            try:
                self._disk.write(self._path, msgspec.json.encode(_Content(self.trail)))
            except (StorageFull, OSError) as error:
                _log.warning("the trail of starts is not written: %s", error)
