"""A console on a pseudo terminal, and the cable to it: what a technician types and sees, in tests."""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path

from tests.integration.conftest import until


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

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        os.write(self.master, line.encode() + b"\r")


@contextlib.asynccontextmanager
async def open_console(*arguments: str | Path, environment: dict[str, str] | None = None) -> AsyncIterator[Cable]:
    """Run `climahub console` on a terminal of its own until the block ends."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x18\x00\x50\x00\x00\x00\x00\x00")  # 24 lines of 80 characters

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [sys.executable, "-m", "agent", "console", *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509 - a child of a test
        env={**os.environ, "TERM": "vt100", **(environment or {})},
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
