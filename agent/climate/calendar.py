"""The calendar of a zone: dates that follow the schedule of another day of the week, such as holidays. Pure.

A block that crosses midnight belongs to the day on which it starts. Times away are holds, not dates (`holds`).
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, tzinfo

import msgspec

from agent.climate.model import WEEK, Day, DayException, ZoneProgram
from agent.errors import SettingInvalid
from agent.foundation.clock import Now
from agent.foundation.text import quote

EXCEPTIONS_MAX = 32
"""Of one zone: the public holidays of a year and some weeks of vacation."""

SPAN_DAYS_MAX = 366
"""The longest exception."""


def day_of(day: date, exceptions: Sequence[DayException]) -> Day:
    """Return the day of the week whose blocks a date follows; the exception that was made last wins."""
    text = day.isoformat()
    for exception in reversed(exceptions):
        # ISO dates are in order as texts too.
        if exception.first <= text <= exception.last:
            return exception.as_day
    return WEEK[day.weekday()]


def with_exception(
    program: ZoneProgram, first: str, last: str, as_day: Day | None, now: Now, timezone: tzinfo
) -> ZoneProgram:
    """Return a program whose dates follow another day, or their own again. Those of the past are dropped.

    Args:
        program: Of the zone.
        first: The first date, as 2026-12-24.
        last: The last date; empty for `first`.
        as_day: The day whose blocks count; `None` takes back every exception that has one of these dates.
        now: The present instant.
        timezone: Of the house.

    Raises:
        SettingInvalid: A date is none, the last one is before the first or long after it, or there are too many.
    """
    begin, end = _date(first), _date(last or first)
    if not 0 <= (end - begin).days <= SPAN_DAYS_MAX:
        raise SettingInvalid(f"give a last date within {SPAN_DAYS_MAX} days after the first")
    first, last = begin.isoformat(), end.isoformat()
    kept = [each for each in program.exceptions if not _is_past(each, now, timezone)]
    if as_day is None:
        kept = [each for each in kept if each.last < first or each.first > last]
    else:
        kept = [each for each in kept if not first <= each.first <= each.last <= last]
        if len(kept) >= EXCEPTIONS_MAX:
            raise SettingInvalid(f"take back an exception first: the calendar has {EXCEPTIONS_MAX} already")
        kept.append(DayException(first, last, as_day))
    return msgspec.structs.replace(program, exceptions=tuple(kept))


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingInvalid(f"{quote(text)} is no date: write 2026-12-24") from error


def _is_past(exception: DayException, now: Now, timezone: tzinfo) -> bool:
    """Return whether no block of an exception is in force any more: the last one may go on for a day."""
    if now.utc_ms is None:
        return False
    today = datetime.fromtimestamp(now.utc_ms / 1000, UTC).astimezone(timezone).date()
    return (today - _date(exception.last)).days > 1
