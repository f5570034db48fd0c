"""Words of the control room: modes, setpoints, and the bounds within which they may be set. Pure.

Inside the hub every temperature is in degrees Celsius; other units exist only where people type and read.
"""

from enum import StrEnum
from math import isfinite

import msgspec

from agent.errors import SettingInvalid

SETPOINT_C_MIN = 4.0
SETPOINT_C_MAX = 35.0
"""What may be asked for: the range of home thermostats (AURRA 40 to 90 °F, Amps 10 to 35 °C), both included."""

SETPOINT_GAP_K_MIN = 1.0
"""Heating and cooling setpoints are at least so far apart, so that a house is not heated and cooled in turn."""


class Mode(StrEnum):
    """What a zone may do to reach its setpoints."""

    HEAT = "heat"
    COOL = "cool"
    AUTO = "auto"
    OFF = "off"


class Setpoints(msgspec.Struct, frozen=True):
    """Heat below the first, cool above the second; between them the zone is left alone."""

    heat_setpoint_c: float
    cool_setpoint_c: float


def check_setpoint(name: str, value_c: float) -> float:
    """Return a setpoint that may be set.

    Raises:
        SettingInvalid: It is outside its bounds.
    """
    if not isfinite(value_c) or not SETPOINT_C_MIN <= value_c <= SETPOINT_C_MAX:
        raise SettingInvalid(f"{name} is {value_c:g} °C; allowed are {SETPOINT_C_MIN:g} to {SETPOINT_C_MAX:g} °C")
    return value_c


def check_setpoints(setpoints: Setpoints, where: str = "") -> Setpoints:
    """Return setpoints that may be set together.

    Args:
        setpoints: To be judged.
        where: What they belong to, for the message.

    Raises:
        SettingInvalid: One is outside its bounds, or they are too close.
    """
    heat_c = check_setpoint(f"{where}heat setpoint", setpoints.heat_setpoint_c)
    cool_c = check_setpoint(f"{where}cool setpoint", setpoints.cool_setpoint_c)
    if cool_c - heat_c < SETPOINT_GAP_K_MIN:
        raise SettingInvalid(
            f"{where}heat setpoint {heat_c:g} °C and cool setpoint {cool_c:g} °C must be {SETPOINT_GAP_K_MIN:g} K apart"
        )
    return setpoints


def separate_setpoints(heat_c: float, cool_c: float, *, keep: Mode) -> Setpoints:
    """Return both setpoints with at least `SETPOINT_GAP_K_MIN` between them.

    Args:
        heat_c: Heating setpoint.
        cool_c: Cooling setpoint.
        keep: The one that a person has just set, which the other makes room for; the heating one unless it is COOL.
    """
    if cool_c - heat_c >= SETPOINT_GAP_K_MIN:
        return Setpoints(heat_c, cool_c)
    if keep is Mode.COOL:
        return Setpoints(cool_c - SETPOINT_GAP_K_MIN, cool_c)
    return Setpoints(heat_c, heat_c + SETPOINT_GAP_K_MIN)
