"""The bench of windows: what it opens, what it calls noticed, and what happens on days without any.

The figures: docs/experiments/windows.md.
"""

import msgspec
import pytest

from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import TENTHS
from hal.sim.weather_patterns import COLD_CLEAR, MILD
from lab.comfort.control import OUTDOOR_SENSOR
from lab.comfort.open_windows import (
    AFTER_MINUTES,
    OPEN_MINUTES,
    SNAP_K,
    Opening,
    Quiet,
    Width,
    hub_of,
    learned_home,
    open_once,
    rough_weather,
    run_openings,
    run_quiet_days,
)
from lab.comfort.outdoor_sensor import Placement
from lab.comfort.runner import DAY_MINUTES, HEAT_SETPOINT_C, Case, ComfortHome, Law, controller_for

SAMPLES = 144
CASE = Case(design=HOUSES["attic panels"], pattern=COLD_CLEAR, habit=TENTHS, seed=1, warm_up_days=1)


def test_a_wide_open_window_of_a_room_in_frost_is_noticed_and_its_room_is_heated_after_it() -> None:
    (result,) = run_openings(CASE, (Opening(Width.WIDE, 10),))
    assert result.noticed_min is not None
    assert result.noticed_min <= 10
    assert result.heated_min <= result.noticed_min
    assert result.resumed_min is not None
    assert result.resumed_min <= 10
    assert result.fallen_k > 2.0
    assert result.outside_k > 15.0
    assert result.coldest_c < HEAT_SETPOINT_C - 2.0


@pytest.mark.no_cover
def test_each_opening_has_a_day_of_its_own_and_a_tilted_window_cools_less() -> None:
    tilted, wide = run_openings(CASE, (Opening(Width.TILTED, 10), Opening(Width.WIDE, 10)))
    assert 0.3 < tilted.fallen_k < wide.fallen_k


@pytest.mark.no_cover
def test_a_hub_that_looks_for_no_windows_notices_none() -> None:
    home = learned_home(CASE)
    control = hub_of(home).controller
    for zone in control.zones.values():
        zone.settings = msgspec.structs.replace(zone.settings, window_pause_s_max=0.0)
    zones = tuple(msgspec.structs.replace(zone, window_pause_s_max=0.0) for zone in control.settings.zones)
    control.settings = msgspec.structs.replace(control.settings, zones=zones)
    result = open_once(home, Opening(Width.WIDE, 10))
    assert result.noticed_min is None
    assert result.resumed_min is None
    assert result.heated_min > OPEN_MINUTES / 2


@pytest.mark.no_cover
def test_a_pause_that_does_not_end_counts_as_the_whole_time_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.climate.open_window.TURN_K_MIN", 99.0)
    monkeypatch.setattr("agent.climate.open_window.STILL_S", 1e9)
    monkeypatch.setattr("agent.climate.open_window.PAUSE_COLD_K_MAX", 99.0)
    home = learned_home(CASE)
    for zone in hub_of(home).controller.zones.values():
        zone.settings = msgspec.structs.replace(zone.settings, window_pause_s_max=1e6)
    settings = hub_of(home).controller.settings
    zones = tuple(msgspec.structs.replace(zone, window_pause_s_max=1e6) for zone in settings.zones)
    hub_of(home).controller.settings = msgspec.structs.replace(settings, zones=zones)
    assert open_once(home, Opening(Width.WIDE, 10)).resumed_min == AFTER_MINUTES


def test_gusts_and_a_cold_snap_are_on_their_days_only() -> None:
    weather = msgspec.structs.replace(CASE, days=2).weather()
    changed = rough_weather(weather, (Quiet.GUSTS, Quiet.SNAP), from_day=1, seed=1)
    assert changed[:SAMPLES] == list(weather[:SAMPLES])
    gusts = [after.wind_factor / before.wind_factor for before, after in zip(weather, changed, strict=True)]
    by_day = [max(gusts[day * SAMPLES : (day + 1) * SAMPLES]) for day in range(3)]
    assert by_day[0] == by_day[2] == 1.0
    assert 2.0 < by_day[1] <= 2.5
    snaps = [before.outside_c - after.outside_c for before, after in zip(weather, changed, strict=True)]
    assert max(snaps[: 2 * SAMPLES + 12 * 6]) == 0.0
    assert snaps[3 * SAMPLES - 1] == pytest.approx(SNAP_K)


@pytest.mark.no_cover
def test_days_without_a_window_are_counted_by_kind_and_room() -> None:
    results = run_quiet_days(CASE, (Quiet.SETBACK, Quiet.DOOR))
    assert [result.kind for result in results] == [Quiet.SETBACK, Quiet.DOOR]
    assert all(result.zone_days == len(CASE.design.rooms) for result in results)


def test_a_pause_on_a_day_without_a_window_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.climate.open_window.FALL_K_MIN", (0.05, 0.1))
    monkeypatch.setattr("agent.climate.open_window.USUAL_FACTOR", 0.0)
    monkeypatch.setattr("agent.climate.open_window.FIRST_FACTOR", 0.0)
    monkeypatch.setattr("agent.climate.open_window.STEPS_MIN", 0.0)
    (result,) = run_quiet_days(CASE, (Quiet.CONSTANT,))
    assert result.pauses > 0
    assert result.paused_min >= result.pauses


@pytest.mark.no_cover
def test_a_door_to_a_colder_room_cools_the_first_room() -> None:
    def coldest_c(*, moves: bool) -> float:
        case = msgspec.structs.replace(CASE, days=1, pattern=MILD)
        home = ComfortHome(case, controller_for(Law.HUB, case))
        home.run(DAY_MINUTES, HEAT_SETPOINT_C)
        house = home.house
        house.network.temperatures_c[house.parts[1].air] = 10.0
        if moves:
            house.open_doors(frozenset({0}), 200.0)
        home.run(5, HEAT_SETPOINT_C)
        house.open_doors(frozenset())
        return house.air_c[0]

    assert coldest_c(moves=True) < coldest_c(moves=False) - 0.3


def test_the_outdoor_temperature_is_measured_where_it_is_asked_for() -> None:
    home = learned_home(msgspec.structs.replace(CASE, warm_up_days=0, outdoor=Placement.EXACT))
    home.run(1, HEAT_SETPOINT_C)
    assert hub_of(home).controller.settings.outdoor_sensor == OUTDOOR_SENSOR
    assert hub_of(home).controller.outdoor_c == home.house.outside_c


def test_only_the_hub_notices_windows() -> None:
    with pytest.raises(TypeError, match="only the hub"):
        hub_of(ComfortHome(CASE, controller_for(Law.TPI, CASE)))
