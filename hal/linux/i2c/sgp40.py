"""SGP40: the raw signal of a gas sensor. No index: that is Sensirion's algorithm, which needs a value each second.

Source: Sensirion's datasheet SGP40, version 1.0: 3.1 (in ticks, proportional to the logarithm of the resistance; the
first one is to be discarded), tables 9 to 11 (0x260F with humidity and temperature, here the defaults, so without
compensation; 30 ms). 0x202F reads the feature set, of which the high byte is 0x32, as Sensirion's own driver does.
"""

from hal.channels import Quantity
from hal.linux.i2c.chip import Chip, ChipNotReady, Exchange, Measurement, Transfer
from hal.linux.i2c.sensirion import ask, command, words

_MEASURE, _FEATURE_SET = 0x260F, 0x202F
_FEATURE_SET_MASK, _FEATURE_SET_VALUE = 0xFF00, 0x3200
_HUMIDITY_50_PERCENT, _TEMPERATURE_25_C = 0x8000, 0x6666
_MEASURE_S = 0.03


class Sgp40(Chip):
    """One SGP40."""

    name = "sgp40"
    addresses = (0x59,)
    quantities = (Quantity.GAS_SIGNAL,)
    overlay = ""

    def __init__(self) -> None:
        """Not measured yet."""
        self._is_warm = False

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the feature set."""
        (feature_set,) = yield from ask(_FEATURE_SET, 1, wait_s=0.001)
        return feature_set & _FEATURE_SET_MASK == _FEATURE_SET_VALUE

    def measure(self) -> Exchange[Measurement]:
        """Measure once; the hotplate stays on.

        Raises:
            ChipNotReady: The first value after the start is discarded.
        """
        yield Transfer(command(_MEASURE, _HUMIDITY_50_PERCENT, _TEMPERATURE_25_C), wait_s=_MEASURE_S)
        (signal,) = words((yield Transfer(read_bytes=3)))
        if not self._is_warm:
            self._is_warm = True
            raise ChipNotReady("wait: it was switched on just now")
        return {Quantity.GAS_SIGNAL: float(signal)}
