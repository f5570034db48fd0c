"""The flow temperature of a modulating boiler. Pure.

Owns the step from what the zones want to a flow temperature, and its bounds.
"""

from agent.config import BoilerConfig, ClimateConfig

FLOW_C_MAX = {"radiator": 70.0, "air": 55.0, "floor": 45.0}
"""The highest flow temperature where the configuration names none, by what heats the rooms: radiators are sized for 55
to 70 °C, air heaters for 55 °C, screed must stay below 55 °C (EN 1264-4) and floors are sized for 35 to 45 °C."""


def flow_c_max(boiler: BoilerConfig, climate: ClimateConfig) -> float:
    """Return the highest flow temperature that may be asked for: all zones get the same water."""
    if boiler.flow_c_max is not None:
        return boiler.flow_c_max
    emitters = {zone.emitter or climate.emitter for zone in climate.zones} or {climate.emitter}
    return min(FLOW_C_MAX[emitter] for emitter in emitters)
