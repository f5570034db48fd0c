"""No hold with an end outlives its length, whatever becomes of the time of day."""

from datetime import UTC, datetime

import msgspec
import pytest

from agent.climate.effective_setpoint import resolve
from agent.climate.holds import reset_block_ends, tidy, with_hold
from agent.climate.model import Block, Hold, HoldKind, Schedule, Until, ZoneProgram
from agent.climate.schedule import build_timeline
from agent.foundation.clock import Now

H = 3_600_000
NOON = int(datetime(2026, 1, 14, 12, tzinfo=UTC).timestamp() * 1000)
WEEK = Schedule("week", (Block("Day", "06:00", "22:00", 21.0, 26.0), Block("Night", "22:00", "06:00", 17.0, 27.0)))
WINDOW = Hold("window", heat_setpoint_c=35.0, until=Until.TIME, end_utc_ms=NOON + H // 2)


def at(hours: float, *, boot: str = "boot", set_back_h: float = 0, is_known: bool = True) -> Now:
    """Return a moment so many hours after noon, on a clock that was set back."""
    return Now(boot, int(100 * H + hours * H), int(NOON + (hours - set_back_h) * H) if is_known else None)


def heats_at(program: ZoneProgram, *moments: Now) -> list[bool]:
    """Return whether the hold is in force at each moment, one after the other, as the loop goes."""
    found = []
    for now in moments:
        timeline = None
        if program.active_schedule and now.utc_ms is not None:
            timeline = build_timeline(program.active_schedule, utc_ms=now.utc_ms, timezone=UTC)
        program = tidy(program, now, timeline)
        found.append(resolve(program, now, timeline).setpoints.heat_setpoint_c == 35.0)
    return found


@pytest.mark.parametrize("kind", HoldKind)
def test_a_clock_that_is_set_back_makes_no_window_longer(kind: HoldKind) -> None:
    program = with_hold(ZoneProgram(), msgspec.structs.replace(WINDOW, kind=kind), at(0))
    moments = [at(hours, set_back_h=24) for hours in (0.25, 0.49, 0.5, 3)]
    assert heats_at(program, *moments) == [True, True, False, False]


def test_a_window_that_is_never_tidied_ends_by_the_clock_of_the_boot_as_well() -> None:
    program = with_hold(ZoneProgram(), WINDOW, at(0))
    late = at(0.5, set_back_h=24)
    assert resolve(program, late, None).setpoints.heat_setpoint_c != 35.0


def test_a_planned_window_gets_its_limit_when_it_begins() -> None:
    planned = Hold(
        "window", heat_setpoint_c=35.0, until=Until.TIME, start_utc_ms=NOON + H, end_utc_ms=NOON + 3 * H // 2
    )
    program = with_hold(ZoneProgram(), planned, at(0))
    moments = [at(1.1), at(1.2, set_back_h=24), at(1.49, set_back_h=24), at(1.5, set_back_h=24)]
    assert heats_at(program, *moments) == [True, True, True, False]


@pytest.mark.parametrize("kind", [HoldKind.HOLD, HoldKind.AWAY])
def test_in_a_boot_without_the_time_a_window_ends_after_its_own_length(kind: HoldKind) -> None:
    program = with_hold(ZoneProgram(), msgspec.structs.replace(WINDOW, kind=kind), at(0))
    moments = [at(hours, boot="next", is_known=False) for hours in (0.1, 0.59, 0.6, 30 * 24)]
    assert heats_at(program, *moments) == [True, True, False, False]


def test_in_a_boot_whose_clock_was_set_back_a_window_ends_after_its_own_length() -> None:
    program = with_hold(ZoneProgram(), WINDOW, at(0))
    moments = [at(hours, boot="next", set_back_h=24) for hours in (0.1, 0.59, 0.6)]
    assert heats_at(program, *moments) == [True, True, False]


def test_a_duration_ends_after_a_reboot_without_the_time_or_with_a_wrong_one() -> None:
    lasting = Hold(
        "window",
        heat_setpoint_c=35.0,
        until=Until.TIME,
        end_utc_ms=NOON + H // 2,
        end_boot="boot",
        end_ms=100 * H + H // 2,
        for_ms=H // 2,
    )
    program = with_hold(ZoneProgram(), lasting, at(0))
    for is_known in (True, False):
        moments = [at(hours, boot="next", set_back_h=24, is_known=is_known) for hours in (0.1, 0.59, 0.6)]
        assert heats_at(program, *moments) == [True, True, False]


def test_a_window_of_an_older_release_gets_its_limit_in_the_first_boot_of_this_one() -> None:
    stored = msgspec.structs.replace(WINDOW, made_utc_ms=NOON, made_boot="boot")
    program = ZoneProgram(holds=(stored,))
    moments = [at(hours, boot="next", is_known=False) for hours in (0.1, 0.59, 0.6)]
    assert heats_at(program, *moments) == [True, True, False]


def test_in_a_boot_with_the_right_time_a_window_ends_at_its_time() -> None:
    program = with_hold(ZoneProgram(), WINDOW, at(0))
    assert heats_at(program, at(0.2, boot="next"), at(0.49, boot="next"), at(0.5, boot="next")) == [True, True, False]


def test_a_hold_until_the_next_block_ends_by_the_clock_of_the_boot_as_well() -> None:
    program = ZoneProgram(schedules={"week": WEEK}, schedule="week")
    program = with_hold(program, Hold("block", heat_setpoint_c=35.0, until=Until.NEXT_BLOCK), at(0))
    moments = [at(1), at(2, set_back_h=24), at(9.9, set_back_h=24), at(10, set_back_h=24)]
    assert heats_at(program, *moments) == [True, True, True, False]


def test_a_hold_until_a_block_of_another_schedule_gets_another_limit() -> None:
    program = ZoneProgram(schedules={"week": WEEK}, schedule="week")
    program = with_hold(program, Hold("block", heat_setpoint_c=35.0, until=Until.NEXT_BLOCK), at(0))
    assert program.active_schedule
    program = tidy(program, at(1), build_timeline(program.active_schedule, utc_ms=NOON + H, timezone=UTC))
    late = Schedule("late", (Block("All", "23:00", "22:59", 18.0, 26.0),))
    changed = msgspec.structs.replace(program, schedules={"late": late}, schedule="late")
    changed = reset_block_ends(changed, WEEK, at(1))
    assert heats_at(changed, at(1), at(10.5), at(11.1)) == [True, True, False]


def test_tidying_changes_nothing_while_nothing_happens() -> None:
    program = tidy(with_hold(ZoneProgram(), WINDOW, at(0)), at(0.1), None)
    assert tidy(program, at(0.2), None) is program
