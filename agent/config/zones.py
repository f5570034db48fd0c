"""The type of `climate.zones`: a table for each zone, checked as a whole. Pure."""

import re
from collections.abc import Collection, Sequence

import msgspec

from agent.config.types import NotAllowed, ValueType, describe
from hal.line_names import EXAMPLES, is_valve_name, parse_line_name

ZONES_MAX = 8
SENSORS_MAX = 16
WEIGHT_MAX = 100.0
EMITTERS = ("radiator", "floor", "air")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
FLOOR_C_MAX = 29.0
"""Of a floor in the occupied area (EN 1264-2); makers of parquet allow 26 to 29 °C at its surface."""
FLOOR_C_MAX_LOW, FLOOR_C_MAX_HIGH = 20.0, 45.0

_ZONE_KEYS = (
    "id",
    "sensors",
    "weights",
    "emitter",
    "floor_sensor",
    "floor_c_max",
    "supply_sensor",
    "return_sensor",
    "power_meter",
    "accelerometer",
)


class ZoneConfig(msgspec.Struct, frozen=True):
    """One zone.

    Attributes:
        id: Its name, which is that of an output of the board.
        sensors: Sources of the hub's own, names or devices of relayed ones.
        weights: How much each counts; as many as there are sensors.
        emitter: "radiator", "floor" or "air"; empty for `climate.emitter`.
        floor_sensor: A probe in the floor; empty without one.
        floor_c_max: The zone is not heated while its floor is at or above this.
        supply_sensor: A thermometer on its supply pipe; empty without one.
        return_sensor: One on its return pipe; empty without one.
        power_meter: A Zigbee plug that measures what its equipment draws; empty for the one that switches it, if any.
        accelerometer: An accelerometer of the hub's own on its machine, as "i2c-1-0053/adxl345"; empty without one.
    """

    id: str
    sensors: tuple[str, ...]
    weights: tuple[float, ...]
    emitter: str = ""
    floor_sensor: str = ""
    floor_c_max: float = FLOOR_C_MAX
    supply_sensor: str = ""
    return_sensor: str = ""
    power_meter: str = ""
    accelerometer: str = ""


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
    more = "weights, emitter, floor_sensor, floor_c_max, supply_sensor, return_sensor, power_meter and accelerometer"
    return ValueType(f"an array of up to {ZONES_MAX} tables such as {example}, with {more} if need be", read)


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
    unknown = [str(key) for key in table if key not in _ZONE_KEYS]
    if unknown:
        raise NotAllowed(f"{where} has the unknown key {describe(unknown[0])}; there are {', '.join(_ZONE_KEYS)}")
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
    floor_sensor = _probe(table, "floor_sensor", sensors, f"{where} ({name})")
    supply_sensor = _probe(table, "supply_sensor", [*sensors, floor_sensor], f"{where} ({name})")
    return_sensor = _probe(table, "return_sensor", [*sensors, floor_sensor, supply_sensor], f"{where} ({name})")
    if return_sensor and not supply_sensor:
        raise NotAllowed(f"{where} ({name}): return_sensor needs a supply_sensor: it is compared with the supply")
    # A plug that measures temperatures as well may be one of the sensors.
    power_meter = _probe(table, "power_meter", (), f"{where} ({name})")
    accelerometer = _probe(table, "accelerometer", sensors, f"{where} ({name})")
    limit_c = table.get("floor_c_max", FLOOR_C_MAX)
    is_number = isinstance(limit_c, int | float) and not isinstance(limit_c, bool)
    if not is_number or not FLOOR_C_MAX_LOW <= limit_c <= FLOOR_C_MAX_HIGH:
        bounds = f"{FLOOR_C_MAX_LOW:.0f} to {FLOOR_C_MAX_HIGH:.0f} °C"
        raise NotAllowed(f"{where} ({name}): floor_c_max is a number from {bounds}")
    return ZoneConfig(
        name,
        tuple(sensors),
        tuple(map(float, weights)),
        str(emitter),
        floor_sensor,
        float(limit_c),
        supply_sensor,
        return_sensor,
        power_meter,
        accelerometer,
    )


def _probe(table: dict[str, object], key: str, taken: Sequence[str], where: str) -> str:
    """Return the name of a probe; empty without one."""
    name = table.get(key, "")
    if not isinstance(name, str) or (name and name in taken):
        raise NotAllowed(f"{where}: {key} is a name of its own, not that of another sensor of the zone")
    return name


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= WEIGHT_MAX


RELAYS_MAX = 8
LINE_MAX = 1023
SOURCE_PARTS = ("heat", "cool", "stage2", "aux", "pump", "fan", "valve")
_RELAY_KEYS = ("name", "heat_line", "cool_line")


class RelayLines(msgspec.Struct, frozen=True):
    """The lines of one zone: numbers on the GPIO chip, or names (`hal.line_names`)."""

    name: str
    heat_line: int | str | None = None
    cool_line: int | str | None = None


class PartLine(msgspec.Struct, frozen=True):
    """The line of one part of the shared source."""

    part: str
    line: int | str


def relay_list() -> ValueType:
    """Return the type of arrays of relays."""

    def read(value: object) -> tuple[RelayLines, ...]:
        if not isinstance(value, list) or len(value) > RELAYS_MAX:
            raise NotAllowed
        relays = tuple(_relay(table, f"relay {number}") for number, table in enumerate(value, 1))
        if len({relay.name for relay in relays}) < len(relays):
            raise NotAllowed("two relays have the same name")
        used = [line for relay in relays for line in {relay.heat_line, relay.cool_line} if line is not None]
        if len(set(used)) < len(used):
            raise NotAllowed("two zones share a line")
        return relays

    example = '{ name = "living", heat_line = 17 }'
    return ValueType(f"an array of up to {RELAYS_MAX} tables such as {example}, with cool_line if need be", read)


def part_list() -> ValueType:
    """Return the type of arrays of parts of the source with their lines."""

    def read(value: object) -> tuple[PartLine, ...]:
        if not isinstance(value, list) or len(value) > len(SOURCE_PARTS):
            raise NotAllowed
        parts = []
        for table in value:
            part = table.get("part") if isinstance(table, dict) else None
            if not isinstance(table, dict) or part not in SOURCE_PARTS or set(table) != {"part", "line"}:
                raise NotAllowed(f"found {describe(table)}; each needs a part and a line")
            if isinstance(line := table["line"], str) and is_valve_name(line):
                raise NotAllowed(f"{part}: a radiator valve is the heat_line of a zone")
            parts.append(PartLine(str(part), _line(line, str(part))))
        if len({part.part for part in parts}) < len(parts) or len({part.line for part in parts}) < len(parts):
            raise NotAllowed("a part or a line is named twice")
        return tuple(parts)

    return ValueType(
        f'an array of tables such as {{ part = "pump", line = 27 }}; parts: {", ".join(SOURCE_PARTS)}', read
    )


def _relay(table: object, where: str) -> RelayLines:
    if not isinstance(table, dict):
        raise NotAllowed(f"{where} is {describe(table)}, not a table")
    unknown = [str(key) for key in table if key not in _RELAY_KEYS]
    if unknown:
        raise NotAllowed(f"{where} has the unknown key {describe(unknown[0])}; there are {', '.join(_RELAY_KEYS)}")
    name = table.get("name")
    if not isinstance(name, str) or not name.strip():
        raise NotAllowed(f"{where} needs a name")
    heat, cool = table.get("heat_line"), table.get("cool_line")
    if heat is None and cool is None:
        raise NotAllowed(f"{where} ({name}) needs heat_line or cool_line")
    if isinstance(cool, str) and is_valve_name(cool):
        raise NotAllowed(f"{where} ({name}): a radiator valve heats; name it as heat_line")
    return RelayLines(name, None if heat is None else _line(heat, name), None if cool is None else _line(cool, name))


def _line(value: object, where: str) -> int | str:
    if isinstance(value, str):
        try:
            parse_line_name(value)
        except ValueError as error:
            raise NotAllowed(f"{where}: {error}") from error
        return value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LINE_MAX:
        raise NotAllowed(f"{where}: a line is a whole number from 0 to {LINE_MAX}, or a name such as {EXAMPLES}")
    return value
