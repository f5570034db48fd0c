"""How the confidence of predictive maintenance is fitted and judged, for houses and machines alike. Pure.

A fleet is followed day by day with the truth beside it; what a model says is counted as alerts and faults, and reported
as tables for docs/experiments/maintenance-confidence.md.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from agent.maintenance.assessment import LIKELY, NEEDED
from lab.maintenance.faults import YEARS, FaultCourse
from lab.maintenance.logistic import Point, brier, calibration_error, fit, reliability

COMMAND = "make calibration"
MODEL_DATE = "2026-11-30"
"""Of the models: changed by hand with the fleets, so that the files stay the same for the same fleets."""

POINT_DAYS = 5
"""Days that follow each other are nearly the same evidence: each fifth counts."""

WEIGHT_DIGITS = 3
"""So few that the last bits of a machine's logarithm do not matter."""

SLOW_DAYS = 60.0
WARNING_DAYS = 14.0
"""A fault that takes as long as the first has to be reported so long before its full effect."""

RECORD_DAYS = 365.0 * YEARS
"""A house is followed for so long."""

RECALL = "faults of both kinds reported before their repair (recall)"

IndicatorT = TypeVar("IndicatorT", bound=StrEnum)
FaultT = TypeVar("FaultT", bound=FaultCourse)
DriftT = TypeVar("DriftT")


class Judged(msgspec.Struct, Generic[IndicatorT, FaultT, DriftT], frozen=True):
    """A day on which an indicator was judged, with the truth: the faults that are present and that it shows."""

    day: int
    indicator: IndicatorT
    drift: DriftT
    faults: tuple[FaultT, ...]


class Watched(msgspec.Struct, Generic[FaultT, DriftT], frozen=True):
    """The same of one indicator, with the confidence of a model."""

    day: int
    p: float
    faults: tuple[FaultT, ...]
    drift: DriftT


class Judgement(msgspec.Struct):
    """How well a model holds on a fleet that it has not seen.

    Attributes:
        points: Probabilities with their truths, each fifth day.
        alerts: How often the confidence has reached the threshold, and how many of these were true.
        slow: Slow faults that ran their course while the hub watched (`is_asked`), and how many were reported in time:
            two weeks before their full effect.
        fast: The others, and how many were reported before their repair.
        faults: Both, and how many were reported before their repair.
        slow_unfinished: Slow faults whose repair lies after the end of the record, and how many were reported in time.
        unfinished: Such faults of both kinds, and how many were reported. Neither is asked for (`is_asked`).
    """

    points: list[tuple[float, bool]] = []
    alerts: tuple[int, int] = (0, 0)
    slow: tuple[int, int] = (0, 0)
    fast: tuple[int, int] = (0, 0)
    faults: tuple[int, int] = (0, 0)
    slow_unfinished: tuple[int, int] = (0, 0)
    unfinished: tuple[int, int] = (0, 0)


def fit_rounded(
    indicators: Iterable[IndicatorT],
    judged: Iterable[Judged[IndicatorT, FaultT, DriftT]],
    features: Callable[[DriftT], tuple[float, ...]],
) -> Mapping[IndicatorT, list[float]]:
    """Return for each indicator the intercept and the weights that fit a fleet best, as they are written.

    Args:
        indicators: All that there are.
        judged: The days of the fleet.
        features: What a model weighs of a drift.

    Raises:
        ValueError: An indicator has no fault in it, or nothing else.
    """
    points: dict[IndicatorT, list[Point]] = {indicator: [] for indicator in indicators}
    for each in judged:
        if each.day % POINT_DAYS == 0:
            points[each.indicator].append(Point(features(each.drift), bool(each.faults)))
    return {indicator: [round(weight, WEIGHT_DIGITS) for weight in fit(found)] for indicator, found in points.items()}


def judge_days(
    found: Mapping[IndicatorT, Judgement],
    judged: Iterable[Judged[IndicatorT, FaultT, DriftT]],
    probability: Callable[[IndicatorT, DriftT], float],
) -> None:
    """Add what a model says on the days of one house or machine.

    Args:
        found: To which it is added.
        judged: The days, in order.
        probability: The confidence of the model.
    """
    watched: dict[IndicatorT, list[Watched[FaultT, DriftT]]] = {}
    for each in judged:
        p = probability(each.indicator, each.drift)
        watched.setdefault(each.indicator, []).append(Watched(each.day, p, each.faults, each.drift))
        if each.day % POINT_DAYS == 0:
            found[each.indicator].points.append((p, bool(each.faults)))
    for indicator, days in watched.items():
        count_events(found[indicator], days)


def count_events(judgement: Judgement, days: Sequence[Watched[FaultT, DriftT]]) -> list[FaultT]:
    """Add the alerts and the faults of one house or machine; an alert ends where the confidence falls below `LIKELY`.

    Args:
        judgement: To which they are added.
        days: Its judged days, in order.

    Returns:
        The slow faults that were not reported in time, of those that are asked for.
    """
    is_alert, seen, reported = False, dict[FaultT, int](), dict[FaultT, int]()
    for each in days:
        for fault in each.faults:
            seen.setdefault(fault, each.day)
        if each.p >= NEEDED:
            if not is_alert:
                judgement.alerts = _counted(judgement.alerts, bool(each.faults))
            for fault in each.faults:
                reported.setdefault(fault, each.day)
        is_alert = each.p >= NEEDED or (is_alert and each.p >= LIKELY)
    late = []
    for fault in seen:
        if is_asked(fault, days[0].day):
            if not _count_fault(judgement, fault, reported.get(fault)):
                late.append(fault)
        elif fault.begins >= days[0].day:
            _count_unfinished(judgement, fault, reported.get(fault))
    return late


def is_asked(fault: FaultCourse, first_day: int) -> bool:
    """Return whether a fault ran its whole course, to its repair, while the hub watched: else nothing is asked of it.

    Args:
        fault: It.
        first_day: The first day on which the hub could judge.
    """
    return fault.begins >= first_day and fault.ends <= RECORD_DAYS


def _count_fault(judgement: Judgement, fault: FaultCourse, reported_day: int | None) -> bool:
    """Add a fault, and return whether it was reported in time: any fault but a slow one has all the time."""
    is_reported = reported_day is not None
    judgement.faults = _counted(judgement.faults, is_reported)
    if fault.days < SLOW_DAYS:
        judgement.fast = _counted(judgement.fast, is_reported)
        return True
    is_in_time = _is_in_time(fault, reported_day)
    judgement.slow = _counted(judgement.slow, is_in_time)
    return is_in_time


def _count_unfinished(judgement: Judgement, fault: FaultCourse, reported_day: int | None) -> None:
    judgement.unfinished = _counted(judgement.unfinished, reported_day is not None)
    if fault.days >= SLOW_DAYS:
        judgement.slow_unfinished = _counted(judgement.slow_unfinished, _is_in_time(fault, reported_day))


def _is_in_time(fault: FaultCourse, reported_day: int | None) -> bool:
    return reported_day is not None and reported_day <= fault.begins + fault.days - WARNING_DAYS


def _counted(counts: tuple[int, int], is_true: bool) -> tuple[int, int]:
    return counts[0] + 1, counts[1] + is_true


def tables(
    found: Mapping[IndicatorT, Judgement],
    *,
    title: str,
    unit: str,
    years: int,
    calibrated: Collection[IndicatorT],
    has_recall: bool,
    has_unfinished: bool = False,
) -> str:
    """Return a judgement as tables for docs/experiments/maintenance-confidence.md.

    Args:
        found: The judgement of each indicator.
        title: Of the fleet.
        unit: Of what it consists: "hub" or "machine".
        years: How many years of these were judged.
        calibrated: The indicators with a reliability table of their own.
        has_recall: There is a row for the faults of both kinds.
        has_unfinished: There are rows for faults whose repair lies after the end of the record.
    """
    lines = [f"| {title} | " + " | ".join(f"`{each}`" for each in found) + " |", "|---" * (len(found) + 1) + "|"]
    rows: dict[str, list[str]] = {}
    for each in found.values():
        alerts, true = each.alerts
        for name, value in (
            (f"{unit}-years", f"{years:,}"),
            ("judged points", f"{len(each.points):,}"),
            ("expected calibration error", f"{calibration_error(reliability(each.points)):.3f}"),
            ("Brier score", f"{brier(each.points):.4f}"),
            (f"alerts at {NEEDED}, true", f"{true} of {alerts}"),
            (f"false alerts a {unit}-year", f"{(alerts - true) / years:.3f}"),
            ("slow faults reported 14 days before their full effect", f"{each.slow[1]} of {each.slow[0]}"),
            *([(RECALL, f"{each.faults[1]} of {each.faults[0]}")] if has_recall else []),
            ("faster faults reported before their repair", f"{each.fast[1]} of {each.fast[0]}"),
            *(_unfinished_rows(each) if has_unfinished else ()),
        ):
            rows.setdefault(name, []).append(value)
    lines += [f"| {name} | {' | '.join(values)} |" for name, values in rows.items()]
    for indicator, each in found.items():
        if indicator in calibrated:
            lines += ["", f"| `{indicator}`: points | mean confidence | share that is true |", "|---|---|---|"]
            lines += [f"| {row.count:,} | {row.mean:.2f} | {row.true_share:.2f} |" for row in reliability(each.points)]
    return "\n".join(lines)


def _unfinished_rows(judgement: Judgement) -> Iterable[tuple[str, str]]:
    """Yield what the rows above leave out; both together are the count of before, which asked for these too."""
    for name, (number, true) in (
        ("left out, as not repaired by the end: slow faults reported in time", judgement.slow_unfinished),
        ("left out, as not repaired by the end: faults reported", judgement.unfinished),
    ):
        yield name, f"{true} of {number}"
