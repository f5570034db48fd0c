"""The model of a zone: what full output and the load make of it, and what the hub learns of it."""

import pytest

from agent.climate.zone_identification import SAMPLE_S, Window, WindowSample, best, initial_bank, judge
from agent.climate.zone_model import (
    ZoneDynamics,
    ZoneEstimate,
    arrival_duty,
    duty_for,
    emitted_share,
    forecast,
    held_duty,
    initial_estimate,
    is_possible,
    lead_s,
    recoverable_c,
    shift,
    standing_estimate,
    stepper,
    structure_duty,
    track,
)

DYNAMICS = ZoneDynamics(gain_k_per_h=12.0, emitter_s=900.0, air_s=2400.0, structure_s=6 * 3600.0)
H_S = 3600.0


def standing(setpoint_c: float, duty: float) -> ZoneEstimate:
    return initial_estimate(DYNAMICS, value_c=setpoint_c, structure_c=None, duty=duty)


def test_the_duty_that_keeps_a_temperature_keeps_it() -> None:
    kept = standing(17.0, 0.7)
    assert held_duty(kept, DYNAMICS, 17.0) == pytest.approx(0.7)
    later = forecast(kept, DYNAMICS, duty=0.7, duty_s=5 * H_S, then_duty=0.7, then_s=0.0)
    assert (later.air_c, later.structure_c) == (pytest.approx(17.0), pytest.approx(17.0))


def test_what_the_load_takes_is_not_there_for_a_rise() -> None:
    """A cold morning at 70 % has 30 % left: it takes more than twice as long as one at 30 %."""
    mild = lead_s(standing(17.0, 0.3), DYNAMICS, 19.0, 12 * H_S)
    cold = lead_s(standing(17.0, 0.7), DYNAMICS, 19.0, 12 * H_S)
    assert mild is not None
    assert cold is not None
    assert cold > 2.3 * mild
    assert lead_s(standing(17.0, 0.95), DYNAMICS, 21.0, 12 * H_S) is None
    assert lead_s(standing(21.0, 0.3), DYNAMICS, 20.0, 12 * H_S) == 0.0


@pytest.mark.parametrize(("duty", "found_c"), [(0.4, 17.5), (0.93, 20.5), (0.99, None)])
def test_the_setback_that_can_be_recovered_depends_on_the_weather(duty: float, found_c: float | None) -> None:
    heavy = ZoneDynamics(2.0, 1200.0, 20_000.0, 27 * H_S)
    now = initial_estimate(heavy, value_c=17.0, structure_c=None, duty=duty - 4.0 / 45.0)
    assert recoverable_c(now, heavy, setback_c=17.0, target_c=21.0, lead_s_max=12 * H_S) == found_c


def test_the_duty_of_an_arrival_arrives() -> None:
    cold = standing(17.0, 0.4)
    duty = arrival_duty(cold, DYNAMICS, target_c=19.0, due_in_s=3 * H_S, then_duty=0.6, then_s=600.0)
    assert 0.4 < duty < 1.0
    made = forecast(cold, DYNAMICS, duty=duty, duty_s=3 * H_S - 600.0, then_duty=0.6, then_s=600.0)
    assert made.felt_c == pytest.approx(19.0, abs=0.01)
    assert arrival_duty(cold, DYNAMICS, target_c=25.0, due_in_s=H_S, then_duty=1.0, then_s=0.0) > 1.0


def test_a_cold_structure_takes_heat_and_a_warm_one_gives_it_within_bounds() -> None:
    cold = ZoneEstimate(0.5, 21.0, 19.0, 21.0, 5.0)
    assert structure_duty(cold, DYNAMICS, 21.0) == pytest.approx(2.0 * 1.5 / 12.0)
    assert structure_duty(cold, DYNAMICS, 5.0) == -0.3
    assert structure_duty(cold, DYNAMICS, 90.0) == 1.0


def test_another_setpoint_has_another_load() -> None:
    warm = standing_estimate(standing(17.0, 0.4), DYNAMICS, 21.0)
    assert warm.emitted == pytest.approx(0.4 + 4.0 / 45.0)
    assert (warm.air_c, warm.structure_c) == (21.0, 21.0)


@pytest.mark.parametrize("step_k", [0.0, 0.5])
def test_the_load_is_found_from_what_the_sensor_shows(step_k: float) -> None:
    truth, found = standing(20.0, 0.6), standing(20.0, 0.2)
    step = stepper(DYNAMICS, 120.0)
    for number in range(12 * 30):
        truth = step(truth, 0.5)
        value_c = round(truth.sensor_c / step_k) * step_k if step_k else truth.sensor_c
        found = track(found, DYNAMICS, duty=0.5, value_c=value_c, is_new=number % 2 == 0, dt_s=120.0)
    assert found.load_k_per_h == pytest.approx(truth.load_k_per_h, abs=1.0)
    assert found.air_c == pytest.approx(truth.air_c, abs=0.3)


def test_the_air_is_known_within_minutes_though_the_model_has_missed_a_disturbance() -> None:
    """Found on the houses: rooms that wait for their setpoint were 0.4 K warmer than their estimate, and early."""
    found = standing(20.0, 0.5)
    for _ in range(10):
        found = track(found, DYNAMICS, duty=0.5, value_c=20.4, is_new=True, dt_s=120.0)
    assert found.air_c == pytest.approx(20.4, abs=0.11)


def test_a_silent_sensor_has_not_moved_by_its_threshold() -> None:
    before = standing(20.0, 0.5)
    same = track(before, DYNAMICS, duty=0.5, value_c=20.1, is_new=False, dt_s=120.0)
    assert same.air_c == pytest.approx(20.0)
    assert track(before, DYNAMICS, duty=0.5, value_c=20.1, is_new=True, dt_s=120.0).air_c > 20.005
    assert track(before, DYNAMICS, duty=0.5, value_c=21.0, is_new=False, dt_s=120.0).air_c > 20.05


def test_the_load_is_bounded_whatever_a_sensor_shows() -> None:
    found = standing(20.0, 0.5)
    for _ in range(1000):
        found = track(found, DYNAMICS, duty=1.0, value_c=-10.0, is_new=True, dt_s=120.0)
    assert found.load_k_per_h <= 1.5 * DYNAMICS.gain_k_per_h + 1.0


def test_other_sensors_move_air_and_structure_alike() -> None:
    moved = shift(ZoneEstimate(0.5, 21.0, 19.0, 20.8, 5.0), 17.8)
    assert (moved.air_c, moved.structure_c, moved.sensor_c) == (
        pytest.approx(18.0),
        pytest.approx(16.0),
        pytest.approx(17.8),
    )


def night(dynamics: ZoneDynamics, *, load: float) -> Window:
    """Return five hours without output, and two at full output."""
    now = ZoneEstimate(load, 21.0, 20.5, 21.0, load * dynamics.gain_k_per_h)
    step, samples = stepper(dynamics, SAMPLE_S), []
    for number in range(70):
        duty = 0.0 if number < 50 else 1.0
        now = step(now, duty)
        samples.append(WindowSample(duty, now.sensor_c))
    return Window(21.0, load, tuple(samples))


@pytest.mark.parametrize("emitter_s", [120.0, 1200.0, 3600.0])
@pytest.mark.parametrize("air_s", [900.0, 8100.0])
def test_some_nights_identify_the_zone(emitter_s: float, air_s: float) -> None:
    truth = ZoneDynamics(12.0, emitter_s, air_s, 9 * H_S)
    bank = initial_bank(ZoneDynamics(), 0)
    for load in (0.3, 0.5):
        window = night(truth, load=load)
        assert window.is_telling
        bank = tuple([judge(member, window) for member in bank])
    found = best(bank).dynamics
    # The lags of emitter and air may take each other's place: what counts is when the zone is warm.
    expected_s = lead_s(initial_estimate(truth, value_c=17.0, structure_c=18.0, duty=0.4), truth, 20.0, 12 * H_S)
    found_s = lead_s(initial_estimate(found, value_c=17.0, structure_c=18.0, duty=0.4), found, 20.0, 12 * H_S)
    assert expected_s is not None
    assert found_s == pytest.approx(expected_s, rel=0.15)


def test_a_night_without_a_rise_tells_nothing() -> None:
    window = night(DYNAMICS, load=0.4)
    assert not Window(21.0, 0.4, window.samples[:50]).is_telling
    assert not Window(21.0, 0.4, window.samples[-10:]).is_telling


def test_what_was_learned_before_a_restart_stays_the_best() -> None:
    known = ZoneDynamics(20.0, 420.0, 900.0, 9 * H_S)
    assert best(initial_bank(known, 5)).dynamics == known


@pytest.mark.parametrize("duty", [0.0, 0.2, 0.7, 1.0])
def test_pulses_of_an_emitter_that_fills_fast_give_more_than_their_share(duty: float) -> None:
    fast = ZoneDynamics(12.0, 1800.0, 2400.0, 6 * H_S, filling=0.3)
    emitted = emitted_share(fast, duty)
    assert emitted >= emitted_share(DYNAMICS, duty) == duty
    assert duty_for(fast, emitted) == pytest.approx(duty)
    # Pulses of a minute, one after the other, give what their mean gives.
    step, pulsed = stepper(fast, 60.0), initial_estimate(fast, value_c=20.0, structure_c=None, duty=0.5)
    for minute in range(600):
        pulsed = step(pulsed, 1.0 if minute % 10 < 10 * duty else 0.0)
    assert pulsed.emitted == pytest.approx(emitted, abs=0.12)


def test_nights_with_pulses_identify_an_emitter_that_fills_fast() -> None:
    truth = ZoneDynamics(12.0, 1200.0, 2700.0, 9 * H_S, filling=0.3)
    now = ZoneEstimate(0.6, 21.0, 20.5, 21.0, 0.6 * truth.gain_k_per_h)
    step, samples = stepper(truth, SAMPLE_S), []
    for number in range(100):
        duty = 0.0 if number < 30 else 0.2 if number < 70 else 1.0
        now = step(now, duty)
        samples.append(WindowSample(duty, now.sensor_c))
    window = Window(21.0, duty_for(truth, 0.6), tuple(samples))
    bank = initial_bank(ZoneDynamics(), 0)
    for _ in range(2):
        bank = tuple([judge(member, window) for member in bank])
    assert best(bank).dynamics.filling == 0.3


@pytest.mark.parametrize("filling", [0.0, -1.0, 1.5, float("nan")])
def test_a_filling_that_no_emitter_has_is_of_a_damaged_file(filling: float) -> None:
    assert is_possible(DYNAMICS)
    assert not is_possible(ZoneDynamics(filling=filling))
