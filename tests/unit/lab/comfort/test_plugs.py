"""What simulated plugs report: power only while their equipment runs, by their habits."""

from itertools import pairwise

import pytest

from hal.sim.house_model import HouseModel
from hal.sim.houses import HOUSES
from hal.sim.weather_patterns import PATTERNS, weather_series
from lab.comfort.plugs import (
    OWN_BAND_K,
    OWN_SETPOINT_C,
    PUMP_W,
    READ_MINUTES,
    REPORT_MINUTES,
    SILENT_FROM_MINUTE,
    SILENT_MINUTES,
    SPLIT_REST_MINUTES,
    SPLIT_STANDBY_W,
    STANDBY_W,
    Plugs,
)

DAY_MINUTES = 1440


def house(name: str, start_c: float = 20.0) -> HouseModel:
    return HouseModel(HOUSES[name], weather_series(PATTERNS[0], seed=1, days=1), seed=1, start_c=start_c)


def drawn(model: HouseModel, minutes: int = 10) -> float:
    """Return what the plug of the first room has reported at the end of a call."""
    plugs, watts = Plugs(2, len(model.air_c)), -1.0
    for _ in range(minutes):
        calls = plugs.advance(model, [1.0] * len(model.air_c))
        watts = plugs.reports.get(0, watts)
        model.advance(calls)
    return watts


@pytest.mark.parametrize("fault", ["blocked", "has_source", "has_pump"])
def test_a_panel_draws_its_power_while_it_is_called_for_and_heats(fault: str) -> None:
    model = house("attic panels")
    assert drawn(model) == pytest.approx(STANDBY_W + model.design.rooms[0].design_output_w)
    setattr(model, fault, frozenset({0}) if fault == "blocked" else False)
    assert drawn(model) == STANDBY_W


def test_a_split_unit_rests_before_it_starts() -> None:
    assert drawn(house("split flat"), SPLIT_REST_MINUTES) == SPLIT_STANDBY_W
    assert drawn(house("split flat"), SPLIT_REST_MINUTES + 1) > 100.0


def test_a_pump_draws_power_without_a_burner_and_a_furnace_does_not() -> None:
    for name, watts in (("bare brick", PUMP_W), ("old timber furnace", STANDBY_W)):
        model = house(name)
        model.has_source = False
        assert drawn(model) == watts
        model.has_pump = False
        assert drawn(model) == STANDBY_W


def test_a_panel_with_a_thermostat_of_its_own_lets_no_call_through_above_it() -> None:
    plugs, warm, between = Plugs(0, 3), OWN_SETPOINT_C + OWN_BAND_K + 0.01, OWN_SETPOINT_C
    assert plugs.advance(house("attic panels", between), [1.0] * 3) == [1.0, 1.0, 1.0]
    assert plugs.advance(house("attic panels", warm), [1.0] * 3) == [1.0, 0.0, 1.0]
    assert plugs.advance(house("attic panels", between), [1.0] * 3) == [1.0, 0.0, 1.0]


def test_each_plug_of_a_house_reports_by_a_habit_of_its_own() -> None:
    model, plugs = house("attic panels"), Plugs(0, 3)
    reported: list[list[int]] = [[], [], []]
    for minute in range(DAY_MINUTES):
        model.minute = minute
        plugs.advance(model, [0.0] * 3)
        for room in plugs.reports:
            reported[room].append(minute)
    longest = [max(later - minute for minute, later in pairwise(each)) for each in reported]
    assert longest[0] == READ_MINUTES
    assert longest[1] >= SILENT_MINUTES
    assert longest[2] == REPORT_MINUTES
    assert not any(0 <= minute - SILENT_FROM_MINUTE < SILENT_MINUTES for minute in reported[1])
