"""A console on a pseudo terminal, and the cable to it: what a technician types and sees, in tests."""

import asyncio
import contextlib
import fcntl
import os
import pty
import random
import re
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tests.integration.conftest import until

STEP_S = 0.01
"""Between two handfuls of bytes."""


class Pump:
    """Carries bytes between two terminals at a rate, and loses, doubles and corrupts some of them.

    Attributes:
        carried: The bytes that came from the console so far.
    """

    def __init__(self, console: int, laptop: int, *, rate: int, damage: float, seed: int = 1) -> None:
        self._ends = {console: laptop, laptop: console}
        self._console = console
        self._bytes_per_step = max(int(rate / 10 * STEP_S), 1)
        self._damage = damage
        self._rng = random.Random(seed)
        self.carried = 0

    async def run(self) -> None:
        """Carry until cancelled."""
        for end in self._ends:
            os.set_blocking(end, False)
        while True:
            for source, target in self._ends.items():
                with contextlib.suppress(BlockingIOError, OSError):
                    data = os.read(source, self._bytes_per_step)
                    self.carried += len(data) if source == self._console else 0
                    os.write(target, b"".join(self._spoil(byte) for byte in data))
            await asyncio.sleep(STEP_S)

    def _spoil(self, byte: int) -> bytes:
        if self._rng.random() >= self._damage:
            return bytes([byte])
        return self._rng.choice([b"", bytes([byte, byte]), bytes([byte ^ 1 << self._rng.randrange(8)])])


class Cable:
    """The technician's end of a console's line.

    Attributes:
        process: The console.
        master: The descriptor of this end.
        seen: Everything that came since the last `expect`.
    """

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.master = master
        self.seen = ""

    def read(self) -> None:
        """Take what has come; called by the loop."""
        with contextlib.suppress(OSError):
            self.seen += os.read(self.master, 65_536).decode(errors="replace")

    async def expect(self, pattern: str) -> str:
        """Wait for a text; return everything up to its end."""
        try:
            await until(lambda: re.search(pattern, self.seen) is not None)
        except AssertionError:
            raise AssertionError(f"{pattern!r} never came; there was {self.seen!r}") from None
        found = re.search(pattern, self.seen)
        assert found
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    @contextlib.asynccontextmanager
    async def pumped(self, laptop: int, *, rate: int, damage: float) -> AsyncIterator[Pump]:
        """Connect the console with another end, which takes this one's place until the block ends."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.master)
        pump = Pump(self.master, laptop, rate=rate, damage=damage)
        task = loop.create_task(pump.run())
        try:
            yield pump
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            os.set_blocking(self.master, True)
            loop.add_reader(self.master, self.read)

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        os.write(self.master, line.encode() + b"\r")


@contextlib.asynccontextmanager
async def open_console(*arguments: str | Path, cwd: Path | None = None) -> AsyncIterator[Cable]:
    """Run the installed `climahub console` on a terminal of its own until the block ends."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x18\x00\x50\x00\x00\x00\x00\x00")  # 24 lines of 80 characters

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [Path(sys.executable).with_name("climahub"), "console", *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509 - a child of a test
        env={**os.environ, "TERM": "vt100"},
        cwd=cwd,
    )
    os.close(slave)
    cable = Cable(process, master)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, cable.read)
    try:
        yield cable
    finally:
        loop.remove_reader(master)
        process.kill()
        process.wait()
        os.close(master)


@contextlib.contextmanager
def laptop_line() -> Iterator[tuple[int, str]]:
    """Return the far end of a serial line, and the device that a program on the laptop opens."""
    master, slave = pty.openpty()
    raw = termios.tcgetattr(slave)
    raw[0] = raw[1] = raw[3] = 0
    termios.tcsetattr(slave, termios.TCSANOW, raw)
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)
