"""Files and blobs that cannot be read."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest

from agent.errors import Corrupt
from agent.foundation.worker import InlineWorker
from agent.telemetry.outbox.protocol import GapCause, Lane, Outbox, PendingReading
from agent.telemetry.outbox.store import FILE_NAME, SqliteOutbox
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
    spoil_blob,
)


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
async def test_an_unreadable_file_is_quarantined_and_replaced(
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


async def test_no_space_to_record_an_unreadable_blob_keeps_the_others(bench: Bench, outbox: Outbox) -> None:
    readings = series(30)
    for start in range(0, 30, 10):
        await bench.append(outbox, readings[start : start + 10])
    await spoil_blob(outbox, 1, b"garbage")
    bench.disk.on_operation = FullAt(1)
    items = cast("list[PendingReading]", await insist(lambda: outbox.claim(Lane.FRESH, 100)))
    items += await claim_all(outbox, Lane.FRESH) + await claim_all(outbox)
    assert keys(items) == expected(readings[:10] + readings[20:])


async def test_an_unreadable_blob_is_counted_once_when_space_is_reclaimed(bench: Bench) -> None:
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


async def test_damage_while_in_use_is_raised_or_recorded(bench: Bench, outbox: Outbox) -> None:
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
