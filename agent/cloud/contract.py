"""The ClimaSense contract on the device's side: endpoints with their quotas, and JSON bodies. Pure.

Unknown fields are ignored (contract section 1): the API has grown twice already. What the contract marks as assumed
about the form of a body is implemented here and nowhere else.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from agent.errors import Refused
from agent.foundation import rfc3339
from agent.foundation.lenient_json import Undecodable, decode_object, split_array, split_object
from agent.foundation.text import quote, sanitize


class Quota(msgspec.Struct, frozen=True):
    """At most ``limit`` requests in any ``window_s`` seconds."""

    limit: int
    window_s: int


class Endpoint(StrEnum):
    """The endpoints; each has a quota of its own."""

    TELEMETRY = "POST /v1/telemetry"
    SETTINGS_GET = "GET /v1/settings"
    SETTINGS_PUT = "PUT /v1/settings"
    COMMANDS_PENDING = "GET /v1/commands/pending"
    COMMANDS_ACK = "POST /v1/commands/ack"
    OTA_CHECK = "GET /v1/ota/check"
    OTA_DOWNLOAD = "GET /v1/ota/download"
    OTA_STATUS = "POST /v1/ota/status"
    ZIGBEE_REGISTER = "POST /v1/zigbee/register"

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.value.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path below the base URL."""
        return self.value.partition(" ")[2]

    @property
    def names_resource(self) -> bool:
        """Whether a request names a resource. Only then may a 404 concern the request.

        Elsewhere a 404 means that the address is wrong, or that the API is being moved.
        """
        return self in _NAMING


_NAMING = {Endpoint.COMMANDS_ACK, Endpoint.OTA_DOWNLOAD, Endpoint.OTA_STATUS, Endpoint.ZIGBEE_REGISTER}

QUOTAS: dict[Endpoint, Quota] = {
    Endpoint.TELEMETRY: Quota(60, 60),
    Endpoint.SETTINGS_GET: Quota(10, 60),
    Endpoint.SETTINGS_PUT: Quota(5, 60),
    Endpoint.COMMANDS_PENDING: Quota(30, 60),
    Endpoint.COMMANDS_ACK: Quota(30, 60),
    Endpoint.OTA_CHECK: Quota(10, 60),
    Endpoint.OTA_DOWNLOAD: Quota(5, 3600),
    Endpoint.OTA_STATUS: Quota(10, 60),
    Endpoint.ZIGBEE_REGISTER: Quota(10, 60),
}


READINGS_MAX = 100
"""Readings in one request (section 3.1)."""

_UNPROCESSABLE = 422
"""The status that the cloud would respond with, so that such readings are found like any refused reading."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


class TelemetryReading(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One reading of POST /v1/telemetry (section 3.1)."""

    sensor_type: str
    value: float
    timestamp: str
    device_id: str | None = None


class TelemetryRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of POST /v1/telemetry; with both coordinates or none."""

    readings: list[TelemetryReading]
    latitude: float | None = None
    longitude: float | None = None


class RegisterRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of POST /v1/zigbee/register (section 7)."""

    sensor_api_key: str
    ieee_address: str | None = None


class RegisterResponse(msgspec.Struct, frozen=True):
    """Response to POST /v1/zigbee/register."""

    sensor_id: str
    registered: bool = True
    serial_number: str | None = None


class AckRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of POST /v1/commands/ack (section 5.2); `status` is "acked" or "failed"."""

    command_id: str
    status: str
    error_message: str | None = None
    result: Mapping[str, Any] | None = None


class UpdateCheckResponse(msgspec.Struct, frozen=True):
    """Response to GET /v1/ota/check (section 6.1); without an update, only the first field is required."""

    update_available: bool
    version: str | None = None
    checksum: str | None = None
    size_bytes: int | None = None
    release_notes: str | None = None


class UpdateStatusRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of POST /v1/ota/status (section 6.3)."""

    version: str
    status: str
    progress_percent: int | None = None
    error_message: str | None = None


class ErrorResponse(msgspec.Struct, frozen=True):
    """Body of a refusal (section 1.3); may be missing, or may be no JSON."""

    error: str = ""
    message: str = ""


SettingsObject = Mapping[str, Any]
"""Body and response of /v1/settings, as received: unknown keys are kept, and `Undecodable` replaces a value that cannot
be decoded. `agent.settings` interprets them."""

IDENTITY_CHARS_MAX = 256


def parse_accepted_count(response: bytes) -> int | None:
    """Return how many readings POST /v1/telemetry accepted (section 3.4); `None` where the response is empty.

    Raises:
        msgspec.DecodeError: The number is missing or not whole; 3.0 is whole, "3" is no number.
    """
    if not response:
        return None
    found = decode_object(response).get("accepted")
    accepted = _whole(found)
    if accepted is None or accepted < 0:
        raise msgspec.ValidationError(f"accepted is {_quoted(found)}; a whole number is needed")
    return accepted


def parse_settings(response: bytes) -> SettingsObject:
    """Return the members of a response of /v1/settings (section 4); none where it is empty.

    Raises:
        msgspec.DecodeError: It is no object.
    """
    return decode_object(response) if response else {}


def parse_pending_commands(response: bytes) -> list[bytes]:
    """Return the commands in the response of GET /v1/commands/pending (section 5.1), each as received.

    The caller checks each command. An empty response holds none.

    Raises:
        msgspec.DecodeError: There is no list of commands.
    """
    if not response:
        return []
    commands = split_object(response).get("commands")
    if commands is None:
        raise msgspec.ValidationError("commands is missing; a list is needed")
    try:
        return split_array(commands)
    except msgspec.DecodeError as error:
        raise msgspec.ValidationError(f"commands cannot be read: {error}") from error


def parse_acknowledgement(response: bytes) -> None:
    """Check a response of POST /v1/commands/ack or /v1/ota/status: any JSON object, or no body.

    Raises:
        msgspec.DecodeError: It is something else.
    """
    if response:
        split_object(response)


def parse_update_check(response: bytes) -> UpdateCheckResponse:
    """Return the response of GET /v1/ota/check (section 6.1); an empty one offers nothing.

    Raises:
        msgspec.DecodeError: A required member is missing or wrong; the message names it.
    """
    if not response:
        return UpdateCheckResponse(update_available=False)
    members = decode_object(response)
    is_available = members.get("update_available")
    if not isinstance(is_available, bool):
        raise msgspec.ValidationError(f"update_available is {_quoted(is_available)}; true or false is needed")
    if not is_available:
        return UpdateCheckResponse(update_available=False)
    size_bytes = _whole(members.get("size_bytes"))
    if size_bytes is None and members.get("size_bytes") is not None:
        raise msgspec.ValidationError(f"size_bytes is {_quoted(members['size_bytes'])}; a whole number is needed")
    notes = members.get("release_notes")
    return UpdateCheckResponse(
        update_available=True,
        version=_text(members, "version"),
        checksum=_text(members, "checksum"),
        size_bytes=size_bytes,
        release_notes=notes if isinstance(notes, str) else None,
    )


def parse_registration(response: bytes) -> RegisterResponse:
    """Return the response of POST /v1/zigbee/register (section 7).

    Raises:
        msgspec.DecodeError: It has no usable identity; the message names the member.
    """
    members = decode_object(response or b"{}")
    sensor_id = _text(members, "sensor_id")
    if not sensor_id:
        raise msgspec.ValidationError(
            f"sensor_id is {_quoted(members.get('sensor_id'))}; the sensor's identity is needed"
        )
    is_registered = members.get("registered", True)
    if not isinstance(is_registered, bool):
        raise msgspec.ValidationError(f"registered is {_quoted(is_registered)}; true or false is needed")
    serial = members.get("serial_number")
    return RegisterResponse(sensor_id, is_registered, sanitize(serial) if isinstance(serial, str) else None)


def parse_error(body: bytes) -> ErrorResponse | None:
    """Return the body of a refusal, as far as it can be read; `None` where it is no JSON object."""
    try:
        members = decode_object(body)
    except msgspec.DecodeError:
        return None
    return ErrorResponse(
        *(sanitize(text) if isinstance(text := members.get(name), str) else "" for name in ("error", "message"))
    )


def _whole(value: object) -> int | None:
    """Return a whole number, written as 3 or as 3.0; `None` for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(members: Mapping[str, Any], name: str) -> str | None:
    """Return a text member; one with unprintable characters is refused."""
    text = members.get(name)
    if text is None:
        return None
    if not isinstance(text, str) or sanitize(text, characters_max=IDENTITY_CHARS_MAX) != text:
        raise msgspec.ValidationError(f"{name} is {_quoted(text)}; a printable text is needed")
    return text


def _quoted(value: object) -> str:
    return f"unreadable ({sanitize(value.reason)})" if isinstance(value, Undecodable) else quote(value)


def format_timestamp(utc_ms: int) -> str:
    """Return RFC 3339 in UTC with `Z`: whole seconds as in the published samples, else milliseconds (section 1).

    Milliseconds distinguish the natural keys (device, sensor_type, timestamp) of two readings within a second.
    """
    seconds, milliseconds = divmod(utc_ms, 1000)
    minutes, second = divmod(seconds, 60)
    if milliseconds:
        return f"{_minute(minutes)}:{second:02}.{milliseconds:03}Z"
    return f"{_minute(minutes)}:{second:02}Z"


@lru_cache(maxsize=256)
def _minute(minutes: int) -> str:
    """Return the date and minute. Cached: a batch has few of them, and calendar arithmetic is slow."""
    return (_EPOCH + minutes * _MINUTE).isoformat(timespec="minutes").removesuffix("+00:00")


def encode_telemetry(readings: Iterable[tuple[str, float, int, str | None]]) -> bytes:
    """Return the body for readings given as (sensor_type, value, utc_ms, device_id or `None`).

    Raises:
        Refused: A reading has a time that the contract cannot express, from a damaged file for example.
    """
    readings = list(readings)
    if wrong := sum(not rfc3339.is_plausible(utc_ms) for _, _, utc_ms, _ in readings):
        text = f"{wrong} of {len(readings)} readings have an instant that is not {rfc3339.BOUNDS}"
        raise Refused(text, status=_UNPROCESSABLE)
    return msgspec.json.encode(
        TelemetryRequest(
            [
                TelemetryReading(sensor_type, value, format_timestamp(utc_ms), device_id)
                for sensor_type, value, utc_ms, device_id in readings
            ]
        )
    )
