"""The Zigbee Cluster Library as far as sensors need it: measured attributes and attribute reports. Pure.

Attributes: which clusters measure a `SensorKind`, which attribute a kind is taken from, how its value is converted, and
how often it is reported. Clusters that measure nothing with a `SensorKind` are ignored. Cluster, attribute and
"invalid" values: Zigbee Cluster Library, sections 3.3 (power), 4.4 (temperature), 4.5 (pressure), 4.7 (humidity), 6.3
(thermostat: a radiator valve's own temperature).

Reports: sections 2.4.1 (header), 2.5.11 (report) and 2.6 (data types).
"""

import math
import struct
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import msgspec

from hal.interface import SensorKind

POWER = 0x0001
THERMOSTAT = 0x0201
TEMPERATURE = 0x0402
PRESSURE = 0x0403
HUMIDITY = 0x0405
IKEA_VOC = 0xFC7E

MEASURED_VALUE = 0x0000
LOCAL_TEMPERATURE = 0x0000
BATTERY_VOLTAGE = 0x0020
BATTERY_PERCENTAGE = 0x0021
BATTERY_SIZE = 0x0031
BATTERY_QUANTITY = 0x0033

_INVALID_INT16 = -0x8000
_INVALID_UINT16 = 0xFFFF
_INVALID_UINT8 = 0xFF

REPORT_S_MAX = 900
"""Maximum reporting interval of a measured value; availability is decided by it."""

BATTERY_REPORT_S_MIN = 3600
BATTERY_REPORT_S_MAX = 6 * 3600


class MeasuredAttribute(msgspec.Struct, frozen=True):
    """An attribute that is a measurement.

    Attributes:
        kind: What it measures.
        scale: One step of the raw value, in the unit of the kind.
        invalid: Raw values that mean "no value".
        reportable_change: Smallest change of the raw value that is reported.
        report_s_min: Minimum reporting interval; 0 for the configured one.
        report_s_max: Maximum reporting interval.
        is_voltage: The value is in volts, from which a battery level is estimated.
    """

    kind: SensorKind
    scale: float
    invalid: tuple[int, ...]
    reportable_change: float
    report_s_min: int = 0
    report_s_max: int = REPORT_S_MAX
    is_voltage: bool = False


AttributeKey = tuple[int, int]
"""Cluster and attribute."""

MEASURED_ATTRIBUTES: Mapping[AttributeKey, MeasuredAttribute] = MappingProxyType(
    {
        (TEMPERATURE, MEASURED_VALUE): MeasuredAttribute(SensorKind.TEMPERATURE, 0.01, (_INVALID_INT16,), 10),
        (THERMOSTAT, LOCAL_TEMPERATURE): MeasuredAttribute(SensorKind.TEMPERATURE, 0.01, (_INVALID_INT16,), 10),
        (HUMIDITY, MEASURED_VALUE): MeasuredAttribute(SensorKind.HUMIDITY, 0.01, (_INVALID_UINT16,), 100),
        (PRESSURE, MEASURED_VALUE): MeasuredAttribute(SensorKind.PRESSURE, 1.0, (_INVALID_INT16,), 1),
        (POWER, BATTERY_PERCENTAGE): MeasuredAttribute(
            SensorKind.BATTERY_LEVEL, 0.5, (_INVALID_UINT8,), 2, BATTERY_REPORT_S_MIN, BATTERY_REPORT_S_MAX
        ),
        (POWER, BATTERY_VOLTAGE): MeasuredAttribute(
            SensorKind.BATTERY_LEVEL,
            0.1,
            (_INVALID_UINT8,),
            1,
            BATTERY_REPORT_S_MIN,
            BATTERY_REPORT_S_MAX,
            is_voltage=True,
        ),
        (IKEA_VOC, MEASURED_VALUE): MeasuredAttribute(SensorKind.IAQ, 1.0, (_INVALID_UINT16,), 5),
    }
)
"""In order of preference for attributes of one kind. The VOC index has a range of 1 to 500 and increases with the load,
like the cloud's `iaq`."""

_DECIMALS = 4
"""The smallest step is a hundredth: rounding removes the error of binary fractions."""


def convert(measure: MeasuredAttribute, raw: object) -> float | None:
    """Return a raw value in the unit of its kind; `None` for a marker of no value."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw) or raw in measure.invalid:
        return None
    return round(raw * measure.scale, _DECIMALS)


class SensorChannel(msgspec.Struct, frozen=True):
    """A channel of a device.

    Attributes:
        name: Its technical name: "1/temperature", "tuya/humidity".
        kind: What it measures.
        rank: Of the reporting channels of one kind, the one with the lowest rank is used.
        is_voltage: Its value is in volts, from which a battery level is estimated.
    """

    name: str
    kind: SensorKind
    rank: int = 0
    is_voltage: bool = False


class AttributeCandidate(msgspec.Struct, frozen=True):
    """An attribute that a kind may be taken from."""

    endpoint: int
    cluster: int
    attribute: int
    measure: MeasuredAttribute
    channel: SensorChannel

    @property
    def place(self) -> str:
        """Its location, for people."""
        what = "the battery's voltage" if self.measure.is_voltage else f"cluster 0x{self.cluster:04x}"
        return f"{what} of endpoint {self.endpoint}"


def find_candidates(endpoints: Mapping[int, Sequence[int]]) -> Sequence[AttributeCandidate]:
    """Return all attributes that are measurements; those of one kind in order of rank.

    The cloud has one value of a kind for each device, so only one attribute is used. The lowest endpoint comes first,
    and on it the order of `MEASURED_ATTRIBUTES`. `choose_candidates` chooses after the device has answered.

    Args:
        endpoints: The server clusters of each endpoint.
    """
    ranks: dict[SensorKind, int] = {}
    found = []
    for endpoint in sorted(endpoints):
        for (cluster, attribute), measure in MEASURED_ATTRIBUTES.items():
            if cluster in endpoints[endpoint]:
                rank = ranks[measure.kind] = ranks.get(measure.kind, 0) + 1
                suffix = "/voltage" if measure.is_voltage else ""
                source = SensorChannel(f"{endpoint}/{measure.kind}{suffix}", measure.kind, rank, measure.is_voltage)
                found.append(AttributeCandidate(endpoint, cluster, attribute, measure, source))
    return found


def separate_dummies(
    found: Sequence[AttributeCandidate], kinds: Collection[SensorKind]
) -> tuple[Sequence[AttributeCandidate], Sequence[AttributeCandidate]]:
    """Separate candidates into usable ones and dummies: those of kinds that the vendor reports in another way."""
    return (
        [each for each in found if each.channel.kind not in kinds],
        [each for each in found if each.channel.kind in kinds],
    )


def choose_candidates(
    found: Sequence[AttributeCandidate], answers: Mapping[AttributeCandidate, float | None]
) -> Sequence[AttributeCandidate]:
    """Choose one candidate of each kind by the answers of the device.

    The first one with a value is chosen; else the first one that the device supports. A raw value of 0 is no value:
    sensors that have not measured yet answer 0, and so do dummies.

    Args:
        found: The candidates.
        answers: The raw value of each supported attribute; `None` without a value.
    """
    chosen: dict[SensorKind, AttributeCandidate] = {}
    for is_with_value in (True, False):
        for each in found:
            if each in answers and (answers[each] is not None or not is_with_value):
                chosen.setdefault(each.channel.kind, each)
    return [each for each in found if chosen.get(each.channel.kind) == each]


_TYPE_BITS = 0x03
_GLOBAL, _FOR_CLUSTER = 0, 1
_HAS_MANUFACTURER = 0x04
_FROM_SERVER = 0x08
_NO_DEFAULT_RESPONSE = 0x10
_REPORT = 0x0A
_HEADER_BYTES = 3

_STANDARD_REPORT = _GLOBAL | _FROM_SERVER | _NO_DEFAULT_RESPONSE

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
"""Numeric data types by their id."""


def is_report(data: bytes) -> bool:
    """Return whether a frame is an attribute report or a cluster-specific notification."""
    if not data:
        return False
    place = 4 if data[0] & _HAS_MANUFACTURER else 2
    kind = data[0] & _TYPE_BITS
    if kind == _FOR_CLUSTER:
        return bool(data[0] & _FROM_SERVER)
    return kind == _GLOBAL and len(data) > place and data[place] == _REPORT


def parse_report(data: bytes) -> Sequence[tuple[int, float]] | None:
    """Parse a standard report: no response requested, not manufacturer-specific, numeric values only.

    Returns:
        Attribute and raw value of each record; `None` for any other frame.
    """
    if len(data) <= _HEADER_BYTES or data[0] != _STANDARD_REPORT or data[2] != _REPORT:
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
