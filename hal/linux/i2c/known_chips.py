"""The chips that the hub can read itself, by the addresses where they can be.

The order within an address matters only where two chips could take one's command for their own: chips whose answers
have a checksum come first. An address that is not in this table is never written to.
"""

from collections.abc import Iterator, Mapping

from hal.linux.i2c.bme280 import Bme280
from hal.linux.i2c.bme680 import Bme680
from hal.linux.i2c.chip import Chip
from hal.linux.i2c.ens160 import Ens160
from hal.linux.i2c.htu21 import Htu21
from hal.linux.i2c.ina219 import Ina219
from hal.linux.i2c.lm75 import Lm75, Tmp102
from hal.linux.i2c.max17048 import Max17048
from hal.linux.i2c.scd4x import Scd4x
from hal.linux.i2c.scd30 import Scd30
from hal.linux.i2c.sgp40 import Sgp40
from hal.linux.i2c.sht3x import Sht3x
from hal.linux.i2c.sht4x import Sht4x
from hal.linux.i2c.shtc3 import Shtc3

CHIPS: tuple[type[Chip], ...] = (
    Htu21,
    Sht4x,
    Sht3x,
    Shtc3,
    Scd4x,
    Scd30,
    Sgp40,
    Bme280,
    Bme680,
    Ens160,
    Max17048,
    Tmp102,
    Lm75,
    Ina219,
)


def chips_by_address() -> Mapping[int, tuple[type[Chip], ...]]:
    """Return the candidates for each address, by address."""
    return {
        address: tuple(_candidates(address)) for address in sorted({each for chip in CHIPS for each in chip.addresses})
    }


def _candidates(address: int) -> Iterator[type[Chip]]:
    return (chip for chip in CHIPS if address in chip.addresses)
