"""Every request takes effect or is refused with its reason; those of other contracts map to them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from agent.climate import effective_setpoint, holds, model, requests
from agent.climate.effective_setpoint import EffectiveSetpoint
from agent.climate.model import Block, Eco, HoldKind, Mode, Schedule, Setpoints, ZoneProgram
from agent.climate.requests import (
    CancelHoldRequest,
    ClimateRequest,
    DropScheduleRequest,
    EcoRequest,
    FollowScheduleRequest,
    HoldRequest,
    PutScheduleRequest,
    ReportRequest,
    ResumeRequest,
    SetRequest,
    apply,
    check_mode,
    usable_modes,
)
from agent.climate.schedule import BLOCKS_MAX, build_timeline
from agent.errors import SettingInvalid
from agent.foundation.clock import Now

BERLIN = ZoneInfo("Europe/Berlin")
H = 3_600_000
NOON = int(datetime(2026, 1, 14, 11, tzinfo=UTC).timestamp() * 1000)
WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 27.0)))
PROGRAM = ZoneProgram(schedules={"week": WEEK}, schedule="week")


def at(hours: float, *, is_known: bool = True) -> Now:
    return Now("boot", int(100 * H + hours * H), int(NOON + hours * H) if is_known else None)


def done(
    *orders: ClimateRequest, program: ZoneProgram = PROGRAM, hours: float = 0.0, is_known: bool = True
) -> ZoneProgram:
    for number, order in enumerate(orders):
        program = apply(program, order, at(hours, is_known=is_known), BERLIN, new_id=f"id{number}")
    return program


def look(program: ZoneProgram, hours: float) -> EffectiveSetpoint:
    moment = at(hours)
    plan = None
    if program.active_schedule is not None and moment.utc_ms is not None:
        plan = build_timeline(program.active_schedule, utc_ms=moment.utc_ms, timezone=BERLIN)
    return effective_setpoint.resolve(holds.tidy(program, moment, plan), moment, plan, BERLIN)


def heat_c(program: ZoneProgram, *hours: float) -> list[float]:
    return [look(program, hour).setpoints.heat_setpoint_c for hour in hours]


def test_set_changes_mode_and_setpoints_one_by_one() -> None:
    assert done(SetRequest(mode=Mode.AUTO)).mode is Mode.AUTO
    assert done(SetRequest(heat_setpoint_c=25.5)).setpoints == Setpoints(25.5, 26.5)
    assert done(SetRequest(cool_setpoint_c=20.0)).setpoints == Setpoints(19.0, 20.0)
    assert done(SetRequest(heat_setpoint_c=18.0, cool_setpoint_c=30.0)).setpoints == Setpoints(18.0, 30.0)


def test_a_hold_until_a_time_of_day_in_the_house() -> None:
    program = done(HoldRequest(heat_setpoint_c=19.0, until="13:00"))
    assert heat_c(program, 0, 0.99, 1.0) == [19.0, 19.0, 21.0]
    tomorrow = done(HoldRequest(heat_setpoint_c=19.0, until="11:00"))
    assert heat_c(tomorrow, 22.9, 23.0) == [19.0, 21.0]


def test_a_hold_until_the_next_block() -> None:
    program = done(HoldRequest(heat_setpoint_c=19.0, until="next"))
    program = holds.tidy(program, at(0), build_timeline(WEEK, utc_ms=NOON, timezone=BERLIN))
    assert heat_c(program, 9.9, 10.0) == [19.0, 17.0]


def test_a_boost_without_the_time_counts_from_what_was_remembered() -> None:
    remembered = look(PROGRAM, 0.0)
    known = holds.tidy(PROGRAM, at(0.0), build_timeline(WEEK, utc_ms=NOON, timezone=BERLIN))
    boosted = done(HoldRequest(kind=HoldKind.BOOST), program=known, is_known=False)
    assert boosted.holds[-1].heat_setpoint_c == remembered.setpoints.heat_setpoint_c + 2.0


def test_a_boost_and_away_have_defaults() -> None:
    boosted = done(HoldRequest(kind=HoldKind.BOOST))
    assert heat_c(boosted, 0.0, 0.9, 1.0) == [23.0, 23.0, 21.0]
    away = done(HoldRequest(kind=HoldKind.AWAY, until="2026-01-20T18:00"))
    assert look(away, 100.0).setpoints == Setpoints(16.0, 28.0)
    assert look(away, 24 * 6 + 6.1).reason == "schedule"


def test_without_the_time_a_duration_works_and_a_time_is_refused() -> None:
    program = done(HoldRequest(heat_setpoint_c=19.0, for_s=3600.0), is_known=False)
    assert effective_setpoint.active_holds(program, at(0.9, is_known=False))
    assert not effective_setpoint.active_holds(program, at(1.0, is_known=False))
    assert program.holds[0].for_ms == H
    with pytest.raises(SettingInvalid, match="does not know the time"):
        done(HoldRequest(heat_setpoint_c=19.0, until="13:00"), is_known=False)


def test_eco_keeps_limits_that_are_not_given() -> None:
    program = done(EcoRequest(True, heat_limit_c=18.0), EcoRequest(False), EcoRequest(True))
    assert program.eco == Eco(is_enabled=True, heat_limit_c=18.0, cool_limit_c=model.ECO_COOL_LIMIT_C)


def test_schedules_can_be_added_and_removed() -> None:
    other = Schedule("holiday", (Block("All", "00:00", "00:00", 15.0, 30.0),))
    program = done(PutScheduleRequest(other))
    assert heat_c(program, 0) == [15.0]
    assert heat_c(done(FollowScheduleRequest("week"), program=program), 0) == [21.0]
    assert heat_c(done(FollowScheduleRequest(""), program=program), 0) == [20.0]
    dropped = done(DropScheduleRequest("holiday"), program=program)
    assert (dropped.schedule, list(dropped.schedules)) == ("", ["week"])
    assert done(PutScheduleRequest(other, is_followed=False)).schedule == "week"


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (SetRequest(), "nothing to set"),
        (SetRequest(heat_setpoint_c=3.0), "4 to 35"),
        (SetRequest(heat_setpoint_c=20.0, cool_setpoint_c=20.5), "1 K apart"),
        (HoldRequest(heat_setpoint_c=20.0, cool_setpoint_c=20.5), "1 K apart"),
        (HoldRequest(heat_setpoint_c=20.0, until="25:00"), "no time of day"),
        (HoldRequest(heat_setpoint_c=20.0, until="tomorrow"), "no time"),
        (HoldRequest(heat_setpoint_c=20.0, until="9999-12-31T23:59:59-05:00"), "no time between 1970 and 2200"),
        (HoldRequest(heat_setpoint_c=20.0, start="0001-01-01T00:00:00+01:00"), "no time between 1970 and 2200"),
        (HoldRequest(heat_setpoint_c=20.0, until="13:00", for_s=60.0), "not both"),
        (HoldRequest(heat_setpoint_c=20.0, for_s=1e9), "at most 31 days"),
        (HoldRequest(heat_setpoint_c=20.0, for_s=float("nan")), "at most 31 days"),
        (HoldRequest(heat_setpoint_c=20.0, for_s=-5.0), "more than 0 s"),
        (ReportRequest(), "nothing to report"),
        (HoldRequest(heat_setpoint_c=20.0, id="x" * 65), "64 characters"),
        (HoldRequest(heat_setpoint_c=20.0, id="\0" * 64), "cannot be printed"),
        (HoldRequest(heat_setpoint_c=20.0, until="2026-01-01T00:00"), "after now"),
        (HoldRequest(), "needs a setpoint"),
        (CancelHoldRequest("nothing"), "no hold nothing"),
        (EcoRequest(True, heat_limit_c=25.0, cool_limit_c=20.0), "1 K apart"),
        (PutScheduleRequest(Schedule("x", ())), "0 blocks"),
        (
            PutScheduleRequest(Schedule("x", (Block("b", "06:00", "07:00", 20, 26, sensors=("s",) * 17),))),
            "at most 16 sensors",
        ),
        (FollowScheduleRequest("nothing"), "no schedule nothing; there are week"),
        (DropScheduleRequest("nothing"), "no schedule nothing; there are week"),
    ],
)
def test_an_invalid_request_is_refused_with_its_reason(order: ClimateRequest, words: str) -> None:
    with pytest.raises(SettingInvalid, match=words):
        done(order)


def test_the_number_of_schedules_is_bounded() -> None:
    program = ZoneProgram()
    for number in range(requests.SCHEDULES_MAX):
        program = done(PutScheduleRequest(Schedule(str(number), WEEK.blocks)), program=program)
    with pytest.raises(SettingInvalid, match="there are 16 already"):
        done(PutScheduleRequest(WEEK), program=program)
    assert done(PutScheduleRequest(Schedule("3", WEEK.blocks)), program=program).schedule == "3"


def test_without_a_schedule_there_is_no_next_block() -> None:
    with pytest.raises(SettingInvalid, match="follows no schedule"):
        done(HoldRequest(heat_setpoint_c=20.0, until="next"), program=ZoneProgram())


def test_schedule_and_eco_of_aurra_are_accepted() -> None:
    """POST .../schedule and .../eco: whole degrees Fahrenheit, a night over midnight, days by name."""

    def c(degrees_f: int) -> float:
        return (degrees_f - 32) / 1.8

    body = {
        "do": "put_schedule",
        "schedule": {
            "name": "Weekday",
            "blocks": [
                {
                    "label": "Night",
                    "start": "22:00",
                    "end": "04:00",
                    "heat_setpoint_c": c(62),
                    "cool_setpoint_c": c(78),
                    "days": ["mon", "tue", "wed", "thu", "fri"],
                },
                {"label": "Day", "start": "04:00", "end": "22:00", "heat_setpoint_c": c(68), "cool_setpoint_c": c(75)},
            ],
        },
    }
    order = msgspec.json.decode(msgspec.json.encode(body), type=ClimateRequest)
    program = done(order, EcoRequest(True, c(62), c(78)))
    now = look(program, 0)
    assert (now.label, round(now.setpoints.heat_setpoint_c, 2), round(now.setpoints.cool_setpoint_c, 2)) == (
        "Day",
        16.67,
        25.56,
    )


def test_actions_of_amps_are_accepted() -> None:
    """Immediate, scheduled, windowed, idle, follow_schedule, cancel and replace: each is one order."""
    immediate = done(HoldRequest(mode=Mode.HEAT, heat_setpoint_c=21.5, id="a1"))
    assert heat_c(immediate, 0, 500) == [21.5, 21.5]
    scheduled = done(HoldRequest(mode=Mode.COOL, cool_setpoint_c=24.0, start="13:30", id="a2"), program=immediate)
    assert [look(scheduled, hours).mode for hours in (1.4, 1.5, 500)] == [Mode.HEAT, Mode.COOL, Mode.COOL]
    windowed = done(HoldRequest(heat_setpoint_c=23.0, start="13:00", until="14:00", id="a3"), program=immediate)
    assert heat_c(windowed, 0.9, 1.0, 1.9, 2.0) == [21.5, 23.0, 23.0, 21.5]
    replaced = done(
        CancelHoldRequest("a3"), HoldRequest(heat_setpoint_c=18.0, start="13:00", until="14:00"), program=windowed
    )
    assert heat_c(replaced, 1.0, 2.0) == [18.0, 21.5]
    idle = done(HoldRequest(mode=Mode.OFF), program=immediate)
    assert look(idle, 1).mode is Mode.OFF
    assert look(done(ResumeRequest(), program=idle), 1).reason == "schedule"


def test_schedules_beyond_what_the_file_holds_are_refused_and_the_rest_goes_on() -> None:
    blocks = (Block("\N{EURO SIGN}" * 64, "00:00", "23:59", 20.0, 26.0),) * BLOCKS_MAX
    with pytest.raises(SettingInvalid, match=r"drop a schedule.*112 KiB"):
        done(*(PutScheduleRequest(Schedule(str(number), blocks)) for number in range(requests.SCHEDULES_MAX - 1)))
    # A release before has taken more: it stays usable, and may be made smaller.
    large = msgspec.structs.replace(
        PROGRAM, schedules={str(number): Schedule(str(number), blocks) for number in range(requests.SCHEDULES_MAX)}
    )
    assert heat_c(done(FollowScheduleRequest("3"), HoldRequest(heat_setpoint_c=22.0), program=large), 0) == [22.0]
    smaller = done(PutScheduleRequest(Schedule("3", blocks[:1])), program=large)
    assert smaller.schedules["3"].blocks == blocks[:1]
    with pytest.raises(SettingInvalid, match="112 KiB"):
        done(PutScheduleRequest(Schedule("3", blocks)), program=smaller)


def test_repeated_boost_does_not_add_up() -> None:
    boosts = [HoldRequest(kind=HoldKind.BOOST)] * 4
    assert heat_c(done(*boosts), 0) == [23.0]
    assert heat_c(done(HoldRequest(heat_setpoint_c=19.0), *boosts), 0) == [21.0]
    assert heat_c(done(HoldRequest(kind=HoldKind.AWAY), *boosts), 0) == [18.0]


def test_a_hold_until_the_next_block_goes_by_the_schedule_that_is_followed() -> None:
    short = Schedule("short", (Block("A", "00:00", "15:00", 18.0, 26.0), Block("B", "15:00", "00:00", 16.0, 26.0)))
    held = kept(done(PutScheduleRequest(short, is_followed=False), HoldRequest(heat_setpoint_c=24.0, until="next")), 0)
    assert heat_c(held, 9.9, 10) == [24.0, 17.0]
    for order in (FollowScheduleRequest("short"), PutScheduleRequest(Schedule("week", short.blocks))):
        changed = kept(done(order, program=held, hours=1), 1)
        assert heat_c(changed, 2.9, 3) == [24.0, 16.0]
        assert heat_c(
            kept(done(FollowScheduleRequest("week"), PutScheduleRequest(WEEK), program=changed, hours=1), 1), 9.9
        ) == [24.0]
    # Without any schedule it ends as it would have, and what is over does not come back.
    assert heat_c(kept(done(FollowScheduleRequest(""), program=held, hours=1), 1), 9.9, 10) == [24.0, 20.0]
    assert heat_c(done(FollowScheduleRequest("short"), program=held, hours=10), 10) == [16.0]


def test_holds_with_another_end_ignore_the_schedule() -> None:
    held = done(HoldRequest(heat_setpoint_c=24.0, until="18:00"))
    assert done(PutScheduleRequest(Schedule("week", WEEK.blocks[:1])), program=held).holds == held.holds


def kept(program: ZoneProgram, hours: float) -> ZoneProgram:
    """Return the program as the loop leaves it."""
    moment = at(hours)
    plan = None
    if program.active_schedule is not None and moment.utc_ms is not None:
        plan = build_timeline(program.active_schedule, utc_ms=moment.utc_ms, timezone=BERLIN)
    return holds.tidy(program, moment, plan)


@pytest.mark.parametrize(
    ("can_heat", "can_cool", "usable"),
    [
        (True, True, [Mode.HEAT, Mode.COOL, Mode.AUTO, Mode.OFF]),
        (True, False, [Mode.HEAT, Mode.AUTO, Mode.OFF]),
        (False, True, [Mode.COOL, Mode.AUTO, Mode.OFF]),
        (False, False, [Mode.OFF]),
    ],
)
def test_a_mode_that_the_equipment_cannot_do_is_refused(*, can_heat: bool, can_cool: bool, usable: list[Mode]) -> None:
    known = usable_modes(can_heat=can_heat, can_cool=can_cool)
    assert list(known) == usable
    for mode in Mode:
        for request in (SetRequest(mode=mode), HoldRequest(mode=mode)):
            if mode in usable:
                check_mode(request, known, "bath")
                continue
            with pytest.raises(SettingInvalid, match=f"choose .*off: the equipment of bath cannot do {mode}"):
                check_mode(request, known, "bath")
    check_mode(SetRequest(heat_setpoint_c=20.0), known, "bath")
