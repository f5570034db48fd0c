"""Estimates the level of a battery from its voltage, for sensors without a percentage. Pure.

Facts: Zigbee Cluster Library, section 3.3.2.2.4 (battery sizes, quantity). Voltages of a full and an empty cell: data
sheets of CR2450 (lithium, 3.0 V), LR6 and LR03 (alkaline, 1.5 V) and of lithium-ion cells (4.2 V), each down to the
voltage at which sensors stop. A cell's discharge curve is flat in the middle, so every estimate is coarse.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec


class Chemistry(StrEnum):
    """Chemistry of a cell."""

    LITHIUM = "lithium"
    ALKALINE = "alkaline"
    LITHIUM_ION = "lithium ion"


_EMPTY_AND_FULL_V: Mapping[Chemistry, tuple[float, float]] = MappingProxyType(
    {
        Chemistry.LITHIUM: (2.5, 3.0),
        Chemistry.ALKALINE: (1.0, 1.5),
        Chemistry.LITHIUM_ION: (3.3, 4.2),
    }
)

_BUILT_IN = 0x01
_ALKALINE_SIZES = frozenset({0x03, 0x04, 0x05, 0x06})
"""AA, AAA, C, D."""
_LITHIUM_SIZES = frozenset({0x07, 0x08})
"""CR2, CR123A."""

_COIN_V_MAX = 3.4
_ION_V_MAX = 4.3
_ALKALINE_V_MAX = 1.65
"""A fresh cell without load."""
_ALKALINE_V = 1.5

_CELLS_MAX = 8


class Battery(msgspec.Struct, frozen=True):
    """The battery of a sensor.

    Attributes:
        chemistry: Chemistry of its cells.
        cells: Number of cells in series.
    """

    chemistry: Chemistry
    cells: int = 1


def battery_of(volt: float, *, size: int | None = None, quantity: int | None = None) -> Battery | None:
    """Return the battery of a sensor; `None` if its voltage is ambiguous, so that any level would be a guess.

    Args:
        volt: Measured voltage.
        size: Battery size attribute; `None` without one.
        quantity: Battery quantity attribute; `None` without one.
    """
    if volt <= 0:
        return None
    if size in _ALKALINE_SIZES:
        cells = quantity if quantity and volt / quantity <= _ALKALINE_V_MAX else max(1, round(volt / _ALKALINE_V))
        return Battery(Chemistry.ALKALINE, cells) if cells <= _CELLS_MAX else None
    if size in _LITHIUM_SIZES:
        return Battery(Chemistry.LITHIUM, max(1, math.ceil(volt / _COIN_V_MAX)))
    if volt <= _COIN_V_MAX:
        # Most small sensors have coin cells; for two alkaline cells the estimate is too low, never too high.
        return Battery(Chemistry.LITHIUM)
    if volt <= _ION_V_MAX:
        return Battery(Chemistry.LITHIUM_ION) if size == _BUILT_IN else None
    cells = math.ceil(volt / _ALKALINE_V_MAX)
    return Battery(Chemistry.ALKALINE, cells) if cells <= _CELLS_MAX else None


def level_percent(battery: Battery, volt: float) -> float:
    """Return the estimated level in percent: linear between an empty and a full cell."""
    empty_v, full_v = _EMPTY_AND_FULL_V[battery.chemistry]
    part = (volt / battery.cells - empty_v) / (full_v - empty_v)
    return round(100 * min(1.0, max(0.0, part)))
