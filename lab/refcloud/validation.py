"""Checks that the JSON types cannot express: telemetry batches, byte ranges, time zones. Pure.

A batch is accepted or refused as a whole [assumed]; the message names the reading. Validation costs less than a
microsecond a reading. Byte ranges: RFC 9110, 13.1.5 and 14. A machine without the time zone database must work as well.
"""

import re
import zoneinfo
from collections.abc import Callable

from msgspec import UNSET

from lab.refcloud.contract import POWER_AVAILABILITY_VALUES, VALUE_BOUNDS, Refusal, SensorType
from lab.refcloud.models import SensorReading, TelemetryBatch
from lab.refcloud.rfc3339 import parse_ms
from lab.refcloud.store import ReadingColumns

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def to_columns(batch: TelemetryBatch, hub_id: str, owns: Callable[[str], bool]) -> ReadingColumns:
    """Return the readings of a batch, each under the id of its device.

    Args:
        batch: As decoded.
        hub_id: The device whose key sent it; the readings without a `device_id` are its own.
        owns: Tells whether a sensor is bound to that device. Asked once for each sensor of the batch.

    Raises:
        Refusal: 422 for a value, a time or half a position that cannot be; 403 for a sensor of another hub.
    """
    if (batch.latitude is UNSET) != (batch.longitude is UNSET):
        raise Refusal(422, "latitude and longitude go together - at `$`")
    bounds = VALUE_BOUNDS
    instants: dict[str, int] = {}
    owned = {hub_id}
    device_ids: list[str] = []
    sensor_types: list[SensorType] = []
    at_ms: list[int] = []
    values: list[float] = []
    for index, reading in enumerate(batch.readings):
        sensor_type, value, timestamp = reading.sensor_type, reading.value, reading.timestamp
        low, high = bounds[sensor_type]
        if not low <= value <= high or (sensor_type == "power_availability" and value not in POWER_AVAILABILITY_VALUES):
            raise _value_refused(index, reading)
        instant = instants.get(timestamp)
        if instant is None:
            instant = instants[timestamp] = _instant(index, timestamp)
        device_id = reading.device_id
        if device_id is UNSET:
            device_id = hub_id
        elif device_id not in owned or device_id == hub_id:
            _check_owner(index, device_id, hub_id, owns)
            owned.add(device_id)
        device_ids.append(device_id)
        sensor_types.append(sensor_type)
        at_ms.append(instant)
        values.append(value)
    return ReadingColumns(device_ids=device_ids, sensor_types=sensor_types, at_ms=at_ms, values=values)


def _value_refused(index: int, reading: SensorReading) -> Refusal:
    low, high = VALUE_BOUNDS[reading.sensor_type]
    allowed = "0 or 1" if reading.sensor_type == "power_availability" else f"{low:g} to {high:g}"
    return Refusal(422, f"{reading.sensor_type} is {allowed}, not {reading.value:g} - at `$.readings[{index}].value`")


def _instant(index: int, timestamp: str) -> int:
    try:
        return parse_ms(timestamp)
    except ValueError as error:
        raise Refusal(422, f"{error} - at `$.readings[{index}].timestamp`") from None


def _check_owner(index: int, device_id: str, hub_id: str, owns: Callable[[str], bool]) -> None:
    if device_id != hub_id and owns(device_id):
        return
    if _UUID.fullmatch(device_id) is None:
        raise Refusal(422, f"Expected a UUID - at `$.readings[{index}].device_id`")
    raise Refusal(403, f"no sensor of this device - at `$.readings[{index}].device_id`")


_SINGLE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class RangeUnsatisfiable(ValueError):
    """The range lies outside the representation: answer 416."""


def entity_tag(sha256_hex: str) -> str:
    """Return the strong entity tag of content with this digest."""
    return f'"{sha256_hex}"'


def parse_range(range_header: str | None, if_range: str | None, *, tag: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the byte after the last one to send, or `None` for the whole.

    A header that is not one plain byte range (another unit, several ranges, nonsense) is ignored, as RFC 9110, 14.2
    allows. So is any range when `If-Range` does not hold this very tag: the client has a part of something else. A date
    in `If-Range` never matches, since no Last-Modified is sent.

    Raises:
        RangeUnsatisfiable: No byte of the range exists.
    """
    if range_header is None or (if_range is not None and if_range != tag):
        return None
    match = _SINGLE_RANGE.fullmatch(range_header.strip())
    if match is None:
        return None
    first_text, last_text = match.groups()
    if not first_text:
        return _suffix(last_text, size)
    first = int(first_text)
    if last_text and int(last_text) < first:
        return None
    if first >= size:
        raise RangeUnsatisfiable(range_header)
    return first, min(int(last_text) + 1, size) if last_text else size


def _suffix(length_text: str, size: int) -> tuple[int, int] | None:
    if not length_text:
        return None
    length = int(length_text)
    if length == 0 or size == 0:
        raise RangeUnsatisfiable(length_text)
    return max(0, size - length), size


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}", re.ASCII)


def is_time_zone(name: str) -> bool:
    """Tell whether `name` is an IANA time zone; where the machine has no database, whether it looks like one."""
    if _NAME.fullmatch(name) is None:
        return False
    return _is_in_database(name) or not _is_in_database("UTC")


def _is_in_database(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # An OSError: a directory of the database, such as "America".
        return False
    return True
