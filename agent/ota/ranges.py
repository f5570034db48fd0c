"""Parses the response to a range request: which bytes of the bundle its body has. Pure.

Servers differ (RFC 9110, sections 14 and 15.3). nginx and S3 answer a range with 206. A CDN in front of them may send
less than was requested, begin at a block of its own, send the whole file with 200, or send a changed or compressed
file. A few wrap a single range in multipart. No response is trusted: each MiB is compared with the signed manifest. No
`If-Range` is sent, since the tags of storage and CDNs change while the content does not. aiohttp parses the `Range` of
a request only, so the `Content-Range` of a response is parsed here.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from agent.errors import CloudUnavailable

PART_HEAD_BYTES_MAX = 8192
"""Size of the boundary and headers in front of a part."""

_CONTENT_RANGE = re.compile(
    r"\s*bytes[\s=]\s*(\d{1,18})\s*-\s*(\d{1,18})\s*/\s*(\d{1,18}|\*)\s*", re.ASCII | re.IGNORECASE
)
_PAGE_TYPES = ("text/", "application/json", "application/xhtml", "application/xml")
_MULTIPART = "multipart/byteranges"


class UnusableResponse(CloudUnavailable):
    """The response cannot be used. What was downloaded stays, and the whole file is requested next."""


class ByteRange(msgspec.Struct, frozen=True):
    """The bytes of the file in a response.

    Attributes:
        start: The first byte.
        end: The byte after the last; `None` where the end of the body shows it.
    """

    start: int
    end: int | None = None


def parse_range(status: int, headers: Mapping[str, str], *, requested: int, total: int) -> ByteRange | None:
    """Return the bytes in a response; `None` where they are named in its body (multipart).

    Args:
        status: 200, 206 or 416.
        headers: Of the response.
        requested: The first byte that was requested.
        total: Size of the bundle; 0 while it is unknown.

    Raises:
        UnusableResponse: It cannot be used.
    """
    kind = headers.get("Content-Type", "").strip().lower()
    if status == HTTPStatus.OK:
        return _whole_file(kind, headers, total)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise UnusableResponse(f"the server's file ends before byte {requested}; the whole file is requested next")
    if headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnusableResponse("the server sent a compressed part of the file, which cannot be used")
    if kind.startswith(_MULTIPART):
        return None
    return _parse_content_range(headers.get("Content-Range", ""), requested=requested, total=total)


def _whole_file(kind: str, headers: Mapping[str, str], total: int) -> ByteRange:
    if kind.startswith(_PAGE_TYPES):
        raise UnusableResponse(f"check the network and proxies: a page ({kind}) was sent instead of the file")
    length = headers.get("Content-Length", "")
    is_plain = headers.get("Content-Encoding", "identity").strip().lower() in {"", "identity"}
    if total and is_plain and length.isascii() and length.isdigit() and int(length[:18]) != total:
        raise UnusableResponse(
            f"the server's file has {length[:18]} bytes, not {total}; it may have been published again"
        )
    return ByteRange(0)


def _parse_content_range(text: str, *, requested: int, total: int) -> ByteRange:
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        raise UnusableResponse(f"the server does not name the part of the file that it sends ({text[:80]!r})")
    first, last, complete = int(match[1]), int(match[2]), match[3]
    if complete != "*" and total and int(complete) != total:
        raise UnusableResponse(f"the server's file has {complete} bytes, not {total}; it may have been published again")
    if not first <= requested <= last:
        raise UnusableResponse(f"the server sends bytes {first} to {last}, and {requested} is next")
    return ByteRange(first, last + 1)


class RangeBody:
    """Extracts the bytes from offset ``wanted`` of the file out of a body."""

    def __init__(self, byte_range: ByteRange | None, *, wanted: int, total: int) -> None:
        """Begin before the first byte.

        Args:
            byte_range: From `parse_range`; `None` for multipart.
            wanted: How many bytes of the file were downloaded before.
            total: Size of the bundle; 0 while it is unknown.
        """
        self._wanted = wanted
        self._total = total
        self._head = bytearray()
        self._skip, self._left = self._bounds(byte_range) if byte_range else (0, None)
        self._is_in_body = byte_range is not None

    def _bounds(self, byte_range: ByteRange) -> tuple[int, int | None]:
        return self._wanted - byte_range.start, None if byte_range.end is None else byte_range.end - byte_range.start

    def feed(self, data: bytes) -> bytes:
        """Return the wanted part of the next bytes.

        Raises:
            UnusableResponse: They are no single part of the file.
        """
        if not self._is_in_body:
            data = self._strip_part_head(data)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        return data[skipped:]

    def _strip_part_head(self, data: bytes) -> bytes:
        """Return the bytes behind the headers of the part."""
        self._head += data
        head, separator, rest = bytes(self._head).partition(b"\r\n\r\n")
        if not separator:
            if len(head) > PART_HEAD_BYTES_MAX:
                raise UnusableResponse("the server sends parts of the file without readable headers")
            return b""
        fields = dict(line.partition(":")[::2] for line in head.decode("latin-1").lower().split("\r\n"))
        byte_range = _parse_content_range(fields.get("content-range", ""), requested=self._wanted, total=self._total)
        self._skip, self._left = self._bounds(byte_range)
        self._is_in_body = True
        self._head.clear()
        return rest
