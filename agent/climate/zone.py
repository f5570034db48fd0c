"""What one zone wants now, and why: protection first, then the law. Pure.

The ladder: the zone's own sensors; without them what `blind` says; after some days only what keeps it from frost.
Frost protection and the upper limit stand above all of it, whatever the mode, and go by any sensor of the home that is
left.
"""

import msgspec

from agent.climate import fault_detection, pi_controller, sensor_loss, stuck_sensor, thermal_mass
from agent.climate.fusion import ZoneTemperature
from agent.climate.holds import EffectiveSetpoint
from agent.climate.model import Mode
from agent.climate.pi_controller import PiState
from agent.climate.settings import ZoneSettings
from agent.climate.zone_state import ZoneInputs, ZoneRequest, ZoneState
from hal.interface import HvacAction

FROST_RELEASE_K = 1.0
"""Frost protection ends so far above its limit."""

MEAN_DUTY_S = 24 * 3600.0
"""The time over which the duty is averaged for the fallback: day and night."""

APART_K = 4.0
"""In auto a zone is not cooled while a room that needs heat is so far below its cooling setpoint, or below its heating
setpoint: a home that needs heat needs no cold. A sensor that says otherwise is not to be trusted with a heat pump."""

COOL_HOME_K = 2.0
"""Where the middle of the home is so far below a zone's cooling setpoint, it is no heat wave: a zone that is cooled in
vain there has a sensor that is stuck or drifts, and must not be cooled to the frost by it."""

NEEDY_K = 0.5
"""So far below its own heating setpoint a room needs heat,"""

NEEDY_DUTY = 0.1
"""and likewise one that is kept at its setpoint by so much heating of late: it is winter."""

AUTO_DWELL_S = 1800.0
"""In auto, so long after the last heating (or cooling) the other may begin: the radiators must have cooled down."""

EXCESS_SHARE, EXCESS_CYCLES = 0.75, 2.0
"""A sensor is doubted after such a share of `failure_s` of full heating beyond the usual, and so many cycles of the law
more: floors are slow. Found on houses with radiators and floors, 25 to 65 W/K, and sensors of 0.1 to 1 K: less doubts
those that are alive, more heats a room with a frozen one to 25 °C."""

_OFF, _HEAT, _COOL = HvacAction.OFF, HvacAction.HEAT, HvacAction.COOL


def request(
    state: ZoneState,
    settings: ZoneSettings,
    inputs: ZoneInputs,
    *,
    now_ms: int,
    dt_s: float,
) -> tuple[ZoneState, ZoneRequest]:
    """Return the zone's next state and what it wants.

    Args:
        state: From the last step, with what its output has really been doing since.
        settings: Of the zone.
        inputs: Of this step.
        now_ms: Boot time.
        dt_s: Since the last step.
    """
    state, inputs = _doubting(state, settings, inputs, dt_s)
    value_c = inputs.room.value_c
    known_c = inputs.coldest_c if value_c is None else inputs.room.coldest_c
    is_frost = _is_frost(state, settings, known_c)
    frost_since_ms = now_ms if is_frost and state.frost_since_ms is None else state.frost_since_ms
    if known_c is not None and not is_frost:
        frost_since_ms = None
    # One sensor says frost, another one that it is too hot: whichever lies, a little heat does the least harm.
    is_torn = is_frost and _is_hot(settings, inputs.room)
    lost_since_ms = None if value_c is not None else now_ms if state.lost_since_ms is None else state.lost_since_ms
    lost_for_s = 0.0 if lost_since_ms is None else (now_ms - lost_since_ms) / 1000.0
    state = _with_walls(state, inputs, lost_for_s=lost_for_s, dt_s=dt_s)
    if value_c is None or is_torn:
        chosen = _blind(
            state,
            settings,
            inputs,
            now_ms=now_ms,
            lost_for_s=lost_for_s,
            dt_s=dt_s,
            frost_c=known_c if is_frost else None,
            frost_for_s=0.0 if frost_since_ms is None else (now_ms - frost_since_ms) / 1000.0,
        )
    else:
        chosen = (*_seeing(state, settings, inputs, value_c, now_ms=now_ms, dt_s=dt_s), False)
    law_state, direction, wanted, is_precautionary = chosen
    if is_frost and settings.can_heat and value_c is not None and not is_torn:
        wanted = ZoneRequest(_HEAT, 1.0, settings.frost_c - value_c, True, f"frost protection: {known_c:.1f} °C")
    if not is_torn:
        wanted = _within_limits(settings, wanted, inputs.room, state.action, direction)
    state = _watched(state, settings, inputs, is_frost=is_frost, dt_s=dt_s)
    # What was given blindly says nothing of the need, nor what was not given to a room that is not to be heated.
    is_learning = value_c is not None and not is_torn and inputs.in_force.mode in {Mode.HEAT, Mode.AUTO}
    kept = min(1.0, dt_s / MEAN_DUTY_S) if is_learning else 0.0
    was_heated = 1.0 if state.action is _HEAT else 0.0
    after = msgspec.structs.replace(
        state,
        law=law_state,
        direction=direction,
        is_frost=is_frost,
        frost_since_ms=frost_since_ms,
        is_ramp=inputs.is_ramp,
        lost_since_ms=lost_since_ms,
        mean_duty=state.mean_duty + kept * (was_heated - state.mean_duty),
        unlearned_share=state.unlearned_share * (1.0 - kept),
        learned_at_ms=now_ms if is_learning else state.learned_at_ms,
        last_known_c=state.last_known_c if value_c is None else value_c,
        is_precautionary=is_precautionary,
    )
    return after, wanted


def _doubting(
    state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, dt_s: float
) -> tuple[ZoneState, ZoneInputs]:
    """Return the zone, and its inputs without a temperature where its sensors do not move while it is heated."""
    seen = stuck_sensor.step(
        state.stuck_sensor,
        inputs.room.values_c,
        is_heated=state.action is _HEAT,
        usual_duty=state.mean_duty + state.unlearned_share * sensor_loss.FROST_DUTY_LATER,
        dt_s=dt_s,
        excess_s_max=EXCESS_SHARE * settings.failure_s + EXCESS_CYCLES * settings.law.cycle_s,
    )
    if not seen.is_stuck:
        return msgspec.structs.replace(state, stuck_sensor=seen), inputs
    # What it was given since has wound the law up, and says nothing of the equipment.
    state = msgspec.structs.replace(
        state,
        stuck_sensor=seen,
        law=msgspec.structs.replace(state.law, integral=min(state.law.integral, seen.usual_duty)),
        watch=fault_detection.not_meant(state.watch),
    )
    if inputs.room.value_c is None:
        return state, inputs
    room = ZoneTemperature(
        None, 0.0, 0, inputs.room.coldest_c, f"the sensor {seen.text} and does not move", inputs.room.warmest_c
    )
    return state, msgspec.structs.replace(inputs, room=room)


def _watched(state: ZoneState, settings: ZoneSettings, inputs: ZoneInputs, *, is_frost: bool, dt_s: float) -> ZoneState:
    """Return the zone with what its watches have seen since the last step."""
    value_c, in_force = inputs.room.value_c, inputs.in_force
    seen, cooling = state.watch, state.cooling
    if value_c is not None:
        seen = fault_detection.step(
            seen,
            value_c=value_c,
            setpoint_c=inputs.heat_setpoint_c,
            is_heated=state.action is _HEAT,
            dt_s=dt_s,
            failure_s=settings.failure_s,
        )
        cooling = fault_detection.cooled(
            cooling,
            value_c=value_c,
            setpoint_c=in_force.setpoints.cool_setpoint_c,
            is_cooled=state.action is _COOL,
            dt_s=dt_s,
            failure_s=settings.failure_s,
        )
    if in_force.mode not in {Mode.HEAT, Mode.AUTO} and not is_frost:
        seen = fault_detection.not_meant(seen)
    return msgspec.structs.replace(state, watch=seen, cooling=cooling)


def _with_walls(state: ZoneState, inputs: ZoneInputs, *, lost_for_s: float, dt_s: float) -> ZoneState:
    """Return the zone with its walls as warm as they are by now."""
    value_c, sensors, thermal_mass_c = inputs.room.value_c, inputs.in_force.sensors, state.thermal_mass_c
    if value_c is None:
        is_known = lost_for_s < thermal_mass.MEMORY_S
        return state if is_known else msgspec.structs.replace(state, thermal_mass_c=None)
    if sensors != state.sensors:
        thermal_mass_c = thermal_mass.elsewhere(thermal_mass_c, state.value_c, value_c)
    thermal_mass_c = thermal_mass.followed(thermal_mass_c, value_c, dt_s)
    return msgspec.structs.replace(state, thermal_mass_c=thermal_mass_c, value_c=value_c, sensors=sensors)


def _is_frost(state: ZoneState, settings: ZoneSettings, known_c: float | None) -> bool:
    if known_c is None:
        return False
    return known_c < settings.frost_c + (FROST_RELEASE_K if state.is_frost else 0.0)


def _blind(
    state: ZoneState,
    settings: ZoneSettings,
    inputs: ZoneInputs,
    *,
    now_ms: int,
    lost_for_s: float,
    dt_s: float,
    frost_c: float | None,
    frost_for_s: float,
) -> tuple[PiState, HvacAction, ZoneRequest, bool]:
    """Return what a zone without a believable sensor wants, and whether that is because nobody knows how cold it is."""
    choice = sensor_loss.choose_duty(
        settings,
        inputs.room,
        sensor_loss.SensorLossInputs(
            mode=inputs.in_force.mode,
            setpoint_c=inputs.in_force.setpoints.heat_setpoint_c,
            lost_for_s=lost_for_s,
            mean_duty=state.mean_duty,
            unlearned_share=state.unlearned_share,
            need_age_s=None if state.learned_at_ms is None else (now_ms - state.learned_at_ms) / 1000.0,
            last_known_c=state.last_known_c,
            stuck_duty=state.stuck_sensor.usual_duty if state.stuck_sensor.is_stuck else None,
            others_c=inputs.others_c,
            peers=inputs.peers,
            frost_c=frost_c,
            frost_middle_c=0.0 if frost_c is None else _middle_c(inputs, frost_c),
            frost_for_s=frost_for_s,
            may_heat=settings.can_heat and not _is_hot(settings, inputs.room),
        ),
    )
    if choice.duty <= 0.0:
        return state.law, state.direction, ZoneRequest(_OFF, 0.0, 0.0, False, choice.reason), False
    made = sensor_loss.modulate(state.law, settings, duty=choice.duty, dt_s=dt_s, was_on=state.action is _HEAT)
    wanted = ZoneRequest(_HEAT if made.wants_on else _OFF, made.duty, 0.0, choice.is_urgent, choice.reason)
    return made.state, _HEAT, wanted, choice.is_precautionary


def _middle_c(inputs: ZoneInputs, frost_c: float) -> float:
    """Return how warm it is about here, where nobody can tell.

    It is the middle of the other zones, else what the zone's warmest sensor says: that it is mild here, at most. A zone
    with a sensor of its own that may be right counts that as much.
    """
    own_c, others_c, warmest_c = inputs.room.coldest_c, inputs.others_c, inputs.room.warmest_c
    beside_c = (
        others_c[len(others_c) // 2] if others_c else None if warmest_c is None else min(warmest_c, sensor_loss.MILD_C)
    )
    if own_c is None or beside_c is None:
        return next((known_c for known_c in (own_c, beside_c) if known_c is not None), frost_c)
    return (own_c + beside_c) / 2.0


def _seeing(
    state: ZoneState,
    settings: ZoneSettings,
    inputs: ZoneInputs,
    value_c: float,
    *,
    now_ms: int,
    dt_s: float,
) -> tuple[PiState, HvacAction, ZoneRequest]:
    """Return what a zone that knows its temperature wants."""
    mode = inputs.in_force.mode
    heat_c, cool_c = inputs.heat_setpoint_c, inputs.in_force.setpoints.cool_setpoint_c
    direction = _direction(state, settings, mode, value_c, cool_c, now_ms)
    if direction is _OFF:
        text = "off" if mode is Mode.OFF else f"off: this zone cannot {mode.value}"
        return PiState(), state.direction, ZoneRequest(_OFF, 0.0, 0.0, False, f"{text}, {inputs.in_force.reason}")
    is_heating = direction is _HEAT
    if direction is _COOL and mode is Mode.AUTO and (cold_c := _cold_beside(inputs)) is not None:
        text = f"idle: not cooled in auto while a room that needs heat has {cold_c:.1f} °C ({inputs.in_force.reason})"
        return PiState(), _COOL, ZoneRequest(_OFF, 0.0, 0.0, False, text)
    if direction is _COOL and state.cooling.is_futile and (middle_c := _cool_home(inputs)) is not None:
        text = (
            f"idle: cooled for {settings.failure_s / 3600:.0f} h without getting cooler, and the home has "
            f"{middle_c:.1f} °C: check the sensor, then the equipment ({inputs.in_force.reason})"
        )
        return PiState(), _COOL, ZoneRequest(_OFF, 0.0, 0.0, False, text)
    setpoint_c = heat_c if is_heating else cool_c
    error_k = setpoint_c - value_c if is_heating else value_c - setpoint_c
    thermal_mass_c = value_c if state.thermal_mass_c is None else state.thermal_mass_c
    behind_k = setpoint_c - thermal_mass_c if is_heating else thermal_mass_c - setpoint_c
    for_walls = thermal_mass.duty(behind_k, settings.law.thermal_mass_gain_per_k, error_k=error_k)
    before = state.law if direction is state.direction else PiState()
    made = pi_controller.step(
        before,
        settings.law,
        error_k=error_k,
        dt_s=dt_s,
        was_on=state.action is direction,
        feed_forward=for_walls + (inputs.feed_forward if is_heating else 0.0),
        is_ramp=inputs.is_ramp and is_heating,
    )
    side = "below" if (error_k > 0) == is_heating else "above"
    verb = ("heating" if is_heating else "cooling") if made.wants_on else "idle"
    reason = f"{verb}: {abs(error_k):.1f} K {side} {setpoint_c:.1f} at {made.duty:.0%} ({inputs.in_force.reason})"
    return made.state, direction, ZoneRequest(direction if made.wants_on else _OFF, made.duty, error_k, False, reason)


def _cold_beside(inputs: ZoneInputs) -> float | None:
    """Return the temperature of another room that makes cooling this one absurd; `None` where there is none."""
    setpoints = inputs.in_force.setpoints
    limit_c = max(setpoints.cool_setpoint_c - APART_K, setpoints.heat_setpoint_c)
    coldest_c = inputs.needing_heat_c[0] if inputs.needing_heat_c else limit_c
    return coldest_c if coldest_c < limit_c else None


def _cool_home(inputs: ZoneInputs) -> float | None:
    """Return the middle of the other zones where that is cool; `None` where it is not, or nobody knows."""
    if not inputs.active_c:
        return None
    middle_c = inputs.active_c[len(inputs.active_c) // 2]
    return middle_c if middle_c <= inputs.in_force.setpoints.cool_setpoint_c - COOL_HOME_K else None


def needs_heat(state: ZoneState, settings: ZoneSettings, in_force: EffectiveSetpoint, value_c: float) -> bool:
    """Return whether a zone speaks against cooling others: a cellar that is off does not, nor one that is cooled."""
    if not settings.can_heat or in_force.mode not in {Mode.HEAT, Mode.AUTO}:
        return False
    return value_c < in_force.setpoints.heat_setpoint_c - NEEDY_K or state.mean_duty >= NEEDY_DUTY


def _direction(
    state: ZoneState, settings: ZoneSettings, mode: Mode, value_c: float, cool_c: float, now_ms: int
) -> HvacAction:
    """Return for which of heating and cooling the controller is to be set; OFF for neither."""
    heats = settings.can_heat and mode in {Mode.HEAT, Mode.AUTO}
    cools = settings.can_cool and mode in {Mode.COOL, Mode.AUTO}
    if not (heats and cools):
        return _HEAT if heats else _COOL if cools else _OFF
    rested_ms = AUTO_DWELL_S * 1000 if state.last_on_ms is None else now_ms - state.last_on_ms
    has_rested = state.action is _OFF and rested_ms >= AUTO_DWELL_S * 1000
    if state.direction is _COOL:
        return _HEAT if has_rested and value_c < cool_c - 1.0 else _COOL
    return _COOL if has_rested and value_c > cool_c else _HEAT


def _is_hot(settings: ZoneSettings, room: ZoneTemperature) -> bool:
    return room.warmest_c is not None and room.warmest_c >= settings.over_c


def _within_limits(
    settings: ZoneSettings, wanted: ZoneRequest, room: ZoneTemperature, doing: HvacAction, direction: HvacAction
) -> ZoneRequest:
    """Return what is left of a request: the warmest sensor ends heating, the coldest ends cooling, not their mean."""
    is_hot = _is_hot(settings, room)
    is_cold = room.coldest_c is not None and room.coldest_c <= settings.under_c
    is_at_limit = (is_hot and doing is _HEAT) or (is_cold and doing is _COOL)
    if wanted.action is _HEAT and is_hot:
        why = f"off: {room.warmest_c:.1f} °C, the limit is {settings.over_c:.1f}"
    elif wanted.action is _COOL and is_cold:
        why = f"off: {room.coldest_c:.1f} °C, the limit is {settings.under_c:.1f}"
    else:
        # Between two pulses as well: it must not take over from another zone.
        is_barred = (is_hot and direction is _HEAT) or (is_cold and direction is _COOL)
        return msgspec.structs.replace(wanted, duty=0.0 if is_barred else wanted.duty, is_at_limit=is_at_limit)
    if room.problem:
        why = f"{why} ({room.problem})"
    return ZoneRequest(_OFF, 0.0, wanted.error_k, True, why, is_at_limit)
