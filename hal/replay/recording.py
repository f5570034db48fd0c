"""A recording: a CSV file, checked as a whole and stored as columns of numbers. `hal.replay.board` plays it.

Everything is checked before the first reading is played, so that a board with a recording cannot fail half-way. The
text of a cell becomes a number or an instant exactly, or is an error.
"""

import csv
import math
import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from hal.interface import RelayedSensor
from hal.replay.recording_map import Channel, RecordingErrors, RecordingMap, TimeColumn, load_map, nearest

RECORDING_BYTES_MAX = 256 * 1024 * 1024
"""Four years of ten sensors at one minute, and room to spare; in memory each cell takes 8 bytes."""

ROWS_MAX = 5_000_000
COLUMNS_MAX = 1_000
GAP_DAYS_MAX = 92
"""Longest time between two rows: a house closed for a season. A longer one is a wrong clock (1970, then today)."""
SPAN_DAYS_MAX = 5 * 366
"""From the first row to the last; a simulation of it takes hours."""
UTC_MS_MAX = 7_258_118_400_000
"""Start of the year 2200; instants of a recording lie between 1970 and this."""
DAY_MS = 86_400_000
UNUSED_NAMED_MAX = 20
"""Maximum number of unmapped columns in a warning."""
FOUND_CHARS_MAX = 40
"""Maximum length of a quoted cell."""


class Recording(msgspec.Struct, frozen=True):
    """The recorded readings of a house.

    Attributes:
        path: Its file.
        sensors: The relayed sensors.
        channels: The sensor and kind of each column of `values`.
        instants_ms: UTC of each row in milliseconds since 1970, strictly increasing; at least one.
        values: For each channel one number a row, in the unit of its kind, bit for bit what `float` makes of the
            cell; NaN where the cell was empty: no reading.
        readings_count: Number of cells with a reading; at least one.
        warnings: Probable errors: columns that the map does not name.
    """

    path: Path
    sensors: tuple[RelayedSensor, ...]
    channels: tuple[Channel, ...]
    instants_ms: Sequence[int]
    values: tuple[Sequence[float], ...]
    readings_count: int
    warnings: tuple[str, ...]


def load(csv_path: Path, map_path: Path) -> Recording:
    """Read and check a recording.

    Args:
        csv_path: UTF-8, comma-separated, column names in the first line.
        map_path: Map of the columns to sensors (`hal.replay.recording_map`).

    Raises:
        RecordingInvalid: A file has errors. The message lists up to 20, one in each line, with file, line and column,
            the value found and the allowed values.
    """
    recording_map = load_map(map_path)
    errors = RecordingErrors(csv_path)
    reader = _Reader(recording_map, errors)
    try:
        if csv_path.stat().st_size > RECORDING_BYTES_MAX:
            errors.add("size", f"found more than {RECORDING_BYTES_MAX} bytes; split the recording")
            errors.raise_if_any()
        with csv_path.open(encoding="utf-8-sig", newline="") as file:
            reader.read(file)
    except OSError as error:
        errors.add("file", f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        line = _first_line_of_other_encoding(csv_path)
        errors.add(f"line {line}", "found bytes that are not UTF-8; save the file in that encoding")
    errors.raise_if_any()
    return reader.recording(csv_path)


def _first_line_of_other_encoding(path: Path) -> int:
    # The decoder works in blocks and has no line number. Here an undecodable byte becomes a surrogate, which UTF-8
    # never has.
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return next(
            line for line, text in enumerate(file, start=1) if any("\ud800" <= char <= "\udfff" for char in text)
        )


class _Reader:
    """Reads one file row by row and collects its errors."""

    def __init__(self, recording_map: RecordingMap, errors: RecordingErrors) -> None:
        self._map = recording_map
        self._errors = errors
        self._instant_of = instant_parser(recording_map.time)
        self._instants_ms = array("q")
        self._values = tuple(array("d") for _ in recording_map.channels)
        self._header: list[str] = []
        self._previous_line = 0
        self._readings_count = 0

    def read(self, lines: Iterable[str]) -> None:
        """Check header and rows; stop once there are too many errors to list."""
        rows = csv.reader(lines, strict=True)
        try:
            self._header = next(rows, [])
            if not self._check_header():
                return
            columns = [self._header.index(channel.column) for channel in self._map.channels]
            time_column = self._header.index(self._map.time.column)
            for row in rows:
                if row:  # an empty line, as some editors leave at the end, is no row
                    self._row(row, rows.line_num, time_column, columns)
                if self._errors.is_full:
                    return
        except csv.Error as error:
            self._errors.add(f"line {rows.line_num}", f"not valid CSV: {error}")
            return
        if not self._readings_count:
            self._errors.add(f"line {rows.line_num}", "the file ends without a single reading")

    def recording(self, path: Path) -> Recording:
        """Return the recording, after `read` has found no error."""
        named = {self._map.time.column, *self._map.ignored, *(channel.column for channel in self._map.channels)}
        unused = [column for column in self._header if column not in named]
        more = f" and {len(unused) - UNUSED_NAMED_MAX} more" if len(unused) > UNUSED_NAMED_MAX else ""
        columns = f"{'columns' if len(unused) > 1 else 'column'} {', '.join(unused[:UNUSED_NAMED_MAX])}{more}"
        warning = f"{path}: the map does not name the {columns}; map them to a sensor, or list them in [[ignore]]"
        return Recording(
            path=path,
            sensors=self._map.sensors,
            channels=self._map.channels,
            instants_ms=self._instants_ms,
            values=self._values,
            readings_count=self._readings_count,
            warnings=(warning,) if unused else (),
        )

    def _check_header(self) -> bool:
        """Check the first line; return whether its columns are usable."""
        header = self._header
        if len(header) > COLUMNS_MAX:
            self._errors.add("line 1", f"found {len(header)} columns; allowed are {COLUMNS_MAX}")
            return False
        doubles = sorted({column for column in header if header.count(column) > 1})
        for column in doubles:
            self._errors.add(f'line 1, column "{column}"', "stands more than once; each name is allowed once")
        named = [self._map.time.column, *(channel.column for channel in self._map.channels), *self._map.ignored]
        missing = [column for column in named if column not in header]
        for column in missing:
            hint = nearest(column, header)
            if not hint and len(header) == 1 and ";" in header[0]:
                hint = "; the columns seem to be separated by semicolons: needed are commas"
            self._errors.add(f'line 1, column "{column}"', f"the map names this column, the file has none{hint}")
        return not (doubles or missing)

    def _row(self, row: list[str], line: int, time_column: int, columns: list[int]) -> None:
        if len(row) != len(self._header):
            self._errors.add(
                f"line {line}",
                f"found {len(row)} cell{'' if len(row) == 1 else 's'}; needed are {len(self._header)}, as in line 1",
            )
            return
        if len(self._instants_ms) == ROWS_MAX:
            self._errors.add(f"line {line}", f"found more than {ROWS_MAX} rows; split the recording")
            return
        self._instant(row[time_column], line)
        for column, values in zip(columns, self._values, strict=True):
            values.append(self._value(row[column], line, self._header[column]))

    def _instant(self, text: str, line: int) -> None:
        place = f'line {line}, column "{self._map.time.column}"'
        try:
            instant_ms = self._instant_of(text.strip())
        except ValueError as error:
            self._errors.add(place, f"{_found(text)}; {error}")
            return
        if not 0 <= instant_ms < UTC_MS_MAX:
            self._errors.add(place, f"{_found(text)}; allowed are times from 1970 to 2199")
            return
        first_ms = self._instants_ms[0] if self._instants_ms else instant_ms
        previous_ms = self._instants_ms[-1] if self._instants_ms else instant_ms - 1
        gap_days, span_days = (instant_ms - previous_ms) // DAY_MS, (instant_ms - first_ms) // DAY_MS
        if gap_days >= GAP_DAYS_MAX:
            text = (
                f"{_found(text)}; {gap_days:,} days after line {self._previous_line}: allowed are gaps below"
                f" {GAP_DAYS_MAX} days. Was the clock set in between? Remove the rows on the wrong side, or split the"
                " recording"
            )
            self._errors.add(place, text)
        elif span_days >= SPAN_DAYS_MAX:
            text = f"{_found(text)}; {span_days:,} days after the first row: allowed are {SPAN_DAYS_MAX:,}"
            self._errors.add(place, f"{text}; split the recording")
        if instant_ms <= previous_ms:
            order = "the same time as" if instant_ms == previous_ms else "earlier than"
            text = (
                f"{_found(text)}; {order} line {self._previous_line}: allowed are rows in order, one for each instant"
            )
            self._errors.add(place, text)
        self._instants_ms.append(instant_ms)
        self._previous_line = line

    def _value(self, text: str, line: int, column: str) -> float:
        text = text.strip()
        if not text:
            return math.nan
        try:
            value = number(text)
        except ValueError as error:
            self._errors.add(f'line {line}, column "{column}"', f"{_found(text)}; {error}")
            return math.nan
        self._readings_count += 1
        return value


def _found(text: str) -> str:
    return f'found "{text if len(text) <= FOUND_CHARS_MAX else text[:FOUND_CHARS_MAX] + "..."}"'


UNIX_S_MAX = 253_402_300_799
"""The last second of the year 9999, the maximum of `datetime`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""What recorders write. `float` takes more ("1_000", "nan", the digits of any script): here those are errors."""


def number(text: str) -> float:
    """Return the number in a cell, exactly as `float` converts it.

    Raises:
        ValueError: The cell is no finite decimal number; the message names the allowed values.
    """
    value = float(text) if _NUMBER.fullmatch(text) else float("inf")
    if value in {float("inf"), float("-inf")}:
        raise ValueError("allowed is a number such as 19.89, or nothing where there was no reading")
    return value


def instant_parser(time: TimeColumn) -> Callable[[str], int]:
    """Return the function that converts a time cell to UTC milliseconds since 1970.

    It raises `ValueError` for a text that is no time in the column's format, is finer than a millisecond, or is
    ambiguous or missing at a change of summer time; the message names the allowed values.
    """
    if time.format == "unix_s":
        return lambda text: _unix_ms(text, per_second=1)
    if time.format == "unix_ms":
        return lambda text: _unix_ms(text, per_second=1000)

    def parse(text: str) -> int:
        return _calendar_ms(text, time)

    return parse


def _unix_ms(text: str, *, per_second: int) -> int:
    value = Decimal(text) if _NUMBER.fullmatch(text) else Decimal("inf")
    unit = "seconds" if per_second == 1 else "milliseconds"
    if abs(value) > UNIX_S_MAX * per_second:
        raise ValueError(f"allowed are {unit} since 1970")
    milliseconds = value * (1000 // per_second)
    if milliseconds != int(milliseconds):
        raise ValueError("finer than a millisecond")
    return int(milliseconds)


def _calendar_ms(text: str, time: TimeColumn) -> int:
    try:
        is_iso = time.format == "iso8601"
        # The zone of the map is added below.
        moment = datetime.fromisoformat(text) if is_iso else datetime.strptime(text, time.format)  # noqa: DTZ007
    except ValueError as error:
        raise ValueError(f'allowed is a time in the format "{time.format}"') from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=time.zone)
        if moment.utcoffset() != moment.replace(fold=1).utcoffset():
            raise ValueError(f"use UTC: in {time.zone} this time is ambiguous or missing at the change of summer time")
    milliseconds, rest = divmod(moment - _EPOCH, _MS)
    if rest:
        raise ValueError("finer than a millisecond")
    return milliseconds
