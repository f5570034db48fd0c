"""Decides whether telemetry is sent with gzip. The contract is silent about gzip, so this is found out by trial. Pure.

A server may refuse a compressed body (415), misread it (400, 422), fail on it (5xx) or never respond. After each of
these the same readings are sent without gzip. Compression must never keep a reading from the cloud.
"""

import zlib
from enum import Enum
from http import HTTPStatus

GZIP_LEVEL = 6
GZIP_BYTES_MIN = 200
"""A smaller body grows by the gzip header more than it shrinks."""

STRIKES_MAX = 3
"""After as many compressed bodies in a row that failed and succeeded at once without gzip, gzip is off."""

FAILURES_MAX = 3
"""Failures in a row after which even confirmed compression is suspected: a proxy on the path may have changed."""

_UNREADABLE_BODY = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY}
"""Responses of a server that cannot read a compressed body; 415 is the proper one (RFC 9110, 15.5.16)."""

_NO_STATUS = 0


class CompressionState(Enum):
    """What the trial has shown. While gzip is suspected, the next body is sent plain. The values are shown in JSON."""

    UNTESTED = "unproven"
    SUSPECTED = "doubted"
    CONFIRMED = "proven"
    OFF = "off"


class CompressionTrial:
    """Decides for each body whether to compress it, from the outcome of earlier ones."""

    def __init__(self, *, is_wanted: bool) -> None:
        self.state = CompressionState.UNTESTED if is_wanted else CompressionState.OFF
        self._doubted_for = _NO_STATUS
        self._strikes = 0
        self._failures = 0

    def should_compress(self, body_bytes: int) -> bool:
        """Tell whether to compress the next body, of this size."""
        return self.state in {CompressionState.UNTESTED, CompressionState.CONFIRMED} and body_bytes >= GZIP_BYTES_MIN

    def record_accepted(self, *, is_compressed: bool) -> None:
        """Record that a body was accepted."""
        self._failures = 0
        if is_compressed:
            self.state, self._strikes = CompressionState.CONFIRMED, 0
        elif self.state is CompressionState.SUSPECTED:
            self._strikes += 1
            # A refusal is certain; a failure may have been a coincidence.
            is_over = self._doubted_for != _NO_STATUS or self._strikes >= STRIKES_MAX
            self.state = CompressionState.OFF if is_over else CompressionState.UNTESTED

    def record_refused(self, status: int, *, is_compressed: bool) -> bool:
        """Record that a body was refused with a 4xx; tell whether to send the same again without gzip."""
        if is_compressed:
            is_doubtful = self.state is CompressionState.UNTESTED or status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            if status not in _UNREADABLE_BODY or not is_doubtful:
                return False
            self.state, self._doubted_for = CompressionState.SUSPECTED, status
            return True
        if self.state is CompressionState.SUSPECTED:
            self.state = self._after_plain_refusal(status)
        return False

    def _after_plain_refusal(self, status: int) -> CompressionState:
        if self._doubted_for == _NO_STATUS:
            return CompressionState.UNTESTED
        if self._doubted_for == HTTPStatus.UNSUPPORTED_MEDIA_TYPE != status:
            return CompressionState.OFF
        # Refused without gzip as well: the readings are at fault, not the compression.
        return CompressionState.CONFIRMED

    def record_failed(self, *, is_compressed: bool) -> None:
        """Record that a body got no usable response: 5xx, timeout, reset, or a response outside the contract."""
        self._failures += 1
        if is_compressed:
            if self.state is CompressionState.UNTESTED or self._failures >= FAILURES_MAX:
                self.state, self._doubted_for = CompressionState.SUSPECTED, _NO_STATUS
        elif self.state is CompressionState.SUSPECTED and self._doubted_for == _NO_STATUS:
            # The plain body fails as well: the cloud is at fault, not the compression.
            self.state = CompressionState.UNTESTED


def gzip_body(body: bytes) -> bytes:
    """Return a body for `Content-Encoding: gzip`."""
    return zlib.compress(body, GZIP_LEVEL, wbits=31)
