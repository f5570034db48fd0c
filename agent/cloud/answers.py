"""What an HTTP answer means for the caller (contract section 1.4). Pure; the status decides first, never the text."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from agent.cloud.wire import ErrorAnswer
from agent.errors import ClimahubError, CloudUnavailable, Refused, Throttled, Unauthorized
from agent.foundation.decoding import UNREADABLE
from agent.foundation.redaction import redact

RETRY_AFTER_S_MAX = 24 * 3600.0
"""A server that asks for longer is not believed: one wrong header must not silence a hub for a year."""

_MESSAGE_CHARACTERS_MAX = 200

_decode_error = msgspec.json.Decoder(ErrorAnswer).decode

_REFUSED = {400, 403, 404, 409, 413, 415, 422}

_REFUSED_BY_ANYBODY = {413, 415}
"""A proxy's word on size and encoding counts like the API's: the way through it is the same for the next request."""


def retry_after_s(headers: Mapping[str, str], *, now_utc_ms: int | None) -> float | None:
    """Return the wait that Retry-After asks for, in seconds; `None` where it says nothing usable.

    Both forms of RFC 9110, section 10.2.3. The date form is taken against the answer's own Date header first, since
    this hub's clock may be wrong; without either, it is not usable.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_S_MAX)
    until = _http_date(text)
    sent = _http_date(headers.get("Date", ""))
    if sent is None and now_utc_ms is not None:
        sent = datetime.fromtimestamp(now_utc_ms / 1000, UTC)
    if until is None or sent is None:
        return None
    return min(max((until - sent).total_seconds(), 0.0), RETRY_AFTER_S_MAX)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def problem(
    what: str, status: int, body: bytes, headers: Mapping[str, str], *, now_utc_ms: int | None
) -> ClimahubError:
    """Return the error that a non-2xx answer stands for.

    Only the API itself may refuse for good: with an error body of the contract, or with none at all.

    Args:
        what: The request, for the message ("POST /v1/telemetry").
        status: The HTTP status.
        body: As far as it was read.
        headers: Of the answer.
        now_utc_ms: This hub's time, where it is known.
    """
    is_contract = True
    try:
        said = _decode_error(body)
    except UNREADABLE:
        said = ErrorAnswer()
        is_contract = not body
    detail = f": {redact(said.message)[:_MESSAGE_CHARACTERS_MAX]}" if said.message else ""
    text = f"{what} was answered {status}{detail}"
    wait_s = retry_after_s(headers, now_utc_ms=now_utc_ms)
    if status == 401:  # noqa: PLR2004
        return Unauthorized(f"{text}; check that the hub's key is the one that ClimaSense shows for it")
    if status == 429:  # noqa: PLR2004
        return Throttled(text, retry_after_s=wait_s)
    if status in _REFUSED and not is_contract and status not in _REFUSED_BY_ANYBODY:
        # A firewall's or a portal's page. Readings and commands must not be given up on a stranger's word.
        return CloudUnavailable(f"{text} with something that is no answer of the API; check what is on the way to it")
    if status in _REFUSED:
        return Refused(text, status=status, code=said.error)
    if 300 <= status < 400:  # noqa: PLR2004
        return CloudUnavailable(f"{text}, a redirect, which is never followed with a key; check cloud.base_url")
    return CloudUnavailable(text, retry_after_s=wait_s)
