"""Readings that were recorded on another board are held back until a person decides."""

from typing import cast

import pytest

from agent.errors import StorageFull
from agent.telemetry.outbox.protocol import GapCause, Lane, Outbox
from agent.telemetry.outbox.store import SqliteOutbox
from tests.contract.outbox.bench import ZERO_UTC_MS, Bench, FullAt, claim_all, expected, keys, series

A, B = "A", "B"


@pytest.fixture(autouse=True)
def on_the_first_board(bench: Bench) -> None:
    bench.machine = A


async def moved(bench: Bench, machine: str, boot: str) -> Outbox:
    """Return the outbox after its card was put into a board without a word."""
    bench.machine = machine
    found = await bench.crash(boot_id=boot)
    await found.anchor(now_ms=0, utc_ms=ZERO_UTC_MS)
    return found


async def recorded_on(bench: Bench, boards: str) -> tuple[Outbox, dict[str, int]]:
    """Return the outbox on the last of these boards, and the number of readings that each has recorded in all."""
    found = await bench.open()
    counts: dict[str, int] = {}
    for index, board in enumerate(boards):
        found = await moved(bench, board, f"boot-{index + 2}")
        await bench.append(found, series(index + 3, from_ms=(index + 1) * 10**7))
        counts[board] = counts.get(board, 0) + index + 3
    return found, counts


async def test_what_another_board_recorded_is_not_sent_and_what_this_one_records_is(
    bench: Bench, outbox: Outbox
) -> None:
    await bench.append(outbox, [*series(5), *series(3, device="T1")])
    found = await moved(bench, B, "boot-2")
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


@pytest.mark.parametrize("boards", ["ABA", "ABAB", "ABC", "ABCA", "AABBA", "ABABAB", "BA"])
async def test_each_board_holds_what_the_others_have_recorded_whatever_the_order(bench: Bench, boards: str) -> None:
    found, counts = await recorded_on(bench, boards)
    own = counts[boards[-1]]
    assert (found.stats().held, found.stats().sendable) == (sum(counts.values()) - own, own)
    # After a restart the boots of before are known by what is on the disk alone.
    found = await moved(bench, boards[-1], "boot-last")
    assert found.stats().held == sum(counts.values()) - own
    assert len(await claim_all(found)) == own
    # A decision is about the others' readings, on whichever board the card is next.
    await found.release_held()
    assert (found.stats().held, len(await claim_all(found))) == (0, sum(counts.values()) - own)
    other = next(board for board in "BA" if board != boards[-1])
    assert (await moved(bench, other, "boot-other")).stats().held == own


async def test_a_person_releases_them_all_and_each_is_sent_once(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, [*series(5), *series(3, device="T1")])
    found = await moved(bench, B, "boot-2")
    await bench.append(found, series(4, from_ms=10**7))
    await claim_all(found, Lane.FRESH)
    await found.release_held()
    await found.release_held()
    assert keys(await claim_all(found)) == expected(series(5))
    await found.mark_registered("T1")
    assert keys(await claim_all(found)) == expected(series(3, device="T1"))
    assert (found.stats().held, (await bench.crash()).stats().held) == (0, 0)


async def test_where_the_machine_is_not_known_nothing_is_held(bench: Bench) -> None:
    bench.machine = ""
    outbox = await bench.open()
    await bench.append(outbox, series(5))
    assert (await moved(bench, B, "boot-2")).stats().held == 0


async def test_what_a_card_records_before_it_has_a_key_is_held_nowhere(bench: Bench) -> None:
    bench.has_key = False
    outbox = await bench.open()
    await bench.append(outbox, series(5))
    found = await moved(bench, B, "boot-2")
    await bench.append(found, series(2, from_ms=10**7))
    # With a key the boot gets its machine, although it has begun without, and a restart does not take it away.
    bench.has_key = True
    await bench.append(found, series(3, from_ms=2 * 10**7))
    found = await bench.reopen(found)
    await bench.append(found, series(1, from_ms=3 * 10**7))
    assert found.stats().held == 0
    assert (await moved(bench, A, "boot-3")).stats().held == 6


async def older_release_left(outbox: Outbox, *statements: str) -> None:
    """Make the file what a release that knows no machines leaves, or does with the file of this one."""
    await cast("SqliteOutbox", outbox).database.run(lambda connection: connection.executescript(";".join(statements)))


async def test_an_outbox_of_an_older_release_holds_what_that_release_held(bench: Bench) -> None:
    found = await bench.open()
    await bench.append(found, series(5))
    found = await moved(bench, B, "boot-2")
    await bench.append(found, series(4, from_ms=10**7))
    # Boots had no machine: everything up to one blob was held, under the board that it came from.
    await older_release_left(found, "DROP TABLE machines", "INSERT INTO counters VALUES ('held_to A', 1)")
    found = await bench.crash()
    await bench.append(found, series(2, from_ms=2 * 10**7))
    assert (found.stats().held, len(await claim_all(found)) + len(await claim_all(found, Lane.FRESH))) == (5, 6)
    # Back on the first board it is the other way round, and a decision there leaves the first board's own hold alone.
    found = await moved(bench, A, "boot-3")
    assert found.stats().held == 6
    await found.release_held()
    found = await moved(bench, B, "boot-4")
    assert found.stats().held == 5
    await found.release_held()
    assert (found.stats().held, (await bench.crash()).stats().held) == (0, 0)


async def test_in_the_boot_of_an_upgrade_nothing_of_this_board_is_held(bench: Bench) -> None:
    found = await bench.open()
    await bench.append(found, series(5))
    found = await moved(bench, B, "boot-2")
    await bench.append(found, series(4, from_ms=10**7))
    await older_release_left(found, "DROP TABLE machines", "INSERT INTO counters VALUES ('held_to A', 2)")
    assert (await bench.crash()).stats().held == 5


async def test_the_machine_of_a_boot_without_readings_is_forgotten_with_it(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    found = await moved(bench, A, "boot-2")
    # An older release has forgotten a boot and left its machine.
    await older_release_left(found, "INSERT INTO machines VALUES ('boot-0', 'A')")
    await bench.append(found, series(4, from_ms=10**7))
    for lane in Lane:
        await found.settle(await claim_all(found, lane))
    await found.maintain()
    assert await machines_of(found) == ["boot-2"]


async def machines_of(outbox: Outbox) -> list[str]:
    """Return the boots of which the file has the machine."""
    query = "SELECT boot_id FROM machines"
    rows = await cast("SqliteOutbox", outbox).database.run(lambda connection: connection.execute(query).fetchall())
    return [name for (name,) in rows]


async def tables_of(outbox: Outbox) -> int:
    """Return how many tables `machines` the file has."""
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'machines'"
    (count,) = await cast("SqliteOutbox", outbox).database.run(lambda connection: connection.execute(query).fetchone())
    return int(count)


async def test_an_outbox_of_an_older_release_opens_on_a_full_disk(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    await older_release_left(outbox, "DROP TABLE machines")
    bench.disk.on_operation = FullAt(1, lasts=1000)
    found = await bench.crash(boot_id="boot-2")
    assert len(await claim_all(found)) == 5
    assert await tables_of(found) == 0, "opening the file writes nothing"
    with pytest.raises(StorageFull):
        await bench.append(found, series(2, from_ms=10**7))
    assert await tables_of(found) == 0
    bench.disk.on_operation = lambda *_: None
    await bench.append(found, series(2, from_ms=10**7))
    assert await tables_of(found) == 1
    assert (await moved(bench, B, "boot-3")).stats().held == 2


async def test_a_boot_that_an_older_release_has_forgotten_gives_its_machine_to_no_other(
    bench: Bench, outbox: Outbox
) -> None:
    await bench.append(outbox, series(5))
    # After a rollback that release removes the boot, and gives its number to the next one; it leaves the table alone.
    await older_release_left(outbox, "DELETE FROM blobs", "DELETE FROM anchors", "DELETE FROM boots")
    found = await moved(bench, B, "boot-2")
    await bench.append(found, series(4, from_ms=10**7))
    assert (await moved(bench, B, "boot-3")).stats().held == 0
    assert (await moved(bench, A, "boot-4")).stats().held == 4


async def test_discarding_takes_the_machine_from_a_boot_that_goes_on(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    # The same boot on another machine: two containers of one kernel.
    found = await moved(bench, B, "boot-1")
    assert await found.discard_held() == 5
    await bench.append(found, series(4, from_ms=10**7))
    assert (found.stats().held, (await moved(bench, B, "boot-1")).stats().held) == (0, 0)
    assert (await moved(bench, A, "boot-2")).stats().held == 4


async def test_discarded_readings_leave_a_gap_and_free_their_space(bench: Bench, outbox: Outbox) -> None:
    await bench.append(outbox, series(5))
    found = await moved(bench, B, "boot-2")
    await bench.append(found, series(4, from_ms=10**7))
    assert await found.discard_held() == 5
    assert await found.discard_held() == 0
    (gap,) = await found.gaps()
    assert (gap.lost, gap.cause, gap.boot_id) == (5, GapCause.DROPPED, "boot-1")
    assert (found.stats().held, found.stats().pending, found.stats().dropped) == (0, 4, 0)
    await found.release_held()
    assert keys(await claim_all(found, Lane.FRESH)) == expected(series(4, from_ms=10**7))


@pytest.mark.parametrize("lane", list(Lane))
async def test_on_the_same_board_nothing_is_held(bench: Bench, outbox: Outbox, lane: Lane) -> None:
    await bench.append(outbox, series(5))
    found = await bench.reopen(outbox)
    assert found.stats().held == 0
    assert keys([*await claim_all(found, lane), *await claim_all(found)]) == expected(series(5))
