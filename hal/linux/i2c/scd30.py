"""SCD30: CO2, temperature and humidity; measures by itself, every 2 s unless it was set otherwise.

Source: Sensirion's Interface Description SCD30, version 1.0: 1.1 (no repeated start; clock stretching up to 150 ms; at
least 3 ms between a command and the reading), 1.4.1 (0x0010 with pressure 0 starts measuring; it is kept over a loss of
power, so it is sent only to a chip that has nothing to read), 1.4.4 (0x0202: 1 when data are ready), 1.4.5 (0x0300:
three floats of two words each), 1.4.9 (0xD100: firmware version).
"""

import struct
from collections.abc import Sequence

from hal.channels import Quantity
from hal.errors import SensorUnavailable
from hal.linux.i2c.chip import Chip, ChipNotReady, Exchange, Measurement, Transfer
from hal.linux.i2c.sensirion import ask, command

_START, _DATA_READY, _READ, _FIRMWARE = 0x0010, 0x0202, 0x0300, 0xD100
_NO_PRESSURE = 0
_COMMAND_S = 0.004


class Scd30(Chip):
    """One SCD30."""

    name = "scd30"
    addresses = (0x61,)
    quantities = (Quantity.CO2, Quantity.TEMPERATURE, Quantity.HUMIDITY)
    overlay = ""

    def __init__(self) -> None:
        """Not known to measure yet."""
        self._is_started = False

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the version of its firmware."""
        (version,) = yield from ask(_FIRMWARE, 1, wait_s=_COMMAND_S)
        return version not in {0, 0xFFFF}

    def measure(self) -> Exchange[Measurement]:
        """Read the latest measurement.

        Raises:
            ChipNotReady: There is no new one.
        """
        (is_ready,) = yield from ask(_DATA_READY, 1, wait_s=_COMMAND_S)
        if not is_ready:
            if not self._is_started:
                yield Transfer(command(_START, _NO_PRESSURE), wait_s=_COMMAND_S)
                self._is_started = True
            raise ChipNotReady("wait: it measures every 2 s and has no new value yet")
        found = yield from ask(_READ, 6, wait_s=_COMMAND_S)
        self._is_started = True
        co2_ppm, temperature_c, humidity_percent = (_float(found, at) for at in (0, 2, 4))
        if co2_ppm <= 0:
            # The first values after the start are 0 (chapter 1.4.5 reads them as not valid yet).
            raise SensorUnavailable("wait for the next measurement: it found no CO2 at all; if that stays, replace it")
        return {Quantity.CO2: co2_ppm, Quantity.TEMPERATURE: temperature_c, Quantity.HUMIDITY: humidity_percent}


def _float(found: Sequence[int], at: int) -> float:
    (value,) = struct.unpack(">f", struct.pack(">HH", found[at], found[at + 1]))
    return float(value)
