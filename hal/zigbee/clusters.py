"""What a sensor's clusters measure, how a value is read, and how often it is to be reported. Pure.

Cluster, attribute and "invalid" values: Zigbee Cluster Library, sections 3.3 (power), 4.4 (temperature), 4.5 (pressure)
and 4.7 (humidity). Clusters that measure nothing with a `SensorKind` are left alone.
"""

import math
from collections.abc import Mapping, Sequence
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

_INVALID_INT16 = -0x8000
_INVALID_UINT16 = 0xFFFF
_INVALID_UINT8 = 0xFF

REPORT_S_MAX = 900
"""A measuring sensor reports at least so often: what the judgement of its availability rests on."""

BATTERY_REPORT_S_MIN = 3600
BATTERY_REPORT_S_MAX = 6 * 3600


class Measure(msgspec.Struct, frozen=True):
    """One attribute that is a measurement.

    Attributes:
        kind: What it measures.
        unit: What one step of the raw value is, in the unit of the kind.
        invalid: Raw values that say "no value".
        change: The smallest change of the raw value that is reported.
        report_s_min: The least time between reports; 0 where the configuration decides.
        report_s_max: The most.
    """

    kind: SensorKind
    unit: float
    invalid: tuple[int, ...]
    change: float
    report_s_min: int = 0
    report_s_max: int = REPORT_S_MAX


Place = tuple[int, int]
"""Cluster and attribute."""

MEASURES: Mapping[Place, Measure] = MappingProxyType(
    {
        (TEMPERATURE, MEASURED_VALUE): Measure(SensorKind.TEMPERATURE, 0.01, (_INVALID_INT16,), 10),
        (HUMIDITY, MEASURED_VALUE): Measure(SensorKind.HUMIDITY, 0.01, (_INVALID_UINT16,), 100),
        (PRESSURE, MEASURED_VALUE): Measure(SensorKind.PRESSURE, 1.0, (_INVALID_INT16,), 1),
        (POWER, BATTERY_PERCENTAGE): Measure(
            SensorKind.BATTERY_LEVEL, 0.5, (_INVALID_UINT8,), 2, BATTERY_REPORT_S_MIN, BATTERY_REPORT_S_MAX
        ),
        (IKEA_VOC, MEASURED_VALUE): Measure(SensorKind.IAQ, 1.0, (_INVALID_UINT16,), 5),
    }
)
"""The VOC index goes from 1 to 500 and grows with the load, as the scale of the cloud's `iaq` does."""

_DECIMALS = 4
"""Steps are hundredths at the finest: rounding takes the noise of binary fractions away."""


def value_of(measure: Measure, raw: object) -> float | None:
    """Return a raw value in the unit of its kind; `None` where it says that there is none."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or math.isnan(raw) or raw in measure.invalid:
        return None
    return round(raw * measure.unit, _DECIMALS)


def places(endpoints: Mapping[int, Sequence[int]]) -> Mapping[tuple[int, int, int], Measure]:
    """Choose what is taken of a sensor: each kind once, from the lowest endpoint that has it.

    The cloud knows one value of a kind for each device; two would mix.

    Args:
        endpoints: The server clusters of each endpoint.

    Returns:
        The measures, by endpoint, cluster and attribute.
    """
    chosen: dict[tuple[int, int, int], Measure] = {}
    kinds: set[SensorKind] = set()
    for endpoint in sorted(endpoints):
        for place, measure in MEASURES.items():
            if place[0] in endpoints[endpoint] and measure.kind not in kinds:
                kinds.add(measure.kind)
                chosen[endpoint, *place] = measure
    return chosen
