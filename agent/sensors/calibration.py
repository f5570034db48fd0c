"""Calibration: offsets that people set for single sensors, and what was learned of self-heating. Pure values.

An offset belongs to one piece of hardware: to a radio address, or to the name of one of the hub's own sensors, which
holds its address on the bus. A sensor that replaces another one starts without; taking an offset over is a choice.
"""

from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType
from typing import Final

import msgspec

from agent.errors import SettingInvalid
from agent.sensors import self_heating
from agent.sensors.self_heating import SelfHeating
from hal.interface import HUB, UNITS, SensorKind
from hal.plausibility import LIMITS

OFFSETS_MAX: Final = 512
"""Two for each of the sensors that a hub relays at most."""

LEARNED_MAX: Final = 16
"""Sensors in one case."""

OFFSET_MAX: Final[Mapping[SensorKind, float]] = MappingProxyType(
    {SensorKind.TEMPERATURE: 10.0, SensorKind.HUMIDITY: 30.0, SensorKind.PRESSURE: 50.0}
)
"""The largest offset, in the unit of the kind. What is farther off is broken; altitude explains 50 hPa of pressure only
up to 400 m, and is not an error of the sensor."""


class Offset(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is added to every value of one sensor.

    Attributes:
        value: In the unit of the kind.
        by: Who set it.
        at: When, in RFC 3339; empty where the time was not known.
    """

    value: float
    by: str = ""
    at: str = ""


class Calibration(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that is kept of the sensors of one hub.

    Attributes:
        offsets: By `key_of`.
        self_heating: By the name of the sensor in the case.
    """

    offsets: dict[str, Offset] = {}
    self_heating: dict[str, SelfHeating] = {}


def key_of(device: str, sensor: str, kind: SensorKind) -> str:
    """Return the key of one sensor: its name at the hub, or radio address and kind."""
    return sensor if device == HUB else f"{device}/{kind.value}"


def offset_for(kind: SensorKind, true_value: float, shown: float, present: float) -> float:
    """Return the offset by which a sensor will show the true value.

    Args:
        kind: What it measures.
        true_value: What a person reads off a better instrument.
        shown: What the sensor shows now.
        present: Its present offset.

    Raises:
        SettingInvalid: As `checked`.
    """
    return checked(kind, present + true_value - shown)


def checked(kind: SensorKind, offset: float) -> float:
    """Return an offset that may be set, rounded to thousandths.

    Raises:
        SettingInvalid: It is no number, too large, or the kind has none.
    """
    largest = OFFSET_MAX.get(kind)
    if largest is None:
        kinds = ", ".join(OFFSET_MAX)
        raise SettingInvalid(f"choose one of {kinds}: {kind.value} has no offset")
    if not isfinite(offset) or abs(offset) > largest:
        unit = UNITS[kind]
        raise SettingInvalid(
            f"replace the sensor, or compare again: an offset of {offset:.4g} {unit} is more than {largest:g} {unit}"
        )
    return round(offset, 3)


def checked_value(kind: SensorKind, value: float) -> float:
    """Return a true value that a person entered.

    Raises:
        SettingInvalid: Nothing can be that warm, humid, and so on.
    """
    limits = LIMITS[kind]
    if not limits.low <= value <= limits.high:
        raise SettingInvalid(f"enter {limits.low:g} to {limits.high:g} {UNITS[kind]}: {value:.6g} cannot be true")
    return value


def with_offset(calibration: Calibration, key: str, offset: Offset | None) -> Calibration:
    """Return the calibration with another offset of one sensor; `None` or zero takes it away.

    Raises:
        SettingInvalid: There are `OFFSETS_MAX` already.
    """
    offsets = {other: each for other, each in calibration.offsets.items() if other != key}
    if offset is not None and offset.value:
        if len(offsets) >= OFFSETS_MAX:
            raise SettingInvalid(f"clear the offsets of sensors that are gone: {OFFSETS_MAX} are kept at most")
        offsets[key] = offset
    return msgspec.structs.replace(calibration, offsets=offsets)


def with_learned(calibration: Calibration, learned: Mapping[str, SelfHeating]) -> Calibration:
    """Return the calibration with what was learned in this run; sensors of an earlier case make room."""
    known = {name: each for name, each in calibration.self_heating.items() if name not in learned}
    merged = {**known, **learned}
    kept = dict(list(merged.items())[-LEARNED_MAX:])
    return msgspec.structs.replace(calibration, self_heating=kept)


def without_learned(calibration: Calibration, name: str) -> Calibration:
    """Return the calibration without what was learned of one sensor."""
    learned = {other: each for other, each in calibration.self_heating.items() if other != name}
    return msgspec.structs.replace(calibration, self_heating=learned)


def sound(calibration: Calibration) -> Calibration:
    """Return the part of a file's content that could have been written: damage must not shift a temperature."""
    offsets = {
        key: each for key, each in calibration.offsets.items() if abs(each.value) <= max(OFFSET_MAX.values())
    }  # NaN is not
    learned = {name: each for name, each in calibration.self_heating.items() if self_heating.is_sound(each)}
    return Calibration(offsets, {name: self_heating.restart(each) for name, each in learned.items()})
