"""The cloud's answer as an offer that can be fetched and compared. Pure.

A checksum is compared in whichever spelling it comes; one that cannot be compared, like a version that no bundle can
have, makes the offer void, with words: nothing that the cloud promised is passed over.
"""

import base64
import re

import msgspec

from agent.cloud.messages import UpdateCheckResponse
from agent.errors import Rejected
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.ota.manifest import DIGEST_BYTES, PAYLOAD_BYTES_MAX, Offer, Version

SHOWN_CHARS_MAX = 80
"""Of a value of the cloud in a message."""

_NAMED = re.compile(r"sha-?256\s*[:=-]\s*:?", re.IGNORECASE)
"""Before the digest: the contract's `sha256:`, RFC 9530's `sha-256=:`, the `sha256-` of Subresource Integrity."""
_HEX = re.compile(r"(?:0x)?([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{43}=?:?", re.ASCII)
"""32 bytes: 43 characters, whose padding may be left out. No hexadecimal digest has that length."""


def parse_offer(answer: UpdateCheckResponse) -> Offer | None:
    """Return what the cloud offers; `None` where it offers nothing.

    Raises:
        Rejected: It offers something that cannot be fetched or compared as it stands.
    """
    if not answer.update_available or not answer.version:
        return None
    try:
        version = msgspec.convert(answer.version, Version)
    except DECODE_ERRORS as error:
        shown = _shown(answer.version)
        raise Rejected(
            f"the cloud offers version {shown}, which no bundle can have; publish it under another"
        ) from error
    size = answer.size_bytes or 0
    if not 0 <= size <= 2 * PAYLOAD_BYTES_MAX:
        raise Rejected(f"the cloud offers {version} with a size of {_shown(str(size))} bytes; publish it anew")
    return Offer(version, _sha256_of(version, answer.checksum or ""), size)


def _sha256_of(version: str, checksum: str) -> str:
    """Return the digest in lower-case hexadecimal; empty where there is none."""
    text = checksum.strip()
    if not text:
        return ""
    named = _NAMED.match(text)
    digest = text[named.end() :].strip() if named else text
    if found := _HEX.fullmatch(digest):
        return found[1].lower()
    if _BASE64.fullmatch(digest):
        decoded = base64.urlsafe_b64decode(digest[:43].replace("+", "-").replace("/", "_") + "=")
        if len(decoded) == DIGEST_BYTES:
            return decoded.hex()
    raise Rejected(
        f"the cloud offers {version} with the checksum {_shown(checksum)}, which is no SHA-256 that could be compared;"
        " publish it with sha256: and 64 hexadecimal digits"
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…")
