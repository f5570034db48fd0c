"""The map of a recording: assigns its columns to sensors. Parses TOML into frozen values; never reads the recording.

A map looks like this:

    [time]
    column = "time"        # required
    format = "iso8601"     # default; or "unix_s", "unix_ms", or a pattern of strptime
    zone = "UTC"           # default; for times without an offset

    [[relayed]]
    device = "T1"          # the Reading.device of its readings; required
    name = "kitchen"       # for people; by default the device's name
    ieee = "0x00158d0001a2b3c4"
    columns = { temperature = "T1", humidity = "RH_1" }

    [hub]
    columns = { pressure = "pressure_hpa" }

    [[ignore]]
    columns = ["T_out"]
    reason = "outside weather"
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from hal.errors import RecordingInvalid
from hal.interface import HUB, RelayedSensor, SensorKind

MAP_BYTES_MAX = 256 * 1024
"""Room for a thousand sensors."""

ERRORS_MAX = 20
"""Maximum number of errors in a message: a screen of a terminal."""

_IEEE = re.compile(r"0x[0-9a-f]{16}")


class TimeColumn(msgspec.Struct, frozen=True):
    """The time column of a recording.

    Attributes:
        format: "iso8601", "unix_s", "unix_ms", or a pattern of strptime.
        zone: Time zone of times without an offset.
    """

    column: str
    format: str
    zone: tzinfo


class Channel(msgspec.Struct, frozen=True):
    """A column with one kind of one device."""

    device: str
    kind: SensorKind
    column: str


class RecordingMap(msgspec.Struct, frozen=True):
    """A consistent map; `hal.replay.recording` checks that it matches a recording.

    Attributes:
        sensors: The relayed sensors, in the order of the file.
        channels: Channels of the relayed sensors, then of the hub.
        ignored: Columns that are left out on purpose.
    """

    time: TimeColumn
    sensors: tuple[RelayedSensor, ...]
    channels: tuple[Channel, ...]
    ignored: frozenset[str]


class RecordingErrors:
    """Collects the errors of one file, so that all are reported at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._texts: list[str] = []

    @property
    def is_full(self) -> bool:
        """Whether the message is full, so that further checks are pointless."""
        return len(self._texts) >= ERRORS_MAX

    def add(self, place: str, text: str) -> None:
        """Add an error at a place: "line 3, column T1", or a key of a map."""
        if not self.is_full:
            self._texts.append(f"{self._file}: {place}: {text}")

    def raise_if_any(self) -> None:
        """Raise the collected errors.

        Raises:
            RecordingInvalid: There are errors.
        """
        if self._texts:
            more = (f"{self._file}: further errors are not listed",) if self.is_full else ()
            raise RecordingInvalid("\n".join((*self._texts, *more)))


def load_map(path: Path) -> RecordingMap:
    """Read a map.

    Raises:
        RecordingInvalid: The map is unreadable or has errors; up to 20 are listed.
    """
    errors = RecordingErrors(path)
    document = _document(path, errors)
    errors.raise_if_any()
    reader = _Reader(errors)
    result = reader.read(document)
    errors.raise_if_any()
    return result


def nearest(word: str, options: Iterable[str]) -> str:
    """Return a hint for a probable typo, to be appended to a message; "" without one."""
    near = get_close_matches(word, list(options), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _document(path: Path, errors: RecordingErrors) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            content = file.read(MAP_BYTES_MAX + 1)
        if len(content) <= MAP_BYTES_MAX:
            return tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
        errors.add("size", f"found more than {MAP_BYTES_MAX} bytes; is this the map?")
    except OSError as error:
        errors.add("file", f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        errors.add("encoding", f"found the byte 0x{error.object[error.start]:02x}; allowed is UTF-8 text")
    except (ValueError, RecursionError) as error:
        errors.add("syntax", f"not valid TOML: {error}")
    return {}


class _Reader:
    """Parses one map and collects its errors."""

    def __init__(self, errors: RecordingErrors) -> None:
        self._errors = errors

    def read(self, document: Mapping[str, object]) -> RecordingMap:
        self._only(document, ("time", "relayed", "hub", "ignore"), "")
        time = self._time(self._table(document.get("time", {}), "time"))
        sensors: list[RelayedSensor] = []
        channels: list[Channel] = []
        for position, table in enumerate(self._tables(document, "relayed"), start=1):
            sensor, own = self._relayed(table, f"[[relayed]] {position}")
            sensors.append(sensor)
            channels += own
        if "hub" in document:
            hub = self._table(document["hub"], "hub")
            self._only(hub, ("columns",), "[hub]")
            channels += self._channels(hub, HUB, "[hub]")
        ignored = [
            column
            for position, table in enumerate(self._tables(document, "ignore"), start=1)
            for column in self._ignored(table, f"[[ignore]] {position}")
        ]
        self._unique("device", [sensor.device for sensor in sensors])
        self._unique("ieee", [sensor.ieee_address for sensor in sensors if sensor.ieee_address])
        self._unique("column", [time.column, *(channel.column for channel in channels), *ignored])
        if not channels:
            self._errors.add("[[relayed]], [hub]", "no column is mapped to a sensor; a board needs at least one")
        return RecordingMap(time, tuple(sensors), tuple(channels), frozenset(ignored))

    def _time(self, table: Mapping[str, object]) -> TimeColumn:
        self._only(table, ("column", "format", "zone"), "[time]")
        zone = self._text(table, "zone", "[time]", default="UTC")
        form = self._text(table, "format", "[time]", default="iso8601")
        if form not in {"iso8601", "unix_s", "unix_ms"} and "%" not in form:
            allowed = 'allowed are "iso8601", "unix_s", "unix_ms" and patterns of strptime, such as "%d.%m.%Y %H:%M"'
            self._errors.add("[time] format", f'found "{form}"; {allowed}')
        return TimeColumn(self._text(table, "column", "[time]"), form, self._zone(zone))

    def _zone(self, name: str) -> tzinfo:
        if name != "UTC":  # UTC needs no zone data, which a small container may lack
            try:
                return ZoneInfo(name)
            except (ValueError, OSError, ZoneInfoNotFoundError):
                allowed = 'allowed are "UTC" and the zones of the IANA data, where this machine has it (package tzdata)'
                self._errors.add("[time] zone", f'found "{name}"; {allowed}')
        return UTC

    def _relayed(self, table: Mapping[str, object], place: str) -> tuple[RelayedSensor, list[Channel]]:
        self._only(table, ("device", "name", "ieee", "columns"), place)
        device = self._text(table, "device", place)
        ieee = self._text(table, "ieee", place, default="")
        if ieee and not _IEEE.fullmatch(ieee):
            self._errors.add(f"{place} ieee", f'found "{ieee}"; allowed is "0x" and 16 lower-case hexadecimal digits')
        channels = self._channels(table, device, place)
        kinds = tuple(channel.kind for channel in channels)
        return RelayedSensor(device, self._text(table, "name", place, default=device), kinds, ieee), channels

    def _channels(self, table: Mapping[str, object], device: str, place: str) -> list[Channel]:
        columns = self._table(table.get("columns", {}), f"{place} columns")
        if not columns:
            self._errors.add(f"{place} columns", 'found none; needed is, say, { temperature = "T1" }')
        channels = []
        for kind in columns:
            if kind in set(SensorKind):
                column = self._text(columns, kind, f"{place} columns")
                channels.append(Channel(device, SensorKind(kind), column))
            else:
                hint = nearest(kind, SensorKind)
                self._errors.add(f"{place} columns", f'found "{kind}"; allowed are {", ".join(SensorKind)}{hint}')
        return channels

    def _ignored(self, table: Mapping[str, object], place: str) -> list[str]:
        self._only(table, ("columns", "reason"), place)
        columns = table.get("columns")
        if isinstance(columns, list) and columns and all(isinstance(column, str) for column in columns):
            return columns
        self._errors.add(f"{place} columns", 'allowed is an array of column names, such as ["T_out"]')
        return []

    def _only(self, table: Mapping[str, object], keys: Iterable[str], place: str) -> None:
        for name in table:
            if name not in keys:
                text = f'unknown key "{name}"; allowed are {", ".join(keys)}{nearest(name, keys)}'
                self._errors.add(place or "map", text)

    def _text(self, table: Mapping[str, object], key: str, place: str, *, default: str | None = None) -> str:
        value = table.get(key, default)
        if isinstance(value, str) and (value or default == ""):
            return value
        found = "found nothing" if value is None else "found something else"
        self._errors.add(f"{place} {key}", f"{found}; needed is a text")
        return default or ""

    def _table(self, value: object, place: str) -> Mapping[str, object]:
        if isinstance(value, dict):
            return value
        self._errors.add(place, "allowed is a table")
        return {}

    def _tables(self, document: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
        tables = document.get(name, [])
        if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
            return tables
        self._errors.add(f"[[{name}]]", "allowed is an array of tables: write the name in double brackets")
        return []

    def _unique(self, what: str, names: list[str]) -> None:
        for name in sorted({name for name in names if name and names.count(name) > 1}):
            self._errors.add(what, f'"{name}" stands {names.count(name)} times in the map; allowed is once')
