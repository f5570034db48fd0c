# ruff: noqa: ANN401 (fields of a model by name)
from typing import Any

import msgspec
import pytest

from lab.refcloud.contract import Refusal, SensorType
from lab.refcloud.models import SensorReading, TelemetryBatch
from lab.refcloud.store import ReadingColumns
from lab.refcloud.validation import to_columns

HUB = "00000000-0000-4000-8000-000000000001"
MINE = "00000000-0000-4000-8000-000000000002"
THEIRS = "00000000-0000-4000-8000-000000000003"
NOON = "2026-03-29T12:00:00Z"
NOON_MS = 1_774_785_600_000


def read(kind: SensorType = "temperature", value: float = 21.5, at: str = NOON, **fields: Any) -> SensorReading:
    return SensorReading(sensor_type=kind, value=value, timestamp=at, **fields)


def take(*readings: SensorReading, asked: list[str] | None = None, **fields: Any) -> ReadingColumns:
    def owns(device_id: str) -> bool:
        if asked is not None:
            asked.append(device_id)
        return device_id == MINE

    return to_columns(TelemetryBatch(readings=list(readings), **fields), HUB, owns)


def test_columns_in_the_order_of_the_batch() -> None:
    columns = take(read(), read("iaq", 50, "2026-03-29T14:00:00.250+02:00", device_id=MINE))
    assert columns.device_ids == [HUB, MINE]
    assert columns.sensor_types == ["temperature", "iaq"]
    assert columns.at_ms == [NOON_MS, NOON_MS + 250]
    assert columns.values == [21.5, 50]


def test_ownership_is_asked_once_a_sensor() -> None:
    asked: list[str] = []
    take(read(device_id=MINE), read("iaq", device_id=MINE), asked=asked)
    assert asked == [MINE]


@pytest.mark.parametrize(
    ("bad", "status", "message"),
    [
        (read("humidity", 100.1), 422, "humidity is 0 to 100, not 100.1 - at `$.readings[1].value`"),
        (read("battery_level", -1), 422, "battery_level is 0 to 100"),
        (read("iaq", 500.5), 422, "iaq is 0 to 500"),
        (read("power_availability", 0.5), 422, "power_availability is 0 or 1, not 0.5"),
        (read("temperature", float("nan")), 422, "temperature is"),
        (read("pressure", float("inf")), 422, "pressure is"),
        (read(at="yesterday"), 422, "not an RFC 3339 date-time with an offset, such as .* - at `.*1..timestamp`"),
        (read(device_id="kitchen"), 422, "Expected a UUID - at `$.readings[1].device_id`"),
        (read(device_id=THEIRS), 403, "no sensor of this device"),
        (read(device_id=HUB), 403, "no sensor of this device"),
    ],
)
def test_one_bad_reading_refuses_the_batch_and_is_named(bad: SensorReading, status: int, message: str) -> None:
    with pytest.raises(Refusal) as caught:
        take(read(), bad, read())
    assert caught.value.status == status
    assert caught.match(message if ".*" in message else message.replace("$", r"\$").replace("[", r"\["))


@pytest.mark.parametrize("half", [{"latitude": 1.0}, {"longitude": 1.0}])
def test_half_a_position_is_refused(half: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="go together"):
        take(read(), **half)


@pytest.mark.parametrize(
    ("kind", "value"), [("humidity", 0), ("humidity", 100), ("iaq", 500), ("power_availability", 1)]
)
def test_bounds_belong_to_the_range(kind: SensorType, value: float) -> None:
    assert take(read(kind, value)).values == [value]


def test_a_sensor_type_has_one_str_however_often_it_is_decoded() -> None:
    """The hot path counts on it: the hash of such a str is computed once."""
    one = b'{"sensor_type":"iaq","value":1,"timestamp":"t"}'
    first, second = msgspec.json.decode(b'{"readings":[%b,%b]}' % (one, one), type=TelemetryBatch).readings
    assert first.sensor_type is second.sensor_type
