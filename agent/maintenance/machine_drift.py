"""How far a machine has drifted from its own past, and how sure a fault is: baselines by operating state, CUSUM. Pure.

The baseline is the median and the median absolute deviation (MAD) of the first days in an operating state; before that
many days it says nothing. The CUSUM (Page 1954, Biometrika 41, "Continuous inspection schemes") adds up what is beyond
the usual scatter, so that a small lasting change counts and a single odd day does not.
"""

from collections.abc import Iterable, Sequence
from math import exp, hypot, log1p
from typing import Annotated

import msgspec

from agent.foundation.median import median
from agent.maintenance.indicators import season_of
from agent.maintenance.logistic import probability

BASELINE_DAYS = 14
"""Two weeks in an operating state, before a day in it can be judged."""

MAD_TO_SIGMA = 1.4826
"""The standard deviation of a normal distribution is this multiple of its MAD."""

SLACK_SIGMA = 0.75
"""The CUSUM adds what a day is worse than this: two weeks know the median to a third of a standard deviation."""

DAY_SIGMA_MAX = 3.0
"""A single day counts at most so much: a day of odd posts must not look like a fault."""

CUSUM_MAX = 60.0
"""Reached in a month of the worst days; after a repair it falls in as many of the best."""

RECENT_DAYS = 7
"""The present value is the median of so many judged days."""

BANDS_MAX = 16
"""Operating states that are kept: the one that has learned nothing for longest makes room, and one that is learned only
after those that are not."""

JUMP_DAYS = 3
"""A value that changes from one day to the next, and stays there for three days, has jumped: its past tells nothing
about it."""


class Baseline(msgspec.Struct, frozen=True):
    """The first days in one operating state.

    Attributes:
        band: The operating state.
        values: The indicator of each day, at most `BASELINE_DAYS`.
        season: The mean of `season_of` these days.
    """

    band: int
    values: tuple[float, ...] = ()
    season: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether there are enough days to judge others by."""
        return len(self.values) >= BASELINE_DAYS


class Drift(msgspec.Struct, frozen=True):
    """What is known about one indicator of one machine.

    Attributes:
        baselines: One for each operating state that has been met.
        cusum: How much worse than usual, added up, in standard deviations.
        since_utc_ms: Since when the CUSUM is above zero; `None` while it is zero.
        recent: Of the last judged days: by how much the indicator was below its baseline, in logarithms and in
            standard deviations.
        recent_values: Of the same days: the indicator and the median of its baseline, in logarithms.
        last_utc_ms: The last judged day; `None` before the first.
    """

    baselines: tuple[Baseline, ...] = ()
    cusum: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0
    since_utc_ms: int | None = None
    recent: tuple[tuple[float, float], ...] = ()
    recent_values: tuple[tuple[float, float], ...] = ()
    last_utc_ms: int | None = None

    @property
    def is_judged(self) -> bool:
        """Whether there are enough judged days for a present value."""
        return len(self.recent) >= RECENT_DAYS

    @property
    def days_learned(self) -> int:
        """How many days the operating state that is known best has."""
        return max((len(each.values) for each in self.baselines), default=0)

    @property
    def shift(self) -> float:
        """By how much the indicator is below its baseline now: 0.25 for a quarter; below 0 where it is above."""
        return 1.0 - factor_of(-median([change for change, _ in self.recent])) if self.recent else 0.0

    @property
    def shift_sigma(self) -> float:
        """The same in standard deviations."""
        return median([sigmas for _, sigmas in self.recent]) if self.recent else 0.0

    @property
    def now_and_then(self) -> tuple[float, float] | None:
        """The present value of the indicator and that of its baseline, no longer as logarithms."""
        if not self.recent_values:
            return None
        now, then = zip(*self.recent_values, strict=True)
        return factor_of(median(now)), factor_of(median(then))


LOG_MAX = 20.0
"""No quantity of a machine or pipe is larger than e to this; more comes from a damaged file."""


def factor_of(value: float) -> float:
    """Return the factor that a logarithm is."""
    return exp(max(-LOG_MAX, min(LOG_MAX, value)))


class BandValue(msgspec.Struct, frozen=True):
    """The indicator of a day in one operating state, as a logarithm, and of how many readings it is made."""

    band: int
    readings: int
    value: float


class Scatter(msgspec.Struct, frozen=True):
    """How much an indicator changes without a reason.

    Attributes:
        sigma_min: The least standard deviation of a day: two weeks can be alike by chance.
        season_sigma: That of the change from a solstice to the equinox.
    """

    sigma_min: float
    season_sigma: float


def sigma_of(baseline: Baseline, season: float, scatter: Scatter) -> float:
    """Return the standard deviation that a day has by its baseline, larger in another season."""
    middle = median(baseline.values)
    spread = MAD_TO_SIGMA * median([abs(value - middle) for value in baseline.values])
    return hypot(max(scatter.sigma_min, spread), scatter.season_sigma * (season - baseline.season))


def add_day(drift: Drift, value: float, band: int, utc_ms: int, scatter: Scatter) -> Drift:
    """Return what is known after one more day: it is learned, or judged by what has been learned.

    Args:
        drift: What was known.
        value: The indicator of the day, as a logarithm; it is worse when it is lower.
        band: The operating state.
        utc_ms: The end of the day.
        scatter: How much the indicator changes without a reason.
    """
    season = season_of(utc_ms)
    baseline = next((each for each in drift.baselines if each.band == band), Baseline(band))
    if not baseline.is_known:
        return msgspec.structs.replace(drift, baselines=_learned(drift.baselines, baseline, value, season))
    middle = median(baseline.values)
    below = middle - value
    sigmas = below / sigma_of(baseline, season, scatter)
    cusum = drift.cusum + max(-DAY_SIGMA_MAX, min(DAY_SIGMA_MAX, sigmas)) - SLACK_SIGMA
    cusum = min(CUSUM_MAX, max(0.0, cusum))
    began = utc_ms if drift.since_utc_ms is None else drift.since_utc_ms
    return Drift(
        baselines=drift.baselines,
        cusum=round(cusum, 3),
        since_utc_ms=began if cusum > 0.0 else None,
        recent=(*drift.recent, (round(below, 4), round(sigmas, 3)))[-RECENT_DAYS:],
        recent_values=(*drift.recent_values, (round(value, 4), round(middle, 4)))[-RECENT_DAYS:],
        last_utc_ms=utc_ms,
    )


def add_bands(drift: Drift, day: Iterable[BandValue], utc_ms: int, scatter: Scatter) -> Drift:
    """Return what is known after a day in several operating states; the same object where it has none.

    Each is learned; of those that are known only the one with the most readings is judged, so that a day counts once.
    The arguments are those of `add_day`.
    """
    is_judged = False
    for each in sorted(day, key=lambda one: (-one.readings, one.band)):
        is_known = any(one.band == each.band and one.is_known for one in drift.baselines)
        if not (is_known and is_judged):
            drift = add_day(drift, each.value, each.band, utc_ms, scatter)
        is_judged = is_judged or is_known
    return _bounded(drift)


def _bounded(drift: Drift) -> Drift:
    if len(drift.baselines) <= BANDS_MAX:
        return drift
    # In the order in which they last learned a day: the state of this day comes last, and stays.
    older = drift.baselines[:-1]
    learning = [each for each in older if not each.is_known]
    known = [each for each in older if each.is_known]
    gone = [*learning, *known][: len(drift.baselines) - BANDS_MAX]
    return msgspec.structs.replace(drift, baselines=tuple(each for each in drift.baselines if each not in gone))


def jump_of(drift: Drift, limit: float) -> float | None:
    """Return by how much the indicator has jumped, as a logarithm; `None` where it has not by more than a limit."""
    below = [change for change, _ in drift.recent]
    if len(below) <= JUMP_DAYS:
        return None
    before, after = median(below[:-JUMP_DAYS]), below[-JUMP_DAYS:]
    has_jumped = min(after) - before > limit or before - max(after) > limit
    return before - median(after) if has_jumped else None


def _learned(baselines: Sequence[Baseline], baseline: Baseline, value: float, season: float) -> tuple[Baseline, ...]:
    count = len(baseline.values)
    after = Baseline(
        baseline.band,
        (*baseline.values, round(value, 4)),
        round((baseline.season * count + season) / (count + 1), 4),
    )
    return (*[each for each in baselines if each.band != baseline.band], after)


SHIFT_SIGMA_MIN, SHIFT_SIGMA_MAX = -2.0, 6.0
SHIFT_MIN, SHIFT_MAX = -0.2, 0.6
"""Beyond these a drift is not more or less certain: the fitted fleets have too few."""


def features(drift: Drift) -> tuple[float, float, float]:
    """Return what a model weighs: the CUSUM as a logarithm, the shift in standard deviations, and as a share."""
    return (
        log1p(drift.cusum),
        min(SHIFT_SIGMA_MAX, max(SHIFT_SIGMA_MIN, drift.shift_sigma)),
        min(SHIFT_MAX, max(SHIFT_MIN, drift.shift)),
    )


class MachineModel(msgspec.Struct, frozen=True):
    """The coefficients of one indicator: a logistic model, fitted where the truth is known.

    Attributes:
        intercept: Of the logistic function.
        weights: Of `features`.
        base_rate: How many such faults a machine has in a year, in the fleets on which it was fitted.
    """

    intercept: float
    weights: tuple[float, float, float]
    base_rate: float

    def probability(self, drift: Drift) -> float:
        """Return the probability that the fault is there, 0 to 1."""
        return probability(self.intercept, self.weights, features(drift))
