"""A sensor that jumps is not heated or cooled by; one that was moved for good is not locked out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate.belief import H_MS, Belief, heard

MIN_MS = 60_000
KNOWN = Belief(21.0, 0)


def after(known: Belief | None, *values_c: float, every_ms: int = MIN_MS, house_c: float | None = None) -> Belief:
    at_ms = known.at_ms if known else -every_ms
    for value_c in values_c:
        at_ms += every_ms
        known = heard(known, value_c=value_c, at_ms=at_ms, house_c=house_c)
    assert known is not None
    return known


def test_the_first_value_is_believed() -> None:
    assert after(None, 47.0) == Belief(47.0, 0)


def test_what_a_room_can_do_is_believed() -> None:
    assert after(KNOWN, 24.0, 20.5, 17.0) == Belief(17.0, 3 * MIN_MS)
    assert after(KNOWN, 33.0, every_ms=H_MS) == Belief(33.0, H_MS)


@pytest.mark.parametrize("value_c", [47.0, -4.0])
def test_a_jump_is_doubted_and_the_last_possible_value_remembered(value_c: float) -> None:
    assert after(KNOWN, value_c, value_c, value_c) == Belief(21.0, 0, is_doubted=True)


def test_a_doubted_sensor_that_comes_back_is_believed() -> None:
    doubted = after(KNOWN, 47.0)
    assert heard(doubted, value_c=20.0, at_ms=10 * MIN_MS, house_c=None) == Belief(20.0, 10 * MIN_MS)


def test_a_doubted_sensor_that_says_what_the_home_says_is_believed() -> None:
    """One that was brought in from the cold."""
    cold = Belief(4.0, 0)
    assert after(cold, 14.0).is_doubted
    assert not after(cold, 14.0, 19.0, house_c=20.0).is_doubted


@given(st.floats(-40.0, 85.0), st.floats(-40.0, 85.0))
def test_none_is_locked_out(before_c: float, value_c: float) -> None:
    hours = int(abs(value_c - before_c)) + 1
    assert not after(Belief(before_c, 0), *[value_c] * hours, every_ms=H_MS).is_doubted


def test_a_reading_that_is_not_newer_changes_nothing() -> None:
    assert heard(Belief(21.0, 5), value_c=47.0, at_ms=5, house_c=None) == Belief(21.0, 5)
