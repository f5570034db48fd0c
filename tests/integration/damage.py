"""What can be the matter with a file of the state directory, and with the disk under it."""

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ReadFailed
from agent.foundation.disk import Disk, Operation
from agent.ota import launcher

FILES = (
    "climate.json",
    "settings.json",
    "relayed.json",
    "update.json",
    "launcher.json",
    "keyring.json",
    "unprovisioned",
    "outbox.db",
    "commands.db",
    "credentials.json",
    "audit.db",
    "simulated-boots.json",
    "starts.json",
    "boots.json",
    "zigbee-network.json",
    "zigbee-sensors.json",
    "zigbee-stick.json",
)
"""What a used state directory holds."""


def _missing(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flipped(path: Path) -> None:
    """One bit in the middle; of a database, one in its header, where it is sure to matter."""
    data = bytearray(path.read_bytes())
    data[0 if path.suffix == ".db" else len(data) // 2] ^= 4
    path.write_bytes(data)


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * (path.stat().st_size // 256 + 1))


def _other(path: Path) -> None:
    """Valid, and something else."""
    if path.suffix == ".db":
        path.unlink()
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE stranger (x)")
        connection.close()
    else:
        path.write_bytes(b'[{"x": 1}]')


def _huge(path: Path) -> None:
    """A terabyte, of which the disk holds nothing."""
    path.write_bytes(b"{")
    os.truncate(path, 2**40)


def _directory(path: Path) -> None:
    path.unlink()
    (path / "deep").mkdir(parents=True)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _ring(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _none(_: Path) -> None:
    """As it was left."""


DAMAGES: dict[str, Callable[[Path], None]] = {
    "missing": _missing,
    "empty": _empty,
    "cut": _cut,
    "flipped": _flipped,
    "zeros": _zeros,
    "garbage": _garbage,
    "other": _other,
    "huge": _huge,
    "directory": _directory,
    "pipe": _pipe,
    "ring": _ring,
    "device": _device,
    "unreadable for a moment": _none,
    "unreadable": _none,
}

FAILED_READS = {"unreadable for a moment": 2, "unreadable": 10**9}
"""How often the disk does not give the file."""

DISKS = {
    "running": None,
    "full": errno.ENOSPC,
    "read-only": errno.EROFS,
    "failing": errno.EIO,
}
"""What each write comes to."""


class BadDisk(Disk):
    """A disk that takes no writes, or does not give some files."""

    def __init__(self, number: int | None, fails: dict[str, int]) -> None:
        super().__init__(self._hindered)
        self._number = number
        self._fails = fails

    def _hindered(self, _operation: Operation, target: str) -> None:
        if self._number is not None:
            raise OSError(self._number, os.strerror(self._number), target)

    def read(self, path: Path, *, bytes_max: int) -> bytes | None:
        """Read, where the disk gives it."""
        if self.fails(path):
            raise ReadFailed(f"{path} cannot be read ({os.strerror(errno.EIO)})")
        return super().read(path, bytes_max=bytes_max)

    def fails(self, path: Path) -> bool:
        """Tell whether the disk does not give a file this time."""
        left = self._fails.get(path.name, 0)
        self._fails[path.name] = left - 1
        return left > 0


def break_reads(disk: BadDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite and the launcher meet the same disk."""
    connect = sqlite3.connect

    def connected(place: Path | str, **options: Any) -> sqlite3.Connection:  # noqa: ANN401 - SQLite's own
        # A path, or "file:///…/outbox.db?vfs=…".
        if disk.fails(Path(str(place).partition("?")[0])):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
            raise error
        return connect(place, **options)

    account_in = launcher._read_state

    def accounted(path: Path) -> launcher.LauncherState | None:
        if disk.fails(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return account_in(path)

    monkeypatch.setattr(sqlite3, "connect", connected)
    monkeypatch.setattr(launcher, "_read_state", accounted)
