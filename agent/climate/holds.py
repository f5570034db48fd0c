"""Changes to the holds of a zone: adding, cancelling, resuming the schedule, and keeping their ends up to date. Pure.

`effective_setpoint` tells which holds count.
"""

from bisect import bisect_right

import msgspec

from agent.climate.effective_setpoint import end_utc_ms, has_begun, has_ended
from agent.climate.model import Hold, HoldKind, LastScheduledBlock, Schedule, Until, ZoneProgram, check_setpoint
from agent.climate.schedule import Timeline
from agent.errors import SettingInvalid
from agent.foundation.clock import Now

HOLDS_MAX = 16
"""Holds of one zone, planned ones included."""

CLIENT_HOLDS_MAX = 12
"""As many of them may be there when a client of an API adds one: the rest is kept for people."""

AHEAD_MS_MAX = 400 * 24 * 3_600_000
"""A hold begins and ends within this time, a little more than a year."""

DRIFT_MS_MAX = 60_000
"""The stored end of a duration follows the clock when the clock was set by more than this."""


def tidy(program: ZoneProgram, now: Now, timeline: Timeline | None) -> ZoneProgram:
    """Return a program without ended holds, and with what a boot that does not know the time needs.

    A hold until the next block gets its end once it has begun, and every hold that ends by the time of day a limit on
    the clock of this boot. The same object is returned if nothing changes.

    Args:
        program: Of the zone.
        now: The present instant.
        timeline: Of the active schedule; `None` without a schedule, and while the time is unknown.
    """
    updated = (_update(hold, now, timeline) if has_begun(hold, now) else hold for hold in program.holds)
    holds = tuple(hold for hold in updated if not has_ended(hold, now) or not has_begun(hold, now))
    last = program.last
    if program.active_schedule is None:
        last = None
    elif timeline is not None and now.utc_ms is not None and (segment := timeline.segment_at(now.utc_ms)) is not None:
        last = LastScheduledBlock(segment.block.setpoints, segment.block.label, segment.block.sensors)
    if holds == program.holds and last == program.last:
        return program
    return msgspec.structs.replace(program, holds=holds, last=last)


def _update(hold: Hold, now: Now, timeline: Timeline | None) -> Hold:
    """Return a hold that has begun, with what a boot that does not know the time needs."""
    hold = _update_end(_with_next_block(hold, now, timeline), now)
    if hold.start_utc_ms is not None:
        hold = msgspec.structs.replace(hold, start_utc_ms=None, made_utc_ms=hold.start_utc_ms, made_boot=now.boot_id)
    return _with_limit(hold, now)


def _with_limit(hold: Hold, now: Now) -> Hold:
    """Return a hold that has begun and ends by the time of day, with its limit on the clock of this boot.

    Without one it would never end where the time of day is set back, or is unknown after a power cut. It is what is
    left by the time of day, and at most the length of the hold.
    """
    if hold.end_utc_ms is None or now.boot_id in {hold.end_boot, hold.limit_boot}:
        return hold
    length_ms = hold.for_ms or max(0, hold.end_utc_ms - (hold.made_utc_ms or now.utc_ms or hold.end_utc_ms))
    left_ms = length_ms if now.utc_ms is None else min(length_ms, hold.end_utc_ms - now.utc_ms)
    return msgspec.structs.replace(hold, for_ms=length_ms, limit_boot=now.boot_id, limit_ms=now.now_ms + left_ms)


def _update_end(hold: Hold, now: Now) -> Hold:
    """Return a hold with a duration with its end by the time of day, as soon as that is known.

    The duration of a hold whose boot never knew the time starts anew: how much of it was left is unknown.
    """
    if hold.end_boot and hold.end_boot != now.boot_id and hold.end_utc_ms is None and hold.for_ms:
        if hold.kind is HoldKind.BOOST:
            return hold
        hold = msgspec.structs.replace(hold, end_boot=now.boot_id, end_ms=now.now_ms + hold.for_ms)
    end_ms = end_utc_ms(hold, now)
    if end_ms is None or (hold.end_utc_ms is not None and abs(end_ms - hold.end_utc_ms) <= DRIFT_MS_MAX):
        return hold
    return msgspec.structs.replace(hold, end_utc_ms=end_ms)


def _with_next_block(hold: Hold, now: Now, timeline: Timeline | None) -> Hold:
    """Return a hold until the next block with its end: the start of the first block after its beginning."""
    if hold.until is not Until.NEXT_BLOCK or hold.end_utc_ms is not None or now.utc_ms is None or timeline is None:
        return hold
    # `made_utc_ms` does not serve: the time may have been unknown then, or another schedule active.
    begin_ms = now.utc_ms if hold.start_utc_ms is None else hold.start_utc_ms
    after = timeline.starts_utc_ms[bisect_right(timeline.starts_utc_ms, begin_ms) :]
    return msgspec.structs.replace(hold, end_utc_ms=after[0]) if after else hold


def reset_block_ends(program: ZoneProgram, before: Schedule | None, now: Now) -> ZoneProgram:
    """Return a program whose holds until the next block end with a block of the schedule that is active now.

    Without an active schedule they keep the ends that they had.

    Args:
        program: With the new schedule.
        before: The schedule that was active.
        now: The present instant.
    """
    if program.active_schedule is None or program.active_schedule == before:
        return program
    holds = tuple(
        msgspec.structs.replace(hold, end_utc_ms=None, for_ms=0, limit_boot="", limit_ms=0)
        if hold.until is Until.NEXT_BLOCK and not has_ended(hold, now)
        else hold
        for hold in program.holds
    )
    return msgspec.structs.replace(program, holds=holds)


def with_hold(program: ZoneProgram, hold: Hold, now: Now, *, holds_max: int = HOLDS_MAX) -> ZoneProgram:
    """Return a program with one more hold. It replaces the hold of the same id.

    A hold that begins at once and has no end of its own also replaces the active holds of its kind: it is a new state,
    not an exception from the old one. So does every boost and every away that begins at once.

    Args:
        program: Of the zone.
        hold: The new one.
        now: The present instant.
        holds_max: So many holds the zone may have then.

    Raises:
        SettingInvalid: The hold is not valid.
    """
    _check(hold, now)
    others = [other for other in program.holds if other.id != hold.id and not has_ended(other, now)]
    has_own_end = hold.until is Until.TIME and hold.kind is HoldKind.HOLD
    if hold.start_utc_ms is None and not has_own_end:
        others = [other for other in others if other.kind is not hold.kind or not has_begun(other, now)]
    if len(others) >= holds_max:
        raise SettingInvalid(f"resume the schedule or cancel a hold first: there are {len(others)} holds already")
    made_ms = now.utc_ms
    if made_ms is None:
        made_ms = max((other.begin_utc_ms for other in others if has_begun(other, now)), default=0)
    made = msgspec.structs.replace(hold, made_utc_ms=made_ms, made_boot=now.boot_id)
    if made.start_utc_ms is None:
        made = _with_limit(made, now)
    return msgspec.structs.replace(program, holds=(*others, made))


def _check(hold: Hold, now: Now) -> None:
    for name, value_c in (("heat setpoint", hold.heat_setpoint_c), ("cool setpoint", hold.cool_setpoint_c)):
        if value_c is not None:
            check_setpoint(name, value_c)
    if hold.heat_setpoint_c is None and hold.cool_setpoint_c is None and hold.mode is None:
        raise SettingInvalid("a hold needs a setpoint or a mode")
    times = [time_ms for time_ms in (hold.start_utc_ms, hold.end_utc_ms) if time_ms is not None]
    if times and now.utc_ms is None and not hold.end_boot:
        raise SettingInvalid("give a duration, or check the hub's network: it does not know the time yet")
    if now.utc_ms is not None:
        if any(time_ms > now.utc_ms + AHEAD_MS_MAX for time_ms in times):
            raise SettingInvalid("the hold begins or ends more than a year ahead")
        if hold.end_utc_ms is not None and hold.end_utc_ms <= max(hold.start_utc_ms or 0, now.utc_ms):
            raise SettingInvalid("the end must come after the beginning, and after now")
    if hold.until is Until.TIME and hold.end_utc_ms is None and not hold.end_boot:
        raise SettingInvalid("a hold until a time needs that time")


def without_hold(program: ZoneProgram, hold_id: str) -> ZoneProgram:
    """Return a program without a hold, active or planned.

    Raises:
        KeyError: No hold has this id.
    """
    others = tuple(hold for hold in program.holds if hold.id != hold_id)
    if len(others) == len(program.holds):
        raise KeyError(hold_id)
    return msgspec.structs.replace(program, holds=others)


def resume(program: ZoneProgram, now: Now) -> ZoneProgram:
    """Return a program that follows its schedule again: active holds end, planned holds stay."""
    planned = tuple(hold for hold in program.holds if not has_begun(hold, now))
    return program if planned == program.holds else msgspec.structs.replace(program, holds=planned)
