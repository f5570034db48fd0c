"""How some makers leave the standard, and what their sensors mean by it: a small table and its converters. Pure.

The layouts are those that the open converters of the Zigbee community read (zigbee-herdsman-converters, zha-quirks).
"""

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from hal.interface import SensorKind
from hal.zigbee.battery import Battery, Chemistry, level_percent

AQARA_ATTRIBUTE = 0xFF01
AQARA_MANUFACTURER = 0x115F
TUYA = 0xEF00
TUYA_REPORTS = frozenset({0x01, 0x02, 0x06})
"""Commands of the Tuya cluster that carry data points: answer, report, and report after a query."""
TUYA_QUERY = 0x03
"""Asks for all data points (Tuya, "Zigbee generic interfaces")."""
TUYA_GREETING = (0x0004, 0x0000, 0x0001, 0x0005, 0x0007, 0xFFFE)
"""Attributes of the Basic cluster that Tuya's gateways read in one frame when a device joins. Some of their sensors are
said to say nothing before they were asked so (zigbee-herdsman-converters)."""

Value = tuple[SensorKind, float]


class TuyaDataPoint(msgspec.Struct, frozen=True):
    """What one Tuya data point measures: its kind, and the unit of one step."""

    kind: SensorKind
    unit: float


class VendorQuirk(msgspec.Struct, frozen=True):
    """How sensors of one family differ.

    Attributes:
        name: For people.
        reports_by_itself: It takes no reporting rules, and needs none.
        has_aqara_struct: It tells its battery in a struct within the Basic cluster.
        has_voc_index: It tells a VOC index in a cluster of its maker.
        points: What its Tuya data points are.
        kinds: What it measures by its maker's own ways. Its clusters of these kinds are dummies, and not believed.
    """

    name: str
    reports_by_itself: bool = False
    has_aqara_struct: bool = False
    has_voc_index: bool = False
    points: Mapping[int, TuyaDataPoint] = {}
    kinds: tuple[SensorKind, ...] = ()


STANDARD = VendorQuirk("standard")

_AQARA = VendorQuirk("Aqara", reports_by_itself=True, has_aqara_struct=True, kinds=(SensorKind.BATTERY_LEVEL,))
_SONOFF = VendorQuirk("Sonoff")
_IKEA = VendorQuirk("IKEA", has_voc_index=True)


def _tuya(humidity_unit: float) -> VendorQuirk:
    points = {
        1: TuyaDataPoint(SensorKind.TEMPERATURE, 0.1),
        2: TuyaDataPoint(SensorKind.HUMIDITY, humidity_unit),
        4: TuyaDataPoint(SensorKind.BATTERY_LEVEL, 1.0),
    }
    kinds = tuple(point.kind for point in points.values())
    return VendorQuirk("Tuya", reports_by_itself=True, points=MappingProxyType(points), kinds=kinds)


_TUYA = _tuya(1.0)
_TUYA_TENTHS = _tuya(0.1)

_BY_MODEL: Mapping[tuple[str, str], VendorQuirk] = MappingProxyType(
    {
        ("lumi", "lumi.weather"): _AQARA,
        ("lumi", "lumi.sensor_ht"): _AQARA,
        ("lumi", "lumi.sens"): _AQARA,
        ("lumi", "lumi.sensor_magnet.aq2"): _AQARA,
        ("lumi", "lumi.sensor_motion.aq2"): _AQARA,
        ("ewelink", "th01"): _SONOFF,
        ("ewelink", "snzb-02p"): _SONOFF,
        ("sonoff", "snzb-02d"): _SONOFF,
        ("sonoff", "snzb-02wd"): _SONOFF,
        ("ikea of sweden", "vindstyrka"): _IKEA,
        ("_tze200_bjawzodf", "ts0601"): _TUYA_TENTHS,
        ("_tze200_zl1kmjqx", "ts0601"): _TUYA_TENTHS,
        ("_tze200_qyflbnbj", "ts0601"): _TUYA,
        ("_tze200_44af8vyi", "ts0601"): _TUYA,
        ("_tze200_a8sdabtg", "ts0601"): _TUYA,
        ("_tze200_qoy0ekbd", "ts0601"): _TUYA,
        ("_tze200_znbl8dj5", "ts0601"): _TUYA,
        ("_tze200_zppcgbdj", "ts0601"): _TUYA,
    }
)
"""By manufacturer and model as the sensor tells them, in lower case."""


def find_quirk(manufacturer: str, model: str) -> VendorQuirk:
    """Return how a sensor differs from the standard."""
    return _BY_MODEL.get((manufacturer.strip().lower(), model.strip().lower()), STANDARD)


NOT_IN_TABLE = "not in the table (zigbee.quirks may know it)"
"""What people are told of a model that tells data points of which nobody knows the meaning."""

_NUMBERS: Mapping[int, struct.Struct] = MappingProxyType(
    {
        0x10: struct.Struct("<B"),
        0x20: struct.Struct("<B"),
        0x21: struct.Struct("<H"),
        0x23: struct.Struct("<I"),
        0x27: struct.Struct("<Q"),
        0x28: struct.Struct("<b"),
        0x29: struct.Struct("<h"),
        0x2B: struct.Struct("<i"),
        0x39: struct.Struct("<f"),
    }
)
"""Zigbee data types by their ids; bits of 40 bits (0x24) stand apart."""

_TAG_AND_KIND_BYTES = 2
_UINT40 = 0x24
_UINT40_BYTES = 5
_AQARA_BATTERY_MV = 0x01
_COIN_CELL = Battery(Chemistry.LITHIUM)
"""CR2032 or CR2450 in all of them."""


def aqara_values(record: bytes) -> Sequence[Value]:
    """Read the struct that Aqara sensors put into attribute 0xFF01 of the Basic cluster.

    Only the battery is taken: what the sensor measures comes in reports of its own as well, and would count twice.

    Args:
        record: Tagged values: tag, Zigbee data type, value. One that ends too early gives what came before.
    """
    found: list[Value] = []
    while len(record) >= _TAG_AND_KIND_BYTES:
        tag, kind = record[0], record[1]
        if kind == _UINT40:
            record = record[_TAG_AND_KIND_BYTES + _UINT40_BYTES :]
            continue
        number = _NUMBERS.get(kind)
        if number is None or len(record) < _TAG_AND_KIND_BYTES + number.size:
            break
        (value,) = number.unpack_from(record, _TAG_AND_KIND_BYTES)
        if tag == _AQARA_BATTERY_MV:
            found.append((SensorKind.BATTERY_LEVEL, level_percent(_COIN_CELL, value / 1000)))
        record = record[_TAG_AND_KIND_BYTES + number.size :]
    return found


_POINT_HEAD = struct.Struct(">BBH")
_SEQUENCE_BYTES = 2
_POINT_VALUE = 0x02
_POINT_VALUE_BYTES = 4
_TUYA_TEMPERATURE_MAX = 0x2000
"""In tenths of a degree: 819 °C."""


def tuya_values(maker: VendorQuirk, payload: bytes) -> Sequence[Value]:
    """Read the data points of a Tuya report; those that the table does not know are left out.

    Args:
        maker: Says what each point is.
        payload: A sequence number of 2 bytes, then id, type, length (2 bytes, big-endian) and value of each point.
    """
    found: list[Value] = []
    rest = payload[_SEQUENCE_BYTES:]
    while len(rest) >= _POINT_HEAD.size:
        number, kind, length = _POINT_HEAD.unpack_from(rest)
        value, rest = rest[_POINT_HEAD.size : _POINT_HEAD.size + length], rest[_POINT_HEAD.size + length :]
        point = maker.points.get(number)
        if point is not None and kind == _POINT_VALUE and len(value) == _POINT_VALUE_BYTES:
            raw = int.from_bytes(value, "big", signed=True)
            if point.kind is SensorKind.TEMPERATURE and raw > _TUYA_TEMPERATURE_MAX:
                # Some put a negative number of 16 bits into the 32 of the point.
                raw -= 1 << 16
            found.append((point.kind, round(raw * point.unit, 4)))
    return found
