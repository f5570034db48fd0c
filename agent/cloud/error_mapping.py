"""Maps HTTP responses and connection failures to errors by what the caller does next (contract section 1.4). Pure.

The status decides, never the text. The messages say what happened, to what, and what to check.
"""

import os
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp

from agent.cloud.contract import Endpoint, ErrorResponse, parse_error
from agent.config.network import is_strict_refusal
from agent.errors import Cause, ClimahubError, CloudUnavailable, Refused, Throttled, Unauthorized
from agent.foundation.log import redact
from agent.foundation.rfc3339 import to_utc_ms
from agent.foundation.text import sanitize

RETRY_AFTER_S_MAX = 24 * 3600.0
"""Limit of Retry-After: one wrong header must not silence a hub for a year."""

_REDIRECTED = ", a redirect, which is never followed with a key; check cloud.base_url"
_ADVICE = {304: " (not modified), which was not asked; check for a cache on the way to it"}

_REFUSED = {400, 403, 404, 409, 413, 415, 422}

_REFUSED_BY_ANYBODY = {413, 415}
"""A proxy's refusal of size or encoding counts like the API's: the next request takes the same path."""


def retry_after_s(headers: Mapping[str, str], *, now_utc_ms: int | None) -> float | None:
    """Return the seconds of Retry-After; `None` where it is missing or unusable.

    Both forms of RFC 9110, section 10.2.3. The date form is relative to the Date header of the same response, since
    this hub's clock may be wrong; to the hub's time without that header; and unusable without either.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_S_MAX)
    until_ms = http_date_ms(text)
    sent_ms = http_date_ms(headers.get("Date", ""))
    if sent_ms is None:
        sent_ms = now_utc_ms
    if until_ms is None or sent_ms is None:
        return None
    return min(max((until_ms - sent_ms) / 1000, 0.0), RETRY_AFTER_S_MAX)


def http_date_ms(text: str) -> int | None:
    """Return an HTTP date (RFC 9110, 5.6.7) as UTC milliseconds; `None` where it is none, or not of 1970 to 2200."""
    try:
        moment = parsedate_to_datetime(text)
        return to_utc_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError, TypeError, IndexError):
        # ValueError is the documented one; OverflowError for a year of ten digits (python/cpython#153406).
        return None


def error_for_response(
    endpoint: Endpoint, status: int, body: bytes, headers: Mapping[str, str], *, now_utc_ms: int | None
) -> ClimahubError:
    """Return the error for a non-2xx response.

    Only the API itself may refuse for good: with an error body of the contract, or without a body.

    Args:
        endpoint: Of the request: the same status may concern the request or the address.
        status: The HTTP status.
        body: As far as it was read.
        headers: Of the response.
        now_utc_ms: This hub's time, where it is known.
    """
    found = parse_error(body)
    is_contract = found is not None or not body
    response = found or ErrorResponse()
    detail = f": {redact(response.message)}" if response.message else ""
    text = f"{endpoint.value} was answered {status}{detail}"
    wait_s = retry_after_s(headers, now_utc_ms=now_utc_ms)
    if status == 401:  # noqa: PLR2004
        return Unauthorized(f"{text}; check that the hub's key is the one that ClimaSense shows for it")
    if status == 429:  # noqa: PLR2004
        return Throttled(text, retry_after_s=wait_s)
    if status in _REFUSED:
        return _refusal(endpoint, status, text, response.error, is_contract=is_contract)
    if 300 <= status < 400:  # noqa: PLR2004
        return CloudUnavailable(text + _ADVICE.get(status, _REDIRECTED), cause=Cause.WRONG_ADDRESS)
    cause = Cause.SERVER_ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Cause.UNUSABLE_ANSWER
    return CloudUnavailable(text, cause=cause, retry_after_s=wait_s)


def _refusal(endpoint: Endpoint, status: int, text: str, code: str, *, is_contract: bool) -> ClimahubError:
    if not is_contract and status not in _REFUSED_BY_ANYBODY:
        # The page of a firewall or a portal. Readings and commands must not be given up because of it.
        advice = "with something that is no answer of the API; check what is on the way to it"
        return CloudUnavailable(f"{text} {advice}", cause=Cause.WRONG_ADDRESS)
    if status == HTTPStatus.NOT_FOUND and not endpoint.names_resource:
        return CloudUnavailable(f"{text}; check cloud.base_url", cause=Cause.WRONG_ADDRESS)
    return Refused(text, status=status, code=code)


def connection_failure_text(error: aiohttp.ClientConnectorError) -> str:
    """Return the system's message ("Connection refused") instead of the library's."""
    number = error.os_error.errno or 0
    reason = os.strerror(number) if number > 0 else error.os_error.strerror
    is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
    whose, advice = ("the proxy ", "; check cloud.proxy and HTTPS_PROXY") if is_proxy else ("", "")
    return sanitize(f"no connection to {whose}{error.host}:{error.port} ({reason or type(error).__name__}){advice}")


def no_answer_text(error: Exception) -> str:
    """Return why a server gave no answer, for commands that talk to servers beside the hub's cloud."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
        return sanitize(f"the certificate of {error.host}:{error.port} is not accepted ({reason})")
    if isinstance(error, aiohttp.ClientConnectorError):
        return connection_failure_text(error)
    return sanitize(str(error)) or type(error).__name__


def proxy_refusal_text(error: aiohttp.ClientHttpProxyError) -> str:
    """Return how a proxy refused the connection."""
    place = f"{error.request_info.url.host}:{error.request_info.url.port}"
    what = "wants other credentials" if error.status == 407 else "makes no connection"  # noqa: PLR2004
    answer = f"{error.status} {error.message}".strip()
    return sanitize(f"the proxy on the way to {place} {what} ({answer}); check cloud.proxy and HTTPS_PROXY")


def certificate_failure_text(error: Exception, *, is_time_known: bool) -> str:
    """Return why a server's certificate is not accepted, and what to check."""
    advice = "check cloud.ca_file"
    if is_strict_refusal(error):
        advice = "this Python verifies strictly: the server's certificate or its authority has to be made anew"
        advice += " (docs/configuration.md, Certificates)"
    elif not is_time_known:
        advice = "the cause may be that this hub has no time yet"
    return f"the server's certificate is not accepted ({sanitize(str(error))}); {advice}"
