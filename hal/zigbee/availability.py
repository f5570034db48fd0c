"""Whether a sensor keeps to its own rhythm: the judgement of who is online. Pure.

A sensor may be silent for a few times the longest silence that is usual for it. What is usual is what it has promised
(the longest interval of its reporting rules): a promise stands, however often it was broken. Where there is none, it is
what the sensor was seen to do, forgotten by halves within days, so that a quiet night is remembered through a busy day.
One silence beyond that is a failure; a second one is a habit.

A dead sensor is never shown as online for longer than that, and after `SILENCE_S_MAX` at the latest. Time in which the
radio itself did not listen is held against nobody.
"""

import math

import msgspec

FACTOR = 3.0
"""Two reports in a row may get lost on the air."""

SLACK_S = 60.0
SILENCE_S_MIN = 300.0
SILENCE_S_MAX = 25 * 3600.0
"""Sleepy sensors say something once a day at the least; the hour is for their clocks."""

UNKNOWN_MAINS_S = 2 * 3600.0
"""For a mains-powered one whose rhythm is not known yet; a sleepy one gets `SILENCE_S_MAX`."""

OBSERVED_S_MIN = 24 * 3600.0
"""What was seen of a sensor counts as its rhythm once a night is in it."""

HALF_LIFE_MS = 3 * 24 * 3600 * 1000


class ReportingRhythm(msgspec.Struct, frozen=True):
    """What is usual for a sensor.

    Attributes:
        promised_s: The longest interval that it has agreed to; 0 where it has agreed to none.
        observed_s: How much time has been observed, up to `OBSERVED_S_MIN`.
        longest_s: The longest of them, as remembered.
        aged_ms: How much time has gone into the forgetting of `longest_s` since it was set.
        doubted_s: The last silence that was longer than usual; a second one makes it usual.
    """

    promised_s: float = 0.0
    observed_s: float = 0.0
    longest_s: float = 0.0
    aged_ms: int = 0
    doubted_s: float = 0.0


def usual_s(rhythm: ReportingRhythm) -> float:
    """Return the longest silence that is usual, in seconds; 0 where that is not known yet."""
    if rhythm.promised_s:
        return rhythm.promised_s
    return _remembered_s(rhythm) if rhythm.observed_s >= OBSERVED_S_MIN else 0.0


def allowed_s(rhythm: ReportingRhythm, *, is_sleepy: bool) -> float:
    """Return how long a sensor may be silent and still count as online, in seconds."""
    usual = usual_s(rhythm)
    if not usual:
        return SILENCE_S_MAX if is_sleepy else UNKNOWN_MAINS_S
    return min(SILENCE_S_MAX, max(SILENCE_S_MIN, FACTOR * usual + SLACK_S))


def update_rhythm(rhythm: ReportingRhythm, gap_ms: int, *, is_sleepy: bool) -> ReportingRhythm:
    """Return the rhythm after a silence of ``gap_ms`` has ended, through which the radio has listened."""
    gap_s = gap_ms / 1000
    aged = msgspec.structs.replace(
        rhythm, aged_ms=rhythm.aged_ms + gap_ms, observed_s=min(OBSERVED_S_MIN, rhythm.observed_s + gap_s)
    )
    if gap_s <= allowed_s(rhythm, is_sleepy=is_sleepy):
        learned_s = gap_s
    elif not rhythm.doubted_s:
        return msgspec.structs.replace(aged, doubted_s=gap_s)
    else:
        learned_s = min(gap_s, rhythm.doubted_s)
        aged = msgspec.structs.replace(aged, doubted_s=0.0)
    if learned_s < _remembered_s(aged):
        return aged
    return msgspec.structs.replace(aged, longest_s=learned_s, aged_ms=0)


def is_online(
    rhythm: ReportingRhythm,
    *,
    is_sleepy: bool,
    heard_ms: int | None,
    listening_since_ms: int | None,
    was_offline: bool,
    now_ms: int,
) -> bool | None:
    """Judge a sensor.

    Args:
        rhythm: What is usual for it.
        is_sleepy: Whether it sleeps between reports.
        heard_ms: When it was heard last, on the clock of ``now_ms``; `None` for not since that clock began.
        listening_since_ms: Since when the radio listens without a break; `None` while it does not.
        was_offline: The last judgement before; only being heard lifts it.
        now_ms: On the boot's monotonic clock.

    Returns:
        `None` while it cannot be known: the radio has not listened for long enough.
    """
    allowed_ms = allowed_s(rhythm, is_sleepy=is_sleepy) * 1000
    if was_offline:
        return False
    if heard_ms is not None and now_ms - heard_ms <= allowed_ms:
        return True
    if listening_since_ms is not None and now_ms - max(listening_since_ms, heard_ms or 0) > allowed_ms:
        return False
    return None


def _remembered_s(rhythm: ReportingRhythm) -> float:
    return rhythm.longest_s * math.exp2(-rhythm.aged_ms / HALF_LIFE_MS)
