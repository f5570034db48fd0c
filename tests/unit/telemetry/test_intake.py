import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.errors import StorageFull
from agent.foundation.disk import Disk, Operation, allow_operation
from agent.foundation.worker import InlineWorker
from agent.telemetry.intake import CHANNELS_MAX, RETRY_S, Intake
from agent.telemetry.outbox.protocol import GapCause, Lane, OutboxLimits
from agent.telemetry.outbox.store import SqliteOutbox, open_outbox
from hal.interface import HUB, Quality, Reading, SensorKind
from lab.simulation.virtual_loop import VirtualLoop
from tests.unit.telemetry.fakes import AllRegistered

T_KIND = SensorKind.TEMPERATURE


def full(operation: Operation, target: str) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


class Bench:
    def __init__(self, readings_max: int = 50) -> None:
        self.disk = Disk()
        self.committed: list[Reading] = []
        self.durable = 0
        self.intake = Intake(
            commit_interval_s=10.0,
            readings_max=readings_max,
            identities=AllRegistered(),
            on_committed=self._commit,
            on_all_durable=self._confirm,
            now_ms=lambda: 0,
        )

    def _commit(self, readings: Sequence[Reading]) -> None:
        self.committed += readings

    def _confirm(self) -> None:
        self.durable += 1

    async def open(self, directory: Path) -> SqliteOutbox:
        limits = OutboxLimits(2**30, 0, 100)
        outbox, _ = await open_outbox(directory, boot_id="boot", limits=limits, worker=InlineWorker(), disk=self.disk)
        await outbox.anchor(now_ms=0, utc_ms=0)
        return outbox

    def offer(self, *at_ms: int, device: str = HUB) -> None:
        for instant_ms in at_ms:
            self.intake.offer(Reading(device, "s", T_KIND, 21.0, instant_ms))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def outbox(bench: Bench, tmp_path: Path) -> AsyncIterator[SqliteOutbox]:
    made = await bench.open(tmp_path)
    yield made
    bench.disk.on_operation = allow_operation
    await made.close()


async def test_only_valid_readings_of_enabled_kinds_are_stored(bench: Bench, outbox: SqliteOutbox) -> None:
    intake = bench.intake
    intake.offer(Reading(HUB, "a", T_KIND, 21.0, 1))
    intake.offer(Reading(HUB, "a", T_KIND, 21.0, 2, Quality.SUSPECT, "stuck"))
    intake.offer(Reading(HUB, "a", T_KIND, 999.0, 3, Quality.BAD, "too hot"))
    intake.offer(Reading(HUB, "b", T_KIND, 21.5, 4), is_reported=False)
    intake.record_failure(HUB, "b", T_KIND, "bus error")
    assert intake.uncommitted == 2
    await intake.flush(outbox)
    assert [item.utc_ms for item in await outbox.claim(Lane.FRESH, 100)] == [1, 2]
    first, second = intake.channel(HUB, "a", T_KIND), intake.channel(HUB, "b", T_KIND)
    assert (first.good, first.bad, first.failures) == (2, 1, 0)
    assert first.latest is not None
    assert first.latest.value == 999.0
    assert (second.good, second.failures, second.problem) == (1, 1, "bus error")
    intake.offer(Reading(HUB, "b", T_KIND, 21.5, 5), is_reported=False)
    assert second.problem == ""


@pytest.mark.parametrize(
    "at_ms",
    [[5, 5], [5, 5, 5, 5], [5, 5, 6, 6, 7], [5, 5, 5, 6, 7, 20, 20]],
)
def test_reports_in_one_millisecond_get_different_times(bench: Bench, at_ms: list[int]) -> None:
    bench.offer(*at_ms)
    kept = [reading.at_ms for reading in bench.intake._buffer]
    assert len(set(kept)) == len(at_ms)
    assert kept == sorted(kept)
    assert all(0 <= got - said < len(at_ms) for got, said in zip(kept, at_ms, strict=True))


def test_late_reports_and_other_series_keep_their_times(bench: Bench) -> None:
    bench.offer(100, 90, 80)
    bench.offer(100, device="T1")
    assert [reading.at_ms for reading in bench.intake._buffer] == [100, 90, 80, 100]


async def test_full_disk_keeps_readings_in_memory_then_records_gaps(bench: Bench, outbox: SqliteOutbox) -> None:
    bench.disk.on_operation = full
    bench.offer(*range(60))
    for _ in range(3):
        with pytest.raises(StorageFull):
            await bench.intake.flush(outbox)
        assert bench.intake.uncommitted == 50
    assert bench.durable == 0
    bench.offer(*range(60, 70))
    assert bench.intake.uncommitted == 50
    bench.disk.on_operation = allow_operation
    await bench.intake.flush(outbox)
    assert bench.intake.uncommitted == 0
    assert bench.durable == 1
    assert [reading.at_ms for reading in bench.committed] == list(range(20, 70))
    (gap,) = await outbox.gaps()
    assert (gap.cause, gap.from_ms, gap.to_ms, gap.lost) == (GapCause.MEMORY_FULL, 0, 19, 20)
    assert outbox.stats().pending == 50


async def test_memory_stays_bounded_while_readings_arrive_during_a_flush(bench: Bench, outbox: SqliteOutbox) -> None:
    def slow(operation: Operation, target: str) -> None:
        bench.offer(*range(next_ms[0], next_ms[0] + 30))
        next_ms[0] += 30
        raise OSError(errno.ENOSPC, "No space left on device")

    next_ms = [1000]
    bench.offer(*range(50))
    bench.disk.on_operation = slow
    for _ in range(10):
        with pytest.raises(StorageFull):
            await bench.intake.flush(outbox)
        assert bench.intake.uncommitted <= 50
    bench.disk.on_operation = allow_operation
    await bench.intake.flush(outbox)
    assert outbox.stats().pending + sum(gap.lost for gap in await outbox.gaps()) == 50 + 300


async def test_a_gap_is_recorded_once_even_if_the_commit_after_it_fails(bench: Bench, outbox: SqliteOutbox) -> None:
    operations: list[Operation] = []

    def second(operation: Operation, target: str) -> None:
        operations.append(operation)
        if len(operations) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    bench.offer(*range(53))
    bench.disk.on_operation = second
    with pytest.raises(StorageFull):
        await bench.intake.flush(outbox)
    await bench.intake.flush(outbox)
    assert sum(gap.lost for gap in await outbox.gaps()) == 3
    assert outbox.stats().pending == 50


async def test_empty_flush_confirms_the_network(bench: Bench, outbox: SqliteOutbox) -> None:
    await bench.intake.flush(outbox)
    assert bench.durable == 1
    assert outbox.stats().committed == 0


def test_commits_follow_their_interval(tmp_path: Path) -> None:
    loop, bench = VirtualLoop(), Bench()

    async def scene() -> None:
        outbox = await bench.open(tmp_path)
        task = loop.create_task(bench.intake.run(outbox))
        await asyncio.sleep(5)
        bench.offer(1)
        await asyncio.sleep(9.9)
        assert not bench.committed
        bench.offer(2)
        await asyncio.sleep(0.2)
        assert len(bench.committed) == 2
        bench.disk.on_operation = full
        bench.offer(3)
        await asyncio.sleep(10.1)
        assert "free some space" in bench.intake.storage_problem
        bench.disk.on_operation = allow_operation
        await asyncio.sleep(RETRY_S + 10.1)
        assert len(bench.committed) == 3
        assert bench.intake.storage_problem == ""
        task.cancel()
        await asyncio.wait({task})
        await outbox.close()

    loop.run_until_complete(scene())
    loop.close()


async def test_every_use_of_a_reading_sees_the_corrected_value(tmp_path: Path) -> None:
    bench = Bench()
    bench.intake = Intake(
        commit_interval_s=10.0,
        readings_max=50,
        identities=AllRegistered(),
        on_committed=bench._commit,
        on_all_durable=bench._confirm,
        now_ms=lambda: 0,
        correct=lambda reading: msgspec.structs.replace(reading, value=reading.value - 3.0),
    )
    bench.offer(1)
    latest = bench.intake.channel(HUB, "s", T_KIND).latest
    assert latest is not None
    assert latest.value == 18.0
    outbox = await bench.open(tmp_path)
    await bench.intake.flush(outbox)
    assert [reading.value for reading in bench.committed] == [18.0]
    await outbox.close()


def test_humidity_a_little_over_a_hundred_is_a_hundred(bench: Bench) -> None:
    bench.intake.offer(Reading(HUB, "h", SensorKind.HUMIDITY, 101.2, 1))
    latest = bench.intake.channel(HUB, "h", SensorKind.HUMIDITY).latest
    assert latest is not None
    assert latest.value == 100.0


def test_a_sensor_that_makes_up_names_takes_no_more_memory_than_there_is_room_for(bench: Bench) -> None:
    intake = bench.intake
    channels = intake.channels
    intake.offer(Reading("T1", "temperature", T_KIND, 21.0, 0))
    for number in range(CHANNELS_MAX + 50):
        intake.offer(Reading(f"D{number}", f"made up {number}", T_KIND, 21.0, number))
        intake.record_failure("T1", "temperature", T_KIND, "no answer")
    tables = (intake.channels, intake._last_at_ms.entries, intake._overflow.entries)
    assert [len(table) for table in tables] == [CHANNELS_MAX, CHANNELS_MAX, CHANNELS_MAX]
    assert intake.channel("T1", "temperature", T_KIND).failures == CHANNELS_MAX + 50
    assert channels is intake.channels
