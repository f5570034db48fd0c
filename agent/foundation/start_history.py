"""The history of starts: when each process of the agent started and why it ended, over boots.

Owns `starts.json` in the state directory (the last `STARTS_MAX` entries; a crash loop is one of them) and reads the
service manager's result of the last process (`last-end.json` in the run directory, written by `climahub run
--outputs-off`). Keeps the trail of boots (`boot_trail`) up to date from what it finds. A disk that refuses writes
leaves it in memory. Must never keep the hub from starting: nothing raises.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.beat import next_beat
from agent.foundation.boot_trail import AgentStart, BootRecord, BootTrail
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.exit_cause import ExitCause
from agent.foundation.host import SERVICE_RESULT_FILE, ServiceResult
from agent.foundation.json_store import JsonStore
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.text import sanitize
from agent.foundation.worker import InlineWorker, Worker

_log = logging.getLogger(__name__)

FILE_NAME = "starts.json"
FILE_BYTES_MAX = 64 * 1024
LAST_END_BYTES_MAX = 4096
STARTS_MAX = 20
_TEXT_CHARACTERS_MAX = 80
TIME_POLL_S = 10.0
"""How often the clock is read until the time is known."""

NOTE_INTERVAL_S = 300.0
"""How often the machine's supply is looked at for the trail of boots. It is written only where there is news."""

_EXIT_CONFIG = "78"


class StartRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One process of the agent, or several in a row that ended for the same reason.

    Attributes:
        boot_id: The boot of the machine.
        boot_reason: Why the machine had booted (`system_info.boot_reason`).
        version: Of the agent; empty where it ended before it could be noted.
        at_utc_ms: When it started, once the time was known.
        end: Why it ended.
        detail: The service manager's detail.
        count: The number of processes in a row; the time is that of the last.
    """

    boot_id: str
    boot_reason: str = ""
    version: str = ""
    at_utc_ms: int | None = None
    end: ExitCause = ExitCause.RUNNING
    detail: str = ""
    count: int = 1


_ENDS: Mapping[str, tuple[ExitCause, str]] = MappingProxyType(
    {
        "success": (ExitCause.STOPPED, ""),
        "watchdog": (ExitCause.WATCHDOG, "it did not report to the watchdog in time"),
        "oom-kill": (ExitCause.OUT_OF_MEMORY, ""),
        "signal": (ExitCause.CRASHED, "signal"),
        "core-dump": (ExitCause.CRASHED, "signal"),
        "exit-code": (ExitCause.CRASHED, "exit code"),
    }
)
"""By $SERVICE_RESULT."""
_HAVE_STATUS = frozenset({"signal", "core-dump", "exit-code"})


class _Content(msgspec.Struct, frozen=True):
    starts: tuple[StartRecord, ...] = ()


def exit_cause_of(said: ServiceResult) -> tuple[ExitCause, str]:
    """Return why a process ended according to the service manager, and the detail for people."""
    end, detail = _ENDS.get(said.result, (ExitCause.CRASHED, f"the service manager reports {said.result}"))
    if said.result == "exit-code" and said.status == _EXIT_CONFIG:
        detail = "exit code 78: the configuration or a file that it names was refused"
    elif detail and said.result in _HAVE_STATUS:
        detail = f"{detail} {said.status}".rstrip()
    return end, detail


def read_service_result(file: Path, disk: Disk) -> ServiceResult | None:
    """Return the service manager's result of the last process; `None` where there is none that can be read."""
    try:
        data = disk.read(file, bytes_max=LAST_END_BYTES_MAX)
        return None if data is None else msgspec.json.decode(data, type=ServiceResult)
    except (Corrupt, ReadFailed, *DECODE_ERRORS):
        return None


def with_exit_cause(start: StartRecord, said: ServiceResult | None, *, boot_id: str, boot_reason: str) -> StartRecord:
    """Return a start that is recorded as running with the reason why it ended: no orderly end was recorded.

    Args:
        start: The last one.
        said: The service manager's result, if any.
        boot_id: The present boot.
        boot_reason: Why the machine has booted.
    """
    if start.end is not ExitCause.RUNNING:
        return start
    if start.boot_id != boot_id:
        end, detail = (ExitCause.MACHINE_WATCHDOG, "") if boot_reason == "watchdog" else (ExitCause.POWER_LOST, "")
    elif said is not None:
        end, detail = exit_cause_of(said)
    else:
        end, detail = ExitCause.KILLED, ""
    return msgspec.structs.replace(start, end=end, detail=sanitize(detail, characters_max=_TEXT_CHARACTERS_MAX))


def with_start(starts: tuple[StartRecord, ...], start: StartRecord) -> tuple[StartRecord, ...]:
    """Return the history with one more start: bounded, and with equal ends in a row merged."""
    if len(starts) > 1 and _ended_alike(starts[-2], starts[-1]):
        one = msgspec.structs.replace(starts[-1], count=starts[-2].count + starts[-1].count)
        starts = (*starts[:-2], one)
    return (*starts, start)[-STARTS_MAX:]


def _ended_alike(one: StartRecord, other: StartRecord) -> bool:
    key = ("boot_id", "version", "end", "detail")
    return all(getattr(one, name) == getattr(other, name) for name in key)


class StartHistory:
    """The history and its file. All methods but `run` block, and none raises."""

    def __init__(
        self,
        state_dir: Path,
        run_dir: Path,
        *,
        disk: Disk,
        clock: Clock,
        version: str,
        boot_reason: Callable[[], str],
        power_problems: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Read and write nothing yet.

        Args:
            state_dir: Where the history is stored.
            run_dir: Where the service manager's result is stored.
            disk: Reads and writes.
            clock: The machine's clocks.
            version: Of the agent.
            boot_reason: Returns why the machine has booted.
            power_problems: Returns what the machine reports of its supply and temperature in this boot.
        """
        self._store = JsonStore(
            state_dir / FILE_NAME,
            _Content(),
            disk=disk,
            worker=InlineWorker(),
            bytes_max=FILE_BYTES_MAX,
            loss="a new history of starts is begun",
        )
        self._last_end = run_dir / SERVICE_RESULT_FILE
        self._disk = disk
        self._clock = clock
        self._version = version
        self._boot_reason = boot_reason
        self._power_problems = power_problems
        self._trail = BootTrail(state_dir, disk)
        self.records: tuple[StartRecord, ...] = ()
        self._stop_detail = ""

    @property
    def boots(self) -> tuple[BootRecord, ...]:
        """The trail of boots, the present one last."""
        return self._trail.records

    @property
    def is_time_noted(self) -> bool:
        """Whether the history has the time of this start, or is not loaded yet."""
        return not self.records or self.records[-1].at_utc_ms is not None

    async def run(self, worker: Worker) -> None:
        """Record the start of this process, its time as soon as that is known, and the course of the boot."""
        if not self.records:
            await worker.run(self.begin)
        while True:
            await worker.run(self.note_boot)
            await next_beat(NOTE_INTERVAL_S if self.is_time_noted else TIME_POLL_S)
            await worker.run(self.note_time)

    def begin(self) -> None:
        """Record the start of this process, and why the one before ended."""
        boot_id, boot_reason = self._clock.boot_id, self._boot_reason()
        said, starts = self._said(), self._store.load().starts[-STARTS_MAX:]
        if starts and starts[-1].end is ExitCause.RUNNING:
            starts = (*starts[:-1], with_exit_cause(starts[-1], said, boot_id=boot_id, boot_reason=boot_reason))
        elif said is not None and (failed := exit_cause_of(said))[0] is not ExitCause.STOPPED:
            starts = with_start(starts, StartRecord(boot_id, boot_reason, end=failed[0], detail=failed[1]))
        if starts and starts[-1].end not in {ExitCause.RUNNING, ExitCause.STOPPED}:
            _log.warning("the previous agent process did not stop in order: %s %s", starts[-1].end, starts[-1].detail)
        self.records = with_start(starts, StartRecord(boot_id, boot_reason, self._version, self._began_utc_ms()))
        self._write()
        last = starts[-1].end if starts else None
        self._trail.begin(
            AgentStart(
                boot_id=boot_id,
                boot_reason=boot_reason,
                version=self._version,
                at_utc_ms=self._began_utc_ms(),
                uptime_s=self._uptime_s(),
                previous_end=last.value if last else "",
                was_stopped=last is ExitCause.STOPPED,
            )
        )

    def note_boot(self) -> None:
        """Record what has happened to the machine since, where that is worth a write."""
        self._trail.note(
            uptime_s=self._uptime_s(), at_utc_ms=self._began_utc_ms(), power_problems=self._power_problems()
        )

    def note_time(self) -> None:
        """Record when this process started, once the time is known."""
        at_utc_ms = self._began_utc_ms()
        if at_utc_ms is not None and not self.is_time_noted:
            self.records = (*self.records[:-1], msgspec.structs.replace(self.records[-1], at_utc_ms=at_utc_ms))
            self._write()

    def explain_stop(self, detail: str) -> None:
        """Have `stop` record why this process stops; empty where the reason is no more true."""
        self._stop_detail = sanitize(detail, characters_max=_TEXT_CHARACTERS_MAX)

    def stop(self) -> None:
        """Record that this process stops in order."""
        if self.records:
            last = msgspec.structs.replace(self.records[-1], end=ExitCause.STOPPED, detail=self._stop_detail)
            self.records = (*self.records[:-1], last)
            self._write()
        self._trail.stop(uptime_s=self._uptime_s())

    def _uptime_s(self) -> int:
        return self._clock.monotonic_ms() // 1000

    def _began_utc_ms(self) -> int | None:
        # Called within minutes of the start: accurate enough for people.
        return self._clock.utc_ms()

    def _said(self) -> ServiceResult | None:
        """Return the service manager's result and remove it: it describes the last process only."""
        said = read_service_result(self._last_end, self._disk)
        with contextlib.suppress(OSError):
            self._last_end.unlink(missing_ok=True)
        return said

    def _write(self) -> None:
        try:
            self._store.save_blocking(_Content(self.records))
        except StorageFull as error:
            _log.warning("the history of starts is not written: %s", error)
