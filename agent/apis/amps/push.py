"""Checks a push against what its device can do, in a fixed order, and says what to do with it. Pure.

The order: command, parameters (undeclared, missing, unit, range, band), execution, times. The first that fails is
answered, with the capabilities of the device.
"""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
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
    Unit,
    device_capabilities,
)
from agent.apis.amps.refusals import AmpsRefused
from agent.apis.amps.times import check_window
from agent.apis.amps.wire import PushedAction, Quantity
from agent.climate.model import SETPOINT_GAP_K_MIN
from agent.foundation.text import quote
from agent.home.actions import Command, Execution
from agent.home.temperatures import from_fahrenheit, to_fahrenheit_hundredths

_NUMBER_MAX = 1e6
"""Far beyond the bounds of every parameter, in every unit."""


class Push(msgspec.Struct, frozen=True):
    """A push that its device can carry out.

    Attributes:
        command: What to do.
        heat_setpoint_c: In degrees Celsius, unrounded; `None` where the command has none.
        cool_setpoint_c: In degrees Celsius, unrounded; `None` where the command has none.
        is_fahrenheit: The client wrote degrees Fahrenheit, and is answered in them.
        start_utc_ms: When it takes effect; `None` for now.
        end_utc_ms: When what was before is in force again; `None` for never.
    """

    command: Command
    heat_setpoint_c: float | None
    cool_setpoint_c: float | None
    is_fahrenheit: bool
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
    execution = execution_of(action)
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
    return Push(
        command,
        setpoints.get(TARGET if command is Command.HEAT else HEAT_SETPOINT),
        setpoints.get(TARGET if command is Command.COOL else COOL_SETPOINT),
        any(each.unit == Unit.FAHRENHEIT for each in (action.parameters or {}).values()),
        start_ms,
        end_ms,
    )


def execution_of(action: PushedAction) -> Execution:
    """Return the shape of a push."""
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
    if len(set(units.values())) > 1:
        raise _unit_refused(COOL_SETPOINT, given[COOL_SETPOINT].unit, [units[HEAT_SETPOINT]])
    values = {name: _check_range(name, given[name].value, units[name], declared[name]) for name in given}
    if COOL_SETPOINT in values:
        _check_band(values, given[COOL_SETPOINT].value, units[COOL_SETPOINT], declared[COOL_SETPOINT])
    return values


def _check_unit(name: str, quantity: Quantity, bounds: Bounds) -> Unit:
    supported = bounds.units or (bounds.unit,)
    if quantity.unit in list(supported):
        return Unit(quantity.unit)
    raise _unit_refused(name, quantity.unit, supported)


def _unit_refused(name: str, unit: str, supported: Sequence[Unit]) -> AmpsRefused:
    details = {"parameter": name, "providedUnit": unit[:64], "supportedUnits": [each.value for each in supported]}
    message = f"Parameter `{name}` unit {quote(unit)} is not supported. Expected `{' or '.join(supported)}`."
    return AmpsRefused("UNSUPPORTED_UNIT", message, details)


def _check_range(name: str, value: float, unit: Unit, bounds: Bounds) -> float:
    # Compared before it is converted: JSON has whole numbers that no float can hold.
    if -_NUMBER_MAX <= value <= _NUMBER_MAX:
        value_c = value if unit is Unit.CELSIUS else from_fahrenheit(value)
        if bounds.min <= value_c <= bounds.max:
            return value_c
    least, most = bounds.of(unit)
    message = f"Give `{name}` between {least:g} and {most:g} {unit}."
    raise AmpsRefused("PARAMETER_OUT_OF_RANGE", message, _range_details(name, value, least, most, unit))


def _check_band(values: Mapping[str, float], cool: float, unit: Unit, bounds: Bounds) -> None:
    """Refuse a band that is inverted, or so narrow that the zone would heat and cool in turn."""
    least_c = values[HEAT_SETPOINT] + SETPOINT_GAP_K_MIN
    if values[COOL_SETPOINT] - values[HEAT_SETPOINT] >= SETPOINT_GAP_K_MIN:
        return
    least = least_c if unit is Unit.CELSIUS else to_fahrenheit_hundredths(least_c)
    message = f"Give `{COOL_SETPOINT}` at least {SETPOINT_GAP_K_MIN:g} K above `{HEAT_SETPOINT}`."
    details = _range_details(COOL_SETPOINT, cool, least, bounds.of(unit)[1], unit)
    raise AmpsRefused("PARAMETER_OUT_OF_RANGE", message, {**details, "reason": assumptions.BAND_TOO_NARROW})


def _range_details(name: str, value: float, least: float, most: float, unit: Unit) -> Mapping[str, Any]:
    return {"parameter": name, "value": value, "min": least, "max": most, "unit": unit.value}
