"""A running hub's files are read as of one moment."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.backup import contents, snapshot
from agent.backup.errors import BackupRefused
from agent.errors import Corrupt
from agent.foundation.disk import Disk
from agent.foundation.durable_file import add_checksum, strip_checksum
from tests.unit.backup.conftest import KEY, STATE


def test_all_files_are_of_one_moment(tmp_path: Path) -> None:
    """A hub that writes all its files between two reads never leaves a mixture."""

    class Busy(Disk):
        reads, writes = 0, 3

        def read(self, path: Path, *, bytes_max: int) -> bytes | None:
            self.reads += 1
            if self.writes and self.reads % 7 == 0:
                self.writes -= 1
                for name in STATE:
                    self.write(tmp_path / name, add_checksum(b'{"generation":%d}' % self.writes))
            return super().read(path, bytes_max=bytes_max)

    for name in STATE:
        (tmp_path / name).write_bytes(add_checksum(b'{"generation":99}'))
    found = snapshot.read_state(tmp_path, Busy())
    assert set(found) == set(STATE)
    assert len(set(found.values())) == 1


def test_a_hub_that_never_stops_writing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "ATTEMPTS_MAX", 2)
    monkeypatch.setattr("os.fsync", lambda _: None)

    class Busy(Disk):
        def read(self, path: Path, *, bytes_max: int) -> bytes | None:
            self.write(tmp_path / "climate.json", b"{}")
            return super().read(path, bytes_max=bytes_max)

    with pytest.raises(BackupRefused, match="try again"):
        snapshot.read_state(tmp_path, Busy())


def test_a_database_in_use_is_copied_as_of_a_commit(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "facts.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE facts (n INTEGER)")
        db.execute("INSERT INTO facts VALUES (1)")
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO facts VALUES (2)")
        found = snapshot.read_state(tmp_path, Disk())
        db.execute("ROLLBACK")
    (tmp_path / "copy.db").write_bytes(found["facts.db"])
    with closing(sqlite3.connect(tmp_path / "copy.db")) as db:
        assert db.execute("SELECT n FROM facts").fetchall() == [(1,)]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_nothing_that_is_left_out_is_read(tmp_path: Path) -> None:
    for name in (*contents.LEFT_OUT, "climate.json.corrupt-1", "history-1.seg"):
        (tmp_path / name).write_bytes(b"{}")
    assert snapshot.read_state(tmp_path, Disk()) == {}


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        (b'{"pending":{"a":1},"made_on":{"a":"board/system"}}', b'{"pending":{"a":1}}'),
        (add_checksum(b'{"pending":{"a":1},"made_on":{"a":"board/system"}}'), b'{"pending":{"a":1}}'),
        (b'{"pending": {}}', b'{"pending": {}}'),
        (b"no settings", b"no settings"),
    ],
)
def test_changes_of_settings_belong_to_no_board(tmp_path: Path, stored: bytes, kept: bytes) -> None:
    (tmp_path / "settings.json").write_bytes(stored)
    assert strip_checksum(snapshot.read_state(tmp_path, Disk())["settings.json"]) == kept


def test_the_copy_stands_in_for_a_damaged_file(tmp_path: Path) -> None:
    good = STATE["climate.json"]
    (tmp_path / "climate.json").write_bytes(good.replace(b"living", b"living2"))
    (tmp_path / "climate.json.copy").write_bytes(good)
    assert snapshot.read_state(tmp_path, Disk()) == {"climate.json": good}
    (tmp_path / "climate.json.copy").unlink()
    with pytest.raises(Corrupt):
        snapshot.read_state(tmp_path, Disk())


def test_files_that_the_configuration_names_belong_to_it(tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    config, beside, elsewhere = tmp_path / "config.toml", tmp_path / "ca.pem", tmp_path / "far" / "away" / "key.pem"
    for path in (config, beside, elsewhere, tmp_path / "unrelated"):
        path.write_text(path.name)
    (tmp_path / "api-key").write_bytes(KEY)
    beside.chmod(0o640)
    for directory in ("update-keys", "state"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "some.pub").write_text(directory)
    values = {
        "cloud.ca_file": beside,
        "port.key_file": elsewhere,
        "storage.state_dir": tmp_path / "state",
        "ota.keys_dir": tmp_path / "update-keys",
        "x": "text",
    }
    found, others = snapshot.read_config_files(config, values, Disk())
    assert {name: file.content for name, file in found.items()} == {
        "api-key": KEY,
        "ca.pem": b"ca.pem",
        "update-keys/some.pub": b"update-keys",
    }
    assert found["ca.pem"].mode == 0o640
    assert others == [elsewhere]
