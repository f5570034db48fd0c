"""A room of which nobody knows that it does not freeze is kept from frost, in every mode, and it is said."""

import pytest

from agent.climate.model import Mode

from .small_house import House, Life

DAY_H = 24.0


def life(outside_c: float = -4.0) -> Life:
    return Life(House(20.0, 2600.0, outside_c=outside_c))


@pytest.mark.parametrize("mode", Mode)
def test_a_sensor_that_was_never_heard(mode: Mode) -> None:
    """A new hub, a lost state file, a misspelt name: 3.8 °C after three days, "it needed no heat of late"."""
    home = life()
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


@pytest.mark.parametrize("mode", Mode)
def test_a_sensor_that_dies(mode: Mode) -> None:
    """Off: the garage went on to cool, 1.4 °C. Heat: 30 % for 72 h, then off, and below the frost limit days later."""
    home = life()
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


def test_nobody_is_heated_at_once_for_a_sensor_that_is_late() -> None:
    home = life(outside_c=22.0)
    home.set_program(mode=Mode.OFF)
    home.run(1.0)
    home.run(12.0, is_silent=True)
    assert home.warmest_c < 22.1
    assert home.problems == set()
