"""The types of `board.linux.relays` and `board.linux.heat_source_lines`: what hangs on which GPIO line. Pure."""

import msgspec

from agent.config.types import NotAllowed, ValueType, describe

RELAYS_MAX = 8
LINE_MAX = 1023
SOURCE_PARTS = ("heat", "cool", "stage2", "aux", "pump", "fan", "valve")
_KEYS = ("name", "heat_line", "cool_line")


class RelayLines(msgspec.Struct, frozen=True):
    """The lines of one zone."""

    name: str
    heat_line: int | None = None
    cool_line: int | None = None


class PartLine(msgspec.Struct, frozen=True):
    """The line of one part of the shared source."""

    part: str
    line: int


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
            parts.append(PartLine(str(part), _line(table["line"], str(part))))
        if len({part.part for part in parts}) < len(parts) or len({part.line for part in parts}) < len(parts):
            raise NotAllowed("a part or a line is named twice")
        return tuple(parts)

    return ValueType(
        f'an array of tables such as {{ part = "pump", line = 27 }}; parts: {", ".join(SOURCE_PARTS)}', read
    )


def _relay(table: object, where: str) -> RelayLines:
    if not isinstance(table, dict):
        raise NotAllowed(f"{where} is {describe(table)}, not a table")
    unknown = [str(key) for key in table if key not in _KEYS]
    if unknown:
        raise NotAllowed(f"{where} has the unknown key {describe(unknown[0])}; there are {', '.join(_KEYS)}")
    name = table.get("name")
    if not isinstance(name, str) or not name.strip():
        raise NotAllowed(f"{where} needs a name")
    heat, cool = table.get("heat_line"), table.get("cool_line")
    if heat is None and cool is None:
        raise NotAllowed(f"{where} ({name}) needs heat_line or cool_line")
    return RelayLines(name, None if heat is None else _line(heat, name), None if cool is None else _line(cool, name))


def _line(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LINE_MAX:
        raise NotAllowed(f"{where}: a line is a whole number from 0 to {LINE_MAX}")
    return value
