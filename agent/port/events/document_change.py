"""Decides whether a document says something new, or has only grown older. Pure.

A quiet hub must be quiet on the wire: an age that grows with the clock is no news, an age that starts again is. So an
age is compared as the instant at which it began, and a countdown as the instant at which it ends.
"""

import msgspec

from agent.foundation import rfc3339

TOLERANCE_S = 2.0
"""Of an instant that is computed from an age: ages are rounded to whole seconds, on both sides."""

GROWS = frozenset(
    {
        "age_s",
        "accepted_age_s",
        "confirmed_s_ago",
        "in_memory_age_s",
        "known_for_s",
        "last_error_age_s",
        "last_seen_age_s",
        "oldest_age_s",
        "running_s",
        "since_s",
        "stalled_s",
        "uptime_s",
    }
)
"""Fields that count up with the clock, by their name in any document."""

SHRINKS = frozenset({"join_window_left_s", "left_s", "reset_left_s", "trial_deadline_s", "trial_left_s"})
"""Fields that count down with the clock. A countdown that has reached zero stays there."""

DRIFTS = frozenset({"error_s"})
"""Fields whose small changes are no news: the bound of the clock's error grows all the time."""

INSTANTS_NOW = frozenset({"utc"})
"""Fields that hold the current time in RFC 3339."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A document as `msgspec.to_builtins` returns it."""


def to_json_values(document: object) -> Json:
    """Return a document as plain values, for `is_changed`."""
    values: Json = msgspec.to_builtins(document)
    return values


def is_changed(before: Json, after: Json, *, elapsed_s: float) -> bool:
    """Tell whether ``after`` says more than that ``elapsed_s`` have passed since ``before``."""
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() != after.keys() or any(
            _is_field_changed(name, before[name], value, elapsed_s) for name, value in after.items()
        )
    if isinstance(before, list) and isinstance(after, list):
        return len(before) != len(after) or any(
            is_changed(old, new, elapsed_s=elapsed_s) for old, new in zip(before, after, strict=True)
        )
    return before != after


def _is_field_changed(name: str, before: Json, after: Json, elapsed_s: float) -> bool:
    if before == after and name not in GROWS:
        return False
    if name in INSTANTS_NOW and isinstance(before, str) and isinstance(after, str):
        return _is_instant_changed(before, after, elapsed_s)
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return is_changed(before, after, elapsed_s=elapsed_s)
    if name in GROWS:
        # Zero also stands for "none is due": it does not grow.
        return not (before == after == 0) and abs(after - before - elapsed_s) > TOLERANCE_S
    if name in SHRINKS:
        return abs(max(0.0, before - elapsed_s) - after) > TOLERANCE_S
    return abs(after - before) > TOLERANCE_S if name in DRIFTS else before != after


def _is_instant_changed(before: str, after: str, elapsed_s: float) -> bool:
    try:
        passed_s = (rfc3339.parse(after) - rfc3339.parse(before)) / 1000
    except ValueError:
        return before != after
    return abs(passed_s - elapsed_s) > TOLERANCE_S
