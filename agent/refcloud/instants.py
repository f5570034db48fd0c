"""RFC 3339 text to UTC milliseconds and back. Pure. Must never read a clock."""

import re
from datetime import UTC, date, datetime, timedelta
from email.utils import formatdate

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_HOURS = 24
_SIXTY = 60
_MS_DIGITS = 3


def parse_ms(text: str) -> int:
    """Return the UTC milliseconds since 1970 of an RFC 3339 date-time.

    Any offset is taken and turned into UTC; a time without one is refused, for nobody knows what it means. Up to nine
    digits of fraction are read, and those beyond the third must be zero: the store keeps milliseconds, and rounding
    would let two instants fall together in the natural key. A leap second (`:60`) is refused, since UTC milliseconds
    have no place for it.

    Raises:
        ValueError: With what is wrong, in words for the client.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        msg = "not an RFC 3339 date-time with an offset, such as 2026-03-29T12:00:00Z"
        raise ValueError(msg)
    day, hour_text, minute_text, second_text, fraction, sign, offset_h, offset_min = match.groups()
    hour, minute, second = int(hour_text), int(minute_text), int(second_text)
    if hour >= _HOURS or minute >= _SIXTY or second >= _SIXTY:
        msg = "no such time of day"
        raise ValueError(msg)
    try:
        days = date.fromisoformat(day).toordinal() - _EPOCH_DAY
    except ValueError:
        msg = "no such day"
        raise ValueError(msg) from None
    at_ms = ((days * 24 + hour) * 3600 + minute * 60 + second) * 1000
    if fraction is not None:
        if fraction[_MS_DIGITS:].strip("0"):
            msg = "finer than a millisecond"
            raise ValueError(msg)
        at_ms += int(fraction[:_MS_DIGITS].ljust(_MS_DIGITS, "0"))
    if sign is None:
        return at_ms
    if int(offset_h) >= _HOURS or int(offset_min) >= _SIXTY:
        msg = "no such offset"
        raise ValueError(msg)
    offset_ms = (int(offset_h) * 3600 + int(offset_min) * 60) * 1000
    return at_ms - offset_ms if sign == "+" else at_ms + offset_ms


def format_ms(at_ms: int) -> str:
    """Return UTC milliseconds as RFC 3339 with `Z`; whole seconds without a fraction, as in the published samples.

    Raises:
        OverflowError: Outside the years 1 to 9999.
    """
    timespec = "milliseconds" if at_ms % 1000 else "seconds"
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec=timespec)[:-6] + "Z"


def http_date(at_ms: int) -> str:
    """Return UTC milliseconds as an HTTP date (RFC 9110, 5.6.7), such as `Sun, 29 Mar 2026 12:00:00 GMT`."""
    return formatdate(at_ms // 1000, usegmt=True)
