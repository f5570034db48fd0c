"""Brings the outbox to the cloud, one request at a time.

One at a time is enough for the whole quota up to a second of travel time, and keeps order and account simple. Decides
nothing itself: `batching` says what goes next, the client says when. Must never settle what was not accepted.
"""

import asyncio
import logging
import random

import msgspec

from agent.cloud.client import CloudClient
from agent.cloud.endpoints import QUOTAS, Endpoint
from agent.cloud.messages import READINGS_MAX
from agent.errors import CloudUnavailable, Refused, StorageFull, Throttled, Unauthorized
from agent.foundation import rfc3339
from agent.foundation.clock import Clock
from agent.telemetry.batching import SUSPECT_RETRY_MS, Batch, RetryQueue, UplinkState, next_lane
from agent.telemetry.identities import Identities
from agent.telemetry.outbox.protocol import Lane, ReadingQueue
from hal.interface import HUB

_log = logging.getLogger(__name__)

CATCH_UP_SPREAD_S = 60.0
"""After an outage, and after a start with a backlog, each hub waits a random moment up to this before it sends its
backlog: a fleet that comes back together does not fall upon the cloud together."""


class UplinkCounts(msgspec.Struct):
    """What the status shows of the uplink.

    Attributes:
        accepted: Readings that the cloud took.
        unconfirmed: Readings that a 2xx answer did not count as accepted; not sent again (contract section 3.4).
        resent: Readings that went out more than once.
        last_refusal: The last refusal's words; empty when there was none.
        last_accepted_ms: Boot time of the last acceptance; `None` while there was none.
    """

    accepted: int = 0
    unconfirmed: int = 0
    resent: int = 0
    last_refusal: str = ""
    last_accepted_ms: int | None = None


class Uplink:
    """The loop that empties the outbox."""

    def __init__(
        self,
        client: CloudClient,
        *,
        clock: Clock,
        rng: random.Random,
        identities: Identities,
        linger_s: float,
        readings_max: int,
    ) -> None:
        """Prepare.

        Args:
            client: The way to the cloud.
            clock: For ages and paces.
            rng: For the random pause after an outage.
            identities: The cloud identities of relayed sensors.
            linger_s: How long a batch that is not full waits for more.
            readings_max: Readings in a batch.
        """
        self._client = client
        self._clock = clock
        self._rng = rng
        self._identities = identities
        self._linger_ms = int(linger_s * 1000)
        self._readings_max = min(readings_max, READINGS_MAX)
        quota = QUOTAS[Endpoint.TELEMETRY]
        self._pace_ms = quota.window_s * 1000 // quota.limit
        self._retries = RetryQueue()
        self._outbox: ReadingQueue | None = None
        self._changed = asyncio.Event()
        self._fresh_since_ms = 0
        self._has_backlog = True
        self._backlog_at_ms = 0
        self._has_recovered = False
        self._due_ms: int | None = None
        self.counts = UplinkCounts()
        client.connectivity.on_recovery(self._recover)

    @property
    def retrying(self) -> int:
        """Readings that were sent and have to be sent again."""
        return len(self._retries)

    def stalled_ms(self, now_ms: int) -> int:
        """Return how long readings have been due while none was accepted."""
        return 0 if self._due_ms is None else max(0, now_ms - self._due_ms)

    def readings_committed(self, outbox: ReadingQueue) -> None:
        """Take note that readings were appended."""
        fresh = outbox.stats().fresh
        if fresh and self._due_ms is None:
            self._due_ms = self._clock.monotonic_ms() + self._linger_ms
        if fresh and not self._fresh_since_ms:
            self._fresh_since_ms = self._clock.monotonic_ms()
            self._changed.set()
        elif fresh >= self._readings_max:
            self._changed.set()

    def backlog_available(self) -> None:
        """Take note that stored readings became sendable."""
        self._has_backlog = True
        if self._due_ms is None:
            self._due_ms = self._clock.monotonic_ms()
        self._changed.set()

    def wake(self) -> None:
        """Take note that there may be something to send by now."""
        if self._due_ms is None:
            self._due_ms = self._clock.monotonic_ms()
        self._changed.set()

    def discard_stored(self) -> None:
        """Take note that the outbox on the disk was closed: what was claimed from it is claimed anew from the next."""
        self._retries.discard(lambda item: item.seq >= 0)

    def _recover(self) -> None:
        self._has_recovered = True
        self._changed.set()

    async def run(self, outbox: ReadingQueue) -> None:
        """Send, until cancelled.

        Raises:
            Corrupt: The outbox cannot be used any more.
        """
        if outbox.stats().pending > self._readings_max:
            self._has_recovered = True
        self._has_backlog = True
        if self._due_ms is None and outbox.stats().sendable:
            self._due_ms = self._clock.monotonic_ms()
        while True:
            await self._client.ready(Endpoint.TELEMETRY)
            if self._has_recovered:
                await self._begin_catch_up(outbox)
            now_ms = self._clock.monotonic_ms()
            if (pause_ms := self._retries.paused_until_ms - now_ms) > 0:
                await asyncio.sleep(pause_ms / 1000)
                continue
            part = self._retries.take(now_ms) or await self._claim(outbox, now_ms)
            if part is not None:
                await self._send(outbox, part)

    async def _begin_catch_up(self, outbox: ReadingQueue) -> None:
        self._has_recovered = False
        await outbox.close_fresh_lane()
        self._fresh_since_ms = 0
        self._has_backlog = True
        self._backlog_at_ms = self._clock.monotonic_ms() + int(self._rng.uniform(0, CATCH_UP_SPREAD_S) * 1000)

    async def _claim(self, outbox: ReadingQueue, now_ms: int) -> Batch | None:
        """Take the next batch from the outbox, or wait until there may be one and return `None`."""
        fresh = 0 if self._retries.is_full else outbox.stats().fresh
        turn = next_lane(
            UplinkState(
                fresh=fresh,
                fresh_age_ms=now_ms - self._fresh_since_ms,
                has_backlog=self._has_backlog and not self._retries.blocks_backlog,
                backlog_wait_ms=self._backlog_at_ms - now_ms,
                linger_ms=self._linger_ms,
                readings_max=self._readings_max,
            )
        )
        if not isinstance(turn, Lane):
            await self._wait(turn, self._retries.wait_ms(now_ms))
            return None
        items = await outbox.claim(turn, self._readings_max)
        if turn is Lane.BACKLOG:
            self._has_backlog = bool(items)
            self._backlog_at_ms = max(self._backlog_at_ms + self._pace_ms, now_ms)
        else:
            self._fresh_since_ms = now_ms if outbox.stats().fresh else 0
        return Batch(items) if items else None

    async def _wait(self, *waits_ms: int | None) -> None:
        """Wait until something changes, or the shortest of the given times is over."""
        self._changed.clear()
        known_ms = [wait_ms for wait_ms in waits_ms if wait_ms is not None]
        try:
            async with asyncio.timeout(min(known_ms) / 1000 if known_ms else None):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _send(self, outbox: ReadingQueue, part: Batch) -> None:
        part = await self._without_implausible_times(outbox, part)
        if not part.items:
            return
        sensor_ids = {
            device: self._identities.sensor_id(device) for device in {item.device for item in part.items} - {HUB}
        }
        if nameless := {device for device, sensor_id in sensor_ids.items() if sensor_id is None}:
            self._retries.defer_unregistered(
                [item for item in part.items if item.device in nameless], self._clock.monotonic_ms()
            )
            part = Batch([item for item in part.items if item.device not in nameless])
            if not part.items:
                return
        readings = [(item.kind, item.value, item.utc_ms, sensor_ids.get(item.device)) for item in part.items]
        try:
            accepted = await self._client.post_telemetry(readings)
        except Refused as error:
            self.counts.resent += len(part.items)
            await self._refused(outbox, part, error)
        except (CloudUnavailable, Throttled, Unauthorized) as error:
            self.counts.resent += len(part.items)
            self._retries.requeue(part)
            _log.info("%d readings wait: %s", len(part.items), error)
        except BaseException:
            self._retries.requeue(part)
            raise
        else:
            await outbox.settle(part.items)
            self._retries.record_accepted(len(part.items))
            self._count(len(part.items), accepted)
            self._progressed(outbox)
            self._identities.record_acceptance(sensor_ids)

    async def _without_implausible_times(self, outbox: ReadingQueue, part: Batch) -> Batch:
        """Bury readings with an instant that nothing can be done with, a damaged file's say; return the others."""
        left = [item for item in part.items if rfc3339.is_plausible(item.utc_ms)]
        wrong = [item for item in part.items if not rfc3339.is_plausible(item.utc_ms)]
        try:
            while wrong:
                text = f"its instant is not {rfc3339.BOUNDS}"
                await outbox.move_to_dead_letters(wrong[0], text)
                item = wrong.pop(0)
                self.counts.last_refusal = text
                _log.warning("a %s reading of %s is not sent: %s", item.kind, item.device or "hub", text)
        except StorageFull as full:
            not_before_ms = self._clock.monotonic_ms() + SUSPECT_RETRY_MS
            self._retries.requeue(Batch(wrong, not_before_ms))
            _log.info("a reading without an instant is not put on record yet: %s", full)
        except BaseException:
            self._retries.requeue(msgspec.structs.replace(part, items=[*left, *wrong]))
            raise
        return msgspec.structs.replace(part, items=left)

    async def _refused(self, outbox: ReadingQueue, part: Batch, error: Refused) -> None:
        self.counts.last_refusal = str(error)
        hopeless = self._retries.handle_refusal(part, error.status, self._clock.monotonic_ms())
        if hopeless is not None:
            try:
                await outbox.move_to_dead_letters(hopeless, str(error))
            except StorageFull as full:
                not_before_ms = self._clock.monotonic_ms() + SUSPECT_RETRY_MS
                self._retries.requeue(msgspec.structs.replace(part, not_before_ms=not_before_ms))
                _log.info("a refused reading is not put on record yet: %s", full)
                return
            _log.warning("a %s reading of %s was refused for good: %s", hopeless.kind, hopeless.device or "hub", error)

    def _progressed(self, outbox: ReadingQueue) -> None:
        now_ms = self._clock.monotonic_ms()
        self.counts.last_accepted_ms = now_ms
        self._due_ms = now_ms + self._linger_ms if outbox.stats().sendable else None

    def _count(self, sent: int, accepted: int | None) -> None:
        taken = sent if accepted is None else min(max(accepted, 0), sent)
        self.counts.accepted += taken
        if taken < sent:
            self.counts.unconfirmed += sent - taken
            _log.warning("the cloud accepted %d of %d readings and did not say which", taken, sent)
