"""SHT40, SHT41, SHT45: temperature and humidity.

Source: Sensirion's datasheet SHT4x, version 6: 4.5 (commands of one byte: 0xFD measures with high precision, at most
8.3 ms; 0x89 reads the serial number), 4.6 (conversion; humidity may come out slightly below 0 or above 100 %).
"""

from hal.channels import Quantity
from hal.linux.i2c.chip import Chip, Exchange, Measurement
from hal.linux.i2c.sensirion import ask
from hal.linux.i2c.sht3x import temperature_c

_SERIAL, _MEASURE = 0x89, 0xFD
_MEASURE_S = 0.0083
_FULL_SCALE = 65535


def humidity_percent(raw: int) -> float:
    """Return the relative humidity of a raw word (4.6), not clamped: what is just outside tells of condensation."""
    return -6 + 125 * raw / _FULL_SCALE


class Sht4x(Chip):
    """One chip of the family."""

    name = "sht4x"
    addresses = (0x44, 0x45, 0x46)
    quantities = (Quantity.TEMPERATURE, Quantity.HUMIDITY)
    overlay = "sht4x"

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the serial number, whose checksums must be right."""
        yield from ask(_SERIAL, 2, wait_s=0.001, code_bytes=1)
        return True

    def measure(self) -> Exchange[Measurement]:
        """Measure once."""
        temperature, humidity = yield from ask(_MEASURE, 2, wait_s=_MEASURE_S, code_bytes=1)
        return {
            Quantity.TEMPERATURE: temperature_c(temperature),
            Quantity.HUMIDITY: humidity_percent(humidity),
        }
