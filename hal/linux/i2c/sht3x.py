"""SHT30, SHT31, SHT35, SHT85: temperature and humidity.

Source: Sensirion's datasheet SHT3x-DIS, version 7: 4.3 (single shot without clock stretching, high repeatability:
0x2400, at most 15.5 ms), 4.11 (status register 0xF32D, its reserved bits are 0), 4.13 (conversion).
"""

from hal.channels import Quantity
from hal.linux.i2c.chip import Chip, Exchange, Measurement
from hal.linux.i2c.sensirion import ask

_STATUS, _MEASURE = 0xF32D, 0x2400
_STATUS_RESERVED = 0x53EC
_MEASURE_S = 0.0155
_FULL_SCALE = 65535


def temperature_c(raw: int) -> float:
    """Return the temperature of a raw word (4.13)."""
    return -45 + 175 * raw / _FULL_SCALE


def humidity_percent(raw: int) -> float:
    """Return the relative humidity of a raw word (4.13)."""
    return 100 * raw / _FULL_SCALE


class Sht3x(Chip):
    """One chip of the family."""

    name = "sht3x"
    addresses = (0x44, 0x45)
    quantities = (Quantity.TEMPERATURE, Quantity.HUMIDITY)
    overlay = "sht3x"

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the status register."""
        (status,) = yield from ask(_STATUS, 1, wait_s=0.001)
        return not status & _STATUS_RESERVED

    def measure(self) -> Exchange[Measurement]:
        """Measure once."""
        temperature, humidity = yield from ask(_MEASURE, 2, wait_s=_MEASURE_S)
        return {
            Quantity.TEMPERATURE: temperature_c(temperature),
            Quantity.HUMIDITY: humidity_percent(humidity),
        }
