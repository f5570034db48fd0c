"""The climate document of the local API: the state of every zone with its reasons, and changes to it.

The JSON form is an interface: fields may be added, never renamed. Must not import `agent.climate` at import: that saves
2 MiB on a hub without zones, and `climahub climate` does without.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from agent.errors import UnknownDevice
from agent.foundation import rfc3339
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.local.routes import Handler, LocalRequest, RequestRefused

if TYPE_CHECKING:
    from agent.climate.controller import ZoneController
    from agent.climate.model import Hold
    from agent.climate.service import ClimateService
    from agent.climate.zone_state import ZoneState
    from agent.foundation.clock import Now
    from agent.home.thermostats import Thermostats

UNDECIDED = "not decided yet"
"""The reason that a zone gives before its first decision."""

NO_ZONES = "add zones to [climate] in the configuration: this hub drives nothing"


class HoldReport(msgspec.Struct, frozen=True):
    """One hold, current or planned.

    Attributes:
        until: One of `agent.climate.holds.Until`.
        left_s: The time left of a hold with a duration, also while the time of day is unknown.
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
    """One zone: its setpoints, its action, and the reasons for both.

    Attributes:
        heat_setpoint_c: The setpoint of this moment; higher than the schedule's while the zone heats ahead of a block.
        setpoint_reason: Where the setpoints come from: "schedule", "hold", "away", "boost", "default" or "remembered".
        label: The name of the schedule's block, or the id of the hold.
        until: The end of these setpoints; nothing where it is open.
        setpoint_text: Reason, label and end in words.
        reason: The reason for the action.
        sensors: The names of the zone's sensors, as configured.
        sensors_in_use: The names of those that count at present.
        modes: Those that the zone's equipment can carry out; others are refused.
        is_eco: Eco changes the setpoints now.
        is_eco_enabled: Eco is switched on.
        is_window_open: Heating or cooling pauses for an open window.
        floor_c: The temperature of its floor; nothing without a probe.
        calendar: The dates that follow another day of the week.
        detected: What its contacts and motion sensors say, each after its name.
        is_heated_in_vain: It is heated, and its room, its supply pipe or its plug does not show it.
        is_sensor_stuck: Its sensor is ignored until its value changes.
        is_held: A minimum time or the limit of starts keeps its output from what is wanted.
        has_contradiction: One of its sensors contradicts another one, or its own value of a moment ago.
    """

    zone: str
    room_c: float | None
    sensors_used: int
    sensor_problem: str
    mode: str
    heat_setpoint_c: float
    cool_setpoint_c: float
    setpoint_reason: str
    label: str
    until: str | None
    setpoint_text: str
    is_eco: bool
    action: str
    duty: float
    reason: str
    problem: str
    schedule: str
    schedules: list[dict[str, Any]]
    holds: list[HoldReport]
    rate_k_per_h: float
    loss_k_per_h: float
    sensors: list[str] = []
    sensors_in_use: list[str] = []
    modes: list[str] = []
    is_eco_enabled: bool = False
    is_window_open: bool = False
    floor_c: float | None = None
    calendar: list[dict[str, str]] = []
    detected: list[str] = []
    is_heated_in_vain: bool = False
    is_sensor_stuck: bool = False
    is_held: bool = False
    has_contradiction: bool = False


class HeatSourceReport(msgspec.Struct, frozen=True):
    """The shared heat source."""

    action: str
    stage: int
    is_aux_on: bool
    is_pump_on: bool


class ClimateReport(msgspec.Struct, frozen=True):
    """The whole home; without zones where the hub drives nothing.

    Attributes:
        outdoor_c: The outdoor temperature; nothing while it is not known.
    """

    zones: list[ZoneReport]
    heat_source: HeatSourceReport | None
    problems: list[str]
    timezone: str
    outdoor_c: float | None = None


class ChangedZones(msgspec.Struct, frozen=True):
    """The zones that a request has reached."""

    zones: list[str]


def build_climate(climate: "ClimateService | None") -> ClimateReport:
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
    for number, (zone, state) in enumerate(zip(control.zones.values(), control.state.zones, strict=True)):
        report = _zone(zone, climate, state)
        if made:
            report = msgspec.structs.replace(
                report,
                duty=round(made.requests[number].duty, 3),
                reason=made.reasons[number],
                is_held=made.held[number],
            )
        reports.append(report)
    problems = [
        problem for problem in (climate.file_problem, climate.output_problem, climate.sensor_problem) if problem
    ]
    return ClimateReport(reports, heat_source, problems, str(climate.timezone()), control.outdoor_c)


def climate_problems(climate: "ClimateService | None", *, control_problem: str) -> list[str]:
    """Return every problem of heating and cooling once."""
    if climate is None:
        return []
    report = build_climate(climate)
    problems = [control_problem, *report.problems]
    for zone in report.zones:
        problems += [f"{zone.zone}: {problem}" for problem in (zone.problem, zone.sensor_problem) if problem]
    return list(dict.fromkeys(filter(None, problems)))


def _zone(zone: "ZoneController", climate: "ClimateService", state: "ZoneState") -> ZoneReport:
    """Return the report of a zone whose output was not decided on yet."""
    effective = zone.resolve_setpoint(climate.now(), climate.timezone())
    program = zone.program
    return ZoneReport(
        zone=zone.settings.zone_id,
        room_c=None if zone.temperature.value_c is None else round(zone.temperature.value_c, 2),
        sensors_used=zone.temperature.used,
        sensor_problem=zone.temperature.problem,
        mode=effective.mode.value,
        heat_setpoint_c=round(max(zone.heat_setpoint_c, effective.setpoints.heat_setpoint_c), 2)
        if zone.recovery
        else effective.setpoints.heat_setpoint_c,
        cool_setpoint_c=effective.setpoints.cool_setpoint_c,
        setpoint_reason=effective.reason.value,
        label=effective.label,
        until=rfc3339.render_known(effective.until_utc_ms),
        setpoint_text=effective.text,
        is_eco=effective.is_eco,
        action=state.action.value,
        duty=0.0,
        reason=UNDECIDED,
        problem=state.problem,
        schedule=program.schedule,
        schedules=[msgspec.to_builtins(each) for each in program.schedules.values()],
        holds=[_hold(hold, climate.now()) for hold in program.holds],
        rate_k_per_h=round(zone.learned.rate_k_per_h, 2),
        loss_k_per_h=round(zone.learned.loss_k_per_h, 2),
        sensors=[name for name, _ in zone.settings.sensors],
        sensors_in_use=list(zone.temperature.names),
        modes=_usable_modes(zone),
        is_eco_enabled=program.eco.is_enabled,
        is_window_open=state.window.is_open,
        floor_c=zone.probes.floor_c,
        calendar=[msgspec.to_builtins(each) for each in program.exceptions],
        detected=list(zone.detected),
        is_heated_in_vain=state.is_heated_in_vain,
        is_sensor_stuck=state.stuck_sensor.is_stuck,
        has_contradiction=zone.temperature.has_contradiction,
    )


def _usable_modes(zone: "ZoneController") -> "list[str]":
    from agent.climate.requests import usable_modes  # noqa: PLC0415 - see above

    return [*usable_modes(can_heat=zone.settings.can_heat, can_cool=zone.settings.can_cool)]


def _hold(hold: "Hold", now: "Now") -> HoldReport:
    from agent.climate import effective_setpoint  # noqa: PLC0415 - see above

    return HoldReport(
        hold.id,
        hold.kind.value,
        hold.heat_setpoint_c,
        hold.cool_setpoint_c,
        hold.mode.value if hold.mode else None,
        rfc3339.render_known(hold.start_utc_ms),
        rfc3339.render_known(effective_setpoint.end_utc_ms(hold, now)),
        hold.until.value,
        effective_setpoint.remaining_s(hold, now),
    )


def handlers(climate: "ClimateService | None", thermostats: "Callable[[], Thermostats]") -> Mapping[str, Handler]:
    """Return the handlers of the climate.

    Args:
        climate: The control; `None` where the hub drives nothing.
        thermostats: Returns what a change goes through, as those of every other interface.
    """

    async def get_climate(_: LocalRequest) -> ClimateReport:
        return build_climate(climate)

    async def change_climate(request: LocalRequest) -> ChangedZones:
        zone_id = request.parameters["zone"]
        if climate is None:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", NO_ZONES)
        from agent.climate import requests  # noqa: PLC0415 - see above

        try:
            change = requests.decode(request.body)
            changed = thermostats().apply(zone_id, change, by=request.caller.name)
        except DECODE_ERRORS as error:
            text = f"this is not a climate request: {error}"
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text) from error
        except UnknownDevice as error:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", str(error)) from error
        # An answer outlives a power cut. A disk that refuses is answered with 503 `storage_full`.
        await thermostats().save_in_time()
        return ChangedZones([*changed])

    return {"get_climate": get_climate, "change_climate": change_climate}
