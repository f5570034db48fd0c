"""Which slow faults could be reported in time at best, and why the others are missed.

    python -m lab.maintenance.detectability

The yardstick is a detector that no hub can have: it knows the day on which the fault began, that it grows evenly since
then, and what all other faults of the house take; usual behaviour never changes for it. It is a Kalman filter with the
growth in place of the loss. The odds that there is a fault are the density of "no growth" before the days over that
after them (Dickey 1971, "The weighted likelihood ratio, linear hypotheses on normal location parameters"). What it
misses no hub can be expected to report: the effect is too small for the scatter of the days, or something else that
changed the house covers it.
"""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from math import exp, log, prod, sqrt
from statistics import median

import msgspec

from agent.maintenance.assessment import LIKELY, NEEDED
from agent.maintenance.calibration import MODELS
from agent.maintenance.drift import RECENT_DAYS, Drift
from agent.maintenance.indicators import Indicator, Measured, measure
from agent.maintenance.signature import SIGNATURES
from lab.maintenance.calibration import JUDGE_HOUSES, TUNING_SEED, follow
from lab.maintenance.fleet import FAULTS, HELD_OUT, Fault, HouseDay, live
from lab.maintenance.judgement import SLOW_DAYS, WARNING_DAYS, Judgement, Watched, count_events, is_asked

GROWTH_SPREAD = 0.6
"""Of the growth between faults, as a share of its mean: two kinds of three lie within it."""


class Reason(StrEnum):
    """Why a slow fault was not reported in time; the first that holds."""

    FEW_DAYS = "too few days of heating"
    UNKNOWABLE = "missed by the yardstick too"
    NEAR = "confidence 0.5 to 0.72"
    BELOW = "confidence below 0.5"


class Best(msgspec.Struct, frozen=True):
    """What the yardstick knows of a fault when it has to be reported.

    Attributes:
        days: How many days since its beginning could be measured.
        confidence: The probability that it is there.
        sigmas: Its loss, in standard deviations of what is known of it.
    """

    days: int
    confidence: float
    sigmas: float


class Outcome(msgspec.Struct, frozen=True):
    """One slow fault: what is known of it at best, and why it was not reported in time; `None` if it was."""

    fault: Fault
    best: Best
    reason: Reason | None


def deadline_of(fault: Fault) -> float:
    """Return the day on which a slow fault has to be reported: two weeks before its full effect."""
    return fault.begins + fault.days - WARNING_DAYS


def best_of(days: Iterable[tuple[int, Measured]], fault: Fault) -> Best:
    """Return what can be known of a slow fault on its deadline.

    Args:
        days: The measured days of the house, each with its number, from the first on.
        fault: It, of which the beginning is known.
    """
    indicator = fault.kind.indicator
    signature = SIGNATURES[indicator]
    prior, growth = _prior(indicator)
    variance_before = (GROWTH_SPREAD * growth) ** 2
    state, covariance, since, last = list[float](), list[list[float]](), 0, fault.begins
    for number, measured in days:
        if number > deadline_of(fault):
            break
        if not state:
            first, variances = signature.first(measured)
            state, variances = [*first[:-1], growth], (*variances[:-1], variance_before)
            covariance = [[variance * (i == j) for j in range(len(state))] for i, variance in enumerate(variances)]
        age = max(0.0, number - fault.begins)
        since, last = since + (age > 0.0), number
        expected = signature.expect((*state[:-1], state[-1] * age), measured)
        slope = (*expected.slope[:-1], expected.slope[-1] * age)
        shared = [sum(a * b for a, b in zip(row, slope, strict=True)) for row in covariance]
        variance = sum(a * b for a, b in zip(slope, shared, strict=True)) + expected.variance
        off = measured.value - expected.value
        weight = min(1.0, signature.dynamics.clip_sigma * sqrt(variance) / max(abs(off), 1e-9))
        state = [each + share / variance * off * weight for each, share in zip(state, shared, strict=True)]
        covariance = [
            [value - one * other / variance * weight for value, other in zip(row, shared, strict=True)]
            for row, one in zip(covariance, shared, strict=True)
        ]
    if not since:
        return Best(0, prior, 0.0)
    found, variance_after = state[-1], max(covariance[-1][-1], 1e-14)
    before = -0.5 * log(variance_before) - 0.5 * growth**2 / variance_before
    after = -0.5 * log(variance_after) - 0.5 * found**2 / variance_after
    odds = log(prior / (1.0 - prior)) + before - after
    # A growth below none is no fault, however sure it is.
    confidence = 1.0 / (1.0 + exp(-max(-30.0, min(30.0, odds)))) if found > 0.0 else 0.0
    loss = -log(1.0 - fault.loss_on(int(last)))
    return Best(since, confidence, loss / (sqrt(variance_after) * (last - fault.begins)))


def without_others(days: Iterable[HouseDay], fault: Fault) -> Iterable[tuple[int, Measured]]:
    """Yield the measured days of a house, each with its number, as they would be without its other faults."""
    for each in days:
        measured = measure(each.day, fault.kind.indicator)
        if measured is not None:
            others = [one for one in each.faults if one != fault and one.kind.indicator is fault.kind.indicator]
            left = prod(1.0 - one.loss_on(each.number) for one in others)
            is_output = fault.kind.indicator is Indicator.WARMTH
            value = measured.value * left if is_output else measured.value - log(left)
            yield each.number, msgspec.structs.replace(measured, value=value)


def _prior(indicator: Indicator) -> tuple[float, float]:
    """Return which share of the time a slow fault of an indicator is there, and by how much it grows in a day."""
    kinds = [kind for kind in FAULTS if kind.indicator is indicator and kind.days[1] >= SLOW_DAYS]
    days = [sum(kind.days) / 2.0 for kind in kinds]
    rate = sum(kind.a_year for kind in kinds)
    growth = sum(
        kind.a_year * -log(1.0 - sum(kind.loss) / 2.0) / length for kind, length in zip(kinds, days, strict=True)
    )
    return sum(kind.a_year * length for kind, length in zip(kinds, days, strict=True)) / 365.0, growth / rate


def why_missed(best: Best, highest: float) -> Reason:
    """Return why a slow fault was not reported in time.

    Args:
        best: What can be known of it.
        highest: The highest confidence between its beginning and its deadline.
    """
    if best.days < RECENT_DAYS:
        return Reason.FEW_DAYS
    if best.confidence < NEEDED:
        return Reason.UNKNOWABLE
    return Reason.NEAR if highest >= LIKELY else Reason.BELOW


def outcomes(seed: int, houses: int) -> Iterable[Outcome]:
    """Yield the slow faults of a fleet that ran their course while they could be judged."""
    for number in range(houses):
        watched: dict[Indicator, list[Watched[Fault, Drift]]] = {}
        for each in follow(seed, number, HELD_OUT):
            p = MODELS[each.indicator].probability(each.drift)
            watched.setdefault(each.indicator, []).append(Watched(each.day, p, each.faults, each.drift))
        lived = list(live(seed, number, HELD_OUT))
        for days in watched.values():
            late = count_events(Judgement(), days)
            for fault in dict.fromkeys(fault for each in days for fault in each.faults):
                if fault.days >= SLOW_DAYS and is_asked(fault, days[0].day):
                    best = best_of(without_others(lived, fault), fault)
                    within = [each.p for each in days if fault.begins <= each.day <= deadline_of(fault)]
                    yield Outcome(fault, best, why_missed(best, max(within, default=0.0)) if fault in late else None)


def as_markdown(found: Sequence[Outcome]) -> str:
    """Return the outcomes as a table for docs/experiments: a row for each kind of fault, and their sum."""
    head = [
        "Slow faults",
        "number",
        "loss in standard deviations (median)",
        "in time",
        "in time by the yardstick",
        *Reason,
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for kind in [*(kind.name for kind in FAULTS), "all"]:
        rows = [each for each in found if kind in {each.fault.kind.name, "all"}]
        if rows:
            reasons = Counter(each.reason for each in rows)
            known = sum(each.best.confidence >= NEEDED for each in rows)
            cells = [kind, len(rows), f"{median(each.best.sigmas for each in rows):.1f}", reasons[None], known]
            lines.append(f"| {' | '.join(map(str, [*cells, *(reasons[each] for each in Reason)]))} |")
    return "\n".join(lines)


def main() -> None:
    """Print which slow faults of the fleet that may be looked at could be reported in time, and why others were not."""
    parser = ArgumentParser(prog="python -m lab.maintenance.detectability", description=main.__doc__)
    parser.add_argument("--houses", type=int, default=JUDGE_HOUSES, help="of the fleet, each followed for 3 years")
    found = list(outcomes(TUNING_SEED, parser.parse_args().houses))
    sys.stdout.write(f"{as_markdown(found)}\n")


if __name__ == "__main__":
    main()
