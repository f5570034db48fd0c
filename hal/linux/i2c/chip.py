"""What a chip file is made of: transfers as data, so that no chip file does I/O.

A chip file holds one chip: its addresses, how it is identified, and its measurement. Both are generators: each yields a
`Transfer`, is sent the bytes that were read, and returns the result. Whoever runs them owns the bus and the waiting.

Identification never writes more than a register's number or a documented read command, because the chip at an address
may be another one than expected.
"""

from collections.abc import Generator, Mapping
from typing import ClassVar, Protocol, TypeVar

import msgspec

from hal.channels import Quantity
from hal.errors import SensorUnavailable

T = TypeVar("T")


class Transfer(msgspec.Struct, frozen=True):
    """One transaction on the bus: bytes to write, bytes to read, or both with a repeated start between them.

    Attributes:
        write: May be empty.
        read_bytes: How many bytes to read after that.
        wait_s: How long to wait afterwards, before the next transfer to the same chip.
        may_be_refused: The chip may refuse (NACK) without anything being wrong; the answer is empty then.
    """

    write: bytes = b""
    read_bytes: int = 0
    wait_s: float = 0.0
    may_be_refused: bool = False


Exchange = Generator[Transfer, bytes, T]
"""Yields transfers, is sent what was read, returns the result; raises `SensorUnavailable` for what is no value."""

Measurement = Mapping[Quantity, float]
"""Values in the units of `hal.channels.QUANTITY_UNITS`."""


class ChipNotReady(SensorUnavailable):
    """The chip measures by itself and has nothing new yet; the measurement before is still the latest one."""


class Chip(Protocol):
    """One chip at one address. Made anew after each fault, so that it is set up again.

    Attributes:
        name: As the kernel's driver calls it, in lower case.
        addresses: Where it can be.
        quantities: What it measures; every measurement has all of them.
        overlay: Its parameter of Raspberry Pi's overlay `i2c-sensor`; empty where there is none.
    """

    name: ClassVar[str]
    addresses: ClassVar[tuple[int, ...]]
    quantities: ClassVar[tuple[Quantity, ...]]
    overlay: ClassVar[str]

    @staticmethod
    def identify() -> Exchange[bool]:
        """Return whether the chip that answers is this one. May raise `SensorUnavailable`: then it is not."""
        ...

    def measure(self) -> Exchange[Measurement]:
        """Set the chip up where that is needed, measure, and return the values."""
        ...


def read_register(register: int, read_bytes: int) -> Transfer:
    """Return the transfer that reads registers, from one on."""
    return Transfer(bytes([register]), read_bytes)


def write_register(register: int, value: int, wait_s: float = 0.0) -> Transfer:
    """Return the transfer that writes one register of one byte."""
    return Transfer(bytes([register, value]), wait_s=wait_s)


def word(data: bytes, at: int = 0) -> int:
    """Return the unsigned 16-bit number at a place, high byte first."""
    return int.from_bytes(data[at : at + 2], "big")


def signed_word(data: bytes, at: int = 0) -> int:
    """Return the signed 16-bit number at a place, high byte first."""
    return int.from_bytes(data[at : at + 2], "big", signed=True)


def lost_midway(chip: str) -> SensorUnavailable:
    """Return the error of a chip without a checksum that was there before a reading and not after it.

    The lines of a bus are pulled up: what is read after the cable has come off is 0xFF, without any error.
    """
    return SensorUnavailable(f"check the cable: the {chip} went away while it was read")
