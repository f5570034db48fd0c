"""When the next poll for commands is due. Pure: no clock, no randomness, no I/O.

A steady interval keeps the phase of each hub, so that the polls of a fleet stay apart. What holds all hubs up alike
(the quota after a boot, an outage, a server that asks for patience) would end on all of them at one instant: after that
each takes a new phase. Must never make up for missed polls.
"""

HELD_UP_MS = 1000
"""A poll that starts so much later than it was due was held up. A loop under load is late by less than 200 ms."""


def is_held_up(due_ms: int, now_ms: int) -> bool:
    """Tell whether a poll that may start now had to wait for something that other hubs may have waited for too."""
    return now_ms - due_ms >= HELD_UP_MS


def next_due_ms(due_ms: int, now_ms: int, interval_ms: int) -> int:
    """Return when the next poll is due: the first whole number of intervals after the last due time that is ahead.

    Args:
        due_ms: When the last poll was due. Response times do not stretch the interval.
        now_ms: When the last poll was over.
        interval_ms: Between two polls.
    """
    return due_ms + interval_ms * (1 + max(0, now_ms - due_ms) // interval_ms)
