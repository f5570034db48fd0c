"""What the history costs the card: bytes a day that reach the device, in two ways, for three sizes of a hub.

A block of fifteen minutes is written 96 times a day, synced: to segments (`agent.port.history.segment_files`), and as a
row of a database (`agent.foundation.database`), which keeps seven days of rows. Device bytes are the sectors that a
private, loop-mounted ext4 with 4 KiB blocks writes, journal included, which needs root. Also the time of a query of
seven days. Prints JSON.

python tests/bench/bench_history.py [--days N]
"""

import argparse
import asyncio
import json
import math
import random
import sqlite3
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time

from bench_outbox import private_ext4, written_bytes

from agent.foundation.clock import Now, read_now
from agent.foundation.database import open_database
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.local.queries import HistoryQuery
from agent.port.history.blocks import HistoryBlock, encode
from agent.port.history.buffer import INTERVAL_MS, HistoryBuffer
from agent.port.history.channels import sensor_values
from agent.port.history.recorder import History, chart_query
from agent.port.history.segment_files import ROWS_A_DAY, HistorySegments
from agent.telemetry.intake import ChannelState
from hal.interface import Reading, SensorKind

ZERO_UTC_MS = 1_767_225_600_000
CHANNELS = (12, 50, 220)
"""One zone and its sensors; a flat; eight zones and fifty sensors of four kinds."""
BLOCKS_KEPT = 7 * 96


def blocks(channels: int, days: int) -> Iterator[HistoryBlock]:
    """Yield what sensors of a house give: a slow wave, and noise of a tenth."""
    rng, buffer = random.Random(1), HistoryBuffer()
    for minute in range(days * ROWS_A_DAY):
        now_ms = minute * INTERVAL_MS
        values: dict[str, float | None] = {
            f"sensor/0x00124b0000000{channel:03x}//temperature": round(
                20 + 2 * math.sin(minute / 200 + channel) + rng.gauss(0, 0.05), 2
            )
            for channel in range(channels)
        }
        yield from buffer.add(Now("bench", now_ms, ZERO_UTC_MS + now_ms), values)


async def write_segments(directory: Path, made: list[HistoryBlock]) -> None:
    segments = HistorySegments(directory, Disk())
    for block in made:
        segments.append([block])


async def write_database(directory: Path, made: list[HistoryBlock]) -> None:
    schema = "CREATE TABLE block (id INTEGER PRIMARY KEY, content BLOB NOT NULL)"
    database, _ = open_database(directory / "history.db", schema=schema, version=1, worker=InlineWorker(), disk=Disk())
    for number, block in enumerate(made):
        frame = encode(block)

        def insert(connection: sqlite3.Connection, number: int = number, frame: bytes = frame) -> None:
            with database.transaction(connection):
                connection.execute("INSERT INTO block VALUES (?, ?)", (number, frame))
                connection.execute("DELETE FROM block WHERE id <= ?", (number - BLOCKS_KEPT,))

        await database.run(insert)
    await database.close()


def device_bytes_a_day(
    directory: Path, write: Callable[[Path, list[HistoryBlock]], Awaitable[None]], made: list[HistoryBlock], days: int
) -> int:
    with private_ext4(directory) as (mount, stat):
        before = written_bytes(stat)
        asyncio.run(write(mount, made))  # type: ignore[arg-type]
        return (written_bytes(stat) - before) // days


class Clock:
    """The end of the recording."""

    boot_id = "bench"

    def __init__(self, days: int) -> None:
        self._now_ms = days * 86_400_000

    def monotonic_ms(self) -> int:
        return self._now_ms

    def utc_ms(self) -> int | None:
        return ZERO_UTC_MS + self._now_ms


def cpu_s_an_hour(channels: int) -> float:
    """Return the processor time of recording: sixty rows of values, four blocks."""
    states = {
        (f"0x00124b{number:010x}", "", SensorKind.TEMPERATURE): ChannelState(
            latest=Reading("", "", SensorKind.TEMPERATURE, 20.5, 0)
        )
        for number in range(channels)
    }
    buffer, hours, began_s = HistoryBuffer(), 10, process_time()
    for minute in range(60 * hours):
        values = sensor_values(states, now_ms=minute * INTERVAL_MS, stale_ms=10**12)
        for block in buffer.add(Now("bench", minute * INTERVAL_MS, None), values):
            encode(block)
    return (process_time() - began_s) / hours


async def query_ms(directory: Path, made: list[HistoryBlock], days: int) -> float:
    """Return the median time of a chart of seven days of eight channels."""
    segments = HistorySegments(directory, Disk())
    for block in made:
        segments.append([block])
    clock = Clock(days)
    history = History(directory, values=lambda _: {}, clock=clock, disk=Disk(), worker=InlineWorker())
    names = ",".join(list(made[0].differences)[:8])
    asked = chart_query(HistoryQuery(channels=names, from_s=-7 * 86_400), read_now(clock))
    times = []
    for _ in range(5):
        began_s = perf_counter()
        report = await history.report(asked)
        times.append((perf_counter() - began_s) * 1000)
        assert any(value is not None for value in report.series[0].mean)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=8)
    days = parser.parse_args().days
    results = {}
    for channels in CHANNELS:
        made = list(blocks(channels, days))
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            ways = {}
            for label, write in (("segments", write_segments), ("database", write_database)):
                (directory / label).mkdir()
                ways[label] = device_bytes_a_day(directory / label, write, made, days)
            (directory / "plain").mkdir()
            took_ms = asyncio.run(query_ms(directory / "plain", made, days))
            kept = sum(path.stat().st_size for path in (directory / "plain").iterdir())
        results[f"{channels} channels"] = {
            "device_bytes_a_day": ways,
            "bytes_a_block": round(statistics.mean(len(encode(block)) for block in made)),
            "bytes_kept": kept,
            "cpu_s_an_hour": round(cpu_s_an_hour(channels), 4),
            "query_of_seven_days_ms": round(took_ms, 1),
        }
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
