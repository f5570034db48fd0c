"""One decision for the whole home: what every zone and the source do now, and why. Pure.

State, inputs and now go in; the next state, the outputs and the reasons come out. Zones ask, equipment permits. Heating
and cooling exclude each other in the whole home, and a rest lies between them.
"""

from collections.abc import Sequence

import msgspec

from agent.climate import heat_source, pi_controller, short_cycle_protection, zone
from agent.climate.heat_source import HeatSourceRequest, HeatSourceState
from agent.climate.settings import ClimateSettings, HeatSourceKind
from agent.climate.zone_state import ZoneInputs, ZoneRequest, ZoneState
from hal.interface import HvacAction, HvacDemand

DT_S_MAX = 600.0
"""A step that comes later than this (a machine that slept) counts as so long: nobody knows what was on meanwhile."""

HAND_OVER_PULSES = -0.8
"""A zone takes over from the last one that would let the heat source stop, as long as it is not ahead by more than
this many pulses. Zones that take turns keep the heat source running longer, and need shorter cycles themselves."""

RAMP_PULSES = 0.5
"""A zone on its way to the next block's setpoint takes over only what it is owed: else it would arrive early."""

COLD_K = 1.0
"""A room that is so far below its heating setpoint goes before any that is too warm: a home where one room is to be
cooled must not let the others get cold."""

_OFF = HvacAction.OFF


class CoordinatorState(msgspec.Struct, frozen=True):
    """What the home remembers from step to step.

    Attributes:
        zones: In the order of the settings.
        source: The shared source; unused where there is none.
        at_ms: Boot time of the last step.
        direction: What the home did last: heat or cool; OFF where nobody knows, and a rest comes before cooling.
        last_on_ms: When any output was on last; `None` for never.
    """

    zones: tuple[ZoneState, ...]
    heat_source: HeatSourceState
    at_ms: int
    direction: HvacAction = HvacAction.HEAT
    last_on_ms: int | None = None


class ClimateDecision(msgspec.Struct, frozen=True):
    """A decision.

    Attributes:
        state: The next one.
        demand: What the outputs are told.
        requests: What each zone wanted.
        reasons: Why each zone's output does what it does, in words.
    """

    state: CoordinatorState
    demand: HvacDemand
    requests: tuple[ZoneRequest, ...]
    reasons: tuple[str, ...]


def initial_state(settings: ClimateSettings, now_ms: int) -> CoordinatorState:
    """Return the state of a home of which nothing is known: everything has just stopped."""
    stopped = short_cycle_protection.assume_stopped(now_ms)
    able = {HvacAction.HEAT for zone_settings in settings.zones if zone_settings.can_heat}
    able |= {HvacAction.COOL for zone_settings in settings.zones if zone_settings.can_cool}
    return CoordinatorState(
        zones=tuple(ZoneState(stopped) for _ in settings.zones),
        heat_source=heat_source.assume_stopped(now_ms),
        at_ms=now_ms,
        # It may have heated or cooled until a moment ago; a home that can do only one of them cannot have changed.
        direction=able.pop() if len(able) == 1 else _OFF,
        last_on_ms=now_ms,
    )


def decide(
    state: CoordinatorState, settings: ClimateSettings, inputs: Sequence[ZoneInputs], now_ms: int
) -> ClimateDecision:
    """Return what to do now.

    Args:
        state: From the last step.
        settings: Of the home.
        inputs: One for each zone, in the order of the settings.
        now_ms: Boot time, not before that of the state.
    """
    dt_s = min(DT_S_MAX, max(0.0, (now_ms - state.at_ms) / 1000.0))
    zones: list[ZoneState] = []
    requests: list[ZoneRequest] = []
    for before, zone_settings, zone_inputs in zip(state.zones, settings.zones, inputs, strict=True):
        after, wanted = zone.request(before, zone_settings, zone_inputs, now_ms=now_ms, dt_s=dt_s)
        zones.append(after)
        requests.append(wanted)
    chosen = _chosen(state, requests)
    # What is on has been so until now, not only until the last decision.
    last_on_ms = now_ms if any(before.action is not _OFF for before in state.zones) else state.last_on_ms
    direction, wait_reason = _direction(state, settings, chosen, last_on_ms, now_ms)
    actions: list[HvacAction] = []
    reasons: list[str] = []
    for before, zone_settings, wanted in zip(zones, settings.zones, requests, strict=True):
        action, reason = _permitted(before, zone_settings.limits, wanted, direction, wait_reason, now_ms)
        actions.append(action)
        reasons.append(reason)
    source_state, source_demand = state.heat_source, None
    if settings.heat_source.kind is not HeatSourceKind.NONE:
        # What a zone's controller is set for now: one that has just turned to cooling takes over no heat.
        directions = [after.direction for after in zones]
        _with_source(state, settings, requests, directions, actions, reasons, now_ms)
        made = next((action for action in actions if action is not _OFF), _OFF)
        need = HeatSourceRequest(
            made,
            max((wanted.error_k for wanted in requests if wanted.action is made), default=0.0),
            # One zone's valve is no failure of the source: where others get warm, nothing is gained.
            is_failing=_all_fail(zones, actions),
            coming=chosen,
        )
        source_state, source_demand = heat_source.step(
            state.heat_source, settings.heat_source, need, now_ms=now_ms, dt_s=dt_s
        )
    acted = next((action for action in actions if action is not _OFF), _OFF)
    next_state = CoordinatorState(
        zones=tuple(
            _acted(after, zone_settings.limits, action, now_ms)
            for after, zone_settings, action in zip(zones, settings.zones, actions, strict=True)
        ),
        heat_source=source_state,
        at_ms=now_ms,
        direction=state.direction if acted is _OFF else acted,
        last_on_ms=last_on_ms if acted is _OFF else now_ms,
    )
    names = [zone_settings.zone_id for zone_settings in settings.zones]
    demand = HvacDemand(dict(zip(names, actions, strict=True)), source_demand)
    return ClimateDecision(next_state, demand, tuple(requests), tuple(reasons))


def _all_fail(zones: Sequence[ZoneState], actions: Sequence[HvacAction]) -> bool:
    """Return whether every zone that is heated now is known to get no warmer."""
    heated = [after for after, action in zip(zones, actions, strict=True) if action is HvacAction.HEAT]
    return bool(heated) and all(after.watch.is_failing for after in heated)


def _chosen(state: CoordinatorState, requests: Sequence[ZoneRequest]) -> HvacAction:
    """Return which of heating and cooling the home is to do, as soon as it may; OFF where nothing is wanted."""
    wanted = {wish.action for wish in requests if wish.action is not _OFF}
    urgent = {wish.action for wish in requests if wish.is_urgent and wish.action is not _OFF}
    if not wanted:
        return _OFF
    cold_k = max((wish.error_k for wish in requests if wish.action is HvacAction.HEAT), default=0.0)
    if HvacAction.HEAT in urgent or cold_k >= COLD_K:
        return HvacAction.HEAT
    if state.direction in wanted:
        return state.direction
    return HvacAction.HEAT if HvacAction.HEAT in wanted else HvacAction.COOL


def _direction(
    state: CoordinatorState, settings: ClimateSettings, chosen: HvacAction, last_on_ms: int | None, now_ms: int
) -> tuple[HvacAction, str]:
    """Return what the home may do now, and why not where it may not do what is wanted."""
    if chosen is _OFF or chosen is state.direction or last_on_ms is None:
        return chosen, ""
    if state.direction is _OFF and chosen is HvacAction.HEAT:
        # Nobody knows what it did last. The equipment's minimum off times protect it; a cold home waits for no more.
        return chosen, ""
    rest_ms = last_on_ms + round(settings.heat_source.changeover_s * 1000) - now_ms
    if rest_ms > 0:
        return _OFF, f"rest between heating and cooling, {-(-rest_ms // 1000)} s to go"
    return chosen, ""


def _permitted(
    state: ZoneState,
    limits: short_cycle_protection.ShortCycleLimits,
    wanted: ZoneRequest,
    direction: HvacAction,
    wait_reason: str,
    now_ms: int,
) -> tuple[HvacAction, str]:
    """Return what a zone's relay may do now, and why."""
    is_wanted = wanted.action is not _OFF and wanted.action is direction
    if state.action not in {_OFF, direction}:
        # It still does the other thing: that comes to its end first.
        is_wanted = False
    is_on, why = short_cycle_protection.apply_limits(state.relay, limits, now_ms, is_wanted=is_wanted)
    reason = wanted.reason
    if why:
        reason = f"{reason}; {why}"
    elif wanted.action is not _OFF and not is_wanted:
        reason = f"{reason}; {wait_reason or 'the home does the opposite now'}"
    if not is_on:
        return _OFF, reason
    return (state.action if state.action is not _OFF else direction), reason


def _with_source(
    state: CoordinatorState,
    settings: ClimateSettings,
    requests: Sequence[ZoneRequest],
    directions: Sequence[HvacAction],
    actions: list[HvacAction],
    reasons: list[str],
    now_ms: int,
) -> None:
    """Let the zones do only what the source can: changes `actions` and `reasons`."""
    _hand_over(state, settings, requests, directions, actions, reasons, now_ms)
    is_wanted = any(action is not _OFF for action in actions)
    is_on, why = short_cycle_protection.apply_limits(
        state.heat_source.stage1, settings.heat_source.limits, now_ms, is_wanted=is_wanted
    )
    made = next((action for action in actions if action is not _OFF), _OFF)
    if is_wanted and is_on and not heat_source.is_valve_ready(state.heat_source, settings.heat_source, made):
        # Only where there is no rest before it: see `source.step`.
        is_on, why = state.heat_source.stage1.is_on, "the reversing valve turns first"
    if is_wanted and not is_on:
        for i, action in enumerate(actions):
            if action is not _OFF:
                actions[i] = _OFF
                reasons[i] = f"{reasons[i]}; {settings.heat_source.kind.value.replace('_', ' ')}: {why}"
    open_zones = [i for i, before in enumerate(state.zones) if before.action is not _OFF]
    if (
        not is_wanted
        and not is_on
        and (wait_ms := heat_source.supplement_wait_ms(state.heat_source, settings.heat_source.limits, now_ms))
    ):
        # A room at its limit ends it all the same.
        open_zones = [i for i in open_zones if not requests[i].is_at_limit]
        is_on = bool(open_zones)
        why = f"minimum on time of the second stage or auxiliary heat, {-(-wait_ms // 1000)} s to go"
    if is_on and not is_wanted:
        # What it makes until its minimum time is over must go somewhere: to the zone that can best use it.
        i = max(open_zones, key=lambda number: requests[number].error_k)
        actions[i] = state.zones[i].action
        reasons[i] = f"{reasons[i]}; {settings.heat_source.kind.value.replace('_', ' ')}: {why}"


def _hand_over(
    state: CoordinatorState,
    settings: ClimateSettings,
    requests: Sequence[ZoneRequest],
    directions: Sequence[HvacAction],
    actions: list[HvacAction],
    reasons: list[str],
    now_ms: int,
) -> None:
    """Let the neediest zone take over a source that would stop: zones in turn spare it starts."""
    is_opposed = any(wanted.action not in {_OFF, state.direction} for wanted in requests)
    if is_opposed or not state.heat_source.stage1.is_on or any(action is not _OFF for action in actions):
        return
    best, most = -1, HAND_OVER_PULSES
    for i, (before, zone_settings, wanted) in enumerate(zip(state.zones, settings.zones, requests, strict=True)):
        if before.action is not _OFF or wanted.duty <= pi_controller.NO_DUTY or directions[i] is not state.direction:
            continue
        if short_cycle_protection.wait_to_start_ms(before.relay, zone_settings.limits, now_ms):
            continue
        pulses = before.law.owed_s / zone_settings.law.pulse_s(wanted.duty)
        if before.is_ramp and pulses <= RAMP_PULSES:
            continue
        if pulses > most:
            best, most = i, pulses
    if best >= 0:
        actions[best] = state.direction
        reasons[best] = f"{reasons[best]}; takes over from the others"


def _acted(
    state: ZoneState, limits: short_cycle_protection.ShortCycleLimits, action: HvacAction, now_ms: int
) -> ZoneState:
    """Return a zone's state with what its output does from now on."""
    is_on = action is not _OFF
    return msgspec.structs.replace(
        state,
        action=action,
        last_on_ms=now_ms if is_on or state.action is not _OFF else state.last_on_ms,
        relay=short_cycle_protection.switch(state.relay, limits, now_ms, is_on=is_on),
    )
