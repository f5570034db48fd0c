"""Which duty brings a zone to its setpoint when it is due, by the model of the zone. Pure.

A recovery has three parts. The approach leads to a waiting temperature at once, so that the whole reserve of time is
left there: a house near its limit, or rooms that share a source, make up for nothing later. There the zone waits, a
little below what counts as reached, so that neither a storm nor a warm night makes it late or early. The final rise
begins, at full output, when the time that it takes is all that is left: that of the model, times the pace of the rises
on earlier mornings. All of them begin near the waiting temperature, so they are alike and their pace can be learned.

It never decides when a recovery begins or ends: `recovery` does.
"""

import msgspec

from agent.climate import zone_model
from agent.climate.zone_model import ZoneDynamics, ZoneEstimate

ARRIVAL_K = 0.2
"""When it is due the zone may be this far below its target: within what people feel, and it goes on rising."""

WAITING_K = 0.4
"""The zone waits this far below its target: what the pulses move it by stays below what counts as reached."""

WAITING_K_MIN = 0.38
"""A zone that is nearer than this while it waits gets no output: it would arrive early. With 0.3, forced air warmed it
up to there, and what fell after its pulses was taken for an open window."""

WAITING_HORIZON_S = 3600.0
"""A zone that waits corrects a deviation over this time. The air answers faster than the model: in a third of it rooms
swung by 0.3 K, between none and full output, so that some arrived by a swing and each final rise began from another
temperature. A zone that is still far below approaches at once: over an hour a mild night asks for a duty so low that
rooms on a shared source were due before their first pulse."""

COMING_DOWN_SHARE = 0.35
"""For this share of its lag before the end the emitter gets what keeps the setpoint."""

NEAR_K = 0.3
FINAL_S_MAX = 3600.0
"""Full output is the final rise from this far below the waiting temperature on, in the last hour. Farther away it is
the approach, which may still end in waiting: a storm that passes would make a rise of hours early by an hour."""

PAUSE_S_MIN = 300.0
"""A final rise that is ahead of its forecast waits again until full output is due, except in its last minutes. With a
part of full output it approached its setpoint ever more slowly, so a small error of its sensor was one of many minutes
of its arrival."""

HORIZON_S_MIN = 450.0
"""No duty is computed for a nearer end: the zone would be steered by the noise of its sensor."""


class Steering(msgspec.Struct, frozen=True):
    """What a recovery does now.

    Attributes:
        duty: Of the output.
        held_duty: The duty that keeps the target.
        rise_s: How long the model gives the final rise at full output; `None` outside of it, or if it is endless.
    """

    duty: float
    held_duty: float
    rise_s: float | None = None


def steer(
    now: ZoneEstimate,
    dynamics: ZoneDynamics,
    *,
    target_c: float,
    left_s: float,
    pace: float,
    is_rising: bool,
    lead_s_max: float,
) -> Steering:
    """Return what a recovery does now.

    Args:
        now: The state of the zone.
        dynamics: Of the zone.
        target_c: The setpoint.
        left_s: The time until it is due; negative afterwards.
        pace: The time of earlier final rises, as a multiple of that of the model.
        is_rising: The final rise has begun.
        lead_s_max: The longest time of a forecast.
    """
    held_duty = zone_model.held_duty(now, dynamics, target_c)
    then_s = COMING_DOWN_SHARE * dynamics.emitter_s
    waiting_c = target_c - WAITING_K
    if left_s > 0.0:
        rise_s = zone_model.lead_s(now, dynamics, target_c - ARRIVAL_K, lead_s_max)
        if rise_s is None or rise_s * pace >= left_s:
            is_final = now.felt_c >= waiting_c - NEAR_K and left_s <= FINAL_S_MAX
            return Steering(1.0, held_duty, rise_s if is_final else None)
    if left_s <= (PAUSE_S_MIN if is_rising else 0.0):
        horizon_s = max(left_s, then_s + HORIZON_S_MIN)
        aim_c = target_c - ARRIVAL_K * max(0.0, min(1.0, left_s / horizon_s))
        duty = _arrival_duty(now, dynamics, aim_c, horizon_s, held_duty, then_s)
        return Steering(duty, held_duty)
    if now.air_c >= target_c - WAITING_K_MIN:
        return Steering(0.0, held_duty)
    waiting_duty = zone_model.held_duty(now, dynamics, waiting_c)
    correction_s = WAITING_HORIZON_S if now.felt_c >= waiting_c - NEAR_K else HORIZON_S_MIN
    duty = _arrival_duty(now, dynamics, waiting_c, then_s + correction_s, waiting_duty, then_s)
    return Steering(duty, held_duty)


def expected_on_s(now: ZoneEstimate, dynamics: ZoneDynamics, *, target_c: float, left_s: float) -> float:
    """Return the time of output that a recovery takes by the model.

    Args:
        now: The state of the zone.
        dynamics: Of the zone.
        target_c: The setpoint.
        left_s: The time until it is due.
    """
    held_duty = zone_model.held_duty(now, dynamics, target_c)
    then_s = COMING_DOWN_SHARE * dynamics.emitter_s
    horizon_s = max(left_s, then_s + HORIZON_S_MIN)
    duty = _arrival_duty(now, dynamics, target_c - ARRIVAL_K, horizon_s, held_duty, then_s)
    return duty * (horizon_s - then_s) + held_duty * then_s


def _arrival_duty(
    now: ZoneEstimate, dynamics: ZoneDynamics, target_c: float, due_in_s: float, then_duty: float, then_s: float
) -> float:
    duty = zone_model.arrival_duty(
        now, dynamics, target_c=target_c, due_in_s=due_in_s, then_duty=then_duty, then_s=then_s
    )
    return min(1.0, max(0.0, duty))
