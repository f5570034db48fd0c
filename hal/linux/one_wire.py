"""Thermometers on 1-Wire masters, by the kernel's driver w1_therm.

Facts: the kernel's Documentation/ABI/testing/sysfs-driver-w1_therm: `temperature` is in millidegrees Celsius and its
read converts first, which takes 0.1 to 0.75 s; `features` bit 1 makes an error of the power-up value 85 and of 127.94
(too little power), bit 2 asks the chip for the end of its conversion; `therm_bulk_read` of the master starts the
conversion of all its thermometers with `trigger`, and reads -1 while they convert. Older kernels have `w1_slave` only:
two lines, the first ends with YES where the check sum is right, the second with t= and the value.

Writes `features` and the `trigger` and nothing else, and only where this user may. A thermometer is named by its
serial number and read through the kernel's link of that name: numbers of hwmon devices play no part.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hal.channels import Channel, Quantity
from hal.errors import HalError, ReadingImplausible, SensorUnavailable
from hal.linux.hwmon import ONE_WIRE_CHIP, ONE_WIRE_FAMILIES
from hal.linux.sysfs import FOUND_CHARS_MAX, directories, optional_text, read_integer, read_text

_log = logging.getLogger(__name__)

FEATURES = "3"
"""Both features: a power-up value is an error by the chip's own memory, and a true 85 °C is still a value."""

BULK_AGE_S_MAX = 10.0
"""How long the values of a common conversion are read. Far less than a round of the sampler, so none is read twice."""

CONVERSION_S_MAX = 2.0
"""A chip converts within 0.75 s at 12 bits (DS18B20 data sheet, table "AC electrical characteristics")."""

POLL_S = 0.05
FINE_BITS = 12

_SLAVE = re.compile(r"t=(-?[0-9]{1,6})$")


class _Master(msgspec.Struct):
    """One master: which of its thermometers have a value of the last common conversion that nobody has read.

    Attributes:
        converted: Their addresses.
        converted_ms: When, by the monotonic clock.
    """

    converted: set[str] = msgspec.field(default_factory=set)
    converted_ms: int = 0


class OneWire:
    """The thermometers of all masters, and what was set up on each. Reads run on the thread of the master."""

    def __init__(
        self,
        sysfs_root: Path,
        *,
        monotonic_ms: Callable[[], int] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read nothing yet.

        Args:
            sysfs_root: Mount point of sysfs.
            monotonic_ms: The monotonic clock; without one, each thermometer converts by itself.
            sleep: Waits for a conversion.
        """
        self._devices = sysfs_root / "bus" / "w1" / "devices"
        self._monotonic_ms = monotonic_ms
        self._sleep = sleep
        self._masters: dict[str, _Master] = {}
        self._set_up: dict[str, int] = {}

    def find(self) -> list[Channel]:
        """Return the thermometers by address; reads the kernel's list only."""
        slaves = [
            path for path in directories(self._devices) if path.name[:2] in ONE_WIRE_FAMILIES and "-" in path.name
        ]
        present = {slave.name for slave in slaves}
        self._set_up = {name: inode for name, inode in self._set_up.items() if name in present}
        return [self._channel(slave) for slave in slaves if _has_value(slave)]

    def _channel(self, slave: Path) -> Channel:
        chip, address = ONE_WIRE_FAMILIES[slave.name[:2]], slave.name
        return Channel(
            f"w1-{address}/{chip}/{Quantity.TEMPERATURE}",
            Quantity.TEMPERATURE,
            lambda: self._read(slave),
            bus=slave.resolve().parent.name,
            address=address,
            chip=chip,
            driver="w1_therm",
            aliases=(f"hwmon/{ONE_WIRE_CHIP}@{address}/temp1",),
        )

    def _read(self, slave: Path) -> float:
        try:
            inode = os.stat(slave).st_ino  # noqa: PTH116 - each is read once a minute for ever
        except OSError as error:
            raise SensorUnavailable(
                f"{slave.name}: the device is gone; plug it in or check its wiring: it is found again by its address"
            ) from error
        if self._set_up.get(slave.name) != inode:
            self._set_up[slave.name] = inode
            self._set_up_new(slave)
        self._convert_together(slave)
        try:
            return read_integer(slave / "temperature") / 1000
        except SensorUnavailable:
            if (slave / "temperature").exists() or not (slave / "w1_slave").exists():
                raise
        return _value_of_text(slave / "w1_slave") / 1000

    def _set_up_new(self, slave: Path) -> None:
        """Set the features of a thermometer that is new, or is back after it has lost its power."""
        features = slave / "features"
        if os.access(features, os.W_OK) and optional_text(features) != FEATURES:
            try:
                features.write_text(FEATURES, "ascii")
            except OSError as error:
                _log.warning(
                    "%s: the driver takes no features (%s); 85.00 °C is not told from power-up", features, error
                )
        resolution = optional_text(slave / "resolution")
        if resolution.isdigit() and 0 < int(resolution) < FINE_BITS:
            _log.warning("%s: set it to 12 for steps of 0.06 °C: it is at %s bits", slave / "resolution", resolution)

    def _convert_together(self, slave: Path) -> None:
        """Have all thermometers of the master convert at once, unless this one has a fresh value."""
        now_ms, address = self._monotonic_ms, slave.name
        trigger = slave / ".." / "therm_bulk_read"
        if now_ms is None or not os.access(trigger, os.W_OK):
            return
        directory = slave.resolve().parent
        beside = {each.name for each in directory.glob("*-*") if each.name[:2] in ONE_WIRE_FAMILIES}
        if len(beside) < 2:  # noqa: PLR2004 - one converts by itself
            return
        master = self._masters.setdefault(directory.name, _Master())
        if address in master.converted and now_ms() - master.converted_ms < BULK_AGE_S_MAX * 1000:
            master.converted.discard(address)
            return
        try:
            trigger.write_text("trigger\n", "ascii")
            waited_s = 0.0
            while read_text(trigger) == "-1" and waited_s < CONVERSION_S_MAX:
                self._sleep(POLL_S)
                waited_s += POLL_S
        except (OSError, HalError) as error:
            # Each then converts by itself at its read, which takes longer.
            _log.debug("%s: no common conversion (%s)", trigger, error)
            master.converted.clear()
            return
        master.converted, master.converted_ms = beside - {address}, now_ms()


def _has_value(slave: Path) -> bool:
    return (slave / "temperature").exists() or (slave / "w1_slave").exists()


def _value_of_text(path: Path) -> int:
    """Return the millidegrees of `w1_slave`.

    Raises:
        SensorUnavailable: The check sum is wrong, or the file cannot be read.
        ReadingImplausible: There is no value in it.
    """
    text = read_text(path)
    lines: Sequence[str] = text.splitlines() or [""]
    if not lines[0].endswith("YES"):
        raise SensorUnavailable(f"{path}: check the wiring: the check sum of the answer is wrong")
    found = _SLAVE.search(lines[-1])
    if found is None:
        raise ReadingImplausible(f'{path}: found "{lines[-1][:FOUND_CHARS_MAX]}"; expected t= and a number')
    return int(found[1])
