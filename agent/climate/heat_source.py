"""The shared heat source: a boiler or heat pump with stages, auxiliary heat, pump, fan and reversing valve. Pure.

It runs while any zone takes what it makes, within its minimum times. `coordinator` decides which zones those are.
"""

import msgspec

from agent.climate import short_cycle_protection
from agent.climate.settings import HeatSourceKind, HeatSourceSettings
from agent.climate.short_cycle_protection import ShortCycleLimits, ShortCycleState
from hal.interface import HeatSourceDemand, HvacAction

STAGES_MAX = 2

SUPPLEMENT_RELEASE_K = 0.3
"""A second stage or auxiliary heat ends when the neediest zone is this near to its setpoint."""


class HeatSourceState(msgspec.Struct, frozen=True):
    """The state of the heat source.

    Attributes:
        stage1: Of the compressor or burner.
        stage2: Of the second stage.
        aux: Of the auxiliary heat.
        stage2_demand_s: For how long the neediest zone has been far enough from its setpoint for the second stage.
        aux_demand_s: For how long it has been far enough from its setpoint for auxiliary heat.
        stopped_ms: When the heat source stopped; `None` while it runs, and before its first run.
        is_valve_on: The position of the reversing valve, which it keeps while the compressor rests.
        is_aux_for_error: Auxiliary heat runs because a zone is far from its setpoint, not because the source fails.
        level: The share of full output that a modulating boiler makes; see `flow_temperature`.
    """

    stage1: ShortCycleState
    stage2: ShortCycleState
    aux: ShortCycleState
    stage2_demand_s: float = 0.0
    aux_demand_s: float = 0.0
    stopped_ms: int | None = None
    is_valve_on: bool = False
    is_aux_for_error: bool = False
    level: float = 1.0


def assume_stopped(now_ms: int) -> HeatSourceState:
    """Return the state of a heat source without a known history: it has stopped just now."""
    stopped = short_cycle_protection.assume_stopped(now_ms)
    return HeatSourceState(stopped, stopped, stopped)


class HeatSourceRequest(msgspec.Struct, frozen=True):
    """What the zones request of the heat source.

    Attributes:
        action: What it is to make; OFF for nothing.
        error_k: The largest distance of a zone from its setpoint.
        is_failing: It is known to run without effect.
        next_action: What it is to make next, while it makes nothing; OFF if unknown.
    """

    action: HvacAction
    error_k: float
    is_failing: bool = False
    next_action: HvacAction = HvacAction.OFF


def is_valve_ready(state: HeatSourceState, settings: HeatSourceSettings, action: HvacAction) -> bool:
    """Return whether the reversing valve is in position. It must move before the compressor starts."""
    if settings.kind is not HeatSourceKind.HEAT_PUMP:
        return True
    return state.is_valve_on == _valve_position(settings, action)


def _valve_position(settings: HeatSourceSettings, action: HvacAction) -> bool:
    return (action is HvacAction.HEAT) == settings.is_valve_on_in_heating


def advance(
    state: HeatSourceState, settings: HeatSourceSettings, request: HeatSourceRequest, *, now_ms: int, dt_s: float
) -> tuple[HeatSourceState, HeatSourceDemand]:
    """Return the next state of the heat source, and the demand on its outputs.

    Args:
        state: From the last step.
        settings: Of the heat source.
        request: Already within the minimum times: it is carried out as it is.
        now_ms: Boot time.
        dt_s: Since the last step.
    """
    limits = settings.limits
    is_on = request.action is not HvacAction.OFF
    was_on = state.stage1.is_on
    stopped_ms = None if is_on else now_ms if was_on else state.stopped_ms
    is_valve_on = state.is_valve_on
    next_action = request.action if is_on else HvacAction.OFF if was_on else request.next_action
    if next_action is not HvacAction.OFF and settings.kind is HeatSourceKind.HEAT_PUMP:
        is_valve_on = _valve_position(settings, next_action)
    is_heating = request.action is HvacAction.HEAT
    stage2_demand_s = state.stage2_demand_s + dt_s if is_on and request.error_k >= settings.stage2_error_k else 0.0
    aux_demand_s = state.aux_demand_s + dt_s if is_heating and request.error_k >= settings.aux_error_k else 0.0
    is_aux_for_error = aux_demand_s >= settings.aux_after_s or (
        state.is_aux_for_error and state.aux.is_on and request.error_k > SUPPLEMENT_RELEASE_K
    )
    stage2 = _advance_supplement(
        state.stage2,
        limits,
        now_ms,
        is_wanted=stage2_demand_s >= settings.stage2_after_s
        or (state.stage2.is_on and request.error_k > SUPPLEMENT_RELEASE_K),
        is_allowed=is_on and settings.stages == STAGES_MAX,
    )
    aux = _advance_supplement(
        state.aux,
        limits,
        now_ms,
        is_wanted=request.is_failing or is_aux_for_error,
        is_allowed=settings.has_aux and is_heating,
    )
    after = HeatSourceState(
        stage1=short_cycle_protection.switch(state.stage1, limits, now_ms, is_on=is_on),
        stage2=stage2,
        aux=aux,
        stage2_demand_s=stage2_demand_s,
        aux_demand_s=aux_demand_s,
        stopped_ms=stopped_ms,
        is_valve_on=is_valve_on,
        is_aux_for_error=is_aux_for_error,
        level=state.level,
    )
    demand = HeatSourceDemand(
        action=request.action,
        stage=(STAGES_MAX if stage2.is_on else 1) if is_on else 0,
        is_aux_on=aux.is_on,
        is_pump_on=is_on or _is_overrunning(stopped_ms, settings.pump_overrun_s, now_ms),
        is_fan_on=is_on or _is_overrunning(stopped_ms, settings.fan_overrun_s, now_ms),
        is_valve_on=is_valve_on,
    )
    return after, demand


def with_late_start(state: HeatSourceState, now_ms: int) -> HeatSourceState:
    """Return the state in which what is on counts its minimum on time from now, once for each start."""
    return msgspec.structs.replace(
        state,
        stage1=short_cycle_protection.with_late_start(state.stage1, now_ms),
        stage2=short_cycle_protection.with_late_start(state.stage2, now_ms),
        aux=short_cycle_protection.with_late_start(state.aux, now_ms),
    )


def supplement_wait_ms(state: HeatSourceState, limits: ShortCycleLimits, now_ms: int) -> int:
    """Return for how long the heat source must run on for its second stage or auxiliary heat; 0 if it may stop now."""
    supplements = (state.stage2, state.aux)
    return max(
        (short_cycle_protection.wait_to_stop_ms(each, limits, now_ms) for each in supplements if each.is_on), default=0
    )


def _advance_supplement(
    state: ShortCycleState, limits: ShortCycleLimits, now_ms: int, *, is_wanted: bool, is_allowed: bool
) -> ShortCycleState:
    """Return the next state of second stage or auxiliary heat.

    It stops with the heat source, which runs on for its minimum on time: see `supplement_wait_ms`.
    """
    if not is_allowed:
        return short_cycle_protection.switch(state, limits, now_ms, is_on=False)
    is_on, _ = short_cycle_protection.apply_limits(state, limits, now_ms, is_wanted=is_wanted)
    return short_cycle_protection.switch(state, limits, now_ms, is_on=is_on)


def _is_overrunning(stopped_ms: int | None, overrun_s: float, now_ms: int) -> bool:
    return stopped_ms is not None and now_ms - stopped_ms < overrun_s * 1000
