"""What the tests of outboxes share: a hub's state directory over crashes and reboots, readings, faults."""

import errno
import itertools
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import cast

import msgspec

from agent.errors import StorageFull
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker, ThreadWorker, Worker
from agent.telemetry.outbox.protocol import Gap, GapCause, Lane, Outbox, OutboxLimits, PendingReading
from agent.telemetry.outbox.store import SqliteOutbox, open_outbox
from hal.interface import HUB, Reading, SensorKind

T_KIND = SensorKind.TEMPERATURE
H_KIND = SensorKind.HUMIDITY
ZERO_UTC_MS = 1_774_785_600_000
AMPLE = OutboxLimits(used_bytes_max=2**30, disk_free_bytes_min=0, dead_letters_max=100)

Opened = tuple[Outbox, Path | None]
Opener = Callable[["Bench"], Awaitable[Opened]]


async def open_sqlite(bench: "Bench") -> Opened:
    return await open_outbox(
        bench.directory,
        boot_id=bench.boot_id,
        limits=bench.limits,
        worker=bench.worker,
        disk=bench.disk,
        label=lambda: bench.machine if bench.has_key else "",
        is_elsewhere=lambda machine: machine not in {"", bench.machine},
    )


OPENERS: dict[str, tuple[Opener, Callable[[], Worker]]] = {
    "sqlite, thread": (open_sqlite, lambda: ThreadWorker("test")),
    "sqlite, inline": (open_sqlite, InlineWorker),
}


class Bench:
    """One hub's state directory over crashes and reboots."""

    def __init__(self, root: Path, opener: Opener, worker: Worker) -> None:
        self._root = root
        self._opener = opener
        self.worker = worker
        self.disk = Disk()
        self.limits = AMPLE
        self.boot_id = "boot-1"
        self.machine, self.has_key = "", True
        self.known: set[str] = set()
        self.quarantined: Path | None = None
        self._directories_made = itertools.count()
        self.directory = self._new_directory()
        self._open: list[Outbox] = []

    def _new_directory(self) -> Path:
        directory = self._root / f"state-{next(self._directories_made)}"
        directory.mkdir()
        return directory

    async def open(self) -> Outbox:
        outbox, self.quarantined = await self._opener(self)
        self._open.append(outbox)
        return outbox

    async def crash(self, *, boot_id: str | None = None) -> Outbox:
        """Take the files as they are now to another machine, without a word to the outbox, and open them there."""
        old, self.directory = self.directory, self._new_directory()
        for path in old.iterdir():
            if not path.name.endswith("-shm"):
                shutil.copy(path, self.directory / path.name)
        self.boot_id = boot_id or self.boot_id
        return await self.open()

    async def reopen(self, outbox: Outbox) -> Outbox:
        self._open.remove(outbox)
        await outbox.close()
        return await self.open()

    async def append(self, outbox: Outbox, readings: Sequence[Reading]) -> None:
        await outbox.append(readings, is_registered=self.known.__contains__)

    async def close(self) -> None:
        self.disk.on_operation = lambda *_: None
        for outbox in self._open:
            await outbox.close()
        self.worker.close()


def memory() -> Path | None:
    """Where thousands of syncs cost nothing; that they happen is shown in tests/unit/foundation/test_database.py."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() else None


def reading(at_ms: int, value: float = 21.5, device: str = HUB, kind: SensorKind = T_KIND) -> Reading:
    return Reading(device, "source", kind, value, at_ms)


def series(count: int, *, from_ms: int = 1000, step_ms: int = 60_000, device: str = HUB) -> list[Reading]:
    return [reading(from_ms + number * step_ms, 20.0 + number % 7 / 100, device) for number in range(count)]


def keys(items: Iterable[PendingReading]) -> list[tuple[str, str, int, float]]:
    return [(item.device, item.kind.value, item.utc_ms, item.value) for item in items]


def expected(readings: Iterable[Reading], zero_utc_ms: int = ZERO_UTC_MS) -> list[tuple[str, str, int, float]]:
    return [(r.device, r.kind.value, zero_utc_ms + r.at_ms, r.value) for r in readings]


async def claim_all(outbox: Outbox, lane: Lane = Lane.BACKLOG, readings_max: int = 100) -> list[PendingReading]:
    claimed: list[PendingReading] = []
    while items := await outbox.claim(lane, readings_max):
        assert len(items) <= readings_max
        claimed += items
    return claimed


def account(gaps: Sequence[Gap], *causes: GapCause) -> int:
    return sum(gap.lost for gap in gaps if gap.cause in causes)


async def overfill(bench: Bench, *, devices: int = 6, commits: int = 900) -> tuple[Outbox, list[Reading]]:
    """Fill an outbox of 64 KiB several times over, with the cloud away."""
    bench.limits = msgspec.structs.replace(AMPLE, used_bytes_max=64 * 1024)
    outbox = await bench.open()
    await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    bench.known |= {f"T{number}" for number in range(devices)}
    readings: list[Reading] = []
    for commit in range(commits):
        part = [
            reading(commit * 60_000 + number, (commit * 7 + number * 13) / 97, f"T{number}")
            for number in range(devices)
        ]
        await bench.append(outbox, part)
        readings += part
        assert outbox.stats().used_bytes <= 64 * 1024
    return outbox, readings


class FullAt:
    """Says ENOSPC at the n-th durable operation from now on, and at `lasts` - 1 more."""

    def __init__(self, at: int, lasts: int = 1) -> None:
        self.at = at
        self.lasts = lasts
        self.count = 0

    def __call__(self, operation: Operation, target: str) -> None:
        self.count += 1
        if self.at <= self.count < self.at + self.lasts:
            raise OSError(errno.ENOSPC, "No space left on device", target)


async def insist(act: Callable[[], Awaitable[object]]) -> object:
    """Try again until the disk takes it, as the rooms do."""
    for _ in range(10):
        try:
            return await act()
        except StorageFull:
            continue
    raise AssertionError("the disk never took it")


async def spoil_blob(outbox: Outbox, place: int, data: bytes) -> int:
    """Overwrite the n-th blob; return how many readings it held."""

    def overwrite(connection: sqlite3.Connection) -> int:
        seq, readings = connection.execute(
            "SELECT seq, readings FROM blobs ORDER BY seq LIMIT 1 OFFSET ?", (place,)
        ).fetchone()
        connection.execute("UPDATE blobs SET data = ? WHERE seq = ?", (data, seq))
        return int(readings)

    return await cast("SqliteOutbox", outbox).database.run(overwrite)
