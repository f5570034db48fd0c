"""What a zone does of which no sensor can be believed: it is heated a little, within bounds, never cooled. Pure.

Two things speak for heat: what it needed of late, and frost elsewhere in the home. Neither may overheat a room that
nobody measures.
"""

import msgspec

from agent.climate import law
from agent.climate.fusion import Room
from agent.climate.law import LawState, LawStep
from agent.climate.settings import ZoneSettings

FROST_DUTY_MAX = 0.5
"""Emitters carry a room through the coldest day at a duty of about 0.9, some 33 K above the outside: half of their
output keeps it 18 K above, so from frost and, with frost outside, below 24 °C."""

FROST_DUTY_LATER = 0.35
"""From the second day on: 12 K above the outside. What is wrong about frost may be so in mild weather."""

FROST_DAY_S = 24 * 3600.0

MILD_C = 20.0
"""In a home that is as warm as this in the middle, an unmeasured room does not freeze because another one does."""


def frost_duty(settings: ZoneSettings, middle_c: float, for_s: float = 0.0) -> float:
    """Return the duty that keeps an unmeasured zone from frost when another sensor of the home is in it.

    Args:
        settings: Of the zone.
        middle_c: The middle of the zones that are measured: the colder the home, the more.
        for_s: For how long it has been in frost already.
    """
    share = (MILD_C - middle_c) / (MILD_C - settings.frost_c)
    duty_max = FROST_DUTY_MAX if for_s < FROST_DAY_S else FROST_DUTY_LATER
    return duty_max * min(1.0, max(0.0, share))


def paid_out(state: LawState, settings: ZoneSettings, *, duty: float, dt_s: float, was_on: bool) -> LawStep:
    """Return a duty as whole switchings; what the law has found out is kept for when the zone sees again."""
    # Without an error the law is a mere modulator.
    made = law.step(LawState(0.0, state.owed_s), settings.law, error_k=0.0, dt_s=dt_s, was_on=was_on, feed_forward=duty)
    return msgspec.structs.replace(made, state=LawState(state.integral, made.state.owed_s))


def usual_duty(
    settings: ZoneSettings, room: Room, *, mean_duty: float, lost_for_s: float, can_act: bool
) -> tuple[float, str]:
    """Return the duty that the zone is given for comfort's sake, and why.

    Args:
        settings: Of the zone.
        room: Says what is the matter with the sensors.
        mean_duty: What it needed of late.
        lost_for_s: For how long nothing is known.
        can_act: Its mode and its output let it be heated.
    """
    if not can_act:
        return 0.0, f"off: no usable sensor ({room.problem})"
    if lost_for_s >= settings.fallback_s_max:
        return 0.0, f"off: no usable sensor for {settings.fallback_s_max / 3600:.0f} h ({room.problem})"
    duty = min(mean_duty, settings.fallback_duty_max)
    if duty <= law.NOTHING:
        return 0.0, f"idle: no usable sensor ({room.problem}), and it needed no heat of late"
    return duty, f"heating blindly at {duty:.0%}: no usable sensor ({room.problem})"
