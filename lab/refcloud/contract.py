"""The facts of the ClimaSense contract, the assumptions where it is silent, and the refusal of a request.

An assumption is marked [assumed]. A refusal must never carry a key or a token in its message.
"""

import sys
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

import msgspec

from agent.errors import ClimahubError


class Endpoint(StrEnum):
    """The nine endpoints by name. Each has its own quota."""

    TELEMETRY = "telemetry"
    SETTINGS_GET = "settings_get"
    SETTINGS_PUT = "settings_put"
    COMMANDS_PENDING = "commands_pending"
    COMMANDS_ACK = "commands_ack"
    OTA_CHECK = "ota_check"
    OTA_DOWNLOAD = "ota_download"
    OTA_STATUS = "ota_status"
    ZIGBEE_REGISTER = "zigbee_register"


ROUTES: Mapping[Endpoint, tuple[str, str]] = MappingProxyType(
    {
        Endpoint.TELEMETRY: ("POST", "/v1/telemetry"),
        Endpoint.SETTINGS_GET: ("GET", "/v1/settings"),
        Endpoint.SETTINGS_PUT: ("PUT", "/v1/settings"),
        Endpoint.COMMANDS_PENDING: ("GET", "/v1/commands/pending"),
        Endpoint.COMMANDS_ACK: ("POST", "/v1/commands/ack"),
        Endpoint.OTA_CHECK: ("GET", "/v1/ota/check"),
        Endpoint.OTA_DOWNLOAD: ("GET", "/v1/ota/download/{version}"),
        Endpoint.OTA_STATUS: ("POST", "/v1/ota/status"),
        Endpoint.ZIGBEE_REGISTER: ("POST", "/v1/zigbee/register"),
    }
)


class EndpointQuota(msgspec.Struct, frozen=True):
    """At most `limit` requests in any `window_s` seconds and in any aligned window of that length, per key."""

    limit: int
    window_s: int


_MINUTE_S = 60
_HOUR_S = 3600

QUOTAS: Mapping[Endpoint, EndpointQuota] = MappingProxyType(
    {
        Endpoint.TELEMETRY: EndpointQuota(60, _MINUTE_S),
        Endpoint.SETTINGS_GET: EndpointQuota(10, _MINUTE_S),
        Endpoint.SETTINGS_PUT: EndpointQuota(5, _MINUTE_S),
        Endpoint.COMMANDS_PENDING: EndpointQuota(30, _MINUTE_S),
        Endpoint.COMMANDS_ACK: EndpointQuota(30, _MINUTE_S),
        Endpoint.OTA_CHECK: EndpointQuota(10, _MINUTE_S),
        Endpoint.OTA_DOWNLOAD: EndpointQuota(5, _HOUR_S),
        Endpoint.OTA_STATUS: EndpointQuota(10, _MINUTE_S),
        Endpoint.ZIGBEE_REGISTER: EndpointQuota(10, _MINUTE_S),
    }
)
"""The published table. [assumed] The scope is the key, the only identity there is; the window may be fixed or
sliding, so a request must fit both."""

SensorType = Literal[
    "temperature", "humidity", "pressure", "power_availability", "battery_level", "signal_strength", "iaq"
]
"""A Literal and no enum: decoding yields one shared `str` each, with its hash ready, and telemetry is the hot path."""

SENSOR_TYPES: tuple[SensorType, ...] = (
    "temperature",
    "humidity",
    "pressure",
    "power_availability",
    "battery_level",
    "signal_strength",
    "iaq",
)

_FINITE = sys.float_info.max
VALUE_BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "temperature": (-_FINITE, _FINITE),
        "humidity": (0.0, 100.0),
        "pressure": (-_FINITE, _FINITE),
        "power_availability": (0.0, 1.0),
        "battery_level": (0.0, 100.0),
        "signal_strength": (-_FINITE, _FINITE),
        "iaq": (0.0, 500.0),
    }
)
"""[assumed] Percentages end at 0 and 100, the BSEC air quality scale at 500; a client must filter before it sends,
and the reference is where that is found out. The others have no bound in the contract and get none here."""

POWER_AVAILABILITY_VALUES = (0.0, 1.0)
"""A boolean written as a number."""

ERROR_CODES: Mapping[int, str] = MappingProxyType(
    {
        400: "bad_request",
        401: "unauthorized",
        403: "forbidden",
        404: "not_found",
        405: "method_not_allowed",
        409: "conflict",
        413: "payload_too_large",
        415: "unsupported_media_type",
        416: "range_not_satisfiable",
        422: "validation_error",
        429: "rate_limited",
    }
)
"""[assumed] Only 401 with `unauthorized` is published; the rest is ordinary REST. 400: not JSON, or a query parameter
is missing. 422: JSON that breaks a rule. 415: a body that is not `application/json`, or is packed other than with gzip.
"""

UNAUTHORIZED_MESSAGE = "Invalid or missing API key"
"""Published word for word."""

DEVICE_KEY_PREFIX = "cs_dev_"
DEVICE_KEY_RANDOM_CHARS = 32
"""`cs_dev_` and 32 random alphanumeric characters. Sensors get keys of the same form."""

READINGS_PER_BATCH_MAX = 100
LATITUDE_DEG_MAX = 90.0
LONGITUDE_DEG_MAX = 180.0

REPORTING_INTERVAL_S_MIN = 60
REPORTING_INTERVAL_S_MAX = 3600
REPORTING_INTERVAL_S_DEFAULT = 60
"""[assumed] The default is the safest value inside the published bounds."""

COMMAND_LIFETIME_MS = 24 * 3600 * 1000
COMMANDS_PENDING_MAX = 100
"""[assumed] What one hub can have waiting; also bounds the answer of the poll."""

COMMAND_ID_CHARS_MAX = 128
ERROR_MESSAGE_CHARS_MAX = 1024
RESULT_BYTES_MAX = 64 * 1024
"""[assumed] Ids are opaque (the published sample is `cmd-001`); 1 KiB of reason and 64 KiB of diagnostics are ample."""

VERSION_CHARS_MAX = 64
RELEASE_NOTES_CHARS_MAX = 16 * 1024
NAME_CHARS_MAX = 200
SENSOR_KEY_CHARS_MAX = 256

DEVICE_BODY_BYTES_MAX = 256 * 1024
"""[assumed] Inflated. 100 readings with every field take about 16 KiB; a full diagnostics result takes 64."""

FIRMWARE_BYTES_MAX = 64 * 1024 * 1024
OTA_HISTORY_MAX = 500
"""Status posts kept per device, newest last; older ones are forgotten, their count is not."""

FIRMWARE_CONTENT_TYPE = "application/octet-stream"
"""[assumed] The contract says "binary stream"."""

OTA_EDGES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "idle": frozenset({"downloading"}),
        "downloading": frozenset({"downloading", "downloaded", "failed"}),
        "downloaded": frozenset({"verifying", "failed"}),
        "verifying": frozenset({"applying", "failed"}),
        "applying": frozenset({"completed", "failed"}),
        "completed": frozenset({"downloading"}),
        "failed": frozenset({"downloading"}),
    }
)
"""[assumed] The edges; the names are published. `completed` and `failed` lead back to idle, so `downloading` is next.
The same status for the same version once more is a re-send after a lost answer, and legal."""


class Refusal(ClimahubError):
    """A request refused, with the answer that the caller gets.

    Attributes:
        status: HTTP status, one of `contract.ERROR_CODES`.
        error: The machine-readable code that goes with it.
        headers: What else the answer carries, such as Retry-After.
    """

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.status = status
        self.error = ERROR_CODES[status]
        self.message = message
        self.headers = headers
