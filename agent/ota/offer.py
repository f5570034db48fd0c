"""Parses the cloud's answer to a check into an offer. Pure.

A checksum is accepted in each usual spelling. An offer is refused with a reason where its checksum cannot be compared
or no bundle can have its version: a promise of the cloud must never be ignored.
"""

import base64
import re

import msgspec

from agent.cloud.contract import UpdateCheckResponse
from agent.errors import Rejected
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.ota.manifest import DIGEST_BYTES, PAYLOAD_BYTES_MAX, Offer, Version

SHOWN_CHARS_MAX = 80
"""Of a foreign value in a message."""

_ALGORITHM = re.compile(r"sha-?256\s*[:=-]\s*:?", re.IGNORECASE)
"""In front of the digest: the contract's `sha256:`, RFC 9530's `sha-256=:`, the `sha256-` of Subresource Integrity."""
_HEX = re.compile(r"(?:0x)?([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{43}=?:?", re.ASCII)
"""32 bytes: 43 characters, whose padding may be left out. No hexadecimal digest has that length."""


def parse_offer(answer: UpdateCheckResponse) -> Offer | None:
    """Return the offer in an answer; `None` where it has none.

    Raises:
        Rejected: The offer cannot be downloaded or compared.
    """
    if not answer.update_available or not answer.version:
        return None
    try:
        version = msgspec.convert(answer.version, Version)
    except DECODE_ERRORS as error:
        shown = _shown(answer.version)
        raise Rejected(
            f"publish the release under another version: the cloud offers {shown}, which no bundle can have"
        ) from error
    size = answer.size_bytes or 0
    if not 0 <= size <= 2 * PAYLOAD_BYTES_MAX:
        raise Rejected(f"publish release {version} again: the cloud offers it with a size of {_shown(str(size))} bytes")
    return Offer(version, _sha256_of(version, answer.checksum or ""), size)


def _sha256_of(version: str, checksum: str) -> str:
    """Return the digest in lower-case hexadecimal; empty where there is none."""
    text = checksum.strip()
    if not text:
        return ""
    algorithm = _ALGORITHM.match(text)
    digest = text[algorithm.end() :].strip() if algorithm else text
    if found := _HEX.fullmatch(digest):
        return found[1].lower()
    if _BASE64.fullmatch(digest):
        decoded = base64.urlsafe_b64decode(digest[:43].replace("+", "-").replace("/", "_") + "=")
        if len(decoded) == DIGEST_BYTES:
            return decoded.hex()
    raise Rejected(
        f"publish release {version} with sha256: and 64 hexadecimal digits: the cloud offers it with the checksum"
        f" {_shown(checksum)}, which is no SHA-256"
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…")
