"""A disk that is dead when the hub starts: it starts, says so and heats."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from agent import daemon as process
from agent.foundation.disk import Disk
from tests.integration.conftest import WAIT_S, Cloud
from tests.integration.test_daemon import Daemon

NEVER_WRITABLE = Path("/sys/kernel")
"""A directory where nobody, root included, makes a file: a disk that is read-only, without a mount."""


@pytest.fixture
async def heating(tmp_path: Path, cloud: Cloud) -> AsyncIterator[Daemon]:
    made = Daemon(tmp_path, cloud.url)
    with made.config.open("a") as config:
        config.write('[climate]\nzones = [{ id = "living", sensors = ["sim/temperature"] }]\n')
    yield made
    if made.process.returncode is None:
        made.process.kill()
        await made.process.wait()


async def climate_of(daemon: Daemon) -> dict[str, object]:
    """What the zones do, once somebody answers."""
    async with asyncio.timeout(WAIT_S):
        while True:
            assert daemon.process.returncode is None
            try:
                async with (
                    aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(daemon.socket))) as session,
                    session.get("http://hub/v1/climate") as response,
                ):
                    found: dict[str, object] = await response.json()
                    return found
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.02)


async def test_hub_heats_on_an_unwritable_state_directory(heating: Daemon) -> None:
    text = heating.config.read_text().replace(f'state_dir = "{heating.state}"', f'state_dir = "{NEVER_WRITABLE}"')
    heating.config.write_text(text)
    await heating.start()
    climate = await climate_of(heating)
    assert "living" in str(climate)
    faults = str((await heating.status())["faults"])
    assert str(NEVER_WRITABLE) in faults
    code, _ = await heating.stop()
    assert code == 0
    assert str(NEVER_WRITABLE) in heating.log
    assert "Traceback" not in heating.log


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_hub_heats_where_its_directory_cannot_be_created(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", failing)
    (problem,) = process._make_directories(tmp_path / "state")
    assert str(tmp_path / "state") in problem
    assert "from memory" in problem


def test_full_disk_is_reported_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Disk, "problem_of", lambda _, directory: f"the disk of {directory} is full" * (directory.name == "state")
    )
    assert process._make_directories(tmp_path / "state", tmp_path / "run") == [
        f"the disk of {tmp_path}/state is full; until then this hub works from memory"
    ]
