"""Converts instants between RFC 3339 text and milliseconds, within the years 1970 to 2200. Pure.

Calendars of other programs accept the years 1 to 9999 and fail at both ends, sometimes only when an instant is shown.
So an instant outside 1970 to 2200 is refused at the input, and showing an instant never fails.
"""

from datetime import UTC, datetime

UTC_MS_MIN = 0
UTC_MS_MAX = 7_258_118_400_000
"""2200-01-01T00:00:00Z."""

BOUNDS = "between 1970 and 2200"
"""For messages."""


def is_plausible(utc_ms: float) -> bool:
    """Tell whether an instant lies within 1970 to 2200."""
    return UTC_MS_MIN <= utc_ms < UTC_MS_MAX


def to_utc_ms(moment: datetime) -> int:
    """Return a date and time with its zone as milliseconds since 1970 in UTC.

    Raises:
        ValueError: It has no zone, or lies outside 1970 to 2200.
    """
    if moment.tzinfo is None:
        raise ValueError("no zone is given")
    try:
        utc_ms = int(moment.timestamp() * 1000)
    except (OverflowError, ValueError) as error:  # 0001-01-01T00:00+01:00 is in the year 0
        raise ValueError(f"it is not {BOUNDS}") from error
    if not is_plausible(utc_ms):
        raise ValueError(f"it is not {BOUNDS}")
    return utc_ms


def parse(text: str) -> int:
    """Return an instant in ISO 8601 as milliseconds since 1970 in UTC.

    Raises:
        ValueError: It is none, has no zone, or lies outside 1970 to 2200.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (OverflowError, TypeError) as error:
        raise ValueError("no date and time") from error
    return to_utc_ms(moment)


def render(utc_ms: int) -> str:
    """Return an instant in RFC 3339 with `Z` and whole seconds; one outside 1970 to 2200 is named as such."""
    if not is_plausible(utc_ms):
        return f"an instant that is not {BOUNDS}"
    return datetime.fromtimestamp(utc_ms // 1000, UTC).isoformat().replace("+00:00", "Z")


def render_known(utc_ms: int | None) -> str | None:
    """Return an instant as `render` does; `None` where it is not known."""
    return None if utc_ms is None else render(utc_ms)
