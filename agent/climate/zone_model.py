"""A learned model of a zone: emitter, air and structure, and what it needs to get warm in time. Pure.

Full output warms the emitter over its lag; the emitter warms the air, which settles within its own time against the
structure (walls, floor, furniture), which follows over hours. The load is what the zone loses now, in K/h of its air:
the weather, the sun and people are in it, so no outdoor temperature is needed. It is estimated from what the sensor
shows against what the model expected. The duty that keeps a temperature follows from the model, and so does what is
left of the output for a rise. It never decides when a recovery begins: `recovery` does.

The state of such a model in two time constants is the second-order thermal network of a room (Madsen and Holst 1995,
Energy and Buildings 22, "Estimation of continuous-time models for the heat dynamics of a building"); the estimate is a
Luenberger observer with gains from named time constants.
"""

from collections.abc import Callable
from math import exp

import msgspec

SENSOR_LAG_S = 360.0
"""A thermometer in a plastic case follows the air over 3 to 15 minutes; this is assumed where nothing is declared."""

SPAN_K = 45.0
"""Full output keeps an ordinary house this much warmer than outdoors: the load grows by its share with the room."""

TRACKING_H = 0.2
"""The estimated temperatures follow the sensor over this time, twice its lag. Pulses move the air by 0.3 K within ten
minutes, which the model, whose air has one time constant, does not foresee."""

LOAD_H = 1.5
"""The estimated load follows what the sensor shows over this time."""

SILENT_K = 0.15
"""A sensor that has not reported may have moved by this much: many report on a change of 0.1 to 0.2 K."""

STRUCTURE_DUTY_MIN = -0.3
"""A warm structure takes at most so much of the duty: the measured temperature has priority."""

SETBACK_STEP_K = 0.5
"""Setbacks are proposed in steps that people set."""

GAIN_K_PER_H_MAX = 10_000.0
TIME_S_MIN, TIME_S_MAX = 1.0, 100 * 86_400.0
"""Beyond these a model is no zone's, but that of a damaged file."""

FILLING_MIN = 0.05
FORECAST_STEP_S = 300.0
LOAD_SHARE_MAX = 1.5
"""The load is at most this multiple of the full output: a window was open, or the model is wrong."""


class ZoneDynamics(msgspec.Struct, frozen=True):
    """What is learned about a zone: it changes little from day to day.

    Attributes:
        gain_k_per_h: How fast full output of the emitter would warm the air alone.
        emitter_s: The lag of the emitter.
        air_s: The air settles against the structure over this time.
        structure_s: The structure follows the air over this time.
        filling: The emitter fills in this share of its lag: a source that is large for it fills it fast, and it
            empties slowly. So pulses give more than their share of full output.
    """

    gain_k_per_h: float = 8.0
    emitter_s: float = 900.0
    air_s: float = 2400.0
    structure_s: float = 6 * 3600.0
    filling: float = 1.0


def is_possible(dynamics: ZoneDynamics) -> bool:
    """Return whether a zone can have a model: that of a damaged file may divide by zero, or forbid all heat."""
    times_s = dynamics.emitter_s, dynamics.air_s, dynamics.structure_s
    is_filling = FILLING_MIN <= dynamics.filling <= 1.0
    is_gain = 0.0 < dynamics.gain_k_per_h <= GAIN_K_PER_H_MAX
    return is_filling and is_gain and all(TIME_S_MIN <= each <= TIME_S_MAX for each in times_s)


def emitted_share(dynamics: ZoneDynamics, duty: float) -> float:
    """Return the share of full output that pulses of a duty give in the long run."""
    return duty / (duty + (1.0 - duty) * dynamics.filling)


def duty_for(dynamics: ZoneDynamics, emitted: float) -> float:
    """Return the duty whose pulses give a share of full output in the long run, both 0 to 1."""
    share = min(1.0, max(0.0, emitted))
    return share * dynamics.filling / (1.0 - share + share * dynamics.filling)


def emitter_lag_s(dynamics: ZoneDynamics, duty: float) -> float:
    """Return the lag of the emitter at a duty."""
    return dynamics.emitter_s / (duty / dynamics.filling + 1.0 - duty)


class ZoneEstimate(msgspec.Struct, frozen=True):
    """The present state of a zone.

    Attributes:
        emitted: What the emitter gives, as a share of full output.
        air_c: The true air temperature.
        structure_c: The temperature of the structure.
        sensor_c: What the sensor is expected to show.
        load_k_per_h: The present loss.
    """

    emitted: float
    air_c: float
    structure_c: float
    sensor_c: float
    load_k_per_h: float

    @property
    def felt_c(self) -> float:
        """The mean of air and sensor: to arrive by it is to arrive by both, since the sensor lags."""
        return (self.air_c + self.sensor_c) / 2.0


def initial_estimate(dynamics: ZoneDynamics, *, value_c: float, structure_c: float | None, duty: float) -> ZoneEstimate:
    """Return the state of a zone that is measured for the first time.

    Args:
        dynamics: Of the zone.
        value_c: Its temperature.
        structure_c: That of its walls; `None` for unknown.
        duty: The duty that it needed recently.
    """
    walls_c = value_c if structure_c is None else structure_c
    emitted = emitted_share(dynamics, min(1.0, max(0.0, duty)))
    return ZoneEstimate(emitted, value_c, walls_c, value_c, emitted * dynamics.gain_k_per_h)


_Step = Callable[[ZoneEstimate, float], ZoneEstimate]


def stepper(dynamics: ZoneDynamics, dt_s: float) -> _Step:
    """Return the function that advances an estimate by `dt_s` at a duty."""
    gain, air_h = dynamics.gain_k_per_h, dynamics.air_s / 3600.0
    keep_a = exp(-dt_s / dynamics.air_s)
    keep_w, keep_s = exp(-dt_s / dynamics.structure_s), exp(-dt_s / SENSOR_LAG_S)
    share_a = (1.0 - keep_a) * dynamics.air_s / dt_s
    per_k = gain / SPAN_K / 2.0

    def step(now: ZoneEstimate, duty: float) -> ZoneEstimate:
        air_c, walls_c = now.air_c, now.structure_c
        lag_s, full = emitter_lag_s(dynamics, duty), emitted_share(dynamics, duty)
        keep_e = exp(-dt_s / lag_s)
        emitted = full + (now.emitted - full) * (1.0 - keep_e) * lag_s / dt_s
        settled_c = walls_c + (gain * emitted - now.load_k_per_h) * air_h
        mean_c = settled_c + (air_c - settled_c) * share_a
        next_c = settled_c + (air_c - settled_c) * keep_a
        next_walls_c = mean_c + (walls_c - mean_c) * keep_w
        return ZoneEstimate(
            full + (now.emitted - full) * keep_e,
            next_c,
            next_walls_c,
            mean_c + (now.sensor_c - mean_c) * keep_s,
            now.load_k_per_h + per_k * (next_c - air_c + next_walls_c - walls_c),
        )

    return step


def track(
    before: ZoneEstimate, dynamics: ZoneDynamics, *, duty: float, value_c: float, is_new: bool, dt_s: float
) -> ZoneEstimate:
    """Return the state after some time, corrected by the sensor.

    Args:
        before: The state at its beginning.
        dynamics: Of the zone.
        duty: The share of the time with output.
        value_c: What the sensor shows.
        is_new: The sensor has reported since; an old value says that it has not moved by its threshold.
        dt_s: The time.
    """
    after = stepper(dynamics, dt_s)(before, duty)
    error_k = value_c - after.sensor_c
    if not is_new:
        error_k -= min(SILENT_K, max(-SILENT_K, error_k))
    hours = dt_s / 3600.0
    shift_k = error_k * (1.0 - exp(-hours / TRACKING_H))
    # Poles of the error at 1/TRACKING_H + 1/air and 1/LOAD_H.
    load = after.load_k_per_h - error_k * hours * (1.0 / TRACKING_H + 3600.0 / dynamics.air_s) / LOAD_H
    load_max = LOAD_SHARE_MAX * dynamics.gain_k_per_h
    return ZoneEstimate(
        after.emitted,
        after.air_c + shift_k,
        after.structure_c + shift_k * 0.5,
        after.sensor_c + shift_k,
        min(load_max, max(-load_max, load)),
    )


def shift(now: ZoneEstimate, value_c: float) -> ZoneEstimate:
    """Return the state of a zone that other sensors measure: its structure is as far from the air as before."""
    shift_k = value_c - now.sensor_c
    return msgspec.structs.replace(
        now, air_c=now.air_c + shift_k, structure_c=now.structure_c + shift_k, sensor_c=value_c
    )


def held_duty(now: ZoneEstimate, dynamics: ZoneDynamics, setpoint_c: float) -> float:
    """Return the duty that keeps the air at a setpoint while the structure is as warm as now."""
    load = now.load_k_per_h + dynamics.gain_k_per_h / SPAN_K / 2.0 * (setpoint_c - now.air_c)
    flow = (setpoint_c - now.structure_c) * 3600.0 / dynamics.air_s
    return duty_for(dynamics, (load + flow) / dynamics.gain_k_per_h)


def structure_duty(now: ZoneEstimate, dynamics: ZoneDynamics, setpoint_c: float) -> float:
    """Return the part of `held_duty` that flows into the structure; negative if the structure gives heat."""
    duty = (setpoint_c - now.structure_c) * 3600.0 / dynamics.air_s / dynamics.gain_k_per_h
    return min(1.0, max(STRUCTURE_DUTY_MIN, duty))


def standing_estimate(now: ZoneEstimate, dynamics: ZoneDynamics, setpoint_c: float) -> ZoneEstimate:
    """Return the state in which the zone has been kept at a setpoint for a long time, in the present weather."""
    shift_k = setpoint_c - (now.air_c + now.structure_c) / 2.0
    load = now.load_k_per_h + dynamics.gain_k_per_h / SPAN_K * shift_k
    duty = min(1.0, max(0.0, load / dynamics.gain_k_per_h))
    return ZoneEstimate(duty, setpoint_c, setpoint_c, setpoint_c, load)


def under_colder_weather(now: ZoneEstimate, dynamics: ZoneDynamics, colder_k: float) -> ZoneEstimate:
    """Return the state with the load that it would have if outdoors were colder by some kelvin."""
    return msgspec.structs.replace(now, load_k_per_h=now.load_k_per_h + dynamics.gain_k_per_h / SPAN_K * colder_k)


def lead_s(now: ZoneEstimate, dynamics: ZoneDynamics, target_c: float, lead_s_max: float) -> float | None:
    """Return the time that full output takes to a temperature; `None` if it takes longer than `lead_s_max`."""
    step, passed_s, felt_c = stepper(dynamics, FORECAST_STEP_S), 0.0, now.felt_c
    while felt_c < target_c:
        if passed_s >= lead_s_max:
            return None
        now = step(now, 1.0)
        if (rise_k := now.felt_c - felt_c) > 0.0 and now.felt_c >= target_c:
            return passed_s + FORECAST_STEP_S * (target_c - felt_c) / rise_k
        felt_c = now.felt_c
        passed_s += FORECAST_STEP_S
    return passed_s


def recoverable_c(
    now: ZoneEstimate, dynamics: ZoneDynamics, *, setback_c: float, target_c: float, lead_s_max: float
) -> float | None:
    """Return the lowest setback above the present one from which a zone gets warm in time; `None` for none.

    Args:
        now: The present state: its load is that of the weather.
        dynamics: Of the zone.
        setback_c: The present setback.
        target_c: The temperature that must be reached.
        lead_s_max: The longest time for it.
    """
    found_c = setback_c + SETBACK_STEP_K
    while found_c <= target_c - SETBACK_STEP_K:
        if lead_s(standing_estimate(now, dynamics, found_c), dynamics, target_c, lead_s_max) is not None:
            return found_c
        found_c += SETBACK_STEP_K
    return None


def forecast(
    now: ZoneEstimate, dynamics: ZoneDynamics, *, duty: float, duty_s: float, then_duty: float, then_s: float
) -> ZoneEstimate:
    """Return the state after a time at one duty and a time at another."""
    for one, for_s in ((duty, duty_s), (then_duty, then_s)):
        steps = max(1, round(for_s / FORECAST_STEP_S)) if for_s > 0.0 else 0
        if steps:
            step = stepper(dynamics, for_s / steps)
            for _ in range(steps):
                now = step(now, one)
    return now


def arrival_duty(
    now: ZoneEstimate, dynamics: ZoneDynamics, *, target_c: float, due_in_s: float, then_duty: float, then_s: float
) -> float:
    """Return the duty with which the zone has a temperature when it is due: below 0 or above 1 if it cannot.

    Args:
        now: The present state.
        dynamics: Of the zone.
        target_c: The temperature.
        due_in_s: The time until then, `then_s` included.
        then_duty: The duty of the last part, in which the emitter comes down to what keeps the temperature.
        then_s: Its length.
    """
    cold, warm = (
        forecast(now, dynamics, duty=duty, duty_s=due_in_s - then_s, then_duty=then_duty, then_s=then_s).felt_c
        for duty in (0.0, 1.0)
    )
    share = (target_c - cold) / max(1e-6, warm - cold)
    return duty_for(dynamics, share) if 0.0 < share < 1.0 else share
