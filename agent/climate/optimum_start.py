"""Optimum start: heating begins early enough to reach the setpoint when a warmer block starts. Pure.

The setpoint of the coming block is approached along a ramp that ends when the block starts, a little less steep than
the house can follow. Three values are learned: how fast the zone warms at full output, how fast it cools without, and
how far behind the ramp it arrives (radiators and sensors lag). The lag corrects itself from each morning to the next.

A recovery is the time from the beginning of the ramp to the arrival. Coasting is a stretch without heat.
"""

import msgspec

from agent.climate.weather_compensation import WeatherResponse
from agent.climate.zone_model import SETBACK_STEP_K, ZoneDynamics

RATE_K_PER_H_MIN = 0.3
RATE_K_PER_H_MAX = 15.0
FIRST_RATE_K_PER_H = 1.5
"""Before anything is learned: a radiator in a house of medium weight."""

STEEPNESS = 0.6
"""The ramp's share of the rate at full output. The controller needs the rest to follow the ramp."""

SLOPE_K_PER_H_MAX = 1.6
"""The steepest ramp that radiators and walls can follow, so that the arrival is predictable."""

LEAD_S_MAX = 12 * 3600.0
"""No recovery begins earlier than this before its block."""

LAG_S_MIN = -1800.0
LAG_S_MAX = 3600.0
"""A negative lag means that the zone is ahead of the ramp."""

FIRST_LAG_S = 0.0
FIRST_SPREAD = 0.4
SPREAD_MIN = 0.03
SPREAD_MAX = 0.5
"""The first, smallest and largest spread of the forecasts of a zone."""

LEARNING = 0.4
"""The weight of one morning against all before it."""

PACE_MIN, PACE_MAX = 0.3, 3.0
"""A final rise that takes less or more of its forecast than this was helped or hindered by something else."""

RISE_S_MIN = 300.0
"""The forecast of a shorter final rise teaches no pace: it is as long as two updates of the model."""

REACHED_K = 0.25
"""This near to the setpoint counts as reached: people do not feel the difference, and sensors do not show it."""

SENSOR_LATE_S = 150.0
"""A sensor that shows the setpoint so long after it is due is on time: the air arrived as long before."""

MODEL_WINDOWS_MIN = 2
"""Before so many nights have taught the model it still changes too much: its errors teach no lag."""

LATE_S_MAX = 1800.0
"""The most that one odd morning (an open window, a day of frost) may teach."""

WORTH_K = 0.3
"""A block that is warmer by less than this needs no recovery."""

GIVE_UP_S = 3600.0
"""A recovery that has not reached its setpoint ends this long after the start of its block."""

RATE_RISE_K_MIN = 0.5
"""A smaller rise teaches no rate."""

RATE_TIME_H_MIN = 0.1
"""Less heating than this teaches no rate."""

BELOW_K_MIN = 0.5
"""A recovery that began nearer to its target than this teaches no lag."""

SETTLED_S = 1800.0
"""The fall of the temperature is due to the house alone this long after the last heat."""

LOSS_PERIOD_S = 3600.0


class LearnedDynamics(msgspec.Struct, frozen=True, rename={"recoveries": "mornings"}):
    """What is learned about a zone. It survives a restart; `rename` keeps the name in `climate.json`.

    Attributes:
        rate_k_per_h: How fast it warms at full output.
        loss_k_per_h: How fast it cools without.
        lag_s: How far ahead the ramp must run.
        recoveries: The number of recoveries that taught it.
        model: Of emitter, air and structure; the usual zone in files of earlier releases.
        windows: The number of nights that taught the model.
        spread: How wrong forecasts of the heat of a recovery have been, as a share.
        pace: How long final rises have taken, as a multiple of their forecast.
        setback_c_min: The lowest setback from which it gets warm in time; `None` if any will do.
        weather: How its duty follows the outdoor temperature.
    """

    rate_k_per_h: float = FIRST_RATE_K_PER_H
    loss_k_per_h: float = 0.3
    lag_s: float = FIRST_LAG_S
    recoveries: int = 0
    model: ZoneDynamics = ZoneDynamics()
    windows: int = 0
    spread: float = FIRST_SPREAD
    pace: float = 1.0
    setback_c_min: float | None = None
    weather: WeatherResponse = WeatherResponse()


class Recovery(msgspec.Struct, frozen=True):
    """A recovery and its progress.

    Attributes:
        target_c: The setpoint of the coming block.
        due_utc_ms: The start of that block.
        start_c: The zone temperature at the beginning.
        start_duty: The duty that kept the temperature before.
        begun_utc_ms: When it began.
        expected_on_s: The time of output that it was expected to take.
        setback_c: The setpoint before it.
        reached_utc_ms: Since when the target is reached; `None` before, and once the zone has left it again before the
            block began.
        has_taught_rate: How fast the zone warms has been learned from it.
        s: The time since the beginning.
        on_s: The time of heating since then.
    """

    target_c: float
    due_utc_ms: int
    start_c: float
    start_duty: float
    begun_utc_ms: int = 0
    expected_on_s: float = 0.0
    setback_c: float = 0.0
    reached_utc_ms: int | None = None
    has_taught_rate: bool = False
    s: float = 0.0
    on_s: float = 0.0


class Coasting(msgspec.Struct, frozen=True):
    """A stretch without heat: its length, and the temperature and time at which the loss measurement began."""

    off_s: float = 0.0
    start_c: float | None = None
    start_s: float = 0.0


_NO_COASTING = Coasting()


def slope_k_per_h(learned: LearnedDynamics) -> float:
    """Return the slope of a zone's ramp."""
    return min(SLOPE_K_PER_H_MAX, STEEPNESS * learned.rate_k_per_h)


def ramp_setpoint_c(learned: LearnedDynamics, *, target_c: float, due_in_s: float) -> float:
    """Return the setpoint of the ramp; minus infinity before its earliest beginning.

    Args:
        learned: About this zone.
        target_c: The heating setpoint of the block.
        due_in_s: The time until it starts.
    """
    if due_in_s > LEAD_S_MAX:
        return float("-inf")
    return target_c - max(0.0, due_in_s - learned.lag_s) * slope_k_per_h(learned) / 3600.0


def advance_recovery(
    recovery: Recovery, learned: LearnedDynamics, *, value_c: float, utc_ms: int, dt_s: float, was_on: bool
) -> tuple[Recovery | None, LearnedDynamics]:
    """Return a recovery after some time (`None` once it is over), and what has been learned.

    Args:
        recovery: Before.
        learned: Before.
        value_c: The present temperature of the zone.
        utc_ms: The time of day.
        dt_s: Since the last step.
        was_on: Whether the zone's output was on.
    """
    reached_utc_ms = recovery.reached_utc_ms
    has_taught_rate = recovery.has_taught_rate
    if utc_ms < recovery.due_utc_ms and value_c < recovery.target_c - REACHED_K:
        # A pulse had lifted it while it waited: it has not arrived, and must not be taken for early.
        reached_utc_ms = None
    if reached_utc_ms is None and value_c >= recovery.target_c - REACHED_K:
        reached_utc_ms = utc_ms
        if not has_taught_rate:
            has_taught_rate, learned = True, _learn_recovery_rate(recovery, learned, value_c)
    recovery = msgspec.structs.replace(
        recovery,
        reached_utc_ms=reached_utc_ms,
        has_taught_rate=has_taught_rate,
        s=recovery.s + dt_s,
        on_s=recovery.on_s + (dt_s if was_on else 0.0),
    )
    if reached_utc_ms is None and utc_ms >= recovery.due_utc_ms + GIVE_UP_S * 1000:
        reached_utc_ms = utc_ms
        if not has_taught_rate:
            learned = _learn_recovery_rate(recovery, learned, value_c)
    if reached_utc_ms is None or utc_ms < recovery.due_utc_ms:
        return recovery, learned
    return None, learn_lag(learned, recovery, reached_utc_ms)


def _learn_recovery_rate(recovery: Recovery, learned: LearnedDynamics, value_c: float) -> LearnedDynamics:
    rise_k = value_c - recovery.start_c
    extra_h = (recovery.on_s - recovery.start_duty * recovery.s) / 3600.0
    if rise_k < RATE_RISE_K_MIN or extra_h <= RATE_TIME_H_MIN:
        return learned
    return learn_rate(learned, rise_k=rise_k, hours=extra_h)


def advance_coasting(
    coasting: Coasting, learned: LearnedDynamics, *, value_c: float, dt_s: float, is_on: bool
) -> tuple[Coasting, LearnedDynamics]:
    """Return the stretch without heat after some time, and what has been learned about the loss."""
    if is_on:
        return _NO_COASTING, learned
    off_s = coasting.off_s + dt_s
    if off_s < SETTLED_S:
        return Coasting(off_s), learned
    if coasting.start_c is None:
        return Coasting(off_s, value_c, off_s), learned
    if off_s - coasting.start_s < LOSS_PERIOD_S:
        return Coasting(off_s, coasting.start_c, coasting.start_s), learned
    learned = learn_loss(learned, fall_k=coasting.start_c - value_c, hours=(off_s - coasting.start_s) / 3600.0)
    return Coasting(off_s, value_c, off_s), learned


def learn_lag(learned: LearnedDynamics, recovery: Recovery, ended_utc_ms: int) -> LearnedDynamics:
    """Return what is known after a recovery has reached its target or was given up.

    Args:
        learned: Before.
        recovery: One that began less than `BELOW_K_MIN` below its target teaches nothing.
        ended_utc_ms: When it reached its target or was given up.
    """
    if recovery.target_c - recovery.start_c < BELOW_K_MIN:
        return learned
    late_s = (ended_utc_ms - recovery.due_utc_ms) / 1000.0 - SENSOR_LATE_S
    lag_s = learned.lag_s
    if learned.windows >= MODEL_WINDOWS_MIN:
        lag_s += LEARNING * min(LATE_S_MAX, max(-LATE_S_MAX, late_s))
        lag_s = min(LAG_S_MAX, max(LAG_S_MIN, lag_s))
    spread = learned.spread
    if recovery.expected_on_s > 0.0:
        # What was missing when the block began would have taken as long at full output.
        wrong = abs((recovery.on_s + max(0.0, late_s)) / recovery.expected_on_s - 1.0)
        spread += LEARNING * (wrong - spread)
    return msgspec.structs.replace(
        learned,
        lag_s=lag_s,
        recoveries=learned.recoveries + 1,
        spread=min(SPREAD_MAX, max(SPREAD_MIN, spread)),
    )


def learn_pace(learned: LearnedDynamics, *, forecast_s: float, taken_s: float) -> LearnedDynamics:
    """Return what is known after a final rise.

    Args:
        learned: Before.
        forecast_s: How long the model gave it.
        taken_s: The time of full output until the sensor showed the setpoint.
    """
    if forecast_s < RISE_S_MIN:
        return learned
    pace = min(PACE_MAX, max(PACE_MIN, (taken_s - SENSOR_LATE_S) / forecast_s))
    return msgspec.structs.replace(learned, pace=learned.pace + LEARNING * (pace - learned.pace))


def relax_setback(learned: LearnedDynamics, setback_c: float) -> LearnedDynamics:
    """Return what is known after a recovery that was in time: the next night may be a little colder.

    Args:
        learned: Before.
        setback_c: The setback of the program.
    """
    if learned.setback_c_min is None:
        return learned
    relaxed_c = learned.setback_c_min - SETBACK_STEP_K
    return msgspec.structs.replace(learned, setback_c_min=relaxed_c if relaxed_c > setback_c else None)


def learn_rate(learned: LearnedDynamics, *, rise_k: float, hours: float) -> LearnedDynamics:
    """Return what is known after some time at full output."""
    rate = min(RATE_K_PER_H_MAX, max(RATE_K_PER_H_MIN, rise_k / hours))
    return msgspec.structs.replace(
        learned, rate_k_per_h=learned.rate_k_per_h + LEARNING * (rate - learned.rate_k_per_h)
    )


def learn_loss(learned: LearnedDynamics, *, fall_k: float, hours: float) -> LearnedDynamics:
    """Return what is known after some time without output."""
    loss = min(RATE_K_PER_H_MAX, max(0.0, fall_k / hours))
    return msgspec.structs.replace(
        learned, loss_k_per_h=learned.loss_k_per_h + LEARNING * (loss - learned.loss_k_per_h)
    )
