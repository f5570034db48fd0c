"""The wire models of the device API, as the server sees them: strict in what it takes, plain in what it gives.

Must never be imported by the client (`agent.cloud`): it has models of its own, so that one mistake is not made twice.

An unknown field in a request is refused [assumed]: the real cloud may well ignore it, but a device that sends one means
something by it, and the reference is where that is found out. For the same reason `null` is not "absent".
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from lab.refcloud import contract
from lab.refcloud.contract import SENSOR_TYPES, SensorType

Latitude = Annotated[float, Meta(ge=-contract.LATITUDE_DEG_MAX, le=contract.LATITUDE_DEG_MAX)]
Longitude = Annotated[float, Meta(ge=-contract.LONGITUDE_DEG_MAX, le=contract.LONGITUDE_DEG_MAX)]
Name = Annotated[str, Meta(max_length=contract.NAME_CHARS_MAX)]
Version = Annotated[str, Meta(min_length=1, max_length=contract.VERSION_CHARS_MAX)]
ErrorMessage = Annotated[str, Meta(max_length=contract.ERROR_MESSAGE_CHARS_MAX)]
Interval = Annotated[int, Meta(ge=contract.REPORTING_INTERVAL_S_MIN, le=contract.REPORTING_INTERVAL_S_MAX)]
Sensors = Annotated[tuple[SensorType, ...], Meta(max_length=len(SENSOR_TYPES))]
OtaStatus = Literal["downloading", "downloaded", "verifying", "applying", "completed", "failed"]


class SensorReading(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One reading of a batch. `device_id` names a relayed sensor; absent, the hub itself."""

    sensor_type: SensorType
    value: float
    timestamp: str
    device_id: str | UnsetType = UNSET


class TelemetryBatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/telemetry. Both coordinates or none [assumed: half a position means nothing]."""

    readings: Annotated[list[SensorReading], Meta(min_length=1, max_length=contract.READINGS_PER_BATCH_MAX)]
    latitude: Latitude | UnsetType = UNSET
    longitude: Longitude | UnsetType = UNSET


class TelemetryAnswer(Struct, frozen=True):
    """How many readings the server now has; those it already had count too."""

    accepted: int
    timestamp: str


class Location(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the device is. Nothing is required [assumed]."""

    latitude: Latitude | UnsetType = UNSET
    longitude: Longitude | UnsetType = UNSET
    name: Name | UnsetType = UNSET


class DeviceSettings(Struct, frozen=True):
    """The whole settings object, as both settings endpoints answer it."""

    reporting_interval_seconds: int = contract.REPORTING_INTERVAL_S_DEFAULT
    enabled_sensors: tuple[SensorType, ...] = SENSOR_TYPES
    location: Location = Location()
    timezone: str = "UTC"


class SettingsUpdate(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PUT /v1/settings: what is sent is changed. Location and sensors are replaced whole [assumed]."""

    reporting_interval_seconds: Interval | UnsetType = UNSET
    enabled_sensors: Sensors | UnsetType = UNSET
    location: Location | UnsetType = UNSET
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType = UNSET


class PendingCommand(Struct, frozen=True, omit_defaults=True):
    """A command as the poll shows it. The type is open here: a test may queue an unknown one."""

    command_id: str
    type: str
    expires_at: str
    payload: dict[str, Any] | UnsetType = UNSET


class PendingAnswer(Struct, frozen=True):
    """Oldest first."""

    commands: list[PendingCommand]


class CommandAck(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/commands/ack. The id is opaque: the published sample is not the UUID that the schema claims."""

    command_id: Annotated[str, Meta(min_length=1, max_length=contract.COMMAND_ID_CHARS_MAX)]
    status: Literal["acked", "failed"]
    error_message: ErrorMessage | UnsetType = UNSET
    result: dict[str, Any] | UnsetType = UNSET


class AckAnswer(Struct, frozen=True):
    """The server has the outcome."""

    acknowledged: bool
    timestamp: str


class OtaOffer(Struct, frozen=True, omit_defaults=True):
    """Answer of GET /v1/ota/check. Without an update only the first field is there [assumed]."""

    update_available: bool
    version: str | UnsetType = UNSET
    checksum: str | UnsetType = UNSET
    size_bytes: int | UnsetType = UNSET
    release_notes: str | UnsetType = UNSET


class OtaProgress(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/ota/status."""

    version: Version
    status: OtaStatus
    progress_percent: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    error_message: ErrorMessage | UnsetType = UNSET


class OtaRecorded(Struct, frozen=True):
    """The status is in the history."""

    recorded: bool
    timestamp: str


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/zigbee/register. The key is opaque; the address is an EUI-64 in either case of letters."""

    sensor_api_key: Annotated[str, Meta(min_length=1, max_length=contract.SENSOR_KEY_CHARS_MAX)]
    ieee_address: Annotated[str, Meta(pattern="^0x[0-9A-Fa-f]{16}$")] | UnsetType = UNSET


class Registered(Struct, frozen=True):
    """`sensor_id` is the `device_id` of the sensor's readings."""

    registered: bool
    sensor_id: str
    serial_number: str


class ErrorBody(Struct, frozen=True):
    """Every answer from 400 up [assumed: published for 401 only]."""

    error: str
    message: str


def encode(value: Any) -> bytes:  # noqa: ANN401 (any of the models, or plain JSON values)
    """Return the JSON text of a model."""
    return msgspec.json.encode(value)
