"""LM75 and TMP102: temperature. Neither has an id register.

Source: TI's datasheets LM75B (SNIS153D, 7.5: pointer register; power-on defaults: configuration 0x00, T_HYST 75 °C,
T_OS 80 °C) and TMP102 (SBOS397H, 7.5: temperature in 0.0625 °C, left aligned; configuration 0x60A0, of which R1 and R0
are always 1 and the lowest four bits 0; T_LOW 75 °C, T_HIGH 80 °C). Identified by what these hold after power-on:
a chip that another program has set up is left to that program.

`lm75` reads nine bits: the chips of that name differ in the resolution below that.
"""

from hal.channels import Quantity
from hal.linux.i2c.chip import Chip, Exchange, Measurement, lost_midway, read_register, signed_word, word

_TEMPERATURE, _CONFIGURATION, _LOW, _HIGH = 0, 1, 2, 3
_LOW_75_C, _HIGH_80_C = 0x4B00, 0x5000
_TMP102_MASK, _TMP102_FIXED = 0x600F, 0x6000
_ADDRESSES = (0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F)


def tmp102_c(raw: int) -> float:
    """Return the temperature of the register (signed): 12 bits, left aligned."""
    return (raw >> 4) * 0.0625


def lm75_c(raw: int) -> float:
    """Return the temperature of the register (signed): 9 bits, left aligned."""
    return (raw >> 7) * 0.5


def _has_default_limits() -> Exchange[bool]:
    low = yield read_register(_LOW, 2)
    high = yield read_register(_HIGH, 2)
    return (word(low), word(high)) == (_LOW_75_C, _HIGH_80_C)


class Lm75(Chip):
    """One LM75 or a chip like it."""

    name = "lm75"
    addresses = _ADDRESSES
    quantities = (Quantity.TEMPERATURE,)
    overlay = "lm75"

    @staticmethod
    def identify() -> Exchange[bool]:
        """Compare its three other registers with their defaults."""
        (configuration,) = yield read_register(_CONFIGURATION, 1)
        return configuration == 0 and (yield from _has_default_limits())

    def measure(self) -> Exchange[Measurement]:
        """Read the latest measurement."""
        raw = signed_word((yield read_register(_TEMPERATURE, 2)))
        if not (yield from Lm75.identify()):
            raise lost_midway(self.name)
        return {Quantity.TEMPERATURE: lm75_c(raw)}


class Tmp102(Chip):
    """One TMP102."""

    name = "tmp102"
    addresses = _ADDRESSES[:4]
    quantities = (Quantity.TEMPERATURE,)
    overlay = "tmp102"

    @staticmethod
    def identify() -> Exchange[bool]:
        """Compare its three other registers with their defaults."""
        configuration = word((yield read_register(_CONFIGURATION, 2)))
        return configuration & _TMP102_MASK == _TMP102_FIXED and (yield from _has_default_limits())

    def measure(self) -> Exchange[Measurement]:
        """Read the latest measurement."""
        raw = signed_word((yield read_register(_TEMPERATURE, 2)))
        if not (yield from Tmp102.identify()):
            raise lost_midway(self.name)
        return {Quantity.TEMPERATURE: tmp102_c(raw)}
