"""What travels: the JSON bodies of the ClimaSense contract as the device side sees them. Pure.

Unknown fields are ignored (contract section 1): the API has grown twice already. What the contract marks as assumed
about the form of a body stands here and nowhere else.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

API_KEY_PATTERN = re.compile(r"cs_dev_[A-Za-z0-9]{32}")
"""Contract section 1.1; both cases are accepted, although the published sample has lower case only."""

READINGS_MAX = 100
"""Readings in one request (section 3.1)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


class WireReading(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One reading of POST /v1/telemetry (section 3.1)."""

    sensor_type: str
    value: float
    timestamp: str
    device_id: str | None = None


class TelemetryBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of POST /v1/telemetry; both coordinates or none."""

    readings: list[WireReading]
    latitude: float | None = None
    longitude: float | None = None


class TelemetryAnswer(msgspec.Struct, frozen=True):
    """Answer of POST /v1/telemetry (section 3.4)."""

    accepted: int


class RegisterBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of POST /v1/zigbee/register (section 7)."""

    sensor_api_key: str
    ieee_address: str | None = None


class RegisterAnswer(msgspec.Struct, frozen=True):
    """Answer of POST /v1/zigbee/register."""

    sensor_id: str
    registered: bool = True
    serial_number: str | None = None


class PendingAnswer(msgspec.Struct, frozen=True):
    """Answer of GET /v1/commands/pending (section 5.1). What stands in a command is judged one by one, not here."""

    commands: list[Any]


class AckBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of POST /v1/commands/ack (section 5.2); `status` is "acked" or "failed"."""

    command_id: str
    status: str
    error_message: str | None = None
    result: Mapping[str, Any] | None = None


class AckAnswer(msgspec.Struct, frozen=True):
    """Answer of POST /v1/commands/ack: any JSON object says that it was taken."""


class OtaAnswer(msgspec.Struct, frozen=True):
    """Answer of GET /v1/ota/check (section 6.1); without an update, only the first field need be there."""

    update_available: bool
    version: str | None = None
    checksum: str | None = None
    size_bytes: int | None = None
    release_notes: str | None = None


class OtaStatusBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of POST /v1/ota/status (section 6.3)."""

    version: str
    status: str
    progress_percent: int | None = None
    error_message: str | None = None


class OtaStatusAnswer(msgspec.Struct, frozen=True):
    """Answer of POST /v1/ota/status: any JSON object says that it was taken."""


class ErrorAnswer(msgspec.Struct, frozen=True):
    """Body of a refusal (section 1.3); may be missing or not JSON at all."""

    error: str = ""
    message: str = ""


Settings = Mapping[str, Any]
"""Body and answer of /v1/settings, as it came: unknown keys are kept. `agent.settings` knows what they mean."""


def timestamp(utc_ms: int) -> str:
    """Return RFC 3339 in UTC with `Z`: whole seconds as in the published samples, else milliseconds (section 1).

    Milliseconds keep the natural key (device, sensor_type, timestamp) of two readings within a second apart.
    """
    seconds, milliseconds = divmod(utc_ms, 1000)
    minutes, second = divmod(seconds, 60)
    if milliseconds:
        return f"{_minute(minutes)}:{second:02}.{milliseconds:03}Z"
    return f"{_minute(minutes)}:{second:02}Z"


@lru_cache(maxsize=256)
def _minute(minutes: int) -> str:
    """Return the date and minute; a batch has few of them, and calendars are slow."""
    return (_EPOCH + minutes * _MINUTE).isoformat(timespec="minutes").removesuffix("+00:00")


def telemetry_body(readings: Iterable[tuple[str, float, int, str | None]]) -> bytes:
    """Return the body for readings given as (sensor_type, value, utc_ms, device_id or `None`)."""
    return msgspec.json.encode(
        TelemetryBody(
            [
                WireReading(sensor_type, value, timestamp(utc_ms), device_id)
                for sensor_type, value, utc_ms, device_id in readings
            ]
        )
    )
