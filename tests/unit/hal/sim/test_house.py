"""The house is the same whoever looks, does what its outputs say, and keeps its books."""

from collections.abc import Callable
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.interface import HvacAction
from hal.sim.building import FLAT
from hal.sim.house import GRID_MS, House
from hal.sim.occupants import OccupantThermostat
from hal.sim.plant import GAS_BOILER, HEAT_PUMP, HeatGenerator

WINTER_UTC_MS = 1_768_000_000_000  # 2026-01-09 23:06 UTC, six minutes past midnight on the wall
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ALL_HEAT = [HvacAction.HEAT] * 4
ALL_OFF = [HvacAction.OFF] * 4


def house(
    seed: int = 1, *, thermostat: OccupantThermostat | None = None, generator: HeatGenerator = HEAT_PUMP
) -> House:
    return House(seed=seed, start_utc_ms=WINTER_UTC_MS, thermostat=thermostat, generator=generator)


def probes(of: House) -> dict[str, Callable[[int], float]]:
    return {signal: of.probe(signal, lag_s=30.0) for signal in of.signals}


@settings(max_examples=20)
@given(st.sets(st.integers(0, 4 * HOUR_MS), max_size=20), st.integers(0, 4 * HOUR_MS))
def test_reading_changes_nothing(looks: set[int], command_ms: int) -> None:
    seen, unseen = house(), house()
    all_seen, all_unseen = probes(seen), probes(unseen)
    for at_ms in sorted(looks | {command_ms}):
        seen.advance_to(at_ms)
        if at_ms == command_ms:
            seen.command(at_ms, ALL_HEAT)
    unseen.command(command_ms, ALL_HEAT)
    end_ms = 4 * HOUR_MS + 12_345
    for one in (seen, unseen):
        one.advance_to(end_ms)
    assert {s: all_seen[s](end_ms) for s in all_seen} == {s: all_unseen[s](end_ms) for s in all_unseen}


def test_house_follows_from_the_seed() -> None:
    def day(seed: int) -> list[float]:
        one = house(seed)
        truths = probes(one)
        one.advance_to(DAY_MS)
        return [truths[signal](DAY_MS) for signal in one.signals]

    assert day(1) == day(1)
    assert day(1) != day(2)


def test_a_heated_room_gets_warmer_than_an_unheated_one() -> None:
    heated, cold = house(), house()
    heated.command(0, ALL_HEAT)
    for one in (heated, cold):
        one.advance_to(3 * HOUR_MS)
    gains = [a - b for a, b in zip(heated.thermal.temperatures_c, cold.thermal.temperatures_c, strict=True)]
    assert min(gains[:4]) > 2.0
    assert all(air > mass > 0 for air, mass in zip(gains[:4], gains[4:], strict=True))


def test_cooling_cools() -> None:
    cooled, warm = house(), house()
    cooled.command(0, [HvacAction.COOL] * 4)
    for one in (cooled, warm):
        one.advance_to(HOUR_MS)
    assert cooled.thermal.temperatures_c[0] < warm.thermal.temperatures_c[0] - 1.0


@pytest.mark.parametrize("on_ms", [1, 20_000, 60_000, 90_000, 3_599_999])
def test_heat_call_counts_to_the_millisecond(on_ms: int) -> None:
    one = house()
    one.command(10_000, [HvacAction.HEAT, *ALL_OFF[1:]])
    one.command(10_000 + on_ms, ALL_OFF)
    one.advance_to(2 * HOUR_MS)
    assert one.plant.drawn_j == pytest.approx(FLAT.zones[0].heating_w * on_ms / 1000, rel=1e-9)


def test_heat_calls_within_a_minute_add_up() -> None:
    one = house()
    for from_ms in (5_000, 20_000, 40_000):
        one.command(from_ms, [HvacAction.HEAT, *ALL_OFF[1:]])
        one.command(from_ms + 4_000, ALL_OFF)
    one.advance_to(HOUR_MS)
    assert one.plant.drawn_j == pytest.approx(FLAT.zones[0].heating_w * 12.0)


def test_earlier_command_counts_as_simultaneous() -> None:
    one = house()
    one.command(120_000, ALL_HEAT)
    one.command(60_000, ALL_OFF)
    one.advance_to(HOUR_MS)
    assert one.plant.drawn_j == 0.0


def test_occupant_thermostat_heats_before_and_after_the_hubs_control() -> None:
    one = house(thermostat=OccupantThermostat())
    one.advance_to(2 * DAY_MS)
    assert min(one.thermal.temperatures_c[:4]) > 16.5
    one.command(2 * DAY_MS, ALL_OFF)
    one.advance_to(4 * DAY_MS)
    assert max(one.thermal.temperatures_c[:4]) < 16.5
    one.release(4 * DAY_MS)
    one.advance_to(6 * DAY_MS)
    assert min(one.thermal.temperatures_c[:4]) > 16.5


def test_releasing_control_without_an_occupant_thermostat_switches_off() -> None:
    one = house()
    one.command(0, ALL_HEAT)
    one.release(HOUR_MS)
    one.advance_to(DAY_MS)
    # The generator is too small for all rooms at once.
    assert one.plant.drawn_j == pytest.approx(5500.0 * 3600)


def test_energy_balance_of_a_week_closes() -> None:
    one = house(seed=4, thermostat=OccupantThermostat(), generator=GAS_BOILER)
    thermal, plant = one.thermal, one.plant
    before_j = thermal.stored_j - thermal.gained_j + thermal.lost_j
    one.advance_to(7 * DAY_MS)
    after_j = thermal.stored_j - thermal.gained_j + thermal.lost_j
    assert thermal.gained_j > plant.emitted_j > 1e8
    assert after_j == pytest.approx(before_j, abs=1e-9 * thermal.gained_j)
    assert plant.drawn_j == pytest.approx(plant.emitted_j + plant.stored_j, rel=1e-9)
    assert plant.consumed_j == pytest.approx(plant.drawn_j / 0.92, rel=1e-9)


def test_an_outage_shows_in_mains_and_battery_and_stops_the_heat() -> None:
    one = house(seed=2)
    mains, battery = one.probe("mains", lag_s=0.0), one.probe("battery", lag_s=0.0)
    at_ms = 0
    while one.power.has_mains:
        at_ms += GRID_MS
        one.command(at_ms, ALL_HEAT)
    drawn_j = one.plant.drawn_j
    assert drawn_j > 0
    one.advance_to(at_ms + GRID_MS)
    assert one.plant.drawn_j == drawn_j
    assert mains(at_ms + GRID_MS - 1) == pytest.approx(0.0, abs=1e-3)
    assert battery(at_ms + GRID_MS) < 100.0


def test_a_probe_lags_as_a_first_order_element_does() -> None:
    """Against Euler's method with steps of a hundredth of a second on the same straight lines."""
    one = house()
    truth, lagged = one.probe("living/temperature", lag_s=0.0), one.probe("living/temperature", lag_s=90.0)
    one.command(0, ALL_HEAT)
    seen = lagged(GRID_MS)
    for minute in range(1, 20):
        one.advance_to(minute * GRID_MS)
        for tick in range(600):
            seen += (truth(minute * GRID_MS + tick * 100) - seen) * (1 - exp(-0.1 / 90.0))
        assert lagged((minute + 1) * GRID_MS - 1) == pytest.approx(seen, abs=2e-3)
    assert truth(20 * GRID_MS - 1) - seen > 0.05


def test_a_probe_runs_straight_through_the_minute() -> None:
    one = house()
    truth = one.probe("living/temperature", lag_s=0.0)
    one.advance_to(HOUR_MS)
    at_start, at_end = truth(HOUR_MS), truth(HOUR_MS + GRID_MS)
    assert truth(HOUR_MS + 15_000) == pytest.approx(0.75 * at_start + 0.25 * at_end)
    one.advance_to(HOUR_MS + GRID_MS)
    assert truth(HOUR_MS + GRID_MS) == at_end


def test_equal_probes_are_shared() -> None:
    one = house()
    first = one.probe("pressure", lag_s=60.0)
    one.advance_to(HOUR_MS)
    assert one.probe("pressure", lag_s=60.0)(HOUR_MS + 5) == first(HOUR_MS + 5)


def test_an_unknown_signal_is_refused() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        house().probe("attic/temperature", lag_s=0.0)


def test_occupants_raise_bedroom_co2_at_night() -> None:
    one = house()
    truth = one.probe("bedroom/iaq", lag_s=0.0)
    one.advance_to(4 * HOUR_MS)
    night = truth(4 * HOUR_MS)
    one.advance_to(12 * HOUR_MS)
    assert night > 100 > truth(12 * HOUR_MS)


def test_people_lower_the_blinds_before_the_summer_sun_cooks_them() -> None:
    july = House(seed=3, start_utc_ms=1_783_500_000_000)
    air = july.probe("living/temperature", lag_s=0.0)
    hottest_c = hottest_outside_c = 0.0
    for hour in range(7 * 24):
        july.advance_to(hour * HOUR_MS)
        hottest_c = max(hottest_c, air(hour * HOUR_MS))
        hottest_outside_c = max(hottest_outside_c, july.weather.outside_c)
    assert 23.0 < hottest_c < hottest_outside_c + 4.0
