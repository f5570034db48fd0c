"""Which bytes a download asks for: Range, If-Range and the entity tag (RFC 9110, 13.1.5 and 14). Pure."""

import re

_SINGLE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class RangeUnsatisfiable(ValueError):
    """The range lies outside the representation: answer 416."""


def entity_tag(sha256_hex: str) -> str:
    """Return the strong entity tag of content with this digest."""
    return f'"{sha256_hex}"'


def parse_range(range_header: str | None, if_range: str | None, *, tag: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the byte after the last one to send, or `None` for the whole.

    A header that is not one plain byte range (another unit, several ranges, nonsense) is ignored, as RFC 9110, 14.2
    allows. So is any range when `If-Range` does not hold this very tag: the client has a part of something else. A date
    in `If-Range` never matches, since no Last-Modified is sent.

    Raises:
        RangeUnsatisfiable: No byte of the range exists.
    """
    if range_header is None or (if_range is not None and if_range != tag):
        return None
    match = _SINGLE_RANGE.fullmatch(range_header.strip())
    if match is None:
        return None
    first_text, last_text = match.groups()
    if not first_text:
        return _suffix(last_text, size)
    first = int(first_text)
    if last_text and int(last_text) < first:
        return None
    if first >= size:
        raise RangeUnsatisfiable(range_header)
    return first, min(int(last_text) + 1, size) if last_text else size


def _suffix(length_text: str, size: int) -> tuple[int, int] | None:
    if not length_text:
        return None
    length = int(length_text)
    if length == 0 or size == 0:
        raise RangeUnsatisfiable(length_text)
    return max(0, size - length), size
