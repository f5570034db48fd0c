"""The model of supply and return: what it weighs stays in bounds, and an old shift is less of a fault."""

from math import log1p

import pytest

from agent.maintenance.machine_drift import Drift
from agent.maintenance.pipe_confidence import AGE_DAYS_MAX, DAY_MS, PipeModel, features

SHIFTED = Drift(cusum=20.0, since_utc_ms=0, recent=((0.2, 4.0),) * 7, last_utc_ms=30 * DAY_MS)


@pytest.mark.parametrize(("days", "age"), [(30, 30.0), (9999, AGE_DAYS_MAX), (-5, 0.0)])
def test_the_age_of_a_shift_is_weighed_within_bounds(days: int, age: float) -> None:
    drift = Drift(cusum=20.0, since_utc_ms=0, recent=SHIFTED.recent, last_utc_ms=days * DAY_MS)
    assert features(drift)[3] == log1p(age)


def test_without_a_shift_there_is_no_age() -> None:
    assert features(Drift()) == (0.0, 0.0, 0.0, 0.0)


def test_a_probability_is_logistic_in_what_is_weighed() -> None:
    assert PipeModel(0.0, (0.0, 0.0, 0.0, 0.0), 0.1).probability(SHIFTED) == 0.5
    young, old = (PipeModel(0.0, (0.0, 1.0, 0.0, weight), 0.1).probability(SHIFTED) for weight in (0.0, -1.0))
    assert 0.0 < old < young < 1.0
