"""How far an indicator has drifted from its own past: what the days of one zone add up to. Pure.

`imm_filter` keeps what is known of the zone's signature and of the loss since the first days, with the uncertainty of
both. A small lasting change adds up in it, as in a CUSUM; a single odd day counts little (Huber's weights); a season
that was never seen makes the loss uncertain, in place of large. For two weeks there is no loss by definition: these are
the zone's usual behaviour.
"""

from math import exp, log
from typing import Annotated

import msgspec

from agent.maintenance.imm_filter import ODDS_FIRST, Mode, Modes, as_usual, first_modes, with_day
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
SINCE_SIGMA, UNTIL_SIGMA = 2.0, 1.5
"""The indicator is worse than usual from the first on, until it falls below the second: of what a fault would take. The
first is exceeded on one day of thirteen without a fault."""

FAULT_DAYS_MAX = 365.0
"""A change that has stayed for a year is usual: nobody leaves equipment broken for so long."""

EXCESS_SHARE = 0.15
"""Of one day in the mean of the last ones: about two weeks count."""
EXCESS_MAX = 1.6


class Sign(msgspec.Struct, frozen=True, array_like=True):
    """What one day says about a fault.

    Attributes:
        loss: What it takes, if there is one.
        sigmas: The same in standard deviations.
        surprise: See `Drift`.
        log_odds: The logarithm of the odds that there is one.
    """

    loss: float
    sigmas: float
    surprise: float
    log_odds: float = ODDS_FIRST


class Drift(msgspec.Struct, frozen=True):
    """What is known about one indicator of one zone; without days, nothing.

    The fields have other names than those of releases that kept baselines by operating state: a file of theirs is read
    as one without days, and learning begins anew.

    Attributes:
        days: How many days have been measured.
        state: The state of the signature if nothing is wrong; the last number is the logarithm of the loss.
        covariance: Of the state, row by row up to the diagonal.
        noise: The variance of this zone's days, as a multiple of the signature's.
        surprise: The mean of what the last days were worse than a fault would have them, in standard deviations.
        signs: Of the last days, as many as have to agree; the last one is today's.
        reference: The state when the indicator was last as usual, without the loss.
        excess: The mean of what the last days were worse than that, as a logarithm: the filter's loss is cautious, for
            it cannot know how much of a slow change it has learned as usual; this is for people.
        usual: The indicator on the last day by the reference, for people.
        since_utc_ms: Since when it is worse than usual; `None` while it is not.
        last_utc_ms: The last measured day; `None` before the first.
        faulty: State and covariance if something is wrong. Releases with one filter for both left none.
        log_odds: The logarithm of the odds that something is.
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
    faulty: Mode = Mode()
    log_odds: float = ODDS_FIRST

    @property
    def is_judged(self) -> bool:
        """Whether there are enough days to compare with the first ones."""
        return self.days >= BASELINE_DAYS + RECENT_DAYS and bool(self.faulty.state)

    @property
    def days_learned(self) -> int:
        """How many of the first days there are."""
        return min(BASELINE_DAYS, self.days)

    @property
    def days_compared(self) -> int:
        """How many days have been compared with the first ones."""
        return max(0, self.days - BASELINE_DAYS)

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
    dynamics = signature.dynamics
    drift = _restored(drift, size=len(dynamics.walk) + 1)
    if drift.last_utc_ms is None:
        modes, last_utc_ms = first_modes(measured, signature), utc_ms - DAY_MS
    else:
        modes, last_utc_ms = _modes(drift, signature), drift.last_utc_ms
    if not drift.faulty.state:
        drift = msgspec.structs.replace(drift, signs=())
    if drift.since_utc_ms is not None and utc_ms - drift.since_utc_ms > FAULT_DAYS_MAX * DAY_MS:
        drift, modes = msgspec.structs.replace(drift, signs=(), since_utc_ms=None), as_usual(modes)
    days = min(GAP_DAYS_MAX, max(0.0, (utc_ms - last_utc_ms) / DAY_MS))
    is_learned = drift.days >= BASELINE_DAYS
    update = with_day(modes, measured, signature, days=days, noise=drift.noise, is_learned=is_learned)
    odd = max(-SURPRISE_SIGMA_MAX, min(SURPRISE_SIGMA_MAX, signature.worse * update.faulty_sigmas))
    noise = drift.noise
    if drift.days >= NOISE_DAYS:
        square = min(update.sigmas**2, dynamics.clip_sigma**2)
        noise = min(NOISE_MAX, max(NOISE_MIN, noise * (1.0 + NOISE_SHARE * (square - 1.0))))
    usual, faulty, log_odds = update.modes.usual, update.modes.faulty, update.modes.log_odds
    surprise = drift.surprise + dynamics.surprise_share * (odd - drift.surprise)
    since_utc_ms = _since(drift.since_utc_ms, faulty.sigmas, utc_ms)
    reference = drift.reference if since_utc_ms is not None and drift.reference else usual.state[:-1]
    worse = signature.excess((*reference, 0.0), measured)
    sign = Sign(faulty.state[-1], faulty.sigmas, surprise, log_odds)
    return Drift(
        days=drift.days + 1,
        state=usual.state,
        covariance=usual.covariance,
        noise=noise,
        surprise=surprise,
        signs=(*drift.signs, sign)[-AGREEING_DAYS:],
        reference=reference,
        excess=drift.excess + EXCESS_SHARE * (max(-EXCESS_MAX, min(EXCESS_MAX, worse)) - drift.excess),
        usual=signature.usual(reference, measured),
        since_utc_ms=since_utc_ms,
        last_utc_ms=utc_ms,
        faulty=faulty,
        log_odds=log_odds,
    )


def _restored(drift: Drift, size: int) -> Drift:
    """Return what is known, within what can be: it may come from a damaged file, or from a release of other numbers."""
    if not Mode(drift.state, drift.covariance).is_possible(size):
        return Drift()
    return msgspec.structs.replace(
        drift,
        noise=min(NOISE_MAX, max(NOISE_MIN, drift.noise)),
        surprise=min(SURPRISE_SIGMA_MAX, max(-SURPRISE_SIGMA_MAX, drift.surprise)),
        excess=min(EXCESS_MAX, max(-EXCESS_MAX, drift.excess)),
        reference=drift.reference if len(drift.reference) == size - 1 else (),
        faulty=drift.faulty if drift.faulty.is_possible(size) else Mode(),
    )


def _modes(drift: Drift, signature: Signature) -> Modes:
    """Return what was known of both modes; the one filter of older releases is taken for both."""
    usual = Mode(drift.state, drift.covariance)
    if drift.faulty.state:
        return Modes(usual, drift.faulty, drift.log_odds)
    dynamics = signature.dynamics
    evidence = 0.5 * dynamics.trust * max(0.0, usual.sigmas) ** 2
    return Modes(usual, usual, log(dynamics.faults_a_day / dynamics.repairs_a_day) + evidence)


def _since(before: int | None, sigmas: float, utc_ms: int) -> int | None:
    if before is not None:
        return before if sigmas >= UNTIL_SIGMA else None
    return utc_ms if sigmas >= SINCE_SIGMA else None
