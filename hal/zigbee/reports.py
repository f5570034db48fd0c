"""Attribute reports as they stand on the air. Pure.

Zigbee Cluster Library: sections 2.4.1 (header), 2.5.11 (report) and 2.6 (data types).
"""

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType

_TYPE_BITS = 0x03
_GLOBAL, _FOR_CLUSTER = 0, 1
_HAS_MANUFACTURER = 0x04
_FROM_SERVER = 0x08
_NO_DEFAULT_RESPONSE = 0x10
_REPORT = 0x0A
_HEADER_BYTES = 3

_PLAIN = _GLOBAL | _FROM_SERVER | _NO_DEFAULT_RESPONSE

_RECORD = struct.Struct("<HB")

_NUMBERS: Mapping[int, struct.Struct] = MappingProxyType(
    {
        0x10: struct.Struct("<B"),
        0x18: struct.Struct("<B"),
        0x19: struct.Struct("<H"),
        0x20: struct.Struct("<B"),
        0x21: struct.Struct("<H"),
        0x23: struct.Struct("<I"),
        0x28: struct.Struct("<b"),
        0x29: struct.Struct("<h"),
        0x2B: struct.Struct("<i"),
        0x30: struct.Struct("<B"),
        0x31: struct.Struct("<H"),
        0x39: struct.Struct("<f"),
    }
)
"""Numbers by the id of their type."""


def is_report(data: bytes) -> bool:
    """Tell whether a frame is an attribute report, or a notice of a cluster's own."""
    if not data:
        return False
    place = 4 if data[0] & _HAS_MANUFACTURER else 2
    kind = data[0] & _TYPE_BITS
    if kind == _FOR_CLUSTER:
        return bool(data[0] & _FROM_SERVER)
    return kind == _GLOBAL and len(data) > place and data[place] == _REPORT


def plain_values(data: bytes) -> Sequence[tuple[int, float]] | None:
    """Read a report that asks for no answer, is no maker's own, and holds numbers only.

    Returns:
        Attribute and raw value of each record; `None` for any other frame.
    """
    if len(data) <= _HEADER_BYTES or data[0] != _PLAIN or data[2] != _REPORT:
        return None
    values = []
    place = _HEADER_BYTES
    while place < len(data):
        if len(data) < place + _RECORD.size:
            return None
        attribute, kind = _RECORD.unpack_from(data, place)
        number = _NUMBERS.get(kind)
        place += _RECORD.size
        if number is None or len(data) < place + number.size:
            return None
        values.append((attribute, number.unpack_from(data, place)[0]))
        place += number.size
    return values
