"""What any outbox must do. Another design joins by one line in `OPENERS`."""

import contextlib
import errno
import itertools
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import cast

import msgspec
import pytest

from agent.errors import Corrupt, StorageFull
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker, ThreadWorker, Worker
from agent.telemetry.outbox.protocol import Gap, GapCause, Lane, LostReadings, Outbox, OutboxLimits, PendingReading
from agent.telemetry.outbox.store import FILE_NAME, SqliteOutbox, open_outbox
from agent.telemetry.outbox.tables import SETTLED_BLOBS_MAX
from hal.interface import HUB, Reading, SensorKind

T_KIND = SensorKind.TEMPERATURE
H_KIND = SensorKind.HUMIDITY
ZERO_UTC_MS = 1_774_785_600_000
AMPLE = OutboxLimits(used_bytes_max=2**30, disk_free_bytes_min=0, dead_letters_max=100)

Opened = tuple[Outbox, Path | None]
Opener = Callable[["Bench"], Awaitable[Opened]]


async def open_sqlite(bench: "Bench") -> Opened:
    return await open_outbox(
        bench.directory, boot_id=bench.boot_id, limits=bench.limits, worker=bench.worker, disk=bench.disk
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


@pytest.fixture(params=sorted(OPENERS))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    opener, make_worker = OPENERS[request.param]
    with tempfile.TemporaryDirectory(dir=memory()) as root:
        made = Bench(Path(root), opener, make_worker())
        yield made
        await made.close()


@pytest.fixture
async def outbox(bench: Bench) -> Outbox:
    """An empty outbox in a boot whose clock is right from the start."""
    made = await bench.open()
    await made.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    return made


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


# Durable, once, unchanged.


async def test_an_empty_outbox(outbox: Outbox) -> None:
    for lane in Lane:
        assert await outbox.claim(lane, 100) == []
    assert await outbox.gaps() == []
    assert await outbox.dead_letters() == []
    stats = outbox.stats()
    assert (stats.pending, stats.fresh, stats.unregistered, stats.unanchored, stats.oldest_utc_ms) == (0, 0, 0, 0, None)


async def test_appending_nothing_changes_nothing(bench: Bench, outbox: Outbox) -> None:
    before = outbox.stats()
    await bench.append(outbox, [])
    assert outbox.stats() == before


async def test_what_append_returned_from_survives_a_crash(bench: Bench, outbox: Outbox) -> None:
    readings = [reading(5, 0.1), reading(6, -0.0), reading(7, 1e300), reading(8, 5e-324, kind=H_KIND), reading(-4)]
    await bench.append(outbox, readings)
    after = await bench.crash()
    assert after.stats().pending == 5
    items = await claim_all(after)
    assert keys(items) == expected(readings)
    assert str(items[1].value) == "-0.0"


async def test_each_reading_is_claimed_once_oldest_first_in_any_portions(bench: Bench, outbox: Outbox) -> None:
    readings = series(457)
    for start in range(0, 457, 130):
        await bench.append(outbox, readings[start : start + 130])
    claimed: list[PendingReading] = []
    for portion in itertools.cycle([1, 7, 100, 33]):
        items = await outbox.claim(Lane.FRESH, portion)
        claimed += items
        assert outbox.stats().fresh == 457 - len(claimed)
        if len(items) < portion:
            break
    assert keys(claimed) == expected(readings)
    assert await outbox.claim(Lane.FRESH, 100) == []
    assert outbox.stats().pending == 457


async def test_what_is_settled_never_comes_back(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(230))
    items = await claim_all(outbox, Lane.FRESH)
    await outbox.settle(items)
    assert outbox.stats().pending == 0
    assert outbox.stats().committed == 230
    after = await bench.reopen(outbox)
    assert after.stats().pending == 0
    assert await claim_all(after) == []


async def test_a_claim_alone_settles_nothing(bench: Bench, outbox: Outbox) -> None:
    readings = series(30)
    await bench.append(outbox, readings)
    await claim_all(outbox, Lane.FRESH)
    after = await bench.reopen(outbox)
    assert keys(await claim_all(after)) == expected(readings)


async def test_a_crash_sends_the_same_again_with_the_same_timestamps(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(100))
    first = await claim_all(outbox, Lane.FRESH)
    after = await bench.crash(boot_id="boot-2")
    await after.anchor(now_ms=777, utc_ms=ZERO_UTC_MS + 9_000_000)
    assert keys(await claim_all(after)) == keys(first)


async def test_what_a_crash_sends_twice_is_bounded(bench: Bench, outbox: Outbox) -> None:
    commits = 40
    for number in range(commits):
        await bench.append(outbox, series(10, from_ms=number * 600_000))
        await outbox.settle(await outbox.claim(Lane.FRESH, 100))
    after = await bench.crash()
    assert after.stats().pending <= 10 * (SETTLED_BLOBS_MAX + 1)
    assert after.stats().pending == len(await claim_all(after))


async def test_a_partly_settled_blob_comes_back_whole_and_identical(bench: Bench, outbox: Outbox) -> None:
    readings = series(50)
    await bench.append(outbox, readings)
    items = await outbox.claim(Lane.FRESH, 20)
    await outbox.settle(items)
    assert outbox.stats().pending == 30
    await outbox.maintain()
    assert outbox.stats().pending == 30
    after = await bench.crash()
    assert keys(await claim_all(after)) == expected(readings)


async def test_tidying_removes_what_is_settled(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(100))
    await outbox.settle(await outbox.claim(Lane.FRESH, 100))
    await outbox.maintain()
    after = await bench.crash()
    assert after.stats().pending == 0


async def test_settling_is_not_by_instance(bench: Bench, outbox: Outbox) -> None:
    """Items may be settled in any order and in any portions."""
    await bench.append(outbox, series(60))
    items = await claim_all(outbox, Lane.FRESH, 25)
    for part in (items[40:], items[:5], items[5:40]):
        await outbox.settle(part)
    await outbox.maintain()
    assert (await bench.crash()).stats().pending == 0


# Lanes.


async def test_fresh_and_backlog_do_not_mix(bench: Bench, outbox: Outbox) -> None:
    old, new = series(30), series(20, from_ms=10_000_000)
    await bench.append(outbox, old)
    await outbox.close_fresh_lane()
    assert outbox.stats().fresh == 0
    assert await outbox.claim(Lane.FRESH, 100) == []
    await bench.append(outbox, new)
    assert outbox.stats().fresh == 20
    assert keys(await claim_all(outbox, Lane.FRESH)) == expected(new)
    assert keys(await claim_all(outbox, Lane.BACKLOG)) == expected(old)


async def test_a_half_claimed_blob_moves_over_with_its_rest(bench: Bench, outbox: Outbox) -> None:
    readings = series(80)
    await bench.append(outbox, readings)
    first = await outbox.claim(Lane.FRESH, 30)
    await outbox.close_fresh_lane()
    assert keys(first + await claim_all(outbox, Lane.BACKLOG)) == expected(readings)


async def test_all_that_a_start_finds_is_backlog(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(10))
    after = await bench.crash()
    assert after.stats().fresh == 0
    assert await after.claim(Lane.FRESH, 100) == []
    new = series(5, from_ms=10_000_000)
    await bench.append(after, new)
    assert keys(await after.claim(Lane.FRESH, 100)) == expected(new)
    assert len(await claim_all(after)) == 10


# Time.


async def test_a_boot_without_a_clock_keeps_its_readings_apart_and_counted(bench: Bench) -> None:
    outbox = await bench.open()
    await bench.append(outbox, series(12))
    for lane in Lane:
        assert await outbox.claim(lane, 100) == []
    stats = outbox.stats()
    assert (stats.pending, stats.unanchored, stats.fresh, stats.oldest_utc_ms) == (12, 12, 0, None)
    after = await bench.crash(boot_id="boot-2")
    await after.anchor(now_ms=50, utc_ms=ZERO_UTC_MS)
    new = series(3)
    await bench.append(after, new)
    assert keys(await claim_all(after, Lane.FRESH)) == expected(new, ZERO_UTC_MS - 50)
    assert await claim_all(after) == []
    assert (after.stats().pending, after.stats().unanchored) == (15, 12)


async def test_an_anchor_lets_everything_of_its_boot_go(bench: Bench) -> None:
    outbox = await bench.open()
    readings = series(12)
    await bench.append(outbox, readings)
    anchor = await outbox.anchor(now_ms=900_000, utc_ms=ZERO_UTC_MS + 900_000)
    assert anchor is not None
    assert outbox.stats().unanchored == 0
    assert keys(await claim_all(outbox)) == expected(readings)


async def test_an_anchor_survives_a_crash_and_a_reboot(bench: Bench, outbox: Outbox) -> None:
    readings = series(12)
    await bench.append(outbox, readings)
    after = await bench.crash(boot_id="boot-2")
    assert keys(await claim_all(after)) == expected(readings)
    again = await bench.crash(boot_id="boot-1")
    assert await again.anchor(now_ms=5, utc_ms=ZERO_UTC_MS + 5) is None


async def test_jitter_begins_no_segment_and_a_step_does(bench: Bench, outbox: Outbox) -> None:
    before = series(4, step_ms=1000)
    await bench.append(outbox, before)
    assert await outbox.anchor(now_ms=10_000, utc_ms=ZERO_UTC_MS + 10_900) is None
    year_ms = 365 * 86_400_000
    assert await outbox.anchor(now_ms=10_000, utc_ms=ZERO_UTC_MS + 10_000 + year_ms) is not None
    after = series(4, from_ms=11_000, step_ms=1000)
    await bench.append(outbox, after)
    items = await claim_all(outbox) + await claim_all(outbox, Lane.FRESH)
    assert keys(items) == expected(before) + expected(after, ZERO_UTC_MS + year_ms)
    crashed = await bench.crash()
    assert keys(await claim_all(crashed)) == keys(items)


async def test_a_new_segment_neither_repeats_nor_skips_what_is_being_sent(bench: Bench, outbox: Outbox) -> None:
    readings = series(120)
    await bench.append(outbox, readings)
    first = await outbox.claim(Lane.FRESH, 70)
    await outbox.anchor(now_ms=10**8, utc_ms=ZERO_UTC_MS + 10**8 + 5_000)
    assert keys(first + await claim_all(outbox)) == expected(readings)


async def test_the_oldest_instant_is_shown(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(150))
    assert outbox.stats().oldest_utc_ms == ZERO_UTC_MS + 1000
    await outbox.settle(await outbox.claim(Lane.FRESH, 100))
    await outbox.maintain()
    assert outbox.stats().oldest_utc_ms == ZERO_UTC_MS + 1000 + 100 * 60_000


# Held devices.


async def test_readings_of_an_unknown_device_are_held_until_it_is_known(bench: Bench, outbox: Outbox) -> None:
    mixed = [r for pair in zip(series(5), series(5, device="T1"), series(5, device="T2"), strict=True) for r in pair]
    await bench.append(outbox, mixed)
    assert (outbox.stats().unregistered, outbox.stats().pending) == (10, 15)
    assert keys(await claim_all(outbox, Lane.FRESH)) == expected(series(5))
    after = await bench.crash()
    assert after.stats().unregistered == 10
    assert {item.device for item in await claim_all(after)} == {HUB}
    await after.mark_registered("T1")
    assert after.stats().unregistered == 5
    assert keys(await claim_all(after)) == expected(series(5, device="T1"))
    assert keys(await claim_all(await bench.crash())) == expected([*series(5), *series(5, device="T1")])


async def test_what_is_released_is_found_behind_what_was_sent_already(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, [*series(5), *series(5, device="T1")])
    await bench.append(outbox, series(5, from_ms=10**8))
    await outbox.close_fresh_lane()
    assert len(await claim_all(outbox)) == 10
    await outbox.mark_registered("T1")
    assert keys(await claim_all(outbox)) == expected(series(5, device="T1"))


async def test_releasing_what_is_not_held_is_harmless(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    await outbox.mark_registered("T9")
    await outbox.mark_registered(HUB)
    assert len(await outbox.claim(Lane.FRESH, 100)) == 5


async def test_what_is_held_for_a_removed_device_is_given_up_on_record(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, [*series(5), *series(3, device="T1"), *series(4, device="T2")])
    await outbox.drop_unregistered("T1")
    await outbox.drop_unregistered("T1")
    await outbox.drop_unregistered("T9")
    await outbox.drop_unregistered(HUB)
    for found in (outbox, await bench.crash()):
        stats = found.stats()
        assert (stats.pending, stats.unregistered, stats.dropped) == (9, 4, 3)
        (gap,) = await found.gaps()
        assert (gap.device, gap.lost, gap.cause) == ("T1", 3, GapCause.DROPPED)


async def test_a_known_device_is_not_held(bench: Bench, outbox: Outbox) -> None:
    bench.known.add("T1")
    await bench.append(outbox, series(5, device="T1"))
    assert outbox.stats().unregistered == 0
    assert keys(await outbox.claim(Lane.FRESH, 100)) == expected(series(5, device="T1"))


async def test_held_readings_of_a_boot_without_a_clock_need_both(bench: Bench) -> None:
    outbox = await bench.open()
    await bench.append(outbox, series(3, device="T1"))
    await outbox.mark_registered("T1")
    assert await claim_all(outbox) == []
    await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    assert keys(await claim_all(outbox)) == expected(series(3, device="T1"))


# Dead letters.


async def test_a_buried_reading_is_kept_for_the_technician(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(3))
    items = await outbox.claim(Lane.FRESH, 100)
    await outbox.move_to_dead_letters(items[1], "value is out of range")
    assert outbox.stats().pending == 2
    await outbox.settle([items[0], items[2]])
    await outbox.maintain()
    after = await bench.crash()
    assert after.stats().pending == 0
    (letter,) = await after.dead_letters()
    assert (letter.device, letter.kind, letter.utc_ms, letter.value) == keys(items)[1]
    assert letter.reason == "value is out of range"
    assert after.stats().dead_letters == 1


async def test_dead_letters_are_bounded_and_the_oldest_go(bench: Bench) -> None:
    bench.limits = msgspec.structs.replace(AMPLE, dead_letters_max=4)
    outbox = await bench.open()
    await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    await bench.append(outbox, series(9))
    for item in await outbox.claim(Lane.FRESH, 100):
        await outbox.move_to_dead_letters(item, "no")
    letters = await outbox.dead_letters()
    assert [letter.utc_ms for letter in letters] == [ZERO_UTC_MS + 1000 + n * 60_000 for n in range(5, 9)]
    assert outbox.stats().dead_letters == 9
    assert (await bench.crash()).stats().dead_letters == 9


# Limits.


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


async def test_the_byte_limit_is_kept_and_every_missing_reading_is_in_a_gap(bench: Bench) -> None:
    outbox, readings = await overfill(bench)
    stats, gaps = outbox.stats(), await outbox.gaps()
    assert stats.downsampled > 0
    assert stats.dropped > 0
    kept = keys(await claim_all(outbox) + await claim_all(outbox, Lane.FRESH))
    assert len(kept) == stats.pending
    assert stats.pending + stats.downsampled + stats.dropped == len(readings)
    assert account(gaps, GapCause.DOWNSAMPLED) == stats.downsampled
    assert account(gaps, GapCause.DROPPED) == stats.dropped
    assert len(set(kept)) == len(kept)
    lost_count = set(expected(readings)) - set(kept)
    assert len(lost_count) == len(readings) - len(kept)
    lost = Counter[tuple[str, str]]()
    for device, kind, utc_ms, _ in lost_count:
        lost[device, kind] += 1
        assert any(
            (gap.device, gap.kind, gap.boot_id) == (device, kind, "boot-1")
            and gap.from_ms <= utc_ms - ZERO_UTC_MS <= gap.to_ms
            for gap in gaps
        )
    told = Counter[tuple[str, str]]()
    for gap in gaps:
        assert gap.kind is not None
        told[gap.device, gap.kind.value] += gap.lost
    assert told == lost


async def test_thinning_comes_before_dropping(bench: Bench) -> None:
    bench.limits = msgspec.structs.replace(AMPLE, used_bytes_max=64 * 1024)
    outbox = await bench.open()
    await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    commit = 0
    while not outbox.stats().downsampled:
        await bench.append(outbox, [reading(commit * 60_000, 20 + commit % 97 / 10)])
        commit += 1
    assert outbox.stats().dropped == 0
    kept = [item.utc_ms for item in await claim_all(outbox) + await claim_all(outbox, Lane.FRESH)]
    assert kept[0] == ZERO_UTC_MS
    assert kept == sorted(kept)
    pauses = {later - earlier for earlier, later in itertools.pairwise(kept)}
    assert pauses <= {60_000, 120_000, 180_000}
    newest = kept[-len(kept) // 3 :]
    assert {later - earlier for earlier, later in itertools.pairwise(newest)} == {60_000}


async def test_counts_of_what_is_lost_survive_a_restart(bench: Bench) -> None:
    outbox, _ = await overfill(bench)
    before = outbox.stats()
    after = (await bench.reopen(outbox)).stats()
    assert (after.downsampled, after.dropped, after.pending) == (before.downsampled, before.dropped, before.pending)


async def test_what_is_being_sent_is_never_given_up(bench: Bench) -> None:
    bench.limits = msgspec.structs.replace(AMPLE, used_bytes_max=64 * 1024)
    outbox = await bench.open()
    await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    first = [reading(number, number / 7) for number in range(100)]
    await bench.append(outbox, first)
    claimed = await outbox.claim(Lane.FRESH, 60)
    for commit in range(1, 1000):
        await bench.append(outbox, [reading(commit * 60_000 + n, (commit + n) / 7, kind=H_KIND) for n in range(6)])
    assert outbox.stats().dropped > 0
    await outbox.settle(claimed)
    rest = [item for item in await claim_all(outbox) if item.utc_ms < ZERO_UTC_MS + 100]
    rest += [item for item in await claim_all(outbox, Lane.FRESH) if item.utc_ms < ZERO_UTC_MS + 100]
    assert keys(claimed + rest) == expected(first)


class SmallDisk(Disk):
    """A disk on which others have taken all room but this much."""

    free = 2**40

    def free_bytes(self, directory: Path) -> int:
        return self.free


async def test_the_disk_is_left_to_others(bench: Bench) -> None:
    bench.disk = disk = SmallDisk()
    bench.limits = msgspec.structs.replace(AMPLE, disk_free_bytes_min=2**20)
    outbox = await bench.open()
    await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    for commit in range(120):
        await bench.append(outbox, [reading(commit * 1_200_000 + n, (commit * 20 + n) / 7) for n in range(20)])
    await outbox.maintain()
    before = outbox.stats()
    assert before.dropped == before.downsampled == 0
    disk.free = 0
    await outbox.maintain()
    assert outbox.stats() == before, "a disk that others filled is no reason to give up what is stored"
    for commit in range(120, 400):
        await bench.append(outbox, [reading(commit * 1_200_000 + n, (commit * 20 + n) / 7) for n in range(20)])
    after = outbox.stats()
    assert after.used_bytes <= before.used_bytes * 1.1, "but the file must not grow"
    assert after.downsampled > 0
    assert after.pending + after.downsampled + after.dropped == 400 * 20


async def test_an_emptied_outbox_gives_the_room_back(bench: Bench, outbox: Outbox) -> None:
    for commit in range(300):
        await bench.append(outbox, [reading(commit * 10**6 + n, (commit * 100 + n) / 7) for n in range(100)])
    assert outbox.stats().used_bytes > 300_000
    await outbox.settle(await claim_all(outbox, Lane.FRESH))
    await outbox.maintain()
    assert outbox.stats().used_bytes < 100_000
    after = await bench.reopen(outbox)
    assert after.stats().pending == 0
    assert sum(path.stat().st_size for path in bench.directory.iterdir() if path.suffix == ".db") < 200_000


async def test_readings_that_never_reached_the_disk_are_a_gap(bench: Bench, outbox: Outbox) -> None:
    await outbox.record_gap(
        [LostReadings(HUB, T_KIND, 5, 9, 3), LostReadings("T1", H_KIND, 6, 6, 1)], GapCause.MEMORY_FULL
    )
    await outbox.record_gap([LostReadings(HUB, T_KIND, 20, 30, 2)], GapCause.MEMORY_FULL)
    gaps = [
        Gap(HUB, T_KIND, "boot-1", 5, 30, 5, GapCause.MEMORY_FULL),
        Gap("T1", H_KIND, "boot-1", 6, 6, 1, GapCause.MEMORY_FULL),
    ]
    assert await outbox.gaps() == gaps
    assert outbox.stats().dropped == 6
    after = await bench.crash(boot_id="boot-2")
    assert await after.gaps() == gaps
    assert after.stats().dropped == 6


# A disk without room.


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


async def busy_hour(bench: Bench, outbox: Outbox) -> tuple[list[PendingReading], list[Reading]]:
    """Everything an outbox is asked to do; each step insisted on. Returns what was sent and what was taken in."""
    sent: list[PendingReading] = []
    taken: list[Reading] = []

    async def append(readings: list[Reading]) -> None:
        await insist(lambda: bench.append(outbox, readings))
        taken.extend(readings)

    async def send(lane: Lane) -> None:
        items = cast("list[PendingReading]", await insist(lambda: outbox.claim(lane, 100)))
        await insist(lambda: outbox.settle(items))
        sent.extend(items)

    await append(series(10))
    await insist(lambda: outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS))
    await send(Lane.BACKLOG)
    for commit in range(2 * SETTLED_BLOBS_MAX):
        await append([*series(4, from_ms=10**7 * (commit + 1)), *series(2, from_ms=10**7 * (commit + 1), device="T1")])
        await send(Lane.FRESH)
    bench.known.add("T1")
    await insist(lambda: outbox.mark_registered("T1"))
    await send(Lane.BACKLOG)
    await append(series(2, from_ms=10**9, device="T1"))
    await insist(outbox.maintain)
    await send(Lane.FRESH)
    await send(Lane.BACKLOG)
    return sent, taken


async def test_no_room_at_any_operation_loses_and_doubles_nothing(bench: Bench) -> None:
    counter = FullAt(0)
    bench.disk.on_operation = counter
    await busy_hour(bench, await bench.open())
    assert counter.count > 20
    for at in range(1, counter.count + 1):
        bench.directory = bench._new_directory()
        bench.known.clear()
        bench.disk.on_operation = FullAt(at)
        outbox = cast("Outbox", await insist(bench.open))
        sent, taken = await busy_hour(bench, outbox)
        assert sorted(keys(sent)) == sorted(expected(taken)), f"operation {at}"
        assert outbox.stats().pending == 0, f"operation {at}"
        assert outbox.stats().committed == len(taken), f"operation {at}"
        assert await outbox.gaps() == []


async def test_no_room_while_making_room_loses_and_doubles_nothing(bench: Bench) -> None:
    bench.limits = msgspec.structs.replace(AMPLE, used_bytes_max=64 * 1024)
    outbox = await bench.open()
    await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    taken: list[Reading] = []
    for commit in range(1000):
        part = [reading(commit * 60_000 + n, (commit * 5 + n) / 7) for n in range(5)]
        bench.disk.on_operation = FullAt(1 + commit % 3)
        await insist(lambda part=part: bench.append(outbox, part))  # type: ignore[misc]
        taken += part
    bench.disk.on_operation = lambda *_: None
    stats = outbox.stats()
    kept = keys(await claim_all(outbox) + await claim_all(outbox, Lane.FRESH))
    assert len(kept) == len(set(kept)) == stats.pending
    assert stats.downsampled + stats.dropped > 0
    assert stats.pending + stats.downsampled + stats.dropped == len(taken)
    assert account(await outbox.gaps(), *GapCause) == len(taken) - len(kept)


async def test_a_refused_burial_can_be_repeated(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(2))
    items = await outbox.claim(Lane.FRESH, 100)
    bench.disk.on_operation = FullAt(1)
    with pytest.raises(StorageFull):
        await outbox.move_to_dead_letters(items[0], "no")
    assert outbox.stats().dead_letters == 0
    assert outbox.stats().pending == 2
    await outbox.move_to_dead_letters(items[0], "no")
    assert (outbox.stats().dead_letters, outbox.stats().pending) == (1, 1)


async def test_a_file_that_may_not_grow_refuses_and_goes_on(bench: Bench, outbox: Outbox) -> None:
    """A really full disk, as SQLite meets it: what fits is kept, the rest is refused whole."""
    database = cast("SqliteOutbox", outbox).database

    def limit(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count=40")

    await database.run(limit)
    kept: list[Reading] = []
    refused = 0
    for commit in range(200):
        part = [reading(commit * 1000 + n, (commit * 50 + n) / 7) for n in range(50)]
        try:
            await bench.append(outbox, part)
            kept += part
        except StorageFull:
            refused += 1
    assert kept
    assert refused > 100
    assert outbox.stats().committed == len(kept)
    items = await claim_all(outbox, Lane.FRESH)
    assert keys(items) == expected(kept)
    await outbox.settle(items)
    await outbox.maintain()
    await bench.append(outbox, series(5, from_ms=10**9))
    assert len(await outbox.claim(Lane.FRESH, 100)) == 5


# Files that cannot be read.


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="zero bytes"),
        pytest.param(lambda path: path.write_bytes(b"not a database, but long enough to look at " * 50), id="text"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:3000]), id="cut short"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:1024] + b"\xff" * 20_000), id="overwritten"),
        pytest.param(lambda path: run_sql(path, "PRAGMA user_version=99"), id="newer schema"),
        pytest.param(lambda path: run_sql(path, "DROP TABLE blobs"), id="a table is missing"),
        pytest.param(lambda path: run_sql(path, "ALTER TABLE blobs RENAME COLUMN readings TO r"), id="another column"),
    ],
)
async def test_a_file_that_cannot_be_read_is_put_aside_and_the_hub_goes_on(
    bench: Bench, outbox: Outbox, spoil: Callable[[Path], object]
) -> None:
    await bench.append(outbox, series(200))
    await bench.close()
    bench._open.clear()
    bench.worker = InlineWorker()
    path = bench.directory / FILE_NAME
    spoil(path)
    was = path.read_bytes()
    after = await bench.open()
    if was:
        assert bench.quarantined is not None
        assert bench.quarantined.stat().st_size == len(was)
    await after.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    await bench.append(after, series(5))
    assert len(await after.claim(Lane.FRESH, 100)) == 5
    assert after.stats().pending == 5


def run_sql(path: Path, text: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(text)
    connection.close()


async def spoil_blob(outbox: Outbox, place: int, data: bytes) -> int:
    """Overwrite the n-th blob; return how many readings it held."""

    def overwrite(connection: sqlite3.Connection) -> int:
        seq, readings = connection.execute(
            "SELECT seq, readings FROM blobs ORDER BY seq LIMIT 1 OFFSET ?", (place,)
        ).fetchone()
        connection.execute("UPDATE blobs SET data = ? WHERE seq = ?", (data, seq))
        return int(readings)

    return await cast("SqliteOutbox", outbox).database.run(overwrite)


@pytest.mark.parametrize("data", [b"", b"garbage"])
async def test_an_unreadable_blob_in_the_middle_becomes_a_gap(bench: Bench, outbox: Outbox, data: bytes) -> None:
    readings = series(60)
    for start in range(0, 60, 10):
        await bench.append(outbox, readings[start : start + 10])
    lost = await spoil_blob(outbox, 2, data)
    assert lost == 10
    items = await claim_all(outbox, Lane.FRESH)
    assert keys(items) == expected(readings[:20] + readings[30:])
    (gap,) = await outbox.gaps()
    assert (gap.cause, gap.lost, gap.boot_id, gap.from_ms) == (GapCause.UNREADABLE, 10, "boot-1", readings[20].at_ms)
    assert (outbox.stats().pending, outbox.stats().dropped) == (50, 10)
    await outbox.settle(items)
    assert outbox.stats().pending == 0
    after = await bench.reopen(outbox)
    assert (after.stats().pending, after.stats().dropped) == (0, 10)


async def test_a_blob_with_fewer_readings_than_it_should_is_unreadable(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(10))
    await bench.append(outbox, series(10, from_ms=10**8))

    def lie(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE blobs SET readings = 12 WHERE seq = (SELECT min(seq) FROM blobs)")

    await cast("SqliteOutbox", outbox).database.run(lie)
    items = await claim_all(outbox, Lane.FRESH)
    await outbox.settle(items)
    await outbox.maintain()
    assert keys(items) == expected(series(10, from_ms=10**8))
    assert outbox.stats().pending == 0


async def test_no_room_to_record_an_unreadable_blob_keeps_the_others(bench: Bench, outbox: Outbox) -> None:
    readings = series(30)
    for start in range(0, 30, 10):
        await bench.append(outbox, readings[start : start + 10])
    await spoil_blob(outbox, 1, b"garbage")
    bench.disk.on_operation = FullAt(1)
    items = cast("list[PendingReading]", await insist(lambda: outbox.claim(Lane.FRESH, 100)))
    items += await claim_all(outbox, Lane.FRESH) + await claim_all(outbox)
    assert keys(items) == expected(readings[:10] + readings[20:])


async def test_an_unreadable_blob_is_counted_once_when_room_is_made(bench: Bench) -> None:
    bench.limits = msgspec.structs.replace(AMPLE, used_bytes_max=64 * 1024)
    outbox = await bench.open()
    await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    taken = 0
    for commit in range(200):
        await bench.append(outbox, [reading(commit * 60_000 + n, (commit * 5 + n) / 7) for n in range(5)])
        taken += 5
        if commit == 20:
            for place in (3, 4, 5, 9):
                await spoil_blob(outbox, place, b"garbage")
    for commit in range(200, 1800):
        await bench.append(outbox, [reading(commit * 60_000 + n, (commit * 5 + n) / 7) for n in range(5)])
        taken += 5
    stats = outbox.stats()
    assert account(await outbox.gaps(), GapCause.UNREADABLE) == 20
    assert account(await outbox.gaps(), GapCause.UNREADABLE, GapCause.DROPPED) == stats.dropped
    assert stats.pending + stats.downsampled + stats.dropped == taken
    after = (await bench.reopen(outbox)).stats()
    assert (after.pending, after.downsampled, after.dropped) == (stats.pending, stats.downsampled, stats.dropped)


async def test_damage_that_strikes_while_in_use_is_told_or_recorded(bench: Bench, outbox: Outbox) -> None:
    for commit in range(100):
        await bench.append(outbox, [reading(commit * 1000 + n, (commit + n) / 7) for n in range(100)])
    after = await bench.reopen(outbox)
    path = bench.directory / FILE_NAME
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 4))
    await cast("SqliteOutbox", after).database.run(
        lambda connection: connection.execute("PRAGMA shrink_memory").close()
    )
    claimed = 0
    with contextlib.suppress(Corrupt):
        claimed = len(await claim_all(after))
        assert claimed + account(await after.gaps(), GapCause.UNREADABLE) == 10_000
    assert claimed < 10_000


# Bounds.


async def test_old_boots_do_not_pile_up(bench: Bench) -> None:
    outbox = await bench.open()
    for number in range(30):
        bench.boot_id = f"boot-{number}"
        outbox = await bench.reopen(outbox)
        await outbox.anchor(now_ms=0, utc_ms=ZERO_UTC_MS + number * 10**8)
        await bench.append(outbox, series(3))
        await outbox.settle(await claim_all(outbox, Lane.FRESH) + await claim_all(outbox))
        await outbox.maintain()

    def boots(connection: sqlite3.Connection) -> int:
        (count,) = connection.execute("SELECT count(*) FROM boots").fetchone()
        return int(count)

    assert await cast("SqliteOutbox", outbox).database.run(boots) <= 2


async def test_gaps_are_bounded_and_the_totals_stay(bench: Bench) -> None:
    bench.limits = msgspec.structs.replace(AMPLE, gaps_max=5)
    outbox = await bench.open()
    for number in range(12):
        bench.boot_id = f"boot-{number}"
        outbox = await bench.reopen(outbox)
        await outbox.record_gap([LostReadings(HUB, T_KIND, 0, 10, 2)], GapCause.MEMORY_FULL)
    after = await bench.reopen(outbox)
    await after.maintain()
    assert [gap.boot_id for gap in await after.gaps()] == [f"boot-{number}" for number in range(7, 12)]
    assert after.stats().dropped == 24
