"""The request of one zone: protection first, then the control law. Pure.

A zone uses its own sensors; without a valid one the fallback of `sensor_loss`; after some days only frost protection.
Frost protection and the temperature limits apply in every mode. Frost protection also uses the other sensors of the
home while the zone has none.
"""

import msgspec

from agent.climate import (
    emitter,
    floor_limit,
    pi_controller,
    sensor_loss,
    sensor_probe,
    zone_limits,
    zone_monitors,
    zone_sensors,
)
from agent.climate.effective_setpoint import EffectiveSetpoint
from agent.climate.emitter import CycleState
from agent.climate.fusion import ZoneTemperature
from agent.climate.model import COOLING_MODES, HEATING_MODES, Mode
from agent.climate.pi_controller import PiOutput, PiState
from agent.climate.settings import ZoneSettings
from agent.climate.zone_state import ZoneInputs, ZoneRequest, ZoneState
from agent.foundation.median import median_high
from hal.interface import HvacAction

FROST_RELEASE_K = 1.0
"""Frost protection ends this far above its limit."""

MEAN_DUTY_S = 24 * 3600.0
"""The fallback duty is the mean of a day and a night."""

AUTO_COOL_BLOCK_K = 4.0
"""In auto a zone is not cooled while a room that needs heat is this far below its cooling setpoint, or below its
heating setpoint. A home that needs heat needs no cooling; a sensor that shows otherwise must not start a heat pump."""

COOL_HOME_K = 2.0
"""With the median of the home this far below a zone's cooling setpoint there is no heat wave. If cooling has no effect
then, the zone's sensor is stuck or drifts, and the zone must not be cooled to the frost because of it."""

HEAT_NEED_K = 0.5
"""A room this far below its heating setpoint needs heat."""

HEAT_NEED_DUTY = 0.1
"""A room with this recent heating duty needs heat although it is at its setpoint: it is winter."""

CHANGEOVER_DELAY_S = 1800.0
"""In auto, cooling begins this long after the last heating, and the reverse: radiators must have cooled down."""

RECOVERY_CYCLE_S = 600.0
"""The goal of a cycle during a recovery, some hours a day at most, as far as the minimum on time of what it starts
allows: longer ones move a room by more than it may be off, and so each final rise begins from another temperature."""

_OFF, _HEAT, _COOL = HvacAction.OFF, HvacAction.HEAT, HvacAction.COOL


class _Decision(msgspec.Struct):
    """The next state of the controller, and the request so far."""

    law: PiState
    direction: HvacAction
    request: ZoneRequest
    is_precautionary: bool = False


def request(
    state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, *, now_ms: int, dt_s: float
) -> tuple[ZoneState, ZoneRequest]:
    """Return the zone's next state and its request.

    Args:
        state: From the last step, with the actual action of its output since then.
        settings: Of the zone.
        inputs: Of this step.
        now_ms: Boot time.
        dt_s: Since the last step.
    """
    state, inputs = zone_sensors.exclude_stuck_sensor(state, settings, inputs, dt_s)
    state, inputs = zone_sensors.probe_silent_sensor(state, settings, inputs, dt_s)
    temperature, value_c = inputs.temperature, inputs.temperature.value_c
    known_c = inputs.coldest_c if value_c is None else temperature.coldest_c
    is_frost = _is_frost(state, settings, known_c)
    frost_since_ms, lost_since_ms = _advance_timers(
        state, value_c, known_c, silent_s=temperature.silent_s, is_frost=is_frost, now_ms=now_ms
    )
    # One sensor reports frost, another one an overheated room: a low duty does the least harm, whichever is wrong.
    is_contradictory = is_frost and _is_hot(settings, temperature)
    lost_for_s = 0.0 if lost_since_ms is None else (now_ms - lost_since_ms) / 1000.0
    thermal_mass_c = _advance_thermal_mass(state, inputs, lost_for_s=lost_for_s, dt_s=dt_s)
    window = zone_limits.advance_window(state, settings, inputs, now_ms)
    if value_c is None or is_contradictory:
        frost_for_s = 0.0 if frost_since_ms is None else (now_ms - frost_since_ms) / 1000.0
        decision = _fall_back(
            state,
            settings,
            inputs,
            now_ms=now_ms,
            lost_for_s=lost_for_s,
            dt_s=dt_s,
            frost_c=known_c if is_frost else None,
            frost_for_s=frost_for_s,
        )
    elif window.is_open:
        # The controller waits with what it has learned.
        wanted = zone_limits.pause(window, settings, inputs, now_ms)
        decision = _Decision(msgspec.structs.replace(state.law, owed_s=0.0), state.direction, wanted)
    else:
        decision = _regulate(state, settings, inputs, value_c, thermal_mass_c, now_ms=now_ms, dt_s=dt_s)
    wanted = decision.request
    if is_frost and settings.can_heat and value_c is not None and not is_contradictory:
        wanted = ZoneRequest(_HEAT, 1.0, settings.frost_c - value_c, True, f"frost protection: {known_c:.1f} °C")
    if not is_contradictory:
        wanted = within_limits(settings, wanted, temperature, state.action, decision.direction)
    is_floor_hot = floor_limit.is_hot(inputs.floor_c, settings, was_hot=state.is_floor_hot)
    duty_max = floor_limit.duty_max(inputs.floor_c, settings, is_hot=is_floor_hot, is_frost=is_frost)
    if wanted.duty > duty_max and decision.direction is _HEAT:
        owed_s, wanted = zone_limits.limit_duty(wanted, state, settings, inputs, duty_max=duty_max, dt_s=dt_s)
        decision = msgspec.structs.replace(decision, law=msgspec.structs.replace(decision.law, owed_s=owed_s))
    is_learning = value_c is not None and not is_contradictory and not window.is_open
    after = zone_monitors.advance(state, settings, inputs, is_frost=is_frost, now_ms=now_ms, dt_s=dt_s)
    after = _learn(after, inputs, is_learning=is_learning, now_ms=now_ms, dt_s=dt_s)
    is_steady = not (inputs.is_ramp or window.is_open) and decision.direction is state.direction
    after = msgspec.structs.replace(
        after,
        cycle=_advance_cycle(state, settings, inputs, is_steady=is_steady, dt_s=dt_s),
        law=decision.law,
        direction=decision.direction,
        is_frost=is_frost,
        frost_since_ms=frost_since_ms,
        lost_since_ms=lost_since_ms,
        thermal_mass_c=thermal_mass_c,
        is_precautionary=decision.is_precautionary,
        window=window,
        is_floor_hot=is_floor_hot,
    )
    return after, wanted


def _learn(state: ZoneState, inputs: ZoneInputs, *, is_learning: bool, now_ms: int, dt_s: float) -> ZoneState:
    """Return the state with what this step shows of the zone.

    Neither fallback heating, an open window nor a mode without heating teaches the duty that the zone needs.
    """
    value_c, is_learning = inputs.temperature.value_c, is_learning and inputs.effective.mode in HEATING_MODES
    weight = min(1.0, dt_s / MEAN_DUTY_S) if is_learning else 0.0
    was_heated = state.level if state.action is _HEAT else 0.0
    outdoor_c = learned_outdoor_c = state.learned_outdoor_c
    if is_learning and inputs.outdoor_c is not None:
        learned_outdoor_c = (
            inputs.outdoor_c if outdoor_c is None else outdoor_c + weight * (inputs.outdoor_c - outdoor_c)
        )
    return msgspec.structs.replace(
        state,
        was_on=state.action is not _OFF,
        is_ramp=inputs.is_ramp,
        mean_duty=state.mean_duty + weight * (was_heated - state.mean_duty),
        unlearned_share=state.unlearned_share * (1.0 - weight),
        learned_outdoor_c=learned_outdoor_c,
        learned_at_ms=now_ms if is_learning else state.learned_at_ms,
        value_c=state.value_c if value_c is None else value_c,
        last_known_c=state.last_known_c if value_c is None else value_c,
        sensors=state.sensors if value_c is None else inputs.effective.sensors,
    )


def _advance_cycle(
    state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, *, is_steady: bool, dt_s: float
) -> CycleState:
    """Return what the cycles of its output have shown of its emitter."""
    is_own = is_steady and state.level == 1.0 and inputs.effective.sensors == state.sensors
    # Cycles in turns, of a recovery, of cooling and of a floor are made by other rules than the length of a pulse.
    is_by_pulses = state.direction is _HEAT and inputs.others_duty == 0.0 and inputs.recovery_duty is None
    return emitter.advance(
        state.cycle,
        value_c=inputs.temperature.value_c if is_own else None,
        dt_s=dt_s,
        was_on=state.action is not _OFF,
        is_start=state.action is not _OFF and not state.was_on,
        settings=settings.law if is_by_pulses else None,
        usual_duty=state.law.usual_duty,
    )


def needs_heat(state: ZoneState, settings: ZoneSettings, effective: EffectiveSetpoint, value_c: float) -> bool:
    """Return whether a zone keeps others from being cooled. A zone that is off or cooled does not."""
    if not settings.can_heat or effective.mode not in HEATING_MODES:
        return False
    return value_c < effective.setpoints.heat_setpoint_c - HEAT_NEED_K or state.mean_duty >= HEAT_NEED_DUTY


def _advance_thermal_mass(state: ZoneState, inputs: ZoneInputs, *, lost_for_s: float, dt_s: float) -> float | None:
    """Return the temperature of the zone's walls; `None` if it is unknown."""
    value_c, thermal_mass_c = inputs.temperature.value_c, state.thermal_mass_c
    if value_c is None:
        return thermal_mass_c if lost_for_s < pi_controller.THERMAL_MASS_MEMORY_S else None
    if inputs.effective.sensors != state.sensors:
        thermal_mass_c = pi_controller.shift_thermal_mass(thermal_mass_c, state.value_c, value_c)
    return pi_controller.advance_thermal_mass(thermal_mass_c, value_c, dt_s)


def _advance_timers(
    state: ZoneState, value_c: float | None, known_c: float | None, *, silent_s: float, is_frost: bool, now_ms: int
) -> tuple[int | None, int | None]:
    """Return since when frost protection is active, and since when the zone has no valid sensor; `None` if not."""
    frost_since_ms = now_ms if is_frost and state.frost_since_ms is None else state.frost_since_ms
    if known_c is not None and not is_frost:
        frost_since_ms = None
    if value_c is not None:
        return frost_since_ms, None
    # What a silent sensor reported last is as old as its silence.
    lost_since_ms = now_ms - round(silent_s * 1000)
    return frost_since_ms, lost_since_ms if state.lost_since_ms is None else state.lost_since_ms


def _is_frost(state: ZoneState, settings: ZoneSettings, known_c: float | None) -> bool:
    if known_c is None:
        return False
    return known_c < settings.frost_c + (FROST_RELEASE_K if state.is_frost else 0.0)


def _is_hot(settings: ZoneSettings, temperature: ZoneTemperature) -> bool:
    return temperature.warmest_c is not None and temperature.warmest_c >= settings.over_c


def _fall_back(
    state: ZoneState,
    settings: ZoneSettings,
    inputs: ZoneInputs,
    *,
    now_ms: int,
    lost_for_s: float,
    dt_s: float,
    frost_c: float | None,
    frost_for_s: float,
) -> _Decision:
    """Return the decision for a zone without a valid sensor."""
    choice = sensor_loss.choose_duty(
        state, settings, inputs, now_ms=now_ms, lost_for_s=lost_for_s, frost_c=frost_c, frost_for_s=frost_for_s
    )
    if choice.duty <= 0.0:
        return _Decision(state.law, state.direction, ZoneRequest(_OFF, 0.0, 0.0, False, choice.reason))
    output = sensor_loss.modulate(
        state.law, settings, duty=choice.duty, dt_s=dt_s, was_on=state.action is _HEAT, level=state.level
    )
    action = _HEAT if output.wants_on else _OFF
    wanted = ZoneRequest(action, output.duty, 0.0, choice.is_urgent, choice.reason)
    return _Decision(output.state, _HEAT, wanted, choice.is_precautionary)


def _regulate(
    state: ZoneState,
    settings: ZoneSettings,
    inputs: ZoneInputs,
    value_c: float,
    thermal_mass_c: float | None,
    *,
    now_ms: int,
    dt_s: float,
) -> _Decision:
    """Return the decision for a zone with a known temperature."""
    effective = inputs.effective
    heat_c, cool_c = inputs.heat_setpoint_c, effective.setpoints.cool_setpoint_c
    direction = _choose_direction(state, settings, effective.mode, value_c, cool_c, now_ms)
    if direction is _OFF and inputs.probe_duty > 0.0:
        return _probe_while_off(state, settings, inputs, dt_s)
    if direction is _OFF:
        text = "off" if effective.mode is Mode.OFF else f"off: this zone cannot {effective.mode.value}"
        return _Decision(PiState(), state.direction, ZoneRequest(_OFF, 0.0, 0.0, False, f"{text}, {effective.text}"))
    if direction is _COOL and (obstacle := _cooling_obstacle(state, settings, inputs)):
        return _Decision(PiState(), _COOL, ZoneRequest(_OFF, 0.0, 0.0, False, f"{obstacle} ({effective.text})"))
    is_heating = direction is _HEAT
    setpoint_c = heat_c if is_heating else cool_c
    error_k = setpoint_c - value_c if is_heating else value_c - setpoint_c
    walls_c = value_c if thermal_mass_c is None else thermal_mass_c
    behind_k = setpoint_c - walls_c if is_heating else walls_c - setpoint_c
    walls_duty = pi_controller.thermal_mass_duty(behind_k, settings.law.thermal_mass_gain_per_k, error_k=error_k)
    if is_heating and inputs.structure_duty is not None:
        walls_duty = inputs.structure_duty * max(0.0, 1.0 + min(0.0, error_k) / pi_controller.OVERSHOOT_K_MAX)
    known_duty = walls_duty + (inputs.weather_duty if is_heating else 0.0)
    law = emitter.tune(
        settings.law,
        state.cycle.known_rate_k_per_h,
        state.law.usual_duty,
        inputs.others_duty,
        is_cooling=not is_heating,
    )
    if is_heating and inputs.others_duty == 0.0 and state.level == 1.0:
        change_k = None if inputs.temperature.quiet_for_s is None else state.sensor_probe.change_k
        law = emitter.shorten_pulses(law, state.cycle, duty=state.law.usual_duty, change_k=change_k)
    if state.level < 1.0 and state.law.usual_duty is not None:
        law = emitter.modulate(law, share=state.law.usual_duty / state.level, age_s=inputs.temperature.age_s)
    # With the value of a dead sensor neither a recovery nor an error would ever end. A working one is silent too where
    # all the heat there is only keeps its room: then the heat has not risen, and the room gets all of it.
    is_lowered = is_heating and inputs.probe_duty <= -sensor_probe.CHANGE and state.sensor_probe.has_risen
    if is_heating and inputs.recovery_duty is not None and not is_lowered:
        output = _follow_recovery(state, settings, inputs.recovery_duty, inputs.held_duty - known_duty, dt_s)
    else:
        output = pi_controller.advance(
            state.law if direction is state.direction else PiState(),
            law,
            error_k=min(0.0, error_k) if is_lowered else error_k,
            dt_s=dt_s,
            was_on=state.action is direction,
            feed_forward=known_duty + (inputs.probe_duty if is_heating else 0.0),
            is_ramp=inputs.is_ramp and is_heating and not is_lowered,
            others_duty=inputs.others_duty,
            level=state.level if is_heating else 1.0,
        )
        if inputs.probe_duty:
            # The error is as old as the last report.
            law_state = msgspec.structs.replace(output.state, integral=state.law.integral)
            output = msgspec.structs.replace(output, state=law_state)
    side = "below" if (error_k > 0) == is_heating else "above"
    verb = ("heating" if is_heating else "cooling") if output.wants_on else "idle"
    reason = f"{verb}: {abs(error_k):.1f} K {side} {setpoint_c:.1f} at {output.duty:.0%} ({effective.text})"
    wanted = ZoneRequest(direction if output.wants_on else _OFF, output.duty, error_k, False, reason)
    return _Decision(output.state, direction, wanted)


def _probe_while_off(state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, dt_s: float) -> _Decision:
    """Return the decision for a zone that is off while it is heated to find out whether its silent sensor is dead."""
    duty = min(1.0, inputs.probe_duty)
    output = sensor_loss.modulate(
        state.law, settings, duty=duty, dt_s=dt_s, was_on=state.action is _HEAT, level=state.level
    )
    hours = inputs.temperature.age_s / 3600.0
    reason = (
        f"heating at {duty:.0%} to make {inputs.temperature.names[0]} report: silent for {hours:.0f} h, so frost cannot"
        " be ruled out"
    )
    return _Decision(output.state, _HEAT, ZoneRequest(_HEAT if output.wants_on else _OFF, duty, 0.0, False, reason))


def _follow_recovery(state: ZoneState, settings: ZoneSettings, duty: float, integral: float, dt_s: float) -> PiOutput:
    """Return the pulses of the duty of a recovery; the control law goes on with an integral afterwards."""
    law = msgspec.structs.replace(settings.law, cycle_s=min(RECOVERY_CYCLE_S, settings.law.cycle_s))
    settings = msgspec.structs.replace(settings, law=law)
    output = sensor_loss.modulate(
        state.law, settings, duty=duty, dt_s=dt_s, was_on=state.action is _HEAT, level=state.level
    )
    after = msgspec.structs.replace(output.state, integral=min(1.0, max(0.0, integral)))
    return msgspec.structs.replace(output, state=msgspec.structs.replace(after, usual_duty=state.law.usual_duty))


def _choose_direction(
    state: ZoneState, settings: ZoneSettings, mode: Mode, value_c: float, cool_c: float, now_ms: int
) -> HvacAction:
    """Return whether the controller is set for heating or cooling; OFF for neither."""
    heats = settings.can_heat and mode in HEATING_MODES
    cools = settings.can_cool and mode in COOLING_MODES
    if not (heats and cools):
        return _HEAT if heats else _COOL if cools else _OFF
    rested_ms = CHANGEOVER_DELAY_S * 1000 if state.last_on_ms is None else now_ms - state.last_on_ms
    has_rested = state.action is _OFF and rested_ms >= CHANGEOVER_DELAY_S * 1000
    if state.direction is _COOL:
        return _HEAT if has_rested and value_c < cool_c - 1.0 else _COOL
    return _COOL if has_rested and value_c > cool_c else _HEAT


def _cooling_obstacle(state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs) -> str:
    """Return why a zone must not be cooled, for people; empty if it may be."""
    mode, setpoints = inputs.effective.mode, inputs.effective.setpoints
    limit_c = max(setpoints.cool_setpoint_c - AUTO_COOL_BLOCK_K, setpoints.heat_setpoint_c)
    if mode is Mode.AUTO and inputs.needing_heat_c and inputs.needing_heat_c[0] < limit_c:
        return f"idle: not cooled in auto while a room that needs heat has {inputs.needing_heat_c[0]:.1f} °C"
    if not state.cooling_monitor.is_ineffective or not inputs.active_c:
        return ""
    median_c = median_high(inputs.active_c)
    if median_c > setpoints.cool_setpoint_c - COOL_HOME_K:
        return ""
    return (
        f"idle: cooling had no effect in {settings.failure_s / 3600:.0f} h, and the home has {median_c:.1f} °C: check"
        " the sensor, then the equipment"
    )


def within_limits(
    settings: ZoneSettings,
    wanted: ZoneRequest,
    temperature: ZoneTemperature,
    present_action: HvacAction,
    direction: HvacAction,
) -> ZoneRequest:
    """Return a request within the temperature limits: the warmest sensor ends heating, the coldest ends cooling."""
    coldest_c, warmest_c = temperature.coldest_c, temperature.warmest_c
    is_hot = _is_hot(settings, temperature)
    is_cold = coldest_c is not None and coldest_c <= settings.under_c
    is_at_limit = (is_hot and present_action is _HEAT) or (is_cold and present_action is _COOL)
    if wanted.action is _HEAT and is_hot:
        reason = f"off: {warmest_c:.1f} °C, the limit is {settings.over_c:.1f}"
    elif wanted.action is _COOL and is_cold:
        reason = f"off: {coldest_c:.1f} °C, the limit is {settings.under_c:.1f}"
    else:
        # The duty counts between two pulses as well: the zone must not take over the heat source.
        is_barred = (is_hot and direction is _HEAT) or (is_cold and direction is _COOL)
        return msgspec.structs.replace(wanted, duty=0.0 if is_barred else wanted.duty, is_at_limit=is_at_limit)
    if temperature.problem:
        reason = f"{reason} ({temperature.problem})"
    return ZoneRequest(_OFF, 0.0, wanted.error_k, True, reason, is_at_limit)
