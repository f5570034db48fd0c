"""INA219: voltage of a supply or battery, and the voltage across a shunt resistor, proportional to the current.

Source: TI's datasheet SBOS448G, 8.6.2 (configuration, 0x399F after power-on: measures by itself), 8.6.3 (shunt voltage
in 10 uV, signed; bus voltage in bits 15 to 3, in 4 mV). The chip does not know the resistor, so no current is given:
boards carry 0.1 ohm or 0.01 ohm. Nothing is ever written: a chip that another program has set up is left to it.
"""

from hal.channels import Quantity
from hal.linux.i2c.chip import Chip, Exchange, Measurement, lost_midway, read_register, signed_word, word

_CONFIGURATION, _SHUNT, _BUS = 0x00, 0x01, 0x02
_POWER_ON = 0x399F
_BUS_V, _SHUNT_V = 0.004, 10e-6


class Ina219(Chip):
    """One INA219."""

    name = "ina219"
    addresses = tuple(range(0x40, 0x50))
    quantities = (Quantity.VOLTAGE, Quantity.SHUNT_VOLTAGE)
    overlay = ""

    @staticmethod
    def identify() -> Exchange[bool]:
        """Compare the configuration with its value after power-on."""
        return word((yield read_register(_CONFIGURATION, 2))) == _POWER_ON

    def measure(self) -> Exchange[Measurement]:
        """Read both voltages."""
        shunt = signed_word((yield read_register(_SHUNT, 2)))
        bus = word((yield read_register(_BUS, 2))) >> 3
        if not (yield from Ina219.identify()):
            raise lost_midway(self.name)
        return {Quantity.VOLTAGE: bus * _BUS_V, Quantity.SHUNT_VOLTAGE: shunt * _SHUNT_V}
