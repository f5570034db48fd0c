"""Walls follow the air over hours, ask for heat while they are behind and save it while they are ahead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate import pi_controller

H_S = 3600.0


def after(hours: float, thermal_mass_c: float, value_c: float, dt_s: float = 60.0) -> float:
    for _ in range(round(hours * H_S / dt_s)):
        thermal_mass_c = pi_controller.advance_thermal_mass(thermal_mass_c, value_c, dt_s)
    return thermal_mass_c


def test_unknown_walls_are_as_warm_as_the_air() -> None:
    assert pi_controller.advance_thermal_mass(None, 19.0, 10.0) == 19.0


def test_they_follow_over_hours() -> None:
    assert after(5.0, 17.0, 21.0) == pytest.approx(21.0 - 4.0 / 2.718, abs=0.01)
    assert after(24.0, 17.0, 21.0) == pytest.approx(21.0, abs=0.04)


def test_one_long_step_is_as_good_as_many_short_ones() -> None:
    assert after(10.0, 17.0, 21.0, dt_s=5 * H_S) == pytest.approx(after(10.0, 17.0, 21.0))


def test_a_window_that_was_open_for_ten_minutes_means_nothing() -> None:
    left = after(10 / 60, 21.0, 15.0)
    assert pi_controller.thermal_mass_duty(21.0 - left, 0.12, error_k=6.0) < 0.03


@pytest.mark.parametrize(
    ("thermal_mass_c", "before_c", "now_c"),
    [(19.0, 21.0, 16.0), (None, 21.0, None), (19.0, None, 19.0), (None, None, None)],
)
def test_where_other_sensors_measure_they_are_as_far_from_the_air(
    thermal_mass_c: float | None, before_c: float | None, now_c: float | None
) -> None:
    assert pi_controller.shift_thermal_mass(thermal_mass_c, before_c, 18.0) == now_c


@pytest.mark.parametrize(
    ("behind_k", "error_k", "duty"),
    [
        (4.0, 4.0, 0.48),
        (4.0, 0.0, 0.48),
        (4.0, -1.0, 0.24),
        (4.0, -2.0, 0.0),
        (4.0, -3.0, 0.0),
        (-1.0, 0.5, -0.12),
        (-1.0, -3.0, -0.12),
        (16.0, 16.0, pi_controller.THERMAL_MASS_DUTY_MAX),
        (-10.0, 0.0, pi_controller.THERMAL_MASS_DUTY_MIN),
    ],
)
def test_what_they_ask_for_is_bounded_and_ends_soon_beyond_the_setpoint(
    behind_k: float, error_k: float, duty: float
) -> None:
    assert pi_controller.thermal_mass_duty(behind_k, 0.12, error_k=error_k) == pytest.approx(duty)


@given(st.floats(-15.0, 55.0), st.floats(-15.0, 55.0), st.floats(0.0, 1e6))
def test_they_stay_between_what_they_were_and_the_air(thermal_mass_c: float, value_c: float, dt_s: float) -> None:
    now_c = pi_controller.advance_thermal_mass(thermal_mass_c, value_c, dt_s)
    assert min(thermal_mass_c, value_c) - 1e-9 <= now_c <= max(thermal_mass_c, value_c) + 1e-9
