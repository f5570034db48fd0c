"""The hub's own alerts as webhooks: each event reaches the queue once, whenever the power is cut."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.apis.aurra_home import events
from agent.apis.aurra_home.events import AGAIN_MS, MaintenanceEvents
from agent.apis.webhooks.attempts import Result
from agent.apis.webhooks.endpoints import Endpoint, NewEndpoint
from agent.apis.webhooks.service import WebhookService
from agent.apis.webhooks.signatures import WebhookApi
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.maintenance.alert_service import MaintenanceAlerts
from agent.maintenance.assessment import Finding, FindingState
from agent.maintenance.indicators import Indicator
from tests.integration.conftest import WAIT_S
from tests.unit.power_cut import Cutter, PowerCut

pytestmark = pytest.mark.usefixtures("closed_connections")

NOW_MS = 1_790_000_000_000
CREATED, RESOLVED = "predictive.alert_created", "predictive.alert_resolved"


def seen(confidence: float) -> Mapping[str, Sequence[Finding]]:
    return {"living": [Finding(Indicator.WARMTH, FindingState.NEEDED, confidence, "31 % more", NOW_MS - 1, 0.2)]}


class World:
    """A hub's directory over several processes, and the server of its endpoint."""

    boot_id = "b"

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.got: dict[str, list[str]] = {CREATED: [], RESOLVED: []}
        self.data: list[Mapping[str, object]] = []
        self.ids = itertools.count()
        self.later_ms = 0
        self.has_time = True

    def monotonic_ms(self) -> int:
        return 0

    def utc_ms(self) -> int | None:
        return NOW_MS + self.later_ms if self.has_time else None

    async def send(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Result:
        event = msgspec.json.decode(body)
        self.got[event["event"]].append(f"{headers['X-AURRA-Delivery']} {body.decode()}")
        self.data.append(event["data"])
        return Result(204)

    @contextlib.asynccontextmanager
    async def process(self, disk: Disk | None = None) -> AsyncIterator["Process"]:
        process = Process(self, disk or Disk())
        task = asyncio.get_running_loop().create_task(process.webhooks.run())
        try:
            process.task = task
            yield process
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, PowerCut, BaseExceptionGroup):
                await task
            with contextlib.suppress(PowerCut):
                await process.webhooks.close()


class Process:
    """One process of the hub."""

    task: "asyncio.Task[None]"

    def __init__(self, world: World, disk: Disk) -> None:
        worker = InlineWorker()
        self.world = world
        self.webhooks = WebhookService(
            world.directory,
            clock=world,
            disk=disk,
            worker=worker,
            sender=world,
            rng=random.Random(1),
            new_id=lambda: f"id{next(world.ids)}",
            random_bytes=lambda size: b"k" * size,
            add_fault=lambda _: None,
        )
        self.alerts = MaintenanceAlerts(
            world.directory,
            clock=world,
            disk=disk,
            worker=worker,
            new_id=lambda: str(next(world.ids)),
            add_fault=lambda _: None,
            remove_fault=lambda _: None,
        )
        self.events = MaintenanceEvents(self.alerts, self.webhooks.offer, world)

    async def start(self) -> None:
        await self.alerts.load()
        await self.events.run()

    async def until_sent(self, event: str) -> None:
        await self.until(lambda: bool(self.world.got[event]))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, or raise the power cut that has ended the loop of the webhooks."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await self._pause()

    async def settle(self) -> None:
        """Wait until the queue has nothing left, as above."""
        async with asyncio.timeout(WAIT_S):
            while (await self.webhooks.counts()).pending:
                await self._pause()

    async def _pause(self) -> None:
        if self.task.done():
            raise PowerCut from self.task.exception()
        await asyncio.sleep(0.001)


async def registered(directory: Path) -> World:
    """Return a hub with an endpoint that has had something: its queue exists."""
    world = World(directory)
    async with world.process() as process:
        url = "https://example.com/hook"
        await process.webhooks.add(NewEndpoint(url, WebhookApi.AURRA_HOME, (CREATED, RESOLVED)))
    return world


async def test_an_alert_and_its_end_are_sent_once_also_over_restarts(tmp_path: Path) -> None:
    world = await registered(tmp_path / "hub")
    async with world.process() as process:
        await process.start()
        for confidence in (0.8, 0.9, 0.6):
            await process.alerts.review(seen(confidence))
        await process.until(lambda: len(world.got[CREATED]) == 1)
        await process.settle()
    async with world.process() as process:
        await process.start()
        await process.alerts.review(seen(0.2))
        await process.until(lambda: len(world.got[RESOLVED]) == 1)
        await process.settle()
    async with world.process() as process:
        await process.start()
        await process.alerts.review(seen(0.9))
        # An endpoint receives its events in order: a repetition would come before this one.
        await process.until(lambda: len(world.data) == 3)
    first, ended, second = world.data
    assert first["device_id"] == "living"
    assert (first["issue"], first["confidence"]) == ("less heat from the same run time: 31 % more", 0.8)
    assert str(first["action"]).startswith("check filter")
    assert ended == {"device_id": "living", "alert_id": "alt_1", "resolved_at": "2026-09-21T14:13:20Z"}
    assert second["confidence"] == 0.9


async def test_events_older_than_a_day_are_not_offered_again(tmp_path: Path) -> None:
    world = await registered(tmp_path / "hub")
    async with world.process() as process:
        await process.start()
        await process.alerts.review(seen(0.8))
    world.later_ms = AGAIN_MS
    offered: list[object] = []
    again = Process(world, Disk())
    await again.alerts.load()
    await MaintenanceEvents(again.alerts, offered.append, world).run()
    assert offered == [[]]


async def test_a_start_without_the_time_offers_nothing_before_the_time_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.001)
    world = await registered(tmp_path / "hub")
    async with world.process() as process:
        await process.start()
        await process.alerts.review(seen(0.8))
    for later_ms, offered_count in ((AGAIN_MS - 1, 1), (AGAIN_MS, 0)):
        world.has_time, world.later_ms = False, later_ms
        offered: list[object] = []
        again = Process(world, Disk())
        await again.alerts.load()
        task = asyncio.create_task(MaintenanceEvents(again.alerts, offered.extend, world).run())
        await asyncio.sleep(0)
        assert (offered, task.done()) == ([], False)
        world.has_time = True
        async with asyncio.timeout(WAIT_S):
            await task
        assert len(offered) == offered_count


async def test_a_cut_at_each_operation_of_the_disk_doubles_no_event_and_loses_none(tmp_path: Path) -> None:
    at, is_whole = 0, False
    while not is_whole:
        at += 1
        world = await registered(tmp_path / str(at))
        confidence = 0.9
        with contextlib.suppress(PowerCut):
            async with world.process(Disk(Cutter(at))) as process:
                await process.start()
                await process.alerts.review(seen(confidence))
                await process.until_sent(CREATED)
                confidence = 0.1
                await process.alerts.review(seen(confidence))
                await process.until_sent(RESOLVED)
                await process.settle()
                is_whole = True
        async with world.process() as process:
            await process.start()
            for now in (confidence, 0.1):
                await process.alerts.review(seen(now))
            await process.until_sent(RESOLVED)
            await process.settle()
        # Delivery is at least once: what was not settled is sent again, as the same event.
        assert [len(set(bodies)) for bodies in world.got.values()] == [1, 1], f"operation {at}"
        assert len(process.alerts.newest_first) == 1, f"operation {at}"
    assert at > 12
