"""How one commit's readings become one compact blob, and back, to the bit. Pure.

A blob is deflated JSON of three columns: series numbers, milliseconds since the blob's first reading, values. JSON has
the shortest decimal text that gives the same double back, so every finite value survives; what a sensor rounds to two
decimals takes two to four bytes after deflation, against eight as a double (docs/performance.md, outbox).
"""

import zlib
from collections.abc import Sequence

import msgspec

from agent.errors import Corrupt
from agent.foundation.lenient_json import DECODE_ERRORS

READINGS_MAX = 100
"""Readings in one blob: as many as a batch may hold, so that what a crash makes us send twice stays small."""

BLOB_BYTES_MAX = 64 * 1024
"""More than 100 readings can take when inflated (about 50 bytes each at the very worst)."""

_LEVEL = 1
"""Level 6 saves 8 % more bytes and takes twice the time."""


class Columns(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The content of a blob; the three lists have the same length.

    Attributes:
        series: Numbers that the outbox gave to (device, kind).
        offset_ms: Milliseconds after the blob's first instant; may be negative, since reports may come late.
        values: As measured.
    """

    series: list[int]
    offset_ms: list[int]
    values: list[float]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Columns).decode


def encode(series: Sequence[int], offset_ms: Sequence[int], values: Sequence[float]) -> bytes:
    """Return the blob of three columns of equal length."""
    return zlib.compress(_encode((series, offset_ms, values)), _LEVEL)


def decode(blob: bytes, *, readings: int) -> Columns:
    """Return the columns of a blob that holds so many readings.

    Raises:
        Corrupt: The bytes are not what `encode` made of so many.
    """
    try:
        inflater = zlib.decompressobj()
        columns = _decode(inflater.decompress(blob, BLOB_BYTES_MAX))
    except (zlib.error, *DECODE_ERRORS) as error:
        raise Corrupt(f"a stored blob of {len(blob)} bytes cannot be read ({error})") from error
    is_whole = inflater.eof and not inflater.unused_data
    if not is_whole or not len(columns.series) == len(columns.offset_ms) == len(columns.values) == readings:
        raise Corrupt(f"a stored blob of {len(blob)} bytes does not hold {readings} readings")
    return columns
