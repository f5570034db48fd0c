"""The trail of boots: why the machine booted, how each boot ended, and what happened to the agent and the power in it.

Raspberry Pi OS keeps its journal in memory, so the log of a boot that went wrong is gone after it. Owns `boots.json` in
the state directory (the last `BOOTS_MAX` boots). The functions are pure; `StartHistory` drives `BootTrail`. Must never
keep the hub from starting: nothing raises, and a disk that refuses writes leaves the trail in memory.
"""

import logging
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from agent.errors import Corrupt, StorageFull
from agent.foundation.disk import Disk
from agent.foundation.durable_file import strip_checksum
from agent.foundation.json_store import JsonStore
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.text import sanitize
from agent.foundation.worker import InlineWorker

_log = logging.getLogger(__name__)

FILE_NAME = "boots.json"
BOOTS_MAX = 50
FILE_BYTES_MAX = 128 * 1024
"""Fifty boots with every field full take 70 KiB."""

VERSIONS_MAX = 8
"""Of one boot: the latest ones."""

POWER_PROBLEMS_MAX = 8
TEXT_CHARACTERS_MAX = 40

SEEN_INTERVAL_S = 3600
"""How exactly the length of a boot that ended without notice is known. Each note is a write of the card."""


class BootEnd(StrEnum):
    """How a boot of the machine ended. `running` is the present one."""

    RUNNING = "running"
    RESTARTED = "restarted"
    """In order: the agent had stopped."""
    POWER_LOST = "power_lost"
    MACHINE_WATCHDOG = "machine_watchdog"
    UNKNOWN = "unknown"
    """The agent had ended before, so nothing saw the end."""


class BootRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One boot of the machine.

    Attributes:
        boot_id: Its identifier.
        reason: Why the machine had booted (`system_info.boot_reason`).
        at_utc_ms: When it began, counted back once the time was known.
        seen_s: The time since the boot when the agent last noted that it runs.
        end: How it ended.
        agent_starts: How many processes of the agent it has seen.
        agent_ends: How often each of them ended, by cause (`exit_cause.ExitCause`).
        versions: Of the agent, the latest last: a second one is an update or a roll-back.
        power_problems: What the machine has reported of its supply and temperature in this boot: "under_voltage", ...
    """

    boot_id: str
    reason: str = ""
    at_utc_ms: int | None = None
    seen_s: int = 0
    end: BootEnd = BootEnd.RUNNING
    agent_starts: int = 0
    agent_ends: Mapping[str, int] = {}
    versions: tuple[str, ...] = ()
    power_problems: tuple[str, ...] = ()


class AgentStart(msgspec.Struct, frozen=True):
    """A process of the agent that has just started.

    Attributes:
        boot_id: The present boot.
        boot_reason: Why the machine has booted.
        version: Of the agent.
        at_utc_ms: The time, if it is known.
        uptime_s: The time since the boot.
        previous_end: How the process before ended; empty for the first one.
        was_stopped: That end was in order.
    """

    boot_id: str
    boot_reason: str
    version: str
    at_utc_ms: int | None
    uptime_s: int
    previous_end: str = ""
    was_stopped: bool = False


_ENDS_OF_BOOT = {BootEnd.POWER_LOST, BootEnd.MACHINE_WATCHDOG}


def with_agent_start(boots: tuple[BootRecord, ...], start: AgentStart) -> tuple[BootRecord, ...]:
    """Return the trail with one more process of the agent, in the present boot or in a new one."""
    if boots and boots[-1].boot_id == start.boot_id:
        return (*boots[:-1], _with_process(_with_agent_end(boots[-1], start), start))
    if boots:
        boots = (*boots[:-1], _ended(boots[-1], start))
    new = BootRecord(start.boot_id, start.boot_reason)
    return (*boots, _with_process(new, start))[-BOOTS_MAX:]


def _with_process(boot: BootRecord, start: AgentStart) -> BootRecord:
    version = sanitize(start.version, characters_max=TEXT_CHARACTERS_MAX)
    versions = boot.versions if boot.versions[-1:] == (version,) else (*boot.versions, version)[-VERSIONS_MAX:]
    return msgspec.structs.replace(
        boot,
        agent_starts=boot.agent_starts + 1,
        versions=versions,
        at_utc_ms=_begin_utc_ms(start.at_utc_ms, start.uptime_s) if boot.at_utc_ms is None else boot.at_utc_ms,
        seen_s=max(boot.seen_s, start.uptime_s),
    )


def _begin_utc_ms(at_utc_ms: int | None, uptime_s: int) -> int | None:
    return None if at_utc_ms is None else at_utc_ms - uptime_s * 1000


def _with_agent_end(boot: BootRecord, start: AgentStart) -> BootRecord:
    if not start.previous_end:
        return boot
    counts = {**boot.agent_ends, start.previous_end: boot.agent_ends.get(start.previous_end, 0) + 1}
    return msgspec.structs.replace(boot, agent_ends=counts)


def _ended(boot: BootRecord, start: AgentStart) -> BootRecord:
    """Return the boot before the present one with its end."""
    if boot.end is not BootEnd.RUNNING:
        return boot
    if start.previous_end in _ENDS_OF_BOOT:
        return msgspec.structs.replace(boot, end=BootEnd(start.previous_end))
    end = BootEnd.RESTARTED if start.was_stopped else BootEnd.UNKNOWN
    if end is BootEnd.UNKNOWN and start.boot_reason == "watchdog":
        end = BootEnd.MACHINE_WATCHDOG
    return msgspec.structs.replace(_with_agent_end(boot, start), end=end)


def with_note(
    boots: tuple[BootRecord, ...], *, uptime_s: int, at_utc_ms: int | None, power_problems: Sequence[str]
) -> tuple[BootRecord, ...]:
    """Return the trail with a sign of life of the present boot; the same object where nothing is worth a write."""
    if not boots:
        return boots
    boot = boots[-1]
    known = (*boot.power_problems, *(each for each in power_problems if each not in boot.power_problems))
    known = tuple(sanitize(each, characters_max=TEXT_CHARACTERS_MAX) for each in known[:POWER_PROBLEMS_MAX])
    is_due = uptime_s - boot.seen_s >= SEEN_INTERVAL_S
    is_time_new = boot.at_utc_ms is None and at_utc_ms is not None
    if not is_due and not is_time_new and known == boot.power_problems:
        return boots
    boot = msgspec.structs.replace(
        boot,
        power_problems=known,
        seen_s=max(boot.seen_s, uptime_s),
        at_utc_ms=_begin_utc_ms(at_utc_ms, uptime_s) if is_time_new else boot.at_utc_ms,
    )
    return (*boots[:-1], boot)


class _Content(msgspec.Struct, frozen=True):
    boots: tuple[BootRecord, ...] = ()


def read_trail(state_dir: Path, disk: Disk) -> tuple[BootRecord, ...]:
    """Return the trail as it is on the disk, and change nothing: for a hub whose agent is dead.

    Raises:
        ReadFailed: The file cannot be read now, or this user may not read it.
        Corrupt: It is damaged.
    """
    data = disk.read(state_dir / FILE_NAME, bytes_max=FILE_BYTES_MAX)
    try:
        return () if data is None else msgspec.json.decode(strip_checksum(data), type=_Content).boots
    except DECODE_ERRORS as error:
        raise Corrupt(f"{FILE_NAME} is damaged") from error


class BootTrail:
    """The trail and its file. All methods block, and none raises.

    Attributes:
        records: The boots, the present one last.
    """

    def __init__(self, state_dir: Path, disk: Disk) -> None:
        """Read and write nothing yet.

        Args:
            state_dir: Where the trail is stored.
            disk: Reads and writes.
        """
        self._store = JsonStore(
            state_dir / FILE_NAME,
            _Content(),
            disk=disk,
            worker=InlineWorker(),
            bytes_max=FILE_BYTES_MAX,
            loss="a new trail of boots is begun",
        )
        self.records: tuple[BootRecord, ...] = ()

    def begin(self, start: AgentStart) -> None:
        """Record the start of this process."""
        self._write(with_agent_start(self._store.load().boots[-BOOTS_MAX:], start))

    def note(self, *, uptime_s: int, at_utc_ms: int | None, power_problems: Sequence[str] = ()) -> None:
        """Record that the boot goes on, where that is worth a write."""
        noted = with_note(self.records, uptime_s=uptime_s, at_utc_ms=at_utc_ms, power_problems=power_problems)
        if noted is not self.records:
            self._write(noted)

    def stop(self, *, uptime_s: int) -> None:
        """Record how long the boot has lasted when the agent stops in order."""
        if self.records:
            seen_s = max(self.records[-1].seen_s, uptime_s)
            self._write((*self.records[:-1], msgspec.structs.replace(self.records[-1], seen_s=seen_s)))

    def _write(self, records: tuple[BootRecord, ...]) -> None:
        self.records = records
        try:
            self._store.save_blocking(_Content(records))
        except StorageFull as error:
            _log.warning("the trail of boots is not written: %s", error)
