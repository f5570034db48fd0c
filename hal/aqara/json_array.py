"""Takes the JSON array of an endpoint apart, one element at a time, before anything is built of it. Pure.

Two bytes of JSON can become seventy of memory. So a document from outside is scanned, counted and cut first; only one
element at a time is decoded. Must never build the whole of it.
"""

import re
from collections.abc import Iterator

import msgspec

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The exceptions of msgspec for unexpected bytes: its own, one for text that is not UTF-8, and one for deep nesting."""

# Possessive: with backtracking, two bytes of an escape took 120 of memory.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)
_SPACE = b" \t\r\n"


def split_array(document: bytes, *, elements_max: int, element_bytes_max: int) -> Iterator[bytes | None]:
    """Yield the elements of an array, unchanged and not checked; `None` for each that is too long.

    Args:
        document: The array.
        elements_max: The scan ends at one more.
        element_bytes_max: Of one element.

    Raises:
        ValueError: It is no array, is cut off, or has more elements. Raised where the scan gets there.
    """
    body = document.strip(_SPACE)
    if body[:1] != b"[":
        raise ValueError("the device list is no array")
    if not body[1:-1].strip(_SPACE) and body[-1:] == b"]":
        return
    for count, (begin, end) in enumerate(_spans(body), 1):
        if count > elements_max:
            raise ValueError(f"the device list has more than {elements_max} devices")
        yield body[begin:end] if end - begin <= element_bytes_max else None


def _spans(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each part between the commas of the outermost level begins and ends."""
    depth, begin = 0, 1
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token == b'"':
            break
        if token in {b"{", b"["}:
            depth += 1
        elif token in {b"}", b"]"}:
            depth -= 1
        if depth == 0 or (depth == 1 and token == b","):
            yield begin, match.start()
            begin = match.end()
        if depth == 0:
            if begin != len(body):
                raise ValueError("something follows the end of the device list")
            return
    raise ValueError("the device list is cut off")
