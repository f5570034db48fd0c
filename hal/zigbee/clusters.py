"""What clusters measure, of which one a kind is taken, how a value is read, and how often it is reported. Pure.

Cluster, attribute and "invalid" values: Zigbee Cluster Library, sections 3.3 (power), 4.4 (temperature), 4.5 (pressure)
and 4.7 (humidity). Clusters that measure nothing with a `SensorKind` are left alone.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import msgspec

from hal.interface import SensorKind

POWER = 0x0001
TEMPERATURE = 0x0402
PRESSURE = 0x0403
HUMIDITY = 0x0405
IKEA_VOC = 0xFC7E

MEASURED_VALUE = 0x0000
BATTERY_VOLTAGE = 0x0020
BATTERY_PERCENTAGE = 0x0021
BATTERY_SIZE = 0x0031
BATTERY_QUANTITY = 0x0033

_INVALID_INT16 = -0x8000
_INVALID_UINT16 = 0xFFFF
_INVALID_UINT8 = 0xFF

REPORT_S_MAX = 900
"""A measuring sensor reports at least so often: what the judgement of its availability rests on."""

BATTERY_REPORT_S_MIN = 3600
BATTERY_REPORT_S_MAX = 6 * 3600


class MeasuredAttribute(msgspec.Struct, frozen=True):
    """One attribute that is a measurement.

    Attributes:
        kind: What it measures.
        unit: What one step of the raw value is, in the unit of the kind.
        invalid: Raw values that say "no value".
        change: The smallest change of the raw value that is reported.
        report_s_min: The least time between reports; 0 where the configuration decides.
        report_s_max: The most.
        is_voltage: The value is in volts: a level has to be estimated from it.
    """

    kind: SensorKind
    unit: float
    invalid: tuple[int, ...]
    change: float
    report_s_min: int = 0
    report_s_max: int = REPORT_S_MAX
    is_voltage: bool = False


AttributeKey = tuple[int, int]
"""Cluster and attribute."""

MEASURED_ATTRIBUTES: Mapping[AttributeKey, MeasuredAttribute] = MappingProxyType(
    {
        (TEMPERATURE, MEASURED_VALUE): MeasuredAttribute(SensorKind.TEMPERATURE, 0.01, (_INVALID_INT16,), 10),
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
"""By preference, where two measure one kind. The VOC index goes from 1 to 500 and grows with the load, as the scale of
the cloud's `iaq` does."""

_DECIMALS = 4
"""Steps are hundredths at the finest: rounding takes the noise of binary fractions away."""


def convert(measure: MeasuredAttribute, raw: object) -> float | None:
    """Return a raw value in the unit of its kind; `None` where it says that there is none."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or math.isnan(raw) or raw in measure.invalid:
        return None
    return round(raw * measure.unit, _DECIMALS)


class SensorChannel(msgspec.Struct, frozen=True):
    """Where on a device a value comes from.

    Attributes:
        name: As a technician knows it: "1/temperature", "tuya/humidity".
        kind: What it measures.
        rank: Of those of one kind that speak, the one with the lowest rank is taken.
        is_voltage: Its value is in volts, of which a level has to be estimated.
    """

    name: str
    kind: SensorKind
    rank: int = 0
    is_voltage: bool = False


class AttributeCandidate(msgspec.Struct, frozen=True):
    """An attribute of which a kind may be taken."""

    endpoint: int
    cluster: int
    attribute: int
    measure: MeasuredAttribute
    channel: SensorChannel

    @property
    def place(self) -> str:
        """Where it is, for people."""
        how = "the battery's voltage" if self.measure.is_voltage else f"cluster 0x{self.cluster:04x}"
        return f"{how} of endpoint {self.endpoint}"


def candidates(endpoints: Mapping[int, Sequence[int]]) -> Sequence[AttributeCandidate]:
    """Return all attributes of which something may be taken, those of one kind in the order of their ranks.

    The cloud knows one value of a kind for each device; two would mix. The lowest endpoint comes first, and on it the
    order of `MEASURED_ATTRIBUTES`; who is taken is decided when the device has answered.

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


def split(
    found: Sequence[AttributeCandidate], kinds: Collection[SensorKind]
) -> tuple[Sequence[AttributeCandidate], Sequence[AttributeCandidate]]:
    """Divide candidates into those that count, and dummies: those of kinds that the maker tells in a way of its own."""
    return (
        [each for each in found if each.channel.kind not in kinds],
        [each for each in found if each.channel.kind in kinds],
    )


def ranked(
    found: Sequence[AttributeCandidate], answers: Mapping[AttributeCandidate, float | None]
) -> Sequence[AttributeCandidate]:
    """Choose what is taken of a device that has answered: of each kind one.

    The first one that has a value; else the first that knows the attribute. A raw value of 0 is none: sensors say so
    that have not measured yet, and so do dummies.

    Args:
        found: The candidates.
        answers: What those said that know the attribute: the raw value, or `None` for none.
    """
    chosen: dict[SensorKind, AttributeCandidate] = {}
    for is_with_value in (True, False):
        for each in found:
            if each in answers and (answers[each] is not None or not is_with_value):
                chosen.setdefault(each.channel.kind, each)
    return [each for each in found if chosen.get(each.channel.kind) == each]
