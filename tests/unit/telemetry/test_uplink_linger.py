"""The first batches of hubs that start together, and the steady distance of those that follow."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from agent.cloud.client import TelemetryClient
from agent.cloud.contract import Endpoint
from agent.foundation.clock import Clock
from agent.telemetry.outbox.protocol import EMPTY_STATS, Lane, OutboxStats, PendingReading, ReadingQueue
from agent.telemetry.uplink import Uplink
from hal.interface import HUB, SensorKind
from lab.simulation.virtual_loop import VirtualLoop
from tests.unit.telemetry.fakes import AllRegistered

HUBS = 200
LINGER_S = 120.0
COMMIT_S = 10.0


class _Hub:
    """Client and outbox of one uplink; commits a reading every ten seconds."""

    def __init__(self, loop: VirtualLoop, number: int) -> None:
        self._loop = loop
        self._fresh: list[PendingReading] = []
        self.sent_s: list[float] = []
        self.connectivity = self
        self.uplink = Uplink(
            cast("TelemetryClient", self),
            cast("ReadingQueue", self),
            clock=cast("Clock", self),
            rng=random.Random(number),
            identities=AllRegistered(),
            linger_s=LINGER_S,
            readings_max=100,
        )

    def on_recovery(self, callback: object) -> None: ...

    def monotonic_ms(self) -> int:
        return int(self._loop.time() * 1000 + 0.5)

    async def ready(self, endpoint: Endpoint) -> None: ...

    async def post_telemetry(self, readings: Sequence[Any]) -> int:
        self.sent_s.append(self._loop.time())
        return len(readings)

    def stats(self) -> OutboxStats:
        return msgspec.structs.replace(EMPTY_STATS, fresh=len(self._fresh), pending=len(self._fresh))

    async def claim(self, lane: Lane, limit: int) -> list[PendingReading]:
        if lane is Lane.BACKLOG:
            return []
        claimed, self._fresh = self._fresh[:limit], self._fresh[limit:]
        return claimed

    async def settle(self, items: object) -> None: ...

    async def commit_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            self._fresh.append(PendingReading(HUB, SensorKind.TEMPERATURE, 1_700_000_000_000, 20.0, 1))
            self.uplink.readings_committed()


def test_hubs_that_start_together_send_apart() -> None:
    loop = VirtualLoop()
    hubs = [_Hub(loop, number) for number in range(HUBS)]

    async def run() -> None:
        works = [work for hub in hubs for work in (hub.uplink.run(), hub.commit_for_ever())]
        tasks = [asyncio.ensure_future(work) for work in works]
        await asyncio.sleep(600.0)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    first_s = Counter(int((hub.sent_s[0] - COMMIT_S) // 10) for hub in hubs)
    assert set(first_s) <= set(range(12))
    assert max(first_s.values()) <= 3 * HUBS * 10 / LINGER_S, "the first batches use all of the linger"
    for hub in hubs:
        gaps_s = [later_s - earlier_s for earlier_s, later_s in itertools.pairwise(hub.sent_s)]
        assert all(LINGER_S <= gap_s <= LINGER_S + COMMIT_S for gap_s in gaps_s)
