"""A made-up machine: trees in the shape of /sys and /proc."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from hal.interface import Board
from hal.linux.board import LinuxBoard
from hal.linux.uevents import Uevents


class Machine:
    """A made-up machine: writes the files that a kernel would show."""

    def __init__(self, root: Path) -> None:
        self.sys = root / "sys"
        self.proc = root / "proc"
        self.sys.mkdir()
        (self.proc / "net").mkdir(parents=True)

    def write(self, directory: Path, **attributes: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in attributes.items():
            (directory / name).write_text(f"{text}\n")

    def device(self, path: str, *, subsystem: str) -> Path:
        """A device below /sys/devices that belongs to a bus ("bus/pci") or a class ("class/nvme")."""
        directory = self.sys / "devices" / path
        directory.mkdir(parents=True, exist_ok=True)
        (self.sys / subsystem).mkdir(parents=True, exist_ok=True)
        if not (directory / "subsystem").exists():
            (directory / "subsystem").symlink_to(self.sys / subsystem)
        return directory

    def hwmon(self, number: int, device: Path, **attributes: str) -> Path:
        directory = device / "hwmon" / f"hwmon{number}"
        self.write(directory, **attributes)
        (directory / "device").symlink_to(device)
        links = self.sys / "class" / "hwmon"
        links.mkdir(parents=True, exist_ok=True)
        (links / f"hwmon{number}").symlink_to(directory)
        return directory

    def iio(self, number: int, device: Path, **attributes: str) -> Path:
        directory = device / f"iio:device{number}"
        self.write(directory, **attributes)
        links = self.sys / "bus" / "iio" / "devices"
        links.mkdir(parents=True, exist_ok=True)
        (links / directory.name).symlink_to(directory)
        return directory

    def i2c(self, address: str, *, driver: str = "", bus: int = 1) -> Path:
        """A chip on an I2C bus of the machine, such as "0076", with the driver that is bound to it."""
        device = self.device(f"platform/soc/fe804000.i2c/i2c-{bus}/{bus}-{address}", subsystem="bus/i2c")
        if driver and not (device / "driver").is_symlink():
            (self.sys / "bus" / "i2c" / "drivers" / driver).mkdir(parents=True, exist_ok=True)
            (device / "driver").symlink_to(self.sys / "bus" / "i2c" / "drivers" / driver)
        return device

    def one_wire(self, address: str, master: int = 1, **attributes: str) -> Path:
        directory = self.device(f"w1_bus_master{master}/{address}", subsystem="bus/w1")
        self.write(directory, **attributes)
        links = self.sys / "bus" / "w1" / "devices"
        links.mkdir(parents=True, exist_ok=True)
        (links / address).unlink(missing_ok=True)
        (links / address).symlink_to(directory)
        return directory

    def supply(self, name: str, **attributes: str) -> Path:
        directory = self.sys / "class" / "power_supply" / name
        self.write(directory, **attributes)
        return directory

    def wireless(self, *lines: str) -> None:
        head = "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n"
        head += " face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n"
        (self.proc / "net" / "wireless").write_text(head + "".join(f"{line}\n" for line in lines))

    def board(self, *named: str, uevents: Uevents | None = None) -> LinuxBoard:
        return LinuxBoard(sysfs_root=self.sys, proc_root=self.proc, named=named, uevents=uevents)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def cpu(machine: Machine) -> Path:
    device = machine.device("virtual/thermal/thermal_zone0", subsystem="class/thermal")
    return machine.hwmon(0, device, name="cpu_thermal", temp1_input="48312")


def sources(board: Board) -> list[str]:
    return [sensor.name for sensor in board.sensors]


async def value(board: Board, source: str) -> float:
    [sensor] = [sensor for sensor in board.sensors if sensor.name == source]
    try:
        return await sensor.read()
    finally:
        await board.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a thread does."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread has no event for it
            await asyncio.sleep(0.002)
