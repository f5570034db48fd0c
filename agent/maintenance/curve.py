"""The curve behind a finding: what was measured on each of the last days, beside what was to be expected of it. Pure.

Kept as bytes, 12 a day: the two curves of eight zones take 17 KB of memory, and 23 KB of the file.
"""

from struct import Struct

import msgspec

DAYS_MAX = 90
"""The days that are kept: three months of heating, in which a slow fault shows."""

_DAY = Struct("<Iff")
"""Days since 1970, measured, expected."""


class CurveDay(msgspec.Struct, frozen=True):
    """One day of a curve.

    Attributes:
        day: Days since 1970 in UTC.
        measured: The indicator of the day, as people read it (`agent.maintenance.signature.Signature.shown`).
        expected: What the usual behaviour says about a day of this load.
    """

    day: int
    measured: float
    expected: float


def with_day(curve: bytes, added: CurveDay) -> bytes:
    """Return a curve with a day more, without the oldest ones that are too many.

    Days from the added one on are dropped: the clock has been set back since.

    Args:
        curve: The days before; empty for none.
        added: The day.
    """
    kept = curve[: _whole(curve)]
    while kept and _DAY.unpack(kept[-_DAY.size :])[0] >= added.day:
        kept = kept[: -_DAY.size]
    return (kept + _DAY.pack(added.day, added.measured, added.expected))[-DAYS_MAX * _DAY.size :]


def days_of(curve: bytes) -> list[CurveDay]:
    """Return the days of a curve, the oldest first; of a day that is cut off, nothing."""
    return [CurveDay(day, measured, expected) for day, measured, expected in _DAY.iter_unpack(curve[: _whole(curve)])]


def _whole(curve: bytes) -> int:
    """Return the length of a curve in whole days."""
    return len(curve) - len(curve) % _DAY.size
