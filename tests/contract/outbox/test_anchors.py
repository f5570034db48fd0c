"""Timestamps: boots with and without a known time."""

from agent.telemetry.outbox.protocol import Lane, Outbox
from tests.contract.outbox.bench import ZERO_UTC_MS, Bench, claim_all, expected, keys, series


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


async def test_an_anchor_makes_all_readings_of_its_boot_sendable(bench: Bench) -> None:
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


async def test_of_this_boot_the_oldest_is_known_by_its_own_clock_too(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(150))
    assert outbox.stats().oldest_at_ms == 1000
    await outbox.anchor(now_ms=10**8, utc_ms=ZERO_UTC_MS + 10**12)
    await outbox.maintain()
    assert outbox.stats().oldest_at_ms == 1000
    after = await bench.crash(boot_id="boot-2")
    assert (after.stats().oldest_at_ms, after.stats().oldest_utc_ms) == (None, ZERO_UTC_MS + 1000)
