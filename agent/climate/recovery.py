"""Carries a recovery ahead of a warmer block from its beginning to what it teaches. Pure.

`optimum` has the formulas; this file says when a recovery begins and ends, and what it measures meanwhile.
"""

import msgspec

from agent.climate import optimum_start
from agent.climate.optimum_start import LearnedDynamics, Recovery

WORTH_K = 0.3
"""A block that is warmer by less than this needs no recovery."""

GIVE_UP_S = 3600.0
"""So long after the block's start a recovery ends without having reached its setpoint."""

RATE_RISE_K = 0.5
"""A rise below this says nothing of the rate."""

SETTLED_S = 1800.0
"""How long a zone must have been without heat before its fall is taken for the house's own."""

LOSS_STRETCH_S = 3600.0


class RecoveryProgress(msgspec.Struct, frozen=True):
    """The recovery under way and how it is going.

    Attributes:
        recovery: What it is for.
        began_c: The room's temperature at its beginning.
        began_duty: The duty that kept the temperature before.
        s: How long it has taken.
        on_s: How long the output was on in it.
    """

    recovery: Recovery
    began_c: float
    began_duty: float
    s: float = 0.0
    on_s: float = 0.0


class Coasting(msgspec.Struct, frozen=True):
    """A stretch without heat: how long, from which temperature, and since when that counts."""

    off_s: float = 0.0
    from_c: float | None = None
    from_s: float = 0.0


def coming(
    under_way: RecoveryProgress | None, *, target_c: float, due_utc_ms: int, value_c: float, duty: float
) -> RecoveryProgress:
    """Return the recovery towards a block: the one under way, or a new one."""
    if under_way is not None and under_way.recovery.due_utc_ms == due_utc_ms:
        return under_way
    return RecoveryProgress(Recovery(target_c, due_utc_ms), began_c=value_c, began_duty=duty)


def followed(
    step: RecoveryProgress, learned: LearnedDynamics, *, value_c: float, utc_ms: int, dt_s: float, was_on: bool
) -> tuple[RecoveryProgress | None, LearnedDynamics]:
    """Return the recovery after another stretch of time, `None` once it is over, and what it has taught."""
    target_c, due_ms = step.recovery.target_c, step.recovery.due_utc_ms
    recovery = step.recovery
    if recovery.reached_utc_ms is None and value_c >= target_c - optimum_start.REACHED_K:
        recovery = msgspec.structs.replace(recovery, reached_utc_ms=utc_ms)
        learned = _rated(step, learned, value_c)
    step = RecoveryProgress(
        recovery, step.began_c, step.began_duty, step.s + dt_s, step.on_s + (dt_s if was_on else 0.0)
    )
    is_given_up = recovery.reached_utc_ms is None and utc_ms >= due_ms + GIVE_UP_S * 1000
    if is_given_up:
        recovery = msgspec.structs.replace(recovery, reached_utc_ms=utc_ms)
        learned = _rated(step, learned, value_c)
    if is_given_up or (recovery.reached_utc_ms is not None and utc_ms >= due_ms):
        return None, optimum_start.arrived(learned, recovery, began_below_k=target_c - step.began_c)
    return step, learned


def _rated(step: RecoveryProgress, learned: LearnedDynamics, value_c: float) -> LearnedDynamics:
    rise_k = value_c - step.began_c
    extra_h = (step.on_s - step.began_duty * step.s) / 3600.0
    if rise_k < RATE_RISE_K or extra_h <= 0.1:  # noqa: PLR2004 - six minutes
        return learned
    return optimum_start.observed_rate(learned, rise_k=rise_k, hours=extra_h)


def cooled(
    calm: Coasting, learned: LearnedDynamics, *, value_c: float, dt_s: float, is_on: bool
) -> tuple[Coasting, LearnedDynamics]:
    """Return the stretch without heat, and what it has taught of the house's loss."""
    if is_on:
        return Coasting(), learned
    off_s = calm.off_s + dt_s
    if off_s < SETTLED_S:
        return Coasting(off_s), learned
    if calm.from_c is None:
        return Coasting(off_s, value_c, off_s), learned
    if off_s - calm.from_s < LOSS_STRETCH_S:
        return Coasting(off_s, calm.from_c, calm.from_s), learned
    learned = optimum_start.observed_loss(learned, fall_k=calm.from_c - value_c, hours=(off_s - calm.from_s) / 3600.0)
    return Coasting(off_s, value_c, off_s), learned
