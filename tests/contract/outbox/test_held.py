"""Readings that were recorded on another board are held back until a person decides."""

import pytest

from agent.errors import StorageFull
from agent.telemetry.outbox.protocol import GapCause, Lane, Outbox
from tests.contract.outbox.bench import ZERO_UTC_MS, Bench, FullAt, claim_all, expected, keys, series

FIRST, SECOND = "a" * 64, "b" * 64


async def on_another_board(bench: Bench, outbox: Outbox, origin: str | None = FIRST, boot: str = "boot-2") -> Outbox:
    """Return the outbox after its card was put into another board without a word."""
    del outbox
    bench.origin = origin
    found = await bench.crash(boot_id=boot)
    await found.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    return found


async def test_what_another_board_recorded_is_not_sent_and_what_this_one_records_is(
    bench: Bench, outbox: Outbox
) -> None:
    await bench.append(outbox, [*series(5), *series(3, device="T1")])
    found = await on_another_board(bench, outbox)
    await bench.append(found, series(4, from_ms=10**7))
    stats = found.stats()
    assert (stats.held, stats.pending, stats.sendable, stats.unregistered) == (8, 12, 4, 0)
    assert stats.oldest_utc_ms == ZERO_UTC_MS + 10**7
    assert keys(await claim_all(found, Lane.FRESH)) == expected(series(4, from_ms=10**7))
    assert await claim_all(found) == []
    # Neither a restart nor a registration decides, and what this board has recorded since is not held.
    again = await bench.crash(boot_id="boot-3")
    await again.mark_registered("T1")
    await again.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    assert again.stats().held == 8
    assert keys(await claim_all(again)) == expected(series(4, from_ms=10**7))


async def test_a_person_releases_them_all_and_each_is_sent_once(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, [*series(5), *series(3, device="T1")])
    found = await on_another_board(bench, outbox)
    await bench.append(found, series(4, from_ms=10**7))
    await claim_all(found, Lane.FRESH)
    bench.origin = ""
    await found.release_held()
    await found.release_held()
    assert keys(await claim_all(found)) == expected(series(5))
    await found.mark_registered("T1")
    assert keys(await claim_all(found)) == expected(series(3, device="T1"))
    assert (found.stats().held, (await bench.crash()).stats().held) == (0, 0)


async def test_a_decision_that_the_outbox_has_not_noticed_counts_when_it_is_opened(
    bench: Bench, outbox: Outbox
) -> None:
    await bench.append(outbox, series(5))
    await on_another_board(bench, outbox)
    bench.origin = ""
    assert keys(await claim_all(await bench.crash())) == expected(series(5))


async def test_where_the_machine_is_not_known_nothing_is_released(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    found = await on_another_board(bench, outbox)
    found = await on_another_board(bench, found, None)
    assert (found.stats().held, await claim_all(found)) == (5, [])


async def test_discarded_readings_leave_a_gap_and_free_their_space(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    found = await on_another_board(bench, outbox)
    await bench.append(found, series(4, from_ms=10**7))
    assert await found.discard_held() == 5
    assert await found.discard_held() == 0
    (gap,) = await found.gaps()
    assert (gap.lost, gap.cause, gap.boot_id) == (5, GapCause.DROPPED, "boot-1")
    assert (found.stats().held, found.stats().pending, found.stats().dropped) == (0, 4, 0)
    await found.release_held()
    assert keys(await claim_all(found)) == expected(series(4, from_ms=10**7))


async def test_a_third_board_holds_what_both_have_recorded(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    found = await on_another_board(bench, outbox)
    await bench.append(found, series(4, from_ms=10**7))
    found = await on_another_board(bench, found, SECOND, "boot-3")
    assert (found.stats().held, await claim_all(found)) == (9, [])


async def test_a_disk_that_cannot_record_it_gives_no_outbox_to_send_from(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    bench.origin = FIRST
    refused = 0
    for at in range(1, 40):
        bench.disk.on_operation = FullAt(at)
        try:
            found = await bench.crash(boot_id="boot-2")
        except StorageFull:
            refused += 1
            continue
        bench.disk.on_operation = lambda *_: None
        await found.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
        assert (found.stats().held, await claim_all(found)) == (5, []), f"operation {at}"
        if at > refused + 3:
            break
    assert refused


@pytest.mark.parametrize("lane", list(Lane))
async def test_on_the_board_of_before_nothing_is_held(bench: Bench, outbox: Outbox, lane: Lane) -> None:
    await bench.append(outbox, series(5))
    bench.origin = ""
    found = await bench.reopen(outbox)
    assert found.stats().held == 0
    assert keys([*await claim_all(found, lane), *await claim_all(found)]) == expected(series(5))
