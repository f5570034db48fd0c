"""Reads columns of numbers from a text file: CSV and its relatives, with or without a heading or a column of times.

A pure file.
"""

import re
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.errors import Rejected

COLUMNS_MAX = 64
HEADING_LINES_MAX = 50
STEP_TOLERANCE = 0.01
"""How far steps of time may differ from their median, relative, where the sampling rate is taken from them."""
_TIME_NAME = re.compile(r"(?i)^\W*(t|time|zeit|timestamp)\b|time ?[\[(]")
_MILLISECONDS = re.compile(r"(?i)\bms\b|_ms$|millis")


class Columns(msgspec.Struct, frozen=True):
    """The columns of a text file.

    Attributes:
        values: The columns by name (by number from 1 where the file has no heading), without that of the times.
        rate_hz: Sampling rate by the column of times; `None` without one.
    """

    values: Mapping[str, NDArray[np.float64]]
    rate_hz: float | None


def read_columns(content: bytes) -> Columns:
    """Return the columns of a text file.

    Numbers are separated by commas, semicolons, tabs or spaces; with semicolons or tabs a comma is a decimal one. Lines
    before the first line of numbers are a heading, whose last line names the columns if it has as many fields.

    Raises:
        Rejected: A line is not like the first one, or there is no line of numbers.
    """
    lines = content.decode("utf-8-sig", "replace").splitlines()
    index = _first_line_of_numbers(lines)
    fields = _split(lines[index])
    if len(fields) > COLUMNS_MAX:
        raise Rejected(f"give one recording a file: more than {COLUMNS_MAX} columns are no channels")
    rows = []
    for number, line in enumerate(lines[index:], index + 1):
        if not line.strip():
            continue
        try:
            row = [float(field.replace(",", ".")) for field in _split(line)]
        except ValueError:
            row = []
        if len(row) != len(fields):
            raise Rejected(f"repair line {number}: it has not {len(fields)} numbers like the first line of numbers")
        rows.append(row)
    table = np.asarray(rows, dtype=np.float64)
    heading = _split(lines[index - 1]) if index else []
    names = heading if len(heading) == len(fields) else [str(place + 1) for place in range(len(fields))]
    columns = {_unique(name, names, place): table[:, place].copy() for place, name in enumerate(names)}
    first, times = next(iter(columns.items()))
    rate_hz = _rate_of(first, times) if len(columns) > 1 else None
    if rate_hz is not None:
        del columns[first]
    return Columns(columns, rate_hz)


def _first_line_of_numbers(lines: list[str]) -> int:
    for index, line in enumerate(lines[: HEADING_LINES_MAX + 1]):
        fields = _split(line)
        if fields and all(_is_number(field) for field in fields):
            return index
    raise Rejected("give a text file with columns of numbers, a WAV, .npy, .npz or .mat: there is no line of numbers")


def _split(line: str) -> list[str]:
    line = line.strip()
    separator = next((each for each in (";", "\t", ",") if each in line), None)
    fields = [field.strip().strip('"') for field in line.split(separator)]
    return fields[:-1] if fields and not fields[-1] else fields


def _is_number(field: str) -> bool:
    try:
        float(field.replace(",", "."))
    except ValueError:
        return False
    return True


def _unique(name: str, names: list[str], place: int) -> str:
    return name if name and names.count(name) == 1 else f"{name or 'column'} ({place + 1})"


def _rate_of(name: str, times: NDArray[np.float64]) -> float | None:
    """Return the rate by a column that rises in equal steps; `None` if it is none of times."""
    steps = np.diff(times)
    if not len(steps) or not np.isfinite(steps).all() or steps.min() <= 0:
        return None
    step = float(np.median(steps))
    is_even = abs(float(times[-1] - times[0]) / len(steps) - step) <= STEP_TOLERANCE * step
    if not is_even or (step >= 1 and not _TIME_NAME.search(name)):
        return None  # such as a running number
    return 1000 / step if _MILLISECONDS.search(name) else 1 / step
