"""SCD40, SCD41, SCD43: CO2, temperature and humidity; measures by itself, every 30 s.

Source: Sensirion's datasheet SCD4x, version 1.3: 3.4 (commands), 3.5 (0xEC05 reads a measurement, once; conversion),
3.8 (0x21AC starts measuring every 30 s, at a third of the current of every 5 s and so with less heat of its own; 0xE4B8
tells whether data are ready: bits 10 to 0 are not 0). While it measures, it refuses commands such as that to start:
a refusal means that it measures already, begun by the agent's last run or another program.
"""

from hal.channels import Quantity
from hal.errors import SensorUnavailable
from hal.linux.i2c.chip import Chip, ChipNotReady, Exchange, Measurement, Transfer
from hal.linux.i2c.sensirion import ask, command
from hal.linux.i2c.sht3x import humidity_percent, temperature_c

_START, _DATA_READY, _READ = 0x21AC, 0xE4B8, 0xEC05
_READY_MASK = 0x07FF
_COMMAND_S = 0.001
PERIOD_S = 30


class Scd4x(Chip):
    """One chip of the family."""

    name = "scd4x"
    addresses = (0x62,)
    quantities = (Quantity.CO2, Quantity.TEMPERATURE, Quantity.HUMIDITY)
    overlay = ""

    def __init__(self) -> None:
        """Not known to measure yet."""
        self._is_started = False

    @staticmethod
    def identify() -> Exchange[bool]:
        """Ask whether data are ready, which is allowed at any time."""
        yield from ask(_DATA_READY, 1, wait_s=_COMMAND_S)
        return True

    def measure(self) -> Exchange[Measurement]:
        """Read the latest measurement.

        Raises:
            ChipNotReady: There is no new one; the first comes 30 s after the start.
        """
        (status,) = yield from ask(_DATA_READY, 1, wait_s=_COMMAND_S)
        if not status & _READY_MASK:
            if not self._is_started:
                yield Transfer(command(_START), wait_s=_COMMAND_S, may_be_refused=True)
                self._is_started = True
            raise ChipNotReady(f"wait: it measures every {PERIOD_S} s and has no new value yet")
        co2_ppm, temperature, humidity = yield from ask(_READ, 3, wait_s=_COMMAND_S)
        self._is_started = True
        if not co2_ppm:
            # Without a valid measurement the chip gives 0 ppm; outdoor air has more than 400.
            raise SensorUnavailable("wait for the next measurement: it found no CO2 at all; if that stays, replace it")
        return {
            Quantity.CO2: float(co2_ppm),
            Quantity.TEMPERATURE: temperature_c(temperature),
            Quantity.HUMIDITY: humidity_percent(humidity),
        }
