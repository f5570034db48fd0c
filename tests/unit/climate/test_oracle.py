"""The oracle that says "no rule was broken" finds each kind of broken rule when it is planted."""

import pytest

from agent.climate.guard import GuardLimits
from agent.climate.settings import ClimateSettings, SourceKind, SourceSettings, ZoneSettings
from agent.rehearsal.safety_oracle import SafetyOracle
from hal.interface import HvacAction, HvacDemand, SourceDemand

HEAT, COOL, OFF = HvacAction.HEAT, HvacAction.COOL, HvacAction.OFF
ON = SourceDemand(HEAT, 1, is_pump_on=True)
LIMITS = GuardLimits(180.0, 180.0, 2)
MIN_MS = 60_000


def zones(**actions: HvacAction) -> HvacDemand:
    return HvacDemand(actions)


@pytest.mark.parametrize(
    ("demands", "rule"),
    [
        ([(0, zones(a=HEAT, b=COOL))], "heat and cool together"),
        ([(0, zones(a=HEAT)), (3, zones()), (4, zones(b=COOL))], "rest between heat and cool"),
        ([(0, zones(a=HEAT)), (2, zones())], "minimum on time"),
        ([(0, zones(a=HEAT)), (5, zones()), (7, zones(a=HEAT))], "minimum off time"),
        ([(minute, zones(a=HEAT) if minute % 10 < 5 else zones()) for minute in range(0, 30, 5)], "starts an hour"),
        ([(0, zones(c=COOL))], "a zone does what it cannot"),
        ([(0, HvacDemand({}, ON))], "a source that is not there"),
    ],
)
def test_each_broken_rule_is_found(demands: list[tuple[int, HvacDemand]], rule: str) -> None:
    settings = ClimateSettings(
        zones=(
            ZoneSettings(zone_id="a", can_cool=True, limits=LIMITS),
            ZoneSettings(zone_id="b", can_cool=True, limits=LIMITS),
            ZoneSettings(zone_id="c", limits=LIMITS),
        )
    )
    oracle = SafetyOracle(settings)
    for minute, demand in demands:
        oracle.applied(demand, minute * MIN_MS)
    assert rule in oracle.broken
    assert oracle.summary()


@pytest.mark.parametrize(
    ("demand", "rule"),
    [
        (zones(a=HEAT), "the source is not told anything"),
        (HvacDemand({"a": HEAT}, SourceDemand()), "source and zones"),
        (HvacDemand({}, ON), "source and zones"),
        (HvacDemand({"a": HEAT}, SourceDemand(HEAT, 1)), "source without pump"),
    ],
)
def test_each_broken_rule_of_a_source_is_found(demand: HvacDemand, rule: str) -> None:
    settings = ClimateSettings(
        zones=(ZoneSettings(zone_id="a", limits=LIMITS),), source=SourceSettings(kind=SourceKind.BOILER)
    )
    oracle = SafetyOracle(settings)
    oracle.applied(demand, 0)
    assert oracle.broken[rule] == 1


@pytest.mark.parametrize("helping", [SourceDemand(HEAT, 2, is_pump_on=True), SourceDemand(HEAT, 1, True, True)])
@pytest.mark.parametrize(("room_c", "broken"), [(20.0, {"minimum on time": 1}), (30.0, {})])
def test_what_helps_the_source_has_its_minimum_times(
    helping: SourceDemand, room_c: float, broken: dict[str, int]
) -> None:
    settings = ClimateSettings(
        zones=(ZoneSettings(zone_id="a", limits=LIMITS),), source=SourceSettings(kind=SourceKind.BOILER)
    )
    oracle = SafetyOracle(settings)
    oracle.applied(HvacDemand({"a": HEAT}, ON), 0, {"a": 20.0})
    oracle.applied(HvacDemand({"a": HEAT}, helping), 20 * MIN_MS, {"a": 20.0})
    oracle.applied(HvacDemand({}, SourceDemand(is_pump_on=True)), 21 * MIN_MS, {"a": room_c})
    assert oracle.broken == broken
    oracle.killed(22 * MIN_MS)


def test_heating_above_the_limit_is_found_once_minimum_times_cannot_excuse_it() -> None:
    oracle = SafetyOracle(ClimateSettings(zones=(ZoneSettings(zone_id="a", can_cool=True, limits=LIMITS),)))
    oracle.applied(zones(a=HEAT), 0, {"a": 31.0})
    assert oracle.broken == {}
    oracle.applied(zones(a=HEAT), 6 * MIN_MS, {"a": 31.0})
    assert oracle.broken == {"heated above the limit": 1}


def test_a_hub_that_dies_breaks_no_minimum_on_time_but_its_next_start_must_wait() -> None:
    oracle = SafetyOracle(ClimateSettings(zones=(ZoneSettings(zone_id="a", limits=LIMITS),)))
    oracle.applied(zones(a=HEAT), 0)
    oracle.killed(MIN_MS)
    assert oracle.broken == {}
    oracle.applied(zones(a=HEAT), 2 * MIN_MS)
    assert oracle.broken == {"minimum off time": 1}
