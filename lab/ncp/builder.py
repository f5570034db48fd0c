"""Builds an emulated stick from the contents of its files. Opens none of them; whoever calls it reads and writes."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from lab.ncp import device_file, memory
from lab.ncp.emulator import Emulator
from lab.ncp.faults import LineFault
from lab.ncp.memory import DevicesMemory, StickMemory
from lab.ncp.server import EmulatorServer

KeepFile = Callable[[bytes], None]


class EmulatorFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What a stick is made of.

    Attributes:
        device_file: The text of a device file.
        device_file_name: Its name, for messages.
        stick: What the stick's flash file holds; `None` for a stick that comes from the factory.
        room: What the sensors' flash file holds; `None` for sensors that come from the factory.
        version: Of EZSP.
        seed: Overrides that of the device file.
    """

    device_file: str
    device_file_name: str
    stick: bytes | None = None
    devices_memory: bytes | None = None
    version: int = 13
    seed: int | None = None


def build_server(
    setup: EmulatorFiles, *, link: Path, faults: Sequence[LineFault], keep_stick: KeepFile, keep_devices: KeepFile
) -> EmulatorServer:
    """Build a stick on the running loop; `Server.open` plugs it in.

    Args:
        setup: What it is made of.
        link: The name of its port.
        faults: What is to go wrong.
        keep_stick: Called with the content of the stick's flash file when it has changed.
        keep_devices: The same for the sensors' file.

    Raises:
        DevicesInvalid: The device file cannot be used.
        MemoryInvalid: One of the flash files cannot be used.
        ValueError: The version is not emulated.
    """
    described = device_file.parse_device_file(setup.device_file, setup.device_file_name)
    seed = described.seed if setup.seed is None else setup.seed
    stick = device_file.new_stick(seed)
    if setup.stick is not None:
        stick = memory.decode(setup.stick, StickMemory, "the stick's file")
    kept = DevicesMemory()
    if setup.devices_memory is not None:
        kept = memory.decode(setup.devices_memory, DevicesMemory, "the sensors' file")
    emulator = Emulator(
        version=setup.version,
        stick=stick,
        devices=described.devices,
        devices_memory=kept,
        seed=seed,
        now_s=asyncio.get_running_loop().time(),
    )
    stick_file, devices_file = _WhenChanged(keep_stick), _WhenChanged(keep_devices)

    def keep(stick: StickMemory, devices_memory: DevicesMemory) -> None:
        stick_file.keep(memory.encode(stick))
        devices_file.keep(memory.encode(devices_memory))

    return EmulatorServer(emulator, link=link, seed=seed, faults=faults, keep=keep)


class _WhenChanged:
    """Passes on a content that is another than the last."""

    def __init__(self, keep: KeepFile) -> None:
        self._keep = keep
        self._last = b""

    def keep(self, content: bytes) -> None:
        if content != self._last:
            self._keep(content)
            self._last = content
