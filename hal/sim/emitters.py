"""What gives heat to a room, and what feeds it: data of radiators, panels, air and floors, and of their sources.

Output follows the water's or element's temperature above the air. A design output is that at the design flow
temperature; what a cold emitter takes up from a large source is limited by the flow temperature and by the source.

Sources: radiators: exponent 1.3 of the excess temperature (EN 442-2); water and steel of a type 22 panel of 2010 some
5.5 l and 25 kg, of a cast iron radiator 14 l and 60 kg, each for 1 kW at 50 K (makers' data sheets). Floors: EN
1264-2 and EN 1264-5: 10.8 W/(m2 K) from the surface, 65 mm of cement screed, half of it below and around the pipes;
makers' tables give some 10 W/(m2 K) from the water to the screed at a spacing of 150 mm. Shares of radiation: 50 %
for a floor, 30 % for a panel radiator, 40 % for an electric panel, none for air (EN 15316-2). Heat pump: half of
Carnot (EN 14511 test points) and a capacity that falls by some 2 % for each kelvin below 7 °C outdoors (makers'
tables of air to water machines).
"""

from enum import StrEnum
from typing import Final

import msgspec

WATER_J_PER_L_K: Final = 4190.0
STEEL_J_PER_KG_K: Final = 470.0
RADIATOR_EXPONENT: Final = 1.3
NOMINAL_EXCESS_K: Final = 50.0
FLOOR_SURFACE_W_PER_M2_K: Final = 10.8
FLOOR_PIPE_W_PER_M2_K: Final = 10.0
FLOOR_CORE_J_PER_M2_K: Final = 90_000.0
"""45 mm of screed around and below the pipes."""
FLOOR_TOP_J_PER_M2_K: Final = 60_000.0
"""20 mm of screed above the pipes and 10 mm of tiles."""
FLOOR_CORE_TO_TOP_W_PER_M2_K: Final = 25.0
FLOOR_TO_GROUND_W_PER_M2_K: Final = 0.3


class EmitterKind(StrEnum):
    """What heats a room."""

    RADIATOR = "radiator"
    CAST_IRON = "cast iron radiator"
    FLOOR = "floor"
    PANEL = "electric panel"
    AIR = "air"


class EmitterData(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of an emitter.

    Attributes:
        radiant_share: The part of its heat that goes to the surfaces of the room.
        exponent: Of its excess temperature.
        water_l_per_kw: Water for each kW at 50 K; 0 without water.
        steel_kg_per_kw: Metal for each kW at 50 K.
        lag_s: The time constant of an emitter without water; 0 with it.
    """

    radiant_share: float
    exponent: float = 1.0
    water_l_per_kw: float = 0.0
    steel_kg_per_kw: float = 0.0
    lag_s: float = 0.0

    def capacity_j_per_k(self, design_w: float, design_excess_k: float) -> float:
        """Return the heat capacity of an emitter that gives `design_w` at an excess temperature."""
        if self.lag_s:
            return self.lag_s * design_w / design_excess_k
        nominal_kw: float = design_w / 1000.0 / (design_excess_k / NOMINAL_EXCESS_K) ** self.exponent
        return nominal_kw * (self.water_l_per_kw * WATER_J_PER_L_K + self.steel_kg_per_kw * STEEL_J_PER_KG_K)


EMITTERS: Final = {
    EmitterKind.RADIATOR: EmitterData(
        radiant_share=0.3, exponent=RADIATOR_EXPONENT, water_l_per_kw=5.5, steel_kg_per_kw=25.0
    ),
    EmitterKind.CAST_IRON: EmitterData(
        radiant_share=0.35, exponent=RADIATOR_EXPONENT, water_l_per_kw=20.0, steel_kg_per_kw=60.0
    ),
    EmitterKind.FLOOR: EmitterData(radiant_share=0.5),
    EmitterKind.PANEL: EmitterData(radiant_share=0.4, lag_s=420.0),
    EmitterKind.AIR: EmitterData(radiant_share=0.0, lag_s=120.0),
}
"""The cast iron radiator has 6 l of pipes for each kW."""


class SourceKind(StrEnum):
    """What makes the heat."""

    DIRECT = "direct"
    """Each room has its own electric equipment."""
    FURNACE = "furnace"
    BOILER = "boiler"
    HEAT_PUMP = "heat pump"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source.

    Attributes:
        kind: Its kind.
        sizing: Its capacity against the design load of the house, at the design temperature.
        flow_c: Its highest flow temperature, and that on the design day.
        flow_slope: How much lower the flow is for each kelvin of milder weather; 0 for a fixed flow temperature.
        start_s: From the command to the first heat: purge and ignition, compressor, blower.
        efficiency: Heat for each unit of fuel; of a heat pump Carnot's share.
    """

    kind: SourceKind
    sizing: float = 1.2
    flow_c: float = 65.0
    flow_slope: float = 0.0
    start_s: float = 0.0
    efficiency: float = 0.92

    @property
    def is_shared(self) -> bool:
        """Whether the rooms share it."""
        return self.kind is not SourceKind.DIRECT

    def capacity_share(self, outside_c: float) -> float:
        """Return its capacity against that at the design temperature."""
        if self.kind is not SourceKind.HEAT_PUMP:
            return 1.0
        return 1.0 + CAPACITY_PER_K * (min(outside_c, CAPACITY_TOP_C) - DESIGN_C)

    def flow_now_c(self, outside_c: float) -> float:
        """Return the flow temperature in this weather."""
        return max(FLOW_C_MIN, self.flow_c - self.flow_slope * max(0.0, outside_c - DESIGN_C))

    def performance(self, outside_c: float) -> float:
        """Return the heat for each unit of fuel or electricity."""
        if self.kind is not SourceKind.HEAT_PUMP:
            return self.efficiency
        flow_c = self.flow_now_c(outside_c)
        return min(PERFORMANCE_MAX, self.efficiency * (flow_c + 273.15) / max(5.0, flow_c - outside_c + 5.0))


DESIGN_C: Final = -12.0
"""The outdoor temperature for which houses are sized (EN 12831-1, national annex: Berlin -12 °C)."""
CAPACITY_PER_K: Final = 0.02
CAPACITY_TOP_C: Final = 7.0
FLOW_C_MIN: Final = 25.0
PERFORMANCE_MAX: Final = 7.0
