"""A backup comes back as it was, and nothing else is taken for one."""

import tracemalloc
import zlib

import msgspec
import pytest

from agent.backup import archive, contents
from agent.backup.archive import Backup, ConfigFile
from agent.backup.errors import BackupRefused
from agent.port.bundle.machine import FILES as KNOWN_FILES


def test_a_backup_comes_back(backup: Backup) -> None:
    assert archive.unpack(archive.pack(backup)) == backup


def test_every_file_that_the_agent_stores_is_in_exactly_one_table() -> None:
    tables = [contents.FILES, contents.DATABASES, frozenset(contents.LEFT_OUT)]
    assert sum(map(len, tables)) == len(frozenset().union(*tables))
    assert set(KNOWN_FILES) <= frozenset().union(*tables)
    assert contents.LEFT_OUT.keys() >= contents.STAYS


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "", ".hidden", "a/b/c", "a/../b", "/a", "a/", "x" * 101, "a\n"]
)
def test_no_name_leads_out_of_the_directory(backup: Backup, name: str) -> None:
    for changes in ({"state": {name: b"x"}}, {"config_files": {name: ConfigFile(b"x")}}):
        data = zlib.compress(msgspec.msgpack.encode(msgspec.structs.replace(backup, **changes)))
        with pytest.raises(BackupRefused, match="is no file of a"):
            archive.unpack(data)


def test_sizes_are_limited(backup: Backup) -> None:
    for name, limit in (("climate.json", archive.FILE_BYTES_MAX), ("facts.db", archive.DATABASE_BYTES_MAX)):
        archive.check(msgspec.structs.replace(backup, state={name: bytes(limit)}))
        with pytest.raises(BackupRefused, match="larger than"):
            archive.check(msgspec.structs.replace(backup, state={name: bytes(limit + 1)}))
    files = {f"key-{number}": ConfigFile(b"k") for number in range(archive.CONFIG_FILES_MAX + 1)}
    with pytest.raises(BackupRefused, match="more files or bytes"):
        archive.pack(msgspec.structs.replace(backup, config_files=files))


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "UNPACKED_BYTES_MAX", 1024 * 1024)
    bomb = zlib.compress(bytes(32 * 1024 * 1024))
    tracemalloc.start()
    with pytest.raises(BackupRefused, match="make another backup"):
        archive.unpack(bomb)
    assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    tracemalloc.stop()


@pytest.mark.parametrize(
    "data", [b"", b"x", zlib.compress(b"\xc1"), zlib.compress(b"") + b"more", zlib.compress(b"\x93" * 9999)]
)
def test_what_is_no_backup_is_refused(data: bytes) -> None:
    with pytest.raises(BackupRefused, match="make another backup"):
        archive.unpack(data)


def test_a_newer_format_names_the_release_that_can_restore_it(backup: Backup) -> None:
    newer = msgspec.msgpack.encode({"format": archive.FORMAT + 1, "version": "9.1.0", "unknown": [1]})
    with pytest.raises(BackupRefused, match=r"install climahub 9\.1\.0 or newer"):
        archive.unpack(zlib.compress(newer))
