"""What people and programs may tell a zone, and what becomes of its program. Pure.

Every door (command line, page, other people's protocols) speaks these orders, so that there is one place that judges
them. Times of day are those of the house.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo

import msgspec

from agent.climate import holds, schedule
from agent.climate.holds import AWAY_SETPOINTS, Eco, Hold, HoldKind, Until, ZoneProgram
from agent.climate.model import Mode, Setpoints, check_setpoint, check_setpoints, separate_setpoints
from agent.climate.schedule import Block, Schedule
from agent.errors import SettingInvalid
from agent.foundation import rfc3339
from agent.foundation.clock import Now
from agent.foundation.text import quote

BOOST_K = 2.0
BOOST_S = 3600.0
"""A boost of which nothing else is said: so much warmer, for so long."""

BOOST_C_MAX = 28.0
DURATION_S_MAX = 31 * 24 * 3600.0
ID_CHARACTERS_MAX = 64
NEXT_BLOCK = "next"


class SetRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="set"):
    """Change what a zone does without a schedule, and its mode; `None` leaves what is."""

    mode: Mode | None = None
    heat_setpoint_c: float | None = None
    cool_setpoint_c: float | None = None


class HoldRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="hold"):
    """Make an exception.

    Attributes:
        kind: What sort.
        heat_setpoint_c: `None` leaves what is; for away and boost there are defaults.
        cool_setpoint_c: Likewise.
        mode: Likewise.
        start: When: HH:MM in the house, or ISO 8601 (without a zone: the house's); empty for now.
        until: Likewise; "next" for the next block, empty until it is changed.
        for_s: A duration in place of `until`; 0 for none.
        id: To cancel or replace it by; empty to have one made.
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
    """Take a hold back, be it under way or yet to come."""

    id: str


class ResumeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="resume"):
    """End every exception that is under way."""


class EcoRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="eco"):
    """Switch eco; limits that are not given stay."""

    is_enabled: bool
    heat_limit_c: float | None = None
    cool_limit_c: float | None = None


class PutScheduleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="put_schedule"):
    """Create a schedule or replace the one of its name; it is followed at once unless told otherwise."""

    schedule: Schedule
    is_followed: bool = True


class FollowScheduleRequest(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="follow_schedule"
):
    """Follow a schedule; an empty name follows none."""

    name: str


class DropScheduleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="drop_schedule"):
    """Forget a schedule."""

    name: str


class _SpeltBlock(Block, frozen=True, forbid_unknown_fields=True):
    pass


class _SpeltSchedule(Schedule, frozen=True, forbid_unknown_fields=True):
    blocks: tuple[_SpeltBlock, ...]


class _SpeltPut(PutScheduleRequest, frozen=True, forbid_unknown_fields=True):
    schedule: _SpeltSchedule


ClimateRequest = (
    SetRequest
    | HoldRequest
    | CancelHoldRequest
    | ResumeRequest
    | EcoRequest
    | PutScheduleRequest
    | FollowScheduleRequest
    | DropScheduleRequest
)

_decode = msgspec.json.Decoder(ClimateRequest).decode
_decode_spelt = msgspec.json.Decoder(_SpeltPut).decode


def decode(body: bytes) -> ClimateRequest:
    """Return the order in a JSON body.

    Raises:
        msgspec.MsgspecError: It is none, or has a field that nobody knows: what was misspelt must not be lost.
    """
    order: ClimateRequest = _decode(body)
    if isinstance(order, PutScheduleRequest):
        # A schedule in our own file is decoded without that: a newer release may have added to it.
        _decode_spelt(body)
    return order


def apply(program: ZoneProgram, order: ClimateRequest, now: Now, zone: tzinfo, *, new_id: str) -> ZoneProgram:
    """Return the program as it is after an order.

    Args:
        program: Of the zone.
        order: What it is told.
        now: Now.
        zone: The house's time zone.
        new_id: For a hold that brings none.

    Raises:
        SettingInvalid: It cannot be; nothing changes.
    """
    match order:
        case SetRequest():
            return _set(program, order)
        case HoldRequest():
            return holds.with_hold(program, _hold(program, order, now, zone, new_id), now)
        case CancelHoldRequest():
            try:
                return holds.without_hold(program, order.id)
            except KeyError as error:
                raise SettingInvalid(f"there is no hold {order.id[:ID_CHARACTERS_MAX]}") from error
        case ResumeRequest():
            return holds.resumed(program, now)
        case EcoRequest():
            return _eco(program, order)
        case _:
            return holds.with_ends_of(_scheduled(program, order), program.followed, now)


def _set(program: ZoneProgram, order: SetRequest) -> ZoneProgram:
    if order.mode is None and order.heat_setpoint_c is None and order.cool_setpoint_c is None:
        raise SettingInvalid("nothing to set: give a mode or a setpoint")
    known = program.setpoints
    setpoints = _asked(known, order.heat_setpoint_c, order.cool_setpoint_c)
    return msgspec.structs.replace(program, mode=order.mode or program.mode, setpoints=setpoints)


def _asked(known: Setpoints, heat_c: float | None, cool_c: float | None) -> Setpoints:
    """Return setpoints of which some are given: what is not given makes room."""
    if heat_c is not None and cool_c is not None:
        return check_setpoints(Setpoints(heat_c, cool_c))
    if heat_c is not None:
        return separate_setpoints(check_setpoint("heat setpoint", heat_c), known.cool_setpoint_c, keep=Mode.HEAT)
    if cool_c is not None:
        return separate_setpoints(known.heat_setpoint_c, check_setpoint("cool setpoint", cool_c), keep=Mode.COOL)
    return known


def _hold(program: ZoneProgram, order: HoldRequest, now: Now, zone: tzinfo, new_id: str) -> Hold:
    _check_hold(order)
    heat_c, cool_c = order.heat_setpoint_c, order.cool_setpoint_c
    for_s = order.for_s
    if order.kind is HoldKind.BOOST and not for_s and not order.until:
        for_s = BOOST_S
    if heat_c is None and cool_c is None:
        if order.kind is HoldKind.AWAY:
            heat_c, cool_c = AWAY_SETPOINTS.heat_setpoint_c, AWAY_SETPOINTS.cool_setpoint_c
        elif order.kind is HoldKind.BOOST and order.mode is None:
            heat_c = min(BOOST_C_MAX, _heat_unboosted_c(program, now, zone) + BOOST_K)
    start_ms = _instant_ms(order.start, now, zone) if order.start else None
    begin_ms = now.utc_ms if start_ms is None else start_ms
    until, end_ms = _end(program, order.until, for_s, now, zone, begin_ms)
    is_from_now = bool(for_s) and start_ms is None
    return Hold(
        id=order.id or new_id,
        kind=order.kind,
        heat_setpoint_c=heat_c,
        cool_setpoint_c=cool_c,
        mode=order.mode,
        until=until,
        start_utc_ms=start_ms,
        end_utc_ms=end_ms,
        end_boot=now.boot_id if is_from_now else "",
        end_ms=now.now_ms + round(for_s * 1000) if is_from_now else 0,
        for_ms=round(for_s * 1000) if is_from_now else 0,
    )


def _check_hold(order: HoldRequest) -> None:
    if len(order.id) > ID_CHARACTERS_MAX:
        raise SettingInvalid(f"an id has at most {ID_CHARACTERS_MAX} characters")
    if not order.id.isprintable():
        raise SettingInvalid("the id has characters that cannot be printed")
    if order.heat_setpoint_c is not None and order.cool_setpoint_c is not None:
        check_setpoints(Setpoints(order.heat_setpoint_c, order.cool_setpoint_c))
    if not 0 <= order.for_s <= DURATION_S_MAX:
        raise SettingInvalid(f"a duration is up to {DURATION_S_MAX / 86_400:.0f} days")
    if order.for_s and order.until:
        raise SettingInvalid("give a duration or an end, not both")


def _end(
    program: ZoneProgram, until: str, for_s: float, now: Now, zone: tzinfo, begin_ms: int | None
) -> tuple[Until, int | None]:
    """Return when a hold ends, and the instant where the time of day says so."""
    if until == NEXT_BLOCK:
        if program.followed is None:
            raise SettingInvalid("there is no next block: no schedule is followed")
        return Until.NEXT_BLOCK, None
    if until:
        return Until.TIME, _instant_ms(until, now, zone, after_ms=begin_ms)
    if for_s:
        return Until.TIME, None if begin_ms is None else begin_ms + round(for_s * 1000)
    return Until.CHANGED, None


def _heat_unboosted_c(program: ZoneProgram, now: Now, zone: tzinfo) -> float:
    """Return the heating setpoint in force but for boosts: one that is sent again must not come on top of itself."""
    others = tuple(hold for hold in program.holds if hold.kind is not HoldKind.BOOST)
    program = msgspec.structs.replace(program, holds=others)
    plan = None
    if program.followed is not None and now.utc_ms is not None:
        plan = schedule.build_timeline(program.followed, utc_ms=now.utc_ms, zone=zone)
    return holds.in_force(program, now, plan, zone).setpoints.heat_setpoint_c


def _instant_ms(text: str, now: Now, zone: tzinfo, *, after_ms: int | None = None) -> int:
    """Return the instant that a text means: the next time that a clock in the house shows it, or a date and time."""
    if now.utc_ms is None:
        raise SettingInvalid("the hub does not know the time yet: give a duration, or check its network")
    if len(text) == 5 and text[2] == ":":  # noqa: PLR2004 - HH:MM
        if text.replace(":", "").isdecimal() and int(text[:2]) < 24 and int(text[3:]) < 60:  # noqa: PLR2004
            after_ms = now.utc_ms if after_ms is None else after_ms
            today = datetime.fromtimestamp(after_ms / 1000, UTC).astimezone(zone).date()
            minute = int(text[:2]) * 60 + int(text[3:])
            days = (schedule.instant_utc_ms(today + timedelta(days=ahead), minute, zone) for ahead in range(3))
            return next(instant_ms for instant_ms in days if instant_ms > after_ms)
        raise SettingInvalid(f'"{text}" is no time of day')
    try:
        at = datetime.fromisoformat(text)
        return rfc3339.to_utc_ms(at if at.tzinfo else at.replace(tzinfo=zone))
    except ValueError as error:
        why = f"is no time {rfc3339.BOUNDS}: use HH:MM or 2026-01-31T18:00"
        raise SettingInvalid(f"{quote(text)} {why}") from error


def _eco(program: ZoneProgram, order: EcoRequest) -> ZoneProgram:
    known = program.eco
    eco = Eco(
        order.is_enabled,
        known.heat_limit_c if order.heat_limit_c is None else order.heat_limit_c,
        known.cool_limit_c if order.cool_limit_c is None else order.cool_limit_c,
    )
    check_setpoints(Setpoints(eco.heat_limit_c, eco.cool_limit_c), "eco: ")
    return msgspec.structs.replace(program, eco=eco)


def _check_size(known: Mapping[str, Schedule], schedules: Mapping[str, Schedule]) -> None:
    """Refuse schedules that the file would not hold, unless they take less than those that are there."""
    size = _size(schedules)
    if size > holds.SCHEDULES_BYTES_MAX and size > _size(known):
        allowed = f"{holds.SCHEDULES_BYTES_MAX // 1024} KiB"
        raise SettingInvalid(
            f"the zone's schedules would take {-(-size // 1024)} KiB, allowed are {allowed}: "
            "drop one, or give this one fewer blocks, shorter labels or fewer sensors"
        )


def _size(schedules: Mapping[str, Schedule]) -> int:
    """Return how much schedules take as JSON; the sensors of the block in force are written once more."""
    sensors = (msgspec.json.encode(block.sensors) for made in schedules.values() for block in made.blocks)
    return len(msgspec.json.encode(schedules)) + max(map(len, sensors), default=0)


def _scheduled(
    program: ZoneProgram, order: PutScheduleRequest | FollowScheduleRequest | DropScheduleRequest
) -> ZoneProgram:
    known = program.schedules
    match order:
        case PutScheduleRequest():
            made = schedule.check_schedule(order.schedule)
            if made.name not in known and len(known) >= holds.SCHEDULES_MAX:
                raise SettingInvalid(f"there are {holds.SCHEDULES_MAX} schedules already; drop one first")
            followed = made.name if order.is_followed else program.schedule
            schedules = known | {made.name: made}
            _check_size(known, schedules)
            return msgspec.structs.replace(program, schedules=schedules, schedule=followed)
        case FollowScheduleRequest():
            if order.name and order.name not in known:
                raise SettingInvalid(f"there is no schedule {order.name[:64]}; there are {', '.join(known) or 'none'}")
            return msgspec.structs.replace(program, schedule=order.name)
        case _:
            if order.name not in known:
                raise SettingInvalid(f"there is no schedule {order.name[:64]}; there are {', '.join(known) or 'none'}")
            left = {name: kept for name, kept in known.items() if name != order.name}
            return msgspec.structs.replace(
                program, schedules=left, schedule="" if program.schedule == order.name else program.schedule
            )
