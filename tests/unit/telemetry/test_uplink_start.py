"""The first request of a hub that was off: what it had left goes out with what it has read since."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from agent.cloud.client import TelemetryClient
from agent.cloud.contract import Endpoint
from agent.foundation.clock import Clock
from agent.telemetry.outbox.protocol import EMPTY_STATS, Lane, OutboxStats, PendingReading, ReadingQueue
from agent.telemetry.uplink import CATCH_UP_SPREAD_S, Uplink
from hal.interface import HUB, SensorKind
from lab.simulation.virtual_loop import VirtualLoop
from tests.unit.telemetry.fakes import AllRegistered

FREE_AT_S = 60.0
"""When the quota lets the first request through: one window after the boot."""

BATCH = 100
LINGER_S = 10.0


class _Hub:
    """Client and outbox of an uplink: readings of an earlier boot, and each second one of each series."""

    def __init__(self, loop: VirtualLoop, left: int, *, series: int = 1) -> None:
        self._loop = loop
        self._series = series
        self._backlog = list(range(left))
        self._fresh: list[int] = []
        self._pending = left
        self.sent: list[tuple[float, list[int]]] = []
        self.connectivity = self
        self.uplink = Uplink(
            cast("TelemetryClient", self),
            cast("ReadingQueue", self),
            clock=cast("Clock", self),
            rng=random.Random(3),
            identities=AllRegistered(),
            linger_s=LINGER_S,
            readings_max=BATCH,
        )

    def on_recovery(self, callback: object) -> None: ...

    def monotonic_ms(self) -> int:
        return int(self._loop.time() * 1000 + 0.5)

    async def ready(self, endpoint: Endpoint) -> None:
        await asyncio.sleep(max(0.0, FREE_AT_S - self._loop.time()))

    async def post_telemetry(self, readings: Sequence[Any]) -> int:
        self.sent.append((self._loop.time(), [int(value) for _, value, _, _ in readings]))
        return len(readings)

    def stats(self) -> OutboxStats:
        return msgspec.structs.replace(EMPTY_STATS, fresh=len(self._fresh), pending=self._pending)

    async def close_fresh_lane(self) -> None:
        self._backlog += self._fresh
        self._fresh = []

    async def claim(self, lane: Lane, limit: int) -> list[PendingReading]:
        queue = self._backlog if lane is Lane.BACKLOG else self._fresh
        claimed = queue[:limit]
        del queue[:limit]
        return [PendingReading(HUB, SensorKind.TEMPERATURE, 1_700_000_000_000, float(each), each) for each in claimed]

    async def settle(self, items: Sequence[PendingReading]) -> None:
        self._pending -= len(items)

    async def read_each_second(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._fresh += [1000 + int(self._loop.time())] * self._series
            self._pending += self._series
            self.uplink.readings_committed()

    def run(self, until_s: float) -> None:
        async def run() -> None:
            tasks = [asyncio.ensure_future(work) for work in (self.uplink.run(), self.read_each_second())]
            await asyncio.sleep(until_s)
            assert not any(task.done() for task in tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

        try:
            self._loop.run_until_complete(run())
        finally:
            self._loop.close()


@pytest.mark.parametrize("left", [1, 30])
def test_what_an_earlier_process_left_goes_out_with_the_first_readings_of_this_one(left: int) -> None:
    hub = _Hub(VirtualLoop(), left)
    hub.run(FREE_AT_S + LINGER_S - 0.5)
    (sent_s, readings), *later = hub.sent
    assert sent_s == FREE_AT_S
    assert readings[:left] == list(range(left)), "the oldest first"
    assert len(readings) >= left + FREE_AT_S - 1
    assert not later, "no second request before the next batch has waited"


def test_more_than_a_batch_waits_a_random_time() -> None:
    hub = _Hub(VirtualLoop(), BATCH)
    hub.run(FREE_AT_S + CATCH_UP_SPREAD_S + LINGER_S)
    backlog_s = next(at_s for at_s, readings in hub.sent if 0 in readings)
    assert FREE_AT_S < backlog_s <= FREE_AT_S + CATCH_UP_SPREAD_S + 1.0
    fresh = [reading for _, readings in hub.sent for reading in readings if reading > 1000 + FREE_AT_S]
    assert fresh, "new readings do not wait for it"


def test_a_hub_of_many_series_that_had_nothing_left_sends_at_once() -> None:
    hub = _Hub(VirtualLoop(), 0, series=5)
    hub.run(FREE_AT_S + 1.0)
    assert hub.sent, "what it has read while it waited is no backlog"
    assert hub.sent[0][0] == FREE_AT_S
