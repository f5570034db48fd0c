"""A house of the catalogue as data: rooms, emitters, source, and what follows from them by arithmetic.

Sources: ventilation: 0.34 Wh/(m3 K). Design load: EN 12831-1 with the loss to the outside alone. Half of a house's
windows face away from the sun.
"""

from typing import Final

import msgspec

from hal.sim.building import AIR_HEAT_WH_PER_M3_K
from hal.sim.constructions import Construction
from hal.sim.emitters import DESIGN_C, EmitterKind, Source, SourceKind

DESIGN_ROOM_C: Final = 21.0


class HouseRoom(msgspec.Struct, frozen=True, kw_only=True):
    """One room.

    Attributes:
        name: Its zone.
        floor_m2: Floor area.
        wall: Construction of its outer walls.
        wall_m2: Their area.
        roof: Construction of its roof; `None` without one.
        roof_m2: Its area.
        has_attic: An unheated attic lies between that roof (then its ceiling) and the outside.
        window_m2: Window area.
        window_w_per_m2_k: Transmittance of the windows.
        azimuth_deg: Direction they face: 0 north, 90 east, 180 south.
        sun_share: The share of them that does; the others are shaded.
        inner_j_per_m2_k: Capacity of inner walls, floor and furniture, for each m2 of floor.
        emitter: What heats it.
        sizing: Design output of the emitter against the design load of the room.
        air_change_per_h: In calm air.
        cooling_w: Cooling power of a split unit; 0 without one.
        height_m: Room height.
    """

    name: str
    floor_m2: float
    wall: Construction
    wall_m2: float
    roof: Construction | None = None
    roof_m2: float = 0.0
    has_attic: bool = False
    window_m2: float
    window_w_per_m2_k: float = 1.3
    azimuth_deg: float = 180.0
    sun_share: float = 1.0
    inner_j_per_m2_k: float = 80_000.0
    emitter: EmitterKind
    sizing: float = 1.2
    air_change_per_h: float = 0.5
    cooling_w: float = 0.0
    height_m: float = 2.5

    @property
    def calm_air_w_per_k(self) -> float:
        """Ventilation in calm air."""
        return AIR_HEAT_WH_PER_M3_K * self.air_change_per_h * self.floor_m2 * self.height_m

    @property
    def loss_w_per_k(self) -> float:
        """Its heat loss to the outside in calm air."""
        loss = self.calm_air_w_per_k + self.window_m2 * self.window_w_per_m2_k + self.wall_m2 * self.wall.u_w_per_m2_k
        return loss + (self.roof_m2 * self.roof.u_w_per_m2_k if self.roof is not None else 0.0)

    @property
    def design_load_w(self) -> float:
        """Its heat load on the design day."""
        return self.loss_w_per_k * (DESIGN_ROOM_C - DESIGN_C)

    @property
    def design_output_w(self) -> float:
        """The output of its emitter at the design flow temperature."""
        return self.sizing * self.design_load_w


class HouseDesign(msgspec.Struct, frozen=True, kw_only=True):
    """A house of the catalogue.

    Attributes:
        name: For tables and options.
        text: What it is, for people.
        rooms: One zone each.
        source: Of its heat.
        couplings: (room, room, W/K) between the air of two rooms.
        is_held_out: It belongs to the half on which no constant is chosen.
        time_constant_h: The declared time constant of a day's cooling, see the tests.
        rise_k_per_h: The declared rise of the first room at full output in the two hours after the first, likewise.
    """

    name: str
    text: str
    rooms: tuple[HouseRoom, ...]
    source: Source
    couplings: tuple[tuple[int, int, float], ...] = ()
    is_held_out: bool
    time_constant_h: float
    rise_k_per_h: float

    @property
    def source_w(self) -> float:
        """The capacity of the source on the design day."""
        total_w = 0.0
        for room in self.rooms:
            total_w += room.design_load_w
        return self.source.sizing * total_w

    @property
    def is_cooled(self) -> bool:
        """Whether any room has cooling."""
        return any(room.cooling_w > 0 for room in self.rooms)

    @property
    def has_own_equipment(self) -> bool:
        """Whether each room starts equipment of its own; else the shared source is what costs."""
        return self.source.kind is SourceKind.DIRECT
