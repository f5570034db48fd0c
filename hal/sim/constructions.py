"""Walls, roofs and floors by their layers, and what a square metre of them stores and conducts. Data and arithmetic.

Sources: design values of materials: EN ISO 10456:2007, tables 3 and 4 (gypsum board, timber, mineral wool, EPS, aerated
concrete, concrete) and DIN 4108-4:2020, table 1 (solid brick 1.8: 0.81 W/(m K); hollow brick 0.8: 0.39; cement screed
1.4; gypsum plaster 0.51). Surface resistances: ISO 6946:2017, table 7. Heat capacity of rooms: ISO 13790:2008, table 12
(80, 110, 165, 260 and 370 kJ/(m2 K) from very light to very heavy, here shared out between envelope and inner mass).
"""

from typing import Final

import msgspec

SURFACE_INSIDE_M2_K_PER_W: Final = 0.13
SURFACE_OUTSIDE_M2_K_PER_W: Final = 0.04


class Material(msgspec.Struct, frozen=True):
    """Conductivity, density and specific heat."""

    w_per_m_k: float
    kg_per_m3: float
    j_per_kg_k: float


GYPSUM_BOARD: Final = Material(0.25, 900.0, 1000.0)
PLASTER: Final = Material(0.51, 1200.0, 1000.0)
TIMBER: Final = Material(0.13, 500.0, 1600.0)
MINERAL_WOOL: Final = Material(0.036, 40.0, 1030.0)
EPS: Final = Material(0.035, 20.0, 1450.0)
SOLID_BRICK: Final = Material(0.81, 1800.0, 1000.0)
HOLLOW_BRICK: Final = Material(0.39, 800.0, 1000.0)
AERATED_CONCRETE: Final = Material(0.14, 500.0, 1000.0)
CONCRETE: Final = Material(2.0, 2400.0, 1000.0)


class Layer(msgspec.Struct, frozen=True):
    """A layer; thick ones are divided into `parts` nodes."""

    material: Material
    thickness_m: float
    parts: int = 1

    @property
    def resistance_m2_k_per_w(self) -> float:
        """Of the whole layer."""
        return self.thickness_m / self.material.w_per_m_k

    @property
    def capacity_j_per_m2_k(self) -> float:
        """Of the whole layer."""
        return self.thickness_m * self.material.kg_per_m3 * self.material.j_per_kg_k


class Construction(msgspec.Struct, frozen=True):
    """Layers from the inside to the outside."""

    layers: tuple[Layer, ...]

    @property
    def u_w_per_m2_k(self) -> float:
        """Its thermal transmittance."""
        resistance = SURFACE_INSIDE_M2_K_PER_W + SURFACE_OUTSIDE_M2_K_PER_W
        for layer in self.layers:
            resistance += layer.resistance_m2_k_per_w
        return 1.0 / resistance

    def nodes(self) -> tuple[tuple[float, float], ...]:
        """Return capacity (J/(m2 K)) and the resistance (m2 K/W) towards the inside, for each node from the inside."""
        nodes = []
        resistance = SURFACE_INSIDE_M2_K_PER_W
        for layer in self.layers:
            half = layer.resistance_m2_k_per_w / layer.parts / 2.0
            for _ in range(layer.parts):
                nodes.append((layer.capacity_j_per_m2_k / layer.parts, resistance + half))
                resistance = half
        return tuple(nodes)

    @property
    def outer_m2_k_per_w(self) -> float:
        """The resistance between the outermost node and the outdoor air."""
        last = self.layers[-1]
        return last.resistance_m2_k_per_w / last.parts / 2.0 + SURFACE_OUTSIDE_M2_K_PER_W


TIMBER_FRAME: Final = Construction(
    (Layer(GYPSUM_BOARD, 0.0125), Layer(MINERAL_WOOL, 0.16), Layer(TIMBER, 0.03)),
)
"""0.20 W/(m2 K): a timber frame house of the 2010s."""

OLD_TIMBER: Final = Construction(
    (Layer(GYPSUM_BOARD, 0.0125), Layer(MINERAL_WOOL, 0.06), Layer(TIMBER, 0.025)),
)
"""0.46 W/(m2 K): a timber frame house of the 1970s."""

INSULATED_HOLLOW_BRICK: Final = Construction(
    (Layer(PLASTER, 0.015), Layer(HOLLOW_BRICK, 0.175, parts=2), Layer(EPS, 0.10), Layer(PLASTER, 0.01)),
)
"""0.28 W/(m2 K): medium weight."""

AERATED_BLOCK: Final = Construction((Layer(PLASTER, 0.015), Layer(AERATED_CONCRETE, 0.30, parts=3)))
"""0.43 W/(m2 K): medium weight in one layer."""

BARE_BRICK: Final = Construction((Layer(PLASTER, 0.015), Layer(SOLID_BRICK, 0.38, parts=3)))
"""1.49 W/(m2 K): solid brick of 1900 to 1930, as it was built."""

INSULATED_BRICK: Final = Construction(
    (Layer(PLASTER, 0.015), Layer(SOLID_BRICK, 0.24, parts=2), Layer(EPS, 0.14), Layer(PLASTER, 0.01)),
)
"""0.22 W/(m2 K): solid brick, insulated outside."""

CONCRETE_PANEL: Final = Construction(
    (Layer(CONCRETE, 0.14, parts=2), Layer(MINERAL_WOOL, 0.06), Layer(CONCRETE, 0.06)),
)
"""0.52 W/(m2 K): a block of concrete panels of the 1970s."""

LIGHT_ROOF: Final = Construction((Layer(GYPSUM_BOARD, 0.0125), Layer(MINERAL_WOOL, 0.20), Layer(TIMBER, 0.024)))
"""0.17 W/(m2 K)."""
