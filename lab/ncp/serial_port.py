"""The serial port of the emulated stick: the pseudo terminal, and the faults of the line.

`PseudoTerminal` does the I/O under a name that stays. The faults are pure, and the same for the same seed. They are
written as words: `corrupt=0.05` corrupts one chunk in twenty from then on; the others last for the given seconds, and
`@` says when they begin: `silence=20@60` is twenty seconds of silence, a minute after the start. `reset` has no
duration.
"""

import asyncio
import contextlib
import os
import random
import tty
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from hal.errors import HalError
from lab.ncp import ash

READ_BYTES = 4096
UNWRITTEN_BYTES_MAX = 65_536
"""The most bytes that wait for a host that does not read; more are lost, as on a serial line."""


class PortUnusable(HalError):
    """The name for the port is taken by something else."""


class PseudoTerminal:
    """One pseudo terminal; `open` and `close` can alternate, as a stick is plugged in and out."""

    def __init__(self, link: Path, received: Callable[[bytes], None]) -> None:
        self._link = link
        self._received = received
        self._ours: int | None = None
        self._theirs: int | None = None
        self._unwritten = b""

    @property
    def is_open(self) -> bool:
        """Whether the stick is plugged in."""
        return self._ours is not None

    def open(self) -> None:
        """Create the terminal and point the link at it.

        Raises:
            PortUnusable: The link's name belongs to a file that is no link.
            OSError: No terminal, or no link, can be made.
        """
        if self._link.exists() and not self._link.is_symlink():
            raise PortUnusable(f"choose another name for the port: {self._link} exists and is no link")
        ours, theirs = os.openpty()
        # A host that closes the port must not end the terminal: one more opener of its side stays.
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(theirs))
        self._ours, self._theirs = ours, theirs
        asyncio.get_running_loop().add_reader(ours, self._readable)

    def close(self) -> None:
        """Pull the stick out: the host's side hangs up, and the name is gone."""
        if self._ours is None or self._theirs is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._ours)
        loop.remove_writer(self._ours)
        os.close(self._ours)
        os.close(self._theirs)
        self._ours = self._theirs = None
        self._unwritten = b""
        self._link.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Write to the host, now or when there is room."""
        if self._ours is None or not data:
            return
        self._unwritten = (self._unwritten + data)[:UNWRITTEN_BYTES_MAX]
        self._writable()

    def _writable(self) -> None:
        if self._ours is None:
            return
        with contextlib.suppress(BlockingIOError):
            self._unwritten = self._unwritten[os.write(self._ours, self._unwritten) :]
        loop = asyncio.get_running_loop()
        if self._unwritten:
            loop.add_writer(self._ours, self._writable)
        else:
            loop.remove_writer(self._ours)

    def _readable(self) -> None:
        if self._ours is None:
            return
        with contextlib.suppress(BlockingIOError):
            self._received(os.read(self._ours, READ_BYTES))


class FaultInvalid(HalError):
    """A fault that is not understood. The message shows how one is written."""


class LineFaultKind(StrEnum):
    """The faults."""

    CORRUPT = "corrupt"
    """A bad cable: some chunks are corrupted, both ways."""
    SILENCE = "silence"
    """The firmware hangs: nothing is read, nothing written."""
    SLOW_HOST = "slow_host"
    """The host stalls: its bytes arrive late, so the stick retransmits and may give up."""
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
        raise FaultInvalid(f"write NAME=AMOUNT@SECONDS, NAME one of {names}: {text!r} is no fault") from None
    limit = 1.0 if fault.kind is LineFaultKind.CORRUPT else DAY_S
    if not 0 <= fault.amount <= limit or not 0 <= fault.at_s <= DAY_S:
        raise FaultInvalid(f"choose {name} from 0 to {limit:g}, and its time from 0 to {DAY_S:g} s: found {text!r}")
    return fault


def parse_all(text: str) -> Sequence[LineFault]:
    """Read faults with commas between them.

    Raises:
        FaultInvalid: One of them is not written as this module describes.
    """
    return [parse(word) for word in text.split(",") if word.strip()]


WINDOW_CHUNKS = 16
DAMAGED_MAX = 2
"""Of so many chunks in a row, both ways, at most so many are corrupted: a damaged flag joins two frames and costs both,
and ASH gives up after five unanswered copies (UG101, section 5). A part above their ratio has no such limit: the link
breaks down."""


class UnreliableLine:
    """A cable that corrupts some of the chunks, as ASH can repair: it misses no damage and needs few repetitions."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._recent: deque[bool] = deque(maxlen=WINDOW_CHUNKS - 1)
        self.corrupted_part = 0.0

    def carry(self, chunk: bytes) -> bytes:
        """Return a chunk as it comes out at the other end: sometimes with one byte changed."""
        if not chunk or not self.corrupted_part:
            return chunk
        is_limited = self.corrupted_part <= DAMAGED_MAX / WINDOW_CHUNKS and sum(self._recent) >= DAMAGED_MAX
        is_hit = self._random.random() < self.corrupted_part and not is_limited
        self._recent.append(is_hit)
        return self._damage(chunk) if is_hit else chunk

    def _damage(self, chunk: bytes) -> bytes:
        sent = set(ash.whole_frames(chunk))
        while True:
            place = self._random.randrange(len(chunk))
            value = chunk[place] ^ self._random.randrange(1, 256)
            damaged = chunk[:place] + bytes((value,)) + chunk[place + 1 :]
            # A frame that loses a byte, because that became XON for example, passes the CRC by chance now and then.
            if sent.issuperset(ash.whole_frames(damaged)):
                return damaged
