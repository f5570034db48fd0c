"""Webhooks of one hub: the endpoints, and the loop that works on the queue.

`offer` takes events from any place at once: control never waits for an endpoint or for the disk. An event is promised
from the moment that the queue's file has it. Nothing is sent while the time is unknown: signatures and certificates
both need it. Without endpoints there is no queue, no file and no connection.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.apis.webhooks.attempts import Next, Result, decide
from agent.apis.webhooks.endpoints import (
    TEST_EVENT,
    Endpoint,
    Endpoints,
    NewEndpoint,
    WebhookEvent,
    find_endpoint,
    make_endpoint,
    receivers,
    with_endpoint,
    without_endpoint,
)
from agent.apis.webhooks.queue import BODY_BYTES_MAX, Delivery, QueueCounts, WebhookQueue, open_queue
from agent.apis.webhooks.sender import Sender
from agent.apis.webhooks.signatures import signed_headers
from agent.errors import Corrupt, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.log import ProblemLog
from agent.foundation.signals import Signal
from agent.foundation.store_loop import StoreOpener, run_on_store
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

ENDPOINTS_FILE = "webhooks.json"
QUEUE_FILE = "webhooks.db"
ENDPOINTS_BYTES_MAX = 32 * 1024
"""Sixteen endpoints with the longest URLs take 12 KiB."""

OFFERED_MAX = 256
"""Events that wait in memory for the disk; a burst of a home's changes is far smaller."""
RETRY_S = 10.0
"""How long the loop waits after the disk has refused."""
CLOCK_S = 30.0
"""How often the loop looks whether the time is known by now."""
CONCURRENT_MAX = 4
"""Attempts at the same time; an endpoint has one."""


class WebhookService:
    """Registers endpoints and delivers to them.

    Attributes:
        problem: Why nothing is delivered; empty where nothing hinders it.
        dropped: Events that found no room in memory while the disk refused.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        sender: Sender,
        rng: random.Random,
        new_id: Callable[[], str],
        random_bytes: Callable[[int], bytes],
        add_fault: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is read.

        Args:
            directory: The state directory.
            clock: The clocks of the boot.
            disk: Reads and writes.
            worker: Where both block.
            sender: Makes attempts.
            rng: For the jitter of the waits.
            new_id: Makes ids of endpoints and deliveries.
            random_bytes: Makes secrets.
            add_fault: Shows a fault.
        """
        self._directory = directory
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._sender = sender
        self._rng = rng
        self._new_id = new_id
        self._random_bytes = random_bytes
        self._add_fault = add_fault
        self._endpoints = JsonStore(
            directory / ENDPOINTS_FILE,
            Endpoints(),
            disk=disk,
            worker=worker,
            bytes_max=ENDPOINTS_BYTES_MAX,
            loss="no webhook has an endpoint",
            is_secret=True,
            drops_stale_copy=True,
        )
        self._problem = ProblemLog(_log, "webhooks wait")
        self._opener = StoreOpener(
            self._open_queue, problem_log=self._problem, on_quarantined=self._report_quarantined, retry_s=RETRY_S
        )
        self._queue: WebhookQueue | None = None
        self._offered: deque[WebhookEvent] = deque()
        self._wake = Signal()
        self._loaded = asyncio.Event()
        self._due_ms: dict[str, int] = {}
        self._arrived: set[int] = set()
        self.dropped = 0

    @property
    def problem(self) -> str:
        """Why nothing is delivered, or what was wrong with the file of the endpoints."""
        return self._endpoints.problem or self._problem.text

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """All endpoints."""
        return self._endpoints.value.endpoints

    def offer(self, events: Sequence[WebhookEvent]) -> None:
        """Queue events for every endpoint that wants them; never blocks, and may be called before `run`."""
        for event in events:
            if len(event.body) > BODY_BYTES_MAX or len(self._offered) >= OFFERED_MAX:
                self.dropped += 1
            elif not self._loaded.is_set() or receivers(self.endpoints, event):
                self._offered.append(event)
        self._wake.set()

    async def add(self, request: NewEndpoint) -> Endpoint:
        """Register an endpoint and return it with its secret.

        Raises:
            SettingInvalid: It cannot be registered.
            StorageFull: It is not registered.
        """
        await self._loaded.wait()
        made = make_endpoint(
            request, endpoint_id=self._new_id(), utc_ms=self._clock.utc_ms(), random_bytes=self._random_bytes
        )
        await self._endpoints.commit(lambda known: with_endpoint(known, made))
        self._wake.set()
        return made

    async def remove(self, endpoint_id: str) -> None:
        """Remove an endpoint and all that waits for it.

        Raises:
            KeyError: There is no such endpoint.
            StorageFull: It is not removed.
        """
        await self._loaded.wait()
        find_endpoint(self._endpoints.value, endpoint_id)
        await self._endpoints.commit(lambda known: without_endpoint(known, endpoint_id))
        # What the queue still has of it is removed by the loop, at once or after a power cut.
        self._due_ms.pop(endpoint_id, None)
        self._wake.set()

    async def test(self, endpoint_id: str) -> Result:
        """Send a test event now, past the queue, and return how that ended.

        Raises:
            KeyError: There is no such endpoint.
        """
        await self._loaded.wait()
        endpoint = find_endpoint(self._endpoints.value, endpoint_id)
        return await self._attempt(endpoint, f"msg_{self._new_id()}", TEST_EVENT, b'{"event":"webhook.test"}')

    async def retry(self, endpoint_id: str) -> int:
        """Queue the dead letters of an endpoint again, and return how many.

        Raises:
            KeyError: There is no such endpoint.
            StorageFull: The disk refuses.
        """
        await self._loaded.wait()
        find_endpoint(self._endpoints.value, endpoint_id)
        revived = await self._queue.revive(endpoint_id) if self._queue else 0
        self._due_ms.pop(endpoint_id, None)
        self._wake.set()
        return revived

    async def counts(self) -> QueueCounts:
        """Return how much waits."""
        return await self._queue.counts() if self._queue else QueueCounts({}, 0, 0)

    async def dead_letters(self) -> list[Delivery]:
        """Return what could not be delivered, the newest first."""
        return await self._queue.dead_letters() if self._queue else []

    async def run(self) -> None:
        """Deliver, until cancelled."""
        await self._endpoints.load_patiently()
        self._loaded.set()
        await run_on_store(self._wait_for_queue, self._work, close=self._discard, on_corrupt=self._report_corrupt)

    async def close(self) -> None:
        """Close the queue, after `run` has ended."""
        if self._queue is not None:
            await self._discard(self._queue)

    async def _wait_for_queue(self) -> WebhookQueue:
        """Return the queue, once there is an endpoint or something from earlier endpoints is left."""
        while self._queue is None:
            if self.endpoints:
                self._queue = await self._opener.open()
            else:
                self._offered.clear()
                await self._wake.wait()
        return self._queue

    async def _work(self, queue: WebhookQueue) -> None:
        """Deliver from a queue until cancelled.

        Raises:
            Corrupt: It cannot be read any more.
        """
        for endpoint_id in (await queue.counts()).pending:
            if endpoint_id not in {each.id for each in self.endpoints}:
                await queue.remove_endpoint(endpoint_id)
        self._arrived.clear()
        in_flight: set[str] = set()
        slots = asyncio.Semaphore(CONCURRENT_MAX)
        self._wake.set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait(self._wait_s(in_flight))
                try:
                    await self._flush(queue)
                    for head in await self._due_heads(queue, in_flight):
                        in_flight.add(head.endpoint)
                        group.create_task(self._deliver(queue, head, slots, in_flight))
                except StorageFull as error:
                    self._problem.report(str(error))
                    await asyncio.sleep(RETRY_S)
                    self._wake.set()

    def _wait_s(self, in_flight: set[str]) -> float | None:
        """Return how long nothing is due; `None` until the next event."""
        waiting = [due_ms for endpoint_id, due_ms in self._due_ms.items() if endpoint_id not in in_flight]
        if not waiting:
            return None
        if self._clock.utc_ms() is None:
            return CLOCK_S
        return max(0.0, (min(waiting) - self._clock.monotonic_ms()) / 1000)

    async def _flush(self, queue: WebhookQueue) -> None:
        """Move the offered events to the disk; they stay in memory if it refuses."""
        taken = list(self._offered)
        utc_ms = self._clock.utc_ms()
        deliveries, keys = [], []
        for event in taken:
            delivery_id = f"msg_{event.key or self._new_id() + self._new_id()}"
            keys += [delivery_id] if event.key else []
            deliveries += [
                Delivery(0, delivery_id, endpoint.id, event.name, event.body, utc_ms)
                for endpoint in receivers(self.endpoints, event)
            ]
        if deliveries:
            await queue.add(deliveries, keys)
            self._problem.clear()
        for _ in taken:
            self._offered.popleft()

    async def _due_heads(self, queue: WebhookQueue, in_flight: set[str]) -> list[Delivery]:
        """Return what is to be sent now, and remove what belongs to no endpoint any more."""
        now_ms, due = self._clock.monotonic_ms(), []
        known = {each.id for each in self.endpoints}
        heads = await queue.heads()
        self._due_ms = {each.endpoint: self._due_ms.get(each.endpoint, now_ms) for each in heads}
        for head in heads:
            if head.endpoint in in_flight:
                continue
            if head.endpoint not in known:
                await queue.remove_endpoint(head.endpoint)
                self._due_ms.pop(head.endpoint, None)
            elif self._due_ms[head.endpoint] <= now_ms and self._clock.utc_ms() is not None:
                due.append(head)
        return due

    async def _deliver(
        self, queue: WebhookQueue, head: Delivery, slots: asyncio.Semaphore, in_flight: set[str]
    ) -> None:
        """Make one attempt and keep how it ended."""
        try:
            async with slots:
                await self._attempt_and_settle(queue, head)
        except StorageFull as error:
            self._problem.report(str(error))
            self._due_ms[head.endpoint] = self._clock.monotonic_ms() + round(RETRY_S * 1000)
        else:
            self._problem.clear()
        finally:
            in_flight.discard(head.endpoint)
            self._wake.set()

    async def _attempt_and_settle(self, queue: WebhookQueue, head: Delivery) -> None:
        if head.number not in self._arrived:
            try:
                endpoint = find_endpoint(self._endpoints.value, head.endpoint)
            except KeyError:  # removed meanwhile: the next round removes the rest
                return
            result = await self._attempt(endpoint, head.id, head.event, head.body)
            decision = decide(result, head.attempts + 1, self._rng)
            if decision.next is not Next.DONE:
                _log.info("webhook %s, attempt %d: %s", head.endpoint, head.attempts + 1, decision.reason)
                self._due_ms[head.endpoint] = self._clock.monotonic_ms() + round(decision.wait_s * 1000)
                await queue.fail(head.number, decision.reason, is_dead=decision.next is Next.DEAD)
                return
        # A disk that refuses must not have it sent again.
        self._arrived.add(head.number)
        await queue.settle(head.number)
        self._arrived.discard(head.number)
        self._due_ms.pop(head.endpoint, None)

    async def _attempt(self, endpoint: Endpoint, delivery_id: str, event: str, body: bytes) -> Result:
        utc_ms = self._clock.utc_ms()
        if utc_ms is None:
            return Result(problem="wait until the hub knows the time: a signature contains it")
        headers = signed_headers(
            endpoint.api, endpoint.secret, delivery_id=delivery_id, utc_s=utc_ms // 1000, event=event, body=body
        )
        return await self._sender.send(endpoint, headers, body)

    async def _open_queue(self, is_broken: bool) -> tuple[WebhookQueue, Path | None]:
        return await open_queue(self._directory / QUEUE_FILE, worker=self._worker, disk=self._disk, is_broken=is_broken)

    def _report_quarantined(self, aside: Path) -> None:
        text = f"{QUEUE_FILE} could not be read; it is kept as {aside}, and what waited in it is not delivered"
        self._add_fault(text)
        _log.error("%s", text)

    def _report_corrupt(self, text: str) -> None:
        self._add_fault(text)
        self._opener.mark_corrupt()

    async def _discard(self, queue: WebhookQueue) -> None:
        self._queue = None
        with contextlib.suppress(StorageFull, Corrupt):
            await queue.close()
