"""zigpy's database on a disk that takes no writes: used from memory, never put aside for that."""

import asyncio
import errno
import importlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

pytest.importorskip("zigpy")

from hal.zigbee import zigpy_stack
from hal.zigbee.options import RadioOptions
from hal.zigbee.serial_ports import StickPort


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


class _NotOpenedError(Exception):
    """The port would have been opened."""


@pytest.mark.parametrize(
    ("adapter", "library", "flow_control", "expected"),
    [
        ("ezsp", "bellows", "auto", {"xonxoff": True, "rtscts": False}),
        ("ezsp", "bellows", "none", {"xonxoff": False, "rtscts": False}),
        ("ezsp", "bellows", "software", {"xonxoff": True, "rtscts": False}),
        ("ezsp", "bellows", "hardware", {"xonxoff": False, "rtscts": True}),
        ("znp", "zigpy_znp", "auto", {"xonxoff": False, "rtscts": False}),
        ("znp", "zigpy_znp", "none", {"xonxoff": False, "rtscts": False}),
        ("znp", "zigpy_znp", "hardware", {"xonxoff": False, "rtscts": True}),
        ("deconz", "zigpy_deconz", "none", {"xonxoff": False, "rtscts": False}),
        ("deconz", "zigpy_deconz", "software", {"xonxoff": True, "rtscts": False}),
    ],
)
async def test_the_port_is_opened_with_the_configured_flow_control(
    adapter: Literal["ezsp", "znp", "deconz"],
    library: str,
    flow_control: Literal["auto", "none", "hardware", "software"],
    expected: dict[str, bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip(library)
    opened: list[dict[str, object]] = []

    async def open_port(*_: object, **given: object) -> None:
        opened.append(given)
        raise _NotOpenedError

    monkeypatch.setattr("zigpy.serial.serialx_create_serial_connection", open_port)
    options = RadioOptions(port="/dev/ttyUSB0", adapter=adapter, flow_control=flow_control)
    config = zigpy_stack.zigpy_config(options, StickPort("/dev/ttyUSB0", adapter, ()), tmp_path / "zigbee.db")
    app = zigpy_stack.controller_class(adapter)(config)
    zigpy_stack.apply_flow_control(app, options)
    uart = importlib.import_module(f"{library}.uart")
    arguments: dict[str, Any] = {"use_thread": False} if adapter == "ezsp" else {}
    with pytest.raises(_NotOpenedError):
        await asyncio.wait_for(uart.connect(app.config["device"], app, **arguments), 5)
    [port] = opened
    assert {name: port[name] for name in expected} == expected
