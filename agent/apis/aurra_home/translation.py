"""Between the thermostats of the hub and AURRA Home, both ways. Pure.

Temperatures are whole degrees Fahrenheit here and unrounded degrees Celsius in the hub: what was asked is stored
exactly and comes back as it was asked (`agent.home.temperatures`).
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal

from agent.apis.aurra_home.assumptions import (
    AUTO_HALF_BAND_F,
    DEVICE_ALIAS,
    ECO_COOL_LIMIT_F,
    ECO_HEAT_LIMIT_F,
)
from agent.apis.aurra_home.errors import INVALID_TEMPERATURE, invalid, refused
from agent.apis.aurra_home.wire import (
    BlockDocument,
    EcoApplied,
    EcoBody,
    PredictionReport,
    PredictiveStatus,
    ScheduleBody,
    SetpointBody,
    StatusDocument,
)
from agent.climate.model import Block, Day, HoldKind, Mode, Schedule, Setpoints
from agent.climate.requests import (
    CancelHoldRequest,
    ClimateRequest,
    EcoRequest,
    HoldRequest,
    PutScheduleRequest,
    ResumeRequest,
    SetRequest,
)
from agent.foundation import rfc3339
from agent.home.temperatures import from_fahrenheit, to_fahrenheit
from agent.home.thermostat import Thermostat
from agent.maintenance.assessment import Finding, FindingState
from hal.interface import HvacAction

TEMPERATURE_F_MIN = 40
TEMPERATURE_F_MAX = 90

HOLD_ID = "aurra_home"
"""Of the hold that a setpoint makes while the zone follows a schedule: a later one replaces it."""


def zone_of(device_id: str, zone_ids: Sequence[str]) -> str | None:
    """Return the zone of a device, by its id or by its place; `None` where there is none."""
    if device_id in zone_ids:
        return device_id
    for number, zone_id in enumerate(zone_ids, 1):
        if device_id == DEVICE_ALIAS.format(number=number):
            return zone_id
    return None


def status_of(thermostat: Thermostat) -> StatusDocument:
    """Return the status of a zone."""
    status: Literal["active", "idle", "offline"]
    status = "idle" if thermostat.action is HvacAction.OFF else "active"
    if not thermostat.is_online:
        status = "offline"
    temperature_c, humidity = thermostat.temperature_c, thermostat.humidity_percent
    return StatusDocument(
        temperature=None if temperature_c is None else to_fahrenheit(temperature_c),
        humidity=None if humidity is None else round(min(100.0, max(0.0, humidity))),
        mode=thermostat.mode.value,
        eco_mode=thermostat.eco.is_enabled,
        status=status,
    )


def check_temperature(name: str, value_f: int) -> int:
    """Return a temperature that the contract allows.

    Raises:
        ApiRefused: It does not: INVALID_TEMPERATURE.
    """
    if not TEMPERATURE_F_MIN <= value_f <= TEMPERATURE_F_MAX:
        text = f"choose {TEMPERATURE_F_MIN} to {TEMPERATURE_F_MAX} F: {name} is {value_f}"
        raise refused(HTTPStatus.BAD_REQUEST, INVALID_TEMPERATURE, text)
    return value_f


def setpoint_requests(thermostat: Thermostat, body: SetpointBody) -> list[ClimateRequest]:
    """Return the requests that put a setpoint in force at once, as a turn of the dial does.

    The mode stays. While the zone follows a schedule, the setpoint counts until its next block; otherwise it stays too.
    Away and boost end. The last request brings the change into force, so that it is one change to whoever listens.

    Raises:
        ApiRefused: The temperature or the mode cannot be.
    """
    check_temperature("temperature", body.temperature)
    mode = Mode(body.mode)
    if mode not in thermostat.modes:
        raise invalid(f"choose {' or '.join(thermostat.modes)}: the equipment of this zone cannot do {mode.value}")
    heat_c, cool_c = _setpoints_c(thermostat, mode, body.temperature)
    requests: list[ClimateRequest] = []
    if thermostat.schedule and mode is not Mode.OFF:
        requests.append(HoldRequest(HoldKind.HOLD, heat_c, cool_c, mode, until="next", id=HOLD_ID))
        # The stronger kinds would hide it, and those with another mode end by the mode; planned ones stay.
        requests += [
            CancelHoldRequest(hold.id)
            for hold in thermostat.holds
            if hold.kind is not HoldKind.HOLD and hold.start_utc_ms is None and hold.mode in {None, mode}
        ]
        return [SetRequest(mode), *requests]
    requests.append(SetRequest(mode, heat_c, cool_c))
    if any(hold.start_utc_ms is None for hold in thermostat.holds):
        requests.append(ResumeRequest())
    return requests


def _setpoints_c(thermostat: Thermostat, mode: Mode, value_f: int) -> tuple[float | None, float | None]:
    """Return the setpoints that one number means in a mode; `None` leaves one as it is."""
    heat_c, cool_c = thermostat.heat_setpoint_c, thermostat.cool_setpoint_c
    match mode:
        case Mode.AUTO:
            low_f = max(TEMPERATURE_F_MIN, value_f - AUTO_HALF_BAND_F)
            high_f = value_f + AUTO_HALF_BAND_F
            return from_fahrenheit(low_f, heat_c), from_fahrenheit(high_f, cool_c)
        case Mode.COOL:
            return None, from_fahrenheit(value_f, cool_c)
        case _:
            return from_fahrenheit(value_f, heat_c), None


def setpoint_f(mode: Mode, setpoints: Setpoints) -> int:
    """Return the one number that stands for both setpoints in a mode: in `auto` the middle of the band."""
    heat_c, cool_c = setpoints.heat_setpoint_c, setpoints.cool_setpoint_c
    match mode:
        case Mode.COOL:
            return to_fahrenheit(cool_c)
        case Mode.AUTO:
            return to_fahrenheit((heat_c + cool_c) / 2)
        case _:
            return to_fahrenheit(heat_c)


def schedule_request(body: ScheduleBody) -> PutScheduleRequest:
    """Return the request that stores a schedule and has the zone follow it.

    Raises:
        ApiRefused: A block cannot be served.
    """
    return PutScheduleRequest(Schedule(body.name, tuple(_block(each) for each in body.blocks)))


def _block(block: BlockDocument) -> Block:
    check_temperature(f"heat of {block.label}", block.heat)
    check_temperature(f"cool of {block.label}", block.cool)
    if block.heat >= block.cool:
        raise invalid(f"choose a heat below cool: {block.label} has {block.heat} and {block.cool} F")
    days = tuple(day for day in Day if day.value in block.days)
    return Block(block.label, block.start, block.end, from_fahrenheit(block.heat), from_fahrenheit(block.cool), days)


def blocks_of(schedule: Schedule) -> list[BlockDocument]:
    """Return the blocks of a schedule of the hub."""
    return [
        BlockDocument(
            label=block.label,
            start=block.start,
            end=block.end,
            heat=to_fahrenheit(block.heat_setpoint_c),
            cool=to_fahrenheit(block.cool_setpoint_c),
            days=[day.value for day in block.days],
        )
        for block in schedule.blocks
    ]


def constant_schedule(thermostat: Thermostat) -> Schedule:
    """Return the schedule of a zone that follows none: its setpoints, all day."""
    block = Block("All day", "00:00", "00:00", thermostat.heat_setpoint_c, thermostat.cool_setpoint_c)
    return Schedule("Constant", (block,))


def eco_request(thermostat: Thermostat, body: EcoBody) -> EcoRequest:
    """Return the request that switches eco.

    Raises:
        ApiRefused: A limit is out of range, or the two cannot be together.
    """
    heat_f = ECO_HEAT_LIMIT_F if body.heat_limit is None else check_temperature("heat_limit", body.heat_limit)
    cool_f = ECO_COOL_LIMIT_F if body.cool_limit is None else check_temperature("cool_limit", body.cool_limit)
    if heat_f >= cool_f:
        raise invalid(f"choose a heat_limit below cool_limit: they are {heat_f} and {cool_f} F")
    eco = thermostat.eco
    return EcoRequest(
        body.enabled, from_fahrenheit(heat_f, eco.heat_limit_c), from_fahrenheit(cool_f, eco.cool_limit_c)
    )


def eco_answer(thermostat: Thermostat) -> EcoApplied:
    """Return eco as it is in force."""
    eco = thermostat.eco
    return EcoApplied(
        success=True,
        enabled=eco.is_enabled,
        heat_limit=to_fahrenheit(eco.heat_limit_c),
        cool_limit=to_fahrenheit(eco.cool_limit_c),
    )


def prediction_of(findings: Sequence[Finding], serviced_utc_ms: int | None = None) -> tuple[PredictiveStatus, str]:
    """Return the predictive status of a zone, and what is unknown about it; empty where nothing is.

    The prediction is the fault that is most certain, if any is more likely than not; its issue has the numbers.

    Args:
        findings: What is known of the zone.
        serviced_utc_ms: When a technician last serviced it; `None` if that is not known.
    """
    unknown = "; ".join(f"{each.indicator}: {each.evidence}" for each in findings if each.confidence is None)
    if not findings:
        unknown = "this zone is not heated: only heating is watched"
    faults = [each for each in findings if each.is_fault]
    worst = max(faults, key=lambda each: each.confidence or 0.0, default=None)
    prediction = (
        None
        if worst is None
        else PredictionReport(
            issue=f"{worst.advice.issue}: {worst.evidence}",
            confidence=worst.confidence or 0.0,
            recommended_action=worst.advice.action,
        )
    )
    last_service = None if serviced_utc_ms is None else rfc3339.render(serviced_utc_ms)[:10]
    is_needed = any(each.state is FindingState.NEEDED for each in faults)
    return PredictiveStatus(maintenance_needed=is_needed, prediction=prediction, last_service=last_service), unknown
