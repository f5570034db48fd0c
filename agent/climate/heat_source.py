"""The shared source: a boiler or heat pump with stages, auxiliary heat, pump, fan and reversing valve. Pure.

It runs while any zone takes what it makes, within its minimum times. Which zones those are is `house`'s work.
"""

import msgspec

from agent.climate import short_cycle_protection
from agent.climate.settings import SourceKind, SourceSettings
from agent.climate.short_cycle_protection import Guard, GuardLimits
from hal.interface import HeatSourceDemand, HvacAction

TWO_STAGES = 2
ENOUGH_K = 0.3
"""A second stage or auxiliary heat that has brought the neediest zone so near has done its part."""


class SourceState(msgspec.Struct, frozen=True):
    """What the source remembers.

    Attributes:
        guard: Of the compressor or burner.
        stage2: Of the second stage.
        aux: Of the auxiliary heat.
        needy_s: For how long the neediest zone has been far off at the first stage.
        very_needy_s: Likewise for the auxiliary heat.
        stopped_ms: When it stopped; `None` while it runs, and before it ever ran.
        is_valve_on: Where the reversing valve stands: it keeps its position while the compressor rests.
        is_aux_by_need: The auxiliary heat runs because a zone is far off, not only because the source fails.
    """

    guard: Guard
    stage2: Guard
    aux: Guard
    needy_s: float = 0.0
    very_needy_s: float = 0.0
    stopped_ms: int | None = None
    is_valve_on: bool = False
    is_aux_by_need: bool = False


def just_stopped(now_ms: int) -> SourceState:
    """Return the source of a hub that knows nothing of it."""
    stopped = short_cycle_protection.just_stopped(now_ms)
    return SourceState(stopped, stopped, stopped)


class Need(msgspec.Struct, frozen=True):
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


def is_valve_ready(state: SourceState, settings: SourceSettings, action: HvacAction) -> bool:
    """Return whether the reversing valve stands right; it turns before the compressor starts, never under pressure."""
    if settings.kind is not SourceKind.HEAT_PUMP:
        return True
    return state.is_valve_on == _valve_for(settings, action)


def _valve_for(settings: SourceSettings, action: HvacAction) -> bool:
    return (action is HvacAction.HEAT) == settings.is_valve_on_in_heating


def step(
    state: SourceState, settings: SourceSettings, need: Need, *, now_ms: int, dt_s: float
) -> tuple[SourceState, HeatSourceDemand]:
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
    was_on = state.guard.is_on
    stopped_ms = None if is_on else now_ms if was_on else state.stopped_ms
    is_valve_on = state.is_valve_on
    coming = need.action if is_on else HvacAction.OFF if was_on else need.coming
    if coming is not HvacAction.OFF and settings.kind is SourceKind.HEAT_PUMP:
        is_valve_on = _valve_for(settings, coming)
    needy_s = state.needy_s + dt_s if is_on and need.error_k >= settings.stage2_error_k else 0.0
    very_needy_s = (
        state.very_needy_s + dt_s if need.action is HvacAction.HEAT and need.error_k >= settings.aux_error_k else 0.0
    )
    is_aux_by_need = very_needy_s >= settings.aux_after_s or (
        state.is_aux_by_need and state.aux.is_on and need.error_k > ENOUGH_K
    )
    stage2 = _helper(
        state.stage2,
        limits,
        now_ms,
        is_needed=needy_s >= settings.stage2_after_s or (state.stage2.is_on and need.error_k > ENOUGH_K),
        may=is_on and settings.stages == TWO_STAGES,
    )
    aux = _helper(
        state.aux,
        limits,
        now_ms,
        is_needed=need.is_failing or is_aux_by_need,
        may=settings.has_aux and need.action is HvacAction.HEAT,
    )
    after = SourceState(
        guard=short_cycle_protection.switched(state.guard, limits, now_ms, is_on=is_on),
        stage2=stage2,
        aux=aux,
        needy_s=needy_s,
        very_needy_s=very_needy_s,
        stopped_ms=stopped_ms,
        is_valve_on=is_valve_on,
        is_aux_by_need=is_aux_by_need,
    )
    demand = HeatSourceDemand(
        action=need.action,
        stage=(TWO_STAGES if stage2.is_on else 1) if is_on else 0,
        is_aux_on=aux.is_on,
        is_pump_on=is_on or _runs_on(stopped_ms, settings.pump_overrun_s, now_ms),
        is_fan_on=is_on or _runs_on(stopped_ms, settings.fan_overrun_s, now_ms),
        is_valve_on=is_valve_on,
    )
    return after, demand


def helper_wait_ms(state: SourceState, limits: GuardLimits, now_ms: int) -> int:
    """Return how long the source has to run yet for the sake of what helps it; 0 where it may stop now."""
    helpers = (state.stage2, state.aux)
    return max(
        (short_cycle_protection.wait_to_stop_ms(helper, limits, now_ms) for helper in helpers if helper.is_on),
        default=0,
    )


def _helper(state: Guard, limits: GuardLimits, now_ms: int, *, is_needed: bool, may: bool) -> Guard:
    """Return what helps the source: it ends with the source, which goes on for it, see `helper_wait_ms`."""
    if not may:
        return short_cycle_protection.switched(state, limits, now_ms, is_on=False)
    is_on, _ = short_cycle_protection.allowed(state, limits, now_ms, is_wanted=is_needed)
    return short_cycle_protection.switched(state, limits, now_ms, is_on=is_on)


def _runs_on(stopped_ms: int | None, overrun_s: float, now_ms: int) -> bool:
    return stopped_ms is not None and now_ms - stopped_ms < overrun_s * 1000
