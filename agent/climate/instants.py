"""Instants as people write them: a time of day, a day of the week with one, or a date with one. Pure.

Times without an offset are those of the house.
"""

from datetime import UTC, datetime, timedelta, tzinfo

from agent.climate import schedule
from agent.climate.model import WEEK
from agent.errors import SettingInvalid
from agent.foundation import rfc3339
from agent.foundation.clock import Now
from agent.foundation.text import quote

DAY_LETTERS = 3
"""A day of the week is known by its first letters: sun, Sunday."""


def instant_ms(text: str, now: Now, timezone: tzinfo, *, after_ms: int | None = None) -> int:
    """Return the instant that a person means.

    Args:
        text: "18:00" and "sun 18:00" mean the first such time after `after_ms`, or after now; anything else is
            ISO 8601, without an offset in the time of the house.
        now: The present instant.
        timezone: Of the house.
        after_ms: A time of day lies after this.

    Raises:
        SettingInvalid: It is no time, or the present one is not known.
    """
    if now.utc_ms is None:
        raise SettingInvalid("give a duration, or check the hub's network: it does not know the time yet")
    name, _, clock = text.strip().rpartition(" ")
    if len(clock) == 5 and clock[2] == ":":  # noqa: PLR2004 - HH:MM
        weekday = _weekday(name, text) if name else None
        return _first_ms(_minute(clock), weekday, now.utc_ms if after_ms is None else after_ms, timezone)
    try:
        at = datetime.fromisoformat(text)
        return rfc3339.to_utc_ms(at if at.tzinfo else at.replace(tzinfo=timezone))
    except ValueError as error:
        problem = f"is no time {rfc3339.BOUNDS}: use HH:MM, sun 18:00 or 2026-01-31T18:00"
        raise SettingInvalid(f"{quote(text)} {problem}") from error


def _minute(clock: str) -> int:
    if clock.replace(":", "").isdecimal() and int(clock[:2]) < 24 and int(clock[3:]) < 60:  # noqa: PLR2004 - a clock's face
        return int(clock[:2]) * 60 + int(clock[3:])
    raise SettingInvalid(f'"{clock}" is no time of day')


def _weekday(name: str, text: str) -> int:
    day = name.strip().lower()
    found = [i for i, each in enumerate(WEEK) if day.startswith(each.value) and len(day) >= DAY_LETTERS]
    if not found:
        raise SettingInvalid(f"{quote(text)} begins with no day of the week: use mon, tue, wed, thu, fri, sat or sun")
    return found[0]


def _first_ms(minute: int, weekday: int | None, after_ms: int, timezone: tzinfo) -> int:
    today = datetime.fromtimestamp(after_ms / 1000, UTC).astimezone(timezone).date()
    days = (today + timedelta(days=ahead) for ahead in range(9))
    instants = (
        schedule.instant_utc_ms(day, minute, timezone) for day in days if weekday is None or day.weekday() == weekday
    )
    return next(instant_ms for instant_ms in instants if instant_ms > after_ms)
