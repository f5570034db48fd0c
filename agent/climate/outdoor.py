"""The outdoor temperature, as far as a sensor gives it: plausible and recent, or not known. Pure.

Control works without it. It never stops or starts an output.
"""

from math import exp

from agent.climate import fusion
from agent.climate.fusion import SensorReading

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
    return fusion.known_c(reading, now_ms=now_ms, age_s_max=AGE_S_MAX, lowest_c=OUTDOOR_C_MIN, highest_c=OUTDOOR_C_MAX)


def plausible_c(value_c: float | None) -> float | None:
    """Return an outdoor temperature of a file; `None` if only a damaged one says so."""
    return value_c if value_c is not None and OUTDOOR_C_MIN <= value_c <= OUTDOOR_C_MAX else None


MEAN_S = 7 * 86_400.0
"""The time constant of the mean: a week of weather."""


def advance_mean(mean_c: float | None, outdoor_c: float | None, dt_s: float) -> float | None:
    """Return the mean outdoor temperature of about a week; `None` before the first known one.

    Args:
        mean_c: Before.
        outdoor_c: The present one; `None` leaves the mean as it is.
        dt_s: Since the last step.
    """
    if mean_c is None or outdoor_c is None:
        return outdoor_c if mean_c is None else mean_c
    return outdoor_c + (mean_c - outdoor_c) * exp(-dt_s / MEAN_S)
