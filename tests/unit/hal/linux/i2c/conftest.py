"""Readers on an emulated bus, without waiting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hal.channels import Quantity
from hal.linux.i2c.bus import I2cBus, I2cPort
from hal.linux.i2c.chip import Chip
from hal.linux.i2c.chip_reader import ChipReader
from hal.linux.i2c.chip_source import I2cChips
from hal.linux.i2c.known_chips import CHIPS
from tests import emulated_chips

BY_NAME: dict[str, type[Chip]] = {chip.name: chip for chip in CHIPS}


class Bench:
    """An emulated bus with readers, and their clock."""

    def __init__(self, sysfs_root: Path) -> None:
        self.sysfs_root = sysfs_root
        self.wire: Any = emulated_chips.EmulatedBus({})
        self.now_ms = 1_000_000
        self.waited_s = 0.0
        self.opened = 0
        self.bus = I2cBus("i2c-1", self.open, self.sleep)
        self.add_bus(1)

    def add_bus(self, number: int, name: str = "bcm2835 (i2c@7e804000)") -> None:
        directory = self.sysfs_root / "bus" / "i2c" / "devices" / f"i2c-{number}"
        directory.mkdir(parents=True)
        (directory / "name").write_text(f"{name}\n")

    def add_usb_bus(self, number: int, port: str) -> None:
        """An adapter on USB, the number of which is given out in turn."""
        device = self.sysfs_root / "devices" / "usb1" / port
        adapter = device / f"i2c-{number}"
        adapter.mkdir(parents=True)
        (adapter / "name").write_text("i2c-tiny-usb\n")
        (self.sysfs_root / "bus" / "usb").mkdir(parents=True, exist_ok=True)
        (device / "subsystem").symlink_to(self.sysfs_root / "bus" / "usb")
        (self.sysfs_root / "bus" / "i2c" / "devices" / f"i2c-{number}").symlink_to(adapter)

    def bind(self, address: int, driver: str, number: int = 1) -> None:
        device = self.sysfs_root / "bus" / "i2c" / "devices" / f"{number}-{address:04x}"
        device.mkdir(parents=True)
        drivers = self.sysfs_root / "bus" / "i2c" / "drivers" / driver
        drivers.mkdir(parents=True)
        (device / "name").write_text(f"{driver}\n")
        (device / "driver").symlink_to(drivers)

    def open(self, _: str = "") -> I2cPort:
        self.opened += 1
        port: I2cPort = self.wire
        return port

    def sleep(self, seconds: float) -> None:
        self.waited_s += seconds

    def plug(self, name: str, address: int | None = None) -> Any:  # noqa: ANN401 - a chip of any class
        usual, make = emulated_chips.ALL[name]
        chip = emulated_chips.ready(make())
        self.wire.chips[address or usual] = chip
        return chip

    def reader(self, name: str) -> ChipReader:
        return ChipReader(self.bus, emulated_chips.ALL[name][0], BY_NAME[name], lambda: self.now_ms)

    def values(self, name: str) -> dict[Quantity, float]:
        reader = self.reader(name)
        return {quantity: reader.read(quantity) for quantity in BY_NAME[name].quantities}

    def source(self, open_port: Callable[[str], I2cPort] | None = None) -> I2cChips:
        return I2cChips(
            sysfs_root=self.sysfs_root,
            open_port=open_port or self.open,
            now_ms=lambda: self.now_ms,
            sleep=self.sleep,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
