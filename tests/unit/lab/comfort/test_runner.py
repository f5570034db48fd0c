"""The comfort laboratory: baselines follow their published rules, and the measures count what happens."""

from itertools import groupby

import pytest

from agent.climate.settings import HeatSourceKind
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import CONTINUOUS, TENTHS
from hal.sim.weather_patterns import COLD_CLEAR, COLD_WINDY, MILD, SUMMER_HEAT, WeatherPattern
from lab.comfort.control import Hysteresis, Situation, TimeProportional, settings_for
from lab.comfort.oracle import Oracle, ReachOracle
from lab.comfort.runner import (
    Case,
    ComfortHome,
    Law,
    Reach,
    StartCounter,
    controller_for,
    minutes_within_reach,
    run_constant,
)


def situation(value_c: float | None, *, minute: int = 0, setpoint_c: float = 21.0, outside_c: float = 1.0) -> Situation:
    return Situation(minute, 0, {} if value_c is None else {0: value_c}, [setpoint_c], outside_c)


def test_hysteresis_switches_at_its_tolerances_and_keeps_the_last_value() -> None:
    law = Hysteresis(1, tolerance_k=0.3)
    calls = [law.decide(situation(value_c))[0] for value_c in (None, 20.8, 20.7, 20.9, None, 21.2, 21.3, 20.8)]
    assert calls == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_hysteresis_of_cooling_is_mirrored() -> None:
    law = Hysteresis(1, tolerance_k=0.3, is_cooling=True)
    calls = [law.decide(situation(value_c, setpoint_c=25.0))[0] for value_c in (25.2, 25.3, 24.8, 24.7)]
    assert calls == [0.0, -1.0, -1.0, 0.0]


def test_hysteresis_with_minimum_times_waits_for_them() -> None:
    law = Hysteresis(1, tolerance_k=0.3, min_on_minutes=3, min_off_minutes=2)
    values_c = (20.0, 20.0, 20.0, 22.0, 22.0, 22.0, 20.0, 20.0, 20.0)
    calls = [law.decide(situation(value_c, minute=minute))[0] for minute, value_c in enumerate(values_c)]
    assert calls == [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]


def test_the_minimum_times_are_those_of_the_relays() -> None:
    case = Case(design=HOUSES["split flat"], pattern=MILD, habit=TENTHS, seed=1)
    rooms = len(case.design.rooms)
    settings = settings_for(case.design, min_on_s=600.0)
    assert settings.zones[0].limits.min_on_s == 600.0
    for given, off_minute in ((None, 7), (settings, 13)):
        law = controller_for(Law.HYSTERESIS_HELD, case, settings=given)
        calls = []
        for minute in range(20):
            value_c = 20.0 if minute < 4 else 22.0
            reports = dict.fromkeys(range(rooms), value_c)
            calls.append(law.decide(Situation(minute, 0, reports, [21.0] * rooms, 1.0))[0])
        assert calls.index(1.0) == 3
        assert calls[3:].index(0.0) + 3 == off_minute


def test_the_tolerance_beside_the_minimum_times_can_be_another() -> None:
    case = Case(design=HOUSES["split timber"], pattern=MILD, habit=TENTHS, seed=1)
    for tolerance_k, is_on in ((0.3, 1.0), (0.5, 0.0)):
        law = controller_for(Law.HYSTERESIS_HELD, case, held_tolerance_k=tolerance_k)
        assert [law.decide(situation(20.6, minute=minute))[0] for minute in range(9)][-1] == is_on


def test_tpi_is_on_for_its_share_of_each_cycle() -> None:
    law = TimeProportional(1)
    # 0.6 of 0.5 K and 0.01 of 20 K are half of five minutes.
    calls = [law.decide(situation(20.5, minute=minute))[0] for minute in range(5)]
    assert calls == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])


def test_starts_of_the_source_are_those_of_any_room() -> None:
    starts = StartCounter(2)
    for calls in ((1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0), (0.0, 0.5)):
        starts.count(calls)
    assert (starts.zones, starts.source) == (3, 2)


@pytest.mark.parametrize(
    "law",
    [
        # Modulating, the hub runs the same lines and more.
        pytest.param(law, marks=[pytest.mark.no_cover] if law is Law.HUB else [])
        for law in Law
        if law is not Law.ORACLE
    ],
)
def test_every_law_keeps_a_house_near_its_setpoint_and_uses_energy(law: Law) -> None:
    case = Case(design=HOUSES["timber panels"], pattern=MILD, habit=CONTINUOUS, seed=1, warm_up_days=1, days=1)
    result = run_constant(case, law)
    assert result.error_k < 1.0
    assert result.starts_per_h > 0.0
    assert result.used_kwh > 5.0
    assert result.corrected_kwh > 0.0
    assert result == run_constant(case, law)


def test_the_oracle_errs_less_than_half_of_what_hysteresis_does_with_few_starts() -> None:
    case = Case(design=HOUSES["timber boiler"], pattern=MILD, habit=CONTINUOUS, seed=1, warm_up_days=1, days=1)
    oracle, hysteresis = run_constant(case, Law.ORACLE), run_constant(case, Law.HYSTERESIS_03)
    assert oracle.error_k < 0.5 * hysteresis.error_k
    assert oracle.starts_per_h <= 1.5


@pytest.mark.parametrize(
    ("name", "pattern", "on_min", "off_min"),
    [("timber boiler", MILD, 5, 5), ("split timber", SUMMER_HEAT, 4, 3), ("timber panels", COLD_WINDY, 1, 3)],
)
def test_the_oracle_keeps_the_minimum_times_of_its_equipment(
    name: str, pattern: WeatherPattern, on_min: int, off_min: int
) -> None:
    case = Case(design=HOUSES[name], pattern=pattern, habit=TENTHS, seed=1, warm_up_days=0, days=1)
    home = ComfortHome(case, controller_for(Law.ORACLE, case))
    seen: list[bool] = []
    home.run(600, 25.0 if case.is_cooling else 21.0, lambda _, __, calls: seen.append(calls[0] != 0.0))
    stretches = [(is_on, len(list(each))) for is_on, each in groupby(seen)][1:-1]
    assert min((length for is_on, length in stretches if is_on), default=99) >= on_min
    assert min((length for is_on, length in stretches if not is_on), default=99) >= off_min
    assert len(stretches) > 4


@pytest.mark.parametrize(
    ("minutes", "allowed"),
    [(0.0, 0.0), (2.4, 0.0), (2.6, 5.0), (12.0, 12.0), (36.0, 35.0), (37.4, 35.0), (37.6, 40.0), (40.0, 40.0)],
)
def test_a_pulse_of_the_oracle_is_the_nearest_that_is_allowed(minutes: float, allowed: float) -> None:
    oracle = Oracle(1, min_on_minutes=5.0, min_off_minutes=5.0)
    assert oracle.allowed_minutes(minutes, 40) == allowed


@pytest.mark.parametrize("oracle", [Oracle(1), ReachOracle(1)])
def test_an_oracle_without_a_house_says_so(oracle: Oracle | ReachOracle) -> None:
    with pytest.raises(ValueError, match="give the oracle a house first"):
        oracle.decide(situation(20.0))


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("timber boiler", MILD), pytest.param("split timber", SUMMER_HEAT, marks=pytest.mark.no_cover)],
)
def test_within_reach_free_starts_and_levels_keep_the_setpoint(name: str, pattern: WeatherPattern) -> None:
    case = Case(design=HOUSES[name], pattern=pattern, habit=TENTHS, seed=1, warm_up_days=1, days=1)
    reach = minutes_within_reach(case)
    result = run_constant(case, Law.HUB, reach=reach)
    assert reach.beyond_share < 0.5
    assert len(reach.is_reachable) == 1440 * len(case.design.rooms)
    assert result.reachable_error_k is not None
    assert reach.error_k < min(0.1, 0.5 * result.reachable_error_k)


@pytest.mark.no_cover
def test_a_source_of_half_the_load_has_no_minute_within_reach_in_a_storm() -> None:
    design = HOUSES["small timber pump"]
    case = Case(design=design, pattern=COLD_WINDY, habit=TENTHS, seed=2, warm_up_days=1, days=1)
    reach = minutes_within_reach(case)
    assert reach.beyond_share == 1.0
    assert run_constant(case, Law.HYSTERESIS_03, reach=reach).reachable_error_k is None


def test_minutes_beyond_reach_count_to_no_error_within_it() -> None:
    case = Case(design=HOUSES["timber boiler"], pattern=MILD, habit=CONTINUOUS, seed=1, warm_up_days=1, days=1)
    minutes = 1440
    everything = Reach(is_reachable=(True,) * minutes, error_k=0.0)
    half = Reach(is_reachable=(True, False) * (minutes // 2), error_k=0.0)
    result = run_constant(case, Law.HYSTERESIS_03, reach=everything)
    halved = run_constant(case, Law.HYSTERESIS_03, reach=half)
    assert result.reachable_error_k == pytest.approx(result.error_k)
    assert halved.reachable_error_k != pytest.approx(result.error_k, rel=1e-6)
    assert halved.error_k == result.error_k
    assert half.beyond_share == 0.5


def test_the_hub_cools_in_summer() -> None:
    case = Case(design=HOUSES["split timber"], pattern=SUMMER_HEAT, habit=TENTHS, seed=1, warm_up_days=1, days=1)
    result = run_constant(case, Law.HUB)
    assert result.error_k < 1.0
    assert result.used_kwh > 1.0


@pytest.mark.no_cover
@pytest.mark.parametrize(("pattern", "share"), [(SUMMER_HEAT, 1.15), (COLD_CLEAR, 1.0)])
def test_split_units_err_about_as_by_hysteresis_in_summer_and_less_in_the_cold(
    pattern: WeatherPattern, share: float
) -> None:
    case = Case(design=HOUSES["split flat"], pattern=pattern, habit=TENTHS, seed=1, warm_up_days=1, days=1)
    hub = run_constant(case, Law.HUB, controller_for(Law.HUB, case, tick_s=30.0))
    assert hub.error_k < share * run_constant(case, Law.HYSTERESIS_03).error_k


@pytest.mark.parametrize("name", list(HOUSES))
def test_every_house_has_settings(name: str) -> None:
    settings = settings_for(HOUSES[name])
    assert [zone.zone_id for zone in settings.zones] == [room.name for room in HOUSES[name].rooms]


@pytest.mark.parametrize(
    ("name", "min_on_s", "source_min_on_s"),
    [
        ("medium furnace", 240.0, 0.0),
        ("timber panels", 60.0, 0.0),
        ("split timber", 240.0, 0.0),
        ("eight zones", 180.0, 300.0),
    ],
)
def test_relays_have_the_minimum_on_times_that_a_hub_gives_them(
    name: str, min_on_s: float, source_min_on_s: float
) -> None:
    settings = settings_for(HOUSES[name])
    is_shared = settings.heat_source.kind is not HeatSourceKind.NONE
    assert {zone.limits.min_on_s for zone in settings.zones} == {min_on_s}
    assert (settings.heat_source.limits.min_on_s if is_shared else 0.0) == source_min_on_s
