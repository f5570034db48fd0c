"""A telemetry batch into columns: what the JSON types cannot check, at less than a microsecond a reading. Pure.

Must never take a part of a batch: one bad reading refuses all of it [assumed], and the message says which one it was.
"""

import re
from collections.abc import Callable

from msgspec import UNSET

from lab.refcloud.contract import POWER_AVAILABILITY_VALUES, VALUE_BOUNDS, SensorType
from lab.refcloud.errors import Refusal
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
        Refusal: 422 for a value, a time or half a position that cannot be; 403 for a sensor of somebody else.
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
