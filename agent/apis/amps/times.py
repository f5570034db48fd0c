"""The times of a push: `start` and `end` in three forms, and what a window may be. Pure.

ISO 8601 with `Z` or an offset, wall-clock time of the house without either, or a duration from now ("30m", "1.5h").
The older pages of Amps demand a zone and the newer ones forbid it: a facade takes all three and answers UTC.
"""

import re
from datetime import datetime, tzinfo

from agent.apis.amps import assumptions
from agent.apis.amps.refusals import AmpsRefused
from agent.foundation import rfc3339
from agent.foundation.text import quote

_DURATION = re.compile(r"(\d{1,5}(?:\.\d{1,2})?)([mh])", re.ASCII)
_UNIT_MS = {"m": 60_000, "h": 3_600_000}
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}.*", re.ASCII)
_TEXT_CHARACTERS_MAX = 40
_HORIZON_MS = assumptions.HORIZON_DAYS * 86_400_000


def parse(name: str, text: str, *, now_utc_ms: int, timezone: tzinfo) -> int:
    """Return an instant in milliseconds since 1970.

    Args:
        name: "start" or "end", for the message.
        text: As sent.
        now_utc_ms: The present instant.
        timezone: Of the house. A wall-clock time that a change of the clocks skips counts by the offset before it; of
            one that comes twice, the first counts.

    Raises:
        AmpsRefused: It is none of the three forms; INVALID_TIME_WINDOW.
    """
    if match := _DURATION.fullmatch(text):
        return now_utc_ms + round(float(match[1]) * _UNIT_MS[match[2]])
    try:
        if len(text) > _TEXT_CHARACTERS_MAX or not _DATE_TIME.fullmatch(text):
            raise ValueError("no date and time")
        moment = datetime.fromisoformat(text)
        return rfc3339.to_utc_ms(moment if moment.tzinfo else moment.replace(tzinfo=timezone))
    except ValueError as error:
        details = {"reason": assumptions.TIME_NOT_UNDERSTOOD, "parameter": name}
        message = f'Give `{name}` as 2026-06-10T22:00:00, with or without Z, or as "30m": {quote(text)} is neither.'
        raise AmpsRefused("INVALID_TIME_WINDOW", message, details) from error


def check_window(
    start: str | None, end: str | None, *, now_utc_ms: int, timezone: tzinfo
) -> tuple[int | None, int | None]:
    """Return both instants of a push; `None` for what it does not have.

    Args:
        start: As sent.
        end: As sent.
        now_utc_ms: The present instant.
        timezone: Of the house.

    Raises:
        AmpsRefused: INVALID_TIME_WINDOW, START_IN_PAST or START_OUT_OF_RANGE.
    """
    if start is None:
        if end is not None:
            raise _invalid(assumptions.END_WITHOUT_START, "Give `start` as well: a window has both.")
        return None, None
    start_ms = parse("start", start, now_utc_ms=now_utc_ms, timezone=timezone)
    end_ms = None if end is None else parse("end", end, now_utc_ms=now_utc_ms, timezone=timezone)
    details = {"parameter": "start", "value": start}
    if start_ms <= now_utc_ms:
        raise AmpsRefused("START_IN_PAST", "Give a `start` in the future, or none for now.", details)
    if start_ms > now_utc_ms + _HORIZON_MS:
        message = f"Give a `start` within {assumptions.HORIZON_DAYS} days."
        raise AmpsRefused("START_OUT_OF_RANGE", message, details)
    if end_ms is not None and end_ms <= start_ms:
        raise _invalid(assumptions.END_NOT_AFTER_START, "Give an `end` after `start`.")
    if end_ms is not None and end_ms > start_ms + _HORIZON_MS:
        message = f"Give an `end` within {assumptions.HORIZON_DAYS} days of `start`."
        raise _invalid(assumptions.END_OUT_OF_RANGE, message)
    return start_ms, end_ms


def _invalid(reason: str, message: str) -> AmpsRefused:
    return AmpsRefused("INVALID_TIME_WINDOW", message, {"reason": reason, "parameter": "end"})
