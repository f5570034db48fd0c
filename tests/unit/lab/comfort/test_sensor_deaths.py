"""Dead sensors of a learned house are noticed, and working ones are not doubted.

The figures: docs/experiments/dead-sensors.md.
"""

import pytest

from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import CHANGE_02, CHANGE_05_ONLY, HOURLY, LOSSY, TENTHS, SensorHabit
from hal.sim.weather_patterns import PATTERNS
from lab.comfort.runner import Case
from lab.comfort.sensor_deaths import NOTICED_MINUTES_MAX, minutes_allowed, run_deaths


@pytest.mark.parametrize(("habit", "minutes"), [(TENTHS, 3), (HOURLY, 120), (CHANGE_02, 120), (CHANGE_05_ONLY, 120)])
def test_death_is_to_be_noticed_within_three_intervals_or_two_hours(habit: SensorHabit, minutes: int) -> None:
    assert minutes_allowed(habit) == minutes


@pytest.mark.no_cover
def test_death_of_a_sensor_that_loses_reports_is_noticed_within_two_hours_while_each_report_changes_its_value() -> None:
    # Forced air moves the room by more than the sensor's tenth from report to report.
    case = Case(design=HOUSES["old timber furnace"], pattern=PATTERNS[1], habit=LOSSY, seed=1, warm_up_days=2)
    result = run_deaths(case, (3, 10, 17))
    assert result.lost_minutes == 0
    assert all(minutes is not None and minutes <= NOTICED_MINUTES_MAX for minutes in result.noticed_min)


def test_death_of_a_sensor_with_an_interval_is_noticed_at_once_and_a_working_one_is_not_doubted() -> None:
    case = Case(design=HOUSES["timber boiler"], pattern=PATTERNS[1], habit=TENTHS, seed=1, warm_up_days=2)
    result = run_deaths(case, (3,))
    assert result.lost_minutes == 0
    assert result.noticed_min == (3,)
