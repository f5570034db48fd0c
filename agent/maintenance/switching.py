"""How often the output of a zone has been switched on, beside what relays are made for. Pure.

A contact wears at each switching under load: in the end it no longer closes, or welds. How often that takes depends on
the load, so it is no probability and never an alert: near its rated life it is a reason to look at it before winter.
"""

import msgspec

RATED_STARTS = 100_000
"""The electrical endurance of a usual relay at its rated load (datasheet of Sanyou's SRD: 100,000 cycles, and ten
million without load)."""

SHOWN_SHARE = 0.8
"""It is shown from this share on: at two starts an hour, the last fifth takes two winters."""

STARTS_MAX = 1_000_000_000
"""More comes from a damaged file."""


class Switching(msgspec.Struct, frozen=True):
    """A count of an output. Kept in `maintenance.json`.

    Attributes:
        starts: How often it has been switched on since the count began, or since it was serviced.
        seen: The count of control, which begins anew whenever the hub is started.
    """

    starts: int = 0
    seen: int = 0

    @property
    def is_near_its_end(self) -> bool:
        """Whether a usual relay would be near the end of its rated life."""
        return self.starts >= SHOWN_SHARE * RATED_STARTS


def count(known: Switching, starts: int) -> Switching:
    """Return the count after some time; the same object if nothing was switched.

    Args:
        known: Before.
        starts: How often control has switched the output on since the hub was started.
    """
    if starts == known.seen:
        return known
    added = starts - known.seen if starts > known.seen else starts
    return Switching(min(STARTS_MAX, max(0, known.starts) + added), starts)
