"""The minimum off time of what went off later than the control counts. Pure.

The control counts the minimum off time from its own demand, or from its start. A bus, a radio or a gateway may carry
that out later. Only this delay is added here: a control that knows of an earlier rest, or a test without minimum times,
waits no longer.
"""

import msgspec

PROMPT_S = 1.0
"""What went off so soon after its demand is not late: control decides each 10 s, a bus takes milliseconds."""


class OutputDemand(msgspec.Struct, frozen=True):
    """What the control demands of an output.

    Attributes:
        is_on: The demand.
        since_ms: Since when.
        counted_ms: Since when the control counts it so: for its first demand, since the start of the hub.
    """

    is_on: bool
    since_ms: int
    counted_ms: int


class OutputRecord(msgspec.Struct, frozen=True):
    """What is known of an output.

    Attributes:
        is_on: Its last state.
        off_ms: When it went off at the latest; `None` while it is on.
        late_s: By how much that came after the demand; infinite where the control did not demand it.
    """

    is_on: bool
    off_ms: int | None = None
    late_s: float = 0.0


def with_demand(before: OutputDemand | None, started_ms: int, now_ms: int, *, is_on: bool) -> OutputDemand:
    """Return the demand on an output after the control has decided."""
    if before is None:
        return OutputDemand(is_on, now_ms, started_ms)
    return before if before.is_on is is_on else OutputDemand(is_on, now_ms, now_ms)


def with_state(before: OutputRecord | None, demand: OutputDemand, now_ms: int, *, is_on: bool) -> OutputRecord:
    """Return what is known of an output that was on or off at a time."""
    if is_on:
        return OutputRecord(is_on=True)
    if before is not None and not before.is_on:
        return before
    late_s = (now_ms - demand.counted_ms) / 1000
    if late_s <= PROMPT_S:
        late_s = 0.0
    elif demand.is_on:
        # Whoever answers again after a power failure went off at an unknown time, perhaps just now.
        late_s = float("inf")
    return OutputRecord(is_on=False, off_ms=now_ms, late_s=late_s)


def rest_left_s(off_ms: int, late_s: float, wanted_ms: int, rest_s: float, now_ms: int) -> float:
    """Return for how long an output that is to go on must stay off; 0 where it need not.

    Args:
        off_ms: When it went off at the latest, on this boot's monotonic clock.
        late_s: By how much that came after the time from which the control counts; infinite where the control did not
            demand it.
        wanted_ms: When the control demanded it on, on the same clock.
        rest_s: Its minimum off time.
        now_ms: The present.
    """
    return max(0.0, min(rest_s - (now_ms - off_ms) / 1000, late_s - (now_ms - wanted_ms) / 1000))
