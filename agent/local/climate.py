"""The control room at the technician's door: what every zone does and why, and orders for it.

`GET /v1/climate`, and `POST /v1/climate/ZONE` with an order as JSON (`agent.climate.requests`); ZONE may be `all`. The
JSON form is an interface: fields may be added, never renamed.
"""

from collections.abc import Callable
from http import HTTPStatus

import msgspec
from aiohttp import web

from agent.climate import holds, requests
from agent.climate.controller import ZoneController
from agent.climate.holds import Hold
from agent.climate.model import Moment
from agent.climate.requests import ClimateRequest, apply
from agent.climate.schedule import Schedule
from agent.climate.service import ClimateService
from agent.errors import SettingInvalid
from agent.foundation import instants
from agent.local.body import chunks
from hal.interface import HvacAction

BODY_BYTES_MAX = 64 * 1024
"""A schedule of seventy blocks takes 12 KiB."""

ALL_ZONES = "all"

_encode = msgspec.json.Encoder().encode


class HoldReport(msgspec.Struct, frozen=True):
    """One exception, under way or yet to come.

    `until` is one of `agent.climate.holds.Until`; `left_s` is there for one that was given a duration, also while the
    time of day is not known.
    """

    id: str
    kind: str
    heat_setpoint_c: float | None
    cool_setpoint_c: float | None
    mode: str | None
    start: str | None
    end: str | None
    until: str
    left_s: float | None


class ZoneReport(msgspec.Struct, frozen=True):
    """One zone: what is in force, why, until when; what it does, and why.

    `heat_setpoint_c` is that of this moment: above the one in force while it recovers ahead of a block.
    """

    zone: str
    room_c: float | None
    sensors_used: int
    sensor_problem: str
    mode: str
    heat_setpoint_c: float
    cool_setpoint_c: float
    why: str
    label: str
    until: str | None
    in_force: str
    is_eco: bool
    action: str
    duty: float
    reason: str
    problem: str
    schedule: str
    schedules: list[Schedule]
    holds: list[HoldReport]
    rate_k_per_h: float
    loss_k_per_h: float


class HeatSourceReport(msgspec.Struct, frozen=True):
    """The shared source."""

    action: str
    stage: int
    is_aux_on: bool
    is_pump_on: bool


class ClimateReport(msgspec.Struct, frozen=True):
    """The whole home; no zones where the hub drives nothing."""

    zones: list[ZoneReport]
    heat_source: HeatSourceReport | None
    problems: list[str]
    timezone: str


def build_climate(climate: ClimateService | None) -> ClimateReport:
    """Return the report."""
    if climate is None:
        return ClimateReport([], None, [], "")
    control = climate.control
    made = control.last
    demand = made.demand.heat_source if made else None
    heat_source = (
        HeatSourceReport(demand.action.value, demand.stage, demand.is_aux_on, demand.is_pump_on) if demand else None
    )
    reports = []
    for number, (mind, state) in enumerate(zip(control.zones.values(), control.state.zones, strict=True)):
        wish = made.requests[number] if made else None
        reason = made.reasons[number] if made else "not decided yet"
        reports.append(_zone(mind, climate, state.action, wish.duty if wish else 0.0, reason, state.problem))
    problems = [
        problem for problem in (climate.file_problem, climate.output_problem, climate.sensor_problem) if problem
    ]
    return ClimateReport(reports, heat_source, problems, str(climate.zone_info()))


def climate_problems(climate: ClimateService, *, control_problem: str) -> list[str]:
    """Return all that keeps the home from being kept as it should be, each once."""
    report = build_climate(climate)
    said = [control_problem, *report.problems]
    for zone in report.zones:
        said += [f"{zone.zone}: {problem}" for problem in (zone.problem, zone.sensor_problem) if problem]
    return list(dict.fromkeys(filter(None, said)))


def _zone(
    mind: ZoneController, climate: ClimateService, action: HvacAction, duty: float, reason: str, problem: str
) -> ZoneReport:
    force = mind.look(climate.moment(), climate.zone_info())
    program = mind.program
    return ZoneReport(
        zone=mind.settings.zone_id,
        room_c=None if mind.room.value_c is None else round(mind.room.value_c, 2),
        sensors_used=mind.room.used,
        sensor_problem=mind.room.problem,
        mode=force.mode.value,
        heat_setpoint_c=round(max(mind.heat_setpoint_c, force.setpoints.heat_setpoint_c), 2)
        if mind.recovery
        else force.setpoints.heat_setpoint_c,
        cool_setpoint_c=force.setpoints.cool_setpoint_c,
        why=force.why,
        label=force.label,
        until=_text(force.until_utc_ms),
        in_force=force.reason,
        is_eco=force.is_eco,
        action=action.value,
        duty=round(duty, 3),
        reason=reason,
        problem=problem,
        schedule=program.schedule,
        schedules=list(program.schedules.values()),
        holds=[_hold(hold, climate.moment()) for hold in program.holds],
        rate_k_per_h=round(mind.learned.rate_k_per_h, 2),
        loss_k_per_h=round(mind.learned.loss_k_per_h, 2),
    )


def _hold(hold: Hold, moment: Moment) -> HoldReport:
    return HoldReport(
        hold.id,
        hold.kind.value,
        hold.heat_setpoint_c,
        hold.cool_setpoint_c,
        hold.mode.value if hold.mode else None,
        _text(hold.start_utc_ms),
        _text(holds.end_utc_ms(hold, moment)),
        hold.until.value,
        holds.left(hold, moment),
    )


def _text(utc_ms: int | None) -> str | None:
    return None if utc_ms is None else instants.shown(utc_ms)


def give_order(
    climate: ClimateService | None, zone_id: str, order: ClimateRequest, new_id: Callable[[], str]
) -> list[str]:
    """Carry an order out and return the zones that it reached.

    Raises:
        KeyError: There is no such zone.
        SettingInvalid: It cannot be; nothing changes in any zone.
    """
    zones = climate.control.zones if climate else {}
    names = list(zones) if zone_id == ALL_ZONES else [zone_id]
    if climate is None or not all(name in zones for name in names):
        raise KeyError(zone_id)
    moment, zone = climate.moment(), climate.zone_info()
    programs = {name: apply(zones[name].program, order, moment, zone, new_id=new_id()) for name in names}
    for name, program in programs.items():
        climate.set_program(name, program)
    return names


def routes(climate: ClimateService | None, new_id: Callable[[], str]) -> list[web.RouteDef]:
    """Return the room's part of the door.

    Args:
        climate: The control room; `None` where the hub drives nothing.
        new_id: Makes the id of a hold.
    """

    async def get_climate(_: web.Request) -> web.Response:
        return _json(build_climate(climate))

    async def post_order(request: web.Request) -> web.Response:
        zone_id = request.match_info["zone"]
        body = bytearray()
        async for chunk in chunks(request):
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                text = f"an order has at most {BODY_BYTES_MAX} bytes"
                return _json({"error": "too_large", "message": text}, HTTPStatus.BAD_REQUEST)
        try:
            zones = give_order(climate, zone_id, requests.decode(bytes(body)), new_id)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _json({"error": "invalid", "message": f"this is no order: {error}"}, HTTPStatus.BAD_REQUEST)
        except SettingInvalid as error:
            return _json({"error": "invalid", "message": str(error)}, HTTPStatus.BAD_REQUEST)
        except KeyError:
            there = ", ".join(climate.control.zones) if climate else "none: [climate] in the configuration has no zones"
            text = f"there is no zone {zone_id}; there is {there}"
            return _json({"error": "not_found", "message": text}, HTTPStatus.NOT_FOUND)
        return _json({"zones": zones})

    return [web.get("/v1/climate", get_climate), web.post("/v1/climate/{zone}", post_order)]


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=_encode(document), status=status, content_type="application/json")
