"""ENS160: organic compounds in the air, with the index of the German environment agency (UBA), computed on the chip.

Source: ScioSense's datasheet ENS160, version 0.95, 16.1 (registers, low byte first: PART_ID 0x00 is 0x0160, OPMODE
0x10, DEVICE_STATUS 0x20, DATA_AQI 0x21, DATA_TVOC 0x22 in ppb, DATA_ECO2 0x24 in ppm) and 16.2 (OPMODE 2 is the
standard mode; DEVICE_STATUS bit 6: error, bits 3 and 2: validity, 0 normal, 1 warming up, 2 first start, 3 no valid
output).

DATA_ECO2 is no CO2 but an equivalent from organic compounds: it has a quantity of its own.
"""

from hal.channels import Quantity
from hal.errors import SensorUnavailable
from hal.linux.i2c.chip import Chip, ChipNotReady, Exchange, Measurement, lost_midway, read_register, write_register

_PART_ID, _OPMODE, _STATUS = 0x00, 0x10, 0x20
_PART_ID_BYTES = bytes([0x60, 0x01])
_STANDARD = 2
_IS_ERROR = 0x40
_VALIDITY = {1: "wait 3 minutes: it is warming up", 2: "wait an hour: this is its first start"}
_AQI_MAX = 5


class Ens160(Chip):
    """One ENS160."""

    name = "ens160"
    addresses = (0x52, 0x53)
    quantities = (Quantity.AQI_UBA, Quantity.TVOC, Quantity.ECO2)
    overlay = ""

    @staticmethod
    def identify() -> Exchange[bool]:
        """Read the part's number."""
        return (yield read_register(_PART_ID, 2)) == _PART_ID_BYTES

    def measure(self) -> Exchange[Measurement]:
        """Read the latest values; the chip is switched on where it is off.

        Raises:
            ChipNotReady: It was switched on just now.
        """
        if (yield read_register(_OPMODE, 1))[0] != _STANDARD:
            yield write_register(_OPMODE, _STANDARD)
            raise ChipNotReady("wait 3 minutes: it was switched on just now")
        found = yield read_register(_STATUS, 6)
        if not (yield from Ens160.identify()):
            raise lost_midway(self.name)
        status, index = found[0], found[1] & 0x7
        validity = status >> 2 & 0x3
        if validity in _VALIDITY:
            raise SensorUnavailable(_VALIDITY[validity])
        if status & _IS_ERROR or validity or not 1 <= index <= _AQI_MAX:
            raise SensorUnavailable(f"disconnect its supply for a moment: it reports an error (status {status:#04x})")
        return {
            Quantity.AQI_UBA: float(index),
            Quantity.TVOC: float(int.from_bytes(found[2:4], "little")),
            Quantity.ECO2: float(int.from_bytes(found[4:6], "little")),
        }
