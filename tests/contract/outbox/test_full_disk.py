"""A disk without space, at any operation."""

import sqlite3
from typing import cast

import msgspec
import pytest

from agent.errors import StorageFull
from agent.telemetry.outbox.protocol import GapCause, Lane, Outbox, PendingReading
from agent.telemetry.outbox.store import SqliteOutbox
from agent.telemetry.outbox.tables import SETTLED_BLOBS_MAX
from hal.interface import Reading
from tests.contract.outbox.bench import (
    AMPLE,
    ZERO_UTC_MS,
    Bench,
    FullAt,
    account,
    claim_all,
    expected,
    insist,
    keys,
    reading,
    series,
)


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


async def test_no_space_at_any_operation_loses_and_doubles_nothing(bench: Bench) -> None:
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


async def test_no_space_while_reclaiming_space_loses_and_doubles_nothing(bench: Bench) -> None:
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


async def test_a_refused_move_to_dead_letters_can_be_repeated(bench: Bench, outbox: Outbox) -> None:
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
