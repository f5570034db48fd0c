"""The outdoor temperature, as far as a sensor gives it: plausible and recent, or not known. Pure.

Control works without it. It never stops or starts an output.
"""

from agent.climate.fusion import SensorReading
from hal.interface import Quality

OUTDOOR_C_MIN = -50.0
OUTDOOR_C_MAX = 55.0
"""The range of the weather where people heat; a sensor in the sun or a wire that is cut lies outside."""

AGE_S_MAX = 2 * 3600.0
"""Outdoors the temperature changes by some 1 K an hour, and many sensors report hourly."""


def known_outdoor_c(reading: SensorReading | None, *, now_ms: int) -> float | None:
    """Return the outdoor temperature; `None` without a good, plausible and recent reading.

    Args:
        reading: The latest of the outdoor sensor; `None` for none.
        now_ms: Boot time.
    """
    if reading is None or reading.quality is not Quality.GOOD:
        return None
    is_plausible = OUTDOOR_C_MIN <= reading.value_c <= OUTDOOR_C_MAX
    is_recent = now_ms - reading.at_ms <= AGE_S_MAX * 1000
    return reading.value_c if is_plausible and is_recent else None
