"""An accelerometer on a machine: what shakes it while its zone runs is a trend, and what shakes it at rest is not."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from math import pi, sin, sqrt
from typing import cast

import pytest

from agent.maintenance.accelerometers import (
    BURST_S,
    CLEAR_FACTOR,
    PAUSE_S,
    REST_BURSTS,
    RESTS_S,
    RUNS_S,
    SAMPLES,
    Accelerometers,
    Mounted,
    axes_of,
    rms_g,
)
from agent.maintenance.machine_readings import G_MM_S2, VibrationPost, ZoneState
from agent.maintenance.machine_watch import MachineWatch
from hal.channels import Channel, ChannelReader, Quantity
from hal.errors import SensorUnavailable
from lab.simulation.virtual_loop import VirtualLoop

CHIP = "i2c-1-0053/adxl345"
GRAVITY = G_MM_S2 / 1000.0
AXES = ("x", "y", "z")
HOUR_S = 3600.0


class Axis:
    """A channel whose value is a function of the time."""

    def __init__(self, name: str, value: Callable[[], float], quantity: Quantity = Quantity.ACCELERATION) -> None:
        self.channel = Channel(name, quantity, lambda: 0.0)
        self.value = value
        self.reads = 0

    async def read(self) -> float:
        self.reads += 1
        return self.value()


class Hub:
    """A zone with a machine that shakes its accelerometer while it runs, and a road that always does."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.mode = 0
        self.machine_g, self.road_g, self.frequency_hz = 0.1, 0.0, 49.0
        self.is_dead = False
        self.has_time = True
        self.axes = [Axis(f"{CHIP}/acceleration-{axis}", lambda axis=axis: self.value(axis)) for axis in AXES]  # type: ignore[misc]
        self.posts: list[tuple[str, str, VibrationPost, str]] = []
        self.faults: list[str] = []
        self.watch = Accelerometers(
            {"living": CHIP},
            channels=lambda: cast("list[ChannelReader]", self.axes),
            states=lambda: {"living": ZoneState(self.mode)},
            machines=cast("MachineWatch", self),
            clock=self,
            rng=random.Random(4711),
            add_fault=lambda text: None if text in self.faults else self.faults.append(text),
            remove_fault=lambda text: self.faults.remove(text) if text in self.faults else None,
        )

    boot_id = "b"

    def monotonic_ms(self) -> int:
        return round(self.loop.time() * 1000)

    def utc_ms(self) -> int | None:
        return 1_000_000 + self.monotonic_ms() if self.has_time else None

    def add(self, zone_id: str, source: str, post: VibrationPost, name: str = "", *, is_own: bool = False) -> str:
        assert is_own
        self.posts.append((zone_id, source, post, name))
        return ""

    def value(self, axis: str) -> float:
        if self.is_dead:
            raise SensorUnavailable("the wire is off")
        shaken = self.machine_g if self.mode and axis == "x" else 0.0
        phase = sin(2.0 * pi * self.frequency_hz * self.loop.time())
        road = self.road_g * sin(2.0 * pi * 3.1 * self.loop.time()) if axis == "y" else 0.0
        return GRAVITY * (sqrt(2.0) * (shaken * phase + road) + (1.0 if axis == "z" else 0.0))

    def live(self, *parts: tuple[int, float]) -> None:
        """Let the zone do something (see `ZoneState.mode`) for so many seconds, one after the other."""

        async def go() -> None:
            task = asyncio.get_running_loop().create_task(self.watch.run())
            for self.mode, seconds in parts:
                await asyncio.sleep(seconds)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self.loop.run_until_complete(go())


@pytest.fixture
def new_hub() -> Iterator[Callable[[], Hub]]:
    made: list[Hub] = []

    def make() -> Hub:
        made.append(Hub())
        return made[-1]

    yield make
    for hub in made:
        hub.loop.close()


def test_gravity_and_where_the_chip_is_mounted_are_no_vibration() -> None:
    assert rms_g([(1.0, 2.0, 9.5)] * 10) == 0.0
    up_and_down = [(0.0, 0.0, GRAVITY * (1.0 + 0.1 * (-1) ** number)) for number in range(10)]
    assert rms_g(up_and_down) == pytest.approx(0.1)
    along_all = [tuple(GRAVITY * 0.1 * (-1) ** number for _ in AXES) for number in range(10)]
    assert rms_g(along_all) == pytest.approx(0.1 * sqrt(3.0))


def test_the_axes_of_a_chip_are_found_by_its_name_and_no_other_chips_or_quantities(new_hub: Callable[[], Hub]) -> None:
    hub = new_hub()
    others = [Axis(f"{CHIP}/temperature", float, Quantity.TEMPERATURE), Axis(f"{CHIP}b/acceleration-x", float)]
    assert list(axes_of(cast("list[ChannelReader]", [*others, *hub.axes]), CHIP)) == hub.axes


@pytest.mark.parametrize("frequency_hz", [23.0, 49.0, 97.5, 400.0])
def test_what_a_machine_shakes_is_measured_at_any_frequency_once_its_rest_is_known(
    new_hub: Callable[[], Hub], frequency_hz: float
) -> None:
    hub = new_hub()
    hub.frequency_hz = frequency_hz
    hub.live((0, HOUR_S), (1, HOUR_S))
    assert len(hub.posts) == pytest.approx((HOUR_S - RUNS_S) / BURST_S, abs=1.0)
    for zone_id, source, post, name in hub.posts:
        assert (zone_id, source, name) == ("living", f"accelerometer {CHIP}", "the accelerometer")
        assert post.amplitude_g == pytest.approx(0.1, rel=0.25)
        assert post.frequency_hz == 0.0, "nothing is known of it"
    assert hub.posts[0][2].utc_ms - 1_000_000 >= (HOUR_S + RUNS_S) * 1000
    assert hub.faults == []


def test_nothing_is_said_while_it_rests_or_before_its_rest_is_known_or_without_the_time(
    new_hub: Callable[[], Hub],
) -> None:
    resting = new_hub()
    resting.live((0, 3 * HOUR_S))
    assert resting.posts == []
    new = new_hub()
    new.live((1, 3 * HOUR_S))
    assert new.posts == []
    lost = new_hub()
    lost.has_time = False
    lost.live((0, HOUR_S), (2, HOUR_S))
    assert lost.posts == []


def test_what_always_shakes_is_taken_off_and_covers_a_machine_that_shakes_less(new_hub: Callable[[], Hub]) -> None:
    hub = new_hub()
    hub.road_g = 0.05
    hub.live((0, HOUR_S), (1, HOUR_S))
    assert [each.amplitude_g for _, _, each, _ in hub.posts] == pytest.approx([0.1] * len(hub.posts), rel=0.25)
    assert len(hub.posts) >= 5
    loud = new_hub()
    loud.road_g = 0.12
    loud.live((0, HOUR_S), (1, HOUR_S))
    assert loud.posts == []


def test_a_machine_that_has_just_started_or_stopped_is_not_read(
    new_hub: Callable[[], Hub],
) -> None:
    hub = new_hub()
    hub.live((0, HOUR_S), *[(1, RUNS_S - 61.0), (0, RESTS_S - 61.0)] * 6)
    assert hub.posts == []
    state = Mounted().with_mode(1, 5_000)
    assert [state.is_due(round(5_000 + s * 1000)) for s in (RUNS_S - 1, RUNS_S)] == [False, True]
    assert state.with_mode(1, 90_000) is state
    rested = Mounted(since_ms=0)
    assert [rested.is_due(round(s * 1000)) for s in (RESTS_S - 1, RESTS_S)] == [False, True]
    read = rested.with_burst(0.01, 700_000)
    assert [read.is_due(700_000 + round(s * 1000)) for s in (BURST_S - 1, BURST_S)] == [False, True]


def test_rests_are_bounded_and_one_odd_one_changes_nothing() -> None:
    known = Mounted()
    for rms in (0.5, *[0.01] * REST_BURSTS, 0.5):
        known = known.with_burst(rms, 0)
    assert len(known.rests_g) == REST_BURSTS
    assert known.machine_g(0.1) is None, "it rests"
    runs = known.with_mode(1, 0).with_burst(0.2, 0)
    assert runs.rests_g == known.rests_g
    assert runs.machine_g(0.1) == pytest.approx(sqrt(0.1**2 - 0.01**2))
    assert runs.machine_g(CLEAR_FACTOR * 0.01 - 1e-6) is None


def test_one_that_does_not_answer_is_a_fault_until_it_does_and_its_bus_is_left_alone_in_between(
    new_hub: Callable[[], Hub],
) -> None:
    hub = new_hub()
    hub.is_dead = True
    hub.live((0, HOUR_S))
    (fault,) = hub.faults
    assert fault == (
        "living: check the zone's accelerometer, and its name in climate.zones against `climahub status`:"
        " it does not answer, so the machine is not watched"
    )
    assert sum(each.reads for each in hub.axes) <= HOUR_S / BURST_S
    hub.is_dead = False
    hub.live((0, HOUR_S))
    assert hub.faults == []
    hub.axes = []
    hub.live((0, HOUR_S))
    assert len(hub.faults) == 1, "it is not there"


def test_a_burst_is_short_and_rare(new_hub: Callable[[], Hub]) -> None:
    hub = new_hub()
    hub.live((0, 10 * HOUR_S))
    assert SAMPLES * PAUSE_S[1] <= 5.0
    assert hub.axes[0].reads == pytest.approx(SAMPLES * (10 * HOUR_S - RESTS_S) / (BURST_S + 60.0), rel=0.1)


def test_a_bus_that_hangs_ends_the_burst(new_hub: Callable[[], Hub]) -> None:
    hub = new_hub()

    async def never() -> float:
        await asyncio.Event().wait()
        return 0.0

    hub.axes[0].read = never  # type: ignore[method-assign]
    hub.live((0, HOUR_S))
    assert len(hub.faults) == 1


def test_a_burst_during_which_the_zone_goes_on_is_none_of_its_rest(new_hub: Callable[[], Hub]) -> None:
    hub = new_hub()
    axis = hub.axes[0]
    usual = axis.value

    def goes_on() -> float:
        hub.mode = 1 if axis.reads >= SAMPLES // 2 else 0
        return usual()

    axis.value = goes_on
    hub.live((0, HOUR_S))
    assert hub.watch._mounted["living"].rests_g == ()
    assert hub.posts == []
