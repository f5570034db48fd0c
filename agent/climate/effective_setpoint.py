"""The setpoints in force: what a zone is to reach now, for what reason, and until when. Pure.

A boost takes precedence over away, away over other holds, and holds over the schedule. Of two holds of a kind the one
that began later counts. Eco bounds the result, except what a boost asks for. When a hold ends, what it covered is in
force again (Amps "windowed").

No schedule can be followed while the time of day is unknown: the block that was in force last stays in force.
"""

import math
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

import msgspec

from agent.climate.model import Eco, Hold, HoldKind, Mode, Setpoints, Until, ZoneProgram, separate_setpoints
from agent.climate.schedule import Timeline
from agent.foundation import rfc3339
from agent.foundation.clock import Now

WEEKDAY_MS_MAX = 6 * 24 * 3_600_000
"""An end further off than this is shown with its date: the day of the week alone could be today."""

_RANK = {kind: rank for rank, kind in enumerate(HoldKind)}


class SetpointReason(StrEnum):
    """Why these setpoints are in force."""

    SCHEDULE = "schedule"
    HOLD = "hold"
    AWAY = "away"
    BOOST = "boost"
    DEFAULT = "default"
    """The zone follows no schedule."""
    REMEMBERED = "remembered"
    """The time is unknown: the block that was in force last stays in force."""


_HOLD_REASONS = {kind: SetpointReason(kind.value) for kind in HoldKind}


class EffectiveSetpoint(msgspec.Struct, frozen=True):
    """What is in force, why, and until when.

    Attributes:
        mode: What the zone may do.
        setpoints: What it is to reach.
        reason: Why.
        label: Of the block, or the id of the hold.
        until_utc_ms: When something else comes into force by itself; `None` for never, and while the time is unknown.
        is_eco: Eco has changed the setpoints.
        sensors: The sensors that count, those of the block also during a hold; empty for all.
        text: All of it, for people.
    """

    mode: Mode
    setpoints: Setpoints
    reason: SetpointReason
    label: str
    until_utc_ms: int | None
    is_eco: bool
    sensors: tuple[str, ...]
    text: str


class _Base(msgspec.Struct, frozen=True):
    """What is in force without any hold."""

    setpoints: Setpoints
    reason: SetpointReason
    label: str = ""
    until_utc_ms: int | None = None
    sensors: tuple[str, ...] = ()


def has_begun(hold: Hold, now: Now) -> bool:
    """Return whether a hold has begun. While the time of day is unknown, a planned hold has not."""
    if hold.start_utc_ms is None:
        return True
    return now.utc_ms is not None and now.utc_ms >= hold.start_utc_ms


def has_ended(hold: Hold, now: Now) -> bool:
    """Return whether a hold is over.

    A duration counts on the monotonic clock of its boot, so that setting the clock does not change it. After a reboot
    without the time of day the rest of the duration is unknown: a boost is over then, any other hold goes on, at most
    for its own length (`holds.tidy` gives it this limit). A time of day that is set back makes no hold longer either.
    """
    if hold.limit_boot and hold.limit_boot == now.boot_id and now.now_ms >= hold.limit_ms:
        return True
    if hold.end_boot and hold.end_boot == now.boot_id:
        return now.now_ms >= hold.end_ms
    if hold.end_utc_ms is not None and now.utc_ms is not None:
        return now.utc_ms >= hold.end_utc_ms
    if hold.kind is not HoldKind.BOOST or hold.start_utc_ms is not None:
        return False
    is_after_reboot = now.utc_ms is None and hold.made_boot != now.boot_id
    return is_after_reboot or bool(hold.end_boot) or hold.until is Until.TIME


def remaining_s(hold: Hold, now: Now) -> float | None:
    """Return the rest of a duration that was given in this boot; `None` for any other hold."""
    if not hold.end_boot or hold.end_boot != now.boot_id:
        return None
    return max(0.0, (hold.end_ms - now.now_ms) / 1000)


def end_utc_ms(hold: Hold, now: Now) -> int | None:
    """Return the end of a hold by the present clock; `None` if it has none, or if it is unknown."""
    left_s = remaining_s(hold, now)
    if left_s is None or now.utc_ms is None:
        return hold.end_utc_ms
    return now.utc_ms + round(left_s * 1000)


def active_holds(program: ZoneProgram, now: Now) -> list[Hold]:
    """Return the holds that count now, the strongest first."""
    numbered = [
        (_RANK[hold.kind], hold.begin_utc_ms, number, hold)
        for number, hold in enumerate(program.holds)
        if has_begun(hold, now) and not has_ended(hold, now)
    ]
    numbered.sort(key=lambda entry: entry[:3], reverse=True)
    return [hold for _, _, _, hold in numbered]


def resolve(program: ZoneProgram, now: Now, timeline: Timeline | None, timezone: tzinfo = UTC) -> EffectiveSetpoint:
    """Return what is in force.

    Args:
        program: Of the zone.
        now: The present instant.
        timeline: Of the active schedule; `None` without a schedule, and while the time is unknown.
        timezone: Of the house, for the text.
    """
    base = _resolve_base(program, now, timeline)
    mode, reason, label, until_ms = program.mode, base.reason, base.label, base.until_utc_ms
    heat_c, cool_c, keep = base.setpoints.heat_setpoint_c, base.setpoints.cool_setpoint_c, Mode.HEAT
    holds = active_holds(program, now)
    for hold in reversed(holds):
        if hold.heat_setpoint_c is not None:
            heat_c, keep = hold.heat_setpoint_c, Mode.HEAT
        if hold.cool_setpoint_c is not None:
            cool_c, keep = hold.cool_setpoint_c, Mode.COOL if hold.heat_setpoint_c is None else Mode.HEAT
        mode = hold.mode or mode
    if holds:
        reason, label, until_ms = _HOLD_REASONS[holds[0].kind], holds[0].id, end_utc_ms(holds[0], now)
    until_ms = _earliest(until_ms, _next_start(program, now))
    wanted = setpoints = separate_setpoints(heat_c, cool_c, keep=keep)
    if program.eco.is_enabled:
        setpoints = _bound_by_eco(wanted, program.eco, [hold for hold in holds if hold.kind is HoldKind.BOOST])
    is_eco = setpoints != wanted
    text = _describe(reason, label) + (", bounded by eco" if is_eco else "")
    left_s = remaining_s(holds[0], now) if holds else None
    if until_ms is not None:
        text += f", until {_format_end(until_ms, now, timezone)}"
    elif left_s is not None:
        text += f", {math.ceil(left_s / 60)} min more"
    return EffectiveSetpoint(mode, setpoints, reason, label, until_ms, is_eco, base.sensors, text)


def _bound_by_eco(wanted: Setpoints, eco: Eco, boosts: list[Hold]) -> Setpoints:
    """Return the setpoints within eco's limits. What a boost asks for is asked for although eco is on."""
    heat_c, cool_c = wanted.heat_setpoint_c, wanted.cool_setpoint_c
    if all(boost.heat_setpoint_c is None for boost in boosts):
        heat_c = min(heat_c, eco.heat_limit_c)
    if all(boost.cool_setpoint_c is None for boost in boosts):
        cool_c = max(cool_c, eco.cool_limit_c)
    return Setpoints(heat_c, cool_c)


def _resolve_base(program: ZoneProgram, now: Now, timeline: Timeline | None) -> _Base:
    if program.active_schedule is None:
        return _Base(program.setpoints, SetpointReason.DEFAULT)
    if timeline is not None and now.utc_ms is not None and (segment := timeline.segment_at(now.utc_ms)) is not None:
        block = segment.block
        return _Base(block.setpoints, SetpointReason.SCHEDULE, block.label, segment.end_utc_ms, block.sensors)
    if program.last is not None:
        last = program.last
        return _Base(last.setpoints, SetpointReason.REMEMBERED, last.label, None, last.sensors)
    return _Base(program.setpoints, SetpointReason.REMEMBERED)


def _next_start(program: ZoneProgram, now: Now) -> int | None:
    """Return when the next planned hold begins."""
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


def _describe(reason: SetpointReason, label: str) -> str:
    match reason:
        case SetpointReason.SCHEDULE:
            return f"schedule, {label}"
        case SetpointReason.REMEMBERED:
            return f"time unknown: setpoints unchanged{f' ({label})' if label else ''}"
        case SetpointReason.DEFAULT:
            return "no schedule"
        case _:
            return reason.value


def _format_end(utc_ms: int, now: Now, timezone: tzinfo) -> str:
    if not rfc3339.is_plausible(utc_ms):
        return rfc3339.render(utc_ms)
    is_this_week = now.utc_ms is not None and utc_ms - now.utc_ms <= WEEKDAY_MS_MAX
    form = "%a %H:%M" if is_this_week else "%a %Y-%m-%d %H:%M"
    return datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(timezone).strftime(form)
