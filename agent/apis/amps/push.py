"""Checks a push against what its device can do, in a fixed order, and says what to do with it. Pure.

The order: command, parameters (undeclared, missing, unit, range, band), execution, times. The first that fails is
answered, with the capabilities of the device.
"""

from collections.abc import Mapping
from datetime import tzinfo
from math import isfinite
from typing import Any

import msgspec

from agent.apis.amps import assumptions
from agent.apis.amps.capabilities import (
    COOL_SETPOINT,
    HEAT_SETPOINT,
    TARGET,
    Bounds,
    Capability,
    CapabilityMap,
    Command,
    Execution,
    Unit,
    device_capabilities,
)
from agent.apis.amps.refusals import AmpsRefused
from agent.apis.amps.times import check_window
from agent.apis.amps.wire import PushedAction, Quantity
from agent.climate.model import SETPOINT_GAP_K_MIN, Mode
from agent.climate.requests import HoldRequest, ResumeRequest
from agent.foundation.text import quote
from agent.home.temperatures import from_fahrenheit, to_fahrenheit


class Push(msgspec.Struct, frozen=True):
    """A push that its device can carry out.

    Attributes:
        command: What to do.
        request: The same, to the climate control.
        parameters: As they were sent, to be answered as they were sent; `None` for none.
        start_utc_ms: When it takes effect; `None` for now.
        end_utc_ms: When what was before is in force again; `None` for never.
    """

    command: Command
    request: HoldRequest | ResumeRequest
    parameters: Mapping[str, Quantity] | None
    start_utc_ms: int | None
    end_utc_ms: int | None


def check_push(action: PushedAction, commands: CapabilityMap, *, now_utc_ms: int | None, timezone: tzinfo) -> Push:
    """Return a push that can be carried out.

    Args:
        action: As sent.
        commands: What the device can do.
        now_utc_ms: The present instant; `None` while the hub does not know the time.
        timezone: Of the house.

    Raises:
        AmpsRefused: It cannot; `details` has what a client needs to make a right push.
    """
    try:
        return _check(action, commands, now_utc_ms, timezone)
    except AmpsRefused as error:
        capabilities = device_capabilities(commands, action.command)
        raise AmpsRefused(error.code, str(error), {**error.details, "deviceCapabilities": capabilities}) from error


def _check(action: PushedAction, commands: CapabilityMap, now_utc_ms: int | None, timezone: tzinfo) -> Push:
    if action.command not in list(commands):
        names = ", ".join(commands)
        message = f"Choose among {names}: the device has no command {quote(action.command)}."
        raise AmpsRefused("COMMAND_NOT_SUPPORTED", message, {"unsupportedModes": [action.command[:64]]})
    command = Command(action.command)
    setpoints = _check_parameters(action.parameters or {}, commands[command])
    execution = _execution(action)
    supported = commands[command].execution
    if execution not in supported:
        message = f"Push {command} as {' or '.join(supported)}: {execution} is not supported."
        details = {"requestedExecution": execution, "supportedExecution": list(supported)}
        raise AmpsRefused("EXECUTION_NOT_SUPPORTED", message, details)
    start_ms = end_ms = None
    if execution is not Execution.IMMEDIATE:
        if now_utc_ms is None:
            message = "Push without `start`, or try again later: the hub does not know the time yet."
            raise AmpsRefused(assumptions.SERVICE_UNAVAILABLE, message)
        start_ms, end_ms = check_window(action.start, action.end, now_utc_ms=now_utc_ms, timezone=timezone)
    return Push(command, climate_request(command, setpoints), action.parameters or None, start_ms, end_ms)


def _execution(action: PushedAction) -> Execution:
    if action.end is not None:
        return Execution.WINDOWED
    return Execution.IMMEDIATE if action.start is None else Execution.SCHEDULED


def _check_parameters(given: Mapping[str, Quantity], capability: Capability) -> Mapping[str, float]:
    """Return the parameters in degrees Celsius, unrounded."""
    declared = capability.parameters
    if undeclared := [name[:64] for name in given if name not in declared]:
        names = ", ".join(map(quote, undeclared))
        message = f"Remove {names}: the command takes {', '.join(declared) or 'no parameter'}."
        raise AmpsRefused("UNSUPPORTED_PARAMETER", message, {"unsupportedParameters": undeclared})
    for name in declared:
        if name not in given:
            details = {"reason": assumptions.MISSING_PARAMETER, "parameter": name}
            raise AmpsRefused(assumptions.VALIDATION_ERROR, f"Add `parameters.{name}`: it is missing.", details)
    units = {name: _check_unit(name, quantity, declared[name]) for name, quantity in given.items()}
    values = {name: _check_range(name, given[name].value, units[name], declared[name]) for name in given}
    if COOL_SETPOINT in values:
        _check_band(values, given[COOL_SETPOINT].value, units[COOL_SETPOINT], declared[COOL_SETPOINT])
    return values


def _check_unit(name: str, quantity: Quantity, bounds: Bounds) -> Unit:
    supported = bounds.units or (bounds.unit,)
    if quantity.unit in list(supported):
        return Unit(quantity.unit)
    details = {
        "parameter": name,
        "providedUnit": quantity.unit[:64],
        "supportedUnits": [unit.value for unit in supported],
    }
    message = f"Parameter `{name}` unit {quote(quantity.unit)} is not supported. Expected `{' or '.join(supported)}`."
    raise AmpsRefused("UNSUPPORTED_UNIT", message, details)


def _check_range(name: str, value: float, unit: Unit, bounds: Bounds) -> float:
    least, most = bounds.of(unit)
    if not isfinite(value) or not least <= value <= most:
        message = f"Give `{name}` between {least:g} and {most:g} {unit}."
        raise AmpsRefused("PARAMETER_OUT_OF_RANGE", message, _range_details(name, value, least, most, unit))
    if unit is Unit.CELSIUS:
        return value
    # 39 °F is shown as the bound of 4 °C and is a little below it.
    return min(bounds.max, max(bounds.min, from_fahrenheit(value)))


def _check_band(values: Mapping[str, float], cool: float, unit: Unit, bounds: Bounds) -> None:
    """Refuse a band that is inverted, or so narrow that the zone would heat and cool in turn."""
    least_c = values[HEAT_SETPOINT] + SETPOINT_GAP_K_MIN
    if values[COOL_SETPOINT] - values[HEAT_SETPOINT] >= SETPOINT_GAP_K_MIN:
        return
    least = least_c if unit is Unit.CELSIUS else to_fahrenheit(least_c)
    message = f"Give `{COOL_SETPOINT}` at least {SETPOINT_GAP_K_MIN:g} K above `{HEAT_SETPOINT}`."
    details = _range_details(COOL_SETPOINT, cool, least, bounds.of(unit)[1], unit)
    raise AmpsRefused("PARAMETER_OUT_OF_RANGE", message, {**details, "reason": assumptions.BAND_TOO_NARROW})


def _range_details(name: str, value: float, least: float, most: float, unit: Unit) -> Mapping[str, Any]:
    return {"parameter": name, "value": value, "min": least, "max": most, "unit": unit.value}


def climate_request(command: Command, setpoints: Mapping[str, float]) -> HoldRequest | ResumeRequest:
    """Return a command as a request to the climate control.

    Args:
        command: What to do.
        setpoints: Its parameters in degrees Celsius.
    """
    match command:
        case Command.HEAT:
            return HoldRequest(mode=Mode.HEAT, heat_setpoint_c=setpoints[TARGET])
        case Command.COOL:
            return HoldRequest(mode=Mode.COOL, cool_setpoint_c=setpoints[TARGET])
        case Command.AUTO:
            return HoldRequest(
                mode=Mode.AUTO,
                heat_setpoint_c=setpoints[HEAT_SETPOINT],
                cool_setpoint_c=setpoints[COOL_SETPOINT],
            )
        case Command.IDLE:
            return HoldRequest(mode=Mode.OFF)
        case Command.FOLLOW_SCHEDULE:
            return ResumeRequest()
