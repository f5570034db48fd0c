from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate.model import SETPOINT_C_MAX, SETPOINT_C_MIN
from agent.home.temperatures import fahrenheit, from_fahrenheit, from_tenths, to_fahrenheit, to_tenths

ALL_F = range(40, 91)
ALL_TENTHS = [tenths / 10 for tenths in range(round(SETPOINT_C_MIN * 10), round(SETPOINT_C_MAX * 10) + 1)]


def test_every_whole_fahrenheit_comes_back() -> None:
    assert [to_fahrenheit(from_fahrenheit(value_f)) for value_f in ALL_F] == list(ALL_F)


def test_every_tenth_of_a_degree_celsius_comes_back() -> None:
    assert [to_tenths(from_tenths(value_c)) for value_c in ALL_TENTHS] == ALL_TENTHS


@pytest.mark.parametrize(("value_c", "value_f"), [(20.0, 68), (21.0, 70), (16.7, 62), (25.6, 78), (0.0, 32)])
def test_known_pairs(value_c: float, value_f: int) -> None:
    assert to_fahrenheit(value_c) == value_f


def test_21_celsius_written_back_as_70_fahrenheit_stays_21() -> None:
    assert from_fahrenheit(to_fahrenheit(21.0), present_c=21.0) == 21.0
    assert from_fahrenheit(70) == pytest.approx(21.111, abs=0.001)
    assert from_fahrenheit(71, present_c=21.0) == pytest.approx(21.667, abs=0.001)


@given(st.floats(SETPOINT_C_MIN, SETPOINT_C_MAX))
def test_writing_back_what_was_read_never_drifts(present_c: float) -> None:
    assert from_fahrenheit(to_fahrenheit(present_c), present_c) == present_c
    assert from_tenths(to_tenths(present_c), present_c) == present_c


def test_a_client_in_fahrenheit_and_one_in_celsius_do_not_push_each_other() -> None:
    """Each in turn writes back what it reads, whatever was requested first."""
    for first_c in [*ALL_TENTHS, *map(from_fahrenheit, ALL_F)]:
        value_c = first_c
        for _ in range(3):
            value_c = from_tenths(to_tenths(from_fahrenheit(to_fahrenheit(value_c), value_c)), value_c)
        assert value_c == first_c


def test_a_different_number_is_taken_whatever_was_before() -> None:
    for present_c, value_f in product(ALL_TENTHS[::7], ALL_F):
        assert to_fahrenheit(from_fahrenheit(value_f, present_c)) == value_f


def test_unrounded() -> None:
    assert fahrenheit(21.0) == pytest.approx(69.8)
