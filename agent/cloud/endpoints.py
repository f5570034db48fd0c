"""The nine endpoints of the ClimaSense contract with their quotas (contract sections 1.2 and 2). Pure."""

from enum import StrEnum

import msgspec


class Quota(msgspec.Struct, frozen=True):
    """At most ``limit`` requests in any ``window_s`` seconds."""

    limit: int
    window_s: int


class Endpoint(StrEnum):
    """One row of the table of limits each: every endpoint has a bucket of its own."""

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
        """Whether a request names a thing that the cloud may not know: only then is a 404 about the request.

        Elsewhere a 404 says that the address is wrong, or that the API is being moved.
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
