"""What can go wrong between the stick and its host, as words on a command line. Pure, and the same for the same seed.

`corrupt=0.05` garbles one chunk in twenty from then on; the others last for the seconds they are given, and `@` says
when they begin: `silence=20@60` is twenty seconds without a word, a minute after the start. `reset` has no duration.
"""

import random
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from hal.errors import HalError


class FaultInvalid(HalError):
    """A fault that is not understood. The message shows how one is written."""


class LineFaultKind(StrEnum):
    """The faults."""

    CORRUPT = "corrupt"
    """Part of the chunks garbled, both ways: a bad cable."""
    SILENCE = "silence"
    """The firmware hangs: nothing is read, nothing written."""
    SLOW_HOST = "slow_host"
    """The host stalls: what it says arrives late, so the stick repeats itself and may give up."""
    FULL = "full"
    """No free buffers: sending is refused, incoming messages are lost."""
    GONE = "gone"
    """The stick is pulled out, and put back."""
    RESET = "reset"
    """The firmware starts again unasked."""


DAY_S = 86_400.0
"""No fault lasts longer, nor begins later."""


class LineFault(msgspec.Struct, frozen=True):
    """One fault.

    Attributes:
        amount: The part of the chunks, 0 to 1, for `CORRUPT`; seconds for the others.
        at_s: Seconds after the start.
    """

    kind: LineFaultKind
    amount: float = 0.0
    at_s: float = 0.0


def parse(text: str) -> LineFault:
    """Read one fault.

    Raises:
        FaultInvalid: It is not written as this module describes.
    """
    what, _, at = text.partition("@")
    name, _, amount = what.partition("=")
    try:
        fault = LineFault(LineFaultKind(name.strip()), float(amount or 0), float(at or 0))
    except ValueError:
        names = ", ".join(LineFaultKind)
        raise FaultInvalid(f"{text!r} is no fault; write NAME=AMOUNT@SECONDS, NAME one of {names}") from None
    limit = 1.0 if fault.kind is LineFaultKind.CORRUPT else DAY_S
    if not 0 <= fault.amount <= limit or not 0 <= fault.at_s <= DAY_S:
        raise FaultInvalid(f"{text!r}: {name} goes from 0 to {limit:g}, and its time from 0 to {DAY_S:g} s")
    return fault


def parse_all(text: str) -> Sequence[LineFault]:
    """Read faults with commas between them.

    Raises:
        FaultInvalid: One of them is not written as this module describes.
    """
    return [parse(word) for word in text.split(",") if word.strip()]


class UnreliableLine:
    """A cable that garbles some of what passes."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.corrupted_part = 0.0

    def carry(self, chunk: bytes) -> bytes:
        """Return a chunk as it comes out at the other end: sometimes with one byte changed."""
        if not chunk or not self.corrupted_part or self._random.random() >= self.corrupted_part:
            return chunk
        place = self._random.randrange(len(chunk))
        return chunk[:place] + bytes((chunk[place] ^ self._random.randrange(1, 256),)) + chunk[place + 1 :]
