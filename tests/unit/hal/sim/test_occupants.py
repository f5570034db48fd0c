"""People have habits, and their days differ a little."""

import pytest

from hal.interface import HvacAction
from hal.sim.numerics import Noise
from hal.sim.occupants import (
    BATHROOM,
    BEDROOM,
    DAY_OFF,
    HABITS_A_DAY_MAX,
    KITCHEN,
    LIVING,
    WORKDAY,
    Occupants,
    OccupantThermostat,
)

DAY_S = 86_400
THURSDAY = 0
SATURDAY = 2


def people(household: Occupants, day: int, hour: float) -> dict[int, float]:
    return {habit.zone: habit.people for habit in household.at(day * DAY_S + hour * 3600)}


@pytest.fixture
def household() -> Occupants:
    return Occupants(Noise(1), 99)


def test_occupants_sleep_at_night(household: Occupants) -> None:
    for day in range(14):
        assert people(household, day, 3.0) == {BEDROOM: 2.0}
        assert people(household, day, 0.0) == {BEDROOM: 2.0}
        assert people(household, day, 23.999) == {BEDROOM: 2.0}


def test_on_a_workday_the_flat_is_empty_at_ten_and_on_a_saturday_it_is_not(household: Occupants) -> None:
    assert people(household, THURSDAY, 11.0) == {}
    assert people(household, SATURDAY, 11.0) == {LIVING: 2.0}


def test_occupants_shower_and_cook(household: Occupants) -> None:
    def litres(zone: int) -> float:
        minutes = [household.at(minute * 60) for minute in range(7 * 1440)]
        return sum(habit.moisture_kg_s * 60 for now in minutes for habit in now if habit.zone == zone) / 7

    assert 0.5 < litres(BATHROOM) < 3.0
    assert 1.0 < litres(KITCHEN) < 4.0


def test_habits_vary_by_day_and_not_by_query(household: Occupants) -> None:
    def bedtime(day: int) -> int:
        return next(m for m in range(20 * 60, 1440) if BEDROOM in people(household, day, m / 60))

    times = [bedtime(day) for day in (0, 1, 4, 5, 6, 7)]
    assert len(set(times)) > 2
    assert times == [bedtime(day) for day in (0, 1, 4, 5, 6, 7)]


def test_a_day_fits_its_noise_addresses() -> None:
    assert max(len(WORKDAY), len(DAY_OFF)) <= HABITS_A_DAY_MAX


OFF, HEAT = HvacAction.OFF, HvacAction.HEAT


@pytest.mark.parametrize(
    ("temperature_c", "before", "hour", "after"),
    [
        (20.0, OFF, 12.0, HEAT),
        (20.3, OFF, 12.0, OFF),
        (20.3, HEAT, 12.0, HEAT),
        (21.0, HEAT, 12.0, OFF),
        (19.0, HEAT, 2.0, OFF),
        (17.0, OFF, 2.0, HEAT),
        (19.0, OFF, 6.0, HEAT),
        (19.0, OFF, 22.5, OFF),
    ],
)
def test_occupant_thermostat_heats_below_its_band_and_stops_above(
    temperature_c: float, before: HvacAction, hour: float, after: HvacAction
) -> None:
    assert OccupantThermostat().decide([temperature_c, 99.0], [before], local_hour=hour) == [after]
