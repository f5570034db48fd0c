"""Durable, once, unchanged: what is appended, claimed and settled, in which lane."""

import itertools
import sqlite3

import pytest

from agent.telemetry.outbox.protocol import Lane, Outbox, PendingReading
from agent.telemetry.outbox.tables import SETTLED_BLOBS_MAX, OutboxTables
from tests.contract.outbox.bench import H_KIND, ZERO_UTC_MS, Bench, claim_all, expected, keys, reading, series


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


async def test_appended_readings_survive_a_crash(bench: Bench, outbox: Outbox) -> None:
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


async def test_settled_readings_are_never_claimed_again(bench: Bench, outbox: Outbox) -> None:
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


async def test_readings_sent_twice_after_a_crash_are_bounded(bench: Bench, outbox: Outbox) -> None:
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


async def test_maintenance_removes_settled_readings(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(100))
    await outbox.settle(await outbox.claim(Lane.FRESH, 100))
    await outbox.maintain()
    after = await bench.crash()
    assert after.stats().pending == 0


async def test_items_settle_in_any_order_and_portions(bench: Bench, outbox: Outbox) -> None:
    """Items may be settled in any order and in any portions."""
    await bench.append(outbox, series(60))
    items = await claim_all(outbox, Lane.FRESH, 25)
    for part in (items[40:], items[:5], items[5:40]):
        await outbox.settle(part)
    await outbox.maintain()
    assert (await bench.crash()).stats().pending == 0


async def test_settling_waits_for_no_worker(bench: Bench, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of the backlog would cost two hand-overs to the storage thread in place of a quarter of one."""
    await bench.append(outbox, series(60))
    items = await outbox.claim(Lane.FRESH, 40)
    with monkeypatch.context() as held:
        held.delattr(type(bench.worker), "run")
        await outbox.settle(items)
        assert outbox.stats().pending == 20
    await outbox.settle(await outbox.claim(Lane.FRESH, 100))
    assert (outbox.stats().pending, outbox.stats().oldest_utc_ms) == (0, None)
    await outbox.maintain()
    assert (await bench.crash()).stats().pending == 0


async def test_the_oldest_instant_passes_over_what_was_settled_and_what_has_no_time(
    bench: Bench, outbox: Outbox
) -> None:
    """`gaps` stands for any operation: the next one after a settlement shows it."""
    await bench.append(outbox, series(30))
    after = await bench.crash(boot_id="boot-2")
    for from_ms in (9_000, 2_000_000):
        await bench.append(after, series(10, from_ms=from_ms))
    await after.settle(await after.claim(Lane.BACKLOG, 10))
    await after.gaps()
    assert after.stats().oldest_utc_ms == ZERO_UTC_MS + 1000, "a blob that is settled in part is pending"
    await after.settle(await claim_all(after))
    await after.gaps()
    assert (after.stats().pending, after.stats().oldest_utc_ms) == (20, None)
    await after.anchor(now_ms=0, utc_ms=ZERO_UTC_MS + 10**9)
    assert after.stats().oldest_utc_ms == ZERO_UTC_MS + 10**9 + 9_000
    await bench.append(after, series(5, from_ms=10**7))
    await after.settle(await claim_all(after))
    await after.gaps()
    assert after.stats().oldest_utc_ms == ZERO_UTC_MS + 10**9 + 10**7


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


async def test_the_rest_of_a_half_claimed_blob_becomes_backlog(bench: Bench, outbox: Outbox) -> None:
    readings = series(80)
    await bench.append(outbox, readings)
    first = await outbox.claim(Lane.FRESH, 30)
    await outbox.close_fresh_lane()
    assert keys(first + await claim_all(outbox, Lane.BACKLOG)) == expected(readings)


async def test_everything_found_at_the_start_is_backlog(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(10))
    after = await bench.crash()
    assert after.stats().fresh == 0
    assert await after.claim(Lane.FRESH, 100) == []
    new = series(5, from_ms=10_000_000)
    await bench.append(after, new)
    assert keys(await after.claim(Lane.FRESH, 100)) == expected(new)
    assert len(await claim_all(after)) == 10


async def test_a_dead_letter_that_is_on_the_disk_is_none_twice(
    bench: Bench, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.append(outbox, series(2))
    first, second = await claim_all(outbox, Lane.FRESH)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as failing:
        failing.setattr(OutboxTables, "_find_oldest", fail)
        # Whoever is refused would ask again, and the blob would count as delivered before its second reading is.
        await outbox.move_to_dead_letters(first, "wrong")
    await outbox.maintain()
    stats = outbox.stats()
    assert (stats.pending, stats.dead_letters, stats.oldest_utc_ms) == (1, 1, first.utc_ms)
    await outbox.settle([second])
    await outbox.maintain()
    assert (outbox.stats().pending, await claim_all(await bench.crash())) == (0, [])
