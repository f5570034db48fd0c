"""The minimum off time of what went off later than the control counts. Pure.

The control counts the minimum off time from its own demand, or from its start. A bus or a radio may carry that out
later. Only this delay is added here: a control that knows of an earlier rest, or a test without minimum times, waits
no longer.
"""


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
