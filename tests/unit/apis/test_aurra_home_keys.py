"""The signing keys: made and loaded when somebody wants them, kept over restarts, renewed in time."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.apis.aurra_home import signing_keys
from agent.apis.aurra_home.signing_keys import DAY_MS, FILE_NAME, KEYS_MAX, ROTATION_DAYS, SigningKeys
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from tests.unit.port.sign_in.access_bench import HandClock


@contextlib.asynccontextmanager
async def running(directory: Path, clock: HandClock | None = None) -> AsyncIterator[SigningKeys]:
    keys = SigningKeys(
        directory, clock=clock or HandClock(), disk=Disk(), worker=InlineWorker(), random_bytes=os.urandom
    )
    task = asyncio.get_running_loop().create_task(keys.run())
    await asyncio.sleep(0)
    try:
        yield keys
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_nothing_is_made_before_somebody_wants_a_token(tmp_path: Path) -> None:
    async with running(tmp_path) as keys:
        await asyncio.sleep(0.01)
        assert not (tmp_path / FILE_NAME).exists()
        with pytest.raises(ValueError, match="no key yet"):
            _ = keys.current
        assert await keys.load()
        kid, _ = keys.current
        assert set(keys.public) == {kid}
        assert (tmp_path / FILE_NAME).exists()


async def test_the_key_and_the_name_of_the_hub_outlive_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as keys:
        assert await keys.load()
        before = keys.current[0], keys.hub_id
    async with running(tmp_path) as keys:
        assert await keys.load()
        assert (keys.current[0], keys.hub_id) == before


async def test_an_old_key_is_followed_by_another_and_still_accepted(tmp_path: Path) -> None:
    clock = HandClock()
    async with running(tmp_path, clock) as keys:
        assert await keys.load()
        old = keys.current[0]
    clock.now_ms += (ROTATION_DAYS + 1) * DAY_MS
    async with running(tmp_path, clock) as keys:
        assert await keys.load()
        assert keys.current[0] != old
        assert old in keys.public
        assert len(keys.public) == KEYS_MAX


async def test_whoever_asks_while_the_key_is_not_there_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "LOADING_S_MAX", 0.01)
    keys = SigningKeys(tmp_path, clock=HandClock(), disk=Disk(), worker=InlineWorker(), random_bytes=os.urandom)
    assert not await keys.load()
