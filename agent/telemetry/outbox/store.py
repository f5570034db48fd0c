"""The outbox on SQLite: one compact blob per commit, removed lazily, bounded in bytes and by the free disk.

Owns the file `outbox.db` and runs every operation of `OutboxTables` on the database's worker, so that operations never
interleave.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from agent.foundation.database import Database, open_store
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.telemetry.outbox import high_water_mark, retention
from agent.telemetry.outbox.held import IsElsewhere
from agent.telemetry.outbox.high_water_mark import HighWaterMarkFile
from agent.telemetry.outbox.lookup_tables import UtcAnchor
from agent.telemetry.outbox.protocol import (
    DeadLetter,
    Gap,
    GapCause,
    Lane,
    LostReadings,
    OutboxLimits,
    OutboxStats,
    PendingReading,
)
from agent.telemetry.outbox.tables import SCHEMA, SCHEMA_VERSION, OutboxTables
from hal.interface import Reading

FILE_NAME = "outbox.db"

T = TypeVar("T")


class SqliteOutbox:
    """The asynchronous half: implements `Outbox`, and so has its 16 methods. Made by `open_outbox`."""

    def __init__(self, database: Database, tables: OutboxTables) -> None:
        self._database = database
        self._tables = tables

    @property
    def lost_count(self) -> int:
        """About how many readings earlier processes had stored and the file no longer holds."""
        return self._tables.lost_count

    @property
    def database(self) -> Database:
        """The file, for tests and simulations that inspect it."""
        return self._database

    async def append(self, readings: Sequence[Reading], *, is_registered: Callable[[str], bool]) -> None:
        """Store readings of this boot."""
        if readings:
            await self._run(lambda connection: self._tables.append(connection, readings, is_registered))

    async def record_gap(self, losses: Sequence[LostReadings], cause: GapCause) -> None:
        """Record readings that never reached the disk."""
        await self._run(lambda connection: self._tables.record_gap(connection, losses, cause))

    async def claim(self, lane: Lane, readings_max: int) -> list[PendingReading]:
        """Return the oldest unclaimed readings of a lane."""
        return await self._run(lambda connection: self._tables.claim(connection, lane, readings_max))

    async def settle(self, items: Sequence[PendingReading]) -> None:
        """Mark readings as accepted: at once, and without the worker, which would cost as much as sending them."""
        self._tables.accept(items)

    async def move_to_dead_letters(self, item: PendingReading, reason: str) -> None:
        """Move a claimed reading to the dead letters."""
        await self._run(lambda connection: self._tables.move_to_dead_letters(connection, item, reason))

    async def close_fresh_lane(self) -> None:
        """Make everything that is not claimed backlog."""
        await self._run(lambda _: self._tables.close_fresh_lane())

    async def anchor(self, *, now_ms: int, utc_ms: int) -> UtcAnchor | None:
        """Anchor this boot: its time ``now_ms`` is ``utc_ms``."""
        return await self._run(lambda connection: self._tables.anchor(connection, now_ms, utc_ms))

    async def mark_registered(self, device: str) -> None:
        """Make the unregistered readings of a device backlog."""
        await self._run(lambda connection: self._tables.mark_registered(connection, device))

    async def drop_unregistered(self, device: str) -> None:
        """Give up the unregistered readings of a device."""
        await self._run(lambda connection: self._tables.drop_unregistered(connection, device))

    async def release_held(self) -> None:
        """Make backlog of what is held back."""
        await self._run(self._tables.release_held)

    async def discard_held(self) -> int:
        """Give up what is held back; return how many readings."""
        return await self._run(self._tables.discard_held)

    async def maintain(self) -> None:
        """Remove delivered blobs and keep within the limits."""
        await self._run(self._tables.maintain)

    async def gaps(self) -> list[Gap]:
        """Return the gaps."""
        return await self._run(self._tables.list_gaps)

    async def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters."""
        return await self._run(retention.list_dead_letters)

    def stats(self) -> OutboxStats:
        """Return the present numbers."""
        return self._tables.stats()

    def utc_ms(self, at_ms: int) -> int | None:
        """Return the timestamp of a reading of this boot."""
        return self._tables.utc_ms(at_ms)

    async def close(self) -> None:
        """Remove delivered blobs and close the files."""
        try:
            await self.maintain()
        finally:
            try:
                await self._database.run(lambda _: self._tables.close())
            finally:
                await self._database.close()

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._database.run(lambda connection: self._run_and_note(function, connection))

    def _run_and_note(self, function: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        self._tables.settle_accepted(connection)
        result = function(connection)
        self._tables.note_progress()
        return result


async def open_outbox(
    directory: Path,
    *,
    boot_id: str,
    limits: OutboxLimits,
    worker: Worker,
    disk: Disk,
    is_broken: bool = False,
    label: Callable[[], str] = lambda: "",
    is_elsewhere: IsElsewhere = lambda _: False,
) -> tuple[SqliteOutbox, Path | None]:
    """Open the outbox in ``directory``; return it, and the path of an unreadable one that was quarantined.

    Args:
        directory: Contains `outbox.db`.
        boot_id: The present boot.
        limits: How large it may grow.
        worker: Where it works.
        disk: Where durable operations are announced.
        is_broken: Quarantine the present file: it was found unreadable while in use.
        label: Returns what is recorded with readings of the machine that they are stored on; empty for nothing.
        is_elsewhere: Tells whether what is stored was recorded on another machine: it is held back.

    Raises:
        StorageFull: No space to make the file.
        Corrupt: Even a new file cannot be made.
    """

    async def load(database: Database) -> SqliteOutbox:
        def read(connection: sqlite3.Connection) -> OutboxTables:
            mark = HighWaterMarkFile(directory / high_water_mark.FILE_NAME)
            tables = OutboxTables(
                connection, database, disk, limits, boot_id, mark, label=label, is_elsewhere=is_elsewhere
            )
            tables.note_progress()
            return tables

        return SqliteOutbox(database, await database.run(read))

    return await open_store(
        directory / FILE_NAME,
        schema=lambda: SCHEMA,
        version=SCHEMA_VERSION,
        worker=worker,
        disk=disk,
        load=load,
        is_broken=is_broken,
        is_busy=True,
    )
