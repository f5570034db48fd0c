"""What people get of the pair of thermometers of a zone: findings in words with numbers. Pure.

"Unknown" is an answer and never an alert: still learning, swapped, no outdoor temperature, no settled heat.
"""

from collections.abc import Mapping
from math import exp, log

from agent.foundation.phrase import Phrase, phrase
from agent.maintenance.assessment import FRESH_MS, NEEDED, Finding
from agent.maintenance.drift_finding import NO_TIME, finding_of, why_not_judged
from agent.maintenance.machine_drift import Drift, factor_of
from agent.maintenance.pipe_confidence import PipeModel, features
from agent.maintenance.pipe_readings import EXCESS_K_MAX, EXCESS_K_MIN, SIGN_OF, PipeIndicator, spread_of
from agent.maintenance.pipe_record import PipeDrift, PipeRecord


def find_pipes(
    record: PipeRecord, models: Mapping[PipeIndicator, PipeModel], utc_ms: int | None, *, threshold: float = NEEDED
) -> list[Finding]:
    """Return what is known about each indicator of a pair.

    Args:
        record: What is known about the pair.
        models: Give the confidence; without one an indicator is unknown, and says so.
        utc_ms: The time of day; `None` if it is not known.
        threshold: The confidence from which on maintenance is needed.
    """
    return [_found(record, indicator, models.get(indicator), utc_ms, threshold) for indicator in PipeIndicator]


def _found(
    record: PipeRecord, indicator: PipeIndicator, model: PipeModel | None, utc_ms: int | None, threshold: float
) -> Finding:
    known = record.drift(indicator)
    return finding_of(
        indicator,
        known.drift,
        weighed=features(known.drift),
        unknown=_why_unknown(record, known, utc_ms),
        evidence=_evidence(record, indicator, known.drift),
        model=model,
        threshold=threshold,
    )


_SWAPPED = "the return is warmer than the supply: swap supply_sensor and return_sensor of the zone"
_NO_OUTDOOR = "set climate.outdoor_sensor: without the temperature outside the supply has nothing to be compared with"
_ANEW_MORE = "{percent} % more from one day to the next: another setting or place of a thermometer, or a repair; {rest}"
_ANEW_LESS = "{percent} % less from one day to the next: another setting or place of a thermometer, or a repair; {rest}"
_NOT_FRESH = "no comparable day for 30 days: the heating has hardly run for long enough to settle, or in another state"


def _why_unknown(record: PipeRecord, known: PipeDrift, utc_ms: int | None) -> str:
    drift = known.drift
    if record.is_swapped:
        return _SWAPPED
    if not drift.is_judged:
        if known.indicator is PipeIndicator.LOW_SUPPLY and record.is_outdoor_missing and not drift.baselines:
            return _NO_OUTDOOR
        rest = why_not_judged(drift)
        if known.jump is None:
            return rest
        percent = str(round(abs(factor_of(known.jump) - 1.0) * 100))
        return phrase(_ANEW_MORE if known.jump > 0.0 else _ANEW_LESS, percent=percent, rest=rest)
    if utc_ms is None:
        return NO_TIME
    return _NOT_FRESH if drift.last_utc_ms is None or utc_ms - drift.last_utc_ms > FRESH_MS else ""


_SPREAD = "supply and return are {now} K apart, usually {then} K with a supply that is {excess} K above the room"
_SUPPLY = "the supply is {now} K above the room, usually {then} K in the same weather"


def _evidence(record: PipeRecord, indicator: PipeIndicator, drift: Drift) -> Phrase:
    """Return the numbers of the last judged days."""
    now, then = (exp(SIGN_OF[indicator] * log(each)) for each in drift.now_and_then or (1.0, 1.0))
    if indicator is PipeIndicator.LOW_SUPPLY:
        return phrase(_SUPPLY, now=f"{now:.1f}", then=f"{then:.1f}")
    # A damaged file may have any number.
    excess_k = min(EXCESS_K_MAX, max(EXCESS_K_MIN, record.excess_k))
    now_k, then_k = (spread_of(units, excess_k) for units in (now, then))
    return phrase(_SPREAD, now=f"{now_k:.1f}", then=f"{then_k:.1f}", excess=f"{excess_k:.0f}")
