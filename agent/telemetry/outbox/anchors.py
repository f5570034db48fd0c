"""What UTC a boot's milliseconds stand for. Pure.

A boot is anchored once its clock is known to be right: ``utc = utc_at_zero + at_ms``, in integers, so that a reading's
timestamp is the same whenever it is worked out: a batch that is sent again carries identical timestamps. Should the
clock be found wrong later by more than `DRIFT_MS_MAX`, a new segment begins; what was measured before keeps the old.
"""

from bisect import bisect_right
from collections import defaultdict

import msgspec

DRIFT_MS_MAX = 1000
"""A difference below this is the jitter of NTP, which slews the monotonic clock along: no reason for a new segment."""


class UtcAnchor(msgspec.Struct, frozen=True, order=True):
    """One segment of a boot.

    Attributes:
        from_ms: The boot time from which it holds; the first segment of a boot holds for all that went before, too.
        utc_at_zero_ms: UTC, in milliseconds since 1970, of the boot time 0.
    """

    from_ms: int
    utc_at_zero_ms: int


class UtcAnchors:
    """The segments of every boot that has one."""

    def __init__(self) -> None:
        self._segments: dict[int, list[UtcAnchor]] = defaultdict(list)

    def add(self, boot: int, anchor: UtcAnchor) -> None:
        """Add a segment to a boot."""
        self._segments[boot].append(anchor)
        self._segments[boot].sort()

    def has(self, boot: int) -> bool:
        """Tell whether a boot is anchored."""
        return boot in self._segments

    def first(self, boot: int) -> UtcAnchor | None:
        """Return the first segment of a boot; `None` where it has none."""
        return self._segments[boot][0] if boot in self._segments else None

    def utc_ms(self, boot: int, at_ms: int) -> int:
        """Return the UTC of a boot time, in milliseconds since 1970.

        Raises:
            KeyError: The boot has no anchor.
        """
        if boot not in self._segments:
            raise KeyError(boot)
        segments = self._segments[boot]
        if len(segments) == 1:
            return segments[0].utc_at_zero_ms + at_ms
        index = bisect_right(segments, at_ms, key=lambda segment: segment.from_ms)
        return segments[max(index - 1, 0)].utc_at_zero_ms + at_ms

    def next_segment(self, boot: int, *, now_ms: int, utc_ms: int) -> UtcAnchor | None:
        """Return the segment that a synchronised clock asks for, or `None` where the present one will do."""
        found = UtcAnchor(from_ms=now_ms, utc_at_zero_ms=utc_ms - now_ms)
        if boot not in self._segments:
            return found
        drift_ms = abs(found.utc_at_zero_ms - self._segments[boot][-1].utc_at_zero_ms)
        return found if drift_ms > DRIFT_MS_MAX else None
