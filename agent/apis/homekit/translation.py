"""Between the thermostats of the hub and the characteristics of HomeKit, both ways. Pure.

Temperatures are in tenths of a degree Celsius here and unrounded in the hub. The names and numbers of characteristics
are those of the HomeKit Accessory Protocol, R2, chapter 9.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from agent.climate.model import SETPOINT_C_MAX, SETPOINT_C_MIN, Mode
from agent.climate.requests import ClimateRequest
from agent.errors import SettingInvalid
from agent.home.dial import switch_mode, turn
from agent.home.temperatures import from_tenths, to_tenths
from agent.home.thermostat import Thermostat
from hal.interface import HvacAction

CURRENT_STATE = "CurrentHeatingCoolingState"
TARGET_STATE = "TargetHeatingCoolingState"
CURRENT_TEMPERATURE = "CurrentTemperature"
TARGET_TEMPERATURE = "TargetTemperature"
UNITS = "TemperatureDisplayUnits"
HEATING_THRESHOLD = "HeatingThresholdTemperature"
COOLING_THRESHOLD = "CoolingThresholdTemperature"
HUMIDITY = "CurrentRelativeHumidity"

TARGET_STATES: Mapping[Mode, int] = MappingProxyType({Mode.OFF: 0, Mode.HEAT: 1, Mode.COOL: 2, Mode.AUTO: 3})
CURRENT_STATES: Mapping[HvacAction, int] = MappingProxyType({HvacAction.OFF: 0, HvacAction.HEAT: 1, HvacAction.COOL: 2})

HOLD_ID = "homekit"
"""Of the hold that a setpoint makes while the zone follows a schedule: a later one replaces it."""


def offered_modes(thermostat: Thermostat) -> Sequence[Mode]:
    """Return the modes that the app offers. `auto` means two setpoints there, so a zone that only heats has none."""
    modes = [mode for mode in thermostat.modes if mode is not Mode.AUTO]
    return [*modes, Mode.AUTO] if thermostat.can_heat and thermostat.can_cool else modes


def _shown_mode(thermostat: Thermostat) -> Mode:
    """Return the mode of a zone as the app can show it."""
    return _nearest(thermostat, thermostat.mode)


def _nearest(thermostat: Thermostat, mode: Mode) -> Mode:
    if mode is Mode.AUTO and not (thermostat.can_heat and thermostat.can_cool):
        return Mode.HEAT if thermostat.can_heat else Mode.COOL
    return mode


def values_of(thermostat: Thermostat) -> Mapping[str, float]:
    """Return the characteristics of a zone, by name. What is not known is left out."""
    values: dict[str, float] = {
        CURRENT_STATE: CURRENT_STATES[thermostat.action],
        TARGET_STATE: TARGET_STATES[_shown_mode(thermostat)],
        TARGET_TEMPERATURE: to_tenths(_target_c(thermostat)),
    }
    if thermostat.can_heat and thermostat.can_cool:
        values[HEATING_THRESHOLD] = to_tenths(thermostat.heat_setpoint_c)
        values[COOLING_THRESHOLD] = to_tenths(thermostat.cool_setpoint_c)
    if thermostat.temperature_c is not None:
        values[CURRENT_TEMPERATURE] = to_tenths(thermostat.temperature_c)
    if thermostat.humidity_percent is not None:
        values[HUMIDITY] = round(min(100.0, max(0.0, thermostat.humidity_percent)))
    return values


def requests_of(thermostat: Thermostat, written: Mapping[str, float]) -> Sequence[ClimateRequest]:
    """Return what has to be requested, in order, so that a zone gets written characteristics.

    Args:
        thermostat: The zone.
        written: Values by the name of the characteristic; others than the four writable ones of climate count nothing.

    Raises:
        SettingInvalid: The zone cannot do it, or eco does not admit it.
    """
    requests: list[ClimateRequest] = []
    if TARGET_STATE in written:
        mode = _mode(thermostat, int(written[TARGET_STATE]))
        if mode is not _shown_mode(thermostat):
            requests += switch_mode(thermostat, mode, hold_id=HOLD_ID)
            thermostat = _in_mode(thermostat, mode)
    heat_c, cool_c = _setpoints(thermostat, written)
    if heat_c is not None or cool_c is not None:
        requests += turn(thermostat, heat_c, cool_c, hold_id=HOLD_ID)
    return requests


def _target_c(thermostat: Thermostat) -> float:
    """Return the one number for both setpoints: in `auto` the middle of the band, which people see as two."""
    heat_c, cool_c = thermostat.heat_setpoint_c, thermostat.cool_setpoint_c
    match _shown_mode(thermostat):
        case Mode.AUTO:
            return (heat_c + cool_c) / 2
        case Mode.COOL:
            return cool_c
        case Mode.HEAT:
            return heat_c
        case _:
            return heat_c if thermostat.can_heat else cool_c


def _mode(thermostat: Thermostat, state: int) -> Mode:
    """Return a written mode. Siri asks for `auto` whatever the zone can do: its only mode is meant then."""
    offered = offered_modes(thermostat)
    mode = next((mode for mode, value in TARGET_STATES.items() if value == state), None)
    if mode is None or (mode := _nearest(thermostat, mode)) not in offered:
        raise SettingInvalid(f"choose {' or '.join(offered)}: {thermostat.name} cannot do state {state}")
    return mode


def _in_mode(thermostat: Thermostat, mode: Mode) -> Thermostat:
    """Return a zone as it is after a request for a mode: holds that set another one end by it."""
    kept = tuple(hold for hold in thermostat.holds if hold.mode in {None, mode} or hold.start_utc_ms is not None)
    return msgspec.structs.replace(thermostat, mode=mode, holds=kept)


def _setpoints(thermostat: Thermostat, written: Mapping[str, float]) -> tuple[float | None, float | None]:
    """Return the setpoints that change; `None` for those that stay."""
    heat_c, cool_c = thermostat.heat_setpoint_c, thermostat.cool_setpoint_c
    new_heat_c, new_cool_c = heat_c, cool_c
    if TARGET_TEMPERATURE in written:
        target_c = from_tenths(written[TARGET_TEMPERATURE], _target_c(thermostat))
        match _shown_mode(thermostat):
            case Mode.AUTO:
                half_band_c = (cool_c - heat_c) / 2
                new_heat_c = max(SETPOINT_C_MIN, target_c - half_band_c)
                new_cool_c = min(SETPOINT_C_MAX, target_c + half_band_c)
            case Mode.COOL:
                new_cool_c = target_c
            case Mode.HEAT:
                new_heat_c = target_c
            case _ if thermostat.can_heat:
                new_heat_c = target_c
            case _:
                new_cool_c = target_c
    # The thresholds come last: an app that shows two numbers writes them besides the one in the middle.
    if HEATING_THRESHOLD in written:
        new_heat_c = from_tenths(written[HEATING_THRESHOLD], heat_c)
    if COOLING_THRESHOLD in written:
        new_cool_c = from_tenths(written[COOLING_THRESHOLD], cool_c)
    return None if new_heat_c == heat_c else new_heat_c, None if new_cool_c == cool_c else new_cool_c
