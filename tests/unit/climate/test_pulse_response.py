"""Pulses without the rise that they always made are a fault; one that makes it proves that the heating works."""

import pytest

from agent.climate import pulse_response
from agent.climate.pulse_response import FLAT_PULSES, PULSES_MIN, WORKS_S, PulseResponse

SETPOINT_C = 21.0


def pulse(
    known: PulseResponse, *, start_c: float, rise_k: float, on_minutes: int = 8, off_minutes: int = 20
) -> PulseResponse:
    """Return what is known after a pulse from a temperature, which is there again at its end."""
    known = pulse_response.advance(known, value_c=start_c, is_heated=False, dt_s=60.0)
    for minute in range(on_minutes + off_minutes):
        is_heated = minute < on_minutes
        value_c = start_c + (rise_k * (minute + 1) / on_minutes if is_heated else 0.0)
        known = pulse_response.advance(known, value_c=value_c, is_heated=is_heated, dt_s=60.0)
    return known


def learn(rise_k: float, pulses: int = PULSES_MIN) -> PulseResponse:
    """Return what is known after some pulses that make a rise."""
    known = pulse_response.advance(PulseResponse(), value_c=SETPOINT_C, is_heated=False, dt_s=60.0)
    for _ in range(pulses):
        known = pulse(known, start_c=SETPOINT_C, rise_k=rise_k)
    return known


def cool(known: PulseResponse, pulses: int, *, fall_k: float = 0.2, on_minutes: int = 8) -> PulseResponse:
    """Return what is known after pulses without a rise; the room is colder before each."""
    for number in range(pulses):
        known = pulse(known, start_c=SETPOINT_C - fall_k * number, rise_k=0.0, on_minutes=on_minutes)
    return known


def test_pulses_in_a_row_without_the_usual_rise_in_a_room_that_cools_are_a_fault() -> None:
    known = learn(1.2)
    assert known.typical_k == pytest.approx(1.2)
    assert not cool(known, FLAT_PULSES - 1).is_failing
    assert cool(known, FLAT_PULSES).is_failing


def test_a_pulse_with_a_rise_ends_the_row() -> None:
    known = pulse(cool(learn(1.2), FLAT_PULSES - 1), start_c=20.0, rise_k=1.0)
    assert known.flat == 0
    assert not cool(known, FLAT_PULSES - 1).is_failing


def test_a_room_that_the_sun_keeps_warm_or_whose_sensor_is_stuck_is_no_fault() -> None:
    assert not cool(learn(1.2), 2 * FLAT_PULSES, fall_k=0.0).is_failing


def test_nothing_is_said_where_pulses_make_a_small_rise() -> None:
    known = learn(0.4)
    assert not known.is_proven
    assert not cool(known, FLAT_PULSES).is_failing


def test_nothing_is_said_before_enough_pulses() -> None:
    known = learn(1.5, PULSES_MIN - FLAT_PULSES - 1)
    assert not known.is_proven
    assert not cool(known, FLAT_PULSES).is_failing
    assert cool(known, FLAT_PULSES + 1).is_failing


def test_a_pulse_of_two_minutes_is_none() -> None:
    known = learn(1.2)
    assert cool(known, FLAT_PULSES, on_minutes=2).flat == 0


def test_a_long_pulse_counts_once_by_its_beginning() -> None:
    """Later the room nears what full output keeps, and rises no more though the heating works."""
    known = pulse(learn(1.2), start_c=20.0, rise_k=6.0, on_minutes=120)
    assert (known.pulses, known.flat) == (PULSES_MIN + 1, 0)
    assert known.typical_k < 1.3


def test_heat_that_returns_within_minutes_belongs_to_the_same_pulse() -> None:
    known = pulse(learn(1.2), start_c=20.0, rise_k=0.0, off_minutes=3)
    assert pulse(known, start_c=20.0, rise_k=0.0).pulses == PULSES_MIN + 1


def test_a_rise_proves_the_heating_for_a_while() -> None:
    known = learn(1.2)
    assert known.is_proven
    for _ in range(round(WORKS_S / 60.0)):
        known = pulse_response.advance(known, value_c=20.0, is_heated=False, dt_s=60.0)
    assert not known.is_proven


def test_the_first_pulses_of_a_fault_change_the_usual_rise_little() -> None:
    known = learn(1.2, 3 * PULSES_MIN)
    assert cool(known, 5).typical_k > 1.0


def test_a_pause_keeps_what_was_learned_within_bounds() -> None:
    known = pulse_response.pause(cool(learn(1.2), FLAT_PULSES))
    assert known == PulseResponse(known.typical_k, known.pulses)
    assert known.is_known
    assert pulse_response.pause(PulseResponse(1e9, -4)) == PulseResponse(pulse_response.TYPICAL_K_MAX, 0)


def test_short_pulses_with_a_small_rise_in_a_room_that_keeps_its_temperature_are_no_fault() -> None:
    """A furnace at a low load: pulses of five minutes, and the room cools by half a degree between two of them."""
    known = learn(1.2)
    for _ in range(2 * FLAT_PULSES):
        known = pulse(known, start_c=20.9, rise_k=0.4, on_minutes=5)
        known = pulse_response.advance(known, value_c=20.5, is_heated=False, dt_s=60.0)
        assert not known.is_failing
    assert known.flat >= FLAT_PULSES
