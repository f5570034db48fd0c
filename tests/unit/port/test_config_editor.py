"""Changing the configuration of a running hub: what is refused, what is on trial, and how a trial ends."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.config import Resolved, resolve_text
from agent.config.changes import VALUES_MAX
from agent.config.tables import KEYS
from agent.errors import ConfigInvalid
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.local.config import ConfigKey, ConfigReport
from agent.local.routes import TRIAL_S_MAX, TRIAL_S_MIN, Caller, ConfigPatch, LocalRequest, RequestRefused, Role
from agent.port.config_editor import HUB_CALLER, RESTART_DELAY_S, ConfigEditor, RunningConfig, handlers
from agent.port.config_store import ConfigStore
from lab.simulation.virtual_loop import VirtualLoop

TEXT = '[cloud]\nbase_url = "https://cloud.example"\nproxy = "http://user:secret@proxy.example:3128"\n'
OWNER = Caller("session 1", Role.OWNER, "192.0.2.1")


class Bench:
    """A hub that restarts, with its editor; in virtual time."""

    def __init__(self, loop: VirtualLoop, directory: Path) -> None:
        self.loop = loop
        self.directory = directory
        self.store = ConfigStore(directory, disk=Disk(), worker=InlineWorker())
        self.audit: list[tuple[Caller, str, str, str]] = []
        self.used: list[Mapping[str, Any]] = []
        self.restarts = 0
        self.refusal = ""
        self.can_restart = True
        self.start()

    def start(self) -> None:
        changes = self.do(self.store.start())
        running = RunningConfig(
            file="/etc/climahub/config.toml",
            resolved=self.resolve(changes.in_force),
            problem="",
            store=self.store,
            resolve=self.resolve,
            use=lambda _, values: self.used.append(values),
            restart=self.restart if self.can_restart else None,
            outputs=["living", "bath"],
        )
        self.editor = ConfigEditor(running, now_ms=lambda: round(self.loop.time() * 1000), audit=lambda: self)

    def resolve(self, changes: Mapping[str, Any]) -> Resolved:
        if self.refusal:
            raise ConfigInvalid(self.refusal)
        return resolve_text(TEXT, file="config.toml", directory=self.directory, environ={}, changes=changes)

    def record(self, caller: Caller, action: str, target: str, result: str) -> None:
        self.audit.append((caller, action, target, result))

    def restart(self) -> None:
        self.restarts += 1

    def do(self, work: Any) -> Any:  # noqa: ANN401
        return self.loop.run_until_complete(work)

    def change(self, changes: dict[str, Any], trial_s: int = 300) -> ConfigReport:
        request = LocalRequest({}, OWNER, body=ConfigPatch(changes, trial_s))
        report = self.do(handlers(self.editor)["change_config"](request))
        assert isinstance(report, ConfigReport)
        return report

    def ask(self, name: str) -> ConfigReport:
        report = self.do(handlers(self.editor)[name](LocalRequest({}, OWNER)))
        assert isinstance(report, ConfigReport)
        return report

    def pass_time(self, seconds: float) -> None:
        """Let the loop of the hub run for so long."""

        async def live() -> None:
            task = self.loop.create_task(self.editor.run())
            await asyncio.wait({task}, timeout=seconds)
            task.cancel()
            await asyncio.wait({task})

        self.do(live())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    loop = VirtualLoop()
    yield Bench(loop, tmp_path)
    loop.close()


def key(report: ConfigReport, path: str) -> ConfigKey:
    return next(each for each in report.keys if each.key == path)


def test_the_document_has_every_key_with_all_that_a_form_needs(bench: Bench) -> None:
    report = bench.ask("get_config")
    assert [each.key for each in report.keys] == [each.path for each in KEYS]
    assert report.outputs == ["living", "bath"]
    timeout = key(report, "cloud.request_timeout_s")
    assert timeout == ConfigKey(
        key="cloud.request_timeout_s",
        value=30.0,
        text="30",
        unit="s",
        default="30",
        allowed="a number from 1 to 300 s",
        help="a DSL line under load needs seconds; a dead one must time out",
        origin="default",
        edit="restart",
    )
    assert key(report, "cloud.base_url").origin == "config.toml:2"
    assert key(report, "storage.state_dir").value == "/var/lib/climahub"
    assert key(report, "storage.state_dir").edit == "file"
    assert (report.trial, report.last_trial, report.problem) == (None, "", "")
    assert {each.table for each in report.tables} >= {"cloud", "board.sim", "port"}


def test_document_has_no_credentials(bench: Bench) -> None:
    proxy = key(bench.ask("get_config"), "cloud.proxy")
    assert "secret" not in f"{proxy.value}{proxy.text}"
    assert "proxy.example" in proxy.text


def test_a_live_key_is_in_force_at_once_and_for_good(bench: Bench) -> None:
    report = bench.change({"log.level": "debug"})
    assert (key(report, "log.level").value, key(report, "log.level").is_changed) == ("debug", True)
    assert report.trial is None
    assert bench.used == [{"log.level": "debug"}]
    bench.start()
    assert key(bench.ask("get_config"), "log.level").value == "debug"
    report = bench.change({"log.level": None})
    assert key(report, "log.level").origin == "default"
    assert bench.restarts == 0


def test_another_key_is_on_trial_and_the_hub_restarts_after_the_answer(bench: Bench) -> None:
    report = bench.change({"cloud.proxy": "none", "log.level": "debug"}, trial_s=60)
    assert report.trial is not None
    assert (report.trial.keys, report.trial.is_started) == (["cloud.proxy", "log.level"], False)
    assert (report.trial.left_s, report.trial.caller) == (60, "session 1 (192.0.2.1)")
    assert key(report, "cloud.proxy").value != "none"
    assert bench.restarts == 0
    bench.pass_time(RESTART_DELAY_S / 2)
    assert bench.restarts == 0
    bench.pass_time(5)
    assert bench.restarts == 1
    bench.start()
    report = bench.ask("get_config")
    assert key(report, "cloud.proxy").value == "none"
    assert report.trial is not None
    assert report.trial.is_started


def test_a_hub_that_ends_for_another_reason_takes_the_restart_along(bench: Bench) -> None:
    bench.change({"cloud.proxy": "none"})
    bench.pass_time(RESTART_DELAY_S / 2)
    bench.start()
    bench.pass_time(100)
    assert bench.restarts == 0
    assert bench.store.changes.trial is not None


def test_a_confirmed_change_stays(bench: Bench) -> None:
    bench.change({"cloud.proxy": "none"}, trial_s=60)
    bench.start()
    bench.pass_time(30)
    report = bench.ask("confirm_config")
    assert (report.trial, report.last_trial) == (None, "the change was confirmed")
    bench.pass_time(1000)
    assert bench.restarts == 0
    bench.start()
    assert key(bench.ask("get_config"), "cloud.proxy").is_changed


def test_a_change_that_nobody_confirms_is_undone(bench: Bench) -> None:
    bench.change({"cloud.proxy": "none"}, trial_s=60)
    bench.start()
    bench.pass_time(20)
    trial = bench.ask("get_config").trial
    assert trial is not None
    assert trial.left_s == 40
    bench.pass_time(39)
    assert bench.restarts == 0
    bench.pass_time(2)
    assert bench.restarts == 1
    bench.start()
    report = bench.ask("get_config")
    assert key(report, "cloud.proxy").origin == "config.toml:3"
    assert report.last_trial == "nobody confirmed the change in time: it was undone"


def test_change_is_undone_by_a_person(bench: Bench) -> None:
    bench.change({"cloud.proxy": "none"}, trial_s=60)
    bench.start()
    bench.ask("roll_back_config")
    bench.pass_time(5)
    assert bench.restarts == 1
    bench.start()
    assert bench.ask("get_config").last_trial == "the change was undone by a person"
    with pytest.raises(RequestRefused, match="nothing to undo"):
        bench.ask("roll_back_config")


def test_confirmation_out_of_turn_is_refused(bench: Bench) -> None:
    with pytest.raises(RequestRefused, match="nothing to confirm: no change is on trial"):
        bench.ask("confirm_config")
    bench.change({"cloud.proxy": "none"})
    with pytest.raises(RequestRefused, match="has not restarted with the change yet"):
        bench.ask("confirm_config")
    with pytest.raises(RequestRefused, match="confirm or undo the change that is on trial first"):
        bench.change({"cloud.gzip": "off"})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cloud.proxi": "none"}, 'cloud.proxi: there is no such key; did you mean "cloud.proxy"?'),
        ({"cloud.proxi": None}, "there is no such key"),
        ({"storage.state_dir": "/tmp"}, "storage.state_dir: change it in the configuration file"),
        ({"ota.allow_unsigned": True}, "change it in the configuration file"),
        ({"cloud.gzip": "on", "log.level": "loud"}, 'cloud.gzip: found "on" .*; log.level: found "loud"'),
        ({"port.port": 1.5}, "port.port: found 1.5; allowed is a whole number"),
        ({"cloud.base_url": "http://cs_dev_hidden@x"}, "not shown"),
        ({"cs_dev_hidden": 1}, "not shown"),
        ({"climate.zones": [{"id": None}]}, "climate.zones: .* needs an id"),
        ({"cloud.api_key": "cs_dev_hidden"}, "there is no such key"),
    ],
)
def test_invalid_value_is_refused_with_what_is_allowed(bench: Bench, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestRefused, match=reason) as refused:
        bench.change(changes)
    assert (refused.value.status, refused.value.code) == (422, "config_invalid")
    assert "hidden" not in str(refused.value)
    assert bench.store.changes.trial is None
    assert bench.used == []


def test_change_that_does_not_fit_the_board_is_refused(bench: Bench) -> None:
    bench.refusal = "climate.zones: this board has no output attic"
    with pytest.raises(RequestRefused, match="no output attic"):
        bench.change({"climate.zones": [{"id": "attic", "sensors": ["a"]}]})


@pytest.mark.parametrize("trial_s", [TRIAL_S_MIN - 1, TRIAL_S_MAX + 1, -1])
def test_the_time_of_a_trial_is_bounded(bench: Bench, trial_s: int) -> None:
    with pytest.raises(RequestRefused, match="correct trial_s"):
        bench.change({"cloud.gzip": "off"}, trial_s=trial_s)


def test_the_number_of_changes_is_bounded(bench: Bench) -> None:
    with pytest.raises(RequestRefused, match="change fewer keys"):
        bench.change({f"x.{number}": 1 for number in range(VALUES_MAX + 1)})


def test_a_hub_that_cannot_restart_changes_only_what_needs_none(bench: Bench) -> None:
    bench.can_restart = False
    bench.start()
    with pytest.raises(RequestRefused, match=r"cannot restart by itself \(cloud.gzip\)"):
        bench.change({"cloud.gzip": "off", "log.level": "debug"})
    assert bench.change({"log.level": "debug"}).trial is None
    assert bench.store.changes.values == {"log.level": "debug"}


def test_the_same_value_again_restarts_nothing(bench: Bench) -> None:
    assert bench.change({"cloud.gzip": "auto"}).trial is None
    bench.pass_time(5)
    assert bench.restarts == 0


@pytest.fixture
def slow_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each write of the store take a second."""

    def slow(write: Any) -> Any:  # noqa: ANN401
        async def wait_and_write(*given: Any, **named: Any) -> None:  # noqa: ANN401
            await asyncio.sleep(1)
            await write(*given, **named)

        return wait_and_write

    for name in ("begin", "set_confirmed", "confirm", "roll_back"):
        monkeypatch.setattr(bench.store, name, slow(getattr(bench.store, name)))


@pytest.mark.usefixtures("slow_disk")
def test_of_two_changes_at_once_none_is_lost(bench: Bench) -> None:
    async def change_both() -> None:
        # Neither needs a restart: the second is as it was.
        patches = [ConfigPatch({"log.level": "debug"}, 300), ConfigPatch({"cloud.gzip": "auto"}, 300)]
        await asyncio.gather(*(bench.editor.change(patch, OWNER) for patch in patches))

    bench.do(change_both())
    assert bench.store.changes.values == {"log.level": "debug", "cloud.gzip": "auto"}
    bench.start()
    assert key(bench.ask("get_config"), "log.level").value == "debug"


@pytest.mark.usefixtures("slow_disk")
def test_of_two_trials_at_once_the_second_is_refused(bench: Bench) -> None:
    async def change_both() -> list[Any]:
        patches = [ConfigPatch({"cloud.proxy": "none"}, 300), ConfigPatch({"cloud.gzip": "off"}, 300)]
        return await asyncio.gather(*(bench.editor.change(each, OWNER) for each in patches), return_exceptions=True)

    _, second = bench.do(change_both())
    assert isinstance(second, RequestRefused)
    trial = bench.store.changes.trial
    assert trial is not None
    assert trial.values == {"cloud.proxy": "none"}


def test_confirmation_in_the_last_second_counts_on_a_slow_disk(bench: Bench, request: pytest.FixtureRequest) -> None:
    bench.change({"cloud.proxy": "none"}, trial_s=60)
    bench.start()
    request.getfixturevalue("slow_disk")

    async def confirm_late() -> None:
        running = bench.loop.create_task(bench.editor.run())
        await asyncio.sleep(59.5)
        await bench.editor.confirm()
        await asyncio.sleep(100)
        assert not running.done()
        running.cancel()
        await asyncio.wait({running})

    bench.do(confirm_late())
    assert bench.restarts == 0
    assert bench.ask("get_config").last_trial == "the change was confirmed"
    assert not [each for each in bench.audit if each[3] == "not confirmed"]


def test_the_audit_trail_names_the_keys_and_what_became_of_them(bench: Bench) -> None:
    bench.change({"log.level": "debug"})
    bench.change({"cloud.proxy": "http://me:hidden@p:1", "cloud.gzip": "off", "log.level": "info"}, trial_s=30)
    bench.start()
    bench.pass_time(31)
    assert bench.audit == [
        (OWNER, "change_config", "log.level", "in force"),
        (OWNER, "change_config", "cloud.gzip, cloud.proxy, log.level", "on trial for 30 s"),
        (HUB_CALLER, "roll_back_config", "cloud.gzip, cloud.proxy, log.level", "not confirmed"),
    ]


def test_no_value_is_in_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench.change({"cloud.proxy": "http://me:hidden@proxy.example:1"})
    assert "cloud.proxy changed by session 1 (192.0.2.1), on trial for 300 s" in caplog.text
    assert "hidden" not in caplog.text


def test_only_these_keys_stay_with_the_file() -> None:
    """A new key is decided about here: whoever has the owner's code can change it, unless it stands in this list."""
    assert {each.path for each in KEYS if each.edit == "file"} == {
        "aqara.ca_file",
        "aqara.token_file",
        "aqara.url",
        "board.linux.button_active_low",
        "board.linux.button_line",
        "board.linux.expanders_active_low",
        "board.linux.gpio_chip",
        "board.linux.heat_source_lines",
        "board.linux.mains_active_low",
        "board.linux.mains_line",
        "board.linux.relays",
        "board.linux.relays_active_low",
        "board.linux.sysfs_root",
        "board.name",
        "board.replay.map",
        "board.replay.recording",
        "board.sim.report_interval_s",
        "board.sim.seed",
        "board.sim.sensors_count",
        "boiler.address",
        "boiler.driver",
        "boiler.ebusd_message",
        "board.sim.tenant_thermostat",
        "clock.trust",
        "cloud.api_key_credential",
        "cloud.api_key_file",
        "cloud.ca_file",
        "cloud.client_certificate_file",
        "cloud.client_key_file",
        "local_api.socket",
        "log.format",
        "ota.allow_unsigned",
        "ota.keys_dir",
        "ota.model",
        "port.certificate_file",
        "port.key_file",
        "relayed_sensors.sensor_keys_credential",
        "relayed_sensors.sensor_keys_file",
        "storage.run_dir",
        "storage.state_dir",
    }
    assert [each.path for each in KEYS if each.edit == "live"] == ["log.level"]
    assert handlers(None) == {}
