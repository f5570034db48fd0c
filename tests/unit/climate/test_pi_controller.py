"""The average output is the duty whatever the limits did, nothing winds up, and walls are fed forward."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate import pi_controller
from agent.climate.pi_controller import FAR_K, INTEGRATED_K_MAX, NEAR_K, PiSettings, PiState, advance

SETTINGS = PiSettings(gain_per_k=0.3, integral_s=3600.0, cycle_s=900.0, ramp_gain_per_k=0.6)


def run(duty: float, hours: float, *, dt_s: float = 10.0, settings: PiSettings = SETTINGS) -> tuple[float, int]:
    """Return the share of time on and the number of starts at a constant duty."""
    state, on, on_s, starts = PiState(), False, 0.0, 0
    for _ in range(int(hours * 3600 / dt_s)):
        made = advance(state, settings, error_k=0.0, dt_s=dt_s, was_on=on, feed_forward=duty)
        state = made.state
        starts += made.wants_on and not on
        on = made.wants_on
        on_s += dt_s * on
    return on_s / (hours * 3600), starts


@pytest.mark.parametrize("duty", [0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95])
def test_average_output_equals_duty(duty: float) -> None:
    share, _ = run(duty, 100.0)
    assert share == pytest.approx(duty, abs=0.01)


@pytest.mark.parametrize(
    ("duty", "cycle_s"), [(0.5, 900.0), (0.25, 900.0), (0.1, 1780.0), (0.02 + 1e-6, 160.0 / 0.02 / 0.98)]
)
def test_cycle_is_longer_only_where_the_pulse_would_be_too_short(duty: float, cycle_s: float) -> None:
    _, starts = run(duty, 100.0)
    assert 360_000 / starts == pytest.approx(cycle_s, rel=0.05)


def test_pulses_are_sized_for_the_usual_duty_and_not_for_the_one_that_they_cause() -> None:
    state, on, on_s = PiState(usual_duty=0.2), True, 0.0
    usual = SETTINGS.pulse_s(0.2)
    while on:
        # The temperature falls behind: a pulse for half duty would take 225 s and not 144 s.
        made = advance(state, SETTINGS, error_k=1.0, dt_s=1.0, was_on=True)
        on, state, on_s = made.wants_on, made.state, on_s + 1.0
    assert made.duty == pytest.approx(0.6, abs=0.02)
    assert on_s == pytest.approx(usual / 0.4, rel=0.05)


def test_pulses_are_shorter_the_more_others_want_of_the_heat_source() -> None:
    lengths = [SETTINGS.pulse_s(0.3, others) for others in (0.0, 0.2, 0.4, 0.8)]
    assert lengths == pytest.approx([94.5, 80.0, 80.0, 80.0])
    assert msgspec.structs.replace(SETTINGS, cycle_s=3600.0).pulse_s(0.3, 0.4) == pytest.approx(162.0)


def test_error_moves_the_edges_of_pulses_directly() -> None:
    floor = msgspec.structs.replace(SETTINGS, cycle_s=20_000.0, edge_s_per_k=9000.0)
    state = PiState(integral=0.3, usual_duty=0.3)
    pulse_k = floor.pulse_s(0.3) / 9000.0
    wants = [
        advance(state, floor, error_k=error_k, dt_s=0.0, was_on=False).wants_on
        for error_k in (pulse_k - 0.01, pulse_k + 0.01)
    ]
    assert wants == [False, True]
    assert not advance(state, floor, error_k=-pulse_k - 0.01, dt_s=0.0, was_on=True).wants_on


def test_a_pulse_waits_for_its_error_and_is_no_longer_for_it_and_one_that_runs_goes_on() -> None:
    settings = msgspec.structs.replace(SETTINGS, start_k=0.2)
    state = PiState(integral=0.5, owed_s=300.0, usual_duty=0.5)
    near, far = (advance(state, settings, error_k=k, dt_s=10.0, was_on=False) for k in (0.19, 0.21))
    assert not near.wants_on
    assert near.state.owed_s == pytest.approx(settings.pulse_s(0.5))
    assert far.wants_on
    assert advance(state, settings, error_k=0.0, dt_s=10.0, was_on=True).wants_on
    assert advance(near.state, settings, error_k=0.21, dt_s=10.0, was_on=False).wants_on


def test_controller_begins_with_a_pulse_in_a_room_that_is_too_cold_and_with_none_in_others() -> None:
    wants = [
        advance(PiState(), SETTINGS, error_k=error_k, dt_s=0.0, was_on=False).wants_on
        for error_k in (pi_controller.FIRST_PULSE_K, pi_controller.FIRST_PULSE_K - 0.01)
    ]
    assert wants == [True, False]
    assert not advance(PiState(usual_duty=0.2), SETTINGS, error_k=0.5, dt_s=0.0, was_on=False).wants_on


def test_larger_minimum_pulse_makes_fewer_starts_at_low_duty() -> None:
    even = msgspec.structs.replace(SETTINGS, pulse_s_min=900.0 / 8)
    assert run(0.1, 100.0, settings=even)[1] < run(0.1, 100.0)[1]
    assert run(0.1, 100.0, settings=even)[0] == pytest.approx(0.1, abs=0.01)


def test_duty_near_zero_never_starts_and_full_duty_never_stops() -> None:
    assert run(0.015, 20.0) == (0.0, 0)
    assert run(1.0, 20.0) == (1.0, 1)


@pytest.mark.parametrize(
    ("error_k", "was_on", "before_s", "after_s"),
    [
        (9.0, False, 150.0, 210.0),
        (9.0, True, 150.0, 150.0),
        (9.0, False, 230.0, 240.0),
        (9.0, True, -200.0, 0.0),
        (-9.0, True, -150.0, -210.0),
        (-9.0, False, -150.0, -150.0),
        (-9.0, True, -230.0, -240.0),
        (-9.0, False, 200.0, 0.0),
    ],
)
def test_owed_time_is_kept_at_full_and_zero_duty_and_an_opposite_one_is_dropped(
    error_k: float, before_s: float, after_s: float, *, was_on: bool
) -> None:
    made = advance(PiState(0.0, before_s), SETTINGS, error_k=error_k, dt_s=60.0, was_on=was_on)
    assert made.state.owed_s == after_s


def test_starved_equipment_does_not_wind_up_the_integral() -> None:
    state = PiState()
    for _ in range(1000):
        state = advance(state, SETTINGS, error_k=1.0, dt_s=60.0, was_on=False).state
    # An hour's worth of windup would be 0.3; starved equipment adds nothing after a quarter of a cycle.
    assert state.integral < 0.1
    assert state.owed_s <= SETTINGS.cycle_s


def test_saturated_controller_does_not_wind_up_and_stops_at_once() -> None:
    state = PiState()
    for _ in range(1000):
        state = advance(state, SETTINGS, error_k=5.0, dt_s=60.0, was_on=True).state
    assert advance(state, SETTINGS, error_k=-1.0, dt_s=60.0, was_on=True).duty == 0.0
    assert state.integral < 0.5


def test_integral_is_kept_while_the_room_is_far_too_warm() -> None:
    made = advance(PiState(0.4), SETTINGS, error_k=-2.0, dt_s=600.0, was_on=False)
    assert (made.duty, made.state.integral) == (0.0, 0.4)


@pytest.mark.parametrize(("was_on", "learned"), [(False, 0.0), (True, 0.0025)])
def test_owed_time_blocks_integration_only_while_the_output_is_off(*, was_on: bool, learned: float) -> None:
    made = advance(PiState(0.2, owed_s=900.0), SETTINGS, error_k=0.5, dt_s=60.0, was_on=was_on)
    assert made.state.integral - 0.2 == pytest.approx(learned)


def test_integral_is_kept_on_a_ramp() -> None:
    """Found outside: a flat sank by 0.5 K for three hours, because the ramp had drained the integral."""
    for error_k in (0.5, -0.5):
        made = advance(PiState(0.2), SETTINGS, error_k=error_k, dt_s=600.0, was_on=True, is_ramp=True)
        assert made.state.integral == 0.2


def test_lasting_error_raises_the_integral() -> None:
    state = PiState()
    for _ in range(60):
        made = advance(state, SETTINGS, error_k=0.5, dt_s=60.0, was_on=True)
        state = made.state
    assert state.integral == pytest.approx(0.15, abs=0.01)


def test_error_within_the_deadband_is_not_integrated() -> None:
    made = advance(PiState(0.4), SETTINGS, error_k=0.04, dt_s=3600.0, was_on=False)
    assert made.state.integral == 0.4


def duty(state: PiState, error_k: float, *, is_ramp: bool = False) -> float:
    return advance(state, SETTINGS, error_k=error_k, dt_s=0.0, was_on=False, is_ramp=is_ramp).duty


def test_gain_is_higher_on_a_ramp() -> None:
    assert duty(PiState(), 0.5) == pytest.approx(0.15)
    assert duty(PiState(), 0.5, is_ramp=True) == pytest.approx(0.3)


def test_ramp_gain_lasts_from_a_far_setpoint_until_it_is_near() -> None:
    state = advance(PiState(), SETTINGS, error_k=FAR_K, dt_s=0.0, was_on=False).state
    assert duty(state, 0.5) == pytest.approx(0.3)
    state = advance(state, SETTINGS, error_k=NEAR_K - 0.01, dt_s=0.0, was_on=True).state
    assert duty(state, 0.5) == pytest.approx(0.15)


def test_setpoint_step_moves_the_integral_little() -> None:
    at_most = SETTINGS.gain_per_k * INTEGRATED_K_MAX * 60.0 / SETTINGS.integral_s
    down = advance(PiState(0.9), SETTINGS, error_k=-1.4, dt_s=60.0, was_on=True).state
    assert 0.9 - down.integral == pytest.approx(at_most)
    up = advance(PiState(), SETTINGS, error_k=1.4, dt_s=60.0, was_on=True).state
    assert up.integral == pytest.approx(at_most)


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 600), st.booleans(), st.floats(-1, 1)), max_size=60))
def test_state_is_bounded_for_any_input(steps: list[tuple[float, float, bool, float]]) -> None:
    state = PiState()
    for error_k, dt_s, was_on, feed_forward in steps:
        made = advance(state, SETTINGS, error_k=error_k, dt_s=dt_s, was_on=was_on, feed_forward=feed_forward)
        state = made.state
        assert 0.0 <= made.duty <= 1.0
        assert 0.0 <= state.integral <= 1.0
        assert abs(state.owed_s) <= pi_controller.OWED_PULSES_MAX * SETTINGS.pulse_s(0.5)


H_S = 3600.0


def after(hours: float, thermal_mass_c: float, value_c: float, dt_s: float = 60.0) -> float:
    for _ in range(round(hours * H_S / dt_s)):
        thermal_mass_c = pi_controller.advance_thermal_mass(thermal_mass_c, value_c, dt_s)
    return thermal_mass_c


def test_unknown_thermal_mass_starts_at_air_temperature() -> None:
    assert pi_controller.advance_thermal_mass(None, 19.0, 10.0) == 19.0


def test_thermal_mass_follows_the_air_over_hours() -> None:
    assert after(5.0, 17.0, 21.0) == pytest.approx(21.0 - 4.0 / 2.718, abs=0.01)
    assert after(24.0, 17.0, 21.0) == pytest.approx(21.0, abs=0.04)


def test_one_long_thermal_mass_step_equals_many_short_ones() -> None:
    assert after(10.0, 17.0, 21.0, dt_s=5 * H_S) == pytest.approx(after(10.0, 17.0, 21.0))


def test_window_open_for_ten_minutes_hardly_changes_the_thermal_mass_duty() -> None:
    left = after(10 / 60, 21.0, 15.0)
    assert pi_controller.thermal_mass_duty(21.0 - left, 0.12, error_k=6.0) < 0.03


@pytest.mark.parametrize(
    ("thermal_mass_c", "before_c", "now_c"),
    [(19.0, 21.0, 16.0), (None, 21.0, None), (19.0, None, 19.0), (None, None, None)],
)
def test_thermal_mass_shifts_with_the_air_when_the_sensors_change(
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
def test_thermal_mass_duty_is_bounded_and_ends_above_the_setpoint(behind_k: float, error_k: float, duty: float) -> None:
    assert pi_controller.thermal_mass_duty(behind_k, 0.12, error_k=error_k) == pytest.approx(duty)


@given(st.floats(-15.0, 55.0), st.floats(-15.0, 55.0), st.floats(0.0, 1e6))
def test_thermal_mass_stays_between_its_last_value_and_the_air(
    thermal_mass_c: float, value_c: float, dt_s: float
) -> None:
    now_c = pi_controller.advance_thermal_mass(thermal_mass_c, value_c, dt_s)
    assert min(thermal_mass_c, value_c) - 1e-9 <= now_c <= max(thermal_mass_c, value_c) + 1e-9
