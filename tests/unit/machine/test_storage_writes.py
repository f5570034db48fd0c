"""What is written each day is counted over restarts and boots, bounded, and told as a rate."""

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from agent.machine.storage_writes import (
    COUNT_S,
    DAY_S,
    DAYS_MAX,
    FILE_BYTES_MAX,
    FILE_NAME,
    RATE_S_MIN,
    SAVE_COUNTS,
    Counter,
    DayWrites,
    StorageWrites,
    StorageWritesLog,
    bytes_per_day,
    read_counter,
    with_count,
)
from lab.simulation.virtual_loop import VirtualLoop

NOVEMBER_28_MS = 1_795_824_000_000
HOUR_MS = 3_600_000


def counter(hours: float, written: int, epoch: str = "boot 1", source: str = "179:2") -> Counter:
    return Counter(source, epoch, int(hours * HOUR_MS), written)


def test_the_first_count_is_where_counting_begins() -> None:
    kept = with_count(StorageWrites(), "d", counter(100, 10**12))
    assert (kept.days, kept.counter) == ((), counter(100, 10**12))


def test_what_came_since_the_last_count_is_added_to_its_day() -> None:
    kept = with_count(StorageWrites(), "d1", counter(1, 1000))
    kept = with_count(kept, "d1", counter(2, 1500))
    kept = with_count(kept, "d2", counter(4, 2500))
    assert kept.days == (DayWrites("d1", 3600, 500), DayWrites("d2", 7200, 1000))


def test_another_boot_has_counted_since_its_beginning() -> None:
    kept = with_count(StorageWrites(counter=counter(10, 10**9)), "d", counter(1, 700, epoch="boot 2"))
    assert kept.days == (DayWrites("d", 3600, 700),)


@pytest.mark.parametrize("now", [counter(11, 5), counter(11, 10**12, source="8:1")], ids=["back", "another device"])
def test_a_counter_that_cannot_be_compared_adds_nothing(now: Counter) -> None:
    kept = with_count(StorageWrites(counter=counter(10, 10**9)), "d", now)
    assert (kept.days, kept.counter) == ((), now)


def test_days_are_bounded_and_the_rate_is_that_of_the_counted_time() -> None:
    kept = StorageWrites(counter=counter(0, 0))
    for day in range(1, DAYS_MAX + 5):
        kept = with_count(kept, f"{day}", counter(12 * day, 1_000_000 * day))
    assert len(kept.days) == DAYS_MAX
    assert bytes_per_day(kept) == 2_000_000
    assert bytes_per_day(StorageWrites((DayWrites("d", RATE_S_MIN - 1, 10**9),))) is None


def test_the_partition_of_the_directory_is_read(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    stat = tmp_path / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}" / "stat"
    stat.parent.mkdir(parents=True)
    stat.write_text("     100   0  800  10   200   0   4096   50   0   60   60   0 0 0 0 0 0\n")
    found = read_counter(tmp_path, "b", 5, sys=tmp_path / "sys", proc=tmp_path / "proc")
    assert found == Counter(f"{os.major(device)}:{os.minor(device)}", "b", 5, 4096 * 512)


def test_without_a_device_this_process_is_counted(tmp_path: Path) -> None:
    own = read_counter(tmp_path, "b", 5, sys=tmp_path / "sys")
    assert own is None or own.source == "agent"
    process = tmp_path / "proc" / "self"
    process.mkdir(parents=True)
    (process / "io").write_text("rchar: 1\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n")
    (process / "stat").write_text(f"7 (a b) S {' '.join(map(str, range(1, 30)))}\n")
    found = read_counter(tmp_path, "b", 5, sys=tmp_path / "sys", proc=tmp_path / "proc")
    assert found == Counter("agent", f"{os.getpid()}/19", 5, 8192)
    (process / "io").write_text("damaged")
    assert read_counter(tmp_path, "b", 5, sys=tmp_path / "sys", proc=tmp_path / "proc") is None


class Hub:
    boot_id = "boot 1"

    def __init__(self, directory: Path) -> None:
        self.loop = VirtualLoop()
        self.writes: list[str] = []
        self.is_known = True
        self.log = StorageWritesLog(
            directory,
            clock=self,
            disk=Disk(self._note),
            worker=InlineWorker(),
            read=lambda _, boot_id, at_ms: Counter("179:2", boot_id, at_ms, at_ms),
        )

    def _note(self, operation: Operation, name: str) -> None:
        if operation is Operation.RENAME:
            self.writes.append(name)

    def monotonic_ms(self) -> int:
        return int(self.loop.time() * 1000)

    def utc_ms(self) -> int | None:
        return NOVEMBER_28_MS + self.monotonic_ms() if self.is_known else None

    def run(self, seconds: float) -> None:
        async def go() -> None:
            task = asyncio.get_running_loop().create_task(self.log.run())
            await asyncio.sleep(seconds)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.log.save()

        self.loop.run_until_complete(go())
        self.loop.close()


def test_a_day_costs_the_card_four_writes_and_is_kept_over_a_restart(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.run(DAY_S + 60)
    # A file and its copy each; once more at the end.
    assert hub.writes.count(FILE_NAME) <= DAY_S / COUNT_S / SAVE_COUNTS + 1
    assert hub.log.bytes_per_day == pytest.approx(DAY_S * 1000, rel=0.01)
    later = Hub(tmp_path)
    later.run(60)
    assert later.log.bytes_per_day == pytest.approx(DAY_S * 1000, rel=0.01)
    assert (tmp_path / FILE_NAME).stat().st_size < FILE_BYTES_MAX


def test_without_the_time_nothing_is_counted_and_nothing_lost(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.is_known = False
    hub.run(2 * 3600)
    assert hub.log.bytes_per_day is None
