"""A schedule that needs less heat, and how much less: both simulated on what the hub has learned about the zone. Pure.

The model has two learned values: how fast the zone warms at full output, and how fast it cools without. The loss grows
with the difference to outside. Every number that is returned comes out of the simulation; where nothing has been
learned there is no number but zero.
"""

from collections.abc import Sequence
from datetime import UTC
from typing import Literal

import msgspec

from agent.apis.aurra_home.assumptions import OUTDOOR_C
from agent.climate.model import Block, Schedule
from agent.climate.optimum_start import LearnedDynamics, ramp_setpoint_c, slope_k_per_h
from agent.climate.schedule import NAME_CHARACTERS_MAX, Segment, build_timeline
from agent.home.temperatures import from_fahrenheit, to_fahrenheit

OptimizeMode = Literal["comfort", "efficiency", "balanced"]

SETBACK_F_MAX = {"comfort": 1, "balanced": 3, "efficiency": 6}
"""How far a block may be lowered that is not the warmest of the schedule."""
WARMEST_F_LESS = {"comfort": 0, "balanced": 0, "efficiency": 1}
"""How far the warmest blocks are lowered: people notice."""

HEAT_F_MIN = 60
"""No block is lowered below this (15.6 °C): mould grows on walls that are colder (DIN 4108-2)."""

RECOVERY_H_MAX = 2.0
"""A block is lowered by no more than the zone can warm up again in this time."""

STEP_S = 600
DAY_S = 86_400
WEEK_S = 7 * DAY_S
MONDAY_MS = 4 * DAY_S * 1000
"""1970-01-05, a Monday: the simulated week, which has no change of the clock."""

REFERENCE_C = 20.0
"""About the temperature at which the loss was learned, in a heated room."""


OUTDOOR_C_MAX = 12.0
"""With a warmer week nobody heats, and the model has no loss to share out."""


class Proposal(msgspec.Struct, frozen=True):
    """A schedule and what it saves.

    Attributes:
        schedule: The proposal; the present schedule where there is nothing to save.
        savings_percent: Of the heat, on the model; 0 where nothing is known.
        reason: Why it saves nothing; empty where it does.
    """

    schedule: Schedule
    savings_percent: int
    reason: str = ""


def propose(
    schedule: Schedule,
    learned: LearnedDynamics,
    mode: OptimizeMode,
    *,
    can_heat: bool,
    outdoor_c: float | None = None,
) -> Proposal:
    """Return a schedule that needs less heat.

    Args:
        schedule: That the zone follows now.
        learned: About the zone.
        mode: How much comfort may be given for it.
        can_heat: Whether the zone heats: nothing is learned about cooling.
        outdoor_c: The mean outdoor temperature of about a week; `None` if it is not known.
    """
    if not can_heat:
        return Proposal(schedule, 0, "the hub learns how a zone warms, not how it cools")
    if learned.recoveries == 0 or learned.loss_k_per_h <= 0:
        return Proposal(
            schedule, 0, "the hub has not learned yet how fast this zone warms and cools; heat some mornings"
        )
    if len({block.heat_setpoint_c for block in schedule.blocks}) == 1:
        return Proposal(schedule, 0, "post a schedule with a cooler block first: when nobody is at home is not known")
    blocks = tuple(_lowered(block, schedule.blocks, learned, mode) for block in schedule.blocks)
    if blocks == schedule.blocks:
        return Proposal(schedule, 0, "no block can be lowered")
    name = f"{schedule.name.removesuffix(f' ({mode})')[: NAME_CHARACTERS_MAX - len(mode) - 3]} ({mode})"
    proposed = Schedule(name, blocks)
    outside_c = OUTDOOR_C if outdoor_c is None else min(outdoor_c, OUTDOOR_C_MAX)
    before, after = (week_heat_h(each, learned, outside_c) for each in (schedule, proposed))
    percent = round(100 * (1 - after / before)) if before > 0 else 0
    if percent <= 0:
        return Proposal(schedule, 0, "on what the hub has learned, no other schedule needs less heat")
    return Proposal(proposed, percent)


def _lowered(block: Block, blocks: Sequence[Block], learned: LearnedDynamics, mode: OptimizeMode) -> Block:
    """Return a block with a lower heating setpoint, in whole degrees Fahrenheit; its cooling setpoint stays."""
    warmest_c = max(each.heat_setpoint_c for each in blocks)
    present_f = to_fahrenheit(block.heat_setpoint_c)
    less_f = WARMEST_F_LESS[mode]
    if block.heat_setpoint_c < warmest_c:
        recoverable_c = warmest_c - RECOVERY_H_MAX * slope_k_per_h(learned)
        deepest_f = max(to_fahrenheit(recoverable_c), present_f - SETBACK_F_MAX[mode])
        less_f = max(0, present_f - deepest_f)
    heat_f = max(min(present_f, HEAT_F_MIN), present_f - less_f)
    return msgspec.structs.replace(block, heat_setpoint_c=from_fahrenheit(heat_f, block.heat_setpoint_c))


def week_heat_h(schedule: Schedule, learned: LearnedDynamics, outdoor_c: float = OUTDOOR_C) -> float:
    """Return the hours of full output that a schedule needs in one simulated week.

    The week before it brings the zone to where it begins. As in the control, a warmer block is approached along the
    learned ramp.
    """
    segments = build_timeline(schedule, utc_ms=MONDAY_MS + WEEK_S * 1000, timezone=UTC).segments
    begins_s = MONDAY_MS // 1000
    value_c = max(block.heat_setpoint_c for block in schedule.blocks)
    heat_h, at = 0.0, 0
    hours = STEP_S / 3600
    for offset_s in range(0, 2 * WEEK_S, STEP_S):
        now_ms = (begins_s + offset_s) * 1000
        while segments[at].end_utc_ms <= now_ms:
            at += 1
        loss_k = learned.loss_k_per_h * (value_c - outdoor_c) / (REFERENCE_C - outdoor_c) * hours
        wanted_c = _wanted_c(segments, at, now_ms, learned)
        duty = min(1.0, max(0.0, (wanted_c - value_c + loss_k) / (learned.rate_k_per_h * hours)))
        value_c += duty * learned.rate_k_per_h * hours - loss_k
        if offset_s >= WEEK_S:
            heat_h += duty * hours
    return heat_h


def _wanted_c(segments: Sequence[Segment], at: int, now_ms: int, learned: LearnedDynamics) -> float:
    wanted_c = segments[at].block.heat_setpoint_c
    if at + 1 < len(segments):
        due_s = (segments[at + 1].start_utc_ms - now_ms) / 1000
        ramp_c = ramp_setpoint_c(learned, target_c=segments[at + 1].block.heat_setpoint_c, due_in_s=due_s)
        wanted_c = max(wanted_c, ramp_c)
    return wanted_c
