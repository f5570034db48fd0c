"""Files by name in one directory, for a layer that knows neither disk nor directory: the radio's. All methods block."""

import logging
from pathlib import Path

from agent.errors import Corrupt, StorageFull
from agent.foundation.disk import Disk

_log = logging.getLogger(__name__)

_COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, and must not outlive it (sqlite.org, "How To Corrupt An SQLite Database")."""


class StateFiles:
    """Whole or absent; a file that cannot be read is put aside."""

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

    def path(self, name: str) -> Path:
        """Return where a file lies."""
        return self._directory / name

    def read(self, name: str) -> bytes | None:
        """Return a file's content; `None` where there is none, or none that can be read.

        Raises:
            OSError: It cannot be read, nor put aside.
        """
        try:
            return self._disk.read(self.path(name), bytes_max=self._bytes_max)
        except Corrupt as error:
            _log.error("%s", error)
            self.put_aside(name)
            return None

    def write(self, name: str, data: bytes, *, is_secret: bool) -> None:
        """Replace a file's content durably.

        Raises:
            OSError: The disk refuses; the old content stays.
        """
        try:
            self._disk.write(self.path(name), data, is_secret=is_secret)
        except StorageFull as error:
            raise OSError(str(error)) from error

    def put_aside(self, name: str) -> None:
        """Move a file away that cannot be used; the disk keeps the last few.

        Raises:
            OSError: The disk refuses.
        """
        aside = self._disk.quarantine(self.path(name))
        for companion in _COMPANIONS:
            if (path := self.path(name + companion)).exists():
                self._disk.remove(path)
        _log.error("%s is kept as %s", name, aside.name)
