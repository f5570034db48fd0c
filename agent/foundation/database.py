"""SQLite as the agent uses it: WAL, synchronous=FULL, one connection on one worker, every commit in one place.

With synchronous=FULL a commit that returned survives a power cut; NORMAL does not promise that (measured by record and
replay of the block device: 263 of 300 crash states lost acknowledged rows). Components own schemas and statements.
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.disk import Disk, Operation, is_file_or_absent
from agent.foundation.worker import Worker

CACHE_KIB = 256
"""Page cache: only recently written pages are read again. SQLite's default of 2 MiB is 5 % of the agent's memory."""

T = TypeVar("T")

_SYNCHRONOUS_FULL = 2
"""The value of `PRAGMA synchronous` for FULL (sqlite.org/pragma.html)."""

PAGE_BYTES = 1024
"""Small pages: a commit of a few hundred bytes then costs one or two 4 KiB blocks of the device instead of three or
more (docs/experiments/storage.md)."""

BUSY_VFS = "unix-excl"
"""Keeps the index of the log in memory of the process, where every connection of it finds it, and other processes out
(sqlite.org/vfs.html). In a mapped file beside the database, the kernel would write its pages each half minute: 29 MB a
day, as much as the readings themselves (tests/bench/bench_card.py)."""

SYNCHRONOUS = "FULL"
"""Every commit is synced before it counts as done. NORMAL syncs at checkpoints only."""

WAL_PAGES_MAX = 500
"""Checkpoint when the log reaches about 0.5 MiB; the log file is then reused in place, so it does not grow. Of
120 to 4000, the one with the fewest bytes on the device at full speed (tests/bench/bench_outbox.py)."""

_LOG_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
"""Of the log file, and of each page in it (sqlite.org/fileformat2.html, section 4.1)."""

LOG_BYTES = _LOG_HEADER_BYTES + (WAL_PAGES_MAX + 40) * (PAGE_BYTES + _FRAME_HEADER_BYTES)
"""Size of a preallocated log: that at which it is used again from its beginning, with room for the last commit."""


class Database:
    """One SQLite file. Made by `open_database`; used only through `run` and, inside it, `transaction`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, worker: Worker, disk: Disk) -> None:
        self.path = path
        self._connection = connection
        self._worker = worker
        self._disk = disk

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Return ``function(connection)``, run on the worker.

        Raises:
            StorageFull: The disk has no room or refuses; nothing was changed.
            ReadFailed: A part of the file cannot be read now.
            Corrupt: The file cannot be read any more.
        """
        return await self._worker.run(lambda: self._guarded(function))

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Commit durably at the end of the block, or change nothing at all. On the worker only."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._disk.on_operation(Operation.COMMIT, self.path.name)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def syncs_commits(self) -> bool:
        """Tell whether a commit that returned survives a power cut (read from SQLite itself). Blocks."""
        (level,) = self._connection.execute("PRAGMA synchronous").fetchone()
        return bool(level >= _SYNCHRONOUS_FULL)

    async def close(self) -> None:
        """Fold the log into the file and close it; in a hurry that is left to the next start."""
        if not self._disk.is_hurried:
            await self._worker.run(self._connection.close)

    def _guarded(self, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._disk.is_hurried:
                # The log is neither synced nor folded in: its checksums tell after a power cut what is whole.
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.execute("PRAGMA wal_autocheckpoint=0")
            return function(self._connection)
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error
        except OSError as error:
            raise _refused(error, self.path) from error


def open_database(
    path: Path, *, schema: str, version: int, worker: Worker, disk: Disk, is_busy: bool = False
) -> tuple[Database, Path | None]:
    """Open ``path``, creating it with ``schema``; an unreadable file is put aside and a new one made. Blocks.

    Args:
        path: The database file; its directory exists.
        schema: SQL that makes a new file.
        version: The schema's number (`PRAGMA user_version`). A file with a higher one comes from a newer agent.
        worker: Where `Database.run` works.
        disk: Where durable operations are announced.
        is_busy: It has a commit every few seconds. Its log is grown at once to the size at which it is used again
            (`LOG_BYTES`): each commit that makes a file longer costs the journal of the file system 20 KiB. Its index
            of the log is kept in memory (`BUSY_VFS`), so other processes cannot read it meanwhile.

    Returns:
        The database, and where the unreadable file went (`None` where all was well).

    Raises:
        StorageFull: No room to make the file.
        Corrupt: Even a new file cannot be made.
    """
    quarantined = None
    try:
        connection = _connect(path, schema, version, disk, is_busy=is_busy)
    except Corrupt:
        quarantined = set_aside(path, disk)
        connection = _connect(path, schema, version, disk, is_busy=is_busy)
    if is_busy:
        _preallocate_log(path, disk)
    return Database(path, connection, worker=worker, disk=disk), quarantined


async def open_store(
    path: Path,
    *,
    schema: Callable[[], str],
    version: int,
    worker: Worker,
    disk: Disk,
    load: Callable[[Database], Awaitable[T]],
    is_broken: bool = False,
    is_busy: bool = False,
) -> tuple[T, Path | None]:
    """Open the store of a component in ``path``; an unreadable file is put aside and replaced by a new one.

    Args:
        path: See `open_database`.
        schema: Returns the SQL that makes a new file; asked on the worker, before anything is put aside.
        version: See `open_database`.
        worker: Where `Database.run` works.
        disk: Where durable operations are announced.
        load: Makes the component's store and reads the file; raises `Corrupt` where its content is invalid.
        is_broken: Put the present file aside: it was found unreadable while in use.
        is_busy: See `open_database`.

    Returns:
        What ``load`` made, and where an unreadable file went.

    Raises:
        StorageFull: No room to make the file.
        Corrupt: Even a new file cannot be made.
    """

    def opened() -> tuple[Database, Path | None]:
        sql = schema()
        aside = set_aside(path, disk) if is_broken else None
        database, quarantined = open_database(
            path, schema=sql, version=version, worker=worker, disk=disk, is_busy=is_busy
        )
        return database, quarantined or aside

    database, quarantined = await worker.run(opened)
    try:
        return await load(database), quarantined
    except StorageFull:
        await database.close()
        raise
    except Corrupt:
        await database.close()
        if is_broken:
            raise
        return await open_store(
            path,
            schema=schema,
            version=version,
            worker=worker,
            disk=disk,
            load=load,
            is_broken=True,
            is_busy=is_busy,
        )


def set_aside(path: Path, disk: Disk) -> Path | None:
    """Put an unreadable database aside, log and all, and return where it is now; `None` where there was none.

    Raises:
        StorageFull: The disk refuses even that.
    """
    try:
        for suffix in ("-wal", "-shm"):
            extra = path.with_name(path.name + suffix)
            if os.path.lexists(extra):
                disk.quarantine(extra)
        return disk.quarantine(path) if os.path.lexists(path) else None
    except OSError as error:
        raise _refused(error, path) from error


def _ensure_regular_files(path: Path, disk: Disk) -> None:
    """Ensure that SQLite opens regular files only: a pipe would block it.

    Raises:
        Corrupt: The database's name belongs to something that is no regular file.
        OSError: What has the name of a companion file cannot be moved.
    """
    for companion in (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")):
        if not is_file_or_absent(companion):
            disk.quarantine(companion)
    if not is_file_or_absent(path):
        raise Corrupt(f"{path} is no regular file")


def _connect(path: Path, schema: str, version: int, disk: Disk, *, is_busy: bool) -> sqlite3.Connection:
    try:
        _ensure_regular_files(path, disk)
        return _prepared(path, schema, version, disk, is_busy=is_busy)
    except sqlite3.Error as error:
        raise _translated(error, path) from error
    except OSError as error:
        raise _refused(error, path) from error


def _prepared(path: Path, schema: str, version: int, disk: Disk, *, is_busy: bool) -> sqlite3.Connection:
    # check_same_thread: the worker's single thread serialises all use after opening.
    place = f"{path.absolute().as_uri()}?vfs={BUSY_VFS}" if is_busy else path
    connection = sqlite3.connect(
        place, uri=is_busy, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
        connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES_MAX}")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > version:
            raise sqlite3.DatabaseError(f"schema {found} is newer than this agent's {version}")
        if found == 0 and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            # Our own files get their tables and the number in one commit.
            raise sqlite3.DatabaseError("the file is a database of another program")
        if found == 0:
            disk.on_operation(Operation.COMMIT, path.name)
            connection.executescript(f"BEGIN IMMEDIATE; {schema}; PRAGMA user_version={version}; COMMIT;")
        else:
            _touch_every_table(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _preallocate_log(path: Path, disk: Disk) -> None:
    """Fill the log file with zeros up to `LOG_BYTES`; without room it grows with each commit, as any other.

    Zeros are no frame of the log: SQLite stops reading there, whatever a power cut has left before them. They are
    written, not only reserved: the first write to a reserved block costs the journal as much as a longer file.
    """
    log = path.with_name(f"{path.name}-wal")
    with contextlib.suppress(OSError, StorageFull, Corrupt):
        present_bytes = log.stat().st_size
        if present_bytes < LOG_BYTES:
            disk.write_at(log, present_bytes, bytes(LOG_BYTES - present_bytes), step_bytes=1)


def _touch_every_table(connection: sqlite3.Connection) -> None:
    """Read one row of each table, so that a file that is not a database, or was cut short, is found at once."""
    tables: list[tuple[Any, ...]] = connection.execute(
        "SELECT name FROM sqlite_master WHERE type='table' AND sql NOT LIKE 'CREATE VIRTUAL %'"
    ).fetchall()
    if not tables:
        raise sqlite3.DatabaseError("the file holds no table")
    for (table,) in tables:
        # A virtual table may need a module that this SQLite does not have; the tables that hold its data are here too.
        # The names come from the file's own schema, quoted.
        connection.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchone()  # noqa: S608


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _refused(error: OSError, path: Path) -> StorageFull:
    advice = "free some space" if error.errno in _NO_ROOM else "check the disk with fsck"
    return StorageFull(f"the disk refused a write to {path} ({error.strerror}); {advice}")


def _translated(error: sqlite3.Error, path: Path) -> StorageFull | Corrupt:
    extended = getattr(error, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if extended == sqlite3.SQLITE_IOERR_SHORT_READ:
        return Corrupt(f"{path} ends too early ({error}); check the card")
    if extended == sqlite3.SQLITE_IOERR_READ:
        # An error of the medium, not of the content: it may pass.
        return ReadFailed(f"{path} has a part that cannot be read ({error}); check the card")
    if code == sqlite3.SQLITE_FULL:
        return StorageFull(f"{path} cannot be written ({error}); free some space")
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
        return StorageFull(f"{path} cannot be written ({error}); check the disk with fsck")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StorageFull(f"{path} is in use by another process; stop it (is a second agent running?)")
    return Corrupt(f"{path} cannot be read ({error})")
