"""One decision for the whole home: what every zone and the heat source do now, and why. Pure.

State, inputs and the time go in; the next state, the demand on the outputs and the reasons come out. Zones request,
short-cycle protection permits. Heating and cooling exclude each other in the whole home, with a rest between them.
"""

from collections.abc import Sequence

import msgspec

from agent.climate import flow_temperature, heat_source, output_test, pi_controller, short_cycle_protection, zone
from agent.climate.heat_source import HeatSourceRequest, HeatSourceState
from agent.climate.heating_effect import HeatingEffect
from agent.climate.output_test import OutputTest
from agent.climate.settings import ClimateSettings, HeatSourceKind, ZoneSettings
from agent.climate.short_cycle_protection import ShortCycleLimits
from agent.climate.zone_state import ZoneInputs, ZoneRequest, ZoneState
from hal.interface import HeatSourceDemand, HvacAction, HvacDemand

DT_S_MAX = 600.0
"""A longer step (a machine that slept) counts as this long: the actual output in between is unknown."""

HAND_OVER_PULSES = -0.8
"""A zone takes over the heat source from the last zone that would let it stop, unless it is further ahead than this
many pulses. Zones that take turns keep the heat source running longer, and need shorter cycles themselves."""

TURN_PULSES = 2.0
"""A zone that is due waits for its turn while another one is on, until it is owed this many pulses. Zones in turns need
the heat source for longer, so it starts less often for the same temperatures."""

RAMP_PULSES = 0.5
"""A zone on its way to the next block's setpoint takes over only what it is owed: it would arrive early otherwise."""

COLD_ZONE_K = 1.0
"""A room this far below its heating setpoint has priority over any that is too warm: cooling one room must not leave
the others cold."""

_OFF, _HEAT, _COOL = HvacAction.OFF, HvacAction.HEAT, HvacAction.COOL


class CoordinatorState(msgspec.Struct, frozen=True):
    """The state of the home from step to step.

    Attributes:
        zones: In the order of the settings.
        heat_source: Of the shared heat source; unused without one.
        at_ms: Boot time of the last step.
        direction: The last action of the home, heat or cool. OFF if unknown: then a rest comes before cooling.
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
        demand: On the outputs.
        requests: Of each zone.
        reasons: Why the output of each zone does what it does, for people.
        held: Whether short-cycle protection keeps the output of each zone from what is wanted.
    """

    state: CoordinatorState
    demand: HvacDemand
    requests: tuple[ZoneRequest, ...]
    reasons: tuple[str, ...]
    held: tuple[bool, ...] = ()


class _ZoneAction(msgspec.Struct, frozen=True):
    """What the output of one zone does now, and why."""

    action: HvacAction
    reason: str
    is_held: bool = False


def initial_state(settings: ClimateSettings, now_ms: int) -> CoordinatorState:
    """Return the state of a home without a known history: everything has stopped just now."""
    stopped = short_cycle_protection.assume_stopped(now_ms)
    able = {_HEAT for zone_settings in settings.zones if zone_settings.can_heat}
    able |= {_COOL for zone_settings in settings.zones if zone_settings.can_cool}
    return CoordinatorState(
        zones=tuple(ZoneState(stopped) for _ in settings.zones),
        heat_source=heat_source.assume_stopped(now_ms),
        at_ms=now_ms,
        # It may have heated or cooled a moment ago. A home that can do only one of them cannot have done the other.
        direction=able.pop() if len(able) == 1 else _OFF,
        last_on_ms=now_ms,
    )


def with_late_starts(state: CoordinatorState, now_ms: int) -> CoordinatorState:
    """Return the state once outputs follow again that failed: what is on counts its minimum on time from now.

    Which output failed is not known here, so all count anew: none runs for less than its minimum on time, and those
    that worked run for twice that at most.
    """
    zones = [
        msgspec.structs.replace(each, relay=short_cycle_protection.with_late_start(each.relay, now_ms))
        for each in state.zones
    ]
    source = heat_source.with_late_start(state.heat_source, now_ms)
    return msgspec.structs.replace(state, zones=tuple(zones), heat_source=source)


def shares_source(settings: ClimateSettings) -> bool:
    """Return whether zones take turns at one heat source that is switched on and off."""
    return settings.heat_source.kind is not HeatSourceKind.NONE and settings.heat_source.flow is None


def others_duties(state: CoordinatorState, settings: ClimateSettings) -> list[float]:
    """Return for each zone the sum of the usual duties of the others that share its heat source."""
    if not shares_source(settings):
        return [0.0] * len(state.zones)
    usual = [zone.law.usual_duty or 0.0 for zone in state.zones]
    total = sum(usual)
    return [total - duty for duty in usual]


def others_effects(state: CoordinatorState, settings: ClimateSettings, number: int) -> tuple[HeatingEffect, ...]:
    """Return what is known of the heating of the other zones that share the heat source of a zone."""
    if not shares_source(settings):
        return ()
    return tuple([zone.heating_monitor.effect for i, zone in enumerate(state.zones) if i != number])


def decide(
    state: CoordinatorState,
    settings: ClimateSettings,
    inputs: Sequence[ZoneInputs],
    now_ms: int,
    test: OutputTest | None = None,
) -> ClimateDecision:
    """Return the decision for now.

    Args:
        state: From the last step.
        settings: Of the home.
        inputs: One for each zone, in the order of the settings.
        now_ms: Boot time, not before that of the state.
        test: A test of the outputs that is in force.
    """
    dt_s = min(DT_S_MAX, max(0.0, (now_ms - state.at_ms) / 1000.0))
    zones: list[ZoneState] = []
    requests: list[ZoneRequest] = []
    for before, zone_settings, zone_inputs in zip(state.zones, settings.zones, inputs, strict=True):
        after, request = zone.request(before, zone_settings, zone_inputs, now_ms=now_ms, dt_s=dt_s)
        zones.append(after)
        requests.append(
            output_test.replace_request(test, request, state=after, settings=zone_settings, inputs=zone_inputs)
        )
    wanted = _choose_direction(state, requests)
    # An output that is on has been on until now, not only until the last decision.
    last_on_ms = now_ms if any(before.action is not _OFF for before in state.zones) else state.last_on_ms
    direction, wait_reason = _permit_direction(state, settings, wanted, last_on_ms, now_ms)
    actions = [
        _permit_zone(
            after,
            None if output_test.overrides(test, zone_settings.zone_id) else zone_settings.limits,
            request,
            direction,
            wait_reason,
            now_ms,
        )
        for after, zone_settings, request in zip(zones, settings.zones, requests, strict=True)
    ]
    source_state, source_demand = state.heat_source, None
    if settings.heat_source.kind is not HeatSourceKind.NONE:
        actions = _limit_by_heat_source(state, settings, zones, requests, actions, now_ms)
        source_state, source_demand = _drive_heat_source(
            state, settings, zones, requests, actions, next_action=wanted, now_ms=now_ms, dt_s=dt_s
        )
        if settings.heat_source.flow is not None:
            needs = [
                flow_temperature.ZoneNeed(request.duty, after.law.owed_s)
                for after, request in zip(zones, requests, strict=True)
                if after.direction is _HEAT
            ]
            level = flow_temperature.advance(source_state.level, needs, dt_s)
            source_state = msgspec.structs.replace(source_state, level=level)
            if source_demand.action is _HEAT:
                flow_c = flow_temperature.flow_c(settings.heat_source.flow, level)
                source_demand = msgspec.structs.replace(source_demand, flow_c=flow_c)
    made = _first_action(actions)
    next_state = CoordinatorState(
        zones=tuple(
            [
                _record_action(after, zone_settings.limits, each.action, now_ms, level=source_state.level)
                for after, zone_settings, each in zip(zones, settings.zones, actions, strict=True)
            ]
        ),
        heat_source=source_state,
        at_ms=now_ms,
        direction=state.direction if made is _OFF else made,
        last_on_ms=last_on_ms if made is _OFF else now_ms,
    )
    outputs = {zone_settings.zone_id: each.action for zone_settings, each in zip(settings.zones, actions, strict=True)}
    reasons = tuple([each.reason for each in actions])
    held = tuple([each.is_held for each in actions])
    return ClimateDecision(next_state, HvacDemand(outputs, source_demand), tuple(requests), reasons, held)


def _first_action(actions: Sequence[_ZoneAction]) -> HvacAction:
    """Return what the home does: all zones that are on do the same. OFF if none is on."""
    return next((each.action for each in actions if each.action is not _OFF), _OFF)


def _choose_direction(state: CoordinatorState, requests: Sequence[ZoneRequest]) -> HvacAction:
    """Return whether the home is to heat or cool as soon as it may; OFF without a request."""
    wanted = {request.action for request in requests if request.action is not _OFF}
    if not wanted:
        return _OFF
    is_heat_urgent = any(request.is_urgent and request.action is _HEAT for request in requests)
    cold_k = max((request.error_k for request in requests if request.action is _HEAT), default=0.0)
    if is_heat_urgent or cold_k >= COLD_ZONE_K:
        return _HEAT
    if state.direction in wanted:
        return state.direction
    return _HEAT if _HEAT in wanted else _COOL


def _permit_direction(
    state: CoordinatorState, settings: ClimateSettings, wanted: HvacAction, last_on_ms: int | None, now_ms: int
) -> tuple[HvacAction, str]:
    """Return what the home may do now, and for people why it must wait; else an empty text."""
    if wanted is _OFF or wanted is state.direction or last_on_ms is None:
        return wanted, ""
    if state.direction is _OFF and wanted is _HEAT:
        # The last direction is unknown. The minimum off times protect the equipment; a cold home waits for no more.
        return wanted, ""
    rest_ms = last_on_ms + round(settings.heat_source.changeover_s * 1000) - now_ms
    if rest_ms > 0:
        return _OFF, f"rest between heating and cooling, {-(-rest_ms // 1000)} s to go"
    return wanted, ""


def _permit_zone(
    state: ZoneState,
    limits: ShortCycleLimits | None,
    request: ZoneRequest,
    direction: HvacAction,
    wait_reason: str,
    now_ms: int,
) -> _ZoneAction:
    """Return what the relay of a zone may do now, and why. Without limits it may switch at once."""
    is_wanted = request.action is not _OFF and request.action is direction
    if state.action not in {_OFF, direction}:
        # Its present action is the opposite one and must end first.
        is_wanted = False
    is_on, limit = is_wanted, ""
    if limits is not None:
        is_on, limit = short_cycle_protection.apply_limits(state.relay, limits, now_ms, is_wanted=is_wanted)
    reason = request.reason
    if limit:
        reason = f"{reason}; {limit}"
    elif request.action is not _OFF and not is_wanted:
        reason = f"{reason}; {wait_reason or _opposite_is_active(request.action)}"
    if not is_on:
        return _ZoneAction(_OFF, reason, bool(limit))
    return _ZoneAction(state.action if state.action is not _OFF else direction, reason, bool(limit))


def _opposite_is_active(wanted: HvacAction) -> str:
    return "heating is active, so cooling must wait" if wanted is _COOL else "cooling is active, so heating must wait"


def _limit_by_heat_source(
    state: CoordinatorState,
    settings: ClimateSettings,
    zones: Sequence[ZoneState],
    requests: Sequence[ZoneRequest],
    actions: Sequence[_ZoneAction],
    now_ms: int,
) -> list[_ZoneAction]:
    """Return the actions of the zones within what the heat source can do."""
    limits, source = settings.heat_source.limits, state.heat_source
    name = settings.heat_source.kind.value.replace("_", " ")
    limited = _take_turns(state, settings, requests, actions)
    limited = _hand_over(state, settings, zones, requests, limited, now_ms)
    made = _first_action(limited)
    is_wanted = made is not _OFF
    is_on, reason = short_cycle_protection.apply_limits(source.stage1, limits, now_ms, is_wanted=is_wanted)
    is_held = bool(reason)
    if is_wanted and is_on and not heat_source.is_valve_ready(source, settings.heat_source, made):
        # Only without a rest before it: see `heat_source.advance`.
        is_on, reason, is_held = source.stage1.is_on, "the reversing valve moves first", False
    if is_wanted and not is_on:
        return [
            _ZoneAction(_OFF, f"{each.reason}; {name}: {reason}", is_held) if each.action is not _OFF else each
            for each in limited
        ]
    open_zones = [i for i, before in enumerate(state.zones) if before.action is not _OFF]
    if not is_wanted and not is_on and (wait_ms := heat_source.supplement_wait_ms(source, limits, now_ms)):
        # A room at its limit ends this minimum on time all the same.
        open_zones = [i for i in open_zones if not requests[i].is_at_limit]
        is_on = bool(open_zones)
        reason = f"minimum on time of the second stage or auxiliary heat, {-(-wait_ms // 1000)} s to go"
    if is_on and not is_wanted:
        # The output during the rest of the minimum time must go somewhere: to the zone that can use it best.
        i = max(open_zones, key=lambda number: requests[number].error_k)
        limited[i] = _ZoneAction(state.zones[i].action, f"{limited[i].reason}; {name}: {reason}", is_held=True)
    return limited


def _take_turns(
    state: CoordinatorState,
    settings: ClimateSettings,
    requests: Sequence[ZoneRequest],
    actions: Sequence[_ZoneAction],
) -> list[_ZoneAction]:
    """Return the actions, without the starts of zones that can wait for their turn."""
    if settings.heat_source.flow is not None:
        # A modulating boiler runs all the time: no start is saved.
        return list(actions)
    others = others_duties(state, settings)
    is_taken = any(
        before.action is not _OFF and each.action is not _OFF for before, each in zip(state.zones, actions, strict=True)
    )
    starting = [
        (_owed_pulses(before, zone_settings, request, others[i]), i)
        for i, (before, zone_settings, request, each) in enumerate(
            zip(state.zones, settings.zones, requests, actions, strict=True)
        )
        if before.action is _OFF and each.action is not _OFF
    ]
    if not is_taken and starting:
        starting.remove(max(starting))
    turned = list(actions)
    for pulses, i in starting:
        request = requests[i]
        # Where the others want all of the source, it does not stop for this zone's waiting, and no start is saved.
        can_wait = pulses < TURN_PULSES and others[i] < 1.0
        if can_wait and request.duty < pi_controller.FULL_DUTY and not request.is_urgent:
            turned[i] = _ZoneAction(_OFF, f"{request.reason}; waits for its turn")
    return turned


def _owed_pulses(state: ZoneState, settings: ZoneSettings, request: ZoneRequest, others_duty: float) -> float:
    law = settings.law
    due_s = state.law.owed_s + law.edge_s_per_k * request.error_k
    return due_s / pi_controller.pulse_length_s(state.law, law, request.duty, others_duty, state.level)


def _hand_over(
    state: CoordinatorState,
    settings: ClimateSettings,
    zones: Sequence[ZoneState],
    requests: Sequence[ZoneRequest],
    actions: Sequence[_ZoneAction],
    now_ms: int,
) -> list[_ZoneAction]:
    """Return the actions, with the neediest zone on if the heat source would stop: zones in turn save it starts."""
    handed_over = list(actions)
    is_opposed = any(request.action not in {_OFF, state.direction} for request in requests)
    if is_opposed or not state.heat_source.stage1.is_on or _first_action(actions) is not _OFF:
        return handed_over
    best, most = -1, HAND_OVER_PULSES
    others = others_duties(state, settings)
    for i, (before, zone_settings, request) in enumerate(zip(state.zones, settings.zones, requests, strict=True)):
        # The controller's direction of this step counts: a zone that has just turned to cooling takes over no heat.
        is_same = zones[i].direction is state.direction
        if before.action is not _OFF or request.duty <= pi_controller.NO_DUTY or not is_same:
            continue
        if short_cycle_protection.wait_to_start_ms(before.relay, zone_settings.limits, now_ms):
            continue
        pulses = _owed_pulses(before, zone_settings, request, others[i])
        if before.is_ramp and pulses <= RAMP_PULSES:
            continue
        if pulses > most:
            best, most = i, pulses
    if best >= 0:
        handed_over[best] = _ZoneAction(state.direction, f"{actions[best].reason}; takes over from the others")
    return handed_over


def _drive_heat_source(
    state: CoordinatorState,
    settings: ClimateSettings,
    zones: Sequence[ZoneState],
    requests: Sequence[ZoneRequest],
    actions: Sequence[_ZoneAction],
    *,
    next_action: HvacAction,
    now_ms: int,
    dt_s: float,
) -> tuple[HeatSourceState, HeatSourceDemand]:
    """Return the next state of the heat source, and the demand on it."""
    made = _first_action(actions)
    heated = [after for after, each in zip(zones, actions, strict=True) if each.action is _HEAT]
    request = HeatSourceRequest(
        made,
        max((request.error_k for request in requests if request.action is made), default=0.0),
        # While any heated zone gets warmer the heat source works, and a zone that does not has a fault of its own.
        is_failing=bool(heated) and all(after.heating_monitor.is_failing for after in heated),
        next_action=next_action,
    )
    return heat_source.advance(state.heat_source, settings.heat_source, request, now_ms=now_ms, dt_s=dt_s)


def _record_action(
    state: ZoneState, limits: ShortCycleLimits, action: HvacAction, now_ms: int, *, level: float
) -> ZoneState:
    """Return the state of a zone with the action of its output from now on."""
    is_on = action is not _OFF
    return msgspec.structs.replace(
        state,
        action=action,
        level=level,
        last_on_ms=now_ms if is_on or state.action is not _OFF else state.last_on_ms,
        relay=short_cycle_protection.switch(state.relay, limits, now_ms, is_on=is_on),
        starts=state.starts + (is_on and not state.relay.is_on),
    )
