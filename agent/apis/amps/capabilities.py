"""What a zone can do, as Amps' capability map: derived from its equipment and the climate's own limits. Pure.

A command, parameter or execution shape that is not in the map is not supported (/concepts/capabilities).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from agent.climate.model import SETPOINT_C_MAX, SETPOINT_C_MIN
from agent.home.action_admission import STRATEGIES
from agent.home.actions import EXECUTIONS, Command, Execution
from agent.home.temperatures import to_fahrenheit_hundredths


class Unit(StrEnum):
    """The units of setpoints."""

    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Bounds(msgspec.Struct, frozen=True, omit_defaults=True):
    """The bounds of one parameter.

    Attributes:
        unit: Of the bounds.
        min: The least value.
        max: The greatest value.
        units: Further units that are taken; an extension, absent where only `unit` is.
    """

    unit: Unit
    min: float
    max: float
    units: tuple[Unit, ...] = ()

    def of(self, unit: Unit) -> tuple[float, float]:
        """Return both bounds in a unit."""
        if unit is Unit.CELSIUS:
            return self.min, self.max
        return to_fahrenheit_hundredths(self.min), to_fahrenheit_hundredths(self.max)


class Capability(msgspec.Struct, frozen=True):
    """What one command takes. Empty parameters mean: valid, without any."""

    parameters: Mapping[str, Bounds]
    execution: tuple[Execution, ...]


CapabilityMap = Mapping[Command, Capability]

TARGET = "target"
HEAT_SETPOINT = "heatSetpoint"
COOL_SETPOINT = "coolSetpoint"

CONFLICT_STRATEGIES = tuple(each.value for each in STRATEGIES)
"""Every zone takes both strategies of the body's enumeration; Amps' samples of HVAC devices list the first only."""


def capability_map(*, can_heat: bool, can_cool: bool, takes_fahrenheit: bool) -> CapabilityMap:
    """Return what a zone can do.

    Args:
        can_heat: Its equipment heats.
        can_cool: Its equipment cools.
        takes_fahrenheit: The extension of this hub is switched on.
    """
    units = (Unit.CELSIUS, Unit.FAHRENHEIT) if takes_fahrenheit else ()
    bounds = Bounds(Unit.CELSIUS, SETPOINT_C_MIN, SETPOINT_C_MAX, units)
    parameters: dict[Command, Mapping[str, Bounds]] = {Command.IDLE: {}, Command.FOLLOW_SCHEDULE: {}}
    if can_heat:
        parameters[Command.HEAT] = {TARGET: bounds}
    if can_cool:
        parameters[Command.COOL] = {TARGET: bounds}
    if can_heat and can_cool:
        parameters[Command.AUTO] = {HEAT_SETPOINT: bounds, COOL_SETPOINT: bounds}
    return {
        command: Capability(parameters[command], tuple(each for each in Execution if each in EXECUTIONS[command]))
        for command in Command
        if command in parameters
    }


def device_capabilities(commands: CapabilityMap, command: str = "") -> Mapping[str, Any]:
    """Return the capabilities for an error, so that a client can make a right request without another read.

    Both documented generations are answered: the lists of names of the newer one, and the whole map as in
    `GET /hvac/{deviceId}`, which the older one promises.

    Args:
        commands: Of the device.
        command: The command that was pushed; empty where it was not understood.
    """
    names = [each.value for each in commands]
    details: dict[str, Any] = {"supportedActions": names, "supportedModes": names, "commands": commands}
    if command in names:
        details["supportedParameters"] = list(commands[Command(command)].parameters)
    return details
