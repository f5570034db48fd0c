"""Optimum start: when to begin, so that the setpoint is reached when the block starts. Pure.

The setpoint of the coming block is approached along a ramp that ends at the block's start, a little less steep than the
house can follow. What is learned: how fast the zone warms at full output, how fast it cools without, and how far behind
the ramp it really arrives (radiators and sensors lag). The lag corrects itself from each morning to the next.
"""

import msgspec

RATE_K_PER_H_MIN = 0.3
RATE_K_PER_H_MAX = 15.0
FIRST_RATE_K_PER_H = 1.5
"""Before anything is learned: a radiator in a house of medium weight."""

STEEPNESS = 0.6
"""The ramp's share of what the house can do at full output: the law needs room on both sides to follow it."""

SLOPE_K_PER_H_MAX = 1.6
"""And never steeper than this: what lags in radiators and walls can follow, so that the arrival can be foretold."""

LEAD_S_MAX = 4 * 3600.0
"""No recovery begins earlier than so long before its block."""

LAG_S_MIN = -1800.0
LAG_S_MAX = 3600.0
"""Negative where the zone runs ahead of the ramp."""

FIRST_LAG_S = 600.0
LEARNING = 0.3
"""How much one morning counts against all before it."""

REACHED_K = 0.25
"""So near to the setpoint counts as reached: what a person does not feel, and sensors do not know."""

LATE_S_MAX = 1800.0
"""One odd morning (a window open, a day of frost) must not teach more than this."""


class LearnedDynamics(msgspec.Struct, frozen=True, rename={"recoveries": "mornings"}):
    """What a zone has taught. Survives a restart.

    Attributes:
        rate_k_per_h: How fast it warms at full output.
        loss_k_per_h: How fast it cools without.
        lag_s: How far ahead the ramp must run.
        recoveries: From how many recoveries.
    """

    rate_k_per_h: float = FIRST_RATE_K_PER_H
    loss_k_per_h: float = 0.3
    lag_s: float = FIRST_LAG_S
    recoveries: int = 0


class Recovery(msgspec.Struct, frozen=True):
    """A recovery under way.

    Attributes:
        target_c: The setpoint of the coming block.
        due_utc_ms: When that begins.
        reached_utc_ms: When it was reached; `None` as long as it was not.
    """

    target_c: float
    due_utc_ms: int
    reached_utc_ms: int | None = None


def slope_k_per_h(learned: LearnedDynamics) -> float:
    """Return how steep a zone's ramp is."""
    return min(SLOPE_K_PER_H_MAX, STEEPNESS * learned.rate_k_per_h)


def ramp_duty(learned: LearnedDynamics) -> float:
    """Return the duty that the ramp needs beside what keeps the temperature."""
    return slope_k_per_h(learned) / learned.rate_k_per_h


def ramp_c(learned: LearnedDynamics, *, target_c: float, due_in_s: float) -> float:
    """Return the setpoint on the way to a block.

    Args:
        learned: Of this zone.
        target_c: The block's heating setpoint.
        due_in_s: When it begins.
    """
    if due_in_s > LEAD_S_MAX:
        return float("-inf")
    return target_c - max(0.0, due_in_s - learned.lag_s) * slope_k_per_h(learned) / 3600.0


def arrived(learned: LearnedDynamics, recovery: Recovery, *, began_below_k: float) -> LearnedDynamics:
    """Return what is learned when a recovery has reached its setpoint, or has given up.

    Args:
        learned: Before.
        recovery: With `reached_utc_ms`.
        began_below_k: How far below the target it began; less than half a kelvin teaches nothing.
    """
    if recovery.reached_utc_ms is None or began_below_k < 0.5:  # noqa: PLR2004 - see the docstring
        return learned
    late_s = (recovery.reached_utc_ms - recovery.due_utc_ms) / 1000.0
    late_s = min(LATE_S_MAX, max(-LATE_S_MAX, late_s))
    lag_s = min(LAG_S_MAX, max(LAG_S_MIN, learned.lag_s + LEARNING * late_s))
    return msgspec.structs.replace(learned, lag_s=lag_s, recoveries=learned.recoveries + 1)


def observed_rate(learned: LearnedDynamics, *, rise_k: float, hours: float) -> LearnedDynamics:
    """Return what is learned from a stretch at full output."""
    rate = min(RATE_K_PER_H_MAX, max(RATE_K_PER_H_MIN, rise_k / hours))
    return msgspec.structs.replace(
        learned, rate_k_per_h=learned.rate_k_per_h + LEARNING * (rate - learned.rate_k_per_h)
    )


def observed_loss(learned: LearnedDynamics, *, fall_k: float, hours: float) -> LearnedDynamics:
    """Return what is learned from a stretch without any output."""
    loss = min(RATE_K_PER_H_MAX, max(0.0, fall_k / hours))
    return msgspec.structs.replace(
        learned, loss_k_per_h=learned.loss_k_per_h + LEARNING * (loss - learned.loss_k_per_h)
    )
