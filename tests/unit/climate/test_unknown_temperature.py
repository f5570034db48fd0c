"""A zone with an unknown temperature gets frost precaution in every mode, and it is reported."""

import pytest

from agent.climate.model import Mode

from .single_zone_home import House, SingleZoneHome

DAY_H = 24.0

MODES = [pytest.param(mode, marks=[] if mode is Mode.OFF else pytest.mark.no_cover) for mode in Mode]
"""One is traced for coverage: the tracer makes a week of a house several times slower."""


def make_home(outside_c: float = -4.0) -> SingleZoneHome:
    return SingleZoneHome(House(20.0, 2600.0, outside_c=outside_c))


@pytest.mark.parametrize("mode", MODES)
def test_a_sensor_that_never_reports(mode: Mode) -> None:
    """A new hub, a lost state file, a misspelt name: 3.8 °C after three days, "it needed no heat of late"."""
    home = make_home()
    home.set_program(mode=mode)
    for _ in range(7):
        home.run(DAY_H, is_silent=True)
        # What is counted goes on over restarts.
        home.restart()
    assert home.coldest_c > 4.0
    assert home.warmest_c < 24.0
    assert "the temperature is unknown" in home.reason
    (problem,) = home.problems
    assert problem == (
        "check the sensor's battery, and its name in climate.zones against `climahub status`: the temperature is"
        " unknown, so the zone is heated all the time at a low duty"
    )


@pytest.mark.no_cover
@pytest.mark.parametrize("mode", Mode)
def test_a_sensor_that_dies(mode: Mode) -> None:
    """Off: the garage went on to cool, 1.4 °C. Heat: 30 % for 72 h, then off, and below the frost limit days later."""
    home = make_home()
    home.run(2 * DAY_H)
    home.set_program(mode=mode)
    home.run(0.5 * DAY_H)
    home.run(8 * DAY_H, is_silent=True)
    assert home.coldest_c > 4.0
    assert "frost precaution at" in home.reason
    assert home.problems
    home.problems.clear()
    home.run(1.0)
    assert home.problems == set()


def test_a_late_sensor_does_not_start_heating_at_once() -> None:
    home = make_home(outside_c=22.0)
    home.set_program(mode=Mode.OFF)
    home.run(1.0)
    home.run(12.0, is_silent=True)
    assert home.warmest_c < 22.1
    assert home.problems == set()


@pytest.mark.parametrize(
    ("outside_c", "has_outdoor_sensor", "lowest_c", "highest_c"),
    [(-12.0, False, 3.0, 5.0), (-12.0, True, 9.0, 11.0), (12.0, False, 25.0, 27.0), (12.0, True, 18.0, 20.0)],
)
def test_a_home_that_was_never_measured_is_heated_by_the_weather(
    outside_c: float, has_outdoor_sensor: bool, lowest_c: float, highest_c: float
) -> None:
    house = House(15.0, 2600.0, outside_c=outside_c)
    home = SingleZoneHome(house, has_outdoor_sensor=has_outdoor_sensor)
    home.run(6 * DAY_H, is_silent=True)
    home.warmest_c = home.coldest_c = house.air_c
    home.run(DAY_H, is_silent=True)
    assert lowest_c < home.coldest_c <= home.warmest_c < highest_c


@pytest.mark.parametrize(
    ("power_w", "later_c", "has_outdoor_sensor", "lowest_c", "highest_c"),
    [
        (2600.0, -10.0, False, 7.0, 20.5),
        (2600.0, -10.0, True, 14.0, 21.0),
        (2600.0, 8.0, False, 19.0, 23.0),
        (2600.0, 8.0, True, 18.0, 21.0),
        # Emitters of three times the usual size.
        (7800.0, -10.0, True, 19.0, 22.5),
        (7800.0, 8.0, False, 19.0, 28.0),
        (7800.0, 8.0, True, 18.0, 21.0),
    ],
)
def test_the_duty_of_a_room_whose_sensor_died_follows_the_weather(
    power_w: float, later_c: float, has_outdoor_sensor: bool, lowest_c: float, highest_c: float
) -> None:
    house = House(20.0, power_w, outside_c=-3.0)
    home = SingleZoneHome(house, has_outdoor_sensor=has_outdoor_sensor)
    home.run(4 * DAY_H)
    home.restart()
    house.outside_c = later_c
    home.warmest_c = home.coldest_c = house.air_c
    home.run(3 * DAY_H, is_silent=True)
    assert lowest_c < home.coldest_c <= home.warmest_c < highest_c


def test_an_outdoor_sensor_in_the_sun_does_not_let_an_unmeasured_room_freeze() -> None:
    home = SingleZoneHome(House(20.0, 2600.0, outside_c=-2.0), has_outdoor_sensor=True)
    home.outdoor_shows_c = 30.0
    home.run(8 * DAY_H, is_silent=True)
    assert home.coldest_c > 4.0
