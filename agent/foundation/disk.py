"""Files that are whole or absent: write to a temporary name, fsync, rename, fsync the directory.

Nobody else in the agent renames or fsyncs. All methods block: call them through a `Worker`, or before the loop runs.
"""

import errno
import os
from pathlib import Path

from agent.errors import Corrupt, StorageFull
from agent.foundation.operations import OnOperation, Operation, unhindered

QUARANTINED_MAX = 4
"""How many unreadable copies of one file are kept for the technician; the oldest makes room."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Disk:
    """The file system, with every durable operation announced first."""

    def __init__(self, on_operation: OnOperation = unhindered) -> None:
        self.on_operation = on_operation

    def read(self, path: Path, *, bytes_max: int) -> bytes | None:
        """Return the content of ``path``, or `None` where there is no such file.

        Raises:
            Corrupt: The file is larger than ``bytes_max``, or the disk cannot read it.
        """
        try:
            with path.open("rb") as file:
                data = file.read(bytes_max + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Corrupt(f"{path} cannot be read ({error.strerror}); check the disk with fsck") from error
        if len(data) > bytes_max:
            raise Corrupt(f"{path} is larger than the {bytes_max} bytes that it may have")
        return data

    def write(self, path: Path, data: bytes, *, is_secret: bool = False) -> None:
        """Replace ``path`` by ``data``, durably: after a power cut it holds the old bytes or the new ones, whole.

        Args:
            path: The file.
            data: Its new content.
            is_secret: Let nobody but this user read it, at no time.

        Raises:
            StorageFull: No room; the old content stays.
            OSError: The disk failed in another way: either content is there, whole.
        """
        temporary = path.with_name(path.name + ".new")
        try:
            self.on_operation(Operation.WRITE, path.name)
            if is_secret:
                # One that a power cut has left keeps its rights when it is opened again.
                temporary.unlink(missing_ok=True)
            mode = 0o600 if is_secret else 0o666
            with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                file.write(data)
                file.flush()
                self.on_operation(Operation.FSYNC, path.name)
                os.fsync(file.fileno())
            self.on_operation(Operation.RENAME, path.name)
            temporary.replace(path)
            self._sync_directory(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno in _FULL:
                raise StorageFull(f"no room on the disk to write {path}; free some space") from error
            raise

    def remove(self, path: Path) -> None:
        """Remove ``path``, durably; nothing happens where it does not exist."""
        self.on_operation(Operation.REMOVE, path.name)
        path.unlink(missing_ok=True)
        self._sync_directory(path)

    def quarantine(self, path: Path) -> Path:
        """Move an unreadable file aside, keeping at most `QUARANTINED_MAX` copies, and return its new name."""
        places = [path.with_name(f"{path.name}.corrupt-{number}") for number in range(1, QUARANTINED_MAX + 1)]
        free = next((place for place in places if not place.exists()), None)
        target = free or min(places, key=lambda place: place.stat().st_mtime_ns)
        self.on_operation(Operation.RENAME, path.name)
        path.replace(target)
        self._sync_directory(path)
        return target

    def free_bytes(self, directory: Path) -> int:
        """Return the room that an ordinary user has left on the file system of ``directory``."""
        stat = os.statvfs(directory)
        return stat.f_bavail * stat.f_frsize

    def _sync_directory(self, path: Path) -> None:
        self.on_operation(Operation.FSYNC_DIRECTORY, path.name)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
