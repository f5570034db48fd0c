"""Channels of one bus that are read with one hand-over to its thread: errors, slow and hanging chips, giving up."""

import asyncio
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

import pytest

from hal.channels import Channel, Outcome, Quantity
from hal.errors import SensorUnavailable
from hal.linux import bus_turn
from hal.linux.bus_threads import BusThreads
from hal.linux.bus_turn import BusTurn
from tests.unit.hal.linux.conftest import until

TIMEOUT_S = 0.2

_T = TypeVar("_T")


class CountingThreads(BusThreads):
    """The threads, and how often work was handed over to one."""

    def __init__(self) -> None:
        super().__init__()
        self.hand_overs = 0

    def submit(self, bus: str, work: Callable[[], _T]) -> Future[_T]:
        self.hand_overs += 1
        return super().submit(bus, work)


class Bench:
    """Channels of buses; those named in `hang` wait until it is set."""

    def __init__(self) -> None:
        self.threads = CountingThreads()
        self.hang = threading.Event()
        self.begun = threading.Event()
        self.reads: list[str] = []

    def channel(self, name: str, read: Callable[[], float] = lambda: 20.0, bus: str = "i2c-1") -> Channel:
        def counted() -> float:
            self.reads.append(name)
            return read()

        return Channel(name, Quantity.TEMPERATURE, counted, bus=bus)

    def hanging(self, name: str) -> Channel:
        def read() -> float:
            self.begun.set()
            self.hang.wait()
            return 30.0

        return self.channel(name, read)

    def turn(self, *channels: Channel, timeout_s: float | None = TIMEOUT_S) -> BusTurn:
        return BusTurn(channels, self.threads, timeout_s=timeout_s)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.hang.set()
    bench.threads.close()


async def all_of(turn: BusTurn) -> Sequence[Outcome]:
    outcomes: list[Outcome] = []
    while some := await turn.advance():
        outcomes += some
    return outcomes


@pytest.fixture
def no_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is held up is not slow."""
    monkeypatch.setattr(bus_turn, "GO_S", 3600.0)


@pytest.mark.usefixtures("no_haste")
async def test_channels_that_answer_quickly_are_handed_over_once(bench: Bench) -> None:
    def value(number: int) -> Callable[[], float]:
        return lambda: float(number)

    channels = [bench.channel(f"T{number}", value(number)) for number in range(10)]
    assert await all_of(bench.turn(*channels, timeout_s=None)) == [float(number) for number in range(10)]
    assert bench.threads.hand_overs == 1


async def test_slow_channels_let_others_use_the_bus_in_between(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_turn, "GO_S", 0.0)
    turn = bench.turn(*(bench.channel(f"T{number}") for number in range(3)), timeout_s=None)
    first = asyncio.ensure_future(turn.advance())
    await asyncio.sleep(0)
    search = bench.threads.submit("i2c-1", lambda: bench.reads.append("search"))
    assert await first == [20.0]
    assert await all_of(turn) == [20.0, 20.0]
    await asyncio.wrap_future(search)
    assert bench.reads == ["T0", "search", "T1", "T2"]


@pytest.mark.usefixtures("no_haste")
async def test_each_channel_has_its_own_error(bench: Bench) -> None:
    def fail(error: Exception) -> Callable[[], float]:
        def read() -> float:
            raise error

        return read

    turn = bench.turn(
        bench.channel("absent", fail(SensorUnavailable("absent"))),
        bench.channel("T1"),
        bench.channel("driver", fail(OSError(5, "bus"))),
        bench.channel("defect", fail(struct.error("unpack requires a buffer of 2 bytes"))),
        bench.channel("T2"),
    )
    absent, first, driver, defect, second = await all_of(turn)
    assert (str(absent), first, second) == ("absent", 20.0, 20.0)
    assert isinstance(driver, SensorUnavailable)
    assert str(driver).startswith("driver: OSError: ")
    assert isinstance(defect, struct.error)
    assert bench.threads.hand_overs == 1


async def test_what_was_read_before_a_channel_that_hangs_does_not_wait_for_it(bench: Bench) -> None:
    turn = bench.turn(
        bench.channel("T1"), bench.channel("T2"), bench.hanging("hangs"), bench.channel("T3"), timeout_s=None
    )
    assert await turn.advance() == [20.0, 20.0]
    assert not bench.hang.is_set()
    bench.hang.set()
    assert await all_of(turn) == [30.0, 20.0]


async def test_a_channel_that_hangs_stops_its_own_bus_only_and_until_it_answers(bench: Bench) -> None:
    hangs, behind = bench.hanging("hangs"), bench.channel("T2")
    stopped = bench.turn(bench.channel("T1"), hangs, behind, behind)
    first, late, *others = await all_of(stopped)
    assert (first, str(late)) == (20.0, "no answer within 0 s")
    assert len(others) == 2
    for other in others:
        assert isinstance(other, SensorUnavailable)
        assert "T2: check the wiring" in str(other)
        assert "the bus i2c-1 hangs, an earlier read of hangs has not returned" in str(other)
    assert await all_of(bench.turn(bench.channel("T9", bus="i2c-2"))) == [20.0]
    hand_overs = bench.threads.hand_overs
    assert all(isinstance(outcome, SensorUnavailable) for outcome in await all_of(bench.turn(behind)))
    assert bench.threads.hand_overs == hand_overs
    bench.hang.set()
    await until(lambda: not bench.threads.hanging("i2c-1"))
    assert await all_of(bench.turn(behind, hangs)) == [20.0, 30.0]
    # What was behind the channel that hung is not read on behalf of a turn that has given up.
    assert bench.reads == ["T1", "hangs", "T9", "T2", "hangs"]


@pytest.mark.usefixtures("no_haste")
async def test_buses_that_answer_quickly_are_read_one_after_the_other(bench: Bench) -> None:
    reading, at_once = set[str](), list[int]()

    def read() -> float:
        name = threading.current_thread().name
        reading.add(name)
        at_once.append(len(reading))
        time.sleep(0.005)  # lets the other threads on
        reading.remove(name)
        return 20.0

    turns = [bench.turn(bench.channel(f"T{number}", read, bus=f"i2c-{number}"), timeout_s=None) for number in range(5)]
    assert await asyncio.gather(*map(all_of, turns)) == [[20.0]] * 5
    assert at_once == [1] * 5


async def test_a_bus_that_hangs_keeps_the_others_waiting_for_a_moment_only(bench: Bench) -> None:
    stopped = asyncio.ensure_future(all_of(bench.turn(bench.hanging("hangs"), timeout_s=None)))
    await until(bench.begun.is_set)
    others = [bench.turn(bench.channel(f"T{number}", bus=f"i2c-{number}"), timeout_s=None) for number in range(2, 5)]
    read = asyncio.gather(*map(all_of, others))
    await until(read.done)
    assert read.result() == [[20.0]] * 3
    assert not stopped.done()
    bench.hang.set()
    assert await stopped == [30.0]


@pytest.mark.usefixtures("no_haste")
async def test_who_gives_up_waiting_for_another_bus_keeps_nobody_waiting(bench: Bench) -> None:
    stopped = asyncio.ensure_future(all_of(bench.turn(bench.hanging("hangs"), timeout_s=None)))
    await until(bench.begun.is_set)
    second, third = (
        asyncio.ensure_future(all_of(bench.turn(bench.channel(f"T{number}", bus=f"i2c-{number}")))) for number in (2, 3)
    )
    await asyncio.sleep(0)
    second.cancel()
    await until(third.done)
    assert third.result() == [20.0]
    bench.hang.set()
    assert await stopped == [30.0]


async def test_who_gives_up_leaves_no_further_read_behind(bench: Bench) -> None:
    turn = bench.turn(bench.hanging("hangs"), bench.channel("T1"), timeout_s=None)
    reading = asyncio.ensure_future(turn.advance())
    await until(bench.begun.is_set)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert bench.threads.hanging("i2c-1") == "an earlier read of hangs"
    bench.hang.set()
    await until(lambda: not bench.threads.hanging("i2c-1"))
    assert bench.reads == ["hangs"]


async def test_a_stop_ends_the_wait_for_a_read_that_has_not_begun(bench: Bench) -> None:
    first = asyncio.ensure_future(bench.turn(bench.hanging("hangs"), timeout_s=None).advance())
    await until(bench.begun.is_set)
    queued = asyncio.ensure_future(all_of(bench.turn(bench.channel("T1"), bench.channel("T2"), timeout_s=None)))
    await until(lambda: bench.threads.hand_overs == 2)
    bench.threads.close()
    assert [str(outcome) for outcome in await queued] == [
        "T1: not read, as the hub stops",
        "T2: not read, as the hub stops",
    ]
    bench.hang.set()
    assert await first == [30.0]
    assert bench.reads == ["hangs"]


def test_a_loop_that_is_closed_meanwhile_is_told_nothing(bench: Bench) -> None:
    async def begin() -> None:
        reading = asyncio.ensure_future(bench.turn(bench.hanging("hangs"), timeout_s=None).advance())
        await until(bench.begun.is_set)
        reading.cancel()

    asyncio.run(begin())
    bench.hang.set()
    after = bench.threads.submit("i2c-1", lambda: None)
    after.result(timeout=60)
    assert not bench.threads.hanging("i2c-1")
