"""`climahub setup` against a reference cloud: everything is checked before anything is written."""

import asyncio
import functools
import grp
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import exit_codes
from agent.cli.setup import command, service
from agent.cli.setup.answers import read_answers
from agent.cli.setup.claim import find_claim
from agent.cli.setup.first_reading import Progress
from agent.cli.setup.key_store import KeyStore
from agent.cli.setup.machine import find_present, read_temperatures
from agent.cli.setup.procedure import Options, Places, Procedure, Steps
from agent.commands import factory_reset
from agent.errors import CloudUnavailable, ConfigInvalid, Unauthorized
from agent.foundation.disk import Disk
from tests.integration.conftest import KEY, Cloud, until

OTHER_KEY = "cs_dev_" + "Z9y8" * 8


class Rig:
    """A machine's directories and a cloud that knows `KEY`."""

    def __init__(self, directory: Path, url: str) -> None:
        self.places = Places(etc=directory / "etc", drop_in=directory / "units" / "setup.conf")
        self.url = url
        self.directory = directory
        self.said: list[str] = []
        sensors = directory / "sys/class/hwmon/hwmon0"
        sensors.mkdir(parents=True)
        (sensors / "name").write_text("w1_slave_temp\n")
        (sensors / "temp1_input").write_text("20562\n")

    def answers(self, setup: str = f'key = "{KEY}"', more: str = "") -> str:
        paths = f'[board.linux]\nsysfs_root = "{self.directory}/sys"\n[storage]\nstate_dir = "{self.directory}/state"\n'
        return f'[setup]\n{setup}\n[cloud]\nbase_url = "{self.url}"\n{paths}run_dir = "{self.directory}/run"\n{more}'

    def procedure(self, options: Options | None = None) -> Procedure:
        disk = Disk()
        return Procedure(
            places=self.places,
            keys=KeyStore(self.places.etc, disk=disk, has_creds=False),
            disk=disk,
            steps=Steps(self.said.append, lambda: 0.0),
            options=options or Options(starts=False),
            environ={},
        )

    async def run(self, text: str, options: Options | None = None) -> int:
        file = str(self.directory / "answers.toml")
        procedure = self.procedure(options)
        return await asyncio.to_thread(procedure.run, read_answers(text, file=file), text=text, file=file)

    @property
    def files(self) -> Sequence[str]:
        return sorted(path.name for path in self.places.etc.glob("*")) if self.places.etc.exists() else []


@pytest.fixture
async def rig(tmp_path: Path, cloud: Cloud) -> Rig:
    return Rig(tmp_path, cloud.url)


async def test_answers_become_a_hub(rig: Rig, cloud: Cloud) -> None:
    code = await rig.run(
        rig.answers(f'key = "{KEY}"\ntime_zone = "Europe/Berlin"', '[zigbee]\nport = "/dev/ttyUSB0"\n')
    )
    said = "\n".join(rig.said)
    assert code == exit_codes.OK
    assert rig.files == ["api-key", "config.toml"]
    assert 'base_url = "http://' in rig.places.config.read_text()
    assert "w1_slave_temp/temp1  20.6 °C  (the hub's own in the cloud)" in said
    assert "time zone of the home: Europe/Berlin" in said
    assert "DeviceAllow=char-ttyUSB rw" in rig.places.drop_in.read_text()
    assert KEY not in said
    assert rig.places.config.stat().st_mode & 0o044
    before = len(rig.said)
    await rig.run(rig.answers("", '[zigbee]\nport = "/dev/ttyUSB0"\n'))
    assert any("stays as it is" in line for line in rig.said[before:]), "a second run finds its own work"
    assert rig.files == ["api-key", "config.toml"]


async def test_a_hub_on_which_nothing_changes_is_not_restarted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Sequence[str]] = []
    monkeypatch.setattr(service, "is_under_systemd", lambda: True)
    monkeypatch.setattr(service, "run", commands.append)
    monkeypatch.setattr(service, "wait_for_reading", lambda *_, **__: Progress(is_accepted=True))
    key_file = rig.directory / "hub.key"
    key_file.write_text(KEY)
    options = Options()
    assert await rig.run(rig.answers(), options) == exit_codes.OK
    assert await rig.run(rig.answers(), options) == exit_codes.OK
    assert await asyncio.to_thread(rig.procedure(options).renew_key, key_file) == exit_codes.OK
    assert [words[1] for words in commands if words[-1] == service.UNIT] == [
        *("enable", "restart"),
        *("enable", "start") * 2,
    ]
    assert sum("nothing was changed" in line for line in rig.said) == 2
    await rig.run(rig.answers(more='[log]\nlevel = "debug"\n'), options)
    assert commands[-1][1] == "restart"
    (rig.places.etc / "api-key").write_text(OTHER_KEY)
    await asyncio.to_thread(rig.procedure(options).renew_key, key_file)
    assert commands[-1][1] == "restart", "another key"


@pytest.mark.parametrize(
    ("setup", "more", "error", "said"),
    [
        (f'key = "{OTHER_KEY}"', "", Unauthorized, ""),
        ("", "", ConfigInvalid, "give the hub's key"),
        ('key_file = "nowhere.key"', "", ConfigInvalid, "nowhere.key"),
        (f'key = "{KEY}"', '[log]\nlevel = "loud"\n', ConfigInvalid, "answers.toml:11: log.level"),
        (f'key = "{KEY}"', '[climate]\nzones = [{ id = "a", sensors = ["b"] }]\n', ConfigInvalid, "no output a"),
    ],
)
async def test_wrong_answer_changes_nothing(rig: Rig, setup: str, more: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        await rig.run(rig.answers(setup, more))
    assert said in str(caught.value)
    assert OTHER_KEY not in str(caught.value)
    assert rig.files == []
    assert not rig.places.drop_in.exists()


async def test_what_a_person_has_written_is_replaced_only_when_asked_and_a_copy_stays(rig: Rig) -> None:
    rig.places.etc.mkdir()
    mine = '[cloud]\nbase_url = "https://mine.example"\n'
    rig.places.config.write_text(mine)
    with pytest.raises(ConfigInvalid, match="add --replace") as caught:
        await rig.run(rig.answers())
    assert '-base_url = "https://mine.example"' in str(caught.value)
    assert rig.files == ["config.toml"]
    await rig.run(rig.answers(), Options(starts=False, replace=True))
    assert (rig.places.etc / "config.toml.before-setup-1").read_text() == mine
    assert rig.url in rig.places.config.read_text()
    # Its own work is changed without being asked.
    await rig.run(rig.answers(more='[log]\nlevel = "debug"\n'))
    assert 'level = "debug"' in rig.places.config.read_text()


async def test_without_the_cloud_only_who_asks_for_it_goes_on(rig: Rig, cloud: Cloud) -> None:
    await cloud.down()
    with pytest.raises(CloudUnavailable, match="add --offline"):
        await rig.run(rig.answers())
    assert rig.files == []
    assert await rig.run(rig.answers(), Options(starts=False, is_offline=True)) == exit_codes.OK
    assert rig.files == ["api-key", "config.toml"]


async def test_key_that_a_factory_reset_has_barred_is_refused(rig: Rig) -> None:
    state = rig.directory / "state"
    state.mkdir()
    factory_reset.bar_key(state, Disk(), KEY)
    with pytest.raises(ConfigInvalid, match="issue a new key"):
        await rig.run(rig.answers())
    assert rig.files == []


async def test_second_life_begins_with_a_new_key_alone(rig: Rig, cloud: Cloud) -> None:
    await rig.run(rig.answers())
    configuration = rig.places.config.read_bytes()
    state = rig.directory / "state"
    state.mkdir()
    factory_reset.bar_key(state, Disk(), KEY)
    factory_reset.finish_erasing(state, Disk(), key_file=None)
    new = cloud.reference.admin.replace_key(cloud.hub_id).api_key
    file = rig.directory / "hub.key"
    file.write_text(new)
    assert await asyncio.to_thread(rig.procedure().renew_key, file) == exit_codes.OK
    assert (rig.places.etc / "api-key").read_text() == f"{new}\n"
    assert rig.places.config.read_bytes() == configuration
    assert factory_reset.read_usable_key(state, Disk(), lambda: new) == new


async def test_key_file_of_the_configuration_is_left_to_whoever_wrote_it(rig: Rig) -> None:
    text = rig.answers().replace("[board", 'api_key_file = "/somewhere/key"\n[board')
    with pytest.raises(ConfigInvalid, match=r"take cloud\.api_key_file out"):
        await rig.run(text)


async def test_group_that_is_missing_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrall", list)
    assert service.group_names() == set()
    await rig.run(rig.answers(more='[zigbee]\nport = "/dev/ttyUSB0"\n'))
    assert any("install what brings the group dialout" in line for line in rig.said)
    assert "SupplementaryGroups" not in rig.places.drop_in.read_text()


async def test_claim_is_wiped_once_it_is_taken_and_stays_where_it_is_refused(rig: Rig) -> None:
    file = rig.directory / "answers.toml"
    file.write_text(rig.answers(f'key = "{OTHER_KEY}"'))
    options = Options(starts=False, wipes=True, is_offline=True)
    with pytest.raises(Unauthorized):
        await rig.run(file.read_text(), options)
    assert file.exists()
    file.write_text(rig.answers())
    with file.open("rb") as still_open:
        await rig.run(file.read_text(), options)
        assert not file.exists()
        assert set(still_open.read()) == {0}, "the blocks on the card are overwritten"
    assert rig.files == ["api-key", "config.toml"]


async def test_first_boot_waits_for_the_network(rig: Rig, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.cli.setup.procedure.CLOUD_RETRY_S", 0.01)
    await cloud.down()
    run = asyncio.get_running_loop().create_task(rig.run(rig.answers(), Options(starts=False, cloud_s=3600)))
    await until(lambda: rig.said)
    await cloud.up()
    assert await run == exit_codes.OK
    assert any("takes the key" in line for line in rig.said)


def test_claim_is_found_on_either_boot_partition(tmp_path: Path) -> None:
    old, new = tmp_path / "boot", tmp_path / "firmware"
    old.mkdir()
    assert find_claim((new, old)) is None
    (old / "climahub-claim.toml").touch()
    assert find_claim((new, old)) == old / "climahub-claim.toml"


def test_wizard_begins_from_what_is_there(rig: Rig) -> None:
    board, _, base_url = find_present(rig.places.config)
    assert (board.name, base_url) == ("linux", "")
    rig.places.etc.mkdir()
    rig.places.config.write_text("[cloud]" + rig.answers(more='[board]\nname = "linux"\n').partition("[cloud]")[2])
    board, socket, base_url = find_present(rig.places.config)
    assert (socket.parent, base_url) == (rig.directory / "run", rig.url)
    assert read_temperatures(board, socket) == {"hwmon/w1_slave_temp/temp1": pytest.approx(20.562)}


async def test_person_at_a_terminal_sets_the_hub_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_is_terminal", lambda: True)
    monkeypatch.setattr(command, "Places", lambda: rig.places)
    monkeypatch.setattr(command, "KeyStore", functools.partial(KeyStore, has_creds=False))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    typed = [rig.url, "?", KEY, "Europe/Berlin", "", "0", "yes", ""]
    invoke = functools.partial(CliRunner().invoke, standalone_mode=False)
    result = await asyncio.to_thread(invoke, command.setup, ["--no-start"], input="\n".join(typed))
    assert result.exception is None, result.output
    assert result.return_value == exit_codes.OK
    assert rig.files == ["api-key", "config.toml"]
    assert f'base_url = "{rig.url}"' in rig.places.config.read_text()
    assert "paste the key, or name a file with it" in result.output
    assert KEY not in result.output


def test_without_a_person_and_without_answers_it_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(command, "_is_terminal", lambda: False)
    assert "name the answers" in CliRunner().invoke(command.setup).output
    assert "give --answers or --claim" in CliRunner().invoke(command.setup, ["--claim", "--answers", "a"]).output
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert (
        CliRunner().invoke(command.setup, ["--claim"], standalone_mode=False).return_value == exit_codes.NO_PERMISSION
    )
