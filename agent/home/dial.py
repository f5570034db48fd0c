"""What a person who turns the dial of a thermostat asks of the climate control. Pure.

A setpoint holds until the next block of the schedule. Where the zone follows no schedule it is the zone's own. A boost
or an away ends by it, since whoever turns the dial means now.
"""

from collections.abc import Sequence

from agent.climate.model import SETPOINT_GAP_K_MIN, Hold, HoldKind, Mode
from agent.climate.requests import NEXT_BLOCK, CancelHoldRequest, ClimateRequest, HoldRequest, SetRequest
from agent.errors import SettingInvalid
from agent.home.thermostat import Thermostat


def turn(
    thermostat: Thermostat, heat_c: float | None = None, cool_c: float | None = None, *, hold_id: str
) -> Sequence[ClimateRequest]:
    """Return what has to be requested, in order, so that a zone gets setpoints.

    The first is the one that may be refused, so that nothing has changed then.

    Args:
        thermostat: The zone.
        heat_c: `None` leaves it as it is.
        cool_c: `None` leaves it as it is.
        hold_id: Of the hold that it makes: the next turn through the same interface replaces it.

    Raises:
        SettingInvalid: Eco does not admit it.
    """
    _check_eco(thermostat, heat_c, cool_c)
    begun = begun_holds(thermostat)
    ended = [CancelHoldRequest(hold.id) for hold in begun if hold.kind is not HoldKind.HOLD]
    held = next((hold for hold in reversed(begun) if hold.kind is HoldKind.HOLD), None)
    if not thermostat.schedule and held is None:
        return [SetRequest(heat_setpoint_c=heat_c, cool_setpoint_c=cool_c), *ended]
    mode = None
    if held is not None:
        mode = held.mode
        heat_c, cool_c = _with_other_setpoint(held, heat_c, cool_c)
    until = NEXT_BLOCK if thermostat.schedule else ""
    hold = HoldRequest(heat_setpoint_c=heat_c, cool_setpoint_c=cool_c, mode=mode, until=until, id=hold_id)
    return [hold, *ended]


def switch_mode(thermostat: Thermostat, mode: Mode, *, hold_id: str) -> Sequence[ClimateRequest]:
    """Return what has to be requested, in order, so that a zone gets a mode. Holds that set another one end by it.

    Setpoints that somebody has chosen while a hold kept the zone off are in force when it is switched on.

    Args:
        thermostat: The zone.
        mode: It.
        hold_id: Of the hold that keeps such setpoints.
    """
    requests: list[ClimateRequest] = [SetRequest(mode=mode)]
    held = next((hold for hold in reversed(begun_holds(thermostat)) if hold.kind is HoldKind.HOLD), None)
    if mode is not Mode.OFF and held is not None and held.mode is Mode.OFF:
        heat_c, cool_c = held.heat_setpoint_c, held.cool_setpoint_c
        until = NEXT_BLOCK if thermostat.schedule else ""
        if heat_c is not None or cool_c is not None:
            requests.append(HoldRequest(heat_setpoint_c=heat_c, cool_setpoint_c=cool_c, until=until, id=hold_id))
    return requests


def begun_holds(thermostat: Thermostat) -> Sequence[Hold]:
    """Return the holds that have begun: a planned one stays as it is."""
    return [hold for hold in thermostat.holds if hold.start_utc_ms is None]


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
