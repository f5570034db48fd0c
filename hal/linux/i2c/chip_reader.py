"""Reads one chip: one measurement serves all its channels, and a fault is forgotten after a second.

Blocks; used on the bus's thread only. Must never give an old measurement for a new one: what is older than a minute is
no value.
"""

import math
from collections.abc import Callable

from hal.channels import Quantity
from hal.errors import SensorUnavailable
from hal.linux.i2c.bus import I2cBus
from hal.linux.i2c.chip import Chip, ChipNotReady, Measurement

SHARED_MS = 5_000
"""For how long one measurement serves: the channels of a chip are read one after the other, and some measurements heat
the chip."""

LATEST_MS = 60_000
"""For how long the last measurement of a chip that measures by itself is its latest one. The slowest takes 30 s."""

FAILED_MS = 1_000
"""For how long a fault counts for all channels of the chip: a bus that hangs holds up each attempt for a second."""


class ChipReader:
    """One chip at one address."""

    def __init__(self, bus: I2cBus, address: int, make: type[Chip], now_ms: Callable[[], int]) -> None:
        """Read nothing yet.

        Args:
            bus: Where it is.
            address: On that bus.
            make: Makes the chip, again after each fault.
            now_ms: A monotonic clock.
        """
        self.make = make
        self._bus = bus
        self._address = address
        self._now_ms = now_ms
        self._chip: Chip = make()
        self._measurement: Measurement = {}
        self._measured_ms = 0
        self._failure: SensorUnavailable | None = None
        self._failed_ms = 0

    @property
    def is_answering(self) -> bool:
        """Whether the last attempt has not failed."""
        return self._failure is None

    def read(self, quantity: Quantity) -> float:
        """Return the value of one channel.

        Raises:
            SensorUnavailable: There is none; the message names bus, address, chip and remedy.
        """
        now_ms = self._now_ms()
        if self._failure is not None and now_ms - self._failed_ms < FAILED_MS:
            raise SensorUnavailable(str(self._failure))
        if not self._measurement or now_ms - self._measured_ms >= SHARED_MS:
            self._measure()
        value = self._measurement[quantity]
        if math.isnan(value):
            place = f"{self._bus.name} {self._address:#04x} ({self.make.name})"
            raise SensorUnavailable(f"{place}: wait for the next measurement: there is no {quantity} in this one")
        return value

    def _measure(self) -> None:
        try:
            self._measurement = self._bus.run(self._address, self._chip.measure(), self.make.name)
        except ChipNotReady:
            self._failure = None
            if not self._measurement or self._now_ms() - self._measured_ms >= LATEST_MS:
                raise
        except SensorUnavailable as error:
            self._failure, self._failed_ms = error, self._now_ms()
            self._chip, self._measurement = self.make(), {}
            raise
        else:
            self._failure, self._measured_ms = None, self._now_ms()
