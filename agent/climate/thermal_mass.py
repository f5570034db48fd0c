"""The walls of a room lag behind its air, and take heat from it until they are as warm. Pure.

After a setpoint was raised, at the end of a recovery, on the evening after a sunny day: what keeps the temperature
differs from what kept it, for hours, and the integral of a controller that must not oscillate is slower than that. A
mean of the air's own temperature over some hours is as good as a sensor in the wall. A window that was open for ten
minutes has changed it by nothing.
"""

from math import exp

LAG_S = 5 * 3600.0
"""Over so long the walls of a house of medium weight follow the air."""

DUTY_MIN = -0.3
DUTY_MAX = 0.6
"""Walls may ask for no more and save no more than this: the temperature has the last word."""

BEYOND_K = 2.0
"""A room that is so far beyond its setpoint gets nothing for its walls. Less far it does: what the radiators hold has
carried it there, and it sinks as soon as they are empty."""

MEMORY_S = LAG_S / 2
"""A zone whose sensors said nothing for longer begins anew, and so does a hub that was away for longer, as far as the
clocks tell."""


def followed(thermal_mass_c: float | None, value_c: float, dt_s: float) -> float:
    """Return how warm the walls are after another stretch of time.

    Args:
        thermal_mass_c: Before; `None` for unknown: as warm as the air.
        value_c: The air.
        dt_s: How long, at least 0.
    """
    return value_c if thermal_mass_c is None else value_c + (thermal_mass_c - value_c) * exp(-dt_s / LAG_S)


def elsewhere(thermal_mass_c: float | None, before_c: float | None, value_c: float) -> float | None:
    """Return how warm the walls are where other sensors measure now: as far from the air as those were.

    Args:
        thermal_mass_c: Before; `None` for unknown.
        before_c: The air where it was measured until now; `None` for unknown.
        value_c: The air where it is measured now.
    """
    return thermal_mass_c if thermal_mass_c is None or before_c is None else thermal_mass_c + value_c - before_c


def duty(behind_k: float, gain_per_k: float, *, error_k: float) -> float:
    """Return the duty that the walls need beside what keeps the temperature; negative where they help.

    Args:
        behind_k: How far the walls are from the setpoint, positive where something is to be done.
        gain_per_k: Duty for each kelvin.
        error_k: Likewise the air.
    """
    wanted = min(DUTY_MAX, max(DUTY_MIN, gain_per_k * behind_k))
    if wanted <= 0.0 or error_k >= 0.0:
        return wanted
    return wanted * max(0.0, 1.0 + error_k / BEYOND_K)
