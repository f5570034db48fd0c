"""The air in one simulated room: water vapour and carbon dioxide, and the air quality index made of them.

Both follow the balance of a well-mixed room, solved exactly over a step with constant sources. Nothing here knows of
heat.

Sources: saturation pressure over water, Magnus form of the WMO Guide to Instruments and Methods of Observation (WMO-No.
8), annex 4.B. Outdoor air 420 ppm CO2 (NOAA global mean, 2023). Furnishings take up and give back moisture as if the
room held several times its air (EnergyPlus Engineering Reference, effective capacitance: multipliers 1 to 25).
"""

from math import exp
from typing import Final

OUTDOOR_CO2_PPM: Final = 420.0
MOISTURE_MULTIPLIER: Final = 5.0
VAPOUR_J_PER_KG_K: Final = 461.5
KELVIN: Final = 273.15
SATURATED_PERCENT: Final = 100.0

IAQ_CLEAN: Final = 25.0
"""The BSEC index of clean air (Bosch BME680: 0 to 50 is excellent, 25 after calibration in clean air)."""

IAQ_PER_PPM: Final = 75.0 / 580.0
"""Makes Pettenkofer's 1,000 ppm an index of 100, the end of "good" on that scale."""


def saturation_pa(temperature_c: float) -> float:
    """Return the saturation pressure of water vapour over water."""
    return 611.2 * exp(17.62 * temperature_c / (243.12 + temperature_c))


def vapour_kg_per_m3(dew_point_c: float, temperature_c: float) -> float:
    """Return the vapour in air of a dew point and a temperature."""
    return saturation_pa(dew_point_c) / (VAPOUR_J_PER_KG_K * (temperature_c + KELVIN))


def humidity_percent(vapour: float, temperature_c: float) -> float:
    """Return the relative humidity of air with `vapour` kg/m3; above 100 where it is supersaturated."""
    return SATURATED_PERCENT * vapour * VAPOUR_J_PER_KG_K * (temperature_c + KELVIN) / saturation_pa(temperature_c)


class RoomAir:
    """What the air of one room carries.

    Attributes:
        vapour_kg_per_m3: Water vapour.
        co2_ppm: Carbon dioxide.
        humidity_percent: Relative humidity at the temperature of the last step.
    """

    __slots__ = (
        "_co2_kept",
        "_co2_ppm_per_m3_s",
        "_vapour_kept",
        "_vapour_per_kg_s",
        "co2_ppm",
        "humidity_percent",
        "vapour_kg_per_m3",
    )

    def __init__(self, *, volume_m3: float, air_change_per_h: float, step_s: float, vapour: float) -> None:
        """Start with `vapour` kg/m3 and outdoor carbon dioxide.

        Args:
            volume_m3: The room's air.
            air_change_per_h: Exchange with outdoor air, above 0.
            step_s: The length of each step.
            vapour: Water vapour at the start, in kg/m3.
        """
        exchange_per_s = air_change_per_h / 3600.0
        self._co2_kept = exp(-exchange_per_s * step_s)
        self._co2_ppm_per_m3_s = 1e6 / (exchange_per_s * volume_m3)
        self._vapour_kept = exp(-exchange_per_s * step_s / MOISTURE_MULTIPLIER)
        self._vapour_per_kg_s = 1.0 / (exchange_per_s * volume_m3)
        self.vapour_kg_per_m3 = vapour
        self.co2_ppm = OUTDOOR_CO2_PPM
        self.humidity_percent = 50.0

    def advance(self, *, outdoor_vapour: float, moisture_kg_s: float, co2_m3_s: float, temperature_c: float) -> None:
        """Go one step on.

        Args:
            outdoor_vapour: In the air that comes in, in kg/m3.
            moisture_kg_s: Water given to the air.
            co2_m3_s: Carbon dioxide given to the air.
            temperature_c: Of the air at the end of the step; what it cannot hold condenses.
        """
        settled = outdoor_vapour + moisture_kg_s * self._vapour_per_kg_s
        vapour = settled + (self.vapour_kg_per_m3 - settled) * self._vapour_kept
        humidity = humidity_percent(vapour, temperature_c)
        if humidity > SATURATED_PERCENT:
            vapour *= SATURATED_PERCENT / humidity
            humidity = SATURATED_PERCENT
        self.vapour_kg_per_m3 = vapour
        self.humidity_percent = humidity
        settled_ppm = OUTDOOR_CO2_PPM + co2_m3_s * self._co2_ppm_per_m3_s
        self.co2_ppm = settled_ppm + (self.co2_ppm - settled_ppm) * self._co2_kept

    @property
    def iaq(self) -> float:
        """The indoor air quality index, 0 (clean) to 500."""
        return min(500.0, IAQ_CLEAN + (self.co2_ppm - OUTDOOR_CO2_PPM) * IAQ_PER_PPM)
