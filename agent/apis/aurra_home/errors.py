"""Errors of AURRA Home in its envelope, and what errors of the hub become there. Pure."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

import msgspec

from agent.apis.aurra_home.assumptions import OTHER_ERRORS
from agent.apis.face import ApiAnswer, ApiProblem, ApiRefused, ProblemKind
from agent.errors import UnknownDevice

INVALID_REQUEST = "INVALID_REQUEST"
INVALID_TEMPERATURE = "INVALID_TEMPERATURE"
UNAUTHORIZED = "UNAUTHORIZED"
INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
INSUFFICIENT_SCOPE = "INSUFFICIENT_SCOPE"
DEVICE_NOT_FOUND = "DEVICE_NOT_FOUND"
RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
INTERNAL_ERROR = "INTERNAL_ERROR"
SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"

NO_DEVICE = "name a zone of this hub that this client may see"

_CODES: Mapping[ProblemKind, str] = MappingProxyType(
    {
        ProblemKind.NO_CREDENTIAL: UNAUTHORIZED,
        ProblemKind.MISSING_SCOPE: INSUFFICIENT_SCOPE,
        ProblemKind.RATE_LIMITED: RATE_LIMIT_EXCEEDED,
        ProblemKind.DEFECT: INTERNAL_ERROR,
        ProblemKind.UNAVAILABLE: SERVICE_UNAVAILABLE,
    }
)


class ErrorObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of the envelope."""

    code: str
    message: str
    retry_after: int | None = None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    """Every error. `docs` of the contract is left out: it names a site of the vendor."""

    error: ErrorObject


def answer_error(status: HTTPStatus, code: str, message: str, *, retry_after_s: int | None = None) -> ApiAnswer:
    """Return an error as it is sent."""
    headers = {}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="aurra-home"'
    return ApiAnswer(ErrorEnvelope(ErrorObject(code, message, retry_after_s)), status, headers)


def refused(status: HTTPStatus, code: str, message: str, *, retry_after_s: int | None = None) -> ApiRefused:
    """Return an error to raise."""
    return ApiRefused(answer_error(status, code, message, retry_after_s=retry_after_s))


def invalid(message: str) -> ApiRefused:
    """Return the refusal of a body that is not what the contract says."""
    return refused(HTTPStatus.BAD_REQUEST, INVALID_REQUEST, message)


def no_device() -> ApiRefused:
    """Return the refusal of a device that does not exist for this client."""
    return refused(HTTPStatus.NOT_FOUND, DEVICE_NOT_FOUND, NO_DEVICE)


def word(problem: ApiProblem) -> ApiAnswer:
    """Return a problem of the frame or of a service of the hub as this API words it."""
    if isinstance(problem.error, UnknownDevice):
        return answer_error(HTTPStatus.NOT_FOUND, DEVICE_NOT_FOUND, NO_DEVICE)
    code = _CODES.get(problem.kind, OTHER_ERRORS)
    return answer_error(problem.status, code, problem.message, retry_after_s=problem.retry_after_s)
