"""How far an indicator has drifted from its own past: a Kalman filter over the days of one zone. Pure.

The filter (Kalman 1960, "A new approach to linear filtering and prediction problems"; extended, for the signature is
not linear) keeps what is known of the zone's signature and of the loss since the first days, with the uncertainty of
both. A small lasting change adds up in it, as in a CUSUM; a single odd day counts little (Huber's weights); a season
that was never seen makes the loss uncertain, in place of large. For two weeks there is no loss by definition: these are
the zone's usual behaviour.
"""

from collections.abc import Sequence
from math import exp, sqrt
from typing import Annotated

import msgspec

from agent.maintenance.indicators import Measured
from agent.maintenance.signature import Signature

BASELINE_DAYS = 14
"""Two weeks, before anything counts as a change."""

RECENT_DAYS = 7
"""So many more, before a change is judged."""

AGREEING_DAYS = 3
"""So many days in a row have to agree: the least confidence of them counts."""

DAY_MS = 86_400_000
GAP_DAYS_MAX = 400.0
"""A longer pause is no more uncertain than a year."""

NOISE_DAYS = 10
"""After so many days the scatter of the zone itself is learned, by a fiftieth a day."""
NOISE_SHARE = 0.02
NOISE_MIN, NOISE_MAX = 0.2, 3.0
"""The variance of a zone's days, as a multiple of the signature's: beyond these it is no house."""

SURPRISE_SIGMA_MAX = 3.0
LOSS_MIN, LOSS_MAX = -1.0, 1.6
"""A loss of 80 %, and as much more: beyond these something else is wrong."""

SINCE_SIGMA, UNTIL_SIGMA = 1.0, 0.5
"""The indicator is worse than usual from the first on, until it falls below the second."""

EXCESS_SHARE = 0.15
"""Of one day in the mean of the last ones: about two weeks count."""
EXCESS_MAX = 1.6

VARIANCE_MIN = 1e-9


class Sign(msgspec.Struct, frozen=True, array_like=True):
    """What one day says about a change: the loss, the same in standard deviations, and the surprise (see `Drift`)."""

    loss: float
    sigmas: float
    surprise: float


class Drift(msgspec.Struct, frozen=True):
    """What is known about one indicator of one zone; without days, nothing.

    The fields have other names than those of releases that kept baselines by operating state: a file of theirs is read
    as one without days, and learning begins anew.

    Attributes:
        days: How many days have been measured.
        state: The state of the signature; the last number is the logarithm of the loss.
        covariance: Of the state, row by row up to the diagonal.
        noise: The variance of this zone's days, as a multiple of the signature's.
        surprise: The mean of what the last days were worse than expected, in standard deviations.
        signs: Of the last days, as many as have to agree; the last one is today's.
        reference: The state when the indicator was last as usual, without the loss.
        excess: The mean of what the last days were worse than that, as a logarithm: the filter's loss is cautious, for
            it cannot know how much of a slow change it has learned as usual; this is for people.
        usual: The indicator on the last day by the reference, for people.
        since_utc_ms: Since when it is worse than usual; `None` while it is not.
        last_utc_ms: The last measured day; `None` before the first.
    """

    days: int = 0
    state: tuple[float, ...] = ()
    covariance: tuple[float, ...] = ()
    noise: float = 1.0
    surprise: float = 0.0
    signs: tuple[Sign, ...] = ()
    reference: tuple[float, ...] = ()
    excess: Annotated[float, msgspec.Meta(ge=-2 * EXCESS_MAX, le=2 * EXCESS_MAX)] = 0.0
    usual: float = 0.0
    since_utc_ms: int | None = None
    last_utc_ms: int | None = None

    @property
    def is_judged(self) -> bool:
        """Whether there are enough days to compare with the first ones."""
        return self.days >= BASELINE_DAYS + RECENT_DAYS

    @property
    def days_learned(self) -> int:
        """How many of the first days there are."""
        return min(BASELINE_DAYS, self.days)

    @property
    def days_compared(self) -> int:
        """How many days have been compared with the first ones."""
        return max(0, self.days - BASELINE_DAYS)

    @property
    def loss(self) -> float:
        """By how much the indicator is worse than usual, as a logarithm; below 0 where it is better."""
        return self.state[-1] if self.state else 0.0

    @property
    def loss_sigma(self) -> float:
        """The same in standard deviations of what is known."""
        return self.loss / sqrt(max(VARIANCE_MIN, self.covariance[-1])) if self.covariance else 0.0

    @property
    def shift(self) -> float:
        """By how much the last days were below the usual value: 0.25 for a quarter; below 0 where they were above."""
        return 1.0 - exp(-self.excess)

    @property
    def now_and_then(self) -> tuple[float, float] | None:
        """The indicator in the last days and its usual value at the same load; `None` before the first day."""
        return (self.usual * exp(-self.excess), self.usual) if self.state and self.usual > 0.0 else None


def add_day(drift: Drift, measured: Measured, utc_ms: int, signature: Signature) -> Drift:
    """Return what is known after one more day.

    Args:
        drift: What was known.
        measured: The day.
        utc_ms: Its end.
        signature: Of the indicator.
    """
    # A state of other numbers is that of a release whose signature has others.
    if drift.last_utc_ms is None or len(drift.state) != len(signature.dynamics.walk):
        first, variances = signature.first(measured)
        covariance = [[variance * (i == j) for j in range(len(first))] for i, variance in enumerate(variances)]
        drift, last_utc_ms = Drift(state=first), utc_ms - DAY_MS
    else:
        covariance, last_utc_ms = _matrix(drift.covariance, len(drift.state)), drift.last_utc_ms
    days = min(GAP_DAYS_MAX, max(0.0, (utc_ms - last_utc_ms) / DAY_MS))
    state, covariance = _passed(drift, covariance, days, signature)
    state, covariance, sigmas = _corrected(state, covariance, measured, drift.noise, signature)
    dynamics = signature.dynamics
    odd = max(-SURPRISE_SIGMA_MAX, min(SURPRISE_SIGMA_MAX, signature.worse * sigmas))
    noise = drift.noise
    if drift.days >= NOISE_DAYS:
        square = min(sigmas**2, dynamics.clip_sigma**2)
        noise = min(NOISE_MAX, max(NOISE_MIN, noise * (1.0 + NOISE_SHARE * (square - 1.0))))
    after = Drift(
        days=drift.days + 1,
        state=tuple(state),
        covariance=tuple([covariance[i][j] for i in range(len(state)) for j in range(i + 1)]),
        noise=noise,
        surprise=drift.surprise + dynamics.surprise_share * (odd - drift.surprise),
        last_utc_ms=utc_ms,
    )
    since_utc_ms = _since(drift.since_utc_ms, after.loss_sigma, utc_ms)
    reference = drift.reference if since_utc_ms is not None and drift.reference else tuple(state[:-1])
    worse = signature.excess((*reference, 0.0), measured)
    return msgspec.structs.replace(
        after,
        signs=(*drift.signs, Sign(after.loss, after.loss_sigma, after.surprise))[-AGREEING_DAYS:],
        reference=reference,
        excess=drift.excess + EXCESS_SHARE * (max(-EXCESS_MAX, min(EXCESS_MAX, worse)) - drift.excess),
        usual=signature.usual(reference, measured),
        since_utc_ms=since_utc_ms,
    )


def _since(before: int | None, sigmas: float, utc_ms: int) -> int | None:
    if before is not None:
        return before if sigmas >= UNTIL_SIGMA else None
    return utc_ms if sigmas >= SINCE_SIGMA else None


def _matrix(triangle: Sequence[float], size: int) -> list[list[float]]:
    rows = [[0.0] * size for _ in range(size)]
    values = iter(triangle)
    for i in range(size):
        for j in range(i + 1):
            rows[i][j] = rows[j][i] = next(values)
    return rows


def _passed(
    drift: Drift, covariance: list[list[float]], days: float, signature: Signature
) -> tuple[list[float], list[list[float]]]:
    """Return state and covariance after some days of which nothing is known."""
    dynamics, last = signature.dynamics, len(drift.state) - 1
    kept = exp(-days / dynamics.forgetting_days)
    state = [*drift.state[:-1], kept * drift.state[-1]]
    for i in range(last + 1):
        covariance[i][last] *= kept
        covariance[last][i] *= kept
    for i, walk in enumerate(dynamics.walk):
        if i < last or drift.days >= BASELINE_DAYS:
            covariance[i][i] += walk**2 * days
    return state, covariance


def _corrected(
    state: Sequence[float], covariance: list[list[float]], measured: Measured, noise: float, signature: Signature
) -> tuple[list[float], list[list[float]], float]:
    """Return state and covariance with a day, and by how many standard deviations it was not as expected."""
    expected, size = signature.expect(state, measured), len(state)
    shared = [sum(row[j] * expected.slope[j] for j in range(size)) for row in covariance]
    variance = sum(expected.slope[i] * shared[i] for i in range(size)) + noise * expected.variance
    off = measured.value - expected.value
    sigmas = off / sqrt(variance)
    weight = min(1.0, signature.dynamics.clip_sigma / max(abs(sigmas), VARIANCE_MIN))
    after = [state[i] + shared[i] / variance * off * weight for i in range(size)]
    after[-1] = max(LOSS_MIN, min(LOSS_MAX, after[-1]))
    less = [[covariance[i][j] - shared[i] * shared[j] / variance * weight for j in range(size)] for i in range(size)]
    return after, less, sigmas
