"""Amps' errors: every code with its HTTP status. Pure."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from agent.apis.amps import assumptions
from agent.errors import Rejected

STATUSES: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        assumptions.VALIDATION_ERROR: HTTPStatus.BAD_REQUEST,
        "UNAUTHORIZED": HTTPStatus.UNAUTHORIZED,
        "INVALID_API_KEY": HTTPStatus.UNAUTHORIZED,
        "EXPIRED_TOKEN": HTTPStatus.UNAUTHORIZED,
        "INSUFFICIENT_PERMISSIONS": HTTPStatus.FORBIDDEN,
        "LIVE_ACCESS_DISABLED": HTTPStatus.FORBIDDEN,
        "DEVICE_NOT_FOUND": HTTPStatus.NOT_FOUND,
        assumptions.ACTION_NOT_FOUND: HTTPStatus.NOT_FOUND,
        assumptions.NOT_FOUND: HTTPStatus.NOT_FOUND,
        assumptions.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
        assumptions.REQUEST_TIMEOUT: HTTPStatus.REQUEST_TIMEOUT,
        "CONFLICT": HTTPStatus.CONFLICT,
        "ACTION_NOT_CANCELLABLE": HTTPStatus.CONFLICT,
        assumptions.PAYLOAD_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "COMMAND_NOT_SUPPORTED": HTTPStatus.UNPROCESSABLE_ENTITY,
        "UNSUPPORTED_PARAMETER": HTTPStatus.UNPROCESSABLE_ENTITY,
        "UNSUPPORTED_UNIT": HTTPStatus.UNPROCESSABLE_ENTITY,
        "PARAMETER_OUT_OF_RANGE": HTTPStatus.UNPROCESSABLE_ENTITY,
        "EXECUTION_NOT_SUPPORTED": HTTPStatus.UNPROCESSABLE_ENTITY,
        "START_IN_PAST": HTTPStatus.UNPROCESSABLE_ENTITY,
        "START_OUT_OF_RANGE": HTTPStatus.UNPROCESSABLE_ENTITY,
        "INVALID_TIME_WINDOW": HTTPStatus.UNPROCESSABLE_ENTITY,
        "RATE_LIMIT_EXCEEDED": HTTPStatus.TOO_MANY_REQUESTS,
        "INTERNAL_ERROR": HTTPStatus.INTERNAL_SERVER_ERROR,
        assumptions.SERVICE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
"""The codes that a request may be answered with."""

DEVICE_CODES: Mapping[str, str] = MappingProxyType(
    {
        "DEVICE_OFFLINE": "The device is offline.",
        "DEVICE_NOT_FOUND": "The device is not known any more.",
        "SCHEDULER_ACTIVE": "The device's own scheduler is active.",
        "NETWORK_ERROR": "The device could not be reached.",
        "RATE_LIMITED": "The device takes no more commands for now.",
        "SERVICE_UNAVAILABLE": "The device's service is not available.",
        "TIMEOUT": "The device did not answer in time.",
        "UNKNOWN_ERROR": "The device refused for an unknown reason.",
    }
)
"""The codes that an action may fail with, with the message for each (/reference/error-codes)."""


class AmpsRefused(Rejected):
    """A request that is answered with an error of Amps.

    Attributes:
        code: One of `STATUSES`.
        details: What a program needs to make a right request.
    """

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details: Mapping[str, Any] = details or {}

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status."""
        return STATUSES[self.code]
