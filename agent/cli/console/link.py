"""Drives one side of a transfer over an open serial line: bytes in, frames out.

Owns the reads, the writes and the clock of a transfer; `agent.cli.console.transfer` decides what is sent.
"""

import array
import contextlib
import fcntl
import os
import select
import termios
from collections.abc import Callable, Iterator
from typing import Protocol

from agent.cli.console.frames import FrameReader, Message, encode

READ_BYTES_MAX = 4096
IDLE_S = 0.05
"""How long to wait for bytes before the clock is looked at again."""


class Side(Protocol):
    """A `Sender` or a `Receiver`."""

    is_done: bool

    def receive(self, message: Message, now_s: float) -> list[Message]:
        """Take in a message; return what to answer."""
        ...

    def send(self, now_s: float) -> list[Message]:
        """Return what to send while nothing waits to go out."""
        ...


def run(
    side: Side,
    reader: int,
    writer: int,
    *,
    now_s: Callable[[], float],
    progress: Callable[[], None],
    linger_s: float = 0.0,
) -> None:
    """Run a transfer to its end.

    Args:
        side: What decides.
        reader: The descriptor that bytes come from, in raw mode.
        writer: The descriptor that bytes go to, in raw mode.
        now_s: Returns the time on a clock that never steps.
        progress: Called after each read.
        linger_s: How long to go on reading and answering once done: the last acknowledgement may get lost, and
            what is still on its way must not be taken for typed text.

    Raises:
        TransferFailed: One side has given up, or was silent for too long.
        OSError: The line is gone.
    """
    frames = FrameReader()
    done_s: float | None = None
    while True:
        if side.is_done:
            done_s = now_s() if done_s is None else done_s
            if now_s() - done_s >= linger_s:
                return
        if not _unsent_bytes(writer):
            _write(writer, side.send(now_s()))
        if not select.select([reader], [], [], IDLE_S)[0]:
            continue
        data = os.read(reader, READ_BYTES_MAX)
        if not data:
            raise OSError("the line was closed")
        for message in frames.feed(data):
            _write(writer, side.receive(message, now_s()))
        progress()


@contextlib.contextmanager
def raw_mode(descriptor: int) -> Iterator[None]:
    """Pass every byte of a terminal through as it is, until the end of the block; then drop what is unread."""
    before = termios.tcgetattr(descriptor)
    raw = termios.tcgetattr(descriptor)
    raw[0] &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
        | termios.ICRNL | termios.IXON | termios.IXOFF
    )  # fmt: skip
    raw[1] &= ~termios.OPOST
    raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, raw)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _write(writer: int, messages: list[Message]) -> None:
    data = b"".join(encode(message) for message in messages)
    while data:
        data = data[os.write(writer, data) :]


def _unsent_bytes(writer: int) -> int:
    """Return the bytes that the driver still has to send (TIOCOUTQ, ioctl_tty(2)); 0 where it does not tell."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(writer, termios.TIOCOUTQ, count)
    except OSError:
        return 0
    return count[0]
