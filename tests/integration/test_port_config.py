"""The configuration of a real hub is changed while it runs: checked, on trial, confirmed, undone by itself."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent import app
from agent.cli import root
from agent.config import Config, changes
from agent.environment import Environment
from agent.errors import ConfigInvalid
from agent.local.routes import TRIAL_S_MAX, Role
from agent.port import config_editor
from agent.port.config_editor import ConfigEditor
from tests.integration.config_rig import DaemonRig, run_daemon

KEY = "cloud.request_timeout_s"
CHANGE = {"changes": {KEY: 7}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.port.config_editor.RESTART_DELAY_S", 0.05)


@pytest.fixture
def editors(monkeypatch: pytest.MonkeyPatch) -> list[ConfigEditor]:
    """The editors of all hubs that are started, the running one last."""
    made: list[ConfigEditor] = []

    class Noted(ConfigEditor):
        def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - as it was called
            super().__init__(*arguments, **named)
            made.append(self)

    monkeypatch.setattr(config_editor, "ConfigEditor", Noted)
    return made


def let_trial_end(editor: ConfigEditor) -> None:
    """Have the time of a trial be over: it would last for two minutes."""
    editor._started_ms -= TRIAL_S_MAX * 1000
    editor._decided.set()


async def test_a_change_is_tried_confirmed_and_kept_over_a_new_process(tmp_path: Path) -> None:
    async with run_daemon(tmp_path) as rig:
        status, report = await rig.ask("PATCH", "/v1/config", CHANGE)
        assert (status, report["trial"]["is_started"]) == (200, False)
        await rig.trial_started()
        assert await rig.value(KEY) == 7
        assert (await rig.ask("GET", "/v1/status"))[1]["config_trial"]["keys"] == [KEY]
        assert "/v1/config/confirm" in str((await rig.ask("GET", "/v1/verdict"))[1]["actions"])
        status, report = await rig.ask("POST", "/v1/config/confirm")
        assert (status, report["trial"]) == (200, None)
    async with run_daemon(tmp_path) as rig:
        assert await rig.value(KEY) == 7
        assert (await rig.ask("GET", "/v1/status"))[0] == 200
        entries = (await rig.ask("GET", "/v1/audit"))[1]["entries"]
        assert {"change_config", "confirm_config"} <= {entry["action"] for entry in entries}
        assert KEY in {entry["target"] for entry in entries}
    assert rig.path.read_text() == rig.text
    assert "# A person's file." in rig.text


async def test_unconfirmed_change_is_undone(tmp_path: Path, editors: list[ConfigEditor]) -> None:
    async with run_daemon(tmp_path) as rig:
        await rig.ask("PATCH", "/v1/config", CHANGE)
        await rig.trial_started()
        let_trial_end(editors[-1])
        await rig.until(lambda report: report["trial"] is None and not report["is_restarting"])
        assert await rig.value(KEY) == 30
        assert "nobody confirmed" in (await rig.config())["last_trial"]


async def test_crash_during_the_trial_undoes_the_change(tmp_path: Path) -> None:
    async with run_daemon(tmp_path, dies=True) as rig:
        await rig.ask("PATCH", "/v1/config", CHANGE)
        await rig.trial_started()
    async with run_daemon(tmp_path) as rig:
        report = await rig.config()
        assert report["trial"] is None
        assert "the hub restarted before anybody confirmed" in report["last_trial"]
        assert await rig.value(KEY) == 30


async def test_a_change_that_cuts_off_the_port_undoes_itself_and_the_person_is_still_signed_in(
    tmp_path: Path, editors: list[ConfigEditor]
) -> None:
    async with run_daemon(tmp_path) as rig:
        code = await rig.make_code(Role.OWNER)
        await rig.until(lambda report: report["addresses"], "/v1/port")
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as browser:
            async with browser.post(f"{rig.url}/v1/session", json={"code": code}) as response:
                assert response.status == 200
            async with browser.patch(f"{rig.url}/v1/config", json={"changes": {"port.listen": []}}) as response:
                assert response.status == 200
            await rig.trial_started()
            assert (await rig.ask("GET", "/v1/port"))[1]["addresses"] == []
            with pytest.raises(aiohttp.ClientConnectionError):
                await browser.get(f"{rig.url}/v1/config")
            let_trial_end(editors[-1])
            await rig.until(lambda report: report["addresses"], "/v1/port")
            async with browser.get(f"{rig.url}/v1/config") as response:
                assert response.status == 200
                assert "undone" in (await response.json())["last_trial"]


async def test_a_wrong_value_is_refused_and_a_record_that_no_longer_fits_is_left_out(tmp_path: Path) -> None:
    async with run_daemon(tmp_path) as rig:
        status, problem = await rig.ask("PATCH", "/v1/config", {"changes": {KEY: "long"}})
        assert (status, problem["error"]) == (422, "config_invalid")
        assert KEY in problem["detail"]
        zones = [{"id": "nowhere", "sensors": ["a"]}]
        status, problem = await rig.ask("PATCH", "/v1/config", {"changes": {"climate.zones": zones}})
        assert (status, "no output nowhere" in problem["detail"]) == (422, True)
        # As a release that allowed more has left it.
        await rig.restarts._config_store.set_confirmed({KEY: 9, "cloud.gone": 1, "cloud.gzip": "zstd"})
    async with run_daemon(tmp_path) as rig:
        report = await rig.config()
        assert await rig.value(KEY) == 9
        assert "cloud.gone" in report["problem"]
        assert "cloud.gzip" in report["problem"]
        assert "cloud.gone" in str((await rig.ask("GET", "/v1/status"))[1]["faults"])
        assert len(report["keys"]) < changes.VALUES_MAX


async def test_the_command_line_changes_shows_and_confirms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with run_daemon(tmp_path) as rig:
        await rig.config()

        async def climahub(*arguments: str) -> tuple[int, str, str]:
            code = await asyncio.to_thread(root.run, ["config", *arguments, "--socket", str(rig.socket)])
            printed = capsys.readouterr()
            return code, printed.out, printed.err

        assert await climahub("set", "log.level", "warning") == (0, "in force now\n", "")
        code, out, _ = await climahub("set", KEY, "7", "--trial", "60")
        assert (code, f"{KEY}: on trial" in out, "config confirm" in out) == (0, True, True)
        await rig.trial_started()
        _, out, _ = await climahub("show")
        assert "Within" in out
        assert f"{KEY}" in out
        assert "changed at the hub" in out
        assert await climahub("confirm") == (0, "the change was confirmed\n", "")
        code, _, err = await climahub("confirm")
        assert (code, "nothing to confirm" in err) == (1, True)
        code, _, err = await climahub("set", KEY, "soon")
        assert (code, "allowed is a number" in err) == (1, True)
        assert (await climahub("unset", KEY))[0] == 0
        await rig.trial_started()
        assert (await climahub("rollback"))[1] == "the change was undone by a person\n"
        await rig.until(lambda report: report["trial"] is None and not report["is_restarting"])
        rows = json.loads((await climahub("show", "--json"))[1])
        assert next(row for row in rows if row["key"] == KEY)["origin"] == "changed at the hub"


async def test_without_a_hub_the_file_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with run_daemon(tmp_path):
        pass
    assert root.run(["config", "show", "--socket", str(tmp_path / "none")]) != 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent.cli.config.DEFAULT_CONFIG", tmp_path / "hub.toml")
        patch.setattr("agent.cli.hub_client.DEFAULT_CONFIG", tmp_path / "hub.toml")
        capsys.readouterr()
        assert root.run(["config", "show"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("from the file alone: the hub does not run here")
    assert "storage.state_dir" in out


async def test_a_trial_whose_values_no_longer_fit_is_undone_at_the_start(tmp_path: Path) -> None:
    async with run_daemon(tmp_path) as rig:
        await rig.config()
        await rig.restarts._config_store.begin({KEY: "long"}, trial_s=60, caller="")
    async with run_daemon(tmp_path) as rig:
        report = await rig.config()
        assert (report["trial"], report["problem"]) == (None, "")
        assert f"the change of {KEY} is not in force" in report["last_trial"]


async def test_a_hub_that_cannot_be_built_with_the_change_comes_back_with_the_old_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Choosy(app.Hub):
        def __init__(self, settings: Config, given: Environment) -> None:
            if settings.cloud.request_timeout_s == 7:
                raise ConfigInvalid("seven is too few")
            super().__init__(settings, given)

    monkeypatch.setattr(app, "Hub", Choosy)
    async with run_daemon(tmp_path) as rig:
        await rig.ask("PATCH", "/v1/config", CHANGE)
        report = await rig.until(lambda found: found["trial"] is None)
        assert "seven is too few" in report["last_trial"]
        assert await rig.value(KEY) == 30


class Process:
    """`climahub run` as a process, in the files of a rig that does not run."""

    def __init__(self, rig: DaemonRig) -> None:
        self.rig = rig
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with (self.rig.directory / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agent", "run", "--config", str(self.rig.path), stderr=log
            )
        await self.rig.config()

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    made = Process(DaemonRig(tmp_path))
    yield made
    await made.kill()


async def test_a_killed_process_keeps_a_confirmed_change_and_undoes_one_on_trial(process: Process) -> None:
    rig = process.rig
    await process.start()
    await rig.ask("PATCH", "/v1/config", CHANGE)
    await rig.trial_started()
    assert (await rig.ask("POST", "/v1/config/confirm"))[0] == 200
    await process.kill()
    await process.start()
    assert await rig.value(KEY) == 7
    await rig.ask("PATCH", "/v1/config", {"changes": {KEY: 8, "port.listen": []}})
    await rig.trial_started()
    await process.kill()
    await process.start()
    report = await rig.config()
    assert (report["trial"], await rig.value(KEY)) == (None, 7)
    assert "restarted before anybody confirmed" in report["last_trial"]
    await rig.until(lambda found: found["addresses"], "/v1/port")
