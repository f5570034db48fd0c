"""Whether telemetry goes out with gzip. The contract does not say that the cloud takes it, so it is found out. Pure.

A server may refuse a compressed body (415), misread it (400, 422), fail on it (5xx) or never answer: each of these is
followed by the same readings without gzip. Must never let compression keep a reading from the cloud.
"""

import zlib
from enum import Enum
from http import HTTPStatus

GZIP_LEVEL = 6
GZIP_BYTES_MIN = 200
"""A smaller body grows by the gzip header more than it shrinks."""

STRIKES_MAX = 3
"""Compressed bodies that failed while the same without gzip went through at once, in a row: gzip is at fault."""

FAILURES_MAX = 3
"""Failures in a row after which even proven compression is doubted: something on the way may have changed."""

_UNREADABLE_BODY = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY}
"""How a server that cannot read a compressed body may answer; 415 is the proper way (RFC 9110, 15.5.16)."""

_NO_STATUS = 0


class CompressionState(Enum):
    """What is known of it. While it is doubted, the next body goes out plain."""

    UNTESTED = "unproven"
    SUSPECTED = "doubted"
    CONFIRMED = "proven"
    OFF = "off"


class CompressionTrial:
    """Decides for each body whether to compress it, from what became of those before."""

    def __init__(self, *, is_wanted: bool) -> None:
        self.state = CompressionState.UNTESTED if is_wanted else CompressionState.OFF
        self._doubted_for = _NO_STATUS
        self._strikes = 0
        self._failures = 0

    def should_compress(self, body_bytes: int) -> bool:
        """Tell whether the next body, of this size, is to be compressed."""
        return self.state in {CompressionState.UNTESTED, CompressionState.CONFIRMED} and body_bytes >= GZIP_BYTES_MIN

    def record_accepted(self, *, is_compressed: bool) -> None:
        """A body was accepted."""
        self._failures = 0
        if is_compressed:
            self.state, self._strikes = CompressionState.CONFIRMED, 0
        elif self.state is CompressionState.SUSPECTED:
            self._strikes += 1
            # A refusal is the server's own word; a failure may have been a coincidence.
            is_over = self._doubted_for != _NO_STATUS or self._strikes >= STRIKES_MAX
            self.state = CompressionState.OFF if is_over else CompressionState.UNTESTED

    def record_refused(self, status: int, *, is_compressed: bool) -> bool:
        """A body was refused with a 4xx; tell whether the same is to be sent again without gzip."""
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
        # Refused without gzip as well: it was the readings, not the compression.
        return CompressionState.CONFIRMED

    def record_failed(self, *, is_compressed: bool) -> None:
        """A body went out and no usable answer came: 5xx, time-out, reset, or something else than the contract says."""
        self._failures += 1
        if is_compressed:
            if self.state is CompressionState.UNTESTED or self._failures >= FAILURES_MAX:
                self.state, self._doubted_for = CompressionState.SUSPECTED, _NO_STATUS
        elif self.state is CompressionState.SUSPECTED and self._doubted_for == _NO_STATUS:
            # Plain fails as well: it is the cloud, not the compression.
            self.state = CompressionState.UNTESTED


def gzip_body(body: bytes) -> bytes:
    """Return a body as `Content-Encoding: gzip` wants it."""
    return zlib.compress(body, GZIP_LEVEL, wbits=31)
