"""The flow temperature of a modulating boiler: as low as the neediest zone allows. Pure.

The level is the share of full output that the emitters give, full output being that at the highest flow temperature. It
follows the largest duty that a zone asks for, so that this zone's valve stays open and its temperature does not swing;
the others take the same water in pulses. Duties of the control law stay in units of full output at any level: a zone
gets the heat that it is owed, however hot the water is. What the weather takes is known from those duties.

The emitters' output follows their temperature above the room's with an exponent: 1.3 for radiators (EN 442-2), 1.1 for
floors (EN 1264-2), 1 for air. Never asks for more than the highest flow temperature; knows nothing of hot water.
"""

from collections.abc import Sequence

import msgspec

from agent.climate.settings import Emitter, FlowSettings
from agent.config import BoilerConfig, ClimateConfig

FLOW_C_MAX = {Emitter.RADIATOR: 70.0, Emitter.AIR: 55.0, Emitter.FLOOR: 45.0}
"""The highest flow temperature where the configuration names none, by what heats the rooms: radiators are sized for 55
to 70 °C, air heaters for 55 °C, screed must stay below 55 °C (EN 1264-4) and floors are sized for 35 to 45 °C."""

EXPONENT = {Emitter.RADIATOR: 1.3, Emitter.AIR: 1.0, Emitter.FLOOR: 1.1}

LEVEL_MIN = 0.2
"""Gas boilers modulate down to a fifth or less of their output; below that, pulses deliver the duty."""

OWED_S = 1200.0
"""What the neediest zone is owed or ahead is made up for within this time."""

FULL_LEVEL = 0.95
"""Whoever needs nearly all gets all, at once."""

RISE_S, FALL_S = 120.0, 600.0
"""Time constants of the level: a zone that needs heat gets it soon, and one disturbance does not cool the water."""

ROOM_C = 20.0
DROP_K = 5.0
"""The mean temperature of the emitters is this much below the flow: half of a usual difference to the return."""

STEP_C = 0.5
"""Flow temperatures are asked for in steps of this: each change is a message to the gateway."""


class ZoneNeed(msgspec.Struct, frozen=True):
    """What a zone needs: its duty, and the seconds of full output that it is owed."""

    duty: float
    owed_s: float


def advance(level: float, needs: Sequence[ZoneNeed], dt_s: float) -> float:
    """Return the level after some time.

    Args:
        level: Before.
        needs: Of the zones that are heated.
        dt_s: Since the last step.
    """
    needed = max((need.duty + need.owed_s / OWED_S for need in needs if need.duty > 0.0), default=0.0)
    target = min(1.0, max(LEVEL_MIN, needed))
    if target >= FULL_LEVEL:
        return 1.0
    return level + (target - level) * min(1.0, dt_s / (RISE_S if target > level else FALL_S))


def flow_c(settings: FlowSettings, level: float) -> float:
    """Return the flow temperature that makes a level, in steps and never above the maximum."""
    excess_k: float = (settings.flow_c_max - DROP_K - ROOM_C) * level ** (1.0 / settings.exponent)
    steps = round((ROOM_C + DROP_K + excess_k) / STEP_C)
    return min(settings.flow_c_max, steps * STEP_C)


def flow_c_max(boiler: BoilerConfig, climate: ClimateConfig) -> float:
    """Return the highest flow temperature that may be asked for: all zones get the same water."""
    if boiler.flow_c_max is not None:
        return boiler.flow_c_max
    return min(FLOW_C_MAX[emitter] for emitter in _emitters(climate))


def flow_settings(boiler: BoilerConfig, climate: ClimateConfig) -> FlowSettings | None:
    """Return the settings of the flow temperature; `None` where no boiler takes one."""
    if boiler.driver == "none":
        return None
    exponent = min(EXPONENT[emitter] for emitter in _emitters(climate))
    return FlowSettings(flow_c_max=flow_c_max(boiler, climate), exponent=exponent)


def _emitters(climate: ClimateConfig) -> set[Emitter]:
    """Return what heats the rooms."""
    return {Emitter(zone.emitter or climate.emitter) for zone in climate.zones} or {Emitter(climate.emitter)}
