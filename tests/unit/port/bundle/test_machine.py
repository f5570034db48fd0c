"""What a bundle takes from the disk: databases in numbers, files by known names, whatever state they are in."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from agent.config import Config, resolve_text
from agent.foundation.boot_trail import AgentStart, BootTrail
from agent.foundation.disk import Disk
from agent.port.bundle import machine
from agent.port.bundle.machine import Machine, known_secrets, summarise
from agent.port.bundle.scrub import Scrubber

NOON_MS = 1_774_785_600_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    text = '[cloud]\nbase_url = "https://api.example.org"\n[storage]\nstate_dir = "state"\nrun_dir = "run"\n'
    (tmp_path / "state").mkdir()
    return resolve_text(text, file="hub.toml", directory=tmp_path, environ={}).config


def make_database(path: Path, rows: int = 3) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA user_version = 7")
        connection.execute('CREATE TABLE "odd "" name" (secret TEXT)')
        connection.executemany('INSERT INTO "odd "" name" VALUES (?)', [("s3cret",)] * rows)
        connection.commit()


def test_a_database_is_summed_up_while_it_is_written(tmp_path: Path) -> None:
    make_database(tmp_path / "outbox.db")
    with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        found = summarise(tmp_path / "outbox.db")
    assert (found.file, found.schema, found.is_sound, found.problem) == ("outbox.db", 7, True, "")
    assert found.rows == {'odd " name': 3}


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100])
def test_a_damaged_database_says_so_and_is_left_alone(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(damage)
    found = summarise(path)
    assert found.size_bytes == len(damage)
    assert (found.problem == "DatabaseError") == bool(damage)
    assert path.read_bytes() == damage


def test_a_large_database_takes_no_longer_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_database(tmp_path / "outbox.db", rows=200_000)
    monkeypatch.setattr(machine, "SQLITE_S_MAX", -1.0)
    monkeypatch.setattr(machine, "_SQLITE_STEP", 100)
    found = summarise(tmp_path / "outbox.db")
    assert (found.problem, found.is_sound) == ("OperationalError", None)


def test_files_are_known_by_name_or_only_counted(config: Config) -> None:
    state = config.storage.state_dir
    for name in ("starts.json", "starts.json.copy", "outbox.db-wal", "climate.json.corrupt-2", "cs_dev_secret.json"):
        (state / name).write_text("12345")
    (state / "gone").symlink_to("nowhere")
    found = Machine(config, Scrubber(), utc_ms=None).files()
    assert [each.name for each in found.known] == [
        "climate.json.corrupt-2", "outbox.db-wal", "starts.json", "starts.json.copy",
    ]  # fmt: skip
    assert {each.age_s for each in found.known} == {None}
    assert found.others_count == 2
    assert all(each.age_s is not None for each in Machine(config, Scrubber(), utc_ms=NOON_MS).files().known)


def test_the_trail_of_boots_comes_from_its_file(config: Config) -> None:
    trail = BootTrail(config.storage.state_dir, Disk())
    trail.begin(AgentStart("b1", "power_on", "1.0.0", NOON_MS, 20))
    members = {each.name: each for each in Machine(config, Scrubber(), utc_ms=None).trail_members()}
    (boot,) = msgspec.json.decode(members["boots.json"].make())
    assert (boot["boot_id"], boot["versions"]) == ("b1", ["1.0.0"])
    with pytest.raises(FileNotFoundError):
        members["starts.json"].make()


def test_without_a_usable_configuration_the_machine_still_tells() -> None:
    machine = Machine(None, Scrubber(), utc_ms=None)
    assert "memory" in machine.system()
    assert machine.databases() == []
    assert machine.files().known == []
    assert all(msgspec.json.decode(each.make()) == [] for each in machine.trail_members())


def test_the_kernel_tells_of_power_and_card_only(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "usb 1-1: SerialNumber: 12345\nUnder-voltage detected!\nmmc0: error -110\nwlan0: associated with secret-ssid"
    )
    monkeypatch.setattr(Machine, "_run", staticmethod(lambda _: lines))
    assert Machine(config, Scrubber(), utc_ms=None).kernel() == b"Under-voltage detected!\nmmc0: error -110"


def test_a_journal_that_fails_or_hangs_is_no_journal(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "_run", staticmethod(lambda command: machine.run_program(("false", *command))))
    with pytest.raises(subprocess.CalledProcessError):
        Machine(config, Scrubber(), utc_ms=None).journal()
    monkeypatch.setattr(machine, "JOURNAL_S_MAX", 0.05)
    with pytest.raises(subprocess.TimeoutExpired):
        machine.run_program(("sleep", "5"))
    assert machine.run_program(("printf", "a\\377b")) == "a�b"


def test_an_sbom_goes_with_it_where_there_is_one(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sbom.json").write_text('{"bomFormat": "CycloneDX"}')
    monkeypatch.setattr(machine, "PACKAGE", tmp_path)
    members = {each.name: each for each in Machine(config, Scrubber(), utc_ms=None).members()}
    assert members["sbom.json"].make() == b'{"bomFormat": "CycloneDX"}'


def test_the_secrets_of_a_hub_are_known(config: Config, tmp_path: Path) -> None:
    api_key, sensor_keys = tmp_path / "api-key", tmp_path / "keys.toml"
    api_key.write_text("cs_dev_" + "a1B2" * 8 + "\n")
    sensor_keys.write_text('T1 = "the key of T1"\nT2 = 7\n')
    (config.storage.state_dir / "relayed.json").write_text('{"sensors": {"0x1": {"key": "given by hand"}}}')
    (config.storage.state_dir / "certificate.json").write_text("{ no JSON")
    cloud = msgspec.structs.replace(config.cloud, api_key_file=api_key, proxy="http://u:pass-of-proxy@proxy:3128")
    relayed = msgspec.structs.replace(config.relayed_sensors, sensor_keys_file=sensor_keys)
    config = msgspec.structs.replace(config, cloud=cloud, relayed_sensors=relayed)
    found = known_secrets(config, {"HTTPS_PROXY": "http://u:pass-of-environment@proxy"})
    assert found >= {"cs_dev_" + "a1B2" * 8, "the key of T1", "given by hand", "pass-of-proxy", "pass-of-environment"}
    sensor_keys.write_text("not TOML at all")
    assert "the key of T1" not in known_secrets(config, {})
