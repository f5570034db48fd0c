"""What the heat of a zone should do to the value of its sensor within hours, whatever the weather does. Pure.

Output reaches the room behind the lag of the emitter; the air follows within its own time, a sensor follows the air.
Only the difference to the mean output of some hours counts, so a standing load, walls and the size of the house fall
out. The lags are those of the kind of emitter and never change, so that what one silence of a sensor has shown can be
compared with the next (`sensor_probe` learns the scale); the model of `zone_tracking` becomes another with each night.

It decides nothing, and it is no temperature.
"""

from math import exp

import msgspec

from agent.climate.heating_effect import SLOW_LAG_S, SLOW_RESPONSE_S

FULL_K = 5.0
"""Full output in place of none makes this difference in the end. The scale of each zone is learned: it is a unit."""

AIR_S = 2400.0
SENSOR_S = 360.0
"""The air of an ordinary room, and a thermometer in a plastic case; see `zone_model`."""

USUAL_S = 3 * 3600.0
USUAL_LAGS = 4.0
"""The mean output is one of this time, or of so many lags of a slow emitter."""


class HeatTrace(msgspec.Struct, frozen=True):
    """What the heat of the last hours does now.

    Attributes:
        emitted: The output that reaches the room, 0 to 1.
        usual: Its mean.
        air_k: How far the air is by it from where the mean keeps it.
        sensor_k: How far the sensor is.
    """

    emitted: float = 0.0
    usual: float = 0.0
    air_k: float = 0.0
    sensor_k: float = 0.0


def advance(trace: HeatTrace, *, output: float, response_s: float, dt_s: float) -> HeatTrace:
    """Return the trace after some time.

    Args:
        trace: Before.
        output: The share of full output in that time.
        response_s: In this time the emitter shows whether it works.
        dt_s: The time.
    """
    lag_s = SLOW_LAG_S if response_s > SLOW_RESPONSE_S else response_s
    emitted = output + (trace.emitted - output) * exp(-dt_s / lag_s)
    usual = trace.usual + (emitted - trace.usual) * min(1.0, dt_s / max(USUAL_S, USUAL_LAGS * lag_s))
    settled_k = FULL_K * (emitted - usual)
    air_k = settled_k + (trace.air_k - settled_k) * exp(-dt_s / AIR_S)
    sensor_k = air_k + (trace.sensor_k - air_k) * exp(-dt_s / SENSOR_S)
    return HeatTrace(emitted, usual, air_k, sensor_k)
