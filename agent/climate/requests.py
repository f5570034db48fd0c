"""Requests of people and programs to a zone, and the zone's program after each. Pure.

Every interface (command line, page, the local APIs of other vendors) uses these requests, so that one file checks them.
Times of day are those of the house.
"""

from collections.abc import Mapping, Sequence
from datetime import tzinfo

import msgspec

from agent.climate import calendar, effective_setpoint, holds, presence, schedule
from agent.climate.instants import instant_ms
from agent.climate.model import (
    COOLING_MODES,
    HEATING_MODES,
    Block,
    Day,
    Eco,
    Hold,
    HoldKind,
    Mode,
    Schedule,
    Setpoints,
    Until,
    ZoneProgram,
    check_setpoint,
    check_setpoints,
    separate_setpoints,
)
from agent.errors import SettingInvalid
from agent.foundation.clock import Now

AWAY_SETPOINTS = Setpoints(16.0, 28.0)
"""Setpoints of an away without any."""

BOOST_K = 2.0
"""A boost without a setpoint heats this much warmer than the zone would without boost and eco."""

BOOST_S = 3600.0
"""The duration of a boost without an end."""

BOOST_C_MAX = 28.0
DURATION_S_MAX = 31 * 24 * 3600.0
ID_CHARACTERS_MAX = 64
NEXT_BLOCK = "next"

SCHEDULES_MAX = 16
SCHEDULES_BYTES_MAX = 112 * 1024
"""All schedules of one zone as JSON, the sensors of one block counted twice: fourteen full ones with short labels.
Eight such zones and the rest of their programs stay below `agent.climate.service.SNAPSHOT_BYTES_MAX`."""


class SetRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="set"):
    """Change the mode, and the setpoints for times without a schedule. `None` leaves a value as it is."""

    mode: Mode | None = None
    heat_setpoint_c: float | None = None
    cool_setpoint_c: float | None = None


class HoldRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="hold"):
    """Add an exception from the schedule.

    Attributes:
        kind: Its kind.
        heat_setpoint_c: `None` keeps the setpoint in force; away and boost have defaults.
        cool_setpoint_c: `None` keeps the setpoint in force; away has a default.
        mode: `None` keeps the mode in force.
        start: Its beginning, see `instants.instant_ms`. Empty for now.
        until: Its end in the same forms, or "next" for the next block. Empty until something changes it.
        for_s: A duration in place of `until`; 0 for none.
        id: For cancelling and replacing it; empty for a new one.
    """

    kind: HoldKind = HoldKind.HOLD
    heat_setpoint_c: float | None = None
    cool_setpoint_c: float | None = None
    mode: Mode | None = None
    start: str = ""
    until: str = ""
    for_s: float = 0.0
    id: str = ""


class CancelHoldRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="cancel"):
    """Cancel a hold, active or planned."""

    id: str


class ResumeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="resume"):
    """End every active hold."""


class EcoRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="eco"):
    """Switch eco on or off. `None` leaves a limit as it is."""

    is_enabled: bool
    heat_limit_c: float | None = None
    cool_limit_c: float | None = None


class PutScheduleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="put_schedule"):
    """Store a schedule, in place of the one of its name. The zone follows it unless `is_followed` is false."""

    schedule: Schedule
    is_followed: bool = True


class FollowScheduleRequest(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="follow_schedule"
):
    """Follow a schedule; an empty name follows none."""

    name: str


class DropScheduleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="drop_schedule"):
    """Remove a schedule."""

    name: str


class CalendarRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="calendar"):
    """Have dates follow another day of the week; without `as_day` their own again. See `calendar.with_exception`."""

    first: str
    last: str = ""
    as_day: Day | None = None


class ReportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="report"):
    """Tell what a client sees in the zone. `None` leaves a value as it is. See `presence`."""

    is_window_open: bool | None = None
    is_present: bool | None = None


class _StrictBlock(Block, frozen=True, forbid_unknown_fields=True):
    pass


class _StrictSchedule(Schedule, frozen=True, forbid_unknown_fields=True):
    blocks: tuple[_StrictBlock, ...]


class _StrictPutScheduleRequest(PutScheduleRequest, frozen=True, forbid_unknown_fields=True):
    schedule: _StrictSchedule


ClimateRequest = (
    SetRequest
    | HoldRequest
    | CancelHoldRequest
    | ResumeRequest
    | EcoRequest
    | PutScheduleRequest
    | FollowScheduleRequest
    | DropScheduleRequest
    | CalendarRequest
    | ReportRequest
)

_decode = msgspec.json.Decoder(ClimateRequest).decode
_decode_strictly = msgspec.json.Decoder(_StrictPutScheduleRequest).decode


def decode(body: bytes) -> ClimateRequest:
    """Return the request in a JSON body.

    Raises:
        msgspec.MsgspecError: It is no request, or has an unknown field. A misspelt field must not be ignored.
    """
    request: ClimateRequest = _decode(body)
    if isinstance(request, PutScheduleRequest):
        # `Schedule` itself accepts unknown fields: in `climate.json` a newer release may have added some.
        _decode_strictly(body)
    return request


def usable_modes(*, can_heat: bool, can_cool: bool) -> tuple[Mode, ...]:
    """Return the modes that the equipment of a zone can carry out, "off" last."""
    able = (HEATING_MODES if can_heat else frozenset()) | (COOLING_MODES if can_cool else frozenset())
    return tuple(mode for mode in Mode if mode in able or mode is Mode.OFF)


def check_mode(request: ClimateRequest, usable: Sequence[Mode], zone_id: str) -> None:
    """Refuse a mode that the equipment of a zone cannot carry out: it would switch the zone off in silence.

    Args:
        request: The change.
        usable: From `usable_modes`.
        zone_id: Names the zone in the message.

    Raises:
        SettingInvalid: The mode is not usable.
    """
    mode = request.mode if isinstance(request, SetRequest | HoldRequest) else None
    if mode is not None and mode not in usable:
        choice = " or ".join(usable)
        raise SettingInvalid(f"choose {choice}: the equipment of {zone_id} cannot do {mode.value}")


class HoldWithoutEffect(SettingInvalid):
    """A hold that begins at once and would change nothing."""


def check_effect(program: ZoneProgram, request: ClimateRequest, now: Now, timezone: tzinfo, zone_id: str) -> None:
    """Refuse a hold that begins at once and that the zone would ignore: it is off, in another mode, or in eco.

    Args:
        program: Of the zone, as `apply` returned it for the request.
        request: The change.
        now: The present instant.
        timezone: Of the house.
        zone_id: Names the zone in the message.

    Raises:
        HoldWithoutEffect: The zone would go on as before.
    """
    if not isinstance(request, HoldRequest) or request.start:
        return
    hold = program.holds[-1]
    mode = effective_setpoint.resolve(program, now, None, timezone).mode
    if mode is Mode.OFF and hold.mode is not Mode.OFF:
        if program.mode is Mode.OFF:
            raise HoldWithoutEffect(
                f"choose a mode for {zone_id} first: it is off, and no {hold.kind} would change that"
            )
        raise HoldWithoutEffect(f"end the holds of {zone_id} first: one of them has switched it off")
    if hold.mode is not None:
        return
    if mode is Mode.HEAT and hold.heat_setpoint_c is None:
        raise HoldWithoutEffect(f"give a heat setpoint, or choose another mode for {zone_id} first: it does not cool")
    if mode is Mode.COOL and hold.cool_setpoint_c is None:
        raise HoldWithoutEffect(f"give a cool setpoint, or choose another mode for {zone_id} first: it does not heat")
    if hold.kind is HoldKind.HOLD and program.eco.is_enabled and _is_bounded(hold, mode, program.eco):
        raise HoldWithoutEffect(
            f"switch eco off in {zone_id} first, or boost it: eco heats to at most {program.eco.heat_limit_c:.1f} °C"
            f" and cools to at least {program.eco.cool_limit_c:.1f} °C"
        )


def _is_bounded(hold: Hold, mode: Mode, eco: Eco) -> bool:
    """Return whether eco takes away all that a hold asks for."""
    is_heat = mode in HEATING_MODES and hold.heat_setpoint_c is not None
    is_cool = mode in COOLING_MODES and hold.cool_setpoint_c is not None
    is_heat_left = is_heat and (hold.heat_setpoint_c or 0.0) <= eco.heat_limit_c
    is_cool_left = is_cool and (hold.cool_setpoint_c or 0.0) >= eco.cool_limit_c
    return not is_heat_left and not is_cool_left


def apply(
    program: ZoneProgram,
    request: ClimateRequest,
    now: Now,
    timezone: tzinfo,
    *,
    new_id: str,
    holds_max: int = holds.HOLDS_MAX,
) -> ZoneProgram:
    """Return the program after a request.

    Args:
        program: Of the zone.
        request: The change.
        now: The present instant.
        timezone: Of the house.
        new_id: For a hold without an id.
        holds_max: So many holds the zone may have after a new one.

    Raises:
        SettingInvalid: The request cannot be carried out; nothing changes.
    """
    match request:
        case SetRequest():
            return _set(program, request, now)
        case HoldRequest():
            hold = _build_hold(program, request, now, timezone, new_id)
            return holds.with_hold(program, hold, now, holds_max=holds_max)
        case CancelHoldRequest():
            try:
                return holds.without_hold(program, request.id)
            except KeyError as error:
                raise SettingInvalid(f"there is no hold {request.id[:ID_CHARACTERS_MAX]}") from error
        case ResumeRequest():
            return holds.resume(program, now)
        case EcoRequest():
            return _set_eco(program, request)
        case ReportRequest():
            if request.is_window_open is None and request.is_present is None:
                raise SettingInvalid("give is_window_open or is_present: there is nothing to report")
            seen = presence.observe(
                program.observed, now, is_window_open=request.is_window_open, is_present=request.is_present
            )
            changed, before = msgspec.structs.replace(program, observed=seen), program.active_schedule
        case CalendarRequest():
            changed = calendar.with_exception(program, request.first, request.last, request.as_day, now, timezone)
            before = None
        case _:
            changed, before = _change_schedules(program, request), program.active_schedule
    return holds.reset_block_ends(changed, before, now)


def _set(program: ZoneProgram, request: SetRequest, now: Now) -> ZoneProgram:
    """Return the program with another mode or setpoints. Who chooses a mode means now: a hold with another one ends."""
    if request.mode is None and request.heat_setpoint_c is None and request.cool_setpoint_c is None:
        raise SettingInvalid("give a mode or a setpoint: there is nothing to set")
    setpoints = _change_setpoints(program.setpoints, request.heat_setpoint_c, request.cool_setpoint_c)
    kept = tuple(
        hold
        for hold in program.holds
        if request.mode is None or hold.mode in {None, request.mode} or not effective_setpoint.has_begun(hold, now)
    )
    mode = request.mode or program.mode
    return msgspec.structs.replace(program, mode=mode, setpoints=setpoints, holds=kept)


def _change_setpoints(known: Setpoints, heat_c: float | None, cool_c: float | None) -> Setpoints:
    """Return the setpoints after a change. A setpoint that was not given makes room for the one that was."""
    if heat_c is not None and cool_c is not None:
        return check_setpoints(Setpoints(heat_c, cool_c))
    if heat_c is not None:
        return separate_setpoints(check_setpoint("heat setpoint", heat_c), known.cool_setpoint_c, keep=Mode.HEAT)
    if cool_c is not None:
        return separate_setpoints(known.heat_setpoint_c, check_setpoint("cool setpoint", cool_c), keep=Mode.COOL)
    return known


def _build_hold(program: ZoneProgram, request: HoldRequest, now: Now, timezone: tzinfo, new_id: str) -> Hold:
    _check_hold(request)
    heat_c, cool_c = request.heat_setpoint_c, request.cool_setpoint_c
    for_s = request.for_s
    if request.kind is HoldKind.BOOST and not for_s and not request.until:
        for_s = BOOST_S
    if heat_c is None and cool_c is None:
        if request.kind is HoldKind.AWAY:
            heat_c, cool_c = AWAY_SETPOINTS.heat_setpoint_c, AWAY_SETPOINTS.cool_setpoint_c
        elif request.kind is HoldKind.BOOST and request.mode is None:
            heat_c = min(BOOST_C_MAX, _heat_setpoint_without_boost_c(program, now, timezone) + BOOST_K)
    start_ms = instant_ms(request.start, now, timezone) if request.start else None
    begin_ms = now.utc_ms if start_ms is None else start_ms
    until, end_ms = _resolve_end(program, request.until, for_s, now, timezone, begin_ms)
    is_on_boot_clock = bool(for_s) and start_ms is None
    return Hold(
        id=request.id or new_id,
        kind=request.kind,
        heat_setpoint_c=heat_c,
        cool_setpoint_c=cool_c,
        mode=request.mode,
        until=until,
        start_utc_ms=start_ms,
        end_utc_ms=end_ms,
        end_boot=now.boot_id if is_on_boot_clock else "",
        end_ms=now.now_ms + round(for_s * 1000) if is_on_boot_clock else 0,
        for_ms=round(for_s * 1000) if is_on_boot_clock else 0,
    )


def _check_hold(request: HoldRequest) -> None:
    if len(request.id) > ID_CHARACTERS_MAX:
        raise SettingInvalid(f"an id has at most {ID_CHARACTERS_MAX} characters")
    if not request.id.isprintable():
        raise SettingInvalid("the id has characters that cannot be printed")
    if request.heat_setpoint_c is not None and request.cool_setpoint_c is not None:
        check_setpoints(Setpoints(request.heat_setpoint_c, request.cool_setpoint_c))
    if not 0 <= request.for_s <= DURATION_S_MAX:
        raise SettingInvalid(f"give a duration of more than 0 s and at most {DURATION_S_MAX / 86_400:.0f} days")
    if request.for_s and request.until:
        raise SettingInvalid("give a duration or an end, not both")


def _resolve_end(
    program: ZoneProgram, until: str, for_s: float, now: Now, timezone: tzinfo, begin_ms: int | None
) -> tuple[Until, int | None]:
    """Return what ends a hold, and the instant if it has one by the time of day."""
    if until == NEXT_BLOCK:
        if program.active_schedule is None:
            raise SettingInvalid("there is no next block: the zone follows no schedule")
        return Until.NEXT_BLOCK, None
    if until:
        return Until.TIME, instant_ms(until, now, timezone, after_ms=begin_ms)
    if for_s:
        return Until.TIME, None if begin_ms is None else begin_ms + round(for_s * 1000)
    return Until.CHANGED, None


def _heat_setpoint_without_boost_c(program: ZoneProgram, now: Now, timezone: tzinfo) -> float:
    """Return the heating setpoint without boosts and eco: a boost that is sent twice must not add up."""
    others = tuple(hold for hold in program.holds if hold.kind is not HoldKind.BOOST)
    program = msgspec.structs.replace(program, holds=others, eco=Eco())
    timeline = None
    if program.active_schedule is not None and now.utc_ms is not None:
        timeline = schedule.build_timeline(
            program.active_schedule, utc_ms=now.utc_ms, timezone=timezone, exceptions=program.exceptions
        )
    return effective_setpoint.resolve(program, now, timeline, timezone).setpoints.heat_setpoint_c


def _set_eco(program: ZoneProgram, request: EcoRequest) -> ZoneProgram:
    known = program.eco
    eco = Eco(
        request.is_enabled,
        known.heat_limit_c if request.heat_limit_c is None else request.heat_limit_c,
        known.cool_limit_c if request.cool_limit_c is None else request.cool_limit_c,
    )
    check_setpoints(Setpoints(eco.heat_limit_c, eco.cool_limit_c), "eco: ")
    return msgspec.structs.replace(program, eco=eco)


def _change_schedules(
    program: ZoneProgram, request: PutScheduleRequest | FollowScheduleRequest | DropScheduleRequest
) -> ZoneProgram:
    known = program.schedules
    if isinstance(request, PutScheduleRequest):
        new = schedule.check_schedule(request.schedule)
        if new.name not in known and len(known) >= SCHEDULES_MAX:
            raise SettingInvalid(f"drop a schedule first: there are {SCHEDULES_MAX} already")
        schedules = known | {new.name: new}
        _check_size(known, schedules)
        active = new.name if request.is_followed else program.schedule
        return msgspec.structs.replace(program, schedules=schedules, schedule=active)
    if request.name not in known and (request.name or isinstance(request, DropScheduleRequest)):
        raise SettingInvalid(f"there is no schedule {request.name[:64]}; there are {', '.join(known) or 'none'}")
    if isinstance(request, FollowScheduleRequest):
        return msgspec.structs.replace(program, schedule=request.name)
    schedules = {name: other for name, other in known.items() if name != request.name}
    active = "" if program.schedule == request.name else program.schedule
    return msgspec.structs.replace(program, schedules=schedules, schedule=active)


def _check_size(known: Mapping[str, Schedule], schedules: Mapping[str, Schedule]) -> None:
    """Refuse schedules that the file cannot hold, unless they take less than the present ones."""
    size = _size(schedules)
    if size > SCHEDULES_BYTES_MAX and size > _size(known):
        raise SettingInvalid(
            "drop a schedule, or give this one fewer blocks, shorter labels or fewer sensors: the zone's schedules"
            f" would take {-(-size // 1024)} KiB, allowed are {SCHEDULES_BYTES_MAX // 1024} KiB"
        )


def _size(schedules: Mapping[str, Schedule]) -> int:
    """Return the size of schedules as JSON, with the longest list of sensors twice: see `LastScheduledBlock`."""
    sensors = (msgspec.json.encode(block.sensors) for made in schedules.values() for block in made.blocks)
    return len(msgspec.json.encode(schedules)) + max(map(len, sensors), default=0)
