"""The shared source: a boiler or heat pump with stages, auxiliary heat, pump, fan and reversing valve. Pure.

It runs while any zone takes what it makes, within its minimum times. Which zones those are is `house`'s work.
"""

import msgspec

from agent.climate import short_cycle_protection
from agent.climate.settings import HeatSourceKind, HeatSourceSettings
from agent.climate.short_cycle_protection import ShortCycleLimits, ShortCycleState
from hal.interface import HeatSourceDemand, HvacAction

STAGES_MAX = 2
SUPPLEMENT_RELEASE_K = 0.3
"""A second stage or auxiliary heat that has brought the neediest zone so near has done its part."""


class HeatSourceState(msgspec.Struct, frozen=True):
    """What the source remembers.

    Attributes:
        stage1: Of the compressor or burner.
        stage2: Of the second stage.
        aux: Of the auxiliary heat.
        stage2_demand_s: For how long the neediest zone has been far off at the first stage.
        aux_demand_s: Likewise for the auxiliary heat.
        stopped_ms: When it stopped; `None` while it runs, and before it ever ran.
        is_valve_on: Where the reversing valve stands: it keeps its position while the compressor rests.
        is_aux_for_error: The auxiliary heat runs because a zone is far off, not only because the source fails.
    """

    stage1: ShortCycleState
    stage2: ShortCycleState
    aux: ShortCycleState
    stage2_demand_s: float = 0.0
    aux_demand_s: float = 0.0
    stopped_ms: int | None = None
    is_valve_on: bool = False
    is_aux_for_error: bool = False


def assume_stopped(now_ms: int) -> HeatSourceState:
    """Return the source of a hub that knows nothing of it."""
    stopped = short_cycle_protection.assume_stopped(now_ms)
    return HeatSourceState(stopped, stopped, stopped)


class HeatSourceRequest(msgspec.Struct, frozen=True):
    """What the zones need of the source.

    Attributes:
        action: What it is to make; OFF for nothing.
        error_k: How far the neediest zone is off.
        is_failing: It is known to run without effect.
        coming: What it is to make next, while it makes nothing; OFF where nobody knows.
    """

    action: HvacAction
    error_k: float
    is_failing: bool = False
    coming: HvacAction = HvacAction.OFF


def is_valve_ready(state: HeatSourceState, settings: HeatSourceSettings, action: HvacAction) -> bool:
    """Return whether the reversing valve stands right; it turns before the compressor starts, never under pressure."""
    if settings.kind is not HeatSourceKind.HEAT_PUMP:
        return True
    return state.is_valve_on == _valve_for(settings, action)


def _valve_for(settings: HeatSourceSettings, action: HvacAction) -> bool:
    return (action is HvacAction.HEAT) == settings.is_valve_on_in_heating


def step(
    state: HeatSourceState, settings: HeatSourceSettings, need: HeatSourceRequest, *, now_ms: int, dt_s: float
) -> tuple[HeatSourceState, HeatSourceDemand]:
    """Return the source's next state and what it is told.

    Args:
        state: From the last step.
        settings: Of the source.
        need: Already within its minimum times: what is asked here is done.
        now_ms: Boot time.
        dt_s: Since the last step.
    """
    limits = settings.limits
    is_on = need.action is not HvacAction.OFF
    was_on = state.stage1.is_on
    stopped_ms = None if is_on else now_ms if was_on else state.stopped_ms
    is_valve_on = state.is_valve_on
    coming = need.action if is_on else HvacAction.OFF if was_on else need.coming
    if coming is not HvacAction.OFF and settings.kind is HeatSourceKind.HEAT_PUMP:
        is_valve_on = _valve_for(settings, coming)
    stage2_demand_s = state.stage2_demand_s + dt_s if is_on and need.error_k >= settings.stage2_error_k else 0.0
    aux_demand_s = (
        state.aux_demand_s + dt_s if need.action is HvacAction.HEAT and need.error_k >= settings.aux_error_k else 0.0
    )
    is_aux_for_error = aux_demand_s >= settings.aux_after_s or (
        state.is_aux_for_error and state.aux.is_on and need.error_k > SUPPLEMENT_RELEASE_K
    )
    stage2 = _helper(
        state.stage2,
        limits,
        now_ms,
        is_needed=stage2_demand_s >= settings.stage2_after_s
        or (state.stage2.is_on and need.error_k > SUPPLEMENT_RELEASE_K),
        may=is_on and settings.stages == STAGES_MAX,
    )
    aux = _helper(
        state.aux,
        limits,
        now_ms,
        is_needed=need.is_failing or is_aux_for_error,
        may=settings.has_aux and need.action is HvacAction.HEAT,
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
    )
    demand = HeatSourceDemand(
        action=need.action,
        stage=(STAGES_MAX if stage2.is_on else 1) if is_on else 0,
        is_aux_on=aux.is_on,
        is_pump_on=is_on or _runs_on(stopped_ms, settings.pump_overrun_s, now_ms),
        is_fan_on=is_on or _runs_on(stopped_ms, settings.fan_overrun_s, now_ms),
        is_valve_on=is_valve_on,
    )
    return after, demand


def supplement_wait_ms(state: HeatSourceState, limits: ShortCycleLimits, now_ms: int) -> int:
    """Return how long the source has to run yet for the sake of what helps it; 0 where it may stop now."""
    helpers = (state.stage2, state.aux)
    return max(
        (short_cycle_protection.wait_to_stop_ms(helper, limits, now_ms) for helper in helpers if helper.is_on),
        default=0,
    )


def _helper(
    state: ShortCycleState, limits: ShortCycleLimits, now_ms: int, *, is_needed: bool, may: bool
) -> ShortCycleState:
    """Return what helps the source: it ends with the source, which goes on for it, see `supplement_wait_ms`."""
    if not may:
        return short_cycle_protection.switch(state, limits, now_ms, is_on=False)
    is_on, _ = short_cycle_protection.apply_limits(state, limits, now_ms, is_wanted=is_needed)
    return short_cycle_protection.switch(state, limits, now_ms, is_on=is_on)


def _runs_on(stopped_ms: int | None, overrun_s: float, now_ms: int) -> bool:
    return stopped_ms is not None and now_ms - stopped_ms < overrun_s * 1000
