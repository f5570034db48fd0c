"""SHTC3: temperature and humidity; asleep between two measurements.

Source: Sensirion's datasheet SHTC3, version 3: chapter 5: sleep 0xB098, wake-up 0x3517 (at most 240 us), 0x7866
(temperature first, no clock stretching, normal mode, at most 12.1 ms), id register 0xEFC8 (bits 11 and 5 to 0 are
0x0807), conversion.

An I2C multiplexer (TCA9548A) can have the same address and takes any byte that is written as the channels to connect.
It answers a read without a command, which a SHTC3 refuses: so that is asked first.
"""

from hal.channels import Quantity
from hal.linux.i2c.chip import Chip, Exchange, Measurement, Transfer
from hal.linux.i2c.sensirion import ask, command

_SLEEP, _WAKE_UP, _ID, _MEASURE = 0xB098, 0x3517, 0xEFC8, 0x7866
_ID_MASK, _ID_VALUE = 0x083F, 0x0807
_WAKE_UP_S, _MEASURE_S = 0.00024, 0.0121
_FULL_SCALE = 65536


class Shtc3(Chip):
    """One SHTC3."""

    name = "shtc3"
    addresses = (0x70,)
    quantities = (Quantity.TEMPERATURE, Quantity.HUMIDITY)
    overlay = "shtc3"

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the id register, unless something else answers."""
        if (yield Transfer(read_bytes=1, may_be_refused=True)):
            return False
        yield _wake_up()
        (identity,) = yield from ask(_ID, 1, wait_s=0.001)
        yield Transfer(command(_SLEEP))
        return identity & _ID_MASK == _ID_VALUE

    def measure(self) -> Exchange[Measurement]:
        """Wake the chip up, measure, and send it to sleep again."""
        yield _wake_up()
        temperature, humidity = yield from ask(_MEASURE, 2, wait_s=_MEASURE_S)
        yield Transfer(command(_SLEEP))
        return {
            Quantity.TEMPERATURE: -45 + 175 * temperature / _FULL_SCALE,
            Quantity.HUMIDITY: 100 * humidity / _FULL_SCALE,
        }


def _wake_up() -> Transfer:
    return Transfer(command(_WAKE_UP), wait_s=_WAKE_UP_S)
