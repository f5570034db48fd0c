"""The rhythm, and sensors that hang, raise, are slow or share a bus, in virtual time."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ClimahubError
from agent.telemetry.intake import Intake
from agent.telemetry.sampling import READ_TIMEOUT_S, Sampler, SamplingSchedule, next_tick_ms
from hal.channels import Channel, Outcome, Quantity, ReadsInTurn, Turn
from hal.errors import SensorUnavailable
from hal.interface import HUB, Reading, SensorKind
from hal.plausibility import PlausibilityCheck
from lab.simulation.virtual_loop import VirtualLoop
from tests.unit.telemetry.fakes import AllRegistered


@given(st.integers(-(10**9), 10**12), st.integers(1000, 3_600_000), st.floats(0, 1, exclude_max=True))
def test_next_tick_is_within_one_interval_and_in_phase(now_ms: int, interval_ms: int, phase: float) -> None:
    tick_ms = next_tick_ms(now_ms, interval_ms, phase)
    assert 0 < tick_ms - now_ms <= interval_ms
    assert (tick_ms - int(interval_ms * phase)) % interval_ms == 0
    assert next_tick_ms(tick_ms, interval_ms, phase) == tick_ms + interval_ms
    assert next_tick_ms(tick_ms - 1, interval_ms, phase) == tick_ms


class Sensor:
    def __init__(self, name: str, read: Callable[[], Awaitable[float]], kind: SensorKind) -> None:
        self.name = name
        self.kind = kind
        self._read = read
        self.reads = 0

    async def read(self) -> float:
        self.reads += 1
        return await self._read()


class Bench:
    """A sampler with its sensors, in virtual time."""

    boot_id = "boot"

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.schedule = SamplingSchedule(60, None)
        self.intake = Intake(
            commit_interval_s=1e9,
            readings_max=100_000,
            identities=AllRegistered(),
            on_committed=lambda _: None,
            on_all_durable=lambda: None,
            now_ms=self.monotonic_ms,
        )
        self.sensors: list[Sensor] = []
        self.sampler: Sampler

    def monotonic_ms(self) -> int:
        return int(self.loop.time() * 1000 + 0.5)

    def utc_ms(self) -> int | None:
        return None

    def add(self, name: str, read: Callable[[], Awaitable[float]] | None = None) -> Sensor:
        async def answer() -> float:
            return 20.0

        sensor = Sensor(name, read or answer, SensorKind.TEMPERATURE)
        self.sensors.append(sensor)
        return sensor

    def run(self, seconds: float, scene: Callable[[], Awaitable[None]] | None = None, phase: float = 0.5) -> None:
        self.sampler = Sampler(
            [(sensor, PlausibilityCheck(sensor.kind)) for sensor in self.sensors],
            primary={SensorKind.TEMPERATURE: self.sensors[0].name},
            intake=self.intake,
            clock=self,
            schedule=lambda: self.schedule,
            phase=phase,
        )

        async def live() -> None:
            task = self.loop.create_task(self.sampler.run())
            if scene is not None:
                await scene()
            await asyncio.wait({task}, timeout=seconds)
            if task.done():
                task.result()
            task.cancel()
            await asyncio.wait({task})

        self.loop.run_until_complete(live())

    def problem(self, sensor: Sensor) -> tuple[int, str]:
        state = self.intake.channel(HUB, sensor.name, sensor.kind)
        return state.failures, state.problem

    @property
    def kept(self) -> list[Reading]:
        return self.intake._buffer


@pytest.fixture
def bench() -> Iterator[Bench]:
    loop = VirtualLoop()
    yield Bench(loop)
    loop.close()


def test_sensors_are_sampled_at_once_and_at_every_tick(bench: Bench) -> None:
    bench.add("T1")
    bench.run(300, phase=0.25)
    assert [reading.at_ms for reading in bench.kept] == [0, 15_000, 75_000, 135_000, 195_000, 255_000]


def test_changed_interval_takes_effect_at_once(bench: Bench) -> None:
    bench.add("T1")

    async def scene() -> None:
        await asyncio.sleep(45)
        bench.schedule = SamplingSchedule(3600, None)
        bench.sampler.schedule_changed()
        await asyncio.sleep(100)
        bench.schedule = SamplingSchedule(60, None)
        bench.sampler.schedule_changed()

    bench.run(60, scene)
    assert [reading.at_ms for reading in bench.kept] == [0, 30_000, 150_000]


def test_only_primary_sensors_and_enabled_kinds_go_to_the_cloud(bench: Bench) -> None:
    bench.add("T1")
    other = bench.add("T2")
    bench.run(100)
    assert {reading.sensor for reading in bench.kept} == {"T1"}
    assert bench.intake.channel(HUB, other.name, other.kind).good == 3
    bench.schedule = SamplingSchedule(60, frozenset({SensorKind.HUMIDITY}))
    before = len(bench.kept)
    bench.run(100)
    assert len(bench.kept) == before


def test_hanging_sensor_does_not_delay_the_others(bench: Bench) -> None:
    async def hang() -> float:
        await asyncio.Event().wait()
        return 0.0

    hanging = bench.add("hangs", hang)
    good = [bench.add(f"T{number}") for number in range(20)]
    bench.run(300)
    for sensor in good:
        assert bench.intake.channel(HUB, sensor.name, sensor.kind).good >= 5
    failures, problem = bench.problem(hanging)
    assert failures == 6
    assert problem == f"no answer within {READ_TIMEOUT_S:.0f} s"


class OnBus(Sensor):
    """A sensor that shares a bus with others."""

    def __init__(self, name: str, read: Callable[[], Awaitable[float]], bus: str) -> None:
        super().__init__(name, read, SensorKind.TEMPERATURE)
        self.channel = Channel(name, Quantity.TEMPERATURE, lambda: 0.0, bus=bus)


def test_a_bus_is_read_in_turn_and_delays_no_other(bench: Bench) -> None:
    reading = [0, 0]

    async def slow() -> float:
        reading[0] += 1
        reading[1] = max(reading)
        await asyncio.sleep(0.75)
        reading[0] -= 1
        return 21.0

    slow_ones = [OnBus(f"28-{number}", slow, "w1_bus_master1") for number in range(10)]
    bench.sensors += [*slow_ones, OnBus("i2c", slow, "i2c-1")]
    bench.run(200)
    assert reading[1] == 2
    at_ms = {sensor.name: bench.intake.channel(HUB, sensor.name, sensor.kind).latest for sensor in bench.sensors}
    assert [latest.at_ms for latest in at_ms.values() if latest] == [
        *(150_750 + 750 * number for number in range(10)),
        150_750,
    ]


class InTurn(OnBus):
    """A sensor that is read together with others of its bus, each answer after a second."""

    def __init__(self, name: str, outcome: Outcome, *, kind: SensorKind = SensorKind.TEMPERATURE) -> None:
        super().__init__(name, self._never, "i2c-1")
        self.kind = kind
        self.outcome = outcome
        self.turns: list[list[str]] = []

    async def _never(self) -> float:
        raise AssertionError("read by itself")

    def turn(self, sensors: Sequence[ReadsInTurn], *, timeout_s: float) -> Turn:
        assert timeout_s == READ_TIMEOUT_S
        self.turns.append([sensor.name for sensor in sensors])
        return Answers([sensor for sensor in sensors if isinstance(sensor, InTurn)])


class Answers:
    """A turn that gives two outcomes each second."""

    def __init__(self, sensors: Sequence[InTurn]) -> None:
        self.left = sensors

    async def advance(self) -> Sequence[Outcome]:
        some, self.left = self.left[:2], self.left[2:]
        await asyncio.sleep(1 if some else 0)
        return [sensor.outcome for sensor in some]


def test_what_is_read_in_one_turn_is_recorded_by_sensor_thermometers_first(bench: Bench) -> None:
    humidity = InTurn("H", 48.0, kind=SensorKind.HUMIDITY)
    first, absent, defect = InTurn("T1", 20.0), InTurn("T2", SensorUnavailable("absent")), InTurn("T3", KeyError("x"))

    async def answer() -> float:
        return 21.0

    computed = OnBus("T4", answer, "i2c-1")
    bench.sensors += [humidity, first, absent, computed, defect]
    bench.run(20)
    assert first.turns == [["T1", "T2", "T3", "H"]]
    latest = {
        sensor.name: bench.intake.channel(HUB, sensor.name, sensor.kind).latest
        for sensor in (first, humidity, computed)
    }
    assert {name: reading and (reading.value, reading.at_ms) for name, reading in latest.items()} == {
        "T1": (20.0, 1_000),
        "H": (48.0, 2_000),
        "T4": (21.0, 2_000),
    }
    assert bench.problem(absent) == (1, "absent")
    assert bench.problem(defect) == (1, "KeyError: 'x'")


def test_between_reports_a_turn_holds_thermometers_only(bench: Bench) -> None:
    bench.schedule = SamplingSchedule(600, None, control_interval_s=60)
    thermometer = InTurn("T1", 20.0)
    bench.sensors += [InTurn("H", 48.0, kind=SensorKind.HUMIDITY), thermometer]
    bench.run(100)
    assert thermometer.turns == [["T1", "H"], ["T1"], ["T1"]]


def test_a_report_that_was_due_while_a_bus_was_read_follows_at_once(bench: Bench) -> None:
    bench.schedule = SamplingSchedule(60, None, control_interval_s=59)

    async def slow() -> float:
        await asyncio.sleep(4)
        return 21.0

    bench.add("slow", slow)
    bench.run(70, phase=0.0)
    # Read for control from 59 s, for the report of second 60 from 63 s.
    assert [reading.at_ms for reading in bench.kept] == [4_000, 67_000]


@pytest.mark.parametrize(
    "error",
    [
        SensorUnavailable("absent"),
        OSError(5, "bus"),
        TimeoutError("bus"),
        ValueError(),
        ConnectionResetError(),
        RecursionError(),
        struct.error("unpack requires a buffer of 2 bytes"),
        EOFError(),
        ExceptionGroup("x", [KeyError(1)]),
    ],
)
def test_failing_sensor_is_read_again(bench: Bench, error: Exception) -> None:
    async def fail() -> float:
        raise error

    failing, good = bench.add("fails", fail), bench.add("T1")
    bench.run(200)
    failures, problem = bench.problem(failing)
    assert failures == failing.reads == 4
    assert problem
    assert bench.intake.channel(HUB, good.name, good.kind).good == 4


def test_restart_after_a_defect_reads_every_sensor_again(bench: Bench) -> None:
    """The supervisor starts the loop again; those that were being asked in the background are asked again too."""
    break_it = [False]

    async def defective() -> float:
        if break_it[0]:
            break_it[0] = False
            raise ClimahubError("a defect")
        return 20.0

    async def slow() -> float:
        await asyncio.sleep(3)
        return 21.0

    slow_one = bench.add("slow", slow)
    bench.add("T1", defective)

    async def scene() -> None:
        await asyncio.sleep(100)
        break_it[0] = True

    with pytest.raises((ClimahubError, ExceptionGroup)):
        bench.run(100, scene)
    sampler = bench.sampler
    reads = slow_one.reads

    async def again() -> None:
        task = bench.loop.create_task(sampler.run())
        await asyncio.wait({task}, timeout=200)
        task.cancel()
        await asyncio.wait({task})

    bench.loop.run_until_complete(again())
    assert slow_one.reads >= reads + 3


def test_thermometers_are_read_between_reports_without_reporting(bench: Bench) -> None:
    bench.schedule = SamplingSchedule(600, None, control_interval_s=60)
    thermometer, other = bench.add("a"), bench.add("b")
    other.kind = SensorKind.HUMIDITY
    bench.run(1850)
    assert (thermometer.reads, other.reads) == (1 + 3 + 31, 1 + 3)
    assert [reading.at_ms for reading in bench.kept] == [0, 300_000, 900_000, 1_500_000]
    assert bench.sampler.unreported_count == 31
    latest = bench.intake.channel(HUB, "a", SensorKind.TEMPERATURE).latest
    assert latest is not None
    assert latest.at_ms == 1_830_000


def test_a_sensor_that_is_found_later_is_read_at_once_and_one_that_is_gone_no_more(bench: Bench) -> None:
    first, gone = bench.add("T1"), bench.add("T2")

    async def answer() -> float:
        return 21.0

    later = Sensor("T3", answer, SensorKind.HUMIDITY)

    async def scene() -> None:
        await asyncio.sleep(100)
        sensors = [(sensor, PlausibilityCheck(sensor.kind)) for sensor in (first, later)]
        bench.sampler.follow(sensors, primary={SensorKind.TEMPERATURE: "T1", SensorKind.HUMIDITY: "T3"})

    bench.run(200, scene)
    assert (first.reads, gone.reads, later.reads) == (6, 3, 4)
    assert [reading.at_ms for reading in bench.kept if reading.sensor == "T3"] == [100_000, 150_000, 210_000, 270_000]
