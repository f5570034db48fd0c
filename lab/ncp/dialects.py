"""The vendor protocols of emulated devices: Aqara's struct in a text attribute, and Tuya's data points.

They follow the layouts that the open converters read (zigpy quirks, zigbee-herdsman-converters). Pure.
"""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

from lab.ncp import zcl
from lab.ncp.models import tenths
from lab.ncp.zcl import DataType

TUYA_POINTS: Mapping[str, tuple[int, Callable[[float], float]]] = MappingProxyType(
    {"temperature_c": (1, tenths), "humidity_percent": (2, tenths), "battery_percent": (4, round)}
)
"""Data points of the Tuya sensor, by quantity."""


AQARA_MANUFACTURER = 0x115F
_AQARA_ATTRIBUTE = 0xFF01
_AQARA_BATTERY_MV = 0x01
_AQARA_CHIP_TEMPERATURE_C = 0x03
_AQARA_TEMPERATURE = 0x64
_AQARA_HUMIDITY = 0x65
_AQARA_PRESSURE_PA = 0x66
_PA_PER_HPA = 100

TUYA_REPORT = 0x02
TUYA_QUERY = 0x03
_TUYA_VALUE = 0x02
_TUYA_VALUE_BYTES = 4


def aqara_record(*, battery_mv: int, temperature: int, humidity: int, pressure_hpa: int) -> bytes:
    """Return the record of the attribute 0xFF01: declared as text, holding tagged values.

    Args:
        battery_mv: Millivolts.
        temperature: Hundredths of a degree.
        humidity: Hundredths of a percent.
        pressure_hpa: Hectopascal; on the air it is pascal.
    """
    tagged = b"".join(
        bytes((tag, kind)) + zcl.encode(kind, value)
        for tag, kind, value in (
            (_AQARA_BATTERY_MV, DataType.UINT16, battery_mv),
            (_AQARA_CHIP_TEMPERATURE_C, DataType.INT8, max(-128, min(127, temperature // 100))),
            (_AQARA_TEMPERATURE, DataType.INT16, temperature),
            (_AQARA_HUMIDITY, DataType.UINT16, humidity),
            (_AQARA_PRESSURE_PA, DataType.INT32, pressure_hpa * _PA_PER_HPA),
        )
    )
    return struct.pack("<HB", _AQARA_ATTRIBUTE, DataType.TEXT) + bytes((len(tagged),)) + tagged


class TuyaDataPoints:
    """The data points of one device."""

    def __init__(self) -> None:
        self._sequence = 0
        self._points: dict[int, int] = {}

    @property
    def points(self) -> Mapping[int, int]:
        """The values, by point."""
        return self._points

    def set_values(self, values: Mapping[str, float | None]) -> Mapping[int, int]:
        """Set values by quantity and return the changed points; a lost value changes nothing."""
        changed: dict[int, int] = {}
        for name, value in values.items():
            point, to_wire = TUYA_POINTS[name]
            if value is not None and self._points.get(point) != (raw := int(to_wire(value))):
                changed[point] = raw
        self._points.update(changed)
        return changed

    def report(self, points: Mapping[int, int]) -> bytes:
        """Return the payload of a report: a sequence number, and each point with type, length and value."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        rows = b"".join(
            bytes((point, _TUYA_VALUE)) + struct.pack(">Hi", _TUYA_VALUE_BYTES, value)
            for point, value in points.items()
        )
        return struct.pack(">H", self._sequence) + rows
