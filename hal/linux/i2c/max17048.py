"""MAX17048 and MAX17049: state of charge and voltage of a lithium battery, as on many UPS boards.

Source: Maxim's datasheet 19-6171, revision 7, table 2 (registers of two bytes, high byte first: VCELL 0x02 in 78.125 uV
for each cell, SOC 0x04 in 1/256 %, VERSION 0x08: 0x001x).
"""

from hal.channels import Quantity
from hal.linux.i2c.chip import Chip, Exchange, Measurement, lost_midway, read_register, word

_VCELL, _SOC, _VERSION = 0x02, 0x04, 0x08
_VERSION_MASK, _VERSION_VALUE = 0xFFF0, 0x0010
_VCELL_V = 78.125e-6
_SOC_PERCENT = 1 / 256


class Max17048(Chip):
    """One fuel gauge."""

    name = "max17048"
    addresses = (0x36,)
    quantities = (Quantity.BATTERY, Quantity.VOLTAGE)
    overlay = ""

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the version register."""
        return word((yield read_register(_VERSION, 2))) & _VERSION_MASK == _VERSION_VALUE

    def measure(self) -> Exchange[Measurement]:
        """Read state of charge and voltage. The gauge counts a little above 100 % while it charges: that is full."""
        found = yield read_register(_VCELL, 4)
        if not (yield from Max17048.identify()):
            raise lost_midway(self.name)
        return {
            Quantity.BATTERY: min(100.0, word(found, _SOC - _VCELL) * _SOC_PERCENT),
            Quantity.VOLTAGE: word(found) * _VCELL_V,
        }
