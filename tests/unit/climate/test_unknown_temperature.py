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


@pytest.mark.parametrize("mode", MODES)
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
