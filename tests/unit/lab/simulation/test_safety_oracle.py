"""The oracle that says "no rule was broken" finds each kind of broken rule when it is planted."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from agent.climate.settings import ClimateSettings, FlowSettings, HeatSourceKind, HeatSourceSettings, ZoneSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand
from lab.simulation.safety_oracle import SafetyOracle

HEAT, COOL, OFF = HvacAction.HEAT, HvacAction.COOL, HvacAction.OFF
ON = HeatSourceDemand(HEAT, 1, is_pump_on=True)
LIMITS = ShortCycleLimits(180.0, 180.0, 2)
MIN_MS = 60_000


def zones(**actions: HvacAction) -> HvacDemand:
    return HvacDemand(actions)


@pytest.mark.parametrize(
    ("demands", "rule"),
    [
        ([(0, zones(a=HEAT, b=COOL))], "heat and cool together"),
        ([(5, zones(a=HEAT)), (8, zones()), (9, zones(b=COOL))], "rest between heat and cool"),
        ([(0, zones(a=HEAT)), (3, zones()), (4, zones(b=COOL))], "rest between heat and cool"),
        ([(0, zones(a=HEAT)), (30, zones(b=COOL))], "rest between heat and cool"),
        ([(0, zones(a=HEAT)), (30, zones()), (39, zones(b=COOL))], "rest between heat and cool"),
        ([(0, zones(a=HEAT)), (2, zones())], "minimum on time"),
        ([(0, zones(a=HEAT)), (5, zones()), (7, zones(a=HEAT))], "minimum off time"),
        ([(minute, zones(a=HEAT) if minute % 10 < 5 else zones()) for minute in range(0, 30, 5)], "starts an hour"),
        ([(0, zones(c=COOL))], "a zone does what it cannot"),
        ([(0, zones(d=HEAT))], "a zone does what it cannot"),
        ([(0, HvacDemand({}, ON))], "a source that is not there"),
    ],
)
def test_each_broken_rule_is_found(demands: list[tuple[int, HvacDemand]], rule: str) -> None:
    settings = ClimateSettings(
        zones=(
            ZoneSettings(zone_id="a", can_cool=True, limits=LIMITS),
            ZoneSettings(zone_id="b", can_cool=True, limits=LIMITS),
            ZoneSettings(zone_id="c", limits=LIMITS),
            ZoneSettings(zone_id="d", can_heat=False, can_cool=True, limits=LIMITS),
        )
    )
    oracle = SafetyOracle(settings)
    for minute, demand in demands:
        oracle.check_demand(demand, minute * MIN_MS)
    assert rule in oracle.broken
    assert oracle.summary()


@pytest.mark.parametrize(
    ("demand", "rule"),
    [
        (zones(a=HEAT), "no demand on the heat source"),
        (HvacDemand({"a": HEAT}, HeatSourceDemand()), "source and zones"),
        (HvacDemand({}, ON), "source and zones"),
        (HvacDemand({"a": HEAT}, HeatSourceDemand(HEAT, 1)), "source without pump"),
        (HvacDemand({"a": HEAT}, HeatSourceDemand(COOL, 1, is_pump_on=True)), "heat and cool together"),
    ],
)
def test_each_broken_rule_of_a_source_is_found(demand: HvacDemand, rule: str) -> None:
    settings = ClimateSettings(
        zones=(ZoneSettings(zone_id="a", limits=LIMITS),), heat_source=HeatSourceSettings(kind=HeatSourceKind.BOILER)
    )
    oracle = SafetyOracle(settings)
    oracle.check_demand(demand, 0)
    assert oracle.broken[rule] == 1


PUMP = HeatSourceSettings(
    kind=HeatSourceKind.HEAT_PUMP,
    stages=2,
    has_aux=True,
    limits=ShortCycleLimits(300.0, 300.0, 2),
    is_valve_on_in_heating=True,
)
REST = HeatSourceDemand(is_pump_on=True, is_valve_on=True)
HEATS = HeatSourceDemand(HEAT, 1, is_pump_on=True, is_valve_on=True)
COOLS = HeatSourceDemand(COOL, 1, is_pump_on=True)
STAGE2 = msgspec.structs.replace(HEATS, stage=2)
AUX = msgspec.structs.replace(HEATS, is_aux_on=True)


def played(
    demands: Sequence[tuple[int, HeatSourceDemand]], heat_source: HeatSourceSettings = PUMP, room_c: float | None = 20.0
) -> Counter[str]:
    """Return which rules a home breaks whose source is told such things, at what minutes."""
    zone = ZoneSettings(zone_id="a", can_cool=True, limits=ShortCycleLimits(0.0, 0.0, 60))
    oracle = SafetyOracle(ClimateSettings(zones=(zone,), heat_source=heat_source))
    for minute, demand in demands:
        oracle.check_demand(
            HvacDemand({"a": demand.action}, demand), minute * MIN_MS, None if room_c is None else {"a": room_c}
        )
    return oracle.broken


def test_correctly_driven_heat_pump_breaks_no_rule() -> None:
    cool_rest = HeatSourceDemand(is_pump_on=True)
    demands = [(0, REST), (1, STAGE2), (7, AUX), (13, HEATS), (14, REST), (20, HEATS), (26, REST), (27, cool_rest)]
    demands += [(61, COOLS), (66, cool_rest)]
    assert played(demands) == {}


@pytest.mark.parametrize(
    ("demand", "rule"),
    [
        (msgspec.structs.replace(REST, stage=1), "a stage without the source"),
        (msgspec.structs.replace(REST, stage=2), "a stage without the source"),
        (msgspec.structs.replace(HEATS, stage=0), "the source at no stage"),
        (msgspec.structs.replace(HEATS, stage=3), "a stage that is not there"),
        (msgspec.structs.replace(REST, is_aux_on=True), "auxiliary heat without the source"),
    ],
)
def test_each_broken_rule_of_supplementary_heat_is_found(demand: HeatSourceDemand, rule: str) -> None:
    assert played([(0, REST), (1, demand)]) == {rule: 1}


def test_auxiliary_heat_with_cooling_is_found() -> None:
    demands = [(0, HeatSourceDemand()), (1, msgspec.structs.replace(COOLS, is_aux_on=True))]
    assert played(demands) == {"auxiliary heat with cooling": 1}


@pytest.mark.parametrize(
    ("demand", "rule"), [(STAGE2, "a stage that is not there"), (AUX, "auxiliary heat that is not there")]
)
def test_demand_for_a_missing_stage_or_part_is_found(demand: HeatSourceDemand, rule: str) -> None:
    plain = HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP, is_valve_on_in_heating=True)
    assert played([(0, REST), (1, demand)], plain) == {rule: 1}


@pytest.mark.parametrize(
    ("demands", "rule"),
    [
        ([(0, HeatSourceDemand()), (1, msgspec.structs.replace(HEATS, is_valve_on=False))], "stands wrong"),
        ([(0, REST), (1, msgspec.structs.replace(COOLS, is_valve_on=True))], "stands wrong"),
        ([(0, HeatSourceDemand()), (1, HEATS)], "turned under pressure"),
        ([(0, REST), (1, HEATS), (7, HeatSourceDemand(is_pump_on=True))], "turned under pressure"),
    ],
)
def test_wrong_or_early_reversing_valve_is_found(demands: list[tuple[int, HeatSourceDemand]], rule: str) -> None:
    assert played(demands) == {f"the reversing valve {rule}": 1}


def test_crash_of_the_hub_releases_the_reversing_valve() -> None:
    oracle = SafetyOracle(ClimateSettings(zones=(ZoneSettings(zone_id="a"),), heat_source=PUMP))
    for minute in (0, 1):
        oracle.check_demand(HvacDemand({}, REST), minute * MIN_MS)
        oracle.record_kill(minute * MIN_MS)
    oracle.check_demand(HvacDemand({"a": HEAT}, HEATS), 20 * MIN_MS)
    assert oracle.broken == {"the reversing valve turned under pressure": 1}


@pytest.mark.parametrize("helping", [STAGE2, AUX], ids=["stage 2", "auxiliary heat"])
@pytest.mark.parametrize(
    ("minutes", "broken"),
    [
        ([0, 20, 25, 30, 35], {}),
        ([0, 20, 24], {"minimum on time": 1}),
        ([0, 20, 25, 29], {"minimum off time": 1}),
        ([0, 10, 20, 30, 40, 50, 60], {"starts an hour": 1}),
    ],
)
def test_supplementary_heat_has_minimum_times(
    helping: HeatSourceDemand, minutes: list[int], broken: dict[str, int]
) -> None:
    demands = [(minute, HEATS if number % 2 == 0 else helping) for number, minute in enumerate(minutes)]
    assert played([(-1, REST), *demands]) == broken


@pytest.mark.parametrize("helping", [STAGE2, AUX], ids=["stage 2", "auxiliary heat"])
@pytest.mark.parametrize(("room_c", "broken"), [(20.0, 1), (29.9, 1), (30.0, 0), (16.0, 0), (16.1, 1)])
def test_only_a_room_at_its_limit_excuses_an_early_end_of_supplementary_heat(
    helping: HeatSourceDemand, room_c: float, broken: int
) -> None:
    demands = [(0, REST), (1, HEATS), (21, helping), (22, REST)]
    assert played(demands, room_c=room_c)["minimum on time"] == broken
    # Rooms of which nothing is known excuse nothing.
    assert played(demands, room_c=None)["minimum on time"] == 1


@pytest.mark.parametrize(
    ("minutes", "broken"),
    [
        ([0, 5, 10], {}),
        ([0, 4], {"minimum on time": 1}),
        ([0, 5, 9], {"minimum off time": 1}),
        ([0, 10, 20, 30, 40], {"starts an hour": 1}),
    ],
)
@pytest.mark.parametrize("room_c", [20.0, 30.0])
def test_heat_source_has_minimum_times(minutes: list[int], broken: dict[str, int], room_c: float) -> None:
    demands = [(minute, HEATS if number % 2 == 0 else REST) for number, minute in enumerate(minutes)]
    assert played([(-1, REST), *demands], room_c=room_c) == broken


@pytest.mark.parametrize(
    ("action", "room_c", "rule"),
    [(HEAT, 30.0, "heated above the limit"), (COOL, 16.0, "cooled below the limit")],
)
def test_heating_beyond_a_limit_is_found_after_the_minimum_times(action: HvacAction, room_c: float, rule: str) -> None:
    oracle = SafetyOracle(ClimateSettings(zones=(ZoneSettings(zone_id="a", can_cool=True, limits=LIMITS),)))
    for minute in (0, 5):
        oracle.check_demand(zones(a=action), minute * MIN_MS, {"a": room_c})
    assert oracle.broken == {}
    oracle.check_demand(zones(a=action), 6 * MIN_MS, {"a": room_c})
    assert oracle.broken == {rule: 1}


def test_crash_breaks_no_minimum_on_time_but_the_next_start_must_wait() -> None:
    oracle = SafetyOracle(ClimateSettings(zones=(ZoneSettings(zone_id="a", limits=LIMITS),)))
    oracle.check_demand(zones(a=HEAT), 0)
    oracle.record_kill(MIN_MS)
    assert oracle.broken == {}
    oracle.check_demand(zones(a=HEAT), 2 * MIN_MS)
    assert oracle.broken == {"minimum off time": 1}


def test_off_time_continues_while_the_hub_is_down() -> None:
    oracle = SafetyOracle(ClimateSettings(zones=(ZoneSettings(zone_id="a", limits=LIMITS),)))
    oracle.check_demand(zones(a=HEAT), 0)
    oracle.check_demand(zones(), 5 * MIN_MS)
    oracle.record_kill(7 * MIN_MS)
    oracle.check_demand(zones(a=HEAT), 8 * MIN_MS)
    assert oracle.broken == {}


def cold_oracle() -> SafetyOracle:
    return SafetyOracle(ClimateSettings(zones=(ZoneSettings(zone_id="a"), ZoneSettings(zone_id="b"))))


def test_cold_room_with_working_heat_is_found() -> None:
    oracle = cold_oracle()
    oracle.felt({"a": 4.0, "b": 12.0}, (), 0)
    assert oracle.broken == {}
    oracle.felt({"a": 3.9, "b": 12.0}, (), MIN_MS)
    assert oracle.broken == {"a cold room": 1}
    assert oracle.coldest_c == 3.9


@pytest.mark.parametrize(("outage_min", "after_h", "broken"), [(9, 0, 1), (10, 11, 0), (10, 13, 1)])
def test_only_a_short_outage_excuses_a_cold_room(outage_min: int, after_h: int, broken: int) -> None:
    """A hub that is down for a minute, over and over, is to heat all the same."""
    oracle = cold_oracle()
    for minute in range(outage_min + 1):
        oracle.felt({"a": 10.0, "b": 20.0}, ("a",), minute * MIN_MS)
    oracle.felt({"a": 3.0, "b": 20.0}, (), (outage_min + after_h * 60) * MIN_MS)
    assert oracle.broken["a cold room"] == broken


FLOOR_HOME = ClimateSettings(
    zones=(ZoneSettings(zone_id="a", can_cool=True, limits=LIMITS, floor_sensor="probe", floor_c_max=27.0),)
)


@pytest.mark.parametrize(
    ("action", "room_c", "floor_c", "minute", "broken"),
    [
        (HEAT, 31.4, 26.9, 6, {}),
        (HEAT, 31.5, 26.9, 6, {"heated a hot room": 1}),
        (HEAT, 31.5, 26.9, 5, {}),
        (COOL, 14.6, 20.0, 6, {}),
        (COOL, 14.5, 20.0, 6, {"cooled a cold room": 1}),
        (HEAT, 20.0, 27.0, 6, {"heated a hot floor": 1}),
        (HEAT, 7.0, 27.0, 6, {}),
        (COOL, 20.0, 30.0, 6, {}),
    ],
)
def test_output_that_the_true_room_forbids_is_found(
    action: HvacAction, room_c: float, floor_c: float, minute: int, broken: dict[str, int]
) -> None:
    """Minimum times are up to five minutes, and come first."""
    oracle = SafetyOracle(FLOOR_HOME)
    oracle.check_demand(zones(a=action), 0)
    oracle.check_truth({"a": room_c}, {"a": floor_c}, minute * MIN_MS)
    assert oracle.broken == broken


def test_killed_hub_heats_no_hot_room() -> None:
    oracle = SafetyOracle(FLOOR_HOME)
    oracle.check_demand(zones(a=HEAT), 0)
    oracle.record_kill(7 * MIN_MS)
    oracle.check_truth({"a": 40.0}, {"a": 40.0}, 20 * MIN_MS)
    assert oracle.broken == {}


@pytest.mark.parametrize(("minute", "broken"), [(5, {}), (6, {"cooled without a temperature": 1})])
def test_cooling_without_a_temperature_is_found(minute: int, broken: dict[str, int]) -> None:
    oracle = SafetyOracle(FLOOR_HOME)
    oracle.check_demand(zones(a=COOL), 0, {"a": 27.0})
    oracle.check_demand(zones(a=COOL), minute * MIN_MS, {})
    assert oracle.broken == broken


@pytest.mark.parametrize(
    ("on_min", "hours", "known_at_h", "broken"),
    [
        (33, 49, None, {}),
        (34, 49, None, {"heated much without a temperature": 1}),
        (60, 23, None, {}),
        (60, 72, 40, {}),
        (60, 72, 10, {"heated much without a temperature": 1}),
    ],
)
def test_much_heat_without_a_temperature_is_found_from_the_second_day_on(
    on_min: int, hours: int, known_at_h: int | None, broken: dict[str, int]
) -> None:
    oracle = SafetyOracle(ClimateSettings(zones=(ZoneSettings(zone_id="a", limits=ShortCycleLimits(0.0, 0.0, 60)),)))
    for minute in range(hours * 60):
        known_c = {"a": 20.0} if minute == 0 or minute // 60 == known_at_h else {}
        oracle.check_demand(zones(a=HEAT) if minute % 60 < on_min else zones(), minute * MIN_MS, known_c)
    assert oracle.broken == broken


def test_starts_allowed_after_boots_without_the_time() -> None:
    oracle = SafetyOracle(ClimateSettings(zones=(ZoneSettings(zone_id="a", limits=LIMITS),)))
    for minute in range(0, 50, 10):
        oracle.record_boot(minute * MIN_MS)
        oracle.check_demand(zones(a=HEAT), minute * MIN_MS)
        oracle.check_demand(zones(), (minute + 5) * MIN_MS)
    assert oracle.broken == {"starts an hour": 1}


BOILER = HeatSourceSettings(kind=HeatSourceKind.BOILER, flow=FlowSettings(flow_c_max=55.0))


@pytest.mark.parametrize(
    ("demand", "heat_source", "broken"),
    [
        (msgspec.structs.replace(ON, flow_c=55.0), BOILER, {}),
        (msgspec.structs.replace(ON, flow_c=55.5), BOILER, {"a flow temperature above its maximum": 1}),
        (ON, BOILER, {"heating without a flow temperature": 1}),
        (HeatSourceDemand(flow_c=40.0), BOILER, {"a flow temperature without heating": 1}),
        (
            msgspec.structs.replace(ON, flow_c=40.0),
            HeatSourceSettings(kind=HeatSourceKind.BOILER),
            {"a flow temperature above its maximum": 1},
        ),
    ],
)
def test_wrong_flow_temperature_is_found(
    demand: HeatSourceDemand, heat_source: HeatSourceSettings, broken: dict[str, int]
) -> None:
    assert played([(0, demand)], heat_source) == broken


OPEN = HeatSourceDemand(is_pump_on=True)
REST_MIN = 7 * 24 * 60


@pytest.mark.parametrize(
    ("demands", "rule"),
    [
        ([(REST_MIN + 9, {"a": HEAT}, OPEN), (REST_MIN + 14, {}, HeatSourceDemand())], ""),
        ([(REST_MIN + 9, {"a": HEAT}, OPEN), (REST_MIN + 10, {"b": HEAT}, ON)], ""),
        ([(REST_MIN + 8, {"a": HEAT}, OPEN)], "exercise in the heating season"),
        ([(REST_MIN + 9, {"a": HEAT}, HeatSourceDemand())], "source and zones"),
        ([(REST_MIN + 9, {"a": HEAT, "b": HEAT}, OPEN)], "source and zones"),
        ([(REST_MIN + 9, {"a": HEAT}, OPEN), (REST_MIN + 30, {"a": HEAT}, OPEN)], "exercise too long or too often"),
        (
            [(REST_MIN + 9, {"a": HEAT}, OPEN), (REST_MIN + 14, {}, OPEN), (2 * REST_MIN - 99, {"a": HEAT}, OPEN)],
            "exercise too long or too often",
        ),
    ],
)
def test_only_one_valve_is_exercised_seldom_and_after_a_long_rest(
    demands: list[tuple[int, dict[str, HvacAction], HeatSourceDemand]], rule: str
) -> None:
    rooms = tuple(ZoneSettings(zone_id=zone, limits=LIMITS) for zone in ("a", "b"))
    source = HeatSourceSettings(kind=HeatSourceKind.BOILER, limits=LIMITS)
    oracle = SafetyOracle(ClimateSettings(zones=rooms, heat_source=source))
    for minute, actions, demand in [(0, {"a": HEAT}, ON), (9, {}, HeatSourceDemand()), *demands]:
        oracle.check_demand(HvacDemand(actions, demand), minute * MIN_MS)
    assert list(oracle.broken) == [rule] * bool(rule)
