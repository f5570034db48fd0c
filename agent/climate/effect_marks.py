"""Notes of a zone's temperature and output, and what a stretch of them shows: slopes, output, a bend. Pure.

`heating_effect` takes the notes and judges them. Where zones share a heat source, the notes of the others say whether
the source has less left for this one, and whether the source works at all.
"""

from collections.abc import Sequence

import msgspec

MARK_S = 900.0
"""Temperature and output are noted this often."""

BEND_MARKS = 8
BEND_MARKS_MIN = 2
"""A stretch is compared with so many marks before it, two hours, and with no fewer than the second."""

STEP_MARKS = 8
STEP_MIN = 0.5
"""The mean output of two hours differs by at least so much from that of the two before: a setback begins or ends."""

DRAWN_MIN = 0.7
"""A zone that has got at least this much output over a stretch has drawn what its emitter takes: in a storm a source at
its limit has less left for the others."""


class EffectMark(msgspec.Struct, frozen=True):
    """A note of a zone: its smoothed temperature, the mean output since the note before, its temperature, the load.

    Attributes:
        fall_k: The largest fall within ten minutes since the note before.
    """

    value_c: float
    emitted: float
    raw_c: float
    load: float | None = None
    fall_k: float = 0.0


Marks = tuple[EffectMark, ...]


def slope_k_per_h(marks: Marks, length: int) -> float:
    """Return how fast the temperature rose over the last marks."""
    return (marks[-1].value_c - marks[-1 - length].value_c) / (length * MARK_S / 3600.0)


def mean_emitted(marks: Marks, length: int) -> float:
    """Return the mean output over the last marks."""
    return sum([mark.emitted for mark in marks[-length:]]) / length


def bend_k_per_h(marks: Marks, length: int, rate_k_per_h: float) -> float:
    """Return how much faster the temperature falls over the last marks than it did before, for the same output.

    Weather makes a small one, since it changes over hours; equipment that fails makes one of its whole effect. 0 with
    too few marks before the stretch.
    """
    earlier = marks[:-length][-1 - BEND_MARKS :]
    count = len(earlier) - 1
    if count < BEND_MARKS_MIN:
        return 0.0
    more = mean_emitted(marks, length) - mean_emitted(earlier, count)
    return slope_k_per_h(earlier, count) + more * rate_k_per_h - slope_k_per_h(marks, length)


def step_rate_k_per_h(marks: Marks) -> float:
    """Return what full output does to the zone, losses aside, from a step of its output; 0 or less if none shows it.

    Weather, sun and people change little from the two hours before a step to those after it, so the change of the
    slope is that of the output. Equipment that fails, or the sun, may make it negative.
    """
    earlier = marks[:-STEP_MARKS]
    if len(earlier) <= STEP_MARKS:
        return 0.0
    more = mean_emitted(marks, STEP_MARKS) - mean_emitted(earlier, STEP_MARKS)
    if abs(more) < STEP_MIN:
        return 0.0
    return (slope_k_per_h(marks, STEP_MARKS) - slope_k_per_h(earlier, STEP_MARKS)) / more


def may_be_short(marks: Marks, others: Sequence[Marks], length: int, rate_k_per_h: float) -> bool:
    """Return whether a zone may get less of a shared source because others drew from it over the last marks.

    It may not if one of them got warmer, while this one fell by as much as the loss of its full output makes of
    difference: then the source works, and the valve of this zone does not.

    Args:
        marks: Of the zone.
        others: Those of the zones that share its source.
        length: How many of the last marks are judged.
        rate_k_per_h: What full output does to the zone.
    """
    known = [each for each in others if len(each) > length]
    if not any(mean_emitted(each, length) >= DRAWN_MIN for each in known):
        return False
    rise = max(slope_k_per_h(each, length) for each in known)
    return rise <= 0.0 or rise - slope_k_per_h(marks, length) < rate_k_per_h
