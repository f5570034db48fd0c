"""The mains of the simulated house, its outages, and the hub's battery.

Sources: Outages are drawn as a Poisson process. A German customer waits some 12 minutes a year for power (SAIDI 2022,
Bundesnetzagentur); a simulation of a month would then see none, so the default is a bad rural line: one in ten days,
twenty minutes on average.
"""

from random import Random
from typing import Final

OUTAGE_EVERY_S: Final = 10 * 86_400.0
OUTAGE_S: Final = 20 * 60.0
HUB_W: Final = 3.0
"""A Raspberry Pi with a radio under light load."""

BATTERY_WH: Final = 18.0
"""Two 18650 cells."""

CHARGER_W: Final = 5.0
CHARGER_EFFICIENCY: Final = 0.9


class MainsAndBattery:
    """Mains and battery, going forward in grid steps.

    Attributes:
        has_mains: Whether the mains is there during the present step.
        battery_wh: The charge.
    """

    def __init__(self, rng: Random, *, step_s: float) -> None:
        self._rng = rng
        self._step_s = step_s
        self._at_s = 0.0
        self._outage_from_s = rng.expovariate(1.0 / OUTAGE_EVERY_S)
        self._outage_to_s = self._outage_from_s + rng.expovariate(1.0 / OUTAGE_S)
        self.has_mains = True
        self.battery_wh = BATTERY_WH

    @property
    def battery_percent(self) -> float:
        """The charge as a share of a full battery."""
        return 100.0 * self.battery_wh / BATTERY_WH

    def advance(self) -> None:
        """Go one step on."""
        self._at_s += self._step_s
        while self._at_s >= self._outage_to_s:
            self._outage_from_s = self._outage_to_s + self._rng.expovariate(1.0 / OUTAGE_EVERY_S)
            self._outage_to_s = self._outage_from_s + self._rng.expovariate(1.0 / OUTAGE_S)
        self.has_mains = self._at_s < self._outage_from_s
        power_w = CHARGER_W * CHARGER_EFFICIENCY if self.has_mains else -HUB_W
        self.battery_wh = min(max(self.battery_wh + power_w * self._step_s / 3600.0, 0.0), BATTERY_WH)
