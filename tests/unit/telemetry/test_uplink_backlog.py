"""How the uplink takes the backlog: several batches a claim, each at its pace, none sent twice."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from agent.cloud.client import TelemetryClient
from agent.cloud.contract import Endpoint
from agent.foundation.clock import Clock
from agent.telemetry.outbox.protocol import EMPTY_STATS, Lane, OutboxStats, PendingReading, ReadingQueue
from agent.telemetry.uplink import BATCHES_A_CLAIM, CATCH_UP_SPREAD_S, Uplink
from hal.interface import HUB, SensorKind
from lab.simulation.virtual_loop import VirtualLoop
from tests.unit.telemetry.fakes import AllRegistered

READINGS = 1030
BATCH = 100
PACE_S = 1.0
UTC_MS = 1_700_000_000_000


class _Backlog:
    """Client, clock and outbox of an uplink with a backlog of readings; the value of each is its number."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._unclaimed = list(range(READINGS))
        self._accepted: set[int] = set()
        self.claims = 0
        self.sent: list[list[int]] = []
        self.sent_s: list[float] = []
        self.connectivity = self
        self.uplink = Uplink(
            cast("TelemetryClient", self),
            cast("ReadingQueue", self),
            clock=cast("Clock", self),
            rng=random.Random(1),
            identities=AllRegistered(),
            linger_s=10.0,
            readings_max=BATCH,
        )

    def on_recovery(self, callback: object) -> None: ...

    def monotonic_ms(self) -> int:
        return int(self._loop.time() * 1000 + 0.5)

    async def ready(self, endpoint: Endpoint) -> None: ...

    async def close_fresh_lane(self) -> None: ...

    async def post_telemetry(self, readings: Sequence[Any]) -> int:
        self.sent.append([int(value) for _, value, _, _ in readings])
        self.sent_s.append(self._loop.time())
        return len(readings)

    def stats(self) -> OutboxStats:
        return msgspec.structs.replace(EMPTY_STATS, pending=READINGS - len(self._accepted))

    async def claim(self, lane: Lane, limit: int) -> list[PendingReading]:
        if lane is Lane.FRESH:
            return []
        self.claims += 1
        claimed, self._unclaimed = self._unclaimed[:limit], self._unclaimed[limit:]
        return [PendingReading(HUB, SensorKind.TEMPERATURE, UTC_MS, float(number), number) for number in claimed]

    async def settle(self, items: Sequence[PendingReading]) -> None:
        self._accepted |= {item.seq for item in items}

    def replace_outbox(self) -> None:
        """Do what the service does when the outbox is opened again: all that was not accepted is there once more."""
        self.uplink.discard_stored()
        self._unclaimed = [number for number in range(READINGS) if number not in self._accepted]

    def run(self, *, replaced_after: int | None = None) -> None:
        """Send until all is accepted; after so many batches the outbox is opened again."""

        async def run() -> None:
            task = asyncio.ensure_future(self.uplink.run())
            is_replaced = replaced_after is None
            while len(self._accepted) < READINGS:
                await asyncio.sleep(PACE_S / 2)
                assert self._loop.time() < CATCH_UP_SPREAD_S + 10 * PACE_S * READINGS / BATCH
                if not is_replaced and len(self.sent) == replaced_after:
                    self.replace_outbox()
                    is_replaced = True
            task.cancel()
            await asyncio.wait([task])
            assert is_replaced

        try:
            self._loop.run_until_complete(run())
        finally:
            self._loop.close()


def test_one_claim_gives_several_batches_each_sent_at_its_pace() -> None:
    backlog = _Backlog(VirtualLoop())
    backlog.run()
    assert [number for batch in backlog.sent for number in batch] == list(range(READINGS))
    assert [len(batch) for batch in backlog.sent] == [BATCH] * 10 + [30]
    assert backlog.claims == 1 + READINGS // (BATCH * BATCHES_A_CLAIM)
    gaps_s = [later_s - earlier_s for earlier_s, later_s in itertools.pairwise(backlog.sent_s)]
    assert all(gap_s >= 0.99 * PACE_S for gap_s in gaps_s)


def test_what_was_claimed_from_an_outbox_that_is_opened_again_is_not_sent_twice() -> None:
    backlog = _Backlog(VirtualLoop())
    backlog.run(replaced_after=2)
    assert [number for batch in backlog.sent for number in batch] == list(range(READINGS))
