"""Hubs that start together fetch their settings together once, and apart from then on."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from agent.cloud.client import SettingsClient
from agent.cloud.contract import Endpoint
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.settings.sync import SettingsSync
from lab.simulation.virtual_loop import VirtualLoop

HUBS = 50
INTERVAL_S = 600.0


class _Cloud:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.fetched_s: list[float] = []

    async def ready(self, endpoint: Endpoint) -> None: ...

    async def get_settings(self) -> Mapping[str, Any]:
        self.fetched_s.append(self._loop.time())
        return {}


def test_hubs_that_start_together_fetch_apart(tmp_path: Path) -> None:
    loop = VirtualLoop()
    clouds = [_Cloud(loop) for _ in range(HUBS)]

    async def run() -> None:
        tasks = []
        for number, cloud in enumerate(clouds):
            sync = SettingsSync(
                tmp_path,
                disk=Disk(),
                worker=InlineWorker(),
                client=cast("SettingsClient", cloud),
                poll_interval_s=INTERVAL_S,
                rng=random.Random(number),
            )
            tasks.append(asyncio.ensure_future(sync.run()))
        await asyncio.sleep(3 * INTERVAL_S)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    assert {cloud.fetched_s[0] for cloud in clouds} == {0.0}
    a_minute = Counter(int(cloud.fetched_s[1] // 60) for cloud in clouds)
    assert set(a_minute) <= set(range(10))
    assert max(a_minute.values()) <= 3 * HUBS / 10
    for cloud in clouds:
        assert round(cloud.fetched_s[2] - cloud.fetched_s[1], 3) == INTERVAL_S
