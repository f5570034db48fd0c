"""From the text of a cell to a number or an instant, exactly or not at all. Pure."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hal.replay.recording_map import TimeColumn

UNIX_S_MAX = 253_402_300_799
"""The last second of the year 9999, the last that `datetime` knows."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""What recorders write. `float` takes more ("1_000", "nan", the digits of any script): here those are mistakes."""


def number(text: str) -> float:
    """Return what `float` makes of a cell, bit for bit.

    Raises:
        ValueError: The cell is no finite decimal number; the message says what is allowed.
    """
    value = float(text) if _NUMBER.fullmatch(text) else float("inf")
    if value in {float("inf"), float("-inf")}:
        raise ValueError("allowed is a number such as 19.89, or nothing where there was no reading")
    return value


def instant_parser(time: TimeColumn) -> Callable[[str], int]:
    """Return the function from the text of a time cell to UTC milliseconds since 1970.

    It raises `ValueError` for a text that is no time in the column's format, is finer than a millisecond, or in a zone
    with summer time stands for two instants or none; the message says what is allowed.
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
        # The zone of the map is put on below.
        moment = datetime.fromisoformat(text) if is_iso else datetime.strptime(text, time.format)  # noqa: DTZ007
    except ValueError as error:
        raise ValueError(f'allowed is a time in the format "{time.format}"') from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=time.zone)
        if moment.utcoffset() != moment.replace(fold=1).utcoffset():
            raise ValueError(
                f"at the change of summer time this stands for two instants or none in {time.zone}; use UTC"
            )
    milliseconds, rest = divmod(moment - _EPOCH, _MS)
    if rest:
        raise ValueError("finer than a millisecond")
    return milliseconds
