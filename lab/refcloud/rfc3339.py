"""Converts RFC 3339 text to UTC milliseconds and back. Pure. Must never read a clock."""

import re
from datetime import UTC, datetime, timedelta
from time import gmtime

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,3}(\d{0,6}))?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse_ms(text: str) -> int:
    """Return the UTC milliseconds since 1970 of an RFC 3339 date-time.

    Any offset is converted to UTC; a time without one is refused, because it is ambiguous. Up to nine digits of
    fraction are read, and those beyond the third must be zero: the store keeps milliseconds, and rounding could make
    two instants equal in the natural key. A leap second (`:60`) is refused: UTC milliseconds cannot express it.

    Raises:
        ValueError: With what is wrong, in words for the client.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 date-time with an offset, such as 2026-03-29T12:00:00Z")
    beyond_ms = match.group(1)
    if beyond_ms and beyond_ms.strip("0"):
        raise ValueError("finer than a millisecond")
    try:
        # The pattern is the strict part: `fromisoformat` alone takes week dates, commas and times without an offset.
        instant = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("no such day, time or offset") from None
    return (instant - _EPOCH) // _MILLISECOND


def format_ms(at_ms: int) -> str:
    """Return UTC milliseconds as RFC 3339 with `Z`; whole seconds without a fraction, as in the published samples.

    Raises:
        OverflowError: Outside the years 1 to 9999.
    """
    timespec = "milliseconds" if at_ms % 1000 else "seconds"
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec=timespec)[:-6] + "Z"


def http_date(at_ms: int) -> str:
    """Return UTC milliseconds as an HTTP date (RFC 9110, 5.6.7), such as `Sun, 29 Mar 2026 12:00:00 GMT`."""
    # Not `email.utils.formatdate`, which takes ten times as long: each answer has one.
    year, month, day, hour, minute, second, weekday, _, _ = gmtime(at_ms // 1000)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
