"""HTU21D, SHT21, Si7020, Si7021, Si7013: temperature and humidity.

Source: Measurement Specialties' datasheet HTU21D(F), October 2013, pages 11 to 15 (0xF3 and 0xF5 measure without
holding the bus, at most 50 and 16 ms; the two lowest bits are status, bit 1 tells humidity from temperature; CRC-8 with
polynomial 0x31 and initial value 0; conversion); Sensirion's SHT21 needs up to 85 and 29 ms; Silicon Labs' datasheet
Si7021-A20, 5.3 (electronic serial number by 0xFC 0xC9, which the others have too: Sensirion's application note
"Electronic Identification Code" of the SHT2x).
"""

from hal.channels import Quantity
from hal.errors import SensorUnavailable
from hal.linux.i2c.chip import Chip, Exchange, Measurement, Transfer
from hal.linux.i2c.sensirion import words

_TEMPERATURE, _HUMIDITY = 0xF3, 0xF5
_TEMPERATURE_S, _HUMIDITY_S = 0.085, 0.029
_SERIAL = bytes([0xFC, 0xC9])
_SERIAL_BYTES = 6
_STATUS_BITS = 0x3
_IS_HUMIDITY = 0x2
_FULL_SCALE = 65536


class Htu21(Chip):
    """One chip of the family."""

    name = "htu21"
    addresses = (0x40,)
    quantities = (Quantity.TEMPERATURE, Quantity.HUMIDITY)
    overlay = "htu21"

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the second part of the serial number, whose checksums must be right."""
        answer = yield Transfer(_SERIAL, _SERIAL_BYTES)
        # An absent chip's zeros have the right checksum, too: the initial value is 0.
        return any(words(answer, initial=0))

    def measure(self) -> Exchange[Measurement]:
        """Measure both, one after the other."""
        temperature = yield from _measured(_TEMPERATURE, _TEMPERATURE_S, status=0)
        humidity = yield from _measured(_HUMIDITY, _HUMIDITY_S, status=_IS_HUMIDITY)
        return {
            Quantity.TEMPERATURE: -46.85 + 175.72 * temperature / _FULL_SCALE,
            Quantity.HUMIDITY: -6 + 125 * humidity / _FULL_SCALE,
        }


def _measured(code: int, wait_s: float, status: int) -> Exchange[int]:
    yield Transfer(bytes([code]), wait_s=wait_s)
    (raw,) = words((yield Transfer(read_bytes=3)), initial=0)
    if raw == 0 and status:
        # Bits of a bus without power: a humidity always has its status bit.
        raise SensorUnavailable("check the supply: it answers with zeros")
    return raw & ~_STATUS_BITS
