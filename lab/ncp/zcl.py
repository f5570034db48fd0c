"""Zigbee Cluster Library frames and values, and the APS messages that carry them.

Zigbee Cluster Library, sections 2.4 (frames), 2.5 (general commands) and 2.6 (data types). Pure.
"""

import math
import struct
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

import msgspec

Value = int | float | str


class MalformedFrame(ValueError):
    """A frame that ends too early or has a type that is not known here."""


class DataType(IntEnum):
    """Data types, by their ids."""

    BOOL = 0x10
    MAP8 = 0x18
    MAP16 = 0x19
    UINT8 = 0x20
    UINT16 = 0x21
    UINT32 = 0x23
    INT8 = 0x28
    INT16 = 0x29
    INT32 = 0x2B
    ENUM8 = 0x30
    ENUM16 = 0x31
    SINGLE = 0x39
    TEXT = 0x42
    UTC = 0xE2
    EUI64 = 0xF0


_NUMBERS: Mapping[DataType, struct.Struct] = MappingProxyType(
    {
        DataType.BOOL: struct.Struct("<B"),
        DataType.MAP8: struct.Struct("<B"),
        DataType.MAP16: struct.Struct("<H"),
        DataType.UINT8: struct.Struct("<B"),
        DataType.UINT16: struct.Struct("<H"),
        DataType.UINT32: struct.Struct("<I"),
        DataType.INT8: struct.Struct("<b"),
        DataType.INT16: struct.Struct("<h"),
        DataType.INT32: struct.Struct("<i"),
        DataType.ENUM8: struct.Struct("<B"),
        DataType.ENUM16: struct.Struct("<H"),
        DataType.SINGLE: struct.Struct("<f"),
        DataType.UTC: struct.Struct("<I"),
        DataType.EUI64: struct.Struct("<Q"),
    }
)
_INVALID: Mapping[DataType, Value] = MappingProxyType(
    {
        DataType.UINT8: 0xFF,
        DataType.UINT16: 0xFFFF,
        DataType.UINT32: 0xFFFF_FFFF,
        DataType.INT8: -0x80,
        DataType.INT16: -0x8000,
        DataType.INT32: -0x8000_0000,
        DataType.SINGLE: math.nan,
    }
)
"""The "no value" markers of sensors (section 2.6.2, "non-value")."""
_ANALOG = frozenset(
    {
        DataType.UINT8,
        DataType.UINT16,
        DataType.UINT32,
        DataType.INT8,
        DataType.INT16,
        DataType.INT32,
        DataType.SINGLE,
        DataType.UTC,
    }
)
_LENGTH_INVALID = 0xFF


def is_analog(kind: DataType) -> bool:
    """Tell whether a reporting rule for this type carries a smallest change (section 2.5.7.1.7)."""
    return kind in _ANALOG


def invalid_marker(kind: DataType) -> Value:
    """Return the type's "no value" marker.

    Raises:
        KeyError: The type has none.
    """
    return _INVALID[kind]


def coerce(kind: DataType, value: float) -> Value:
    """Return a number as its type holds it.

    Raises:
        ValueError: A fraction where the type is whole, or neither 0 nor 1 for a boolean.
        OverflowError: It is not finite, or too large.
        struct.error: It does not fit.
    """
    if not math.isfinite(value) or (kind is not DataType.SINGLE and value != int(value)):
        raise ValueError(f"{value} is no value of type {kind.name}")
    if kind is DataType.BOOL and value not in {0, 1}:
        raise ValueError(f"{value} is neither 0 nor 1")
    encode(kind, value)
    return value if kind is DataType.SINGLE else int(value)


def encode(kind: DataType, value: Value) -> bytes:
    """Write a value."""
    if isinstance(value, str):
        data = value.encode()
        return bytes((len(data),)) + data
    return _NUMBERS[kind].pack(value if kind is DataType.SINGLE else int(value))


def decode(kind: int, data: bytes) -> tuple[Value, bytes]:
    """Read a value, and return what follows it.

    Raises:
        MalformedFrame: It ends too early, or the type is not known.
    """
    try:
        known = DataType(kind)
        if known is DataType.TEXT:
            length = 0 if data[0] == _LENGTH_INVALID else data[0]
            raw = data[1 : 1 + length]
            if len(raw) < length:
                raise MalformedFrame("a string ends too early")
            return raw.decode(errors="replace"), data[1 + length :]
        packing = _NUMBERS[known]
        (value,) = packing.unpack_from(data)
    except (ValueError, IndexError, struct.error) as error:
        raise MalformedFrame(f"no value of type 0x{kind:02x} in {data.hex()}") from error
    return value, data[packing.size :]


class GeneralCommand(IntEnum):
    """Commands that every cluster has (section 2.5)."""

    READ = 0x00
    READ_RESPONSE = 0x01
    WRITE = 0x02
    WRITE_UNDIVIDED = 0x03
    WRITE_RESPONSE = 0x04
    WRITE_NO_RESPONSE = 0x05
    CONFIGURE_REPORTING = 0x06
    CONFIGURE_REPORTING_RESPONSE = 0x07
    READ_REPORTING = 0x08
    READ_REPORTING_RESPONSE = 0x09
    REPORT = 0x0A
    DEFAULT_RESPONSE = 0x0B
    DISCOVER = 0x0C
    DISCOVER_RESPONSE = 0x0D


class ZclStatus(IntEnum):
    """Outcomes (section 2.6.3)."""

    SUCCESS = 0x00
    MALFORMED_COMMAND = 0x80
    UNSUPPORTED_CLUSTER_COMMAND = 0x81
    UNSUPPORTED_GENERAL_COMMAND = 0x82
    UNSUPPORTED_ATTRIBUTE = 0x86
    READ_ONLY = 0x88
    NOT_FOUND = 0x8B
    UNREPORTABLE_ATTRIBUTE = 0x8C
    INVALID_DATA_TYPE = 0x8D


class ZclFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One command with its header."""

    command: int
    sequence: int
    payload: bytes = b""
    is_for_cluster: bool = False
    is_from_server: bool = False
    manufacturer: int | None = None
    wants_default_response: bool = False


_FOR_CLUSTER = 0x01
_HAS_MANUFACTURER = 0x04
_FROM_SERVER = 0x08
_NO_DEFAULT_RESPONSE = 0x10


def write_frame(frame: ZclFrame) -> bytes:
    """Write a frame."""
    control = (
        (_FOR_CLUSTER if frame.is_for_cluster else 0)
        | (_HAS_MANUFACTURER if frame.manufacturer is not None else 0)
        | (_FROM_SERVER if frame.is_from_server else 0)
        | (0 if frame.wants_default_response else _NO_DEFAULT_RESPONSE)
    )
    manufacturer = b"" if frame.manufacturer is None else frame.manufacturer.to_bytes(2, "little")
    return bytes((control,)) + manufacturer + bytes((frame.sequence, frame.command)) + frame.payload


def read_frame(data: bytes) -> ZclFrame:
    """Read a frame.

    Raises:
        MalformedFrame: It ends too early.
    """
    try:
        control, rest = data[0], data[1:]
        manufacturer = None
        if control & _HAS_MANUFACTURER:
            manufacturer, rest = struct.unpack_from("<H", rest)[0], rest[2:]
        sequence, command = rest[0], rest[1]
    except (IndexError, struct.error) as error:
        raise MalformedFrame(f"no ZCL frame: {data.hex()}") from error
    return ZclFrame(
        command=command,
        sequence=sequence,
        payload=rest[2:],
        is_for_cluster=bool(control & 0x03 & _FOR_CLUSTER),
        is_from_server=bool(control & _FROM_SERVER),
        manufacturer=manufacturer,
        wants_default_response=not control & _NO_DEFAULT_RESPONSE,
    )


COORDINATOR_ADDRESS = 0x0000
UNKNOWN_ADDRESS = 0xFFFE


class ApsMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the application support layer."""

    profile: int
    cluster: int
    source_endpoint: int
    destination_endpoint: int
    payload: bytes
    sequence: int = 0
    is_broadcast: bool = False


def eui64_bytes(text: str) -> bytes:
    """Return an EUI-64 as it travels, lowest byte first, from text with colons, highest first."""
    return bytes.fromhex(text.replace(":", ""))[::-1]


def eui64_text(data: bytes) -> str:
    """Return an EUI-64 as people write it."""
    return data[::-1].hex(":")
