"""What answers on each bus of this machine, who reads it, and what would be needed: for a technician who asks.

Blocks. Must never write to an address where no known chip can be: there a single byte is read, as `i2cdetect -r` does.
"""

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

from hal.channels import BusDevice, BusScan
from hal.errors import SensorUnavailable
from hal.linux import bus_advice
from hal.linux.device_address import driver_of
from hal.linux.hwmon import ONE_WIRE_FAMILIES
from hal.linux.i2c.chip import Exchange, Transfer
from hal.linux.i2c.chip_source import (
    BUSES_MAX,
    DRIVER,
    I2cChips,
    bound_driver,
    is_for_sensors,
    is_package_installed,
    sensor_buses,
)
from hal.linux.sysfs import directories, optional_text

FIRST_ADDRESS, LAST_ADDRESS = 0x08, 0x77
"""The others are reserved (NXP UM10204, 3.1.12)."""

NEVER_READ = frozenset({0x69})
"""Reading a byte from a clock generator there locks the bus (i2cdetect(8))."""

_ONE_WIRE_MASTER = "w1_bus_master"


class MachineBuses:
    """The I2C and 1-Wire buses of this machine."""

    def __init__(self, chips: I2cChips, *, sysfs_root: Path, dev_root: Path = Path("/dev")) -> None:
        """Scan nothing yet.

        Args:
            chips: Identifies chips, and owns the buses.
            sysfs_root: Mount point of sysfs.
            dev_root: Where the device files are.
        """
        self._chips = chips
        self._sysfs_root = sysfs_root
        self._dev_root = dev_root

    @property
    def _is_pi(self) -> bool:
        model = optional_text(self._sysfs_root / "firmware" / "devicetree" / "base" / "model")
        return model.startswith("Raspberry Pi")

    def buses(self) -> Sequence[str]:
        """Return the names of all buses; accesses none."""
        return [*self._i2c_buses(), *(master.name for master in self._one_wire_masters())]

    def missing(self) -> Sequence[str]:
        """Return what would be needed for a bus that is not there."""
        sentences = []
        if self._is_pi and bus_advice.HEADER_BUS not in self._i2c_buses():
            sentences.append(bus_advice.ENABLE_I2C)
        if self._is_pi and not list(self._one_wire_masters()):
            sentences.append(bus_advice.ENABLE_ONE_WIRE)
        if self._i2c_buses() and not is_package_installed():
            sentences.append(f"{bus_advice.INSTALL_SMBUS2}: without it only the kernel's drivers read sensors on I2C")
        return sentences

    def scan(self, bus: str) -> BusScan:
        """Return what answers on a bus. Called on the thread of that bus."""
        if bus.startswith(_ONE_WIRE_MASTER):
            return BusScan(bus, "1-Wire", list(self._one_wire_devices(bus)))
        name = optional_text(self._sysfs_root / "bus" / "i2c" / "devices" / bus / "name")
        bound = [device for address in _addresses() if (device := self._bound(bus, address))]
        if not is_for_sensors(name):
            return BusScan(bus, name, bound, "not searched: a bus of displays, or of a PC's memory modules")
        if bus not in sensor_buses(self._sysfs_root):
            return BusScan(bus, name, bound, f"disconnect another adapter: {BUSES_MAX} buses are searched at most")
        if problem := self._closed(bus):
            return BusScan(bus, name, bound, problem)
        devices = {device.address: device for device in bound}
        try:
            for address in _addresses():
                if f"{address:04x}" not in devices and (device := self._answering(bus, address)):
                    devices[device.address] = device
        except SensorUnavailable as error:
            return BusScan(bus, name, list(devices.values()), str(error))
        return BusScan(bus, name, sorted(devices.values(), key=lambda device: device.address))

    def _closed(self, bus: str) -> str:
        """Return why a bus cannot be opened; empty where it can."""
        if not is_package_installed():
            return bus_advice.INSTALL_SMBUS2
        if not (self._dev_root / bus).exists():
            return f"{bus_advice.LOAD_I2C_DEV}: {self._dev_root / bus} does not exist"
        return ""

    def _bound(self, bus: str, address: int) -> BusDevice | None:
        driver = bound_driver(self._sysfs_root, bus, address)
        if not driver:
            return None
        device = self._sysfs_root / "bus" / "i2c" / "devices" / f"{bus.partition('-')[2]}-{address:04x}"
        return BusDevice(f"{address:04x}", optional_text(device / "name"), driver)

    def _answering(self, bus: str, address: int) -> BusDevice | None:
        chip = self._chips.chip_at(bus, address)
        if chip is not None:
            advice = bus_advice.advice_for_known(chip.overlay, bus, address, is_pi=self._is_pi)
            return BusDevice(f"{address:04x}", chip.name, DRIVER, advice)
        if address in NEVER_READ:
            return None
        try:
            self._chips.bus(bus).run(address, _one_byte())
        except SensorUnavailable as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ETIMEDOUT:
                raise
            return None
        return BusDevice(f"{address:04x}", advice=bus_advice.advice_for_unknown(bus, address, is_pi=self._is_pi))

    def _i2c_buses(self) -> Sequence[str]:
        devices = directories(self._sysfs_root / "bus" / "i2c" / "devices")
        return sorted(
            (path.name for path in devices if path.name.startswith("i2c-") and path.name[4:].isdigit()),
            key=lambda name: int(name[4:]),
        )

    def _one_wire_masters(self) -> Iterator[Path]:
        devices = directories(self._sysfs_root / "bus" / "w1" / "devices")
        return (path for path in devices if path.name.startswith(_ONE_WIRE_MASTER))

    def _one_wire_devices(self, master: str) -> Iterator[BusDevice]:
        root = (self._sysfs_root / "bus" / "w1" / "devices" / master).resolve()
        for device in directories(root):
            if (device / "id").exists():
                is_read = (device / "temperature").exists() or (device / "w1_slave").exists()
                driver = driver_of(device) or ("w1_therm" if is_read else "")
                chip = ONE_WIRE_FAMILIES.get(device.name[:2], "")
                yield BusDevice(device.name, chip, driver, "" if is_read else bus_advice.LOAD_ONE_WIRE)


def _addresses() -> range:
    return range(FIRST_ADDRESS, LAST_ADDRESS + 1)


def _one_byte() -> Exchange[bytes]:
    return (yield Transfer(read_bytes=1))
