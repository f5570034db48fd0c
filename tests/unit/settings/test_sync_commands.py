"""Settings that a command changes: durable with the id of the command, or not done; the cloud's copy on demand."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from agent.cloud.client import CloudClient
from agent.cloud.connectivity import Connectivity
from agent.cloud.quota import QuotaLedger
from agent.cloud.session import new_session, tcp_connector
from agent.errors import CloudUnavailable, SettingInvalid, StorageFull
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from agent.settings import sync
from agent.settings.sync import SettingsSync
from lab.refcloud.admin import NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.contract import Endpoint
from lab.refcloud.faults import ErrorStatus, FaultRule
from lab.refcloud.models import SettingsUpdate


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.is_full = False
        self.writes = 0
        clock = SystemClock(trust_wall_clock=True)
        self.cloud = ReferenceCloud(
            utc_ms=lambda: clock.utc_ms() or 0,
            monotonic_s=lambda: clock.monotonic_ms() / 1000,
            rng=random.Random(1),
            new_id=lambda: "hub-id",
        )
        self.key = self.cloud.admin.provision(NewDevice(name="hub")).api_key
        self.clock = clock
        self.client: CloudClient

    def on_operation(self, operation: Operation, target: str) -> None:
        self.writes += operation is Operation.WRITE
        if self.is_full:
            raise OSError(28, "No space left on device")

    def settings(self) -> SettingsSync:
        return SettingsSync(
            self.directory,
            disk=Disk(self.on_operation),
            worker=InlineWorker(),
            client=self.client.settings,
            poll_interval_s=3600,
            rng=random.Random(1),
        )


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    runner = web.AppRunner(made.cloud.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with new_session(tcp_connector(None), user_agent="test") as session:
        made.client = CloudClient(
            session,
            base_url=f"http://127.0.0.1:{runner.addresses[0][1]}",
            read_key=lambda: made.key,
            clock=made.clock,
            connectivity=Connectivity(now_ms=made.clock.monotonic_ms, rng=random.Random(1)),
            ledger=QuotaLedger(None, made.clock.boot_id),
            request_timeout_s=5,
            compress=False,
        )
        yield made
    await runner.cleanup()


async def test_command_id_is_saved_with_its_settings(bench: Bench) -> None:
    settings = bench.settings()
    assert settings.applied("c1") is None
    told = await settings.apply({"timezone": "Asia/Kolkata"}, command_id="c1")
    assert told["timezone"] == "Asia/Kolkata"
    again = bench.settings()
    assert again.applied("c1") == told
    assert again.pending == {"timezone": "Asia/Kolkata"}


async def test_repeated_command_writes_nothing(bench: Bench) -> None:
    settings = bench.settings()
    await settings.apply({"timezone": "Asia/Kolkata"}, command_id="c1")
    await settings.change({"reporting_interval_seconds": 90})
    written = bench.writes
    told = await settings.apply({"timezone": "Asia/Kolkata"}, command_id="c1")
    assert (told["reporting_interval_seconds"], bench.writes) == (90, written)
    assert bench.settings().applied("c1") is not None


async def test_change_is_applied_completely_or_not_at_all(bench: Bench) -> None:
    settings = bench.settings()
    changes = {"timezone": "Asia/Kolkata", "reporting_interval_seconds": 5}
    with pytest.raises(SettingInvalid, match="reporting_interval_seconds is 5"):
        settings.check(changes)
    with pytest.raises(SettingInvalid):
        await settings.apply(changes, command_id="c1")
    assert settings.current.timezone == "UTC"


async def test_change_that_is_not_durable_is_not_acknowledged_and_retried(bench: Bench) -> None:
    settings = bench.settings()
    bench.is_full = True
    for _ in range(2):
        with pytest.raises(StorageFull):
            await settings.apply({"timezone": "Asia/Kolkata"}, command_id="c1")
        assert settings.applied("c1") is None
    bench.is_full = False
    await settings.apply({"timezone": "Asia/Kolkata"}, command_id="c1")
    assert bench.settings().applied("c1") is not None


async def test_refresh_fetches_the_clouds_present_settings(bench: Bench) -> None:
    settings = bench.settings()
    task = asyncio.get_running_loop().create_task(settings.run())
    first = await settings.refresh()
    assert first["timezone"] == "UTC"
    bench.cloud.admin.change_settings("hub-id", SettingsUpdate(timezone="Europe/Brussels"))
    bench.clock = SystemClock(trust_wall_clock=True)
    assert (await settings.refresh())["timezone"] == "Europe/Brussels"
    task.cancel()


@pytest.mark.parametrize(("status", "words"), [(403, "answered 403"), (503, "did not answer within")])
async def test_a_failed_refresh_gives_its_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    monkeypatch.setattr(sync, "REFRESH_S_MAX", 0.3)
    bench.cloud.set_faults([FaultRule(ErrorStatus(status, retry_after_s=9), Endpoint.SETTINGS_GET)])
    settings = bench.settings()
    task = asyncio.get_running_loop().create_task(settings.run())
    with pytest.raises(CloudUnavailable, match=words):
        await settings.refresh()
    task.cancel()
