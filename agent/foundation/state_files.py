"""Files by name in one directory, for a layer that knows neither disk nor directory: the radio's. All methods block."""

import logging
import os
from pathlib import Path

import msgspec

from agent.errors import StorageFull
from agent.foundation.disk import Disk
from agent.foundation.durable_file import DurableFile

_log = logging.getLogger(__name__)

_COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, and must not outlive it (sqlite.org, "How To Corrupt An SQLite Database")."""


class StateFiles:
    """Whole or absent, each with a copy; a file that cannot be read is put aside."""

    def __init__(self, directory: Path, disk: Disk, *, bytes_max: int) -> None:
        """Read and write nothing yet.

        Args:
            directory: Where the files lie.
            disk: Reads and writes them.
            bytes_max: How large each may be.
        """
        self._directory = directory
        self._disk = disk
        self._bytes_max = bytes_max
        self._files: dict[str, DurableFile[bytes]] = {}

    def path(self, name: str) -> Path:
        """Return where a file lies."""
        return self._directory / name

    def read(self, name: str) -> bytes | None:
        """Return a file's content, or that of its copy; `None` where there is none, or none that can be read.

        Raises:
            OSError: The disk gives neither now: that is no reason to do without what they hold.
        """
        file = self._file(name)
        content = file.read()
        if content is None and file.is_unread:
            raise OSError(file.problem)
        return content

    def write(self, name: str, data: bytes, *, is_secret: bool) -> None:
        """Replace a file's content durably.

        Raises:
            OSError: The disk refuses; the old content stays.
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
                self.path(name), disk=self._disk, bytes_max=self._bytes_max, decode=_checked, loss="it begins anew"
            )
        return self._files[name]

    def put_aside(self, name: str) -> None:
        """Move a file away that cannot be used; the disk keeps the last few.

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
    """Return what is a JSON object as it is; what it means, its reader knows."""
    msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    return data
