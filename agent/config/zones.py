"""The type of `climate.zones`: a table for each zone, checked as a whole. Pure."""

import re
from collections.abc import Collection, Sequence

import msgspec

from agent.config.types import NotAllowed, ValueType, describe

ZONES_MAX = 8
SENSORS_MAX = 16
WEIGHT_MAX = 100.0
EMITTERS = ("radiator", "floor", "air")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_KEYS = ("id", "sensors", "weights", "emitter")


class ZoneConfig(msgspec.Struct, frozen=True):
    """One zone.

    Attributes:
        id: Its name, which is that of an output of the board.
        sensors: Sources of the hub's own, names or devices of relayed ones.
        weights: How much each counts; as many as there are sensors.
        emitter: "radiator", "floor" or "air"; empty for `climate.emitter`.
    """

    id: str
    sensors: tuple[str, ...]
    weights: tuple[float, ...]
    emitter: str = ""


def zone_list() -> ValueType:
    """Return the type of arrays of zones."""

    def read(value: object) -> tuple[ZoneConfig, ...]:
        if not isinstance(value, list) or len(value) > ZONES_MAX:
            raise NotAllowed
        zones = tuple(_zone(table, f"zone {number}") for number, table in enumerate(value, 1))
        names = [zone.id for zone in zones]
        if len(set(names)) < len(names):
            raise NotAllowed("two zones have the same id")
        return zones

    example = '{ id = "living", sensors = ["sim/temperature"] }'
    return ValueType(
        f"an array of up to {ZONES_MAX} tables such as {example}, with weights and emitter if need be", read
    )


def missing_outputs(zones: Sequence[ZoneConfig], offered: Collection[str]) -> str:
    """Return which zones have no output of the board, in words; empty where each has one."""
    missing = [zone.id for zone in zones if zone.id not in offered]
    if not missing:
        return ""
    there = ", ".join(offered) or "none: this board drives nothing"
    return f"climate.zones: this board has no output {', '.join(missing)}; it has {there}"


def _zone(table: object, where: str) -> ZoneConfig:
    if not isinstance(table, dict):
        raise NotAllowed(f"{where} is {describe(table)}, not a table")
    unknown = [str(key) for key in table if key not in _KEYS]
    if unknown:
        raise NotAllowed(f"{where} has the unknown key {describe(unknown[0])}; there are {', '.join(_KEYS)}")
    name = table.get("id")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise NotAllowed(f"{where} needs an id: up to 32 letters, digits, '-' and '_'")
    sensors = table.get("sensors", [])
    if not isinstance(sensors, list) or not 1 <= len(sensors) <= SENSORS_MAX or not all(map(_is_text, sensors)):
        raise NotAllowed(f"{where} ({name}) needs sensors: 1 to {SENSORS_MAX} names")
    if len(set(sensors)) < len(sensors):
        raise NotAllowed(f"{where} ({name}) names a sensor twice")
    weights = table.get("weights", [1.0] * len(sensors))
    if not isinstance(weights, list) or len(weights) != len(sensors) or not all(map(_is_weight, weights)):
        raise NotAllowed(f"{where} ({name}): weights are as many numbers above 0 as there are sensors")
    emitter = table.get("emitter", "")
    if emitter and emitter not in EMITTERS:
        raise NotAllowed(f"{where} ({name}): emitter is one of {', '.join(EMITTERS)}")
    return ZoneConfig(name, tuple(sensors), tuple(map(float, weights)), str(emitter))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= WEIGHT_MAX
