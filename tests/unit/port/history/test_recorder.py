"""The history over hours and days, in virtual time: what is recorded is answered, whatever disk and clock do."""

import asyncio
import errno
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.foundation.clock import Now
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from agent.local import query
from agent.local.queries import POINTS_MAX, HistoryQuery
from agent.local.routes import Caller, LocalRequest, RequestRefused, Role
from agent.port.history.buffer import BLOCK_ROWS
from agent.port.history.recorder import (
    CHANNELS_ASKED_MAX,
    PERIOD_MS,
    UNWRITTEN_BLOCKS_MAX,
    ChartQuery,
    History,
    HistoryReport,
    chart_query,
    handlers,
)
from agent.port.history.segment_files import HistorySegments
from lab.simulation.virtual_loop import VirtualLoop

ZERO_UTC_MS = 1_767_225_600_000
ROOM, OUTPUT = "zone/living/temperature", "zone/living/output"


class Bench:
    """One boot after the other, each with its own clock, over one directory."""

    def __init__(self, loop: VirtualLoop, directory: Path) -> None:
        self.loop = loop
        self.directory = directory
        self.boot_id = "boot 1"
        self.boot_s = loop.time()
        self.knows_time = True
        self.is_full = False
        self.utc_rate = 1.0
        self.operations: list[Operation] = []
        self.values: dict[str, float | None] = {ROOM: 20.0, OUTPUT: 0.0}
        self.history = self.make()

    def reboot(self, *, knows_time: bool) -> None:
        self.boot_id += "+"
        self.boot_s = self.loop.time()
        self.knows_time = knows_time
        self.history = self.make()

    def make(self, *, is_on: bool = True) -> History:
        disk = Disk(self.announce)
        return History(
            self.directory, values=self.now_values, clock=self, disk=disk, worker=InlineWorker(), is_on=is_on
        )

    def now_values(self, now_ms: int) -> Mapping[str, float | None]:
        assert now_ms == self.monotonic_ms()
        return dict(self.values)

    def announce(self, operation: Operation, target: str) -> None:
        self.operations.append(operation)
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def monotonic_ms(self) -> int:
        return round((self.loop.time() - self.boot_s) * 1000)

    def utc_ms(self) -> int | None:
        return ZERO_UTC_MS + round(self.loop.time() * self.utc_rate * 1000) if self.knows_time else None

    def run(self, minutes: float, scene: Coroutine[Any, Any, None] | None = None) -> None:
        """Let the history run, and stop it in order."""

        async def live() -> None:
            task = self.loop.create_task(self.history.run())
            try:
                await (scene or asyncio.sleep(minutes * 60 + 1))
            finally:
                task.cancel()
                await asyncio.wait({task})

        self.loop.run_until_complete(live())

    def ask(self, **asked: str) -> HistoryReport:
        request = LocalRequest({}, Caller("", Role.VIEWER, "socket"), query={"channels": ROOM} | asked)
        report = self.loop.run_until_complete(handlers(self.history)["get_history"](request))
        assert isinstance(report, HistoryReport)
        return report

    def shown(self, **asked: str) -> list[float]:
        return [value for value in self.ask(**asked).series[0].mean if value is not None]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    loop = VirtualLoop()
    yield Bench(loop, tmp_path)
    loop.close()


def test_every_minute_is_recorded_and_the_disk_is_written_every_quarter_of_an_hour(bench: Bench) -> None:
    bench.run(59)
    assert bench.operations.count(Operation.FSYNC) == 4
    assert len(bench.shown(**{"from": "-3600"})) == 59
    bench.history = bench.make()
    report = bench.ask(**{"from": "-3600"})
    assert (report.time_base, report.interval_s, report.problem) == ("utc", 60, "")
    assert None not in report.series[0].mean[2:-1]
    assert [channel.id for channel in report.channels] == [OUTPUT, ROOM]
    assert (report.channels[1].zone, report.channels[1].quantity, report.channels[1].unit) == (
        "living",
        "temperature",
        "°C",
    )


def test_values_keep_their_time(bench: Bench) -> None:
    async def scene() -> None:
        await asyncio.sleep(61)
        bench.values[ROOM] = 21.0
        await asyncio.sleep(60)
        bench.values[ROOM] = None
        await asyncio.sleep(60)
        bench.values[ROOM] = 22.0
        await asyncio.sleep(60)

    bench.run(0, scene())
    report = bench.ask(**{"from": "-300", "to": "0"})
    by_time = dict(zip(report.times, report.series[0].mean, strict=True))
    first_s = ZERO_UTC_MS // 1000
    assert [by_time.get(first_s + minute * 60) for minute in range(1, 5)] == [20.0, 21.0, None, 22.0]


def test_a_wall_clock_that_is_slowed_down_adds_no_rows(bench: Bench) -> None:
    bench.utc_rate = 0.9995  # as fast as the kernel slews
    bench.run(120)
    rows = [block.rows for block in HistorySegments(bench.directory, Disk()).read(1)]
    assert rows == [15] * 7 + [sum(rows) - 105]
    assert sum(rows) in range(118, 121)


def test_a_clock_that_is_corrected_again_and_again_does_not_wear_the_card(bench: Bench) -> None:
    async def scene() -> None:
        for _ in range(60):
            bench.boot_s -= 20
            await asyncio.sleep(60)

    bench.run(0, scene())
    assert bench.operations.count(Operation.FSYNC) <= 6
    assert len(bench.shown(**{"from": "-3600"})) > 40


def test_a_block_that_is_written_while_a_chart_is_made_is_there_once(bench: Bench) -> None:
    async def scene() -> None:
        await asyncio.sleep(20 * 60)
        segments = bench.history._segments
        numbers = segments.numbers

        def write_meanwhile() -> list[int]:
            patch.setattr(segments, "numbers", numbers)
            segments.append(list(bench.history._unwritten))
            bench.history._unwritten.clear()
            return numbers()

        bench.is_full = True
        await asyncio.sleep(20 * 60 + 1)
        bench.is_full = False
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(segments, "numbers", write_meanwhile)
            report = await bench.history.answer(HistoryQuery(channels=ROOM, from_s=-3600))
        (series,) = report.series
        assert len([value for value in series.mean if value is not None]) == 40
        assert series.low == []

    bench.run(0, scene())


def test_seven_days_are_thinned_to_the_points_that_were_asked_for(bench: Bench) -> None:
    bench.run(8 * 1440)
    report = bench.ask(**{"from": str(-PERIOD_MS // 1000), "points": "168"})
    assert report.interval_s == 3600
    assert len(report.times) <= 169
    assert report.series[0].mean.count(None) <= 1
    total = sum(path.stat().st_size for path in bench.directory.iterdir())
    assert total == 15 * 32 * 1024


def test_a_boot_that_learns_the_time_late_is_shown_at_the_right_time(bench: Bench) -> None:
    bench.run(20)
    bench.reboot(knows_time=False)
    bench.values[ROOM] = 25.0
    bench.run(40)
    assert bench.ask(**{"from": "-3600"}).time_base == "boot"
    assert bench.shown(**{"from": "-3600"}) == [25.0] * 40
    bench.knows_time = True
    assert bench.shown(**{"from": "-7200"}) == [20.0] * 20 + [25.0] * 40
    bench.values[ROOM] = 26.0
    bench.run(20)
    bench.reboot(knows_time=True)
    # The last blocks of that boot knew the time, so the first ones have it too.
    assert bench.shown(**{"from": "-7200"}) == [20.0] * 20 + [25.0] * 40 + [26.0] * 20


def test_a_boot_that_never_learnt_the_time_is_left_out_and_said_so(bench: Bench) -> None:
    bench.reboot(knows_time=False)
    bench.run(30)
    bench.reboot(knows_time=True)
    report = bench.ask()
    assert [value for value in report.series[0].mean if value is not None] == []
    assert report.problem == "30 minutes are left out: a boot has never learnt the time"


def test_without_the_time_a_time_of_day_cannot_be_asked_for(bench: Bench) -> None:
    bench.knows_time = False
    with pytest.raises(RequestRefused, match="relative to now, such as from=-3600"):
        bench.ask(**{"from": "1767225600"})


def test_a_full_disk_costs_nothing_for_four_hours_and_then_the_oldest(bench: Bench) -> None:
    async def scene() -> None:
        await asyncio.sleep(16 * 60)
        bench.is_full = True
        bench.values[ROOM] = 21.0
        await asyncio.sleep(3600)
        assert "free some space" in bench.history.problem
        bench.is_full = False
        await asyncio.sleep(3600)
        assert bench.history.problem == ""

    bench.run(0, scene())
    assert len(bench.shown(**{"from": "-10800"})) == 135
    bench.is_full = True
    bench.run(24 * 60)
    assert len(bench.history._unwritten) == UNWRITTEN_BLOCKS_MAX
    assert len(bench.shown(**{"from": "-86400", "points": "2000"})) == UNWRITTEN_BLOCKS_MAX * BLOCK_ROWS


def test_damaged_segment_costs_itself_only(bench: Bench) -> None:
    bench.run(31)
    (path,) = bench.directory.iterdir()
    data = bytearray(path.read_bytes())
    data[20] ^= 0xFF
    path.write_bytes(data)
    report = bench.ask(**{"from": "-3600"})
    assert "damaged" in report.problem
    assert len([value for value in report.series[0].mean if value is not None]) == 16
    path.unlink()
    assert bench.ask().channels == []


def test_switched_off_what_was_recorded_is_removed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.run(31)
    bench.history = bench.make(is_on=False)
    bench.run(1)
    assert list(bench.directory.iterdir()) == []
    assert handlers(bench.history) == {}
    bench.history = bench.make()
    bench.run(31)
    bench.is_full = True
    bench.history = bench.make(is_on=False)
    bench.run(1)
    assert "the old history is still there" in caplog.text


NOW = Now("boot", 5_000_000, ZERO_UTC_MS)


def asked_for(*, now: Now = NOW, **given: str) -> ChartQuery:
    names = {"begin": "from", "end": "to"}
    return chart_query(query.read({names.get(name, name): value for name, value in given.items()}, HistoryQuery), now)


def test_by_default_a_query_shows_a_day_in_five_hundred_points() -> None:
    assert asked_for() == ChartQuery((), ZERO_UTC_MS - 86_400_000, ZERO_UTC_MS, 500)
    assert asked_for(channels="a,,b,a").channels == ("a", "b")


def test_absolute_and_relative_times() -> None:
    now_s = ZERO_UTC_MS // 1000
    asked = asked_for(begin=str(now_s - 600), end="-60")
    assert (asked.from_ms, asked.to_ms) == (ZERO_UTC_MS - 600_000, ZERO_UTC_MS - 60_000)
    assert asked_for(begin="1").from_ms == ZERO_UTC_MS - PERIOD_MS
    assert asked_for(end=str(now_s + 99)).to_ms == ZERO_UTC_MS
    unknown = asked_for(now=Now("boot", 5_000_000, None), begin="-60")
    assert (unknown.from_ms, unknown.to_ms) == (4_940_000, 5_000_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"begin": "-60", "end": "-60"},
        {"begin": "0"},
        {"begin": "yesterday"},
        {"begin": str(-PERIOD_MS // 1000 - 1)},
        {"end": "99999999999999"},
        {"points": "0"},
        {"points": str(POINTS_MAX + 1)},
        {"channels": ",".join(map(str, range(CHANNELS_ASKED_MAX + 1)))},
        {"channels": "x" * 6001},
        {"channels": ",".join(map(str, range(33))), "points": "2000"},
        {"begin": "-60", "end": "1"},
    ],
)
def test_a_wrong_query_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(RequestRefused):
        asked_for(now=NOW, **wrong)
