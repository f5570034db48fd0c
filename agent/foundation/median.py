"""Medians, as the standard library's `statistics` defines them.

That module brings fractions and normal distributions, 0.3 MiB, which no hub needs.
"""

from collections.abc import Iterable
from typing import TypeVar

_Number = TypeVar("_Number", bound=float)


def median(values: Iterable[float]) -> float:
    """Return the middle value; of an even number of values the mean of the two in the middle.

    Raises:
        IndexError: There is no value.
    """
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def median_low(values: Iterable[_Number]) -> _Number:
    """Return the middle value; of an even number of values the smaller of the two in the middle.

    Raises:
        IndexError: There is no value.
    """
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def median_high(values: Iterable[_Number]) -> _Number:
    """Return the middle value; of an even number of values the larger of the two in the middle.

    Raises:
        IndexError: There is no value.
    """
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
