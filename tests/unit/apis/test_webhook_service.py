"""Delivery as a whole, with an endpoint that does as the test says."""

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from agent.apis.webhooks.attempts import Result
from agent.apis.webhooks.endpoints import Endpoint, NewEndpoint, WebhookEvent
from agent.apis.webhooks.queue import BODY_BYTES_MAX, QueueCounts
from agent.apis.webhooks.service import OFFERED_MAX, WebhookService
from agent.apis.webhooks.signatures import WebhookApi
from agent.errors import StorageFull
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from tests.integration.conftest import WAIT_S, until

pytestmark = pytest.mark.usefixtures("closed_connections")

UTC_MS = 1_780_000_000_000


class HandClock:
    boot_id = "boot"

    def __init__(self) -> None:
        self.now_ms = 0
        self.is_known = True

    def monotonic_ms(self) -> int:
        return self.now_ms

    def utc_ms(self) -> int | None:
        return UTC_MS + self.now_ms if self.is_known else None


class Receivers:
    """Every endpoint's server: what they got, and what they answer."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []
        self.answers: dict[str, Callable[[], Result]] = {}
        self.hold: dict[str, asyncio.Event] = {}

    async def send(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Result:
        if endpoint.url in self.hold:
            await self.hold[endpoint.url].wait()
        self.got.append((endpoint.url[-1], headers["svix-id"], body.decode()))
        return self.answers.get(endpoint.url, lambda: Result(204))()

    def bodies(self, name: str) -> list[str]:
        return [body for url, _, body in self.got if url == name]


class Rig:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = HandClock()
        self.receivers = Receivers()
        self.ids = itertools.count()
        self.faults: list[str] = []

    def service(self, disk: Disk | None = None) -> WebhookService:
        return WebhookService(
            self.directory,
            clock=self.clock,
            disk=disk or Disk(),
            worker=InlineWorker(),
            sender=self.receivers,
            rng=random.Random(1),
            new_id=lambda: f"id{next(self.ids)}",
            random_bytes=lambda size: b"k" * size,
            add_fault=self.faults.append,
        )

    @contextlib.asynccontextmanager
    async def running(self, disk: Disk | None = None) -> AsyncIterator[WebhookService]:
        service = self.service(disk)
        task = asyncio.get_running_loop().create_task(service.run())
        try:
            yield service
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await service.close()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def url(name: str) -> str:
    return f"https://example.com/{name}"


def new(name: str, *events: str) -> NewEndpoint:
    return NewEndpoint(url(name), WebhookApi.AMPS, events)


def event(number: int, name: str = "push.completed") -> WebhookEvent:
    return WebhookEvent(WebhookApi.AMPS, name, f"{number}".encode())


async def until_counts(service: WebhookService, condition: Callable[[QueueCounts], bool]) -> None:
    """Wait for what the queue holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition(await service.counts()):  # noqa: ASYNC110 - the queue has no event for it
            await asyncio.sleep(0.005)


async def test_events_arrive_in_order_at_every_endpoint_that_wants_them(rig: Rig) -> None:
    async with rig.running() as service:
        await service.add(new("a"))
        await service.add(new("b", "push.failed"))
        service.offer([event(1), event(2, "push.failed"), event(3)])
        await until(lambda: len(rig.receivers.got) == 4)
    assert rig.receivers.bodies("a") == ["1", "2", "3"]
    assert rig.receivers.bodies("b") == ["2"]
    (first, second) = {delivery_id for _, delivery_id, body in rig.receivers.got if body == "2"}, 1
    assert len(first) == second  # one id for one event


async def test_an_endpoint_that_fails_waits_and_keeps_its_order_while_others_go_on(rig: Rig) -> None:
    async with rig.running() as service:
        await service.add(new("a"))
        await service.add(new("b"))
        rig.receivers.answers[url("a")] = lambda: Result(500)
        service.offer([event(1), event(2)])
        await until(lambda: rig.receivers.bodies("b") == ["1", "2"])
        await until(lambda: rig.receivers.bodies("a") == ["1"])
        del rig.receivers.answers[url("a")]
        rig.clock.now_ms += 10_000
        service.offer([])
        await until(lambda: rig.receivers.bodies("a") == ["1", "1", "2"])
    ids = [delivery_id for name, delivery_id, body in rig.receivers.got if (name, body) == ("a", "1")]
    assert ids[0] == ids[1]


async def test_a_slow_endpoint_holds_up_no_other(rig: Rig) -> None:
    rig.receivers.hold[url("a")] = asyncio.Event()
    async with rig.running() as service:
        await service.add(new("a"))
        await service.add(new("b"))
        service.offer([event(1), event(2)])
        await until(lambda: rig.receivers.bodies("b") == ["1", "2"])
        assert rig.receivers.bodies("a") == []
        rig.receivers.hold[url("a")].set()
        await until(lambda: rig.receivers.bodies("a") == ["1", "2"])


async def test_what_was_queued_arrives_after_a_restart(rig: Rig) -> None:
    rig.receivers.answers[url("a")] = lambda: Result(problem="nobody answers")
    async with rig.running() as service:
        await service.add(new("a"))
        service.offer([event(1)])
        await until(lambda: rig.receivers.bodies("a") == ["1"])
    del rig.receivers.answers[url("a")]
    async with rig.running():
        await until(lambda: rig.receivers.bodies("a") == ["1", "1"])


async def test_a_dead_letter_is_shown_and_sent_again_on_request(rig: Rig) -> None:
    rig.receivers.answers[url("a")] = lambda: Result(problem="not allowed", is_final=True)
    async with rig.running() as service:
        made = await service.add(new("a"))
        service.offer([event(1)])
        await until(lambda: rig.receivers.got)
        await until_counts(service, lambda counts: counts.dead == 1)
        assert [(each.body, each.reason) for each in await service.dead_letters()] == [(b"1", "not allowed")]
        rig.receivers.answers.clear()
        assert await service.retry(made.id) == 1
        await until(lambda: rig.receivers.bodies("a") == ["1", "1"])
        await until_counts(service, lambda counts: not counts.pending)
        assert (await service.counts()).dead == 0


async def test_a_removed_endpoint_gets_nothing_more(rig: Rig) -> None:
    rig.receivers.answers[url("a")] = lambda: Result(500)
    async with rig.running() as service:
        made = await service.add(new("a"))
        await service.add(new("b"))
        service.offer([event(1)])
        await until(lambda: rig.receivers.bodies("a"))
        await service.remove(made.id)
        with pytest.raises(KeyError):
            await service.remove(made.id)
        rig.clock.now_ms += 100_000
        service.offer([event(2)])
        await until(lambda: rig.receivers.bodies("b") == ["1", "2"])
        await until_counts(service, lambda counts: not counts.pending)
    assert rig.receivers.bodies("a") == ["1"]


async def test_nothing_is_sent_while_the_time_is_unknown(rig: Rig) -> None:
    rig.clock.is_known = False
    async with rig.running() as service:
        made = await service.add(new("a"))
        service.offer([event(1)])
        await until_counts(service, lambda counts: bool(counts.pending))
        assert "knows the time" in (await service.test(made.id)).problem
        assert rig.receivers.got == []
        rig.clock.is_known = True
        service.offer([])
        await until(lambda: rig.receivers.bodies("a") == ["1"])


async def test_a_test_event_goes_past_the_queue(rig: Rig) -> None:
    async with rig.running() as service:
        made = await service.add(new("a", "push.failed"))
        assert await service.test(made.id) == Result(204)
    assert rig.receivers.bodies("a") == ['{"event":"webhook.test"}']


async def test_without_endpoints_there_is_no_queue_and_no_file(rig: Rig) -> None:
    async with rig.running() as service:
        service.offer([event(1)])
        assert (await service.counts()).pending == {}
        await asyncio.sleep(0)
    assert list(rig.directory.iterdir()) == []


async def test_memory_is_bounded_while_the_disk_refuses(rig: Rig) -> None:
    service = rig.service()
    service.offer([event(number) for number in range(OFFERED_MAX + 2)])
    service.offer([WebhookEvent(WebhookApi.AMPS, "push.failed", b"x" * (BODY_BYTES_MAX + 1))])
    assert service.dropped == 3


async def test_a_disk_that_refuses_to_settle_has_nothing_sent_twice(rig: Rig) -> None:
    refuses = [False]

    def on_operation(operation: Operation, target: str) -> None:
        if refuses[0] and operation is Operation.COMMIT:
            raise OSError(28, "No space left on device")

    def answer() -> Result:
        refuses[0] = True
        return Result(204)

    rig.receivers.answers[url("a")] = answer
    async with rig.running(Disk(on_operation)) as service:
        await service.add(new("a"))
        service.offer([event(1)])
        await until(lambda: service.problem)
        refuses[0] = False
        rig.clock.now_ms += 10_000
        service.offer([])
        await until_counts(service, lambda counts: not counts.pending)
    assert rig.receivers.bodies("a") == ["1"]


async def test_no_secret_reaches_the_log_or_a_problem(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rig.receivers.answers[url("a")] = lambda: Result(500)
    async with rig.running() as service:
        made = await service.add(new("a"))
        service.offer([event(1)])
        await until(lambda: rig.receivers.got)
        await until(lambda: "attempt 1" in caplog.text)
        assert made.secret not in caplog.text + repr(service.endpoints) + service.problem
    mode = (rig.directory / "webhooks.json").stat().st_mode
    assert mode & 0o077 == 0


async def run_until_cut(rig: Rig, disk: Disk, cut: asyncio.Event) -> bool:
    """Register an endpoint and offer an event; return whether the event was promised."""
    async with rig.running(disk) as service:
        try:
            await service.add(new("a"))
            service.offer([event(1)])
            await until(lambda: rig.receivers.got or cut.is_set())
        except StorageFull:
            return False
        if not cut.is_set():
            await until_counts(service, lambda counts: not counts.pending)
        return bool((await service.counts()).pending) or bool(rig.receivers.got)


async def test_a_power_cut_at_any_durable_operation_loses_no_promised_event(tmp_path: Path) -> None:
    for number in itertools.count(1):
        directory = tmp_path / str(number)
        directory.mkdir()
        rig, cut, operations = Rig(directory), asyncio.Event(), itertools.count(1)

        def on_operation(
            operation: Operation,
            target: str,
            operations: Iterator[int] = operations,
            cut: asyncio.Event = cut,
            number: int = number,
        ) -> None:
            if next(operations) >= number:
                cut.set()
                raise OSError(5, "power cut")

        is_promised = await run_until_cut(rig, Disk(on_operation), cut)
        async with rig.running() as service:
            await asyncio.sleep(0)
            await until_counts(service, lambda counts: not counts.pending)
        assert 1 <= len(rig.receivers.got) <= 2 or not is_promised, number
        assert len({delivery_id for _, delivery_id, _ in rig.receivers.got}) <= 1, number
        if not cut.is_set():
            break
    assert number > 8
