"""Dead sensors of a learned house are noticed, and working ones are not doubted. The figures: docs/performance.md."""

import pytest

from hal.sim.houses import HOUSES
from hal.sim.sensor_habits import CHANGE_02, CHANGE_05_ONLY, HOURLY, TENTHS, SensorHabit
from hal.sim.weather_patterns import PATTERNS
from lab.comfort.runner import Case
from lab.comfort.sensor_deaths import minutes_allowed, run_deaths


@pytest.mark.parametrize(("habit", "minutes"), [(TENTHS, 3), (HOURLY, 120), (CHANGE_02, 120), (CHANGE_05_ONLY, 120)])
def test_death_is_to_be_noticed_within_three_intervals_or_two_hours(habit: SensorHabit, minutes: int) -> None:
    assert minutes_allowed(habit) == minutes


def test_death_of_a_sensor_with_an_interval_is_noticed_at_once_and_a_working_one_is_not_doubted() -> None:
    case = Case(design=HOUSES["timber boiler"], pattern=PATTERNS[1], habit=TENTHS, seed=1, warm_up_days=2)
    result = run_deaths(case, (3,))
    assert result.lost_minutes == 0
    assert result.noticed_min == (3,)
