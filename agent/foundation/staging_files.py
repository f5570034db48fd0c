"""Directories that are whole or absent, and files that grow until they are complete: for staging updates.

Every durable operation is announced with the path below the state directory ("slots/b.new/x.py"), so that a test can
stop the world there and knows what was lost. All methods block: call them through a `Worker`.
"""

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import StorageFull
from agent.foundation.disk import Disk, Operation

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StagingFiles:
    """Files and directories below one directory, which paths are given relative to."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self.root = root
        self._disk = disk

    def path(self, name: str) -> Path:
        """Return the path of ``name``."""
        return self.root / name

    def size(self, name: str) -> int:
        """Return the size of a file in bytes; 0 where there is none."""
        path = self.root / name
        return path.stat().st_size if path.exists() else 0

    def free_bytes(self) -> int:
        """Return the free space of the file system."""
        return self._disk.free_bytes(self.root)

    def write_new(self, name: str, pieces: Iterator[bytes]) -> None:
        """Write a new file of a tree that is not in use yet; not durable before `sync`.

        Raises:
            StorageFull: No space.
        """
        self._announce(Operation.WRITE, name)
        path = self.root / name
        with _room(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                for piece in pieces:
                    file.write(piece)

    def append(self, name: str, piece: bytes | bytearray, *, at: int) -> None:
        """Append to a growing file, after truncating it to ``at`` bytes; not durable before `sync_file`.

        Raises:
            StorageFull: No space.
        """
        self._announce(Operation.WRITE, name)
        with _room(self.root / name), (self.root / name).open("r+b" if at else "wb") as file:
            if file.seek(0, os.SEEK_END) != at:
                file.truncate(at)
                file.seek(at)
            file.write(piece)

    def sync_file(self, name: str) -> None:
        """Make a file durable."""
        self._announce(Operation.FSYNC, name)
        with (self.root / name).open("rb") as file:
            os.fsync(file.fileno())

    def sync(self, name: str) -> None:
        """Make a whole tree durable by syncing its file system (syncfs(2)) instead of each file.

        Syncing 2,000 files one by one makes 2,000 journal commits, which take an SD card most of a minute.
        """
        self._announce(Operation.FSYNC, name)
        descriptor = os.open(self.root / name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), name)
        finally:
            os.close(descriptor)

    def rename(self, name: str, target: str) -> None:
        """Rename a file or tree, durably. The target must not exist, or be a file."""
        self._announce(Operation.RENAME, name)
        (self.root / name).rename(self.root / target)
        self._sync_directory(target)

    def remove(self, name: str) -> None:
        """Remove a file or tree, durably; nothing happens where it does not exist."""
        path = self.root / name
        if not path.exists():
            return
        self._announce(Operation.REMOVE, name)
        if path.is_dir():
            import shutil  # noqa: PLC0415 - with lzma and bz2; seldom needed

            shutil.rmtree(path)
        else:
            path.unlink()
        self._sync_directory(name)

    def forget_cached(self, name: str) -> None:
        """Drop a tree from the page cache, so that the next read comes from the medium."""
        for path in (self.root / name).rglob("*"):
            if path.is_file():
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)

    def _sync_directory(self, name: str) -> None:
        self._announce(Operation.FSYNC_DIRECTORY, name)
        descriptor = os.open((self.root / name).parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _announce(self, operation: Operation, name: str) -> None:
        with _room(self.root / name):
            self._disk.on_operation(operation, name)


@contextmanager
def _room(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"no room on the disk to write {path}; free some space") from error
        raise


AnnounceOperation = Callable[[str, str], None]


def announcer(disk: Disk) -> AnnounceOperation:
    """Return a callback that announces the durable operations of the launcher, which does not import the agent."""
    return lambda kind, name: disk.on_operation(Operation(kind), name)
