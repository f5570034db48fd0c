"""The daemon as it is, on real sockets: reboot, factory reset, new key, interrupted restoration; the command line."""

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent import config, daemon
from agent.backup import restoration
from agent.backup.archive import FORMAT, Backup, ConfigFile
from agent.cli import exit_codes, root
from agent.commands.factory_reset import FILE_NAME
from agent.foundation.disk import Disk
from agent.reloading import ReloadableConfig
from lab.refcloud.admin import NewCommand, NewDevice
from lab.refcloud.cloud import ReferenceCloud
from lab.refcloud.records import CloudCommand, CommandState
from tests.integration.conftest import WAIT_S


class Town:
    """A cloud, and the files of a hub."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cloud = ReferenceCloud(
            utc_ms=lambda: time.time_ns() // 1_000_000,
            monotonic_s=time.monotonic,
            rng=random.Random(1),
            new_id=lambda: str(uuid.uuid4()),
        )
        made = self.cloud.admin.provision(NewDevice(name="hub"))
        self.hub_id = made.device.device_id
        self.put_key(made.api_key)

    def put_key(self, key: str) -> None:
        (self.directory / "key").write_text(key)
        (self.directory / "key").chmod(0o600)

    def configuration(self, base_url: str, extra: str) -> Path:
        path = self.directory / "hub.toml"
        path.write_text(
            f'[cloud]\nbase_url = "{base_url}"\napi_key_file = "key"\ncommands_poll_interval_s = 3\n'
            "commands_idle_poll_interval_s = 3\n"
            "[port]\nlisten = []\n"
            '[storage]\nstate_dir = "state"\nrun_dir = "run"\ndisk_free_bytes_min = 0\n'
            f'[clock]\ntrust = "system"\n{extra}'
        )
        return path

    def queue(self, type_: str, payload: dict[str, Any]) -> Callable[[], CloudCommand]:
        made = self.cloud.admin.queue_command(self.hub_id, NewCommand(type=type_, payload=payload))
        return lambda: next(
            each for each in self.cloud.admin.commands(self.hub_id) if each.command_id == made.command_id
        )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the cloud sets no event
            await asyncio.sleep(0.01)


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setattr("agent.cloud.transport.KEY_POLL_S", 0.02)
    monkeypatch.setattr("agent.commands.poller.CommandPoller._with_new_phase_ms", lambda self: self._now().now_ms)
    (tmp_path / "state").mkdir()
    (tmp_path / "run").mkdir()
    return Town(tmp_path)


@pytest.fixture
async def base_url(town: Town) -> AsyncIterator[str]:
    runner = web.AppRunner(town.cloud.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def states(body: str) -> list[str]:
    return [command["state"] for command in json.loads(body)["commands"]]


async def test_hub_goes_through_factory_reset_and_new_key(
    town: Town, base_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = town.configuration(base_url, "[commands]\nfactory_reset_needs_confirmation = true\n")
    restarts = daemon._Restarts(ReloadableConfig(path, config.load(path, environ={}), {}), {})
    task = asyncio.get_running_loop().create_task(restarts.run())
    state = town.directory / "state"

    async def climahub(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(root.run, [*arguments, "--config", str(path)])
        return code, capsys.readouterr().out

    reset = town.queue("factory_reset", {"confirm": True})
    diagnostics = town.queue("diagnostics", {})
    await until(lambda: diagnostics().state is CommandState.ACKED)
    result = diagnostics().result
    assert result is not None
    assert {"system", "versions", "memory", "disk", "sensors", "outbox", "quotas", "polling", "errors"} <= set(result)
    assert {"starts", "climate", "radio", "updates", "trust"} <= set(result)
    assert result["starts"][0]["end"] == "running"
    assert "boot_reason" in result["system"]
    assert "trusted_keys" in result["trust"]
    assert result["polling"]["bytes_per_day"] > 100_000
    assert reset().state is CommandState.PENDING

    code, listed = await climahub("commands", "--json")
    assert (code, states(listed)) == (exit_codes.OK, ["acked", "received"])
    code, text = await climahub("commands")
    assert "factory_reset" in text
    assert (await climahub("commands", "--confirm", "nothing"))[0] == exit_codes.FAILED
    assert (await climahub("commands", "--confirm", reset().command_id))[0] == exit_codes.OK

    await until(lambda: reset().state is CommandState.ACKED)
    await until(lambda: (state / FILE_NAME).exists() and '"is_erased": true' in (state / FILE_NAME).read_text())
    assert not (town.directory / "key").exists()
    await until((town.directory / "run" / "status.sock").exists)
    async with asyncio.timeout(WAIT_S):
        while "unprovisioned" not in (await climahub("status"))[1]:  # noqa: ASYNC110 - the hub begins anew by itself
            await asyncio.sleep(0.05)
    assert states((await climahub("commands", "--json"))[1]) == []

    town.put_key(town.cloud.admin.replace_key(town.hub_id).api_key)
    update = town.queue("config_update", {"timezone": "Asia/Kolkata"})
    await until(lambda: update().state is CommandState.ACKED)
    assert town.cloud.admin.settings(town.hub_id).timezone in {"Asia/Kolkata", "UTC"}
    restarts.stop()
    await task


async def test_an_interrupted_restoration_keeps_from_the_cloud_until_the_hub_can_finish_it(
    town: Town, base_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, state, disk = town.configuration(base_url, ""), town.directory / "state", Disk()
    restored = {"aurra-home-readings.json": b'{"readings": []}'}
    backup = Backup(FORMAT, "0.1.0", None, ConfigFile(path.read_bytes(), mode=0o644), {}, restored)
    restoration.stage(backup, state, path, disk)
    command = town.queue("diagnostics", {})

    restarts = daemon._Restarts(ReloadableConfig(path, config.load(path, environ={}), {}), {})
    task = asyncio.get_running_loop().create_task(restarts.run())
    told = ""
    async with asyncio.timeout(WAIT_S):
        # A hub without a key: it would be "untried" or "up" with one.
        while "climahub restore --resume" not in told or "unprovisioned" not in told:
            await asyncio.sleep(0.05)
            await asyncio.to_thread(root.run, ["status", "--json", "--config", str(path)])
            told = capsys.readouterr().out
    restarts.stop()
    await task
    assert command().state is CommandState.PENDING
    assert not (state / "aurra-home-readings.json").exists()

    plan = restoration.pending(state, disk)
    assert plan is not None
    restoration.place_config(plan, state, path, disk)
    # The power fails here: the next start of the hub does the rest.
    restarts = daemon._Restarts(ReloadableConfig(path, config.load(path, environ={}), {}), {})
    task = asyncio.get_running_loop().create_task(restarts.run())
    await until(lambda: command().state is not CommandState.PENDING)
    assert (state / "aurra-home-readings.json").read_bytes() == restored["aurra-home-readings.json"]
    assert not (state / restoration.READY).exists()
    restarts.stop()
    await task


async def test_a_simulated_reboot_is_another_boot(town: Town, base_url: str) -> None:
    path = town.configuration(base_url, "")
    restarts = daemon._Restarts(ReloadableConfig(path, config.load(path, environ={}), {}), {})
    task = asyncio.get_running_loop().create_task(restarts.run())
    reboot = town.queue("reboot", {})
    await until(lambda: reboot().state is CommandState.ACKED)
    boots = town.directory / "state" / "simulated-boots.json"
    await until(boots.exists)
    assert json.loads(boots.read_text())["number"] == 1
    again = town.queue("diagnostics", {"sections": ["clock"]})
    await until(lambda: again().state is CommandState.ACKED)
    result = again().result
    assert result is not None
    assert result["clock"]["boot_id"].endswith("-1")
    restarts.stop()
    await task


def test_linux_board_reboots_the_machine_and_a_simulation_does_not(town: Town) -> None:
    def simulated(board: str, how: str) -> bool:
        settings = config.load(
            town.configuration("http://127.0.0.1:1", f'[board]\nname = "{board}"\n[commands]\nreboot = "{how}"\n'),
            environ={},
        )
        return daemon._is_reboot_simulated(settings)

    assert [simulated("linux", how) for how in ("auto", "logind", "simulated")] == [False, False, True]
    assert [simulated("sim", how) for how in ("auto", "logind", "simulated")] == [True, False, True]
