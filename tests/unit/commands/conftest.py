"""One hub's commands against a reference cloud on a loopback socket: the real journal, client and loops."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.cloud.client import CloudClient
from agent.cloud.connectivity import Connectivity
from agent.cloud.contract import QUOTAS, Endpoint, Quota
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session, tcp_connector
from agent.commands.decisions import LIFETIME_MS
from agent.commands.handlers import CommandHandler, CommandOutcome
from agent.commands.lifecycle import CommandEvent, CommandRecord, CommandType
from agent.commands.service import CommandService
from agent.config.tables import CommandsConfig
from agent.errors import CommandInvalid
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from lab.refcloud.admin import NewCommand, NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.records import CloudCommand
from lab.refcloud.records import CommandState as CloudCommandState

NOON_MS = 1_774_785_600_000


class HandClock:
    """Time that the test can push forward."""

    def __init__(self) -> None:
        self.boot_id = "boot-1"
        self.is_known = True
        self.pushed_ms = 1_000_000
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()

    def push(self, ms: int) -> None:
        self.pushed_ms += ms

    def monotonic_ms(self) -> int:
        return self.pushed_ms + int((self._loop.time() - self._began_s) * 1000)

    def utc_ms(self) -> int | None:
        return NOON_MS + self.monotonic_ms() if self.is_known else None


class Recorder:
    """A handler that notes what is asked of it."""

    def __init__(self, outcome: CommandOutcome | None = None) -> None:
        self.outcome = outcome or CommandOutcome(CommandEvent.SUCCEED, result={"done": True})
        self.found: CommandOutcome | None = None
        self.executed: list[str] = []
        self.reconciled: list[str] = []
        self.errors: list[Exception] = []
        self.skip_reason: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def check(self, payload: Mapping[str, Any]) -> None:
        if "bad" in payload:
            raise CommandInvalid("bad is bad")

    async def prepare(self) -> None:
        if self.skip_reason is not None:
            raise self.skip_reason

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        self.executed.append(record.command_id)
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        return self.outcome

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        self.reconciled.append(record.command_id)
        return self.found


class Hub:
    """One life after another of a hub's commands."""

    def __init__(self, directory: Path, cloud: ReferenceCloud, base_url: str, clock: HandClock, key: str) -> None:
        self.directory = directory
        self.cloud = cloud
        self.clock = clock
        self.disk = Disk()
        self.handlers: dict[CommandType, Recorder] = {kind: Recorder() for kind in CommandType}
        self.faults: list[str] = []
        self.needs_confirmation = False
        self.machine = "board-1"
        self._base_url = base_url
        self._key = key
        (device,) = cloud.admin.devices()
        self.device_id = device.device_id

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncIterator[CommandService]:
        """Run the service for one process of the hub; its memory is lost at the end."""
        connectivity = Connectivity(now_ms=self.clock.monotonic_ms, rng=random.Random(1))
        handlers: dict[CommandType, CommandHandler] = dict(self.handlers)
        async with new_session(tcp_connector(None), user_agent="test") as session:
            client = CloudClient(
                session,
                base_url=self._base_url,
                read_key=lambda: self._key,
                clock=self.clock,
                connectivity=connectivity,
                ledger=QuotaLedger(None, self.clock.boot_id),
                request_timeout_s=5,
                compress=False,
            )
            service = CommandService(
                self.directory,
                client=client.commands,
                clock=self.clock,
                rng=random.Random(1),
                disk=self.disk,
                worker=InlineWorker(),
                handlers=handlers,
                interval_s=lambda: 0.02,
                config=CommandsConfig(pending_max=5, factory_reset_needs_confirmation=self.needs_confirmation),
                add_fault=self.faults.append,
                machine=self.machine,
                is_elsewhere=lambda machine: machine not in {"", self.machine},
            )
            task = asyncio.get_running_loop().create_task(service.run())
            try:
                yield service
            finally:
                while not task.done():
                    # Again, as `agent.app` does: a TaskGroup of Python 3.11 may swallow it with a child's error.
                    task.cancel()
                    await asyncio.wait([task], timeout=0.1)
                if not task.cancelled():
                    task.result()
                await service.close()

    def queue(self, type_: str, payload: dict[str, Any] | None = None, *, lifetime_ms: int = LIFETIME_MS) -> str:
        new = NewCommand(type=type_, payload=payload or {}, lifetime_ms=lifetime_ms)
        return self.cloud.admin.queue_command(self.device_id, new).command_id

    def at_cloud(self, command_id: str) -> CloudCommand:
        return next(each for each in self.cloud.admin.commands(self.device_id) if each.command_id == command_id)

    async def settled(self, *command_ids: str) -> list[CloudCommand]:
        """Wait until the cloud has the outcome of each."""
        await until(lambda: all(self.at_cloud(each).state is not CloudCommandState.PENDING for each in command_ids))
        return [self.at_cloud(each) for each in command_ids]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the cloud sets no event
            await asyncio.sleep(0.002)


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    for endpoint in (Endpoint.COMMANDS_PENDING, Endpoint.COMMANDS_ACK):
        monkeypatch.setitem(QUOTAS, endpoint, Quota(1000, 60))  # time stands still here; quotas have their own tests
    clock = HandClock()
    ids = itertools.count(1)
    cloud = ReferenceCloud(
        utc_ms=lambda: NOON_MS + clock.monotonic_ms(),
        monotonic_s=itertools.count(0.0, 10.0).__next__,
        rng=random.Random(1),
        new_id=lambda: f"id-{next(ids)}",
    )
    key = cloud.admin.provision(NewDevice(name="hub")).api_key
    runner = web.AppRunner(cloud.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Hub(tmp_path, cloud, f"http://127.0.0.1:{runner.addresses[0][1]}", clock, key)
    finally:
        await runner.cleanup()
