"""Reads the numeric arrays of a MATLAB level 5 MAT-file: what `save` writes from MATLAB 5 on, without or with -v7.

Source of the format: The MathWorks, "MAT-File Format", chapter 1, "Level 5 MAT-File Format". Read are real arrays of
numbers, also compressed ones and those in the fields of structures; skipped is what a recording is not made of (texts,
cells, objects, sparse and complex arrays). Never runs anything that a file holds.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agent.errors import Rejected

HEADER_BYTES = 128
ARRAY_BYTES_MAX = 512 * 1024 * 1024
"""Of one variable once it is decompressed."""
DEPTH_MAX = 4
"""Of structures within structures."""

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Data types of elements (table 1-1), as numpy calls them."""
_STRUCTURE = 2
_NAME_PART, _NUMBERS_PART = 2, 3
"""Places among the sub-elements of an array, after its flags and dimensions."""
_FIRST_NUMERIC_CLASS, _LAST_NUMERIC_CLASS = 6, 15
"""Classes of arrays (table 1-3): double, single, and integers of 8 to 64 bits."""
_COMPLEX_FLAG = 0x08


class _Damaged(Exception):
    """The bytes are not those of the format."""


def read_mat(content: bytes) -> dict[str, NDArray[np.float64]]:
    """Return the real numeric arrays by name; a structure's field is named "STRUCTURE.FIELD".

    Args:
        content: The whole file.

    Raises:
        Rejected: It is no MAT-file of level 5, it is cut short or damaged, or a variable is too large.
    """
    mark = content[126:128]
    if len(content) < HEADER_BYTES or mark not in (b"IM", b"MI"):
        raise Rejected("save the recording with MATLAB's save -v7: this is no level 5 MAT-file")
    order = "<" if mark == b"IM" else ">"
    found: dict[str, NDArray[np.float64]] = {}
    try:
        for kind, body in _elements(content[HEADER_BYTES:], order):
            if kind == _COMPRESSED:
                inner = next(_elements(_decompressed(body), order), (0, b""))
                found |= _arrays(inner[1], order) if inner[0] == _MATRIX else {}
            elif kind == _MATRIX:
                found |= _arrays(body, order)
    except (_Damaged, struct.error, zlib.error, ValueError, UnicodeDecodeError) as error:
        raise Rejected(f"copy the recording anew: the MAT-file is cut short or damaged ({error})") from error
    return found


def _decompressed(body: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(body, ARRAY_BYTES_MAX)
    if unpacker.unconsumed_tail:
        raise Rejected(f"cut the recording into pieces: a variable has more than {ARRAY_BYTES_MAX} bytes")
    if not unpacker.eof:
        raise _Damaged("a compressed variable ends early")
    return content


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield each data element: its type and its bytes."""
    at = 0
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:
            # The small format: type and size share four bytes, and up to four bytes of data follow.
            kind, size = kind & 0xFFFF, kind >> 16
            start, after = at + 4, at + 8
        else:
            start = at + 8
            after = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(content):
            raise _Damaged("a variable is longer than the file")
        yield kind, content[start : start + size]
        at = after


def _arrays(body: bytes, order: str, within: str = "", depth: int = 0) -> dict[str, NDArray[np.float64]]:
    """Return the arrays of one matrix element; ``within`` is the name that a field's own empty one is replaced by."""
    if not body:
        return {}
    parts = list(_elements(body, order))
    if len(parts) < _NAME_PART + 1:
        raise _Damaged("a variable has no dimensions or no name")
    flags = struct.unpack_from(f"{order}I", parts[0][1])[0]
    array_class, is_complex = flags & 0xFF, bool(flags >> 8 & _COMPLEX_FLAG)
    dimensions = np.frombuffer(parts[1][1], f"{order}i4")
    name = within or parts[_NAME_PART][1].decode("utf-8")
    if not name:
        return {}  # what MATLAB keeps for its own objects
    if array_class == _STRUCTURE and depth < DEPTH_MAX:
        return _fields(parts, name, order, depth)
    if not _FIRST_NUMERIC_CLASS <= array_class <= _LAST_NUMERIC_CLASS or is_complex or len(parts) <= _NUMBERS_PART:
        return {}
    kind, raw = parts[_NUMBERS_PART]
    if kind not in _NUMBERS:
        raise _Damaged(f"{name} holds numbers of an unknown type {kind}")
    numbers = np.frombuffer(raw, f"{order}{_NUMBERS[kind]}").astype(np.float64)
    return {name: numbers.reshape(dimensions, order="F")}


def _fields(parts: list[tuple[int, bytes]], name: str, order: str, depth: int) -> dict[str, NDArray[np.float64]]:
    width = struct.unpack_from(f"{order}i", parts[3][1])[0]
    if width <= 0:
        raise _Damaged(f"the fields of {name} have no names")
    names = [parts[4][1][at : at + width].split(b"\0")[0].decode("utf-8") for at in range(0, len(parts[4][1]), width)]
    found: dict[str, NDArray[np.float64]] = {}
    # An array of structures repeats the fields; a recording is in the first.
    for field, (kind, body) in zip(names, parts[5:], strict=False):
        if kind == _MATRIX:
            found |= _arrays(body, order, f"{name}.{field}", depth + 1)
    return found
