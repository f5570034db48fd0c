"""Where in a bundle the body of an answer belongs: what servers make of `Range`. Pure.

Servers differ (RFC 9110, sections 14 and 15.3): nginx and S3 answer a range with 206; a CDN in front of them may send
less of it than was asked for, begin at a block of its own, send the whole file with 200, or a file that was changed or
compressed since; a few wrap a single range in multipart. None of it is trusted: each MiB is compared with the signed
manifest. No `If-Range` is sent, since the tags of storage and CDNs change while the content does not.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from agent.errors import CloudUnavailable

PART_HEAD_BYTES_MAX = 8192
"""Of the boundary and headers in front of a part."""

_CONTENT_RANGE = re.compile(
    r"\s*bytes[\s=]\s*(\d{1,18})\s*-\s*(\d{1,18})\s*/\s*(\d{1,18}|\*)\s*", re.ASCII | re.IGNORECASE
)
_PAGES = ("text/", "application/json", "application/xhtml", "application/xml")
_MULTIPART = "multipart/byteranges"


class UnusableResponse(CloudUnavailable):
    """What the server sent cannot be put in its place; what is there stays, and the whole file is asked for next."""


class ByteRange(msgspec.Struct, frozen=True):
    """Which bytes of its file a server sends.

    Attributes:
        begins: The first.
        ends: After the last; `None` where the body says it by its end.
    """

    begins: int
    ends: int | None = None


def parse_range(status: int, headers: Mapping[str, str], *, asked: int, whole: int) -> ByteRange | None:
    """Return which bytes an answer brings; `None` where its body says so itself (multipart).

    Args:
        status: 200, 206 or 416.
        headers: Of the answer.
        asked: The first byte that was asked for.
        whole: How large the bundle is; 0 where that is not known.

    Raises:
        UnusableResponse: They are no use here.
    """
    kind = headers.get("Content-Type", "").strip().lower()
    if status == HTTPStatus.OK:
        return _of_whole(kind, headers, whole)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise UnusableResponse(f"the server's file ends before byte {asked}; the whole is asked for next")
    if headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnusableResponse("the server compresses a part of the file, which cannot be put in its place")
    if kind.startswith(_MULTIPART):
        return None
    return _checked(headers.get("Content-Range", ""), asked=asked, whole=whole)


def _of_whole(kind: str, headers: Mapping[str, str], whole: int) -> ByteRange:
    if kind.startswith(_PAGES):
        raise UnusableResponse(f"a page ({kind}) came in the place of the file; check what is on the way to the cloud")
    length = headers.get("Content-Length", "")
    is_plain = headers.get("Content-Encoding", "identity").strip().lower() in {"", "identity"}
    if whole and is_plain and length.isascii() and length.isdigit() and int(length[:18]) != whole:
        raise UnusableResponse(
            f"the server's file has {length[:18]} bytes, not {whole}; it may be published anew just now"
        )
    return ByteRange(0)


def _checked(text: str, *, asked: int, whole: int) -> ByteRange:
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        raise UnusableResponse(f"the server does not say which part of the file it sends ({text[:80]!r})")
    begins, last, total = int(match[1]), int(match[2]), match[3]
    if total != "*" and whole and int(total) != whole:
        raise UnusableResponse(f"the server's file has {total} bytes, not {whole}; it may be published anew just now")
    if not begins <= asked <= last:
        raise UnusableResponse(f"the server sends bytes {begins} to {last}, and {asked} is next")
    return ByteRange(begins, last + 1)


class RangeBody:
    """Cuts out of a body what belongs behind the first ``wanted`` bytes of the file."""

    def __init__(self, span: ByteRange | None, *, wanted: int, whole: int) -> None:
        """Begin before the first byte.

        Args:
            span: What the answer brings; `None` for multipart.
            wanted: How much is there already.
            whole: How large the bundle is; 0 where that is not known.
        """
        self._wanted = wanted
        self._whole = whole
        self._head = bytearray()
        self._skip, self._left = self._of(span) if span else (0, None)
        self._is_open = span is not None

    def _of(self, span: ByteRange) -> tuple[int, int | None]:
        return self._wanted - span.begins, None if span.ends is None else span.ends - span.begins

    def feed(self, data: bytes) -> bytes:
        """Return what of the next bytes is wanted.

        Raises:
            UnusableResponse: It is no single part of the file.
        """
        if not self._is_open:
            data = self._opened(data)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        return data[skipped:]

    def _opened(self, data: bytes) -> bytes:
        """Return what follows the headers of the part."""
        self._head += data
        head, separator, rest = bytes(self._head).partition(b"\r\n\r\n")
        if not separator:
            if len(head) > PART_HEAD_BYTES_MAX:
                raise UnusableResponse("the server sends parts of the file that cannot be told apart")
            return b""
        fields = dict(line.partition(":")[::2] for line in head.decode("latin-1").lower().split("\r\n"))
        span = _checked(fields.get("content-range", ""), asked=self._wanted, whole=self._whole)
        self._skip, self._left = self._of(span)
        self._is_open = True
        self._head.clear()
        return rest
