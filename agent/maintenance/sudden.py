"""A sudden fault: control reports that a zone is heated and does not get warmer. What becomes of the report. Pure.

Control reports it within an hour or two, at once to people. Here it is kept with its beginning and its numbers, over
restarts and setbacks, so that a technician can answer it. How sure it is is not known (`lab.maintenance.sudden`).
"""

import msgspec

RECOVERED_K = 1.0
RECOVERED_K_MIN = 0.3
"""A zone works again when it has got warmer by this since it was coldest, or by what its setpoint was above that; less
than the second is noise. That control no longer reports a zone whose setpoint was lowered proves nothing."""


class Response(msgspec.Struct, frozen=True):
    """What control says about the response of a zone to its heating.

    Attributes:
        room_c: Its temperature; `None` if it is not known, or is that of a sensor that may be stuck.
        setpoint_c: Its heating setpoint; `None` while it is not to be heated.
        is_failing: Control reports that it is heated and does not get warmer.
    """

    room_c: float | None = None
    setpoint_c: float | None = None
    is_failing: bool = False


class NoWarming(msgspec.Struct, frozen=True):
    """A report of control, and what has become of it. Kept in `maintenance.json`.

    Attributes:
        since_utc_ms: Since when control reports it; `None` without a report.
        lasted_s: For how long it did.
        first_c: The temperature of the room at the beginning.
        lowest_c: The lowest one since.
        setpoint_c: The heating setpoint at the beginning.
        is_reported: Control still reports it.
    """

    since_utc_ms: int | None = None
    lasted_s: float = 0.0
    first_c: float = 0.0
    lowest_c: float = 0.0
    setpoint_c: float = 0.0
    is_reported: bool = False

    @property
    def recovered_c(self) -> float:
        """The temperature from which on the zone works again."""
        return self.lowest_c + min(RECOVERED_K, max(RECOVERED_K_MIN, self.setpoint_c - self.lowest_c))


def follow(known: NoWarming, seen: Response, dt_s: float, utc_ms: int) -> NoWarming:
    """Return what is known of a report after some time.

    Args:
        known: Before.
        seen: What control says now.
        dt_s: The time.
        utc_ms: The time of day.
    """
    room_c = seen.room_c
    if room_c is None:
        return msgspec.structs.replace(known, is_reported=False) if known.is_reported else known
    if seen.is_failing and seen.setpoint_c is not None:
        if known.since_utc_ms is None:
            return NoWarming(utc_ms, 0.0, room_c, room_c, seen.setpoint_c, is_reported=True)
        return msgspec.structs.replace(
            known, lasted_s=known.lasted_s + dt_s, lowest_c=min(known.lowest_c, room_c), is_reported=True
        )
    if known.since_utc_ms is None or room_c >= known.recovered_c:
        return NoWarming()
    return msgspec.structs.replace(known, lowest_c=min(known.lowest_c, room_c), is_reported=False)
