"""What the findings of machines and of pairs of thermometers have in common: their drift is `machine_drift`'s. Pure."""

from typing import Protocol

from agent.foundation.phrase import Phrase, phrase
from agent.maintenance.assessment import AnyIndicator, Finding, FindingState, state_of
from agent.maintenance.machine_drift import BASELINE_DAYS, RECENT_DAYS, Drift

NO_TIME = "the time of day is not known"
_NOT_CALIBRATED = "{evidence}; not calibrated: its confidence is unknown"
_LEARNING = "still learning: {days} of {wanted} days in the same operating state"
_COMPARING = "learned; {days} of {wanted} days to compare with it"


class Model(Protocol):
    """What gives the confidence of one indicator."""

    def probability(self, drift: Drift) -> float:
        """Return the probability that the fault is there, 0 to 1."""


def why_not_judged(drift: Drift) -> Phrase:
    """Return what is missing for a judgement: days to learn from, or days to compare with these."""
    if drift.days_learned < BASELINE_DAYS:
        return phrase(_LEARNING, days=drift.days_learned, wanted=BASELINE_DAYS)
    return phrase(_COMPARING, days=len(drift.recent), wanted=RECENT_DAYS)


def finding_of(
    indicator: AnyIndicator,
    drift: Drift,
    *,
    weighed: tuple[float, ...],
    unknown: str,
    evidence: str,
    model: Model | None,
    threshold: float,
) -> Finding:
    """Return what is known about an indicator.

    Args:
        indicator: Which.
        drift: Of it.
        weighed: What the model weighs of the drift.
        unknown: Why nothing is known; empty where something is.
        evidence: The numbers.
        model: Gives the confidence; without one the indicator is unknown, and says so.
        threshold: The confidence from which on maintenance is needed.
    """
    weighed = tuple(round(each, 4) for each in weighed) if drift.recent else ()
    if unknown:
        return Finding(indicator, FindingState.UNKNOWN, None, unknown, features=weighed)
    if model is None:
        text = phrase(_NOT_CALIBRATED, evidence=evidence)
        return Finding(indicator, FindingState.UNKNOWN, None, text, drift.since_utc_ms, features=weighed)
    confidence = round(model.probability(drift), 3)
    state = state_of(confidence, threshold)
    return Finding(indicator, state, confidence, evidence, drift.since_utc_ms, round(drift.shift, 4), weighed)
