"""The thermal network of a house: layered walls, inner mass, emitters and attics as nodes, built from its design.

Sources: air and furniture 10 kJ/(m2 K) of floor: ISO 52016-1:2017, table B.17. Inner surfaces: 2.5 m2 for each m2 of
floor (ISO 13790:2008, 12.3.1.2). Sun: as in `building`. Ground 10 °C: EN ISO 13370.
"""

from math import cos, radians, sin
from typing import Final

import msgspec

from hal.sim.building import AIR_CAPACITY_J_PER_M2_K, MASS_AREA_RATIO, WINDOW_REDUCTION, WINDOW_TRANSMITTANCE
from hal.sim.constructions import SURFACE_INSIDE_M2_K_PER_W, Construction
from hal.sim.emitters import (
    EMITTERS,
    FLOOR_CORE_J_PER_M2_K,
    FLOOR_CORE_TO_TOP_W_PER_M2_K,
    FLOOR_PIPE_W_PER_M2_K,
    FLOOR_SURFACE_W_PER_M2_K,
    FLOOR_TO_GROUND_W_PER_M2_K,
    FLOOR_TOP_J_PER_M2_K,
    EmitterKind,
)
from hal.sim.house_design import DESIGN_ROOM_C, HouseDesign, HouseRoom
from hal.sim.thermal_network import Link, ThermalNetwork

STEP_S: Final = 60.0
GROUND_C: Final = 10.0
FLOW_DROP_K: Final = 5.0
"""Half of the difference between flow and return: the mean water temperature is that much below the flow."""
PANEL_EXCESS_K: Final = 60.0
"""Excess temperature of an electric element or of blown air at full output."""
INNER_HALF_M2_K_PER_W: Final = 0.05
"""From the surface of inner walls to the middle of what takes part in a day."""
ATTIC_J_PER_M2_K: Final = 30_000.0
"""Tiles of 40 kg/m2."""
ATTIC_W_PER_M2_K: Final = 5.0
"""Uninsulated tiles and the ventilation of the eaves (ISO 6946:2017, 6.10.2: 0.2 m2 K/W)."""
ATTIC_SUN_SHARE: Final = 0.15
"""Of the radiation on a tiled roof, what reaches the attic's air (absorbed 0.7, most of it given back outside)."""
OUTDOORS: Final = -1
GROUND: Final = -2


class RoomNodes(msgspec.Struct):
    """The nodes and links of one room.

    Attributes:
        air: Its air.
        inner: Inner walls, floor and furniture.
        emitter: Water or element of its emitter.
        top: What the room feels of it: of a floor its surface, else the emitter.
        surfaces: The innermost nodes of its outer walls.
        vent_link: The link of its air to the outside.
        vent_w_per_k: Its ventilation in calm air.
        emitter_links: Links of the emitter and their conductances at the design excess temperature.
        design_excess_k: That temperature.
        exponent: Of the emitter's output.
        intake_w_per_k: From the flow temperature to the emitter; 0 for one that takes its power as it is.
        sun: North and east of its windows' direction, and their area as if it were an ideal opening.
    """

    air: int
    inner: int
    emitter: int
    top: int
    surfaces: tuple[int, ...]
    vent_link: int
    vent_w_per_k: float
    emitter_links: tuple[tuple[int, float], ...]
    design_excess_k: float
    exponent: float
    intake_w_per_k: float
    sun: tuple[float, float, float]


class NetworkBuilder:
    """Builds the network of one house.

    Attributes:
        rooms: Their nodes, in the order of the design.
        attics: Nodes of attics, and the area of an ideal opening that lets in the same sun.
        doors: The links of the design's couplings.
    """

    def __init__(self, design: HouseDesign) -> None:
        self._design = design
        self._capacities: list[float] = []
        self._pending: list[tuple[int, int, float]] = []
        self.attics: list[tuple[int, float]] = []
        self.rooms = tuple(self._build(room) for room in design.rooms)
        self.doors = tuple(self._link(self.rooms[i].air, self.rooms[j].air, w) for i, j, w in design.couplings)

    def network(self, outside_c: float) -> ThermalNetwork:
        """Return the network, with the boundaries outdoors and ground."""
        boundary = len(self._capacities)
        links = [
            Link(first, boundary - 1 - second if second < 0 else second, conductance)
            for first, second, conductance in self._pending
        ]
        return ThermalNetwork(self._capacities, (outside_c, GROUND_C), links, step_s=STEP_S)

    def _node(self, capacity_j_per_k: float) -> int:
        self._capacities.append(capacity_j_per_k)
        return len(self._capacities) - 1

    def _link(self, first: int, second: int, w_per_k: float) -> int:
        """Add a link; `second` is -1 for outdoors and -2 for the ground. Return its number."""
        self._pending.append((first, second, w_per_k))
        return len(self._pending) - 1

    def _build(self, room: HouseRoom) -> RoomNodes:
        """Add the nodes and links of a room."""
        area = room.floor_m2
        air = self._node(AIR_CAPACITY_J_PER_M2_K * area)
        inner_area = (MASS_AREA_RATIO - (1.0 if room.emitter is EmitterKind.FLOOR else 0.0)) * area
        inner = self._node(room.inner_j_per_m2_k * area)
        self._link(air, inner, inner_area / (SURFACE_INSIDE_M2_K_PER_W + INNER_HALF_M2_K_PER_W))
        surfaces = [self._build_shell(air, room.wall, room.wall_m2)]
        if room.roof is not None:
            attic = self._build_attic(room.roof_m2) if room.has_attic else None
            surfaces.append(self._build_shell(air, room.roof, room.roof_m2, attic))
        vent_link = self._link(air, OUTDOORS, room.calm_air_w_per_k)
        part = RoomNodes(
            air=air,
            inner=inner,
            emitter=air,
            top=air,
            surfaces=tuple(surfaces),
            vent_link=vent_link,
            vent_w_per_k=room.calm_air_w_per_k,
            emitter_links=(),
            design_excess_k=PANEL_EXCESS_K,
            exponent=1.0,
            intake_w_per_k=0.0,
            sun=(
                cos(radians(room.azimuth_deg)),
                sin(radians(room.azimuth_deg)),
                WINDOW_TRANSMITTANCE * WINDOW_REDUCTION * room.window_m2 * room.sun_share,
            ),
        )
        if room.emitter is EmitterKind.FLOOR:
            self._build_floor(part, area)
        else:
            self._build_emitter(part, room)
        return part

    def _build_attic(self, area_m2: float) -> int:
        """Add an unheated attic: tiles and timber that follow the outdoor air within the hour, and take the sun."""
        attic = self._node(ATTIC_J_PER_M2_K * area_m2)
        self._link(attic, OUTDOORS, ATTIC_W_PER_M2_K * area_m2)
        self.attics.append((attic, ATTIC_SUN_SHARE * area_m2))
        return attic

    def _build_shell(self, air: int, shell: Construction, area_m2: float, outside: int | None = None) -> int:
        """Add a wall or roof towards the outside (or a node, without its outer surface); return its innermost node."""
        previous = innermost = air
        for capacity, resistance in shell.nodes():
            node = self._node(capacity * area_m2)
            self._link(previous, node, area_m2 / resistance)
            innermost = node if innermost == air else innermost
            previous = node
        self._link(previous, OUTDOORS if outside is None else outside, area_m2 / shell.outer_m2_k_per_w)
        return innermost

    def _build_emitter(self, part: RoomNodes, room: HouseRoom) -> None:
        """Add a radiator, a panel or a supply of air."""
        data = EMITTERS[room.emitter]
        has_water = data.water_l_per_kw > 0
        flow_c = self._design.source.flow_c
        excess_k = flow_c - FLOW_DROP_K - DESIGN_ROOM_C if has_water else PANEL_EXCESS_K
        output_w = room.design_output_w
        part.emitter = part.top = self._node(data.capacity_j_per_k(output_w, excess_k))
        part.design_excess_k, part.exponent = excess_k, data.exponent
        part.intake_w_per_k = output_w / FLOW_DROP_K if has_water else 0.0
        shares = [(part.air, 1.0 - data.radiant_share)]
        if data.radiant_share:
            shares.append((part.inner, 0.5 * data.radiant_share))
            shares += [(node, 0.5 * data.radiant_share / len(part.surfaces)) for node in part.surfaces]
        links = []
        for node, share in shares:
            conductance = share * output_w / excess_k
            links.append((self._link(part.emitter, node, conductance), conductance))
        part.emitter_links = tuple(links)

    def _build_floor(self, part: RoomNodes, area_m2: float) -> None:
        """Add a heated floor: the screed around the pipes, and the surface."""
        part.emitter = self._node(FLOOR_CORE_J_PER_M2_K * area_m2)
        part.top = self._node(FLOOR_TOP_J_PER_M2_K * area_m2)
        part.intake_w_per_k = FLOOR_PIPE_W_PER_M2_K * area_m2
        self._link(part.emitter, part.top, FLOOR_CORE_TO_TOP_W_PER_M2_K * area_m2)
        self._link(part.emitter, GROUND, FLOOR_TO_GROUND_W_PER_M2_K * area_m2)
        radiant = EMITTERS[EmitterKind.FLOOR].radiant_share * FLOOR_SURFACE_W_PER_M2_K * area_m2
        self._link(part.top, part.air, FLOOR_SURFACE_W_PER_M2_K * area_m2 - radiant)
        self._link(part.top, part.inner, 0.5 * radiant)
        for node in part.surfaces:
            self._link(part.top, node, 0.5 * radiant / len(part.surfaces))
