"""The catalogue: eighteen houses of different structure, in a tuning half and a held-out half.

Constants of the control law are chosen on the tuning half and reported on the held-out half. Both halves have
radiators, cast iron, floors, air, electric panels and split units, boilers, heat pumps, several zones, equipment
three times too large and half too small. A house must never move from one half to the other. Declared time constants
and rises are checked by `tests/unit/hal/sim/test_houses.py`.

Sources: TABULA typology of German dwellings (IWU 2012) for areas and constructions; `constructions`, `emitters` and
`house_model` for the rest. A door left ajar passes 10 to 20 W/K, a closed one with its partition 5 to 10.
"""

from types import MappingProxyType
from typing import Final

import msgspec

from hal.sim.constructions import (
    AERATED_BLOCK,
    BARE_BRICK,
    CONCRETE_PANEL,
    INSULATED_BRICK,
    INSULATED_HOLLOW_BRICK,
    LIGHT_ROOF,
    OLD_TIMBER,
    TIMBER_FRAME,
)
from hal.sim.emitters import EmitterKind, Source, SourceKind
from hal.sim.house_design import HouseDesign, HouseRoom

LIGHT_J_PER_M2_K: Final = 35_000.0
MEDIUM_J_PER_M2_K: Final = 90_000.0
HEAVY_J_PER_M2_K: Final = 180_000.0
"""Inner walls and floors: lightweight partitions, masonry and timber floors, masonry and concrete floors."""

DIRECT: Final = Source(kind=SourceKind.DIRECT, efficiency=1.0)
BOILER: Final = Source(kind=SourceKind.BOILER, sizing=1.3, flow_c=65.0, start_s=60.0)
PUMP: Final = Source(kind=SourceKind.HEAT_PUMP, sizing=1.1, flow_c=45.0, flow_slope=0.4, start_s=120.0, efficiency=0.5)
FLOOR_PUMP: Final = Source(
    kind=SourceKind.HEAT_PUMP, sizing=1.1, flow_c=36.0, flow_slope=0.25, start_s=120.0, efficiency=0.5
)
FURNACE: Final = Source(kind=SourceKind.FURNACE, sizing=3.0, start_s=60.0, efficiency=0.9)
SPLIT: Final = Source(kind=SourceKind.DIRECT, efficiency=3.2)


def _one_room(emitter: EmitterKind, *, floor_m2: float = 60.0) -> HouseRoom:
    """Return a house of one zone on the ground, to be varied."""
    return HouseRoom(
        name="home",
        floor_m2=floor_m2,
        wall=INSULATED_HOLLOW_BRICK,
        wall_m2=1.1 * floor_m2,
        roof=LIGHT_ROOF,
        roof_m2=0.6 * floor_m2,
        window_m2=0.16 * floor_m2,
        sun_share=0.4,
        emitter=emitter,
        inner_j_per_m2_k=MEDIUM_J_PER_M2_K,
    )


_RADIATOR, _IRON, _FLOOR = EmitterKind.RADIATOR, EmitterKind.CAST_IRON, EmitterKind.FLOOR
_PANEL, _AIR = EmitterKind.PANEL, EmitterKind.AIR
_vary = msgspec.structs.replace
_SIDES: Final = (("living", 28.0, 180.0), ("bedroom", 16.0, 90.0), ("kitchen", 13.0, 270.0), ("bathroom", 8.0, 0.0))


def _rooms(base: HouseRoom, count: int) -> tuple[HouseRoom, ...]:
    """Return some rooms like `base`, of different sizes and directions."""
    rooms = []
    for number in range(count):
        name, floor_m2, azimuth_deg = _SIDES[number % len(_SIDES)]
        share = floor_m2 / base.floor_m2
        rooms.append(
            _vary(
                base,
                name=name if number < len(_SIDES) else f"{name} {number // len(_SIDES) + 1}",
                floor_m2=floor_m2,
                wall_m2=base.wall_m2 * share,
                roof_m2=base.roof_m2 * share,
                window_m2=base.window_m2 * share,
                azimuth_deg=azimuth_deg,
                sun_share=0.7,
                cooling_w=base.cooling_w * share,
            )
        )
    return tuple(rooms)


def _doors(count: int, w_per_k: float) -> tuple[tuple[int, int, float], ...]:
    """Return couplings of each room with the next one."""
    return tuple((number, number + 1, w_per_k) for number in range(count - 1))


_TUNING: Final = (
    HouseDesign(
        name="timber boiler",
        text="light timber frame, radiators on a boiler, one zone",
        rooms=(_vary(_one_room(_RADIATOR), wall=TIMBER_FRAME, inner_j_per_m2_k=LIGHT_J_PER_M2_K),),
        source=BOILER,
        is_held_out=False,
        time_constant_h=20.0,
        rise_k_per_h=1.2,
    ),
    HouseDesign(
        name="bare brick",
        text="solid brick without insulation, cast iron radiators on a boiler, one zone",
        rooms=(_vary(_one_room(_IRON), wall=BARE_BRICK, inner_j_per_m2_k=HEAVY_J_PER_M2_K, window_w_per_m2_k=2.8),),
        source=BOILER,
        is_held_out=False,
        time_constant_h=46.0,
        rise_k_per_h=1.2,
    ),
    HouseDesign(
        name="floor pump",
        text="medium walls, heated screed on a heat pump, one zone",
        rooms=(_one_room(_FLOOR),),
        source=FLOOR_PUMP,
        is_held_out=False,
        time_constant_h=100.0,
        rise_k_per_h=0.14,
    ),
    HouseDesign(
        name="old timber furnace",
        text="timber of the 1970s, forced-air furnace, one zone",
        rooms=(
            _vary(
                _one_room(_AIR, floor_m2=90.0),
                wall=OLD_TIMBER,
                inner_j_per_m2_k=LIGHT_J_PER_M2_K,
                window_w_per_m2_k=2.8,
                sizing=3.0,
            ),
        ),
        source=FURNACE,
        is_held_out=False,
        time_constant_h=13.0,
        rise_k_per_h=5.5,
    ),
    HouseDesign(
        name="attic panels",
        text="flat under an attic, electric panels, three zones",
        rooms=_rooms(_vary(_one_room(_PANEL), wall=AERATED_BLOCK, has_attic=True, sizing=1.4), 3),
        source=DIRECT,
        couplings=_doors(3, 12.0),
        is_held_out=False,
        time_constant_h=43.0,
        rise_k_per_h=0.82,
    ),
    HouseDesign(
        name="four zones",
        text="medium walls, radiators of four zones on a boiler",
        rooms=_rooms(_vary(_one_room(_RADIATOR), sizing=1.3), 4),
        source=BOILER,
        couplings=_doors(4, 10.0),
        is_held_out=False,
        time_constant_h=72.0,
        rise_k_per_h=0.66,
    ),
    HouseDesign(
        name="oversized timber",
        text="light timber frame, radiators and boiler three times too large, one zone",
        rooms=(_vary(_one_room(_RADIATOR), wall=TIMBER_FRAME, inner_j_per_m2_k=LIGHT_J_PER_M2_K, sizing=3.0),),
        source=_vary(BOILER, sizing=3.0),
        is_held_out=False,
        time_constant_h=21.0,
        rise_k_per_h=3.5,
    ),
    HouseDesign(
        name="small brick boiler",
        text="insulated solid brick, two zones on a boiler of half the load",
        rooms=_rooms(_vary(_one_room(_RADIATOR), wall=INSULATED_BRICK, inner_j_per_m2_k=HEAVY_J_PER_M2_K), 2),
        source=_vary(BOILER, sizing=0.5),
        couplings=_doors(2, 10.0),
        is_held_out=False,
        time_constant_h=166.0,
        rise_k_per_h=0.071,
    ),
    HouseDesign(
        name="split flat",
        text="medium walls, a split unit in each of two rooms, for heating and cooling",
        rooms=_rooms(_vary(_one_room(_AIR), sizing=1.5, cooling_w=4500.0), 2),
        source=SPLIT,
        couplings=_doors(2, 10.0),
        is_held_out=False,
        time_constant_h=71.0,
        rise_k_per_h=0.65,
    ),
)

_HELD_OUT: Final = (
    HouseDesign(
        name="timber pump",
        text="light timber frame, large radiators on a heat pump with a limited flow temperature, two zones",
        rooms=_rooms(_vary(_one_room(_RADIATOR), wall=TIMBER_FRAME, inner_j_per_m2_k=LIGHT_J_PER_M2_K), 2),
        source=PUMP,
        couplings=_doors(2, 12.0),
        is_held_out=True,
        time_constant_h=21.0,
        rise_k_per_h=0.9,
    ),
    HouseDesign(
        name="insulated brick",
        text="insulated solid brick, radiators on a boiler, one zone",
        rooms=(_vary(_one_room(_RADIATOR, floor_m2=70.0), wall=INSULATED_BRICK, inner_j_per_m2_k=HEAVY_J_PER_M2_K),),
        source=BOILER,
        is_held_out=True,
        time_constant_h=166.0,
        rise_k_per_h=0.43,
    ),
    HouseDesign(
        name="floor boiler",
        text="insulated solid brick, heated screed of two zones on a boiler",
        rooms=_rooms(_vary(_one_room(_FLOOR), wall=INSULATED_BRICK, inner_j_per_m2_k=HEAVY_J_PER_M2_K), 2),
        source=_vary(BOILER, flow_c=38.0),
        couplings=_doors(2, 15.0),
        is_held_out=True,
        time_constant_h=187.0,
        rise_k_per_h=0.14,
    ),
    HouseDesign(
        name="medium furnace",
        text="medium walls, forced-air furnace, one zone",
        rooms=(_vary(_one_room(_AIR, floor_m2=80.0), inner_j_per_m2_k=LIGHT_J_PER_M2_K, sizing=3.0),),
        source=FURNACE,
        is_held_out=True,
        time_constant_h=59.0,
        rise_k_per_h=2.7,
    ),
    HouseDesign(
        name="timber panels",
        text="light timber frame, electric panels, two zones",
        rooms=_rooms(_vary(_one_room(_PANEL), wall=TIMBER_FRAME, inner_j_per_m2_k=LIGHT_J_PER_M2_K, sizing=1.5), 2),
        source=DIRECT,
        couplings=_doors(2, 8.0),
        is_held_out=True,
        time_constant_h=20.0,
        rise_k_per_h=1.5,
    ),
    HouseDesign(
        name="eight zones",
        text="concrete panels, radiators of eight zones on a boiler",
        rooms=_rooms(_vary(_one_room(_RADIATOR), wall=CONCRETE_PANEL, inner_j_per_m2_k=HEAVY_J_PER_M2_K), 8),
        source=BOILER,
        couplings=_doors(8, 10.0),
        is_held_out=True,
        time_constant_h=115.0,
        rise_k_per_h=0.47,
    ),
    HouseDesign(
        name="oversized iron",
        text="aerated concrete under an attic, cast iron radiators and boiler three times too large, one zone",
        rooms=(_vary(_one_room(_IRON), wall=AERATED_BLOCK, has_attic=True, sizing=3.0),),
        source=_vary(BOILER, sizing=3.0),
        is_held_out=True,
        time_constant_h=47.0,
        rise_k_per_h=2,
    ),
    HouseDesign(
        name="small timber pump",
        text="timber of the 1970s, radiators on a heat pump of half the load, one zone",
        rooms=(_vary(_one_room(_RADIATOR), wall=OLD_TIMBER, inner_j_per_m2_k=LIGHT_J_PER_M2_K),),
        source=_vary(PUMP, sizing=0.5),
        is_held_out=True,
        time_constant_h=16.0,
        rise_k_per_h=0.23,
    ),
    HouseDesign(
        name="split timber",
        text="light timber frame, one split unit for heating and cooling",
        rooms=(
            _vary(
                _one_room(_AIR, floor_m2=45.0),
                wall=TIMBER_FRAME,
                inner_j_per_m2_k=LIGHT_J_PER_M2_K,
                sizing=2.0,
                cooling_w=3500.0,
            ),
        ),
        source=SPLIT,
        is_held_out=True,
        time_constant_h=20.0,
        rise_k_per_h=2.2,
    ),
)

HOUSES: Final = MappingProxyType({design.name: design for design in (*_TUNING, *_HELD_OUT)})
"""The catalogue by name."""
