"""`climahub backup` and `climahub restore` as a person uses them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.backup import encryption, restoration
from agent.cli import exit_codes
from agent.cli.root import cli, run
from agent.cli.setup import procedure
from agent.cli.setup.key_store import KeyStore
from agent.errors import ClimahubError
from agent.foundation import lock
from tests.unit.backup.conftest import KEY, STATE

CONFIG = (
    '[cloud]\nbase_url = "https://cloud.example.org"\napi_key_file = "key"\n'
    '[storage]\nstate_dir = "state"\nrun_dir = "run"\n'
)


class Machine:
    """A directory with a configuration, a key and a state, or a blank one."""

    def __init__(self, directory: Path, *, is_blank: bool = False) -> None:
        directory.mkdir()
        self.directory = directory
        self.config, self.state = directory / "config.toml", directory / "state"
        self.phrase = directory / "phrase"
        self.phrase.write_text("correct horse battery\n")
        if not is_blank:
            self.state.mkdir()
            self.config.write_text(CONFIG + '[clock]\ntrust = "system"\n')
            (directory / "key").write_bytes(KEY)
            for name, data in STATE.items():
                (self.state / name).write_bytes(data)

    def type(self, *words: str, error: str = "") -> Result:
        """Type a command; it is refused with ``error``, where one is given."""
        line = [*words, "--config", str(self.config)]
        result = CliRunner().invoke(cli, line, standalone_mode=False)
        if error:
            assert isinstance(result.exception, ClimahubError)
            assert error in str(result.exception)
        else:
            assert result.exception is None, result.exception
        return result


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(encryption, "SCRYPT_LOG2_N", 14)
    return Machine(tmp_path / "hub")


@pytest.fixture
def blank(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "blank", is_blank=True)


def make(hub: Machine) -> str:
    file = hub.directory / "hub.backup"
    result = hub.type("backup", str(file), "--passphrase-file", str(hub.phrase))
    assert result.return_value == exit_codes.OK
    for name in ("climate.json", "config.toml", "key", "zigbee-network.json"):
        assert name in result.output
    assert file.stat().st_mode & 0o077 == 0
    return str(file)


def test_a_blank_machine_becomes_the_hub(hub: Machine, blank: Machine) -> None:
    result = blank.type("restore", make(hub), "--passphrase-file", str(hub.phrase))
    assert "never run the old hub again" in result.output
    assert blank.config.read_bytes() == hub.config.read_bytes()
    assert (blank.directory / "key").read_bytes() == KEY
    assert (blank.state / "climate.json").read_bytes() == STATE["climate.json"]
    assert b'"frame_counter": 1000' in STATE["zigbee-network.json"]
    assert b'"frame_counter": 1000' not in (blank.state / "zigbee-network.json").read_bytes()


def test_a_hub_is_replaced_only_by_force(hub: Machine, tmp_path: Path) -> None:
    other = Machine(tmp_path / "other")
    (other.state / "outbox.db").write_text("readings of the other")
    (other.state / "climate.json").write_text("{}")
    line = ("restore", make(hub), "--passphrase-file", str(hub.phrase))
    other.type(*line, error="add --force")
    assert (other.state / "outbox.db").exists()
    assert other.type(*line, "--force").return_value == exit_codes.OK
    assert not (other.state / "outbox.db").exists()
    other.config.write_text(CONFIG.replace('"state"', '"elsewhere"'))
    other.type(*line, "--force", error="set storage.state_dir")


def test_a_running_hub_is_not_replaced(hub: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["restore", make(hub), "--passphrase-file", str(hub.phrase), "--force", "--config", str(hub.config)]
    with lock.hold(hub.state):
        assert run(line) == exit_codes.ALREADY_RUNNING
    assert "stop it first" in capsys.readouterr().err


def test_the_time_has_to_be_known_where_there_is_a_network(
    hub: Machine, blank: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.foundation.clock.SystemClock.utc_ms", lambda _: None)
    file, phrase = make(hub), ("--passphrase-file", str(hub.phrase))
    blank.type("restore", file, *phrase, error="--age-days")
    assert not blank.config.exists()
    assert blank.type("restore", file, *phrase, "--age-days", "3").return_value == exit_codes.OK


def test_an_interrupted_restoration_goes_on(hub: Machine, blank: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    file, phrase = make(hub), ("--passphrase-file", str(hub.phrase))
    for words in (("--resume",), (file, *phrase)):
        with monkeypatch.context() as patched:
            patched.setattr(restoration, "place_state", lambda *_: None)
            blank.type("restore", file, *phrase, *(("--force",) if blank.config.exists() else ()))
        assert not (blank.state / "climate.json").exists()
        # The configuration names the state directory by now.
        assert blank.type("restore", *words).return_value == exit_codes.OK
        assert (blank.state / "climate.json").read_bytes() == STATE["climate.json"]
        (blank.state / "climate.json").unlink()
    assert blank.type("restore", "--resume").return_value == exit_codes.FAILED


def test_files_are_not_replaced_unasked_and_others_are_named(hub: Machine, tmp_path: Path) -> None:
    file = make(hub)
    assert hub.type("backup", file).return_value == exit_codes.CANNOT_CREATE
    key = tmp_path / "elsewhere"
    key.write_bytes(KEY)
    hub.config.write_text(CONFIG.replace('"key"', f'"{key}"'))
    result = hub.type("backup", file, "--overwrite", "--passphrase-file", str(hub.phrase))
    assert f"copy it yourself: {key}" in result.output


def test_a_key_that_systemd_has_encrypted_is_in_the_backup_and_another_machines_is_not_used(
    hub: Machine, blank: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credential opens on its own machine only."""
    monkeypatch.setattr("agent.cli.setup.key_store.run", lambda *_: KEY)
    monkeypatch.setattr(KeyStore, "read", lambda store: KEY.decode() if store.is_encrypted else "")
    hub.config.write_text(CONFIG.replace('api_key_file = "key"\n', "") + '[clock]\ntrust = "system"\n')
    (hub.directory / "key").unlink()
    for machine in (hub, blank):
        (machine.directory / "api-key.cred").write_text("opens on one machine only")
    file = hub.directory / "hub.backup"
    phrase = ("--passphrase-file", str(hub.phrase))
    hub.type("backup", str(file), *phrase)
    blank.type("restore", str(file), *phrase)
    assert (blank.directory / "api-key").read_bytes() == KEY
    assert (blank.directory / "api-key").stat().st_mode & 0o077 == 0
    assert not (blank.directory / "api-key.cred").exists()


def test_a_restored_machine_opens_its_devices_to_the_service(
    hub: Machine, blank: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As setup does: the stick that the configuration names, and the key for systemd to encrypt."""
    drop_in = blank.directory / "service.d" / "setup.conf"
    commands: list[object] = []

    def run_command(command: object, *_: object) -> bytes:
        commands.append(command)
        return b""

    async def no_channels(*_: object) -> list[object]:
        return []

    places = procedure.Places(etc=blank.directory, drop_in=drop_in)
    monkeypatch.setattr(procedure, "Places", lambda: places)
    monkeypatch.setattr("agent.cli.setup.service.is_under_systemd", lambda: True)
    monkeypatch.setattr("agent.cli.setup.machine.find_channels", no_channels)
    monkeypatch.setattr("agent.cli.setup.key_store.run", run_command)
    monkeypatch.setattr(KeyStore, "keep", lambda _, key: f"encrypted, {len(key)} characters")
    hub.config.write_text(
        CONFIG.replace('api_key_file = "key"\n', "") + '[zigbee]\nport = "auto"\n[clock]\ntrust = "system"\n'
    )
    (hub.directory / "api-key").write_bytes(KEY)
    file, phrase = hub.directory / "hub.backup", ("--passphrase-file", str(hub.phrase))
    hub.type("backup", str(file), *phrase)
    told = blank.type("restore", str(file), *phrase).output
    assert "DeviceAllow=char-ttyUSB rw" in drop_in.read_text()
    assert commands == [("systemctl", "daemon-reload")]
    assert f"key: encrypted, {len(KEY.strip())} characters" in told
    assert KEY.decode().strip() not in told


def test_a_passphrase_needs_a_terminal_or_a_file(hub: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """getpass warned of an echo, and waited."""
    file = str(hub.directory / "hub.backup")
    assert run(["backup", file, "--config", str(hub.config)]) == exit_codes.USAGE
    assert "add --passphrase-file FILE" in capsys.readouterr().err
    assert run(["restore", make(hub), "--config", str(hub.config), "--force"]) == exit_codes.USAGE
    assert "add --passphrase-file FILE" in capsys.readouterr().err


def test_a_directory_that_is_missing_is_named_before_anything_is_read(
    hub: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    file = hub.directory / "missing" / "hub.backup"
    assert run(["backup", str(file), "--config", str(hub.config)]) == exit_codes.CANNOT_CREATE
    assert f"name another file: {file.parent} is no directory" in capsys.readouterr().err
    assert run(["support-bundle", "--output", str(file)]) == exit_codes.CANNOT_CREATE
    assert f"name another file: {file.parent} is no directory" in capsys.readouterr().err


def test_a_directory_that_takes_no_file_is_named_and_not_the_temporary_file(capsys: pytest.CaptureFixture[str]) -> None:
    """/proc takes no file of anybody, root included."""
    assert run(["support-bundle", "--output", "/proc/hub.tar.zst"]) == exit_codes.CANNOT_CREATE
    reported = capsys.readouterr().err
    assert reported.startswith("name a file in another directory: /proc takes none (")
    assert "climahub-support" not in reported
