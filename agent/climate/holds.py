"""What a zone has been told, and what is in force of it: schedule, holds, away, boost, eco. Pure.

`in_force` is the one query: what, why, until when. A boost comes before away, away before other holds, these before the
schedule; of two of a kind, the one that began later. Eco bounds whatever comes out. A hold with an end gives way at its
end to what is below it, so that a window goes back to what was in force before (Amps "windowed").

While the time of day is not known no schedule can be followed: what was in force last stays.
"""

import math
from bisect import bisect_right
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

import msgspec

from agent.climate.model import Mode, Setpoints, check_setpoint, separate_setpoints
from agent.climate.schedule import Block, Schedule, Timeline
from agent.errors import SettingInvalid
from agent.foundation import rfc3339
from agent.foundation.clock import Now

HOLDS_MAX = 16
"""Holds of one zone, those that begin later included."""

SCHEDULES_MAX = 16
SCHEDULES_BYTES_MAX = 112 * 1024
"""All schedules of one zone as JSON, the sensors of one block twice: fourteen full ones of short labels. Eight such
zones with all that they have been told beside stay below `agent.climate.service.SNAPSHOT_BYTES_MAX`."""

AHEAD_MS_MAX = 400 * 24 * 3_600_000
"""How far ahead a hold may begin or end: a year and some."""

WEEKDAY_MS_MAX = 6 * 24 * 3_600_000
"""An end that is further off is told with its date: the day of the week alone could be today."""

DRIFT_MS_MAX = 60_000
"""An end by the time of day is written down anew when the clock was set by more than this."""

DEFAULT_SETPOINTS = Setpoints(20.0, 26.0)
"""In force where there is no schedule: what EN 16798-1 asks of a dwelling, category II."""

AWAY_SETPOINTS = Setpoints(16.0, 28.0)
ECO_HEAT_LIMIT_C = 16.7
ECO_COOL_LIMIT_C = 25.6
"""62 and 78 °F, the defaults of the AURRA contract (POST .../eco)."""


class HoldKind(StrEnum):
    """What sort of exception it is, the weakest first."""

    HOLD = "hold"
    AWAY = "away"
    BOOST = "boost"


_RANK = {kind: rank for rank, kind in enumerate(HoldKind)}


class Until(StrEnum):
    """When a hold ends by itself."""

    NEXT_BLOCK = "next_block"
    TIME = "time"
    CHANGED = "changed"


class Hold(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exception from the schedule.

    Attributes:
        id: Unique in its zone: what is cancelled and replaced.
        kind: What sort.
        heat_setpoint_c: `None` leaves that of what is below.
        cool_setpoint_c: Likewise.
        mode: Likewise.
        until: When it ends.
        start_utc_ms: When it begins; `None`: it has begun.
        end_utc_ms: When it ends, where the time of day says so.
        end_boot: The boot of `end_ms`, for one that was given a duration.
        end_ms: When it ends, on that boot's monotonic clock.
        made_utc_ms: When it was made or, if it was planned, has begun, as far as that was known: of two, the one that
            began later counts.
        for_ms: The duration that it was given; 0 for none.
        made_boot: The boot in which it was made or, if it was planned, has begun. Empty in older files.
    """

    id: str
    kind: HoldKind = HoldKind.HOLD
    heat_setpoint_c: float | None = None
    cool_setpoint_c: float | None = None
    mode: Mode | None = None
    until: Until = Until.CHANGED
    start_utc_ms: int | None = None
    end_utc_ms: int | None = None
    end_boot: str = ""
    end_ms: int = 0
    made_utc_ms: int = 0
    for_ms: int = 0
    made_boot: str = ""

    @property
    def begin_utc_ms(self) -> int:
        """When it began or will begin."""
        return self.made_utc_ms if self.start_utc_ms is None else self.start_utc_ms


class Eco(msgspec.Struct, frozen=True):
    """Bounds on what is asked: heat to no more than the first, cool to no less than the second."""

    is_enabled: bool = False
    heat_limit_c: float = ECO_HEAT_LIMIT_C
    cool_limit_c: float = ECO_COOL_LIMIT_C


class LastScheduledBlock(msgspec.Struct, frozen=True):
    """What was in force last of schedule and default, for a boot that does not know the time.

    Attributes:
        setpoints: Of the block.
        label: Likewise.
        sensors: Those that count in it; empty for all, and in older files.
    """

    setpoints: Setpoints
    label: str
    sensors: tuple[str, ...] = ()


class ZoneProgram(msgspec.Struct, frozen=True):
    """All that one zone has been told. Survives a restart.

    Attributes:
        mode: What it may do.
        setpoints: In force where no schedule is followed.
        schedules: By name, at most `SCHEDULES_MAX`.
        schedule: The name of the one that is followed; empty for none.
        holds: In the order in which they were made, at most `HOLDS_MAX`.
        eco: Bounds.
        last: See `LastScheduledBlock`.
    """

    mode: Mode = Mode.HEAT
    setpoints: Setpoints = DEFAULT_SETPOINTS
    schedules: dict[str, Schedule] = {}
    schedule: str = ""
    holds: tuple[Hold, ...] = ()
    eco: Eco = Eco()
    last: LastScheduledBlock | None = None

    @property
    def followed(self) -> Schedule | None:
        """The schedule that is followed."""
        return self.schedules.get(self.schedule)


class EffectiveSetpoint(msgspec.Struct, frozen=True):
    """What is in force, why, and until when.

    Attributes:
        mode: What the zone may do.
        setpoints: What it is to reach.
        why: "schedule", "hold", "away", "boost", "default", or "remembered" while the time is unknown.
        label: The block's, where a schedule is followed, or the hold's id.
        until_utc_ms: When something else comes into force by itself; `None`: not before somebody changes it, or the
            time is not known.
        is_eco: Whether eco has changed the setpoints.
        sensors: The sensors that count, those of the block also under a hold; empty for all.
        reason: All of it in words.
    """

    mode: Mode
    setpoints: Setpoints
    why: str
    label: str
    until_utc_ms: int | None
    is_eco: bool
    sensors: tuple[str, ...]
    reason: str


def has_begun(hold: Hold, now: Now) -> bool:
    """Tell whether a hold has begun. Without the time of day, one with a start has not."""
    if hold.start_utc_ms is None:
        return True
    return now.utc_ms is not None and now.utc_ms >= hold.start_utc_ms


def has_ended(hold: Hold, now: Now) -> bool:
    """Tell whether a hold is over.

    A duration counts on the monotonic clock of its boot, so that a clock that is set does not cut it short. After a
    reboot without the time of day nobody knows: a boost is over then, any other hold goes on.
    """
    if hold.end_boot and hold.end_boot == now.boot_id:
        return now.now_ms >= hold.end_ms
    if hold.end_utc_ms is not None and now.utc_ms is not None:
        return now.utc_ms >= hold.end_utc_ms
    if hold.kind is not HoldKind.BOOST or hold.start_utc_ms is not None:
        return False
    is_after_reboot = now.utc_ms is None and hold.made_boot != now.boot_id
    return is_after_reboot or bool(hold.end_boot) or hold.until is Until.TIME


def left(hold: Hold, now: Now) -> float | None:
    """Return how many seconds more a hold lasts that was given a duration in this boot; `None` for any other."""
    if not hold.end_boot or hold.end_boot != now.boot_id:
        return None
    return max(0.0, (hold.end_ms - now.now_ms) / 1000)


def end_utc_ms(hold: Hold, now: Now) -> int | None:
    """Return when a hold ends by the clock as it is now; `None`: not by itself, or that is not known."""
    left_s = left(hold, now)
    if left_s is None or now.utc_ms is None:
        return hold.end_utc_ms
    return now.utc_ms + round(left_s * 1000)


def active(program: ZoneProgram, now: Now) -> list[Hold]:
    """Return the holds that count now, the strongest first."""
    numbered = [
        (_RANK[hold.kind], hold.begin_utc_ms, number, hold)
        for number, hold in enumerate(program.holds)
        if has_begun(hold, now) and not has_ended(hold, now)
    ]
    numbered.sort(key=lambda entry: entry[:3], reverse=True)
    return [hold for _, _, _, hold in numbered]


def in_force(program: ZoneProgram, now: Now, plan: Timeline | None, zone: tzinfo = UTC) -> EffectiveSetpoint:
    """Return what is in force.

    Args:
        program: What the zone has been told.
        now: Now.
        plan: The timeline of the schedule that is followed, where one is and the time is known.
        zone: For the words only.
    """
    base, why, label, until_ms, sensors = _base(program, now, plan)
    mode = program.mode
    heat_c, cool_c, keep = base.heat_setpoint_c, base.cool_setpoint_c, Mode.HEAT
    holds = active(program, now)
    for hold in reversed(holds):
        if hold.heat_setpoint_c is not None:
            heat_c, keep = hold.heat_setpoint_c, Mode.HEAT
        if hold.cool_setpoint_c is not None:
            cool_c, keep = hold.cool_setpoint_c, Mode.COOL if hold.heat_setpoint_c is None else Mode.HEAT
        mode = hold.mode or mode
    if holds:
        why, label = holds[0].kind.value, holds[0].id
        until_ms = end_utc_ms(holds[0], now)
    until_ms = _earliest(until_ms, _next_start(program, now))
    asked = separate_setpoints(heat_c, cool_c, keep=keep)
    setpoints = asked
    if program.eco.is_enabled:
        setpoints = Setpoints(
            min(asked.heat_setpoint_c, program.eco.heat_limit_c), max(asked.cool_setpoint_c, program.eco.cool_limit_c)
        )
    is_eco = setpoints != asked
    words = _words(why, label) + (", bounded by eco" if is_eco else "")
    left_s = left(holds[0], now) if holds else None
    if until_ms is not None:
        words += f", until {_clock_text(until_ms, now, zone)}"
    elif left_s is not None:
        words += f", {math.ceil(left_s / 60)} min more"
    return EffectiveSetpoint(mode, setpoints, why, label, until_ms, is_eco, sensors, words)


def _base(
    program: ZoneProgram, now: Now, plan: Timeline | None
) -> tuple[Setpoints, str, str, int | None, tuple[str, ...]]:
    """Return what is in force below all holds: setpoints, why, label, until, sensors."""
    if program.followed is None:
        return program.setpoints, "default", "", None, ()
    if plan is not None and now.utc_ms is not None and (index := plan.index_at(now.utc_ms)) >= 0:
        segment = plan.segments[index]
        return segment.block.setpoints, "schedule", segment.block.label, segment.end_utc_ms, segment.block.sensors
    if program.last is not None:
        return program.last.setpoints, "remembered", program.last.label, None, program.last.sensors
    return program.setpoints, "remembered", "", None, ()


def _next_start(program: ZoneProgram, now: Now) -> int | None:
    """Return when the next hold begins by itself."""
    if now.utc_ms is None:
        return None
    starts = [
        hold.start_utc_ms for hold in program.holds if hold.start_utc_ms is not None and hold.start_utc_ms > now.utc_ms
    ]
    return min(starts, default=None)


def _earliest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _words(why: str, label: str) -> str:
    match why:
        case "schedule":
            return f"schedule, {label}"
        case "remembered":
            return f"time unknown: kept as it was{f' ({label})' if label else ''}"
        case "default":
            return "no schedule"
        case _:
            return why


def _clock_text(utc_ms: int, now: Now, zone: tzinfo) -> str:
    if not rfc3339.is_plausible(utc_ms):
        return rfc3339.render(utc_ms)
    is_this_week = now.utc_ms is not None and utc_ms - now.utc_ms <= WEEKDAY_MS_MAX
    form = "%a %H:%M" if is_this_week else "%a %Y-%m-%d %H:%M"
    return datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(zone).strftime(form)


def tidied(program: ZoneProgram, now: Now, plan: Timeline | None) -> ZoneProgram:
    """Return a program without what is over, and with what the hub needs should it not know the time.

    Holds until the next block learn when that is, once they have begun. The same object comes back where nothing
    changes.
    """
    known = (_begun(hold, now, plan) if has_begun(hold, now) else hold for hold in program.holds)
    holds = tuple(hold for hold in known if not has_ended(hold, now) or not has_begun(hold, now))
    last = program.last
    if program.followed is None:
        last = None
    elif plan is not None and now.utc_ms is not None and (index := plan.index_at(now.utc_ms)) >= 0:
        block: Block = plan.segments[index].block
        last = LastScheduledBlock(block.setpoints, block.label, block.sensors)
    if holds == program.holds and last == program.last:
        return program
    return msgspec.structs.replace(program, holds=holds, last=last)


def _begun(hold: Hold, now: Now, plan: Timeline | None) -> Hold:
    """Return a hold that has begun, with what a boot that does not know the time has to know of it."""
    hold = _with_duration(_with_next_block(hold, now, plan), now)
    if hold.start_utc_ms is None:
        return hold
    return msgspec.structs.replace(hold, start_utc_ms=None, made_utc_ms=hold.start_utc_ms, made_boot=now.boot_id)


def _with_duration(hold: Hold, now: Now) -> Hold:
    """Return a hold that was given a duration with its end by the time of day, as soon and as long as that is known.

    One whose boot never knew the time begins its duration anew: nobody knows how much of it was left.
    """
    if hold.end_boot and hold.end_boot != now.boot_id and hold.end_utc_ms is None and hold.for_ms:
        if hold.kind is HoldKind.BOOST:
            return hold
        hold = msgspec.structs.replace(hold, end_boot=now.boot_id, end_ms=now.now_ms + hold.for_ms)
    now_ends_ms = end_utc_ms(hold, now)
    if now_ends_ms is None or (hold.end_utc_ms is not None and abs(now_ends_ms - hold.end_utc_ms) <= DRIFT_MS_MAX):
        return hold
    return msgspec.structs.replace(hold, end_utc_ms=now_ends_ms)


def _with_next_block(hold: Hold, now: Now, plan: Timeline | None) -> Hold:
    """Return a hold until the next block with its end: the first block that begins after it."""
    if hold.until is not Until.NEXT_BLOCK or hold.end_utc_ms is not None or now.utc_ms is None or plan is None:
        return hold
    # When it was made says little: the time may not have been known, the schedule another one.
    begin_ms = now.utc_ms if hold.start_utc_ms is None else hold.start_utc_ms
    after = plan.starts_utc_ms[bisect_right(plan.starts_utc_ms, begin_ms) :]
    return msgspec.structs.replace(hold, end_utc_ms=after[0]) if after else hold


def with_ends_of(program: ZoneProgram, before: Schedule | None, now: Now) -> ZoneProgram:
    """Return a program whose holds until the next block look for it in the schedule that is followed from now on.

    Without one they end as they would have.

    Args:
        program: Afterwards.
        before: The schedule that was followed.
        now: Now.
    """
    if program.followed is None or program.followed == before:
        return program
    holds = tuple(
        msgspec.structs.replace(hold, end_utc_ms=None)
        if hold.until is Until.NEXT_BLOCK and not has_ended(hold, now)
        else hold
        for hold in program.holds
    )
    return msgspec.structs.replace(program, holds=holds)


def with_hold(program: ZoneProgram, hold: Hold, now: Now) -> ZoneProgram:
    """Return a program with one more hold; one of the same id is replaced.

    A hold that begins at once and has no end of its own replaces those of its kind that are under way: it is the new
    state, not an exception from the old one. So does every new boost and every new away.

    Raises:
        SettingInvalid: It cannot be; nothing changes.
    """
    _check(hold, now)
    kept = [other for other in program.holds if other.id != hold.id and not has_ended(other, now)]
    is_window = hold.until is Until.TIME and hold.kind is HoldKind.HOLD
    if hold.start_utc_ms is None and not is_window:
        kept = [other for other in kept if other.kind is not hold.kind or not has_begun(other, now)]
    if len(kept) >= HOLDS_MAX:
        raise SettingInvalid(f"there are {HOLDS_MAX} holds already; resume the schedule or cancel one first")
    made_ms = now.utc_ms
    if made_ms is None:
        made_ms = max((other.begin_utc_ms for other in kept if has_begun(other, now)), default=0)
    made = msgspec.structs.replace(hold, made_utc_ms=made_ms, made_boot=now.boot_id)
    return msgspec.structs.replace(program, holds=(*kept, made))


def _check(hold: Hold, now: Now) -> None:
    for name, value_c in (("heat setpoint", hold.heat_setpoint_c), ("cool setpoint", hold.cool_setpoint_c)):
        if value_c is not None:
            check_setpoint(name, value_c)
    if hold.heat_setpoint_c is None and hold.cool_setpoint_c is None and hold.mode is None:
        raise SettingInvalid("a hold needs a setpoint or a mode")
    times = [time_ms for time_ms in (hold.start_utc_ms, hold.end_utc_ms) if time_ms is not None]
    if times and now.utc_ms is None and not hold.end_boot:
        raise SettingInvalid("the hub does not know the time yet: give a duration, or check its network")
    if now.utc_ms is not None:
        if any(time_ms > now.utc_ms + AHEAD_MS_MAX for time_ms in times):
            raise SettingInvalid("that is more than a year ahead")
        if hold.end_utc_ms is not None and hold.end_utc_ms <= max(hold.start_utc_ms or 0, now.utc_ms):
            raise SettingInvalid("the end must come after the beginning, and after now")
    if hold.until is Until.TIME and hold.end_utc_ms is None and not hold.end_boot:
        raise SettingInvalid("a hold until a time needs that time")


def without_hold(program: ZoneProgram, hold_id: str) -> ZoneProgram:
    """Return a program without a hold, be it under way or yet to come.

    Raises:
        KeyError: There is none of this id.
    """
    kept = tuple(hold for hold in program.holds if hold.id != hold_id)
    if len(kept) == len(program.holds):
        raise KeyError(hold_id)
    return msgspec.structs.replace(program, holds=kept)


def resumed(program: ZoneProgram, now: Now) -> ZoneProgram:
    """Return a program that follows its schedule again: what is under way ends, what is planned stays."""
    kept = tuple(hold for hold in program.holds if not has_begun(hold, now))
    return program if kept == program.holds else msgspec.structs.replace(program, holds=kept)
