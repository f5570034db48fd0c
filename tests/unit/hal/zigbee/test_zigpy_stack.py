"""zigpy's database on a disk that takes no writes: used from memory, never put aside for that."""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("zigpy")

from hal.zigbee import zigpy_stack


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "state" / "zigbee.db"
    made.parent.mkdir()
    with closing(sqlite3.connect(made, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE devices (ieee TEXT)")
        connection.execute("INSERT INTO devices VALUES ('ab')")
    return made


def test_a_healthy_or_absent_database_is_used_where_it_is(path: Path, tmp_path: Path) -> None:
    assert zigpy_stack.write_problem(path) == ""
    assert zigpy_stack.write_problem(tmp_path / "absent.db") == ""


def test_invalid_database_content_is_no_disk_error(path: Path) -> None:
    path.write_bytes(b"rubbish" * 1000)
    assert zigpy_stack.write_problem(path) == ""


def test_directory_instead_of_the_database_is_a_disk_error(tmp_path: Path) -> None:
    assert "directory" in zigpy_stack.write_problem(tmp_path)


@pytest.mark.parametrize(
    "code",
    [sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_FSYNC,
     sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY],
)  # fmt: skip
def test_errors_of_the_medium_are_disk_errors(code: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = sqlite3.OperationalError("the disk refuses")
    error.sqlite_errorcode = code
    assert zigpy_stack.is_disk_error(error)

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sqlite3, "connect", failing)
    assert zigpy_stack.write_problem(path) == "the disk refuses"


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR_SHORT_READ])
def test_errors_of_the_content_are_no_disk_errors(code: int) -> None:
    error = sqlite3.DatabaseError("malformed")
    error.sqlite_errorcode = code
    assert not zigpy_stack.is_disk_error(error)
    assert not zigpy_stack.is_disk_error(ValueError())


def test_read_only_disk_is_reported_and_a_copy_of_the_database_used(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volatile = tmp_path / "run"
    volatile.mkdir()
    (volatile / "zigbee.db-wal").write_bytes(b"of an earlier copy")

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(zigpy_stack, "make_private", read_only)
        assert "Read-only" in zigpy_stack.write_problem(path)
    copy = zigpy_stack.copy_database(path, volatile)
    assert copy == volatile / "zigbee.db"
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        assert connection.execute("SELECT ieee FROM devices").fetchall() == [("ab",)]
        connection.execute("INSERT INTO devices VALUES ('cd')")
    assert zigpy_stack.copy_database(tmp_path / "absent.db", volatile).read_bytes() == b""
