"""The pseudo terminal that a host takes for the stick's serial port, under a name that stays. Does nothing but I/O."""

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable
from pathlib import Path

from hal.errors import HalError

READ_BYTES = 4096
UNWRITTEN_BYTES_MAX = 65_536
"""What waits for a host that does not read. A serial line has no memory: what is more is lost."""


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
            raise PortUnusable(f"{self._link} exists and is no link; choose another name for the port")
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
