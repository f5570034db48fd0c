"""Where zigpy's database is worked on: in its place, or in memory while the disk takes no writes.

An error of the medium is not taken for an error of the content: only what SQLite calls malformed is put aside. Blocks.
"""

import contextlib
import shutil
import sqlite3
from pathlib import Path

from hal.zigbee import zigpy_stack

_MEDIUM = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
                     sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})  # fmt: skip
_COMPANIONS = ("", "-wal")


def is_of_medium(error: BaseException) -> bool:
    """Tell whether an error says something about the disk, and nothing about what the file holds."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return code != sqlite3.SQLITE_IOERR_SHORT_READ and code & 0xFF in _MEDIUM
    return isinstance(error, OSError)


def problem_of(path: Path) -> str:
    """Return why nothing can be written into the database; empty where it can, or where it is not the disk's fault."""
    try:
        zigpy_stack.make_private(path)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except (sqlite3.Error, OSError) as error:
        return str(error) if is_of_medium(error) else ""
    return ""


def copied(path: Path, directory: Path) -> Path:
    """Copy the database into a directory in memory, as far as the disk gives it, and return where it is.

    Raises:
        OSError: There is no room in memory either.
    """
    for companion in _COMPANIONS:
        source, target = path.with_name(path.name + companion), directory / (path.name + companion)
        target.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if source.is_file():
                shutil.copyfile(source, target)
    copy = directory / path.name
    zigpy_stack.make_private(copy)
    return copy
