"""What room, supply pipe and plug show of a zone's equipment: the step of its monitors from state and inputs. Pure.

`fault_detection`, `supply_pipe` and `power_draw` judge; this file gives them what they need of a zone.
"""

import msgspec

from agent.climate import fault_detection, heating_effect, power_draw, supply_pipe
from agent.climate.model import HEATING_MODES
from agent.climate.power_draw import PowerDraw
from agent.climate.settings import ZoneSettings
from agent.climate.stuck_relay import RelayContext
from agent.climate.supply_pipe import SupplyPipe
from agent.climate.zone_state import ZoneInputs, ZoneState
from hal.interface import HvacAction

_NO_PIPE, _NO_DRAW = SupplyPipe(), PowerDraw()


def advance(
    state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, *, is_frost: bool, now_ms: int, dt_s: float
) -> ZoneState:
    """Return a zone with what one more step shows of its equipment.

    Args:
        state: From the last step, with the actual action of its output since then.
        settings: Of the zone.
        inputs: Of this step.
        is_frost: Frost protection is active.
        now_ms: Boot time.
        dt_s: Since the last step.
    """
    value_c, effective = inputs.temperature.value_c, inputs.effective
    heating, cooling, pipe = state.heating_monitor, state.cooling_monitor, supply_pipe.pause(state.supply_pipe)
    if value_c is not None:
        heating = fault_detection.monitor_heating(
            heating,
            value_c=value_c,
            setpoint_c=inputs.heat_setpoint_c,
            is_heated=state.is_full,
            dt_s=dt_s,
            failure_s=settings.failure_s,
            response_s=settings.law.response_s,
            context=RelayContext(
                is_dark=inputs.is_dark,
                outdoor_c=inputs.outdoor_c,
                need=state.known_need,
                rate_k_per_h=state.cycle.known_rate_k_per_h,
                action=state.action,
            ),
            sharing=inputs.sharing,
        )
        cool_c, is_cooled, failure_s = (
            effective.setpoints.cool_setpoint_c,
            state.action is HvacAction.COOL,
            settings.failure_s,
        )
        cooling = fault_detection.monitor_cooling(
            cooling, value_c=value_c, setpoint_c=cool_c, is_cooled=is_cooled, dt_s=dt_s, failure_s=failure_s
        )
        pipe = supply_pipe.advance(
            state.supply_pipe,
            supply_c=inputs.supply_c,
            room_c=value_c,
            setpoint_c=inputs.heat_setpoint_c,
            is_heated=state.is_full,
            is_slow=settings.law.response_s > heating_effect.SLOW_RESPONSE_S,
            dt_s=dt_s,
        )
    if value_c is None or state.window.is_open:
        heating = fault_detection.pause(heating, is_window=state.window.is_open)
    if effective.mode not in HEATING_MODES and not is_frost:
        heating, pipe = fault_detection.expect_no_rise(heating), supply_pipe.expect_no_heat(pipe)
    return msgspec.structs.replace(
        state,
        heating_monitor=heating,
        cooling_monitor=cooling,
        # What an earlier configuration named is not watched any more.
        supply_pipe=pipe if settings.supply_sensor else _NO_PIPE,
        power_draw=(
            _advance_power(state, inputs, is_frost=is_frost, now_ms=now_ms, dt_s=dt_s)
            if settings.power_meter
            else _NO_DRAW
        ),
    )


def _advance_power(state: ZoneState, inputs: ZoneInputs, *, is_frost: bool, now_ms: int, dt_s: float) -> PowerDraw:
    value_c = inputs.temperature.value_c
    if value_c is None:
        draw = power_draw.pause(state.power_draw)
    else:
        draw = power_draw.advance(
            state.power_draw,
            power=inputs.power,
            now_ms=now_ms,
            room_c=value_c,
            setpoint_c=inputs.heat_setpoint_c,
            action=state.action,
            is_full=state.is_full,
            dt_s=dt_s,
        )
    is_heated = inputs.effective.mode in HEATING_MODES or is_frost
    return draw if is_heated else power_draw.expect_no_call(draw)
