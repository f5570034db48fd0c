"""What a written trait of a zone asks of the climate control. Pure.

A setpoint is written as a person would turn a thermostat: it holds until the next block of the schedule. Where the zone
follows no schedule it is the zone's own. A boost or an away ends by it, since whoever turns the dial means now.
"""

from collections.abc import Sequence

from agent.apis.aqara import traits
from agent.apis.aqara.assumptions import MODE_VALUES
from agent.apis.aqara.traits import TraitForm
from agent.climate.model import SETPOINT_GAP_K_MIN, Hold, HoldKind, Mode
from agent.climate.requests import (
    NEXT_BLOCK,
    CancelHoldRequest,
    ClimateRequest,
    HoldRequest,
    SetRequest,
)
from agent.errors import SettingInvalid
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
            return _set_mode(_mode_when_on(thermostat, mode_when_on) if value else Mode.OFF)
        case traits.MODE.code:
            return _set_mode(_MODES[str(value)])
        case traits.HEATING.code:
            return _set_setpoint(thermostat, heat_c=float(value))
        case _:
            return _set_setpoint(thermostat, cool_c=float(value))


def _mode_when_on(thermostat: Thermostat, before: Mode | None) -> Mode:
    if before is not None and before in thermostat.modes:
        return before
    return Mode.HEAT if thermostat.can_heat else Mode.COOL


def _set_mode(mode: Mode) -> Sequence[ClimateRequest]:
    """Return the request for a mode. Holds that set another one end by it."""
    return [SetRequest(mode=mode)]


def _set_setpoint(
    thermostat: Thermostat, heat_c: float | None = None, cool_c: float | None = None
) -> Sequence[ClimateRequest]:
    _check_eco(thermostat, heat_c, cool_c)
    ended = [CancelHoldRequest(hold.id) for hold in _begun(thermostat) if hold.kind is not HoldKind.HOLD]
    held = next((hold for hold in reversed(_begun(thermostat)) if hold.kind is HoldKind.HOLD), None)
    if not thermostat.schedule and held is None:
        return [SetRequest(heat_setpoint_c=heat_c, cool_setpoint_c=cool_c), *ended]
    mode = None
    if held is not None:
        mode = held.mode
        heat_c, cool_c = _with_other_setpoint(held, heat_c, cool_c)
    until = NEXT_BLOCK if thermostat.schedule else ""
    hold = HoldRequest(heat_setpoint_c=heat_c, cool_setpoint_c=cool_c, mode=mode, until=until, id=HOLD_ID)
    return [hold, *ended]


def _check_eco(thermostat: Thermostat, heat_c: float | None, cool_c: float | None) -> None:
    eco = thermostat.eco
    is_bounded = (heat_c is not None and heat_c > eco.heat_limit_c) or (
        cool_c is not None and cool_c < eco.cool_limit_c
    )
    if eco.is_enabled and is_bounded:
        raise SettingInvalid(
            f"switch eco off in {thermostat.name} first: it heats to at most {eco.heat_limit_c:g} °C and cools to at"
            f" least {eco.cool_limit_c:g} °C"
        )


def _with_other_setpoint(held: Hold, heat_c: float | None, cool_c: float | None) -> tuple[float | None, float | None]:
    """Return both setpoints of a hold of which one changes; the other makes room where it is too close."""
    both_heat_c = held.heat_setpoint_c if heat_c is None else heat_c
    both_cool_c = held.cool_setpoint_c if cool_c is None else cool_c
    if both_heat_c is not None and both_cool_c is not None and both_cool_c - both_heat_c < SETPOINT_GAP_K_MIN:
        return heat_c, cool_c
    return both_heat_c, both_cool_c


def _begun(thermostat: Thermostat) -> Sequence[Hold]:
    """Return the holds that have begun: a planned one stays as it is."""
    return [hold for hold in thermostat.holds if hold.start_utc_ms is None]
