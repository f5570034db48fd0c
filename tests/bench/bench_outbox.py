"""What the outbox costs: readings a second, bytes on the disk, bytes that reach the device. Prints JSON.

100 readings a commit, every commit synced. Device bytes are the sectors that a private, loop-mounted ext4 with 4 KiB
blocks writes, journal included, which needs root; without it they are left out. Reach: 450,000 readings/s, 100 device
bytes and 12 bytes on the disk a reading.

python tests/bench/bench_outbox.py [--commits N] [--directory DIR]
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker, ThreadWorker, Worker
from agent.telemetry.outbox.protocol import Lane, OutboxLimits
from agent.telemetry.outbox.store import FILE_NAME, SqliteOutbox, open_outbox
from hal.interface import HUB, Reading, SensorKind

SECTOR_BYTES = 512
LIMITS = OutboxLimits(used_bytes_max=2**30, disk_free_bytes_min=0, dead_letters_max=100)
COMMITS_A_ROUND = 500


def commits(count: int) -> Iterator[list[Reading]]:
    """Yield what 50 sensors of a house give in two minutes, `count` times."""
    rng = random.Random(1)
    kinds = list(SensorKind)
    series = [(HUB if i < len(kinds) else f"0x00124b0000000{i:03x}", kinds[i % len(kinds)]) for i in range(50)]
    values = [20.0 + i for i in range(50)]
    for commit in range(count):
        readings = []
        for minute in (0, 1):
            at_ms = commit * 120_000 + minute * 60_000
            for index, (device, kind) in enumerate(series):
                values[index] += rng.gauss(0.0, 0.1)
                readings.append(Reading(device, "", kind, round(values[index], 2), at_ms + index * 7))
        yield readings


async def _opened(directory: Path, worker: Worker) -> SqliteOutbox:
    outbox, _ = await open_outbox(directory, boot_id="bench", limits=LIMITS, worker=worker, disk=Disk())
    await outbox.anchor(now_ms=0, utc_ms=1_768_000_000_000)
    return outbox


async def measure_append(directory: Path, count: int, worker: Worker) -> dict[str, float]:
    """Append; the rate is the median of rounds, so that one slow sync of the disk does not decide."""
    outbox = await _opened(directory, worker)
    batches = list(commits(count))
    rates = []
    for start in range(0, count, COMMITS_A_ROUND):
        part = batches[start : start + COMMITS_A_ROUND]
        began_s = perf_counter()
        for readings in part:
            await outbox.append(readings, is_registered=lambda _: True)
        rates.append(100 * len(part) / (perf_counter() - began_s))
    await outbox.close()
    size = (directory / FILE_NAME).stat().st_size
    worker.close()
    return {
        "readings_per_s": round(statistics.median(rates)),
        "best_readings_per_s": round(max(rates)),
        "disk_bytes_per_reading": round(size / (100 * count), 2),
    }


async def measure_drain(directory: Path) -> dict[str, float]:
    """Claim and settle all that is stored."""
    worker = InlineWorker()
    outbox = await _opened(directory, worker)
    taken = 0
    began_s = perf_counter()
    while items := await outbox.claim(Lane.BACKLOG, 100):
        taken += len(items)
        await outbox.settle(items)
        if taken % 800 == 0:
            await outbox.maintain()
    await outbox.maintain()
    took_s = perf_counter() - began_s
    await outbox.close()
    return {"drained_per_s": round(taken / took_s)}


@contextlib.contextmanager
def private_ext4(directory: Path) -> Iterator[tuple[Path, Path]]:
    """Mount an ext4 of its own; yield its directory and its device's `stat` file."""
    image, mount = directory / "ext4.img", directory / "mount"
    image.write_bytes(b"")
    os.truncate(image, 512 * 1024 * 1024)
    mount.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", image], check=True)
    loop = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run(["mount", "-o", "noatime", loop, mount], check=True)
        try:
            yield mount, Path("/sys/block") / Path(loop).name / "stat"
        finally:
            subprocess.run(["umount", mount], check=True)
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


def written_bytes(stat: Path) -> int:
    """Return the bytes written to a block device so far (Documentation/block/stat.rst, field 7)."""
    os.sync()
    return int(stat.read_text().split()[6]) * SECTOR_BYTES


def measure_device(directory: Path, count: int) -> dict[str, float]:
    """Count what reaches the device while readings come in, and while they go out."""
    with private_ext4(directory) as (mount, stat):
        before = written_bytes(stat)
        asyncio.run(measure_append(mount, count, InlineWorker()))
        after_in = written_bytes(stat)
        asyncio.run(measure_drain(mount))
        after_out = written_bytes(stat)
    return {
        "device_bytes_per_reading_in": round((after_in - before) / (100 * count), 1),
        "device_bytes_per_reading_out": round((after_out - after_in) / (100 * count), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=5000)
    parser.add_argument("--directory", type=Path, default=None, help="on the disk to be measured")
    options = parser.parse_args()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        for label, worker in (("thread", ThreadWorker("storage")), ("inline", InlineWorker())):
            directory = Path(name) / label
            directory.mkdir()
            results[label] = asyncio.run(measure_append(directory, options.commits, worker))
        results["out"] = asyncio.run(measure_drain(Path(name) / "inline"))
        try:
            results["device"] = measure_device(Path(name), options.commits)
        except (OSError, subprocess.CalledProcessError) as error:
            results["device"] = f"not measured: {error}"
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
