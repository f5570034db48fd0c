"""Builds an emulated stick from the contents of its files. Opens none of them; whoever calls it reads and writes."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from lab.ncp import devices, memory
from lab.ncp.emulator import Emulator
from lab.ncp.faults import Fault
from lab.ncp.memory import RoomMemory, StickMemory
from lab.ncp.serve import Server

KeepFile = Callable[[bytes], None]


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a stick is made of.

    Attributes:
        devices: The text of a device file.
        devices_source: Its name, for messages.
        stick: What the stick's flash file holds; `None` for a stick that comes from the factory.
        room: What the sensors' flash file holds; `None` for sensors that come from the factory.
        version: Of EZSP.
        seed: Overrides that of the device file.
    """

    devices: str
    devices_source: str
    stick: bytes | None = None
    room: bytes | None = None
    version: int = 13
    seed: int | None = None


def build(setup: Setup, *, link: Path, faults: Sequence[Fault], keep_stick: KeepFile, keep_room: KeepFile) -> Server:
    """Build a stick on the running loop; `Server.open` plugs it in.

    Args:
        setup: What it is made of.
        link: The name of its port.
        faults: What is to go wrong.
        keep_stick: Called with the content of the stick's flash file when it has changed.
        keep_room: The same for the sensors' file.

    Raises:
        DevicesInvalid: The device file cannot be used.
        MemoryInvalid: One of the flash files cannot be used.
        ValueError: The version is not emulated.
    """
    room = devices.parse(setup.devices, setup.devices_source)
    seed = room.seed if setup.seed is None else setup.seed
    stick = devices.new_stick(seed)
    if setup.stick is not None:
        stick = memory.decode(setup.stick, StickMemory, "the stick's file")
    kept = RoomMemory()
    if setup.room is not None:
        kept = memory.decode(setup.room, RoomMemory, "the sensors' file")
    emulator = Emulator(
        version=setup.version,
        stick=stick,
        devices=room.devices,
        room=kept,
        seed=seed,
        now_s=asyncio.get_running_loop().time(),
    )
    stick_file, room_file = _WhenChanged(keep_stick), _WhenChanged(keep_room)

    def keep(stick: StickMemory, room: RoomMemory) -> None:
        stick_file.keep(memory.encode(stick))
        room_file.keep(memory.encode(room))

    return Server(emulator, link=link, seed=seed, faults=faults, keep=keep)


class _WhenChanged:
    """Passes on a content that is another than the last."""

    def __init__(self, keep: KeepFile) -> None:
        self._keep = keep
        self._last = b""

    def keep(self, content: bytes) -> None:
        if content != self._last:
            self._keep(content)
            self._last = content
