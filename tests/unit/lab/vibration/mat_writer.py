"""Writes MAT-files of level 5 for tests, element by element as "MAT-File Format" lays them out."""

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Value = NDArray[np.generic] | Mapping[str, "Value"]
_TYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
_DOUBLE, _STRUCTURE = 6, 2


def element(kind: int, body: bytes, order: str = "<", *, may_be_small: bool = True) -> bytes:
    """Return a data element; one of up to four bytes in the small format."""
    if may_be_small and 0 < len(body) <= 4:
        return struct.pack(f"{order}I", len(body) << 16 | kind) + body.ljust(4, b"\0")
    return struct.pack(f"{order}II", kind, len(body)) + body + b"\0" * (-len(body) % 8)


def matrix(name: str, value: Value, order: str = "<", flags: int = 0) -> bytes:
    """Return an array or, for a mapping, a structure."""
    is_structure = isinstance(value, Mapping)
    shape = (1, 1) if is_structure else np.atleast_2d(np.asarray(value)).shape
    head = element(6, struct.pack(f"{order}II", (_STRUCTURE if is_structure else _DOUBLE) | flags << 8, 0), order)
    head += element(5, struct.pack(f"{order}{len(shape)}i", *shape), order) + element(1, name.encode(), order)
    if isinstance(value, Mapping):
        names = b"".join(field.encode().ljust(32, b"\0") for field in value)
        body = element(5, struct.pack(f"{order}i", 32), order) + element(1, names, order)
        body += b"".join(matrix("", each, order) for each in value.values())
    else:
        numbers = np.atleast_2d(np.asarray(value))
        kind = _TYPES[numbers.dtype.str[1:]]
        body = element(kind, numbers.astype(f"{order}{numbers.dtype.str[1:]}").tobytes(order="F"), order)
    return element(14, head + body, order, may_be_small=False)


def mat_file(values: Mapping[str, Value], *, order: str = "<", is_compressed: bool = False) -> bytes:
    """Return a file that holds the values."""
    body = b""
    for name, value in values.items():
        one = matrix(name, value, order)
        if is_compressed:
            packed = zlib.compress(one)
            one = struct.pack(f"{order}II", 15, len(packed)) + packed
        body += one
    mark = b"IM" if order == "<" else b"MI"
    return b"MATLAB 5.0 MAT-file, written by a test".ljust(124) + b"\x00\x01" + mark + body
