"""The simulated building: two thermal nodes a zone (air and mass), solved exactly, and the air of each room.

Parameters follow published tables, so that its time constants are those of a real house. This file contains no weather,
people or equipment: heat, moisture and outdoor conditions are arguments.

The air of a room carries water vapour and carbon dioxide, from which an air quality index is computed. Both follow the
balance of a well-mixed room, solved exactly over a step with constant sources.

Sources: ISO 13790:2008 for the simple hourly method (5R1C): 7.2.2.2 (total area 4.5 times the floor, 3.45 W/(m2 K)
between air and surface), 12.2.2 (9.1 W/(m2 K) between mass and surface), 12.3.1.2 (medium building: 165 kJ/(m2 K),
effective mass area 2.5 times the floor), annex C.2 (shares of gains). ISO 52016-1:2017, table B.17 for air and
furniture: 10 kJ/(m2 K). German EnEV 2009, annex 1, table 1 for the envelope: walls 0.28, windows 1.3 W/(m2 K), solar
transmittance 0.60. EN 12831-1:2017 for 0.5 air changes an hour; air holds 0.34 Wh/(m3 K). Saturation pressure over
water: Magnus form of the WMO Guide to Instruments and Methods of Observation (WMO-No. 8), annex 4.B. Outdoor air 420
ppm CO2 (NOAA global mean, 2023). Furnishings absorb and release moisture as if the room held several times its air
(EnergyPlus Engineering Reference, effective capacitance: multipliers 1 to 25).
"""

from collections.abc import Sequence
from math import exp
from typing import Final

import msgspec

from hal.sim.numerics import Matrix, dot, propagator

AIR_HEAT_WH_PER_M3_K: Final = 0.34
AIR_CAPACITY_J_PER_M2_K: Final = 10_000.0
MASS_CAPACITY_J_PER_M2_K: Final = 165_000.0
SURFACE_AREA_RATIO: Final = 4.5
MASS_AREA_RATIO: Final = 2.5
AIR_SURFACE_W_PER_M2_K: Final = 3.45
MASS_SURFACE_W_PER_M2_K: Final = 9.1
WALL_W_PER_M2_K: Final = 0.28
WINDOW_W_PER_M2_K: Final = 1.3
WINDOW_TRANSMITTANCE: Final = 0.60
WINDOW_REDUCTION: Final = 0.63
"""Frame 0.7 times non-perpendicular incidence 0.9 (ISO 13790, 11.4)."""


class Zone(msgspec.Struct, frozen=True):
    """One room.

    Attributes:
        name: For people and for `HvacOutputs`.
        floor_m2: Floor area.
        wall_m2: Opaque area towards the outside, roof included.
        window_m2: Window area.
        window_azimuth_deg: Direction the window faces: 0 north, 90 east, 180 south.
        heating_w: Maximum output of its emitter.
        cooling_w: Maximum cooling power.
        height_m: Room height.
        air_change_per_h: Ventilation and infiltration with outdoor air.
    """

    name: str
    floor_m2: float
    wall_m2: float
    window_m2: float
    window_azimuth_deg: float
    heating_w: float
    cooling_w: float
    height_m: float = 2.5
    air_change_per_h: float = 0.5

    @property
    def volume_m3(self) -> float:
        """The air in it."""
        return self.floor_m2 * self.height_m

    @property
    def air_outside_w_per_k(self) -> float:
        """Air to outdoors: ventilation and windows, which have no mass."""
        ventilation = AIR_HEAT_WH_PER_M3_K * self.air_change_per_h * self.volume_m3
        return ventilation + WINDOW_W_PER_M2_K * self.window_m2

    @property
    def mass_outside_w_per_k(self) -> float:
        """Mass to outdoors: the opaque envelope."""
        return WALL_W_PER_M2_K * self.wall_m2

    @property
    def air_mass_w_per_k(self) -> float:
        """Air to mass: the two conductances of the 5R1C surface node in series (the node itself has no capacity)."""
        air_surface = AIR_SURFACE_W_PER_M2_K * SURFACE_AREA_RATIO * self.floor_m2
        mass_surface = MASS_SURFACE_W_PER_M2_K * MASS_AREA_RATIO * self.floor_m2
        return air_surface * mass_surface / (air_surface + mass_surface)

    @property
    def solar_aperture_m2(self) -> float:
        """The window area that an ideal opening letting in the same sun would have."""
        return WINDOW_TRANSMITTANCE * WINDOW_REDUCTION * self.window_m2


_AIR_SURFACE_SHARE: Final = (
    AIR_SURFACE_W_PER_M2_K
    * SURFACE_AREA_RATIO
    / (AIR_SURFACE_W_PER_M2_K * SURFACE_AREA_RATIO + MASS_SURFACE_W_PER_M2_K * MASS_AREA_RATIO)
)
RADIANT_TO_AIR: Final = (1.0 - MASS_AREA_RATIO / SURFACE_AREA_RATIO) * _AIR_SURFACE_SHARE
"""The share of sunshine and radiant heat that reaches the air; the mass takes the remainder.

ISO 13790, C.2: the mass takes its area's share, the surface node the rest, and hands that on by conductance.
"""


class Building(msgspec.Struct, frozen=True):
    """Zones and what joins them.

    Attributes:
        zones: The rooms.
        couplings: (zone, zone, W/K) between the air of two rooms: open doors and partitions.
    """

    zones: tuple[Zone, ...]
    couplings: tuple[tuple[int, int, float], ...] = ()


FLAT: Final = Building(
    zones=(
        Zone("living", 30.0, wall_m2=36.0, window_m2=6.0, window_azimuth_deg=180.0, heating_w=2200.0, cooling_w=1800.0),
        Zone("kitchen", 14.0, wall_m2=20.0, window_m2=2.2, window_azimuth_deg=270.0, heating_w=1100.0, cooling_w=800.0),
        Zone("bedroom", 18.0, wall_m2=26.0, window_m2=2.8, window_azimuth_deg=90.0, heating_w=1400.0, cooling_w=1000.0),
        Zone("bathroom", 8.0, wall_m2=10.0, window_m2=0.8, window_azimuth_deg=0.0, heating_w=800.0, cooling_w=0.0),
    ),
    # A door left ajar passes some 10 to 20 W/K by buoyancy, a closed one with its partition some 5 to 10.
    couplings=((0, 1, 20.0), (0, 2, 10.0), (0, 3, 6.0), (2, 3, 6.0)),
)
"""Four rooms under a roof, 70 m2."""


class ThermalModel:
    """The temperatures of a building's nodes and its heat balance.

    Nodes are numbered zone by zone, the air of all zones first, then their masses.

    Attributes:
        temperatures_c: One for each node.
        gained_j: Heat given to the nodes since the start.
        lost_j: Heat lost to the outside since the start, integrated independently of the temperatures' change.
    """

    def __init__(self, building: Building, *, step_s: float, start_c: float) -> None:
        zones = building.zones
        count = len(zones)
        self.capacities_j_per_k = tuple(AIR_CAPACITY_J_PER_M2_K * zone.floor_m2 for zone in zones) + tuple(
            MASS_CAPACITY_J_PER_M2_K * zone.floor_m2 for zone in zones
        )
        self._outside_w_per_k = tuple(zone.air_outside_w_per_k for zone in zones) + tuple(
            zone.mass_outside_w_per_k for zone in zones
        )
        inner = tuple((i, i + count, zone.air_mass_w_per_k) for i, zone in enumerate(zones))
        solved = propagator(self._dynamics(inner + building.couplings), step_s)
        self._step_s = step_s
        # Rows over (temperatures, forcing in watts): next temperatures, and joules lost but for the outdoors' part.
        forced = self._per_capacity(solved.once)
        self._rows = tuple(state + force for state, force in zip(solved.state, forced, strict=True))
        doubly_forced = self._per_capacity(solved.twice)
        self._loss_row = tuple(
            dot(self._outside_w_per_k, column)
            for rows in (solved.once, doubly_forced)
            for column in zip(*rows, strict=True)
        )
        self._outside_total_w_per_k = dot(self._outside_w_per_k, [1.0] * (2 * count))
        self.temperatures_c = [start_c] * (2 * count)
        self.gained_j = 0.0
        self.lost_j = 0.0

    @property
    def stored_j(self) -> float:
        """The heat in the nodes above 0 °C."""
        return dot(self.capacities_j_per_k, self.temperatures_c)

    def advance(self, heat_w: Sequence[float], outside_c: float) -> None:
        """Advance by one step, exactly, with inputs constant over the step.

        Args:
            heat_w: Heat given to each node, in watts.
            outside_c: The outdoor temperature.
        """
        known = self.temperatures_c.copy()
        gained_w = 0.0
        for heat, conductance in zip(heat_w, self._outside_w_per_k, strict=True):
            gained_w += heat
            known.append(heat + conductance * outside_c)
        loss_j = 0.0
        for factor, element in zip(self._loss_row, known, strict=True):
            loss_j += factor * element
        temperatures = []
        for row in self._rows:
            total = 0.0
            for factor, element in zip(row, known, strict=True):
                total += factor * element
            temperatures.append(total)
        self.temperatures_c = temperatures
        self.gained_j += gained_w * self._step_s
        self.lost_j += loss_j - self._outside_total_w_per_k * outside_c * self._step_s

    def _dynamics(self, couplings: Sequence[tuple[int, int, float]]) -> Matrix:
        """Return F of x' = F x + g, in 1/s."""
        size = len(self.capacities_j_per_k)
        rows = [[0.0] * size for _ in range(size)]
        for i, conductance in enumerate(self._outside_w_per_k):
            rows[i][i] -= conductance / self.capacities_j_per_k[i]
        for i, j, conductance in couplings:
            for here, there in ((i, j), (j, i)):
                rows[here][here] -= conductance / self.capacities_j_per_k[here]
                rows[here][there] += conductance / self.capacities_j_per_k[here]
        return tuple(tuple(row) for row in rows)

    def _per_capacity(self, matrix: Matrix) -> Matrix:
        """Return the matrix with each column divided by its node's capacity: forcing in watts in place of K/s."""
        return tuple(tuple(a / c for a, c in zip(row, self.capacities_j_per_k, strict=True)) for row in matrix)


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
    """Water vapour and carbon dioxide in the air of one room.

    Attributes:
        vapour_kg_per_m3: Water vapour.
        co2_ppm: Carbon dioxide.
        humidity_percent: Relative humidity at the temperature of the last step.
    """

    __slots__ = (
        "_co2_kept",
        "_co2_ppm_per_m3_s",
        "_step_s",
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
        self._step_s = step_s
        self._co2_kept = exp(-exchange_per_s * step_s)
        self._co2_ppm_per_m3_s = 1e6 / (exchange_per_s * volume_m3)
        self._vapour_kept = exp(-exchange_per_s * step_s / MOISTURE_MULTIPLIER)
        self._vapour_per_kg_s = 1.0 / (exchange_per_s * volume_m3)
        self.vapour_kg_per_m3 = vapour
        self.co2_ppm = OUTDOOR_CO2_PPM
        self.humidity_percent = 50.0

    def advance(
        self,
        *,
        outdoor_vapour: float,
        moisture_kg_s: float,
        co2_m3_s: float,
        temperature_c: float,
        window_air_change_per_h: float = 0.0,
    ) -> None:
        """Advance by one step.

        Args:
            outdoor_vapour: In the air that comes in, in kg/m3.
            moisture_kg_s: Water given to the air.
            co2_m3_s: Carbon dioxide given to the air.
            temperature_c: Of the air at the end of the step; excess vapour condenses.
            window_air_change_per_h: Further exchange with outdoor air.
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
        if window_air_change_per_h:
            kept = exp(-window_air_change_per_h * self._step_s / 3600.0)
            self.co2_ppm = OUTDOOR_CO2_PPM + (self.co2_ppm - OUTDOOR_CO2_PPM) * kept
            kept **= 1.0 / MOISTURE_MULTIPLIER
            self.vapour_kg_per_m3 = outdoor_vapour + (self.vapour_kg_per_m3 - outdoor_vapour) * kept

    @property
    def iaq(self) -> float:
        """The indoor air quality index, 0 (clean) to 500."""
        return min(500.0, IAQ_CLEAN + (self.co2_ppm - OUTDOOR_CO2_PPM) * IAQ_PER_PPM)
