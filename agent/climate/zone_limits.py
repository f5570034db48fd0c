"""What open windows and hot floors take from the request of a zone: the step from its state and inputs. Pure.

`open_window` and `floor_limit` judge; this file gives them what they need of a zone. It makes no zone request more.
"""

from collections.abc import Mapping

import msgspec

from agent.climate import floor_limit, open_window, sensor_loss, supply_pipe
from agent.climate.fusion import SensorReading
from agent.climate.model import HEATING_MODES
from agent.climate.open_window import OpenWindowState, WindowInputs
from agent.climate.settings import ZoneSettings
from agent.climate.zone_state import ZoneInputs, ZoneRequest, ZoneState
from hal.interface import HvacAction


def advance_window(state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, now_ms: int) -> OpenWindowState:
    """Return what is known about the windows of a zone after one more step."""
    heats = settings.can_heat and inputs.effective.mode in HEATING_MODES
    given = WindowInputs(
        inputs.temperature,
        setpoint_c=inputs.heat_setpoint_c if heats else None,
        contact=inputs.open_contact,
        is_on=state.action is HvacAction.HEAT,
        on_ago_s=None if state.last_on_ms is None else (now_ms - state.last_on_ms) / 1000.0,
        outdoor_c=inputs.outdoor_c,
        pause_s_max=settings.window_pause_s_max,
    )
    return open_window.advance(state.window, given, now_ms=now_ms)


class ProbeTemperatures(msgspec.Struct, frozen=True):
    """The temperatures of a zone's floor, supply pipe and return pipe; `None` for each that is not known."""

    floor_c: float | None = None
    supply_c: float | None = None
    return_c: float | None = None


def known_probes(settings: ZoneSettings, readings: Mapping[str, SensorReading], now_ms: int) -> ProbeTemperatures:
    """Return the temperatures of a zone's probes.

    Args:
        settings: Of the zone.
        readings: The latest reading of each sensor that has any, by name.
        now_ms: Boot time.
    """
    floor = readings.get(settings.floor_sensor)
    pipes = (readings.get(settings.supply_sensor), readings.get(settings.return_sensor))
    supply_c, return_c = (supply_pipe.known_pipe_c(each, now_ms=now_ms, stale_s=settings.stale_s) for each in pipes)
    return ProbeTemperatures(
        floor_limit.known_floor_c(floor, now_ms=now_ms, stale_s=settings.stale_s), supply_c, return_c
    )


def pause(window: OpenWindowState, settings: ZoneSettings, inputs: ZoneInputs, now_ms: int) -> ZoneRequest:
    """Return the request of a zone with an open window: nothing, and why."""
    text = open_window.reason(window, settings.window_pause_s_max, now_ms=now_ms)
    return ZoneRequest(HvacAction.OFF, 0.0, 0.0, is_urgent=False, reason=f"{text} ({inputs.effective.text})")


def limit_duty(
    wanted: ZoneRequest, state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, *, duty_max: float, dt_s: float
) -> tuple[float, ZoneRequest]:
    """Return the output that is owed, and the request with no more duty than the floor of the zone stands.

    Args:
        wanted: Without the limit.
        state: From the last step.
        settings: Of the zone.
        inputs: Of this step.
        duty_max: See `floor_limit.duty_max`.
        dt_s: Since the last step.
    """
    was_on = state.action is HvacAction.HEAT
    output = sensor_loss.modulate(state.law, settings, duty=duty_max, dt_s=dt_s, was_on=was_on, level=state.level)
    action = HvacAction.HEAT if output.wants_on else HvacAction.OFF
    limited = floor_limit.explain(wanted, inputs.floor_c, settings, action=action, duty=output.duty)
    return output.state.owed_s, limited
