"""Hubs that start or lose the cloud together fetch their settings together once, and apart from then on."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from agent.cloud.client import SettingsClient
from agent.cloud.contract import Endpoint
from agent.errors import CloudUnavailable
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.settings.sync import SettingsSync
from lab.simulation.virtual_loop import VirtualLoop

HUBS = 50
INTERVAL_S = 600.0
OUTAGE_S = 1800.0
RETRY_S = 60.0


class _Cloud:
    """The cloud as one hub sees it, away from time to time; all hubs find it again at the same moment."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.back_s = 0.0
        self.fetched_s: list[float] = []

    async def ready(self, endpoint: Endpoint) -> None: ...

    async def get_settings(self) -> Mapping[str, Any]:
        if (left_s := self.back_s - self._loop.time()) > 0:
            await asyncio.sleep(min(RETRY_S, left_s))
            raise CloudUnavailable("no connection")
        self.fetched_s.append(self._loop.time())
        return {}


def test_hubs_that_start_together_fetch_apart(tmp_path: Path) -> None:
    clouds = fetches(tmp_path, outage_at_s=None)
    assert {cloud.fetched_s[0] for cloud in clouds} == {0.0}
    assert_apart([cloud.fetched_s[1] for cloud in clouds])
    for cloud in clouds:
        assert round(cloud.fetched_s[2] - cloud.fetched_s[1], 3) == INTERVAL_S


def test_hubs_that_found_the_cloud_again_together_fetch_apart(tmp_path: Path) -> None:
    back_s = INTERVAL_S + OUTAGE_S
    clouds = fetches(tmp_path, outage_at_s=INTERVAL_S)
    later_s = [[at_s - back_s for at_s in cloud.fetched_s if at_s >= back_s] for cloud in clouds]
    assert {each[0] for each in later_s} == {0.0}
    assert_apart([each[1] for each in later_s])
    for each in later_s:
        assert round(each[2] - each[1], 3) == INTERVAL_S


def test_a_failure_that_soon_passes_changes_no_phase(tmp_path: Path) -> None:
    clouds = fetches(tmp_path, outage_at_s=INTERVAL_S, lasts_s=30.0)
    for cloud in clouds:
        for before_s, after_s in pairwise(cloud.fetched_s[1:]):
            assert INTERVAL_S - 0.01 <= after_s - before_s <= INTERVAL_S + 30.01


def assert_apart(times_s: Sequence[float]) -> None:
    """Assert that the fetches of a fleet fill an interval."""
    a_minute = Counter(int(at_s // 60) for at_s in times_s)
    assert set(a_minute) <= set(range(10))
    assert max(a_minute.values()) <= 3 * HUBS / 10


def fetches(directory: Path, *, outage_at_s: float | None, lasts_s: float = OUTAGE_S) -> Sequence[_Cloud]:
    """Return the clouds of hubs that started together, after an outage if there is one and three intervals."""
    loop = VirtualLoop()
    clouds = [_Cloud(loop) for _ in range(HUBS)]

    async def run() -> None:
        tasks = []
        for number, cloud in enumerate(clouds):
            sync = SettingsSync(
                directory,
                disk=Disk(),
                worker=InlineWorker(),
                client=cast("SettingsClient", cloud),
                poll_interval_s=INTERVAL_S,
                rng=random.Random(number),
            )
            tasks.append(asyncio.ensure_future(sync.run()))
        if outage_at_s is not None:
            await asyncio.sleep(outage_at_s)
            for cloud in clouds:
                cloud.back_s = outage_at_s + lasts_s
            await asyncio.sleep(lasts_s)
        await asyncio.sleep(3 * INTERVAL_S)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    return clouds
