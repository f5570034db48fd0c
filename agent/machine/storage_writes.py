"""How much is written to the storage each day, by everything on this machine: what wears an SD card out.

Owns `storage-writes.json`, written at most every six hours. Sources: the kernel's Documentation/block/stat.rst (the
seventh field of /sys/dev/block/MAJOR:MINOR/stat is the sectors written, of 512 bytes, since the boot) and proc(5)
(`write_bytes` of /proc/self/io), for a file system without a device of its own. Days are those of UTC.
"""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.foundation import rfc3339
from agent.foundation.beat import next_beat
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.worker import Worker

FILE_NAME = "storage-writes.json"
FILE_BYTES_MAX = 16 * 1024
"""Thirty-one days take 3 KiB."""

DAYS_MAX = 31
COUNT_S = 600.0
"""How often what was written is added to its day."""

SAVE_COUNTS = 36
"""The file is written every so many times, four times a day: it must not wear the card itself. A power cut loses these
counts at most, and the rate stays right, for their time is lost with them."""

RATE_DAYS = 7
RATE_S_MIN = 3600
DAY_S = 86_400

SECTOR_BYTES = 512
_WRITTEN_SECTORS = 6


class DayWrites(msgspec.Struct, frozen=True):
    """What was written on one day.

    Attributes:
        day: "2026-11-28", of UTC.
        counted_s: For how long it was counted.
        written_bytes: To the partition of the state directory.
    """

    day: str
    counted_s: int = 0
    written_bytes: int = 0


class Counter(msgspec.Struct, frozen=True):
    """The kernel's counter at one moment.

    Attributes:
        source: The device, or "agent" where only this process is counted.
        epoch: Since when it counts: the boot's id, for a process with its own id.
        at_ms: Boot time.
        written_bytes: Since then.
    """

    source: str = ""
    epoch: str = ""
    at_ms: int = 0
    written_bytes: int = 0


class StorageWrites(msgspec.Struct, frozen=True):
    """The content of the file: the last days, the oldest first, and the counter that they were counted to."""

    days: tuple[DayWrites, ...] = ()
    counter: Counter = Counter()


def with_count(kept: StorageWrites, day: str, now: Counter) -> StorageWrites:
    """Return the days with what was written since the last count added to one day. Pure.

    A counter of another source begins anew. One of another boot has counted since that boot: its whole value is added.
    """
    before = kept.counter
    if before.source != now.source or (before.epoch == now.epoch and now.written_bytes < before.written_bytes):
        return msgspec.structs.replace(kept, counter=now)
    if before.epoch != now.epoch:
        before = Counter()
    is_same = bool(kept.days) and kept.days[-1].day == day
    last, others = (kept.days[-1], kept.days[:-1]) if is_same else (DayWrites(day), kept.days)
    last = DayWrites(
        day,
        last.counted_s + max(0, now.at_ms - before.at_ms) // 1000,
        last.written_bytes + now.written_bytes - before.written_bytes,
    )
    return StorageWrites((*others, last)[-DAYS_MAX:], now)


def bytes_per_day(kept: StorageWrites) -> int | None:
    """Return what a day comes to at the rate of the last week; `None` before an hour is counted. Pure."""
    recent = kept.days[-RATE_DAYS:]
    counted_s = sum(day.counted_s for day in recent)
    return None if counted_s < RATE_S_MIN else sum(day.written_bytes for day in recent) * DAY_S // counted_s


ReadCounter = Callable[[Path, str, int], Counter | None]
"""As `read_counter`: given a directory, the boot's id and boot time."""


def no_counter(directory: Path, boot_id: str, at_ms: int) -> Counter | None:
    """Count nothing: on a machine that is not the hub's own."""
    del directory, boot_id, at_ms
    return None


def read_counter(
    directory: Path, boot_id: str, at_ms: int, *, sys: Path = Path("/sys"), proc: Path = Path("/proc")
) -> Counter | None:
    """Return the counter of the partition of a directory; `None` where the kernel counts nothing. Blocks."""
    try:
        device = directory.stat().st_dev
        name = f"{os.major(device)}:{os.minor(device)}"
        fields = (sys / "dev" / "block" / name / "stat").read_text("ascii").split()
        return Counter(name, boot_id, at_ms, int(fields[_WRITTEN_SECTORS]) * SECTOR_BYTES)
    except (OSError, ValueError, IndexError):
        return _own_counter(proc, at_ms)


def _own_counter(proc: Path, at_ms: int) -> Counter | None:
    """Return the counter of this process: the file system has no device that counts, such as an overlay."""
    try:
        lines = (proc / "self" / "io").read_text("ascii").splitlines()
        began = (proc / "self" / "stat").read_text().rpartition(")")[2].split()[19]
        fields = dict(line.split(": ", 1) for line in lines)
        return Counter("agent", f"{os.getpid()}/{began}", at_ms, int(fields["write_bytes"]))
    except (OSError, ValueError, IndexError, KeyError):
        return None


class StorageWritesLog:
    """What is written each day."""

    def __init__(
        self,
        state_dir: Path,
        *,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        read: ReadCounter,
    ) -> None:
        """Prepare; the file is read by `run`.

        Args:
            state_dir: Where the file lies; its partition is counted.
            clock: Tells the day.
            disk: Reads and writes the file.
            worker: Where reading and writing block.
            read: Returns the counter.
        """
        self._state_dir = state_dir
        self._clock = clock
        self._worker = worker
        self._read = read
        self._kept = StorageWrites()
        self._is_read = False
        self._store = JsonStore(
            state_dir / FILE_NAME,
            self._kept,
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="what was written on the days before is not known",
        )

    @property
    def bytes_per_day(self) -> int | None:
        """What a day comes to at the rate of the last week; `None` before an hour is counted."""
        return bytes_per_day(self._kept)

    async def run(self) -> None:
        """Read the file, count, and write it from time to time."""
        self._kept = await self._store.load_patiently()
        self._is_read = True
        while True:
            for _ in range(SAVE_COUNTS):
                await self._count()
                await next_beat(COUNT_S)
            await self.save()

    async def save(self) -> None:
        """Count, and write; before the file was read, do nothing."""
        if self._is_read:
            await self._count()
            await self._store.apply(lambda _: self._kept)

    async def _count(self) -> None:
        """Add what was written since the last count to its day; while the day is not known it waits."""
        utc_ms, boot_id, at_ms = self._clock.utc_ms(), self._clock.boot_id, self._clock.monotonic_ms()
        now = await self._worker.run(lambda: self._read(self._state_dir, boot_id, at_ms))
        if now is not None and utc_ms is not None:
            self._kept = with_count(self._kept, rfc3339.render(utc_ms)[:10], now)
