"""The known time of day, its error bound, and the choice between two sources. Pure.

An estimate maps the boot's time to UTC within an error bound, which grows as time passes. It is never dropped: a clock
that was right once in this boot is wrong by seconds after days. Must never read a clock.
"""

import re
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

DRIFT_PPM = 500
"""The maximum drift of an uncorrected clock, as the kernel assumes it (MAXFREQ, kernel/time/ntp.c)."""

EARLIEST_UTC_MS = 1_767_225_600_000
"""2026-01-01: a source that names an earlier instant is wrong; a clock without a battery starts in 1970 or 2000."""
LATEST_UTC_MS = 7_258_118_400_000
"""2200-01-01."""

SERVER_ERROR_MS = 500
"""The error bound of a cloud's own clock: servers use NTP."""
DATE_STEP_MS = 1000
"""An HTTP date has whole seconds (RFC 9110, 5.6.7)."""

RTC_ERROR_MS = 300_000
"""Five minutes: 35 days without a correction at the 100 ppm of a cheap crystal in the cold."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_IMF_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) (" + "|".join(_MONTHS) + r") (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT"
)


class TimeSource(StrEnum):
    """The source of an estimate."""

    NTP = "ntp"
    CLOUD = "cloud"
    RTC = "rtc"


_RANK = {TimeSource.NTP: 3, TimeSource.CLOUD: 2, TimeSource.RTC: 1}


class TimeEstimate(msgspec.Struct, frozen=True):
    """The UTC of one moment of a boot.

    Attributes:
        at_ms: The moment, in milliseconds since the boot.
        utc_ms: Its UTC, in milliseconds since 1970.
        error_ms: The error bound at that moment.
        source: Where it comes from.
    """

    at_ms: int
    utc_ms: int
    error_ms: int
    source: TimeSource

    def utc_at(self, now_ms: int) -> int:
        """Return the UTC of another moment of the same boot."""
        return self.utc_ms + now_ms - self.at_ms

    def error_at(self, now_ms: int) -> int:
        """Return the error bound of `utc_at`, in milliseconds."""
        return self.error_ms + max(0, now_ms - self.at_ms) * DRIFT_PPM // 1_000_000

    def agrees_with(self, other: "TimeEstimate") -> bool:
        """Tell whether both can be right: they differ by no more than the sum of their bounds."""
        now_ms = max(self.at_ms, other.at_ms)
        difference_ms = abs(self.utc_at(now_ms) - other.utc_at(now_ms))
        return difference_ms <= self.error_at(now_ms) + other.error_at(now_ms)


def revise(known: TimeEstimate | None, offered: TimeEstimate) -> TimeEstimate:
    """Return the estimate to use, given the known one and an offer.

    An offer from a worse source (in the order NTP, cloud, RTC) that contradicts the known time is ignored. Two that can
    both be right keep the time and reduce its bound, unless the known time is outside the bound of a more exact offer:
    then it has drifted, and the offer is used.
    """
    if known is None:
        return offered
    now_ms = offered.at_ms
    if not known.agrees_with(offered):
        return known if _RANK[offered.source] < _RANK[known.source] else offered
    error_ms, known_utc_ms = known.error_at(now_ms), known.utc_at(now_ms)
    if offered.error_ms >= error_ms:
        return known
    difference_ms = abs(known_utc_ms - offered.utc_ms)
    if difference_ms > offered.error_ms:
        return offered
    return TimeEstimate(now_ms, known_utc_ms, min(error_ms, difference_ms + offered.error_ms), known.source)


def from_server(date_utc_ms: int, *, round_trip_ms: int, at_ms: int) -> TimeEstimate:
    """Return the estimate from a response's `Date`.

    Args:
        date_utc_ms: The header; the server wrote it between request and response, and truncated it to the second.
        round_trip_ms: From the request to the answer.
        at_ms: When the answer came, in milliseconds since the boot.
    """
    half_ms = (round_trip_ms + DATE_STEP_MS) // 2
    return TimeEstimate(at_ms, date_utc_ms + half_ms, half_ms + SERVER_ERROR_MS, TimeSource.CLOUD)


def is_plausible(utc_ms: int) -> bool:
    """Tell whether an instant can be the present."""
    return EARLIEST_UTC_MS <= utc_ms < LATEST_UTC_MS


def http_date_ms(text: str) -> int | None:
    """Return the instant of an HTTP date in the form that servers must send (RFC 9110, 5.6.7); `None` for any other."""
    match = _IMF_DATE.fullmatch(text)
    if match is None or not text.isascii():
        return None
    day, month, year, hour, minute, second = match.groups()
    try:
        moment = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC
        )
    except ValueError:
        return None
    return int(moment.timestamp()) * 1000
