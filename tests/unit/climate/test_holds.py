"""Holds before, during and after their time, and the setpoints in force."""

from datetime import UTC, datetime

import msgspec
import pytest

from agent.climate.effective_setpoint import EffectiveSetpoint, resolve
from agent.climate.holds import HOLDS_MAX, reset_block_ends, resume, tidy, with_hold, without_hold
from agent.climate.model import (
    Block,
    Eco,
    Hold,
    HoldKind,
    Mode,
    Schedule,
    Setpoints,
    Until,
    ZoneProgram,
    separate_setpoints,
)
from agent.climate.schedule import build_timeline
from agent.errors import SettingInvalid
from agent.foundation.clock import Now

WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 27.0)))
PROGRAM = ZoneProgram(schedules={"week": WEEK}, schedule="week")
H = 3_600_000
NOON = int(datetime(2026, 1, 14, 12, tzinfo=UTC).timestamp() * 1000)


def at(hours: float, *, is_known: bool = True, boot: str = "boot") -> Now:
    """Return a moment so many hours after noon."""
    return Now(boot, int(100 * H + hours * H), int(NOON + hours * H) if is_known else None)


def look(program: ZoneProgram, moment: Now) -> EffectiveSetpoint:
    utc_ms, active_schedule = moment.utc_ms, program.active_schedule
    plan = (
        build_timeline(active_schedule, utc_ms=utc_ms, timezone=UTC) if active_schedule and utc_ms is not None else None
    )
    return resolve(tidy(program, moment, plan), moment, plan)


def tidied_at(program: ZoneProgram, moment: Now) -> ZoneProgram:
    """Return the program as the loop leaves it."""
    assert program.active_schedule
    plan = (
        None if moment.utc_ms is None else build_timeline(program.active_schedule, utc_ms=moment.utc_ms, timezone=UTC)
    )
    return tidy(program, moment, plan)


def heat_c(program: ZoneProgram, hours: float) -> float:
    return look(program, at(hours)).setpoints.heat_setpoint_c


def test_the_schedule_is_in_force_until_its_next_block() -> None:
    now = look(PROGRAM, at(0))
    assert (now.reason, now.label, now.setpoints, now.until_utc_ms) == (
        "schedule",
        "Day",
        Setpoints(21.0, 26.0),
        NOON + 10 * H,
    )
    assert now.text == "schedule, Day, until Wed 22:00"


def test_without_a_schedule_its_own_setpoints_are_in_force() -> None:
    now = look(ZoneProgram(setpoints=Setpoints(19.0, 25.0)), at(0))
    assert (now.reason, now.setpoints, now.until_utc_ms) == ("default", Setpoints(19.0, 25.0), None)


def test_a_permanent_hold_stays_until_resumed() -> None:
    program = with_hold(PROGRAM, Hold("a", heat_setpoint_c=23.0), at(0))
    assert [heat_c(program, hours) for hours in (0, 11, 1000)] == [23.0, 23.0, 23.0]
    assert heat_c(resume(program, at(1)), 1) == 21.0


def test_a_hold_until_the_next_block_ends_with_it() -> None:
    program = with_hold(PROGRAM, Hold("a", heat_setpoint_c=23.0, until=Until.NEXT_BLOCK), at(0))
    program = tidy(program, at(0), build_timeline(WEEK, utc_ms=NOON, timezone=UTC))
    assert [heat_c(program, hours) for hours in (0, 9.9, 10)] == [23.0, 23.0, 17.0]


def test_timed_hold_returns_to_the_setpoints_before_it() -> None:
    program = with_hold(PROGRAM, Hold("base", heat_setpoint_c=19.0), at(0))
    window = Hold("w", heat_setpoint_c=24.0, until=Until.TIME, start_utc_ms=NOON + H, end_utc_ms=NOON + 2 * H)
    program = with_hold(program, window, at(0))
    assert [heat_c(program, hours) for hours in (0.5, 1, 1.9, 2, 3)] == [19.0, 24.0, 24.0, 19.0, 19.0]
    assert look(program, at(0.5)).until_utc_ms == NOON + H


def test_a_scheduled_hold_begins_at_its_time_and_stays() -> None:
    program = with_hold(PROGRAM, Hold("later", heat_setpoint_c=24.0, start_utc_ms=NOON + H), at(0))
    program = with_hold(program, Hold("now", heat_setpoint_c=19.0), at(0.1))
    assert [heat_c(program, hours) for hours in (0.5, 1, 50)] == [19.0, 24.0, 24.0]


def test_a_planned_hold_is_cancelled_or_replaced_by_its_id() -> None:
    program = with_hold(PROGRAM, Hold("p", heat_setpoint_c=24.0, start_utc_ms=NOON + H), at(0))
    replaced = with_hold(program, Hold("p", heat_setpoint_c=22.0, start_utc_ms=NOON + H), at(0))
    assert heat_c(replaced, 1) == 22.0
    assert heat_c(without_hold(program, "p"), 1) == 21.0
    with pytest.raises(KeyError):
        without_hold(program, "q")


def test_resuming_the_schedule_keeps_planned_holds() -> None:
    program = with_hold(PROGRAM, Hold("p", heat_setpoint_c=24.0, start_utc_ms=NOON + H), at(0))
    program = with_hold(program, Hold("now", heat_setpoint_c=19.0), at(0))
    assert [hold.id for hold in resume(program, at(0)).holds] == ["p"]


def test_new_hold_replaces_the_present_one() -> None:
    program = PROGRAM
    for degrees in range(10, 30):
        program = with_hold(program, Hold(str(degrees), heat_setpoint_c=float(degrees)), at(0))
    assert [hold.id for hold in program.holds] == ["29"]


def test_boost_takes_precedence_over_away_and_away_over_hold() -> None:
    program = with_hold(PROGRAM, Hold("away", HoldKind.AWAY, 16.0, 28.0), at(0))
    program = with_hold(program, Hold("h", heat_setpoint_c=19.0), at(0.1))
    assert heat_c(program, 0.1) == 16.0
    boost = Hold("b", HoldKind.BOOST, 23.0, until=Until.TIME, end_boot="boot", end_ms=101 * H, end_utc_ms=NOON + H)
    program = with_hold(program, boost, at(0.2))
    assert [heat_c(program, hours) for hours in (0.5, 1.0)] == [23.0, 16.0]


def test_duration_ignores_a_clock_change() -> None:
    boost = Hold("b", HoldKind.BOOST, 23.0, until=Until.TIME, end_boot="boot", end_ms=101 * H, end_utc_ms=NOON + H)
    program = with_hold(PROGRAM, boost, at(0))
    stepped = Now("boot", 100 * H + H // 2, NOON + 9 * H)
    found = look(program, stepped)
    assert (found.reason, found.until_utc_ms) == ("boost", NOON + 9 * H + H // 2)


def test_remaining_duration_is_shown_while_the_time_is_unknown() -> None:
    boost = Hold("b", HoldKind.BOOST, 23.0, until=Until.TIME, end_boot="boot", end_ms=101 * H)
    found = look(with_hold(PROGRAM, boost, at(0, is_known=False)), at(0.9, is_known=False))
    assert (found.until_utc_ms, found.text) == (None, "boost, 6 min more")


def test_after_a_reboot_without_the_time_a_boost_is_over_and_a_hold_goes_on() -> None:
    boost = Hold("b", HoldKind.BOOST, 23.0, until=Until.TIME, end_boot="boot", end_ms=101 * H, end_utc_ms=NOON + H)
    hold = Hold("h", heat_setpoint_c=19.0, until=Until.TIME, end_utc_ms=NOON + H)
    assert look(with_hold(PROGRAM, boost, at(0)), at(0.1, is_known=False, boot="next")).reason == "remembered"
    assert look(with_hold(PROGRAM, hold, at(0)), at(0.1, is_known=False, boot="next")).reason == "hold"


def test_last_setpoints_stay_in_force_while_the_time_is_unknown() -> None:
    plan = build_timeline(WEEK, utc_ms=NOON, timezone=UTC)
    program = tidy(PROGRAM, at(0), plan)
    now = look(program, at(5, is_known=False, boot="next"))
    assert (now.reason, now.setpoints.heat_setpoint_c, now.until_utc_ms) == ("remembered", 21.0, None)
    assert now.text == "time unknown: setpoints unchanged (Day)"
    assert look(PROGRAM, at(0, is_known=False)).setpoints == PROGRAM.setpoints


def test_active_sensors_of_the_last_block_stay_while_the_time_is_unknown() -> None:
    blocks = (
        Block("Day", "06:00", "22:00", 21.0, 26.0),
        Block("Night", "22:00", "06:00", 17.0, 27.0, sensors=("bedroom",)),
    )
    program = ZoneProgram(schedules={"w": Schedule("w", blocks)}, schedule="w")
    without = at(20, is_known=False, boot="next")
    assert look(tidied_at(program, at(11)), without).sensors == ("bedroom",)
    # Also those of a day block that is like the night's but for them.
    assert look(tidied_at(tidied_at(program, at(11)), at(18)), without).sensors == ()
    held = with_hold(tidied_at(program, at(11)), Hold("h", heat_setpoint_c=19.0), at(11))
    assert look(held, without).sensors == ("bedroom",)


def test_block_saved_by_an_older_release_is_read() -> None:
    kept = b'{"last":{"setpoints":{"heat_setpoint_c":17.0,"cool_setpoint_c":27.0},"label":"Night"},"schedule":"week"}'
    program = msgspec.structs.replace(msgspec.json.decode(kept, type=ZoneProgram), schedules={"week": WEEK})
    found = look(program, at(0, is_known=False))
    assert (found.reason, found.setpoints.heat_setpoint_c, found.sensors) == ("remembered", 17.0, ())


@pytest.mark.parametrize(
    ("asked", "effective"),
    [(Setpoints(21.0, 24.0), Setpoints(17.0, 25.5)), (Setpoints(15.0, 27.0), Setpoints(15.0, 27.0))],
)
def test_eco_limits_the_requested_setpoints(asked: Setpoints, effective: Setpoints) -> None:
    program = ZoneProgram(setpoints=asked, eco=Eco(is_enabled=True, heat_limit_c=17.0, cool_limit_c=25.5))
    now = look(program, at(0))
    assert now.setpoints == effective
    assert now.is_eco == (asked != effective)
    assert ("bounded by eco" in now.text) == now.is_eco


def test_a_hold_may_change_the_mode_alone() -> None:
    program = with_hold(PROGRAM, Hold("idle", mode=Mode.OFF), at(0))
    now = look(program, at(0))
    assert (now.mode, now.setpoints.heat_setpoint_c) == (Mode.OFF, 21.0)


def test_setpoints_of_different_origin_are_kept_apart() -> None:
    assert separate_setpoints(25.0, 24.0, keep=Mode.HEAT) == Setpoints(25.0, 26.0)
    assert separate_setpoints(25.0, 24.0, keep=Mode.COOL) == Setpoints(23.0, 24.0)
    program = with_hold(PROGRAM, Hold("c", cool_setpoint_c=20.0), at(0))
    assert look(program, at(0)).setpoints == Setpoints(19.0, 20.0)


@pytest.mark.parametrize(
    ("hold", "moment", "words"),
    [
        (Hold("x"), at(0), "needs a setpoint"),
        (Hold("x", heat_setpoint_c=50.0), at(0), "4 to 35"),
        (Hold("x", heat_setpoint_c=float("nan")), at(0), "4 to 35"),
        (Hold("x", heat_setpoint_c=20.0, until=Until.TIME), at(0), "needs that time"),
        (Hold("x", heat_setpoint_c=20.0, until=Until.TIME, end_utc_ms=NOON), at(0), "after now"),
        (Hold("x", heat_setpoint_c=20.0, start_utc_ms=NOON + 500 * 24 * H), at(0), "a year ahead"),
        (
            Hold("x", heat_setpoint_c=20.0, until=Until.TIME, end_utc_ms=NOON),
            at(0, is_known=False),
            "not know the time",
        ),
    ],
)
def test_invalid_hold_is_refused_with_its_reason(hold: Hold, moment: Now, words: str) -> None:
    with pytest.raises(SettingInvalid, match=words):
        with_hold(PROGRAM, hold, moment)


def test_the_number_of_holds_is_bounded() -> None:
    program = PROGRAM
    for number in range(HOLDS_MAX):
        program = with_hold(program, Hold(str(number), heat_setpoint_c=20.0, start_utc_ms=NOON + H + number), at(0))
    with pytest.raises(SettingInvalid, match="16 holds"):
        with_hold(program, Hold("more", heat_setpoint_c=20.0, start_utc_ms=NOON + H), at(0))


def test_expired_holds_are_removed() -> None:
    program = with_hold(PROGRAM, Hold("x", heat_setpoint_c=20.0, until=Until.TIME, end_utc_ms=NOON + H), at(0))
    assert tidy(program, at(2), None).holds == ()
    assert tidy(PROGRAM, at(0, is_known=False), None) is PROGRAM


def test_a_hold_with_an_end_lasts_until_the_next_one_begins() -> None:
    evening = Hold(
        "evening", heat_setpoint_c=23.0, until=Until.TIME, start_utc_ms=NOON + 2 * H, end_utc_ms=NOON + 4 * H
    )
    now = Hold("now", heat_setpoint_c=22.0, until=Until.TIME, end_utc_ms=NOON + 3 * H)
    program = with_hold(with_hold(PROGRAM, now, at(0)), evening, at(0))
    assert look(program, at(0)).until_utc_ms == NOON + 2 * H
    assert [heat_c(program, hours) for hours in (0, 2.5, 3.5, 4.5)] == [22.0, 23.0, 23.0, 21.0]


def test_a_planned_hold_until_the_next_block_ends_with_the_block_in_which_it_begins() -> None:
    planned = Hold("p", heat_setpoint_c=24.0, until=Until.NEXT_BLOCK, start_utc_ms=NOON + 11 * H)
    program = with_hold(PROGRAM, planned, at(0))
    for hours in (0, 5, 10.9):
        program = tidied_at(program, at(hours))
        assert heat_c(program, hours) == (17.0 if hours > 10 else 21.0)
    program = tidied_at(program, at(11))
    assert [heat_c(program, hours) for hours in (11, 17.9, 18)] == [24.0, 24.0, 21.0]
    assert look(program, at(11)).until_utc_ms == NOON + 18 * H


def test_a_planned_hold_that_a_power_cut_has_swallowed_ends_where_it_would_have() -> None:
    planned = Hold("p", heat_setpoint_c=24.0, until=Until.NEXT_BLOCK, start_utc_ms=NOON + 11 * H)
    program = with_hold(PROGRAM, planned, at(0))
    assert tidied_at(program, at(19, boot="next")).holds == ()
    assert tidied_at(program, at(24 * 20, boot="next")).holds == ()


@pytest.mark.parametrize("kind", [HoldKind.HOLD, HoldKind.AWAY])
def test_a_planned_hold_under_way_goes_on_after_a_reboot_without_the_time(kind: HoldKind) -> None:
    planned = Hold("p", kind, 16.0, until=Until.TIME, start_utc_ms=NOON + H, end_utc_ms=NOON + 100 * H)
    program = tidied_at(with_hold(PROGRAM, planned, at(0)), at(2))
    later = at(3, is_known=False, boot="next")
    assert look(program, later).reason == kind.value
    assert [hold.id for hold in tidied_at(program, later).holds] == ["p"]
    assert tidied_at(program, at(101, boot="next")).holds == ()


def test_a_planned_boost_under_way_is_over_after_a_reboot_without_the_time() -> None:
    planned = Hold("p", HoldKind.BOOST, 24.0, until=Until.TIME, start_utc_ms=NOON + H, end_utc_ms=NOON + 9 * H)
    program = with_hold(PROGRAM, planned, at(0))
    without = at(3, is_known=False, boot="next")
    assert tidied_at(program, without).holds == program.holds
    assert look(tidied_at(program, at(2)), at(3)).reason == "boost"
    assert tidied_at(tidied_at(program, at(2)), without).holds == ()


@pytest.mark.parametrize("is_known", [True, False], ids=["made with the time", "made without it"])
@pytest.mark.parametrize("until", [Until.NEXT_BLOCK, Until.CHANGED])
@pytest.mark.parametrize("kind", HoldKind)
def test_after_a_reboot_without_the_time_a_boost_without_a_duration_is_over_as_well(
    kind: HoldKind, until: Until, *, is_known: bool
) -> None:
    program = tidied_at(PROGRAM, at(0))
    program = tidied_at(with_hold(program, Hold("h", kind, 23.0, until=until), at(0, is_known=is_known)), at(0))
    # It is the reboot that ends it, not the time that is lost for a while.
    assert look(program, at(1, is_known=False)).reason == kind.value
    assert look(program, at(1)).reason == kind.value
    assert look(program, at(1, boot="next")).reason == kind.value
    without = at(1, is_known=False, boot="next")
    assert look(program, without).reason == ("remembered" if kind is HoldKind.BOOST else kind.value)
    assert [hold.id for hold in tidied_at(program, without).holds] == ([] if kind is HoldKind.BOOST else ["h"])


def test_a_planned_boost_until_the_next_block_is_over_after_a_reboot_in_which_it_has_begun() -> None:
    planned = Hold("p", HoldKind.BOOST, 24.0, until=Until.NEXT_BLOCK, start_utc_ms=NOON + H)
    program = tidied_at(with_hold(PROGRAM, planned, at(0)), at(2, boot="next"))
    assert look(program, at(3, is_known=False, boot="next")).reason == "boost"
    assert tidied_at(program, at(3, is_known=False, boot="last")).holds == ()


def test_a_boost_until_a_block_of_a_new_schedule_goes_on_in_a_boot_with_the_time() -> None:
    boost = Hold("b", HoldKind.BOOST, 23.0, until=Until.NEXT_BLOCK)
    program = tidied_at(with_hold(PROGRAM, boost, at(0)), at(1, boot="next"))
    program = reset_block_ends(program, None, at(1, boot="next"))
    # Another hold of the same minute, before the loop has looked.
    program = with_hold(program, Hold("h", heat_setpoint_c=19.0), at(1, boot="next"))
    assert look(program, at(1, boot="next")).reason == "boost"


def test_a_boost_that_an_older_release_has_kept_is_over_after_a_restart_without_the_time() -> None:
    kept = b'{"id":"b","kind":"boost","heat_setpoint_c":23.0,"until":"next_block","made_utc_ms":1}'
    program = msgspec.structs.replace(PROGRAM, holds=(msgspec.json.decode(kept, type=Hold),))
    assert look(program, at(0)).reason == "boost"
    assert tidied_at(program, at(0, is_known=False)).holds == ()


def test_of_two_holds_the_one_that_began_later_counts_however_it_was_planned() -> None:
    planned = Hold("p", heat_setpoint_c=24.0, start_utc_ms=NOON + H)
    window = Hold("w", heat_setpoint_c=19.0, until=Until.TIME, end_utc_ms=NOON + 9 * H)
    program = tidied_at(with_hold(with_hold(PROGRAM, planned, at(0)), window, at(0.5)), at(2))
    assert look(program, at(2)).label == "p"
    assert look(with_hold(program, msgspec.structs.replace(window, id="later"), at(3)), at(3)).label == "later"


def test_a_duration_from_before_the_time_was_known_ends_after_a_reboot_as_well() -> None:
    hold = Hold("h", heat_setpoint_c=25.0, until=Until.TIME, end_boot="boot", end_ms=102 * H)
    program = tidied_at(with_hold(PROGRAM, hold, at(0, is_known=False)), at(0.5))
    assert program.holds[0].end_utc_ms == NOON + 2 * H
    assert look(program, at(1, boot="next")).reason == "hold"
    assert tidied_at(program, at(2, boot="next")).holds == ()
    # What the clock drifts is not written down, what it is set by is.
    drifted = Now("boot", 101 * H, NOON + H + 30_000)
    assert tidied_at(program, drifted) is program
    assert tidied_at(program, Now("boot", 101 * H, NOON + 9 * H)).holds[0].end_utc_ms == NOON + 10 * H


def test_a_duration_of_a_boot_that_never_knew_the_time_counts_anew_in_the_next_one() -> None:
    hold = Hold("h", heat_setpoint_c=25.0, until=Until.TIME, end_boot="boot", end_ms=102 * H, for_ms=2 * H)
    program = tidied_at(with_hold(PROGRAM, hold, at(0, is_known=False)), at(0.5, is_known=False))
    program = tidied_at(program, at(1, is_known=False, boot="next"))
    assert look(program, at(2.9, is_known=False, boot="next")).reason == "hold"
    assert tidied_at(program, at(3, is_known=False, boot="next")).holds == ()
    boost = tidied_at(
        with_hold(PROGRAM, msgspec.structs.replace(hold, kind=HoldKind.BOOST), at(0, is_known=False)), at(0)
    )
    assert tidied_at(boost, at(1, is_known=False, boot="next")).holds == ()


@pytest.mark.parametrize(
    ("hours", "words"),
    [(6 * 24, "until Tue 12:00"), (6 * 24 + 1, "until Tue 2026-01-20 13:00"), (7 * 24, "until Wed 2026-01-21 12:00")],
)
def test_an_end_beyond_six_days_is_shown_with_its_date(hours: int, words: str) -> None:
    away = Hold("a", HoldKind.AWAY, 16.0, until=Until.TIME, end_utc_ms=NOON + hours * H)
    program = with_hold(PROGRAM, away, at(0))
    assert look(program, at(0)).text.endswith(words)
    assert "2026" in look(program, at(0, is_known=False, boot="next")).text


@pytest.mark.parametrize("kind", HoldKind)
def test_the_sensors_of_the_block_count_under_a_hold_as_well(kind: HoldKind) -> None:
    blocks = (
        Block("Day", "06:00", "22:00", 21.0, 26.0),
        Block("Night", "22:00", "06:00", 17.0, 27.0, sensors=("bedroom",)),
    )
    program = with_hold(ZoneProgram(schedules={"w": Schedule("w", blocks)}, schedule="w"), Hold("h", kind, 19.0), at(0))
    assert [look(program, at(hours)).sensors for hours in (9, 10, 17.9, 18)] == [(), ("bedroom",), ("bedroom",), ()]


@pytest.mark.parametrize("end_utc_ms", [253_402_318_799_000, 2**62])
def test_a_hold_of_an_older_release_whose_end_no_calendar_has_is_kept_and_shown(end_utc_ms: int) -> None:
    hold = Hold("h", heat_setpoint_c=21.0, until=Until.TIME, end_utc_ms=end_utc_ms)
    found = resolve(ZoneProgram(holds=(hold,)), at(0), None)
    assert found.setpoints.heat_setpoint_c == 21.0
    assert found.text.endswith("until an instant that is not between 1970 and 2200")
