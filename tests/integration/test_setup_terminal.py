"""`climahub setup` on a real terminal, as a process of its own: what it shows, hides, writes, and leaves alone."""

import asyncio
import contextlib
import os
import pty
import stat
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.cli import exit_codes
from agent.cli.setup.key_store import KEY_FILE
from tests.integration.conftest import KEY, WAIT_S, Cloud, until

ROOT = Path(__file__).parents[2]

START = """\
import fcntl, functools, os, signal, sys, termios
from pathlib import Path
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
# As in a shell at a terminal: what a script starts in the background ignores Ctrl-C, and so do its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.geteuid = lambda: 0
from agent.cli.setup import command, key_store, procedure
root = Path(os.environ["HUB_ROOT"])
command.Places = lambda: procedure.Places(etc=root / "etc", drop_in=root / "setup.conf")
command.KeyStore = functools.partial(key_store.KeyStore, has_creds=False)
from agent.__main__ import main
sys.argv = ["climahub", "setup", "--no-start"]
main()
"""
"""The command on its controlling terminal, with directories of its own in place of /etc, and no systemd."""


class Screen:
    """A terminal with `climahub setup` on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.etc = directory / "etc"
        self.etc.mkdir()
        self._master, self._slave = pty.openpty()
        self._shown = bytearray()
        self._answered = 0
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = (sys.executable, "-c", START)
        environ = os.environ | {"HUB_ROOT": str(self.directory), "TERM": "vt100", "LANG": "C.UTF-8"}
        self.process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environ, stdin=self._slave, stdout=self._slave, stderr=self._slave,
            start_new_session=True,
        )  # fmt: skip
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        # A terminal whose last process has ended fails to be read.
        with contextlib.suppress(OSError):
            self._shown += os.read(self._master, 65536)

    @property
    def text(self) -> str:
        return self._shown.decode().replace("\r\n", "\n")

    async def answer(self, prompt: str, typed: str) -> None:
        """Wait for a prompt at the end of what is shown since the last answer, and type a line."""
        await until(lambda: len(self._shown) > self._answered and self.text.endswith(f"{prompt}: "))
        self._answered = len(self._shown)
        os.write(self._master, typed.encode())

    async def interrupted(self, prompt: str) -> int:
        """Press Ctrl-C at a prompt until the command has ended; return its exit code.

        The first one may come between the prompt and the read of the line, where Python sees it with the next key only.
        """
        await self.answer(prompt, "")
        ended = asyncio.ensure_future(self.end())
        while not ended.done():
            os.write(self._master, b"\x03")
            await asyncio.wait([ended], timeout=0.5)
        return await ended

    async def end(self) -> int:
        """Wait for the command's end; return its exit code."""
        assert self.process is not None
        async with asyncio.timeout(WAIT_S):
            return await self.process.wait()

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)


@pytest.fixture
async def screen(tmp_path: Path) -> AsyncIterator[Screen]:
    made = Screen(tmp_path)
    await made.start()
    yield made
    await made.close()


async def test_a_person_sets_a_hub_up_and_the_key_is_never_shown(screen: Screen, cloud: Cloud) -> None:
    await screen.answer("Address of the cloud", "?\n")
    await screen.answer("Address of the cloud", "not an address\n")
    await screen.answer("Address of the cloud", f"{cloud.url}\n")
    await screen.answer("(not shown)", f"{KEY[:-1]}\n")
    await screen.answer("(not shown)", f"{KEY}\n")
    await screen.answer("]", "<\n")
    await screen.answer("(not shown)", f"{KEY}\n")
    await screen.answer("]", "Europe/Berlin\n")
    await screen.answer("[127.0.0.1]", "\n")
    await screen.answer("[0]", "\n")
    await screen.answer("[yes]", "yes\n")
    assert await screen.end() == exit_codes.OK, screen.text
    assert "the root of its API, as the operator names it" in screen.text
    assert "key: (not shown)" in screen.text
    assert KEY[:-1] not in screen.text, "neither echoed nor repeated"
    assert tomllib.loads((screen.etc / "config.toml").read_text())["cloud"]["base_url"] == cloud.url
    key_file = screen.etc / KEY_FILE
    assert (key_file.read_text().strip(), stat.S_IMODE(key_file.stat().st_mode)) == (KEY, 0o600)


async def test_ctrl_c_at_the_last_question_changes_nothing(screen: Screen, cloud: Cloud) -> None:
    await screen.answer("Address of the cloud", f"{cloud.url}\n")
    await screen.answer("(not shown)", f"{KEY}\n")
    await screen.answer("]", "\n")
    await screen.answer("[127.0.0.1]", "\n")
    await screen.answer("[0]", "\n")
    assert await screen.interrupted("[yes]") != exit_codes.OK
    assert list(screen.etc.iterdir()) == []
    assert not (screen.directory / "setup.conf").exists()
    assert cloud.requests == []
