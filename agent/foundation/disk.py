"""Files that are whole or absent: write to a temporary name, fsync, rename, fsync the directory.

Nothing else in the agent renames or fsyncs, and every durable operation is announced to `on_operation` first, so that a
test can stop the world at operation 1, 2, 3, ... All methods block: call them through a `Worker`, or before the loop
runs.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from agent.errors import Corrupt, ReadFailed, StorageFull


class Operation(StrEnum):
    """A step whose effect outlives the process."""

    WRITE = "write"
    FSYNC = "fsync"
    RENAME = "rename"
    FSYNC_DIRECTORY = "fsync_directory"
    REMOVE = "remove"
    COMMIT = "commit"


OnOperation = Callable[[Operation, str], None]
"""Called just before each durable operation with the name of its file. Raising `OSError` there is a disk that fails;
raising anything that is no `Exception` is a power cut."""


def allow_operation(operation: Operation, target: str) -> None:
    """Allow every operation: what a real hub uses."""
    del operation, target


QUARANTINED_MAX = 4
"""How many unreadable copies of one file are kept for the technician; the oldest makes room."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_NO_FILE = {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV}
"""Errors of open(2) for a loop of symbolic links, a directory, a socket and a missing device: nothing that can be
read later. Every other error may pass."""


class Disk:
    """The file system, with every durable operation announced first."""

    def __init__(self, on_operation: OnOperation = allow_operation) -> None:
        self.on_operation = on_operation
        self.is_hurried = False

    def hurry(self) -> None:
        """Stop waiting for syncs that only a power cut needs: the process ends soon and the disk is slow.

        Commits still survive the end of the process, and a power cut once the system has written them. Nothing is left
        half written: a file's content is synced before it gets its name, and a database's log is folded in at the next
        start.
        """
        self.is_hurried = True

    def read(self, path: Path, *, bytes_max: int) -> bytes | None:
        """Return the content of ``path``, or `None` where there is no such file. Never waits for a pipe or device.

        Raises:
            Corrupt: It is no regular file, or larger than ``bytes_max``.
            ReadFailed: It cannot be read now: an error of the medium, or no permission.
        """
        try:
            # Without O_NONBLOCK, opening a pipe waits for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise Corrupt(f"{path} is no regular file")
                data = file.read(bytes_max + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _NO_FILE:
                raise Corrupt(f"{path} is no regular file ({error.strerror})") from error
            raise ReadFailed(f"{path} cannot be read ({error.strerror}); check the disk with fsck") from error
        if len(data) > bytes_max:
            raise Corrupt(f"{path} is larger than the {bytes_max} bytes that it may have")
        return data

    def write(self, path: Path, data: bytes, *, is_secret: bool = False) -> None:
        """Replace ``path`` by ``data``, durably: after a power cut it holds the old bytes or the new ones, whole.

        Args:
            path: The file.
            data: Its new content.
            is_secret: Only this user may read it, at any time.

        Raises:
            StorageFull: No room; the old content stays.
            OSError: The disk failed in another way: either content is there, whole.
        """
        temporary = path.with_name(path.name + ".new")
        try:
            self.on_operation(Operation.WRITE, path.name)
            if is_secret or not is_file_or_absent(temporary):
                # A leftover of a power cut keeps its permissions when opened again; opening a pipe would wait.
                _clear(temporary)
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
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            if error.errno in _FULL:
                raise StorageFull(f"no room on the disk to write {path}; free some space") from error
            raise

    def write_at(self, path: Path, offset_bytes: int, data: bytes, *, step_bytes: int) -> None:
        """Write ``data`` within a file that grows in steps, durably; after a power cut any part of it may be there.

        The file is made where there is none. What lies behind the data is zeros up to the next step, so that most
        writes leave the file's size as it is, and no journal of a file system has to record another.

        Raises:
            Corrupt: It is no regular file.
            StorageFull: No room.
            OSError: The disk failed in another way: any part of ``data`` may be there.
        """
        try:
            self._write_at(path, offset_bytes, data, step_bytes)
        except OSError as error:
            if error.errno in _NO_FILE:
                raise Corrupt(f"{path} is no regular file ({error.strerror})") from error
            if error.errno in _FULL:
                raise StorageFull(f"no room on the disk to write {path}; free some space") from error
            raise

    def _write_at(self, path: Path, offset_bytes: int, data: bytes, step_bytes: int) -> None:
        self.on_operation(Operation.WRITE, path.name)
        is_new = not os.path.lexists(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
        try:
            present = os.fstat(descriptor)
            if not stat.S_ISREG(present.st_mode):
                raise Corrupt(f"{path} is no regular file")
            end = offset_bytes + len(data)
            grows = end > present.st_size
            padded = data + bytes(-end % step_bytes) if grows else data
            try:
                if os.pwrite(descriptor, padded, offset_bytes) < len(padded):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                # A full disk must not fill up with parts of what is tried again.
                if grows:
                    with contextlib.suppress(OSError):
                        os.ftruncate(descriptor, present.st_size)
                raise
            self.on_operation(Operation.FSYNC, path.name)
            if not self.is_hurried:
                (os.fsync if grows else os.fdatasync)(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            self._sync_directory(path)

    def remove(self, path: Path) -> None:
        """Remove ``path``, durably; nothing happens where it does not exist."""
        self.on_operation(Operation.REMOVE, path.name)
        path.unlink(missing_ok=True)
        self._sync_directory(path)

    def wipe(self, path: Path) -> None:
        """Overwrite a file with zeros where it lies, then remove it, both durably; nothing happens without one.

        A card may keep the old blocks all the same (wear levelling): a secret that was in the file is only gone once it
        is worth nothing.

        Raises:
            OSError: The disk refuses; the file may still be there.
        """
        if not os.path.lexists(path):
            return
        self.on_operation(Operation.WRITE, path.name)
        with open(path, "r+b", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
            file.write(bytes(os.fstat(file.fileno()).st_size))
            file.flush()
            self.on_operation(Operation.FSYNC, path.name)
            os.fsync(file.fileno())
        self.remove(path)

    def quarantine(self, path: Path) -> Path:
        """Move an unreadable file aside, keeping at most `QUARANTINED_MAX` copies, and return its new name.

        Raises:
            OSError: The disk refuses.
        """
        places = [path.with_name(f"{path.name}.corrupt-{number}") for number in range(1, QUARANTINED_MAX + 1)]
        free = next((place for place in places if not os.path.lexists(place)), None)
        target = free or min(places, key=lambda place: place.lstat().st_mtime_ns)
        self.on_operation(Operation.RENAME, path.name)
        if free is None and (target.is_dir() or path.is_dir()):
            # rename(2) replaces a file by a file only.
            _clear(target)
        path.replace(target)
        self._sync_directory(path)
        return target

    def try_quarantine(self, path: Path) -> str:
        """Move an unreadable file aside if the disk allows it; return in words where it is now. Raises nothing."""
        try:
            return f"it is kept as {self.quarantine(path).name}"
        except OSError as error:
            return f"it cannot be put aside ({error.strerror})"

    def free_bytes(self, directory: Path) -> int:
        """Return the space available to an ordinary user on the file system of ``directory``."""
        room = os.statvfs(directory)
        return room.f_bavail * room.f_frsize

    def problem_of(self, directory: Path) -> str:
        """Return why nothing can be written in ``directory``; empty where no reason is known."""
        try:
            room = os.statvfs(directory)
        except OSError as error:
            return f"{directory} cannot be used ({error.strerror}); check the disk with fsck"
        if room.f_flag & os.ST_RDONLY:
            return f"the file system of {directory} is read-only; check the disk with fsck, then mount it again"
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            return f"this user may not read and write {directory}; check its owner and permissions"
        if room.f_bavail == 0:
            return f"the disk of {directory} is full; free some space"
        # Some file systems do not count inodes: both are 0 there.
        if room.f_files and room.f_favail == 0:
            return f"the disk of {directory} has no room for another file (no free inode); remove some files"
        return ""

    def _sync_directory(self, path: Path) -> None:
        self.on_operation(Operation.FSYNC_DIRECTORY, path.name)
        if self.is_hurried:
            return
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_file_or_absent(path: Path) -> bool:
    """Tell whether a name is free or a regular file, directly or through a link."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return not path.is_symlink()
    except OSError as error:
        if error.errno in _NO_FILE:
            return False
        raise


def _clear(path: Path) -> None:
    """Remove whatever has a name; of a link, the link and not its target."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # noqa: PLC0415 - with lzma and bz2; seldom needed

        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
