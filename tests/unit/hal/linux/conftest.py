"""A made-up machine: trees in the shape of /sys and /proc."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from hal.interface import Board
from hal.linux.board import LinuxBoard


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

    def supply(self, name: str, **attributes: str) -> Path:
        directory = self.sys / "class" / "power_supply" / name
        self.write(directory, **attributes)
        return directory

    def wireless(self, *lines: str) -> None:
        head = "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n"
        head += " face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n"
        (self.proc / "net" / "wireless").write_text(head + "".join(f"{line}\n" for line in lines))

    def board(self) -> LinuxBoard:
        return LinuxBoard(sysfs_root=self.sys, proc_root=self.proc)


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
