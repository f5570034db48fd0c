"""Updates in the local API."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from agent import __version__
from agent.cli import hub_client
from agent.cli.root import run
from agent.cli.update import as_text
from agent.cloud.client import UpdatesClient
from agent.config import OtaConfig, resolve_text
from agent.foundation.clock import SystemClock
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.local.updates import UNSIGNED_WARNING, TrialReport, UpdateReport, build_slots, handlers
from agent.ota.context import RunningRelease, UpdateContext
from agent.ota.launcher import FailedRelease
from agent.ota.launcher import LauncherState as Account
from agent.ota.service import UpdateService
from lab.simulation.rollout import make_release, public_key_pem
from tests.unit.port.http.served import serve_handlers


def config(tmp_path: Path, **changes: object) -> OtaConfig:
    text = '[cloud]\nbase_url = "http://127.0.0.1:1"\n'
    plain = resolve_text(text, file="c", directory=tmp_path, environ={}).config.ota
    return msgspec.structs.replace(plain, keys_dir=tmp_path, **changes)


@pytest.fixture
async def updates(tmp_path: Path) -> UpdateService:
    (tmp_path / "k.pub").write_bytes(public_key_pem())
    made = UpdateService(
        tmp_path,
        UpdateContext(
            config=config(tmp_path),
            running=RunningRelease("1.0.0", "base", 1, "simulated", "", lambda: None, InlineWorker()),
            client=cast("UpdatesClient", SimpleNamespace()),
            clock=SystemClock(trust_wall_clock=True),
            rng=random.Random(1),
            disk=Disk(),
            disk_free_bytes_min=0,
            system_updater=None,
            checks={},
            fresh_sensors=lambda: 0,
            local_time=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            is_metered=lambda: False,
            before_reboot=no_wait,
            reboot=no_reboot,
            add_fault=lambda _: None,
            phase=0.0,
        ),
    )
    await made.store.load()
    return made


async def no_wait() -> None:
    """Nothing is left to wait for."""


async def no_reboot(reason: str) -> None:
    raise AssertionError(reason)


@pytest.fixture
async def socket_path(updates: UpdateService, tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "s"
    task = asyncio.get_running_loop().create_task(serve_handlers(path, handlers(updates)))
    async with asyncio.timeout(60):
        while not path.exists():  # noqa: ASYNC110 - the file is the event
            await asyncio.sleep(0)
    yield path
    task.cancel()
    await asyncio.wait({task})


async def typed(*words: str) -> int:
    """Run a command as a technician would, beside the hub."""
    return await asyncio.to_thread(run, ["update", *words])


async def test_technician_can_see_and_control_updates(
    socket_path: Path, updates: UpdateService, capsys: pytest.CaptureFixture[str]
) -> None:
    socket = ["--socket", str(socket_path)]
    assert await typed("status", *socket) == 0
    assert "1.0.0, from the package" in capsys.readouterr().out
    assert await typed("pause", *socket) == 0
    assert updates.store.record.is_paused
    assert await typed("status", *socket) == 0
    assert "paused" in capsys.readouterr().out
    assert await typed("resume", *socket) == 0
    assert not updates.store.record.is_paused
    assert await typed("check", *socket) == 0
    assert await typed("rollback", *socket) == 1
    assert "no release is on trial" in capsys.readouterr().err


async def test_bundle_is_uploaded_through_the_local_api(
    socket_path: Path, updates: UpdateService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good").write_bytes(make_release("2.0.0", 2, chunks=2).data)
    (tmp_path / "bad").write_bytes(b"no bundle" * 100_000)
    assert await typed("install", str(tmp_path / "bad"), "--socket", str(socket_path)) == 1
    assert "no climahub bundle" in capsys.readouterr().err
    assert await typed("install", str(tmp_path / "good"), "--socket", str(socket_path)) == 0
    assert "2.0.0, sequence 2" in capsys.readouterr().out
    assert updates.store.record.state == "downloaded"
    assert await typed("install", str(tmp_path / "good"), "--socket", str(socket_path)) == 1
    assert "under way already" in capsys.readouterr().err


async def test_update_document_round_trips(socket_path: Path) -> None:
    report = hub_client.decode(await asyncio.to_thread(hub_client.fetch, socket_path, "/v1/update"), UpdateReport)
    assert (report.version, report.warning, len(report.trusted_keys)) == ("1.0.0", "", 1)
    with pytest.raises(hub_client.NoAnswer):
        hub_client.decode(b"{}", UpdateReport)


async def test_unsigned_bundles_are_warned_of(updates: UpdateService, tmp_path: Path, socket_path: Path) -> None:
    updates.context = msgspec.structs.replace(updates.context, config=config(tmp_path, allow_unsigned=True))
    report = hub_client.decode(await asyncio.to_thread(hub_client.fetch, socket_path, "/v1/update"), UpdateReport)
    assert report.warning == UNSIGNED_WARNING
    assert as_text(report).startswith(f"! {UNSIGNED_WARNING}")


def test_a_failed_update_says_why() -> None:
    report = UpdateReport(
        "1.0.0", "a", 1, "b", 5, "failed", "2.0.0", 0, "", False, "", "not well", "", [], "2.0.0", []
    )  # fmt: skip
    text = as_text(report)
    assert "reason     not well" in text
    assert "confirmed  slot b" in text
    assert "no key" in text


def test_image_update_shows_its_system_and_progress() -> None:
    report = UpdateReport(
        "1.0.0", "base", 1, "base", 5, "applying", "2.0.0", 40, "", False, "", "", "", [], "", [], "rauc", "A"
    )  # fmt: skip
    text = as_text(report)
    assert "from the package, in system A" in text
    assert "2.0.0: applying, 40 %, the whole system" in text
    assert "system" not in as_text(msgspec.structs.replace(report, kind="app", system=""))


def test_diagnostics_show_the_slots(updates: UpdateService) -> None:
    updates._redundant_state.launcher_state = Account(
        good="base",
        trial="a",
        trial_version="2.0.0",
        trial_sequence=2,
        tries_left=1,
        failed=FailedRelease("1.5.0", 1, "late"),
    )
    report = build_slots(updates)
    assert (report.active, report.slot, report.good, report.idle) == ("1.0.0", "base", "base", "a")
    assert report.trial == TrialReport("a", "2.0.0", 2, 1)
    assert (report.failed, report.failed_reason) == ("1.5.0", "late")
    assert build_slots(None).active == __version__
