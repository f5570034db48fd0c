"""Which sensors of a zone count: stuck ones are left out, silent ones are probed. Pure.

`fault_detection` and `sensor_probe` judge; this file gives them what they need of a zone, and takes from the zone what
they reject. It never decides what a zone without a temperature does.
"""

import msgspec

from agent.climate import fault_detection, heat_trace, heating_effect, pi_controller, sensor_loss, sensor_probe
from agent.climate.fusion import ZoneTemperature
from agent.climate.model import HEATING_MODES, Mode
from agent.climate.settings import ZoneSettings
from agent.climate.zone_state import ZoneInputs, ZoneState
from hal.interface import HvacAction

STUCK_EXCESS_SHARE, STUCK_EXCESS_CYCLES = 0.75, 2.0
"""A sensor that is not known yet counts as stuck after this share of `failure_s` of full heating above the usual duty,
and this many response times of the emitter more, since floors are slow. Determined on houses with radiators and floors,
25 to 65 W/K, and sensors of 0.1 to 1 K: lower values reject sensors that work, higher ones heat a room with a stuck
sensor to 25 °C."""

UNPROBED_K_MIN = 1.0
"""A silent sensor that cannot be probed counts for an hour and three quarters, however cold it is."""

OFF_PROBE_S_MIN = 2 * 3600.0
"""A zone that is off is not heated for a silence shorter than this, however cold it is."""

OFF_TURN_S = 3 * 3600.0
"""Then it gets full output for so long, and none for as long: in a storm a house with half of the usual output moves by
half a degree in it, and there is no hurry."""


def exclude_stuck_sensor(
    state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, dt_s: float
) -> tuple[ZoneState, ZoneInputs]:
    """Return the state and the inputs of a zone; without a temperature if its sensor is stuck."""
    temperature = inputs.temperature
    if temperature.quiet_for_s and not state.stuck_sensor.is_stuck:
        # It does not repeat its value, it says nothing: see `probe_silent_sensor`.
        return state, inputs
    stuck_sensor = fault_detection.detect_stuck_sensor(
        state.stuck_sensor,
        temperature.values_c,
        is_heated=state.is_full,
        usual_duty=state.mean_duty + state.unlearned_share * sensor_loss.FROST_DUTY_LATER,
        dt_s=dt_s,
        excess_s_max=STUCK_EXCESS_SHARE * settings.failure_s + STUCK_EXCESS_CYCLES * settings.law.response_s,
        response_s=settings.law.response_s,
        is_reported=temperature.age_s <= dt_s,
        is_satisfied=temperature.value_c is not None and temperature.value_c >= inputs.heat_setpoint_c,
    )
    if not stuck_sensor.is_stuck:
        return msgspec.structs.replace(state, stuck_sensor=stuck_sensor), inputs
    # The heating since then has wound up the integral, and proves nothing about the equipment.
    state = msgspec.structs.replace(
        state,
        stuck_sensor=stuck_sensor,
        law=msgspec.structs.replace(state.law, integral=min(state.law.integral, stuck_sensor.usual_duty)),
        heating_monitor=fault_detection.expect_no_rise(state.heating_monitor),
    )
    if temperature.value_c is None:
        return state, inputs
    problem = f"the sensor {stuck_sensor.text}: its value does not change"
    unknown = ZoneTemperature(None, 0.0, 0, temperature.coldest_c, problem, temperature.warmest_c)
    return state, msgspec.structs.replace(inputs, temperature=unknown)


def probe_silent_sensor(
    state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, dt_s: float
) -> tuple[ZoneState, ZoneInputs]:
    """Return the state and the inputs of a zone: with the duty of a probe, or without a temperature if it is dead."""
    temperature, value_c = inputs.temperature, inputs.temperature.value_c
    quiet_for_s = temperature.quiet_for_s
    if value_c is None or quiet_for_s is not None:
        output = state.level if state.action is HvacAction.HEAT else 0.0
        trace = heat_trace.advance(state.heat_trace, output=output, response_s=settings.law.response_s, dt_s=dt_s)
        state = msgspec.structs.replace(state, heat_trace=trace)
    if value_c is None or quiet_for_s is None:
        return state, inputs
    is_off = settings.can_heat and inputs.effective.mode is Mode.OFF
    is_in_doubt = is_off and _is_frost_possible(settings, inputs, value_c)
    error_k = 0.0 if is_off else inputs.heat_setpoint_c - value_c
    cooled_k = quiet_for_s / sensor_loss.HOUR_S * sensor_loss.COOLS_K_PER_H
    is_heating = settings.can_heat and inputs.effective.mode in HEATING_MODES and state.direction is HvacAction.HEAT
    law_duty = state.law.integral + (inputs.structure_duty or 0.0)
    is_slow = settings.law.response_s > heating_effect.SLOW_RESPONSE_S
    is_patient = is_slow or state.mean_duty > sensor_probe.PATIENT_DUTY
    is_quiet = is_in_doubt or (is_heating and quiet_for_s > (sensor_probe.PATIENT_S if is_patient else 0.0))
    probe = sensor_probe.advance(
        state.sensor_probe,
        state.heat_trace,
        age_s=temperature.age_s,
        value_c=value_c,
        is_quiet=is_quiet,
        error_k=error_k,
        may_heat=is_in_doubt
        or sensor_probe.may_heat(
            quiet_for_s=quiet_for_s,
            error_k=error_k,
            law_duty=law_duty,
            cools_k_per_h=sensor_loss.COOLS_K_PER_H,
        ),
        is_patient=is_patient,
        dt_s=dt_s,
        response_s=settings.law.response_s,
        turn_s_min=OFF_TURN_S if is_in_doubt else 0.0,
    )
    change = probe.duty_change(is_patient=is_patient) if is_quiet else 0.0
    if is_in_doubt and probe.is_upward:
        # A room that was warm, or whose equipment is strong, is not to be too warm by it.
        change = (1.0 if value_c < sensor_loss.MILD_C else sensor_probe.FIRST_CHANGE) / probe.scale
    if probe.is_dead and not state.sensor_probe.is_dead:
        # The heating during its silence proves nothing about the equipment.
        state = msgspec.structs.replace(state, heating_monitor=fault_detection.expect_no_rise(state.heating_monitor))
    state = msgspec.structs.replace(state, sensor_probe=probe)
    # What is cooled, or cannot be heated, cannot be probed: the sensor counts until its room may be half-way to frost.
    is_cold = not (is_heating or is_off) and cooled_k > max(UNPROBED_K_MIN, (value_c - settings.frost_c) / 2.0)
    if is_cold:
        problem = f"{temperature.names[0]} has been silent for {temperature.age_s / 60:.0f} min"
        return state, msgspec.structs.replace(inputs, temperature=sensor_probe.forget(temperature, problem))
    known = sensor_probe.exclude_dead(probe, temperature)
    return state, msgspec.structs.replace(inputs, temperature=known, probe_duty=change)


def _is_frost_possible(settings: ZoneSettings, inputs: ZoneInputs, value_c: float) -> bool:
    """Return whether a zone that is off would be heated if its sensor were dead: only then is a probe worth it."""
    delay_s = sensor_loss.precaution_delay_s(settings, value_c, mode=inputs.effective.mode)
    duty = sensor_loss.precautionary_duty(settings, inputs.others_c, inputs.peers, outdoor_c=inputs.outdoor_c)
    return inputs.temperature.age_s >= max(OFF_PROBE_S_MIN, delay_s) and duty > pi_controller.NO_DUTY
