"""A test of outputs by a person at the hub: for a short time, zones request what the person wants to see. Pure.

A test replaces requests, nothing else: temperature limits, frost protection, the exclusion of heating and cooling and
the limits of the heat source stay in force. It ends by itself at `until_ms`, whatever becomes of the component that set
it.
"""

from collections.abc import Mapping

import msgspec

from agent.climate import zone
from agent.climate.settings import ZoneSettings
from agent.climate.zone_state import ZoneInputs, ZoneRequest, ZoneState
from hal.interface import HvacAction

_OFF, _HEAT, _COOL = HvacAction.OFF, HvacAction.HEAT, HvacAction.COOL


class OutputTest(msgspec.Struct, frozen=True):
    """What a person demands of the outputs.

    Attributes:
        actions: By zone; the control law keeps the zones that are not named.
        until_ms: Boot time at which the control law takes all outputs back.
        is_limit_overridden: The minimum times of the named zones' own relays do not apply, nor their limit of starts.
            Those of the heat source always do.
    """

    actions: Mapping[str, HvacAction]
    until_ms: int
    is_limit_overridden: bool = False


def active(test: OutputTest | None, now_ms: int) -> OutputTest | None:
    """Return the test while it lasts."""
    return None if test is None or now_ms >= test.until_ms else test


def overrides(test: OutputTest | None, zone_id: str) -> bool:
    """Return whether the short-cycle limits of a zone's own relay do not apply."""
    return test is not None and test.is_limit_overridden and zone_id in test.actions


def replace_request(
    test: OutputTest | None,
    wanted: ZoneRequest,
    *,
    state: ZoneState,
    settings: ZoneSettings,
    inputs: ZoneInputs,
) -> ZoneRequest:
    """Return what a zone requests under a test; its own request where the test does not name it.

    Args:
        test: The test in force.
        wanted: What the zone requests by itself.
        state: Of the zone after its own request.
        settings: Of the zone.
        inputs: Of this step.
    """
    action = test.actions.get(settings.zone_id) if test else None
    if action is None:
        return wanted
    if wanted.is_urgent and wanted.action is not _OFF:
        # Frost protection. A test of the same action adds nothing, any other one would end it.
        return wanted
    if action is _OFF:
        return ZoneRequest(_OFF, 0.0, 0.0, is_urgent=False, reason="off: hardware test")
    if not (settings.can_heat if action is _HEAT else settings.can_cool):
        return wanted
    # No distance from the setpoint: a test shall start neither a second stage nor auxiliary heat.
    forced = ZoneRequest(action, 1.0, 0.0, is_urgent=False, reason=f"{action.value}: hardware test")
    return zone.within_limits(settings, forced, inputs.temperature, state.action, action)
