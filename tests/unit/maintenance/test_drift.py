"""A baseline for each operating state, the days judged by it, and the CUSUM over them."""

import random
from math import log

import pytest

from agent.maintenance.drift import BASELINE_DAYS, CUSUM_MAX, RECENT_DAYS, SIGMA_MIN, Baseline, Drift, add_day, sigma_of
from agent.maintenance.indicators import SOLSTICE_MS, YEAR_MS, Measured

DAY_MS = 86_400_000


def follow(values: list[float], *, drift: Drift | None = None, band: int = 2, first_day: int = 0) -> Drift:
    """Return the drift after days around the solstice whose indicator has these values."""
    drift = drift or Drift()
    for number, value in enumerate(values):
        drift = add_day(drift, Measured(log(value), band), SOLSTICE_MS + (first_day + number) * DAY_MS)
    return drift


def usual(days: int, seed: int = 1, scale: float = 40.0) -> list[float]:
    rng = random.Random(seed)
    return [scale * rng.lognormvariate(0.0, 0.06) for _ in range(days)]


def test_nothing_is_judged_before_two_weeks_in_an_operating_state() -> None:
    drift = follow([*usual(BASELINE_DAYS - 1), 1.0])
    assert (drift.cusum, drift.recent, drift.days_learned) == (0.0, (), BASELINE_DAYS)
    drift = follow([1.0] * 5, drift=drift, band=3)
    assert drift.recent == ()
    assert follow([1.0], drift=drift).cusum > 0.0


def test_a_lasting_loss_adds_up_and_names_its_beginning() -> None:
    drift = follow(usual(BASELINE_DAYS + 10))
    drift = follow(usual(20, seed=2, scale=30.0), drift=drift, first_day=24)
    assert drift.shift == pytest.approx(0.25, abs=0.06)
    assert drift.cusum > 20.0
    assert drift.since_utc_ms == SOLSTICE_MS + 24 * DAY_MS
    now, then = drift.now_and_then or (0.0, 0.0)
    assert (now, then) == (pytest.approx(30.0, rel=0.06), pytest.approx(40.0, rel=0.06))


def test_a_single_odd_day_is_soon_forgotten_and_a_gain_is_no_loss() -> None:
    drift = follow([*usual(BASELINE_DAYS), 4.0, *usual(10, seed=3)])
    assert drift.cusum < 1.0
    assert drift.shift < 0.05
    better = follow([*usual(BASELINE_DAYS), *[60.0] * 10])
    assert (better.cusum, better.since_utc_ms) == (0.0, None)
    assert better.shift < 0.0


def test_the_sum_is_bounded_so_that_a_repair_shows() -> None:
    drift = follow([*usual(BASELINE_DAYS), *[10.0] * 100])
    assert drift.cusum == CUSUM_MAX
    assert len(drift.recent) == len(drift.recent_values) == RECENT_DAYS
    repaired = follow(usual(150, seed=4), drift=drift)
    assert repaired.cusum < 1.0


def test_a_baseline_of_another_season_is_less_certain_and_none_is_more_certain_than_four_per_cent() -> None:
    exact = Baseline(2, (1.0,) * BASELINE_DAYS, season=1.0)
    assert sigma_of(exact, 1.0) == SIGMA_MIN
    assert sigma_of(exact, 0.0) > 2.0 * SIGMA_MIN
    odd = Drift((exact,))
    quarter_ms = SOLSTICE_MS + int(YEAR_MS / 4)
    (near,), (far,) = (add_day(odd, Measured(0.8, 2), at).recent for at in (SOLSTICE_MS, quarter_ms))
    assert near[1] > 2.0 * far[1]
