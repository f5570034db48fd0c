"""A jump does not control a room, and a sensor that was moved for good is not locked out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.climate.sensor_validation import HOUR_MS, ValidationState, validate

MIN_MS = 60_000
KNOWN = ValidationState(21.0, 0)


def after(
    known: ValidationState | None, *values_c: float, every_ms: int = MIN_MS, references_c: tuple[float, ...] = ()
) -> ValidationState:
    at_ms = known.at_ms if known else -every_ms
    for value_c in values_c:
        at_ms += every_ms
        known = validate(known, value_c=value_c, at_ms=at_ms, references_c=references_c)
    assert known is not None
    return known


def minutes_until_valid(first_c: float, minutes: int, truth_c: float) -> int:
    """Return for how long a sensor is suspect that jumps after some minutes at one value."""
    known = after(None, *[first_c] * minutes)
    for minute in range(48 * 60):
        if not (made := validate(known, value_c=truth_c, at_ms=(minutes + minute) * MIN_MS)) or made.is_suspect:
            assert made is not None
            known = made
            continue
        return minute
    return 48 * 60


def test_first_value_is_valid_until_contradicted() -> None:
    assert after(None, 47.0) == ValidationState(47.0, 0, since_ms=0)
    assert after(None, 0.0, 16.0).is_suspect
    assert after(None, 0.0, 16.0, 16.0) == ValidationState(16.0, 2 * MIN_MS, since_ms=MIN_MS)
    late = ValidationState(0.0, 9 * HOUR_MS, since_ms=9 * HOUR_MS)
    assert after(late, 16.0, 16.0) == ValidationState(16.0, 9 * HOUR_MS + 2 * MIN_MS, since_ms=9 * HOUR_MS + MIN_MS)


@pytest.mark.parametrize("minutes", [2, 30, 50])
def test_first_value_is_replaced_after_an_equal_time_within_the_first_hour(minutes: int) -> None:
    assert minutes_until_valid(20.0, minutes, 11.0) == minutes - 1


def test_first_value_is_confirmed_after_an_hour() -> None:
    assert after(None, *[20.0] * 60).since_ms == 0
    assert after(None, *[20.0] * 61).since_ms is None
    late = ValidationState(20.0, 9 * HOUR_MS, since_ms=9 * HOUR_MS)
    assert after(late, *[20.0] * 59).since_ms == 9 * HOUR_MS
    assert after(late, *[20.0] * 60).since_ms is None


@pytest.mark.parametrize("value_c", [85.0, -127.0, float("nan")])
def test_a_value_outside_the_indoor_range_is_never_valid(value_c: float) -> None:
    assert validate(None, value_c=value_c, at_ms=0) is None
    assert after(KNOWN, value_c) == KNOWN


@pytest.mark.parametrize(
    ("first_c", "minutes", "truth_c", "within"),
    [
        (0.0, 1, 16.0, 2),
        (40.0, 10, 18.0, 11),
        (27.0, 120, 17.0, 61),
        (22.0, 1, 2.0, 2),
        (0.0, 300, 17.0, 61),
        (0.0, 1, 32.0, 2),
    ],
)
def test_wrong_first_or_last_value_does_not_lock_the_sensor_out(
    first_c: float, minutes: int, truth_c: float, within: int
) -> None:
    """Found by review: true sensors were locked out for 6 to 18 hours."""
    assert minutes_until_valid(first_c, minutes, truth_c) <= within


@pytest.mark.parametrize(("truth_c", "minutes", "lie_c"), [(21.0, 120, 47.0), (21.0, 5, 47.0), (21.0, 120, -4.0)])
def test_a_value_outside_the_habitable_range_is_not_valid_for_hours(truth_c: float, minutes: int, lie_c: float) -> None:
    assert minutes_until_valid(truth_c, minutes, lie_c) > 20 * 60


def test_changing_values_do_not_count_as_persistent() -> None:
    first_c = [11.0, 27.0] * 50
    assert all(after(KNOWN, *first_c[:count]).is_suspect for count in range(1, len(first_c)))


def test_plausible_rate_of_change_is_valid() -> None:
    assert after(KNOWN, 24.0, 20.5, 17.0) == ValidationState(17.0, 3 * MIN_MS)
    assert after(KNOWN, 33.0, every_ms=HOUR_MS) == ValidationState(33.0, HOUR_MS)


@pytest.mark.parametrize("value_c", [47.0, -4.0])
def test_a_jump_makes_a_sensor_suspect_and_keeps_its_last_valid_value(value_c: float) -> None:
    suspect = ValidationState(21.0, 0, is_suspect=True, candidate_c=value_c, candidate_since_ms=MIN_MS)
    assert after(KNOWN, value_c, value_c, value_c) == suspect


def test_a_suspect_sensor_that_comes_back_is_valid() -> None:
    suspect = after(KNOWN, 47.0)
    assert validate(suspect, value_c=20.0, at_ms=10 * MIN_MS) == ValidationState(20.0, 10 * MIN_MS)


def test_a_suspect_sensor_that_agrees_with_the_home_is_valid() -> None:
    """One that was brought in from the cold."""
    cold = ValidationState(4.0, 0)
    assert after(cold, 14.0).is_suspect
    assert not after(cold, 14.0, 19.0, references_c=(20.0,)).is_suspect
    assert not after(cold, 14.0, 19.0, references_c=(12.0, 20.0)).is_suspect


@given(st.floats(-15.0, 55.0), st.floats(-15.0, 55.0))
def test_any_persistent_value_becomes_valid_in_bounded_time(before_c: float, value_c: float) -> None:
    hours = int(abs(value_c - before_c)) + 1
    assert not after(ValidationState(before_c, 0), *[value_c] * hours, every_ms=HOUR_MS).is_suspect


def test_reading_that_is_not_newer_is_ignored() -> None:
    assert validate(ValidationState(21.0, 5), value_c=47.0, at_ms=5) == ValidationState(21.0, 5)
