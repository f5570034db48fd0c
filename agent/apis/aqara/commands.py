"""What a written trait of a zone asks of the climate control. Pure.

A setpoint is written as a person would turn the dial of a thermostat (`agent.home.dial`).
"""

from collections.abc import Sequence

from agent.apis.aqara import traits
from agent.apis.aqara.assumptions import MODE_VALUES
from agent.apis.aqara.traits import TraitForm
from agent.climate.model import Mode
from agent.climate.requests import ClimateRequest
from agent.home.dial import switch_mode, turn
from agent.home.thermostat import Thermostat

SHOWN_DECIMALS = 2
"""Of a setpoint; one that was asked for in degrees Fahrenheit has many."""

HOLD_ID = "aqara"
"""The id of the hold that written setpoints make: the next one replaces it."""

_MODES = {value: Mode(mode) for mode, value in MODE_VALUES.items()}


def read_trait(thermostat: Thermostat, form: TraitForm) -> object:
    """Return the value of a writable trait of a zone."""
    match form.code:
        case traits.ON_OFF.code:
            return thermostat.mode is not Mode.OFF
        case traits.MODE.code:
            return MODE_VALUES[thermostat.mode]
        case traits.HEATING.code:
            return round(thermostat.heat_setpoint_c, SHOWN_DECIMALS)
        case _:
            return round(thermostat.cool_setpoint_c, SHOWN_DECIMALS)


def plan(
    thermostat: Thermostat, form: TraitForm, value: bool | float | str, *, mode_when_on: Mode | None
) -> Sequence[ClimateRequest]:
    """Return what has to be requested, in order, so that a trait of a zone gets a value; nothing where it has it.

    The first is the one that may be refused, so that nothing has changed then.

    Args:
        thermostat: The zone.
        form: The trait.
        value: From `traits.read_value`.
        mode_when_on: The mode before the zone was switched off, where that is known.

    Raises:
        SettingInvalid: Eco does not admit it.
    """
    if read_trait(thermostat, form) == value:
        return []
    match form.code:
        case traits.ON_OFF.code:
            mode = _mode_when_on(thermostat, mode_when_on) if value else Mode.OFF
            return switch_mode(thermostat, mode, hold_id=HOLD_ID)
        case traits.MODE.code:
            return switch_mode(thermostat, _MODES[str(value)], hold_id=HOLD_ID)
        case traits.HEATING.code:
            return turn(thermostat, heat_c=float(value), hold_id=HOLD_ID)
        case _:
            return turn(thermostat, cool_c=float(value), hold_id=HOLD_ID)


def _mode_when_on(thermostat: Thermostat, before: Mode | None) -> Mode:
    if before is not None and before in thermostat.modes:
        return before
    return Mode.HEAT if thermostat.can_heat else Mode.COOL
