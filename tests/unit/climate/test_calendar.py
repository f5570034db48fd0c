"""The calendar: dates that follow another day of the week, and how they are set and taken back."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from agent.climate import requests
from agent.climate.calendar import EXCEPTIONS_MAX, day_of, with_exception
from agent.climate.controller import ClimateController
from agent.climate.model import WEEK, Block, Day, DayException, Schedule, Until, ZoneProgram
from agent.climate.requests import CalendarRequest, HoldRequest
from agent.climate.settings import ClimateSettings, ZoneSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.errors import SettingInvalid
from agent.foundation.clock import Now

BERLIN = ZoneInfo("Europe/Berlin")
SHIFT = Schedule(
    "week",
    (
        Block("Work", "06:00", "22:00", 21.0, 27.0, WEEK[:5]),
        Block("Rest", "09:00", "23:00", 20.0, 27.0, WEEK[5:]),
        Block("Night", "22:00", "06:00", 17.0, 28.0, WEEK[:5]),
        Block("Late night", "23:00", "09:00", 16.0, 28.0, WEEK[5:]),
    ),
)
PROGRAM = ZoneProgram(schedules={"week": SHIFT}, schedule="week")


def at(text: str) -> Now:
    utc_ms = int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp() * 1000)
    return Now("boot", utc_ms - 1_790_000_000_000, utc_ms)


NOW = at("2026-12-20T12:00")


def label(program: ZoneProgram, text: str) -> str:
    settings = ClimateSettings(zones=(ZoneSettings(zone_id="z"),))
    control = ClimateController(settings, ClimateSnapshot(), at(text))
    control.set_program("z", program)
    return control.zones["z"].resolve_setpoint(at(text), BERLIN).label


def with_christmas(program: ZoneProgram = PROGRAM) -> ZoneProgram:
    return with_exception(program, "2026-12-24", "2026-12-25", Day.SUN, NOW, BERLIN)


def test_dates_follow_another_day_and_the_days_around_them_their_own() -> None:
    program = with_christmas()
    assert label(program, "2026-12-23T07:00") == "Work"
    # The night before belongs to the day on which it starts, and lasts until the first block of the Sunday.
    assert label(program, "2026-12-24T05:00") == "Night"
    assert label(program, "2026-12-24T07:00") == "Night"
    assert label(program, "2026-12-24T22:30") == "Rest"
    assert label(program, "2026-12-25T08:00") == "Late night"
    assert label(program, "2026-12-28T10:00") == "Work"
    assert label(PROGRAM, "2026-12-24T07:00") == "Work"


def test_a_change_is_in_force_at_once() -> None:
    settings = ClimateSettings(zones=(ZoneSettings(zone_id="z"),))
    control = ClimateController(settings, ClimateSnapshot(), at("2026-12-24T07:00"))
    control.set_program("z", PROGRAM)
    zone = control.zones["z"]
    assert zone.resolve_setpoint(at("2026-12-24T07:00"), BERLIN).label == "Work"
    control.set_program("z", with_christmas(zone.program))
    assert zone.resolve_setpoint(at("2026-12-24T07:01"), BERLIN).label == "Night"


def test_the_exception_that_was_made_last_wins() -> None:
    entries = [DayException("2026-12-20", "2026-12-31", Day.SUN), DayException("2026-12-24", "2026-12-24", Day.MON)]
    assert day_of(date(2026, 12, 24), entries) is Day.MON
    assert day_of(date(2026, 12, 25), entries) is Day.SUN
    assert day_of(date(2027, 1, 1), entries) is Day.FRI


def test_one_that_a_new_one_covers_is_replaced_and_dates_are_taken_back() -> None:
    program = with_exception(with_christmas(), "2026-12-23", "2026-12-26", Day.SAT, NOW, BERLIN)
    assert program.exceptions == (DayException("2026-12-23", "2026-12-26", Day.SAT),)
    assert with_exception(program, "2026-12-27", "", None, NOW, BERLIN) == program
    assert with_exception(program, "2026-12-25", "", None, NOW, BERLIN).exceptions == ()


def test_those_of_the_past_go_when_one_is_added() -> None:
    later = with_exception(with_christmas(), "2027-04-02", "", Day.SUN, at("2026-12-26T12:00"), BERLIN)
    assert len(later.exceptions) == 2
    later = with_exception(with_christmas(), "2027-04-02", "", Day.SUN, at("2026-12-27T12:00"), BERLIN)
    assert later.exceptions == (DayException("2027-04-02", "2027-04-02", Day.SUN),)
    unknown = with_exception(with_christmas(), "2027-04-02", "", Day.SUN, Now("boot", 0, None), BERLIN)
    assert len(unknown.exceptions) == 2


@pytest.mark.parametrize(
    ("first", "last", "problem"),
    [
        ("24.12.2026", "", "is no date"),
        ("2026-12-24", "2026-12-23", "a last date"),
        ("2026-12-24", "2028-12-24", "a last date"),
    ],
)
def test_wrong_dates_are_refused(first: str, last: str, problem: str) -> None:
    with pytest.raises(SettingInvalid, match=problem):
        with_exception(PROGRAM, first, last, Day.SUN, NOW, BERLIN)


def test_the_calendar_has_a_limit() -> None:
    program = PROGRAM
    for number in range(EXCEPTIONS_MAX):
        program = with_exception(program, f"2027-{number % 12 + 1:02}-{number // 12 + 1:02}", "", Day.SUN, NOW, BERLIN)
    with pytest.raises(SettingInvalid, match="take back an exception first"):
        with_exception(program, "2027-06-20", "", Day.SUN, NOW, BERLIN)


def test_the_request_and_the_hold_until_the_next_block() -> None:
    held = requests.apply(PROGRAM, HoldRequest(heat_setpoint_c=19.0, until="next"), NOW, BERLIN, new_id="h")
    body = b'{"do": "calendar", "first": "2026-12-24", "as_day": "sun"}'
    request = requests.decode(body)
    assert request == CalendarRequest("2026-12-24", as_day=Day.SUN)
    ended = msgspec.structs.replace(
        held, holds=tuple(msgspec.structs.replace(hold, end_utc_ms=NOW.utc_ms) for hold in held.holds)
    )
    changed = requests.apply(ended, request, at("2026-12-20T11:00"), BERLIN, new_id="")
    assert changed.exceptions == (DayException("2026-12-24", "2026-12-24", Day.SUN),)
    assert [(hold.until, hold.end_utc_ms) for hold in changed.holds] == [(Until.NEXT_BLOCK, None)]
