"""Files by name in one directory, for the radio layer, which has no access to disk or directory. All methods block."""

import logging
import os
from pathlib import Path

import msgspec

from agent.errors import StorageFull
from agent.foundation.disk import Disk
from agent.foundation.durable_file import DurableFile

_log = logging.getLogger(__name__)

_COMPANIONS = ("-wal", "-shm", "-journal")
"""SQLite's companions of a database, which must not outlive it (sqlite.org, "How To Corrupt An SQLite Database")."""


class StateFiles:
    """Files that are whole or absent, each with a copy; an unreadable file is put aside."""

    def __init__(self, directory: Path, disk: Disk, *, bytes_max: int) -> None:
        """Read and write nothing yet.

        Args:
            directory: Where the files are stored.
            disk: Reads and writes them.
            bytes_max: How large each may be.
        """
        self._directory = directory
        self._disk = disk
        self._bytes_max = bytes_max
        self._files: dict[str, DurableFile[bytes]] = {}

    def path(self, name: str) -> Path:
        """Return the path of a file."""
        return self._directory / name

    def read(self, name: str) -> bytes | None:
        """Return a file's content, or that of its copy; `None` where neither exists or can be read.

        Raises:
            OSError: Neither can be read now; their content is not lost.
        """
        file = self._file(name)
        content = file.read()
        if content is None and file.is_unread:
            raise OSError(file.problem)
        return content

    def write(self, name: str, data: bytes, *, is_secret: bool) -> None:
        """Replace a file's content durably.

        Raises:
            OSError: The disk refused; the old content stays.
        """
        file = self._file(name)
        file.is_secret = is_secret
        if file.is_unread:
            file.read_again()
        try:
            file.write(data)
        except StorageFull as error:
            raise OSError(str(error)) from error

    def _file(self, name: str) -> "DurableFile[bytes]":
        if name not in self._files:
            self._files[name] = DurableFile(
                self.path(name), disk=self._disk, bytes_max=self._bytes_max, decode=_checked, loss="a new one is made"
            )
        return self._files[name]

    def put_aside(self, name: str) -> None:
        """Put an unusable file aside; the last few are kept.

        Raises:
            OSError: The disk refuses.
        """
        path = self.path(name)
        if not os.path.lexists(path):
            return
        aside = self._disk.quarantine(path)
        for companion in _COMPANIONS:
            if (path := self.path(name + companion)).exists():
                self._disk.remove(path)
        _log.error("%s is kept as %s", name, aside.name)


def _checked(data: bytes) -> bytes:
    """Return a JSON object unchanged; the radio decodes it."""
    msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    return data
