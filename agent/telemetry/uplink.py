"""The uplink: sends the outbox to the cloud, one request at a time.

One request at a time uses the whole quota up to a round trip of one second, and keeps order and accounting simple.
`batching` decides what is sent next, the client when. Must never settle a reading that was not accepted.
"""

import asyncio
import logging
import random

import msgspec

from agent.cloud.client import TelemetryClient
from agent.cloud.contract import QUOTAS, READINGS_MAX, Endpoint
from agent.errors import CloudUnavailable, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.foundation.signals import Signal
from agent.telemetry.batching import SUSPECT_RETRY_MS, Batch, RetryQueue, UplinkState, next_lane
from agent.telemetry.intake import Identities
from agent.telemetry.outbox.protocol import Lane, PendingReading, ReadingQueue
from hal.interface import HUB

_log = logging.getLogger(__name__)

CATCH_UP_SPREAD_S = 60.0
"""After an outage, and after a start with a backlog, each hub waits a random time up to this before it sends its
backlog: a fleet that reconnects at once must not overload the cloud."""

BATCHES_A_CLAIM = 4
"""Batches of the backlog that are claimed at once: handing work to the storage thread and back costs a sixth of what
sending a batch does (tests/bench/bench_catch_up_cpu.py). They wait in memory, and stay in the outbox until accepted."""


class UplinkCounts(msgspec.Struct):
    """The numbers of the uplink since the start of the process.

    Attributes:
        accepted: Readings that the cloud accepted.
        unconfirmed: Readings that a 2xx answer did not count as accepted; not sent again (contract section 3.4).
        resent: Readings that were sent more than once.
        last_refusal: The message of the last refusal; empty without one.
        last_accepted_ms: Boot time of the last acceptance; `None` before the first.
    """

    accepted: int = 0
    unconfirmed: int = 0
    resent: int = 0
    last_refusal: str = ""
    last_accepted_ms: int | None = None


class Uplink:
    """The loop that sends the outbox."""

    def __init__(
        self,
        client: TelemetryClient,
        outbox: ReadingQueue,
        *,
        clock: Clock,
        rng: random.Random,
        identities: Identities,
        linger_s: float,
        readings_max: int,
    ) -> None:
        """Prepare.

        Args:
            client: Sends.
            outbox: What to send.
            clock: For ages and paces.
            rng: For the random linger of the first batch, and the random pause after an outage.
            identities: The cloud identities of relayed sensors.
            linger_s: How long a batch that is not full waits for more.
            readings_max: Readings in a batch.
        """
        self._client = client
        self._outbox = outbox
        self._clock = clock
        self._rng = rng
        self._identities = identities
        self._linger_ms = int(linger_s * 1000)
        # Hubs that start together have their first readings together. Later batches keep the first one's distance.
        self._fresh_linger_ms = int(rng.uniform(0.0, linger_s) * 1000)
        self._readings_max = min(readings_max, READINGS_MAX)
        quota = QUOTAS[Endpoint.TELEMETRY]
        self._pace_ms = quota.window_s * 1000 // quota.limit
        self._retries = RetryQueue()
        self._claimed: list[PendingReading] = []
        self._changed = Signal()
        self._fresh_since_ms = 0
        self._has_backlog = True
        self._backlog_at_ms = 0
        self._has_recovered = False
        self._due_ms: int | None = None
        self._is_hurried = False
        self.counts = UplinkCounts()
        client.connectivity.on_recovery(self._recover)

    @property
    def retrying(self) -> int:
        """Readings that were sent and have to be sent again."""
        return len(self._retries)

    def stalled_ms(self, now_ms: int) -> int:
        """Return how long readings have been due while none was accepted."""
        return 0 if self._due_ms is None else max(0, now_ms - self._due_ms)

    def readings_committed(self) -> None:
        """Send the new readings once the batch is full or the first of them has waited long enough."""
        fresh = self._outbox.stats().fresh
        if fresh and self._due_ms is None:
            self._due_ms = self._clock.monotonic_ms() + self._linger_ms
        if fresh and not self._fresh_since_ms:
            self._fresh_since_ms = self._clock.monotonic_ms()
            self._changed.set()
        elif fresh >= self._readings_max:
            self._changed.set()

    def backlog_available(self) -> None:
        """Look for a backlog: stored readings became sendable."""
        self._has_backlog = True
        if self._due_ms is None:
            self._due_ms = self._clock.monotonic_ms()
        self._changed.set()

    def send_now(self) -> None:
        """Send what is there without waiting for a full batch, once: a person is waiting."""
        if self._outbox.stats().fresh:
            self._is_hurried = True
            self._changed.set()

    def commit_refused(self) -> None:
        """Look again: readings that the disk refuses are sent from memory after a minute."""
        if self._due_ms is None:
            self._due_ms = self._clock.monotonic_ms()
        self._changed.set()

    def discard_stored(self) -> None:
        """Forget what was claimed from the disk: its outbox was closed, and the next one claims the same again."""
        self._retries.discard(lambda item: item.seq >= 0)
        self._claimed = []

    def _recover(self) -> None:
        self._has_recovered = True
        self._changed.set()

    async def run(self) -> None:
        """Send, until cancelled.

        Raises:
            Corrupt: The outbox has to be reopened.
        """
        outbox = self._outbox
        self._has_backlog = True
        if self._due_ms is None and outbox.stats().sendable:
            self._due_ms = self._clock.monotonic_ms()
        await self._client.ready(Endpoint.TELEMETRY)
        stats = outbox.stats()
        if stats.pending > max(self._readings_max, stats.fresh):
            self._has_recovered = True
        elif 0 < stats.fresh < stats.sendable:
            # What an earlier process left goes out with the first fresh batch: one request, not two.
            await self._take_fresh_as_backlog()
            self._fresh_linger_ms = self._linger_ms
        while True:
            await self._client.ready(Endpoint.TELEMETRY)
            if self._has_recovered:
                await self._begin_catch_up()
            now_ms = self._clock.monotonic_ms()
            if (pause_ms := self._retries.paused_until_ms - now_ms) > 0:
                await asyncio.sleep(pause_ms / 1000)
                continue
            batch = self._retries.take(now_ms) or await self._claim(now_ms)
            if batch is not None:
                await self._send(batch)

    async def _begin_catch_up(self) -> None:
        self._has_recovered = False
        await self._take_fresh_as_backlog()
        self._has_backlog = True
        self._backlog_at_ms = self._clock.monotonic_ms() + int(self._rng.uniform(0, CATCH_UP_SPREAD_S) * 1000)

    async def _take_fresh_as_backlog(self) -> None:
        await self._outbox.close_fresh_lane()
        self._fresh_since_ms = 0

    async def _claim(self, now_ms: int) -> Batch | None:
        """Claim the next batch; where there is none yet, wait for a change and return `None`."""
        fresh = 0 if self._retries.is_full else self._outbox.stats().fresh
        lane = next_lane(
            UplinkState(
                fresh=fresh,
                fresh_age_ms=now_ms - self._fresh_since_ms,
                has_backlog=self._has_backlog and not self._retries.blocks_backlog,
                backlog_wait_ms=self._backlog_at_ms - now_ms,
                linger_ms=0 if self._is_hurried else self._fresh_linger_ms,
                readings_max=self._readings_max,
            )
        )
        if not isinstance(lane, Lane):
            waits_ms = [wait_ms for wait_ms in (lane, self._retries.wait_ms(now_ms)) if wait_ms is not None]
            self._changed.clear()
            await self._changed.wait(min(waits_ms) / 1000 if waits_ms else None)
            return None
        if lane is Lane.BACKLOG:
            items = await self._claim_backlog()
            self._has_backlog = bool(items)
            self._backlog_at_ms = max(self._backlog_at_ms + self._pace_ms, now_ms)
        else:
            items = await self._outbox.claim(lane, self._readings_max)
            self._is_hurried = False
            self._fresh_since_ms = now_ms if self._outbox.stats().fresh else 0
            self._fresh_linger_ms = self._linger_ms
        return Batch(items) if items else None

    async def _claim_backlog(self) -> list[PendingReading]:
        """Return the next batch of the backlog: of those that are claimed, else of several that are claimed now."""
        if not self._claimed:
            self._claimed = await self._outbox.claim(Lane.BACKLOG, self._readings_max * BATCHES_A_CLAIM)
        items, self._claimed = self._claimed[: self._readings_max], self._claimed[self._readings_max :]
        return items

    async def _send(self, batch: Batch) -> None:
        batch = await self._without_implausible_times(batch)
        if not batch.items:
            return
        sensor_ids = {
            device: self._identities.sensor_id(device) for device in {item.device for item in batch.items} - {HUB}
        }
        if unregistered := {device for device, sensor_id in sensor_ids.items() if sensor_id is None}:
            self._retries.defer_unregistered(
                [item for item in batch.items if item.device in unregistered], self._clock.monotonic_ms()
            )
            batch = Batch([item for item in batch.items if item.device not in unregistered])
            if not batch.items:
                return
        readings = [(item.kind, item.value, item.utc_ms, sensor_ids.get(item.device)) for item in batch.items]
        try:
            accepted = await self._client.post_telemetry(readings)
        except Refused as error:
            self.counts.resent += len(batch.items)
            await self._handle_refusal(batch, error)
        except (CloudUnavailable, Throttled, Unauthorized) as error:
            self.counts.resent += len(batch.items)
            self._retries.requeue(batch)
            _log.info("%d readings wait: %s", len(batch.items), error)
        except BaseException:
            self._retries.requeue(batch)
            raise
        else:
            await self._outbox.settle(batch.items)
            self._retries.record_accepted(len(batch.items))
            self._count_accepted(len(batch.items), accepted)
            self._identities.record_acceptance(sensor_ids)

    async def _without_implausible_times(self, batch: Batch) -> Batch:
        """Return a batch without readings of an impossible time, from a damaged file for example: dead letters."""
        plausible = [item for item in batch.items if rfc3339.is_plausible(item.utc_ms)]
        wrong = [item for item in batch.items if not rfc3339.is_plausible(item.utc_ms)]
        try:
            while wrong:
                text = f"its instant is not {rfc3339.BOUNDS}"
                await self._outbox.move_to_dead_letters(wrong[0], text)
                item = wrong.pop(0)
                self.counts.last_refusal = text
                _log.warning("a %s reading of %s is not sent: %s", item.kind, item.device or "hub", text)
        except StorageFull as full:
            self._retries.requeue(Batch(wrong, self._clock.monotonic_ms() + SUSPECT_RETRY_MS))
            _log.info("a reading with an impossible time waits to become a dead letter: %s", full)
        except BaseException:
            self._retries.requeue(msgspec.structs.replace(batch, items=[*plausible, *wrong]))
            raise
        return msgspec.structs.replace(batch, items=plausible)

    async def _handle_refusal(self, batch: Batch, error: Refused) -> None:
        self.counts.last_refusal = str(error)
        refused = self._retries.handle_refusal(batch, error.status, self._clock.monotonic_ms())
        if refused is None:
            return
        try:
            await self._outbox.move_to_dead_letters(refused, str(error))
        except StorageFull as full:
            not_before_ms = self._clock.monotonic_ms() + SUSPECT_RETRY_MS
            self._retries.requeue(msgspec.structs.replace(batch, not_before_ms=not_before_ms))
            _log.info("a refused reading waits to become a dead letter: %s", full)
            return
        _log.warning("a %s reading of %s was refused for good: %s", refused.kind, refused.device or "hub", error)

    def _count_accepted(self, sent: int, accepted: int | None) -> None:
        now_ms = self._clock.monotonic_ms()
        self.counts.last_accepted_ms = now_ms
        self._due_ms = now_ms + self._linger_ms if self._outbox.stats().sendable else None
        counted = sent if accepted is None else min(max(accepted, 0), sent)
        self.counts.accepted += counted
        if counted < sent:
            self.counts.unconfirmed += sent - counted
            _log.warning("the cloud accepted %d of %d readings and did not name them", counted, sent)
