"""The simulated board as the agent uses it: asked, listened to, told what to do, restarted."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import isnan
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from hal.errors import ActuatorFault, ReadingImplausible, SensorUnavailable
from hal.interface import HUB, Board, HeatSourceDemand, HvacAction, HvacDemand, Quality, Reading, SensorKind
from hal.plausibility import PlausibilityCheck
from hal.sim import Fault, FaultKind, SimBoard, SimEnvironment, SimOptions, random_faults

START_UTC_MS = 1_768_000_000_000
DAY_MS = 86_400_000
Clock = Callable[[], int]
Loop = asyncio.AbstractEventLoop


PLAIN = SimOptions(seed=1, start_utc_ms=START_UTC_MS)


def options(**changes: object) -> SimOptions:
    return replace(PLAIN, **changes)  # checked by SimOptions itself


async def listen(board: SimBoard, *, for_s: float) -> list[Reading]:
    assert board.network is not None
    readings: list[Reading] = []
    try:
        async with asyncio.timeout(for_s):
            while True:
                readings += await board.network.receive()
    except TimeoutError:
        return readings


def test_simulated_board_fulfils_the_board_protocol(monotonic_ms: Clock) -> None:
    board: Board = SimBoard(SimEnvironment(options()), monotonic_ms=monotonic_ms)
    assert board.name == "sim"
    assert board.network is None
    assert [sensor.kind for sensor in board.sensors] == list(SensorKind)
    assert len({sensor.name for sensor in board.sensors}) == 7


def test_a_second_thermometer_is_another_source_of_the_same_kind(monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options(has_second_temperature=True)), monotonic_ms=monotonic_ms)
    sources = [sensor.name for sensor in board.sensors if sensor.kind is SensorKind.TEMPERATURE]
    assert sources == ["sim/temperature", "sim/temperature-2"]


def test_every_first_value_is_plausible(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options()), monotonic_ms=monotonic_ms)
    values = {sensor.kind: virtual_loop.run_until_complete(sensor.read()) for sensor in board.sensors}
    for kind, value in values.items():
        assert PlausibilityCheck(kind).check(value, 0)[0] is Quality.GOOD
    assert values[SensorKind.POWER_AVAILABILITY] == 1.0
    assert values[SensorKind.BATTERY_LEVEL] == 100.0
    assert 18.0 < values[SensorKind.TEMPERATURE] < 20.0
    assert -80 < values[SensorKind.SIGNAL_STRENGTH] < -40


@pytest.mark.parametrize("count", [7, 8, 9, 10, 50, 137])
def test_number_of_series_follows_the_options(count: int) -> None:
    world = options(sensors_count=count)
    assert len(world.series) == len(set(world.series)) == count
    assert len({sensor.device for sensor in world.relayed}) == len(world.relayed)


def test_addresses_are_made_up_ones_and_follow_from_the_seed() -> None:
    addresses = [sensor.ieee_address for sensor in options(sensors_count=50).relayed]
    assert addresses == [sensor.device for sensor in options(sensors_count=50).relayed]
    assert addresses != [sensor.device for sensor in options(sensors_count=50, seed=2).relayed]
    for address in addresses:
        assert re.fullmatch("0x[0-9a-f]{16}", address)
        assert int(address[2:4], 16) & 0x03 == 0x02


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sensors_count": 6}, "sensors_count: 6 is outside 7 to 256"),
        ({"sensors_count": 257}, "sensors_count"),
        ({"report_interval_s": 0.5}, "report_interval_s"),
        ({"report_interval_s": 86_400}, "report_interval_s"),
        ({"reports_max": 0}, "reports_max"),
        ({"faults": (Fault("sim/smell", FaultKind.NAN, 0, 1),)}, "no such sensor: sim/smell"),
    ],
)
def test_invalid_options_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        options(**changes)


def test_each_device_reports_all_its_kinds_at_its_own_pace(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options(sensors_count=30)), monotonic_ms=monotonic_ms)
    readings = virtual_loop.run_until_complete(listen(board, for_s=3600))
    assert board.network is not None
    phases = set()
    for sensor in board.network.sensors:
        mine = [reading for reading in readings if reading.device == sensor.device]
        instants = sorted({reading.at_ms for reading in mine})
        assert len(instants) in {59, 60}
        gaps = {b - a for a, b in pairwise(instants)}
        assert len(gaps) == 1
        assert 59_900 <= gaps.pop() <= 60_100
        assert Counter(reading.kind for reading in mine) == dict.fromkeys(sensor.kinds, len(instants))
        phases.add(instants[0])
    assert len(phases) == len(board.network.sensors)
    assert [reading.at_ms for reading in readings] == sorted(reading.at_ms for reading in readings)


def test_devices_that_report_together_do_so_exactly_at_the_interval(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    together = options(sensors_count=30, report_interval_s=300.0, reports_together=True)
    readings = virtual_loop.run_until_complete(
        listen(SimBoard(SimEnvironment(together), monotonic_ms=monotonic_ms), for_s=1000)
    )
    assert {reading.at_ms % 300_000 for reading in readings} == {readings[0].at_ms % 300_000}
    assert Counter(reading.at_ms for reading in readings) == dict.fromkeys({each.at_ms for each in readings}, 23)


def test_a_report_arrives_when_it_is_sent(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options(sensors_count=10)), monotonic_ms=monotonic_ms)
    assert board.network is not None
    for _ in range(5):
        readings = virtual_loop.run_until_complete(board.network.receive())
        assert {reading.at_ms for reading in readings} == {monotonic_ms()}


def test_a_natural_key_is_never_used_twice(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options(sensors_count=50)), monotonic_ms=monotonic_ms)
    readings = virtual_loop.run_until_complete(listen(board, for_s=7200))
    assert len({(r.device, r.kind, r.at_ms) for r in readings}) == len(readings)


def test_unfetched_reports_are_buffered_and_the_oldest_dropped(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options(sensors_count=10, reports_max=20)), monotonic_ms=monotonic_ms)
    assert board.network is not None
    virtual_loop.run_until_complete(asyncio.sleep(3600))
    readings = virtual_loop.run_until_complete(board.network.receive())
    assert len(readings) == 3 * 20
    assert board.network.reports_dropped in {39, 40}
    assert readings[-1].at_ms > 3_500_000
    assert readings[0].at_ms > 2_300_000


def test_value_of_a_sensor_does_not_depend_on_other_reads(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    quiet = SimBoard(SimEnvironment(options(sensors_count=20)), monotonic_ms=monotonic_ms)
    busy = SimBoard(SimEnvironment(options(sensors_count=20)), monotonic_ms=monotonic_ms)

    async def read_busily() -> None:
        while True:
            for sensor in busy.sensors[1:]:
                await sensor.read()
            await asyncio.sleep(3.7)

    async def both() -> tuple[list[Reading], list[Reading], float, float]:
        task = asyncio.ensure_future(read_busily())
        heard = await asyncio.gather(listen(quiet, for_s=3600), listen(busy, for_s=3600))
        task.cancel()
        return *heard, await quiet.sensors[0].read(), await busy.sensors[0].read()

    quiet_heard, busy_heard, quiet_value, busy_value = virtual_loop.run_until_complete(both())
    assert quiet_heard == busy_heard
    assert quiet_value == busy_value


def test_late_fetching_gives_the_same_reports(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    prompt = SimBoard(SimEnvironment(options(sensors_count=20)), monotonic_ms=monotonic_ms)
    late = SimBoard(SimEnvironment(options(sensors_count=20)), monotonic_ms=monotonic_ms)
    heard = virtual_loop.run_until_complete(listen(prompt, for_s=1800))
    assert late.network is not None
    assert virtual_loop.run_until_complete(late.network.receive()) == heard


def test_oracle_receives_every_delivered_reading(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    heard: list[tuple[str, str, SensorKind, float, int]] = []
    board = SimBoard(
        SimEnvironment(options(sensors_count=20)), monotonic_ms=monotonic_ms, on_value=lambda *call: heard.append(call)
    )
    readings = virtual_loop.run_until_complete(listen(board, for_s=600))
    assert heard == [(r.device, r.sensor, r.kind, r.value, r.at_ms) for r in readings]
    heard.clear()
    value = virtual_loop.run_until_complete(board.sensors[0].read())
    assert heard == [(HUB, "sim/temperature", SensorKind.TEMPERATURE, value, monotonic_ms())]


def test_confirming_a_radio_changes_nothing(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options(sensors_count=10)), monotonic_ms=monotonic_ms)
    assert board.network is not None
    first = virtual_loop.run_until_complete(board.network.receive())
    board.network.confirm()
    assert virtual_loop.run_until_complete(board.network.receive())[0].at_ms > first[0].at_ms


def relayed_fault(kind: FaultKind, suffix: str = "") -> tuple[str, SimOptions]:
    sensor = options(sensors_count=13).relayed[0]
    return sensor.device, options(sensors_count=13, faults=(Fault(f"{sensor.name}{suffix}", kind, 0, DAY_MS, 10.0),))


@pytest.mark.parametrize("kind", [FaultKind.GONE, FaultKind.HANG])
def test_a_relayed_sensor_that_is_gone_is_silent(kind: FaultKind, virtual_loop: Loop, monotonic_ms: Clock) -> None:
    device, broken = relayed_fault(kind)
    board = SimBoard(SimEnvironment(broken), monotonic_ms=monotonic_ms)
    devices = {reading.device for reading in virtual_loop.run_until_complete(listen(board, for_s=600))}
    assert len(devices) == 1
    assert device not in devices


def test_fault_affects_one_element_of_a_device_only(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    device, broken = relayed_fault(FaultKind.GARBAGE, "/humidity")
    board = SimBoard(SimEnvironment(broken), monotonic_ms=monotonic_ms)
    readings = virtual_loop.run_until_complete(listen(board, for_s=600))
    kinds = {reading.kind for reading in readings if reading.device == device}
    assert kinds == {SensorKind.TEMPERATURE, SensorKind.BATTERY_LEVEL}
    assert board.network is not None
    assert board.network.readings_corrupted in {9, 10}


def test_nan_is_passed_to_the_caller(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    device, broken = relayed_fault(FaultKind.NAN, "/temperature")
    board = SimBoard(SimEnvironment(broken), monotonic_ms=monotonic_ms)
    readings = virtual_loop.run_until_complete(listen(board, for_s=120))
    values = {r.kind: r.value for r in readings if r.device == device}
    assert isnan(values[SensorKind.TEMPERATURE])
    assert not isnan(values[SensorKind.HUMIDITY])


def test_values_of_a_healthy_house_are_plausible_and_of_a_faulty_one_not(
    virtual_loop: Loop, monotonic_ms: Clock
) -> None:
    """Judge and house agree: no healthy reading is bad, and gross faults are found."""

    def judged(faults: tuple[Fault, ...]) -> Counter[Quality]:
        board = SimBoard(
            SimEnvironment(options(sensors_count=20, report_interval_s=600, faults=faults)), monotonic_ms=monotonic_ms
        )
        judges: dict[tuple[str, SensorKind], PlausibilityCheck] = {}
        verdicts: Counter[Quality] = Counter()
        for reading in virtual_loop.run_until_complete(listen(board, for_s=4 * 86_400)):
            judge = judges.setdefault((reading.device, reading.kind), PlausibilityCheck(reading.kind))
            verdicts[judge.check(reading.value, reading.at_ms)[0]] += 1
        return verdicts

    healthy = judged(())
    assert set(healthy) == {Quality.GOOD}
    series = [name for name in options(sensors_count=20).series if not name[0].startswith("sim/")]
    faults = random_faults(Random(1), series, duration_s=4 * 86_400, faults_per_day=1.0)
    assert judged(faults)[Quality.BAD] > 20


def test_hub_sensors_break_in_every_way(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    series = options().series
    faults = random_faults(Random(3), series, duration_s=5 * 86_400, faults_per_day=6.0)
    board = SimBoard(SimEnvironment(options(faults=faults)), monotonic_ms=monotonic_ms)
    seen: Counter[str] = Counter()

    async def sample() -> None:
        for _ in range(5 * 288):
            for sensor in board.sensors:
                try:
                    async with asyncio.timeout(5):
                        value = await sensor.read()
                    seen["nan" if isnan(value) else "value"] += 1
                except (SensorUnavailable, ReadingImplausible, TimeoutError) as error:
                    seen[type(error).__name__] += 1
            await asyncio.sleep(300)

    virtual_loop.run_until_complete(sample())
    assert set(seen) == {"value", "nan", "SensorUnavailable", "ReadingImplausible", "TimeoutError"}
    assert seen["value"] > 0.8 * seen.total()


def test_the_outputs_heat_the_room_that_is_named(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options(has_occupant_thermostat=False)), monotonic_ms=monotonic_ms)
    thermal = board.environment.house.thermal

    async def heat() -> None:
        await board.outputs.apply(HvacDemand({"bathroom": HvacAction.HEAT}))
        await asyncio.sleep(2 * 3600)
        await board.sensors[0].read()

    virtual_loop.run_until_complete(heat())
    warmest = dict(zip(thermal.temperatures_c[:4], board.outputs.zones, strict=True))
    assert warmest[max(warmest)].name == "bathroom"


def test_room_is_heated_only_while_the_heat_source_runs(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options(has_occupant_thermostat=False)), monotonic_ms=monotonic_ms)
    plant = board.environment.house.plant

    async def heat() -> list[float]:
        drawn = []
        for action in (HvacAction.OFF, HvacAction.HEAT):
            await board.outputs.apply(HvacDemand({"living": HvacAction.HEAT}, HeatSourceDemand(action)))
            await asyncio.sleep(3600)
            await board.sensors[0].read()
            drawn.append(plant.drawn_j)
        return drawn

    without_j, with_j = virtual_loop.run_until_complete(heat())
    assert without_j == 0.0
    assert with_j > 5e6


def test_outputs_state_what_they_can_do(monotonic_ms: Clock) -> None:
    zones = SimBoard(SimEnvironment(options()), monotonic_ms=monotonic_ms).outputs.zones
    assert [(zone.name, zone.can_heat, zone.can_cool) for zone in zones] == [
        ("living", True, True),
        ("kitchen", True, True),
        ("bedroom", True, True),
        ("bathroom", True, False),
    ]


def test_an_unknown_room_is_refused_and_nothing_is_switched(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options(has_occupant_thermostat=False)), monotonic_ms=monotonic_ms)
    with pytest.raises(ActuatorFault, match="no output for attic; this house has living, kitchen, bedroom, bathroom"):
        virtual_loop.run_until_complete(
            board.outputs.apply(HvacDemand({"living": HvacAction.HEAT, "attic": HvacAction.HEAT}))
        )
    board.environment.advance_to(DAY_MS)
    assert board.environment.house.plant.drawn_j == 0.0


def test_occupant_thermostat_controls_before_and_after_the_hub(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    board = SimBoard(SimEnvironment(options()), monotonic_ms=monotonic_ms)
    plant = board.environment.house.plant

    async def day() -> list[float]:
        drawn = []
        for step in (None, board.outputs.apply(HvacDemand()), board.close()):
            if step is not None:
                await step
            before_j = plant.drawn_j
            await asyncio.sleep(86_000)
            await board.sensors[0].read()
            drawn.append(plant.drawn_j - before_j)
        return drawn

    tenant_j, hub_j, tenant_again_j = virtual_loop.run_until_complete(day())
    assert min(tenant_j, tenant_again_j) > 10e6
    assert hub_j < 1e6


def test_restarted_hub_finds_the_same_house_and_missed_the_reports(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    world = SimEnvironment(options(sensors_count=20))
    first = SimBoard(world, monotonic_ms=monotonic_ms)
    virtual_loop.run_until_complete(listen(first, for_s=600))
    virtual_loop.run_until_complete(asyncio.sleep(3000))
    booted_ms = monotonic_ms()
    second = SimBoard(
        world, monotonic_ms=lambda: monotonic_ms() - booted_ms, utc_ms=lambda: START_UTC_MS + monotonic_ms()
    )
    readings = virtual_loop.run_until_complete(listen(second, for_s=600))
    assert 0 < min(reading.at_ms for reading in readings) < 60_000
    unbroken = SimBoard(SimEnvironment(options(sensors_count=20)), monotonic_ms=lambda: 0)
    unbroken.environment.advance_to(4_200_000)
    assert unbroken.environment.radio is not None
    expected = [r for report in unbroken.environment.radio.waiting for r in report if r.at_ms > booted_ms]
    assert [(r.device, r.value, r.at_ms + booted_ms) for r in readings] == [
        (r.device, r.value, r.at_ms) for r in expected
    ]


def test_without_utc_the_world_goes_on_where_the_last_hub_left_it(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    world = SimEnvironment(options())
    SimBoard(world, monotonic_ms=monotonic_ms)
    world.advance_to(DAY_MS + 30_000)
    again = SimBoard(world, monotonic_ms=monotonic_ms)
    virtual_loop.run_until_complete(asyncio.sleep(3600))
    virtual_loop.run_until_complete(again.sensors[0].read())
    assert world.house.minute_ms == DAY_MS + 3_600_000


def test_simulation_is_identical_on_every_python(virtual_loop: Loop, monotonic_ms: Clock) -> None:
    """Values pinned on 3.11: a change of any random draw, sum or rounding shows here."""
    board = SimBoard(SimEnvironment(options(seed=42, sensors_count=15)), monotonic_ms=monotonic_ms)
    readings = virtual_loop.run_until_complete(listen(board, for_s=6 * 3600))

    async def own() -> Sequence[float]:
        return [await sensor.read() for sensor in board.sensors]

    assert [(r.sensor, r.value, r.at_ms) for r in readings[-8:]] == [
        ("temperature", 19.04, 21557284),
        ("humidity", 40.2, 21557284),
        ("temperature", 18.25, 21572755),
        ("humidity", 39.67, 21572755),
        ("battery_level", 22.0, 21572755),
        ("temperature", 17.81, 21595052),
        ("humidity", 52.65, 21595052),
        ("battery_level", 46.0, 21595052),
    ]
    assert virtual_loop.run_until_complete(own()) == [18.14, 39.37, 1009.48, 1.0, 100.0, -62.0, 25.0]
