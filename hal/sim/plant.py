"""Energy supply of the simulated house: heating and cooling, the mains with its outages, and the hub's battery.

A generator of limited power feeds an emitter with lag in each room. A zone's command takes effect one grid step later
(the water's way from the boiler room) and then builds up with the emitter's lag. The emitter is solved exactly over
each step, and its energy balance closes: drawn = emitted + stored in the water.

Sources: emitters' time constants, EN 15316-2 and usual values: radiators 15 min, floors hours. Heat pump: half of
Carnot's efficiency is what tested machines reach (EN 14511 test points A7/W35 around 4.5); condensing boiler 0.92 of
the fuel's upper heating value. Outages are a Poisson process. A German customer has some 12 minutes of outages a year
(SAIDI 2022, Bundesnetzagentur); a simulated month would then have none, so the default is a bad rural line: one outage
in ten days, twenty minutes on average.
"""

from collections.abc import Sequence
from math import exp
from random import Random
from typing import Final

import msgspec

from hal.sim.building import KELVIN, Zone

FLOW_C: Final = 40.0
"""Flow temperature of the heat pump, for low-temperature radiators."""

SOURCE_DROP_K: Final = 5.0
"""How far below the outdoor air its evaporator works."""

CARNOT_SHARE: Final = 0.5
COOLING_PERFORMANCE: Final = 3.0


class HeatGenerator(msgspec.Struct, frozen=True):
    """Heat and cold generator shared by all rooms.

    Attributes:
        heating_w: Its capacity for all rooms together.
        cooling_w: Likewise for cooling; 0 if it cannot cool.
        lag_s: The time constant of the emitters.
        efficiency: Heat for each unit of fuel or electricity; `None` for a heat pump, whose performance follows the
            outdoor temperature.
    """

    heating_w: float
    cooling_w: float
    lag_s: float
    efficiency: float | None = None

    def performance(self, outside_c: float) -> float:
        """Return the heat made for each unit of fuel or electricity."""
        if self.efficiency is not None:
            return self.efficiency
        lift_k = FLOW_C - outside_c + SOURCE_DROP_K
        if lift_k <= 0:
            return MAX_PERFORMANCE
        return min(MAX_PERFORMANCE, CARNOT_SHARE * (FLOW_C + KELVIN) / lift_k)


MAX_PERFORMANCE: Final = 7.0
HEAT_PUMP: Final = HeatGenerator(heating_w=5500.0, cooling_w=3000.0, lag_s=900.0)
GAS_BOILER: Final = HeatGenerator(heating_w=12_000.0, cooling_w=0.0, lag_s=900.0, efficiency=0.92)


class HeatingPlant:
    """A generator and the emitters of all zones.

    Attributes:
        emitted_w: What each zone got on average over the last step: positive heats, negative cools.
        drawn_j: Energy put into the emitters since the start, cold counted as negative.
        emitted_j: Energy that they gave to the zones since the start.
        consumed_j: Fuel or electricity used since the start.
    """

    def __init__(self, generator: HeatGenerator, zones: Sequence[Zone], *, step_s: float) -> None:
        self._generator = generator
        self._heating_w = tuple(zone.heating_w for zone in zones)
        self._cooling_w = tuple(zone.cooling_w for zone in zones)
        self._step_s = step_s
        self._kept = exp(-step_s / generator.lag_s)
        self._mean_share = generator.lag_s / step_s * (1.0 - self._kept)
        self._power_w = [0.0] * len(zones)
        self.emitted_w = [0.0] * len(zones)
        self.drawn_j = 0.0
        self.emitted_j = 0.0
        self.consumed_j = 0.0

    @property
    def stored_j(self) -> float:
        """The heat that is still in the emitters."""
        total_w = 0.0
        for power_w in self._power_w:
            total_w += power_w
        return total_w * self._generator.lag_s

    def advance(self, heat: Sequence[float], cool: Sequence[float], *, outside_c: float, has_power: bool) -> None:
        """Go one step on.

        Args:
            heat: For each zone, the share of the step in which heat is called for, 0 to 1.
            cool: Likewise for cold.
            outside_c: The outdoor temperature.
            has_power: Without mains, pumps and generator stand still.
        """
        heat_share, heat_w = self._share(heat, self._heating_w, self._generator.heating_w, has_power=has_power)
        cool_share, cool_w = self._share(cool, self._cooling_w, self._generator.cooling_w, has_power=has_power)
        step_s, kept, mean_share = self._step_s, self._kept, self._mean_share
        for i, power_w in enumerate(self._power_w):
            drawn_w = heat[i] * self._heating_w[i] * heat_share - cool[i] * self._cooling_w[i] * cool_share
            emitted_w = drawn_w + (power_w - drawn_w) * mean_share
            self._power_w[i] = drawn_w + (power_w - drawn_w) * kept
            self.emitted_w[i] = emitted_w
            self.drawn_j += drawn_w * step_s
            self.emitted_j += emitted_w * step_s
        if heat_w or cool_w:
            used_w = heat_w / self._generator.performance(outside_c) + cool_w / COOLING_PERFORMANCE
            self.consumed_j += used_w * step_s

    @staticmethod
    def _share(
        duty: Sequence[float], wanted_w: Sequence[float], capacity_w: float, *, has_power: bool
    ) -> tuple[float, float]:
        """Return the share of the demand that can be met, and that power in watts."""
        total_w = 0.0
        for share, power_w in zip(duty, wanted_w, strict=True):
            total_w += share * power_w
        if not has_power or total_w == 0.0:
            return 0.0, 0.0
        if total_w <= capacity_w:
            return 1.0, total_w
        return capacity_w / total_w, capacity_w


OUTAGE_EVERY_S: Final = 10 * 86_400.0
OUTAGE_S: Final = 20 * 60.0
HUB_W: Final = 3.0
"""A Raspberry Pi with a radio under light load."""

BATTERY_WH: Final = 18.0
"""Two 18650 cells."""

CHARGER_W: Final = 5.0
CHARGER_EFFICIENCY: Final = 0.9


class MainsAndBattery:
    """Mains and battery, advanced in grid steps.

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
