"""Mornings: a house that can make it is told from one that cannot, and arrival is judged by sensor and by air."""

import msgspec
import pytest

from hal.sim.house_model import HouseModel
from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import CONTINUOUS
from hal.sim.weather import NIGHT
from hal.sim.weather_patterns import COLD_CLEAR, MILD, SPRING_SUN, Outdoors, WeatherPattern
from lab.comfort.mornings import Morning, MorningsResult, reaching_rooms, run_mornings, setpoint_at
from lab.comfort.runner import Case

COLDEST = (Outdoors(-12.0, 1.0, NIGHT),)


def morning(sensed_min: float, true_min: float, *, is_possible: bool = True, is_set_back: bool = True) -> Morning:
    return Morning(
        day=1,
        room=0,
        is_possible=is_possible,
        is_set_back=is_set_back,
        sensed_min=sensed_min,
        true_min=true_min,
        overshoot_k=0.2,
    )


def test_the_schedule_is_21_by_day_and_17_by_night() -> None:
    assert [setpoint_at(60 * hour) for hour in (0, 5, 6, 21, 22, 30)] == [17.0, 17.0, 21.0, 21.0, 17.0, 21.0]


@pytest.mark.parametrize(("name", "is_possible"), [("small timber pump", False), ("timber boiler", True)])
def test_a_house_that_is_too_small_cannot_make_the_coldest_morning(name: str, *, is_possible: bool) -> None:
    house = HouseModel(HOUSES[name], COLDEST, seed=1, start_c=17.0, has_gains=False)
    before_c = house.air_c
    assert reaching_rooms(house, 720) == [is_possible]
    assert house.air_c == before_c


def test_a_house_reaches_its_setpoint_unheated_only_in_warm_weather() -> None:
    warm = (Outdoors(24.0, 1.0, NIGHT),)
    for weather, is_warm in ((COLDEST, False), (warm, True)):
        house = HouseModel(HOUSES["timber boiler"], weather, seed=1, start_c=20.9, has_gains=False)
        assert reaching_rooms(house, 709, output=0.0) == [is_warm]


def test_only_mornings_that_can_be_made_count_early_ones_as_late_ones() -> None:
    mornings = (morning(5, 12), morning(-11, -9), morning(60, 60, is_possible=False), morning(0, 0, is_set_back=False))
    result = MorningsResult(mornings=mornings, faults=0, lost_minutes=0, used_kwh=1.0, starts_per_h=0.0)
    assert len(result.counted) == 2
    assert result.in_time(by_sensor=True) == 1
    assert result.in_time(by_sensor=False) == 1


def test_early_mornings_that_no_law_avoids_are_counted_apart() -> None:
    mornings = (
        morning(11, 9), morning(120, 120), morning(-11, -9), morning(-50, -50), morning(-50, -50, is_possible=False)
    )  # fmt: skip
    unheated = (*mornings[:3], msgspec.structs.replace(mornings[3], is_early_unheated=True), mornings[4])
    result = MorningsResult(mornings=unheated, faults=0, lost_minutes=0, used_kwh=1.0, starts_per_h=0.0)
    assert result.late_and_early() == (2, 2, 1)
    assert result.in_time(by_sensor=True) == 0


@pytest.mark.parametrize(("weather", "is_early"), [(SPRING_SUN, True), (COLD_CLEAR, False)])
def test_a_morning_whose_sun_is_up_before_it_begins_is_early_without_any_heat(
    weather: WeatherPattern, *, is_early: bool
) -> None:
    case = Case(design=HOUSES["timber panels"], pattern=weather, habit=CONTINUOUS, seed=3, warm_up_days=1, days=2)
    assert any(one.is_early_unheated for one in run_mornings(case).counted) is is_early


def test_the_hub_brings_a_light_house_back_each_morning() -> None:
    case = Case(design=HOUSES["timber panels"], pattern=MILD, habit=CONTINUOUS, seed=1, warm_up_days=1, days=2)
    result = run_mornings(case)
    assert len(result.counted) == 4
    assert all(-240 <= one.true_min <= 60 for one in result.counted)
    assert all(one.sensed_min < 120 for one in result.counted)
    assert result.used_kwh > 10.0
    assert 0.5 < result.starts_per_h < 6.0
