"""What an element makes of the truth, healthy and broken."""

import asyncio
from collections.abc import Callable
from math import fsum, inf, isnan

import pytest

from hal.errors import ReadingImplausible, SensorUnavailable
from hal.interface import HUB, SensorKind
from hal.sim.faults import Fault, FaultKind
from hal.sim.numerics import Noise
from hal.sim.sensors import ELEMENTS, Channel, Element, SimSensor

NOISE = Noise(1)
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
CLEAN = Element(noise=0.0, offset=0.0, steps_per_unit=100, lag_s=0.0, low=-40.0, high=125.0)


def channel(
    *faults: Fault,
    element: Element | None = CLEAN,
    truth: Callable[[int], float] = lambda at_ms: 20.0 + at_ms / HOUR_MS,
    kind: SensorKind = SensorKind.TEMPERATURE,
    stream: int = 11,
) -> Channel:
    return Channel(name="t", kind=kind, truth=truth, noise=NOISE, stream=stream, faults=faults, element=element)


def fault(kind: FaultKind, magnitude: float = inf, from_ms: int = HOUR_MS, to_ms: int = 2 * HOUR_MS) -> Fault:
    return Fault("t", kind, from_ms, to_ms, magnitude)


def test_value_is_a_multiple_of_the_resolution() -> None:
    coarse = channel(element=Element(0.0, 0.0, 2, 0.0), truth=lambda _: 20.3)
    assert coarse.measure(0) == 20.5
    assert channel(truth=lambda _: 20.123456).measure(0) == 20.12


def test_a_value_never_leaves_the_scale() -> None:
    dry = channel(element=None, kind=SensorKind.HUMIDITY, truth=lambda _: -9.0)
    wet = channel(element=None, kind=SensorKind.HUMIDITY, truth=lambda _: 120.0)
    assert (dry.measure(0), wet.measure(0)) == (0.0, 100.0)


def test_noise_scatters_around_the_pieces_own_offset() -> None:
    usual = ELEMENTS[SensorKind.TEMPERATURE]
    offsets = []
    for stream in range(200):
        one = channel(element=None, truth=lambda _: 20.0, stream=stream)
        errors = [one.measure(i * MINUTE_MS) - 20.0 for i in range(200)]
        mean = fsum(errors) / len(errors)
        offsets.append(mean)
        spread = (fsum((e - mean) ** 2 for e in errors) / len(errors)) ** 0.5
        assert spread == pytest.approx(usual.noise, rel=0.3)
    assert (fsum(o * o for o in offsets) / len(offsets)) ** 0.5 == pytest.approx(usual.offset, rel=0.2)


def test_the_same_instant_gives_the_same_value_whatever_was_read_before() -> None:
    one, other = channel(element=None), channel(element=None)
    for at_ms in range(0, 5000, 7):
        one.measure(at_ms)
    assert one.measure(6000) == other.measure(6000)


def test_a_stuck_sensor_repeats_its_last_value_and_comes_back() -> None:
    broken = channel(fault(FaultKind.STUCK))
    assert broken.measure(HOUR_MS - 1) == 21.0
    assert broken.measure(HOUR_MS + HOUR_MS // 2) == 21.0
    assert broken.measure(2 * HOUR_MS) == 22.0


def test_a_sensor_that_is_stuck_from_the_start_sticks_at_its_first_value() -> None:
    broken = channel(fault(FaultKind.STUCK, from_ms=0))
    assert [broken.measure(at_ms) for at_ms in (0, HOUR_MS)] == [20.0, 20.0]


def test_a_drifting_sensor_moves_away_hour_by_hour() -> None:
    broken = channel(fault(FaultKind.DRIFT, 4.0))
    assert broken.measure(HOUR_MS) == 21.0
    assert broken.measure(HOUR_MS + HOUR_MS // 2) == 23.5


def test_a_lying_sensor_is_off_by_the_same_amount_all_the_time() -> None:
    broken = channel(fault(FaultKind.LIE, -7.0))
    assert [broken.measure(at_ms) for at_ms in (0, HOUR_MS, HOUR_MS + HOUR_MS // 2)] == [20.0, 14.0, 14.5]


def test_a_spiking_sensor_is_right_about_every_second_time() -> None:
    broken = channel(fault(FaultKind.SPIKE, 30.0, from_ms=0, to_ms=10**9), truth=lambda _: 20.0)
    values = [broken.measure(i * 1000) for i in range(2000)]
    assert set(values) == {-10.0, 20.0, 50.0}
    assert values.count(20.0) == pytest.approx(1000, rel=0.1)


def test_nan_gone_and_garbage_faults() -> None:
    assert isnan(channel(fault(FaultKind.NAN)).measure(HOUR_MS))
    with pytest.raises(SensorUnavailable, match="t: no answer"):
        channel(fault(FaultKind.GONE)).measure(HOUR_MS)
    with pytest.raises(ReadingImplausible, match="instead of a number"):
        channel(fault(FaultKind.GARBAGE)).measure(HOUR_MS)


@pytest.mark.parametrize("kind", FaultKind)
def test_fault_acts_within_its_time_only(kind: FaultKind) -> None:
    broken = channel(fault(kind, 5.0))
    assert broken.measure(HOUR_MS - 1) == 21.0
    assert broken.silence_s(HOUR_MS - 1) == broken.silence_s(2 * HOUR_MS) == 0.0
    assert broken.measure(2 * HOUR_MS) == 22.0


def test_of_faults_that_overlap_the_first_acts_until_its_end() -> None:
    broken = channel(
        fault(FaultKind.LIE, 5.0, from_ms=200, to_ms=900),
        fault(FaultKind.LIE, 1.0, from_ms=0, to_ms=500),
        fault(FaultKind.LIE, 3.0, from_ms=300, to_ms=400),
        truth=lambda _: 20.0,
    )
    instants = (0, 199, 200, 350, 499, 500, 899, 900, 100)
    assert [broken.measure(at_ms) - 20.0 for at_ms in instants] == [1, 1, 1, 1, 1, 5, 5, 0, 1]


def sensor(
    of: Channel, monotonic_ms: Callable[[], int], handed_out: list[tuple[object, ...]] | None = None
) -> SimSensor:
    return SimSensor(
        of,
        monotonic_ms=monotonic_ms,
        sim_offset_ms=HOUR_MS,
        advance_to=lambda _: None,
        on_value=None if handed_out is None else lambda *call: handed_out.append(call),
    )


def test_a_sensor_reads_its_element_at_the_worlds_time_and_says_so(
    virtual_loop: asyncio.AbstractEventLoop, monotonic_ms: Callable[[], int]
) -> None:
    handed_out: list[tuple[object, ...]] = []
    one = sensor(channel(), monotonic_ms, handed_out)

    async def later() -> float:
        await asyncio.sleep(1800)
        return await one.read()

    assert virtual_loop.run_until_complete(later()) == 21.5
    assert handed_out == [(HUB, "t", SensorKind.TEMPERATURE, 21.5, 1_800_000)]


def test_a_hanging_sensor_answers_late_with_what_is_true_then(
    virtual_loop: asyncio.AbstractEventLoop, monotonic_ms: Callable[[], int]
) -> None:
    one = sensor(channel(fault(FaultKind.HANG, 1800.0)), monotonic_ms)
    assert virtual_loop.run_until_complete(one.read()) == 21.5
    assert monotonic_ms() == 1_800_000


def test_a_sensor_that_hangs_for_ever_can_only_be_cancelled(
    virtual_loop: asyncio.AbstractEventLoop, monotonic_ms: Callable[[], int]
) -> None:
    one = sensor(channel(fault(FaultKind.HANG)), monotonic_ms)

    async def impatient() -> None:
        async with asyncio.timeout(5):
            await one.read()

    with pytest.raises(TimeoutError):
        virtual_loop.run_until_complete(impatient())
    assert monotonic_ms() == 5000


def test_failed_read_is_not_reported_to_the_oracle(
    virtual_loop: asyncio.AbstractEventLoop, monotonic_ms: Callable[[], int]
) -> None:
    handed_out: list[tuple[object, ...]] = []
    with pytest.raises(SensorUnavailable):
        virtual_loop.run_until_complete(sensor(channel(fault(FaultKind.GONE)), monotonic_ms, handed_out).read())
    assert handed_out == []
