"""Sensor habits: each reports as often, as coarsely and as late as it says, the same for the same seed."""

from itertools import pairwise
from math import sin

import pytest

from hal.sim.numerics import Noise
from hal.sim.sensor_habits import (
    CHANGE_02,
    CHANGE_02_ONLY,
    CHANGE_05_ONLY,
    CONTINUOUS,
    DELAYED,
    HABITS,
    HALF_DEGREES,
    HOURLY,
    LOSSY,
    NEAR_EMITTER,
    OFFSET,
    SLOW_CORNER,
    TENTHS,
    HabitualSensor,
    SensorHabit,
)


def reports(
    habit: SensorHabit, *, hours: float = 48, still: bool = False, excess_k: float = 0.0, seed: int = 1
) -> dict[int, float]:
    """Return what arrives by minute from a room that swings by a kelvin in six hours, or does not."""
    sensor = HabitualSensor(habit, noise=Noise(seed), seed=seed, name="home")
    arrived = {}
    for minute in range(round(hours * 60)):
        value_c = sensor.advance(minute, 20.0 + (0.0 if still else sin(minute / 57.3)), excess_k)
        if value_c is not None:
            arrived[minute] = value_c
    return arrived


def gaps(arrived: dict[int, float]) -> list[int]:
    minutes = list(arrived)
    return [after - before for before, after in pairwise(minutes)]


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.name)
def test_every_habit_reports_something_soon_and_the_same_for_the_same_seed(habit: SensorHabit) -> None:
    arrived = reports(habit)
    assert min(arrived) <= 60
    assert arrived == reports(habit)


def test_ten_habits_and_more_have_names_of_their_own() -> None:
    assert len({habit.name for habit in HABITS}) == len(HABITS) >= 10


@pytest.mark.parametrize("habit", [CONTINUOUS, TENTHS, SLOW_CORNER])
def test_a_sensor_that_reports_each_minute_does(habit: SensorHabit) -> None:
    assert set(gaps(reports(habit))) == {1}


def test_an_hourly_sensor_reports_hourly() -> None:
    assert set(gaps(reports(HOURLY))[1:]) == {60}


@pytest.mark.parametrize(("habit", "step_k"), [(TENTHS, 0.1), (HALF_DEGREES, 0.5), (CONTINUOUS, 0.01)])
def test_values_are_multiples_of_the_step(habit: SensorHabit, step_k: float) -> None:
    for value_c in reports(habit).values():
        assert value_c / step_k == pytest.approx(round(value_c / step_k), abs=1e-6)


def test_a_sensor_that_reports_changes_is_silent_in_a_still_room_but_for_its_heartbeat() -> None:
    assert len(reports(CHANGE_02_ONLY, still=True)) == 1
    assert set(gaps(reports(CHANGE_02, still=True))) == {60}
    assert CHANGE_02.silence_s == 3600.0
    assert CHANGE_02_ONLY.silence_s is None
    assert HOURLY.silence_s == 3600.0


@pytest.mark.parametrize("habit", [CHANGE_02_ONLY, CHANGE_05_ONLY])
def test_a_sensor_that_reports_changes_only_reports_no_smaller_one(habit: SensorHabit) -> None:
    values = list(reports(habit).values())
    assert len(values) > 10
    assert min(abs(after - before) for before, after in pairwise(values)) >= habit.change_k - 1e-9


def test_a_lossy_radio_loses_a_fifth() -> None:
    sent = 48 * 60 / 5
    assert len(reports(LOSSY)) / sent == pytest.approx(0.8, abs=0.05)


def test_a_slow_sensor_is_half_an_hour_behind() -> None:
    sensor = HabitualSensor(SLOW_CORNER, noise=Noise(1), seed=1, name="home")
    sensor.advance(0, 20.0, 0.0)
    for minute in range(1, 26):
        sensor.advance(minute, 21.0, 0.0)
    assert sensor.measured_c == pytest.approx(20.63, abs=0.01)


def test_a_delayed_report_arrives_with_the_value_that_it_left_with() -> None:
    prompt, late = reports(TENTHS), reports(DELAYED)
    assert min(late) == 7
    assert all(late[minute] == prompt[minute - 7] for minute in late)


def test_a_sensor_near_the_emitter_measures_a_share_of_its_heat() -> None:
    arrived = reports(NEAR_EMITTER, still=True, excess_k=30.0)
    assert sum(arrived.values()) / len(arrived) == pytest.approx(20.9, abs=0.02)


def test_offsets_differ_from_piece_to_piece() -> None:
    offsets = {
        round(HabitualSensor(OFFSET, noise=Noise(seed), seed=seed, name="home").offset_k, 3) for seed in range(20)
    }
    assert len(offsets) == 20
    assert max(offsets) > 0.3
    assert min(offsets) < -0.3
