"""What happens at each limit: bytes, disk, dead letters, gaps, boots."""

import itertools
import sqlite3
from collections import Counter
from pathlib import Path
from typing import cast

import msgspec

from agent.foundation.disk import Disk
from agent.telemetry.outbox.protocol import Gap, GapCause, Lane, LostReadings, Outbox
from agent.telemetry.outbox.store import SqliteOutbox
from hal.interface import HUB
from tests.contract.outbox.bench import (
    AMPLE,
    H_KIND,
    T_KIND,
    ZERO_UTC_MS,
    Bench,
    account,
    claim_all,
    expected,
    keys,
    overfill,
    reading,
    series,
)


async def test_a_dead_letter_is_kept_for_the_technician(bench: Bench, outbox: Outbox) -> None:
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


async def test_dead_letters_are_bounded_and_the_oldest_are_removed(bench: Bench) -> None:
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


async def test_downsampling_comes_before_dropping(bench: Bench) -> None:
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


async def test_claimed_readings_are_never_given_up(bench: Bench) -> None:
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


async def test_free_disk_space_is_left_to_others(bench: Bench) -> None:
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


async def test_an_emptied_outbox_returns_its_space(bench: Bench, outbox: Outbox) -> None:
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


async def test_old_boots_are_forgotten(bench: Bench) -> None:
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
