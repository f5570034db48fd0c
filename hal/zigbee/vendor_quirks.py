"""Deviations of some vendors from the standard, and the converters for their data: a small table. Pure.

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
"""Queries all data points (Tuya, "Zigbee generic interfaces")."""
TUYA_JOIN_ATTRIBUTES = (0x0004, 0x0000, 0x0001, 0x0005, 0x0007, 0xFFFE)
"""Attributes of the Basic cluster that Tuya's gateways read in one frame when a device joins. Some sensors reportedly
send nothing before that read (zigbee-herdsman-converters)."""

Value = tuple[SensorKind, float]


class TuyaDataPoint(msgspec.Struct, frozen=True):
    """A Tuya data point: its kind, and one step in the unit of the kind."""

    kind: SensorKind
    scale: float


class VendorQuirk(msgspec.Struct, frozen=True):
    """Deviations of one family of sensors.

    Attributes:
        name: For people.
        reports_by_itself: It neither accepts nor needs a reporting configuration.
        has_aqara_struct: It reports its battery in a struct within the Basic cluster.
        has_voc_index: It reports a VOC index in a manufacturer-specific cluster.
        points: Its Tuya data points by number.
        kinds: Kinds that it reports in the vendor's own protocol. Its clusters of these kinds are dummies.
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


def _tuya(humidity_scale: float) -> VendorQuirk:
    points = {
        1: TuyaDataPoint(SensorKind.TEMPERATURE, 0.1),
        2: TuyaDataPoint(SensorKind.HUMIDITY, humidity_scale),
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
"""By manufacturer and model as reported by the sensor, in lower case."""


def find_quirk(manufacturer: str, model: str) -> VendorQuirk:
    """Return the deviations of a sensor from the standard."""
    return _BY_MODEL.get((manufacturer.strip().lower(), model.strip().lower()), STANDARD)


NOT_IN_TABLE = "not in the table (zigbee.quirks may know it)"
"""Note for a model with unknown data points."""

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
"""Zigbee data types by their id; 40-bit numbers (0x24) are handled separately."""

_TAG_AND_KIND_BYTES = 2
_UINT40 = 0x24
_UINT40_BYTES = 5
_AQARA_BATTERY_MV = 0x01
_COIN_CELL = Battery(Chemistry.LITHIUM)
"""CR2032 or CR2450 in all models."""


def aqara_values(record: bytes) -> Sequence[Value]:
    """Parse the struct that Aqara sensors send in attribute 0xFF01 of the Basic cluster.

    Only the battery is used: the measured values are sent in standard reports as well, and would count twice.

    Args:
        record: Tagged values: tag, Zigbee data type, value. A truncated record gives the values before its end.
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


def tuya_values(quirk: VendorQuirk, payload: bytes) -> Sequence[Value]:
    """Parse the data points of a Tuya report; unknown ones are ignored.

    Args:
        quirk: Its table of data points.
        payload: A sequence number of 2 bytes, then id, type, length (2 bytes, big-endian) and value of each point.
    """
    found: list[Value] = []
    rest = payload[_SEQUENCE_BYTES:]
    while len(rest) >= _POINT_HEAD.size:
        number, kind, length = _POINT_HEAD.unpack_from(rest)
        value, rest = rest[_POINT_HEAD.size : _POINT_HEAD.size + length], rest[_POINT_HEAD.size + length :]
        point = quirk.points.get(number)
        if point is not None and kind == _POINT_VALUE and len(value) == _POINT_VALUE_BYTES:
            raw = int.from_bytes(value, "big", signed=True)
            if point.kind is SensorKind.TEMPERATURE and raw > _TUYA_TEMPERATURE_MAX:
                # Some sensors send a negative 16-bit number in the 32 bits of the point.
                raw -= 1 << 16
            found.append((point.kind, round(raw * point.scale, 4)))
    return found
