"""The fact store on SQLite: `facts.db`, bounded in age and bytes.

Owns the file and runs every operation of `FactTables` and `Retention` on the database's worker, so that operations
never interleave. A change that returned survives a power cut.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import msgspec

from agent.errors import StorageFull
from agent.facts import search, statements
from agent.facts.model import Ending, FactDraft, FactRefused, FactVersion, FactView, Tenant, choose_view
from agent.facts.retention import FactLimits, FactsFull, FactUsage, Retention
from agent.facts.tables import FactFilter, FactTables, SubjectEnd
from agent.foundation.database import Database, open_store
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker

FILE_NAME = "facts.db"

UUID_VERSION = 7


class FactQuery(msgspec.Struct, frozen=True):
    """Which facts are asked for, in milliseconds since 1970 in UTC; see `choose_view`."""

    chosen: FactFilter
    limit: int
    as_of_ms: int | None = None
    known_as_of_ms: int | None = None
    has_superseded: bool = False

    def view(self, now_ms: int) -> FactView:
        """Return the view at the present instant."""
        return choose_view(
            now_ms,
            as_of_ms=self.as_of_ms,
            known_as_of_ms=self.known_as_of_ms,
            has_superseded=self.has_superseded,
        )


class FactStore:
    """The asynchronous half. Every method may raise `StorageFull` (nothing changed) and `Corrupt` (open it again).

    ``utc_ms`` is always the present instant.
    """

    def __init__(self, database: Database, tables: FactTables, room: Retention, limits: FactLimits) -> None:
        """Wrap what `open_fact_store` has opened."""
        self._database = database
        self._tables = tables
        self._room = room
        self._limits = limits

    @property
    def has_index(self) -> bool:
        """Whether there is an index for searching; without one, the newest facts are looked through."""
        return self._tables.has_index

    def now_ms(self, utc_ms: int) -> int:
        """Return the present instant as the store counts: not before its last change."""
        return self._tables.now_ms(utc_ms)

    async def add(self, tenant: Tenant, draft: FactDraft, *, utc_ms: int) -> FactVersion:
        """Store a client's fact, durably; its oldest closed facts make room where there is none.

        Raises:
            FactRefused: It cannot be stored as it stands.
            FactsFull: There is no room, and no closed fact of this client to make some.
        """

        def work(connection: sqlite3.Connection) -> FactVersion:
            self._ensure_room(connection, tenant.owner, utc_ms)
            return self._tables.add(connection, tenant, draft, utc_ms)

        return await self._database.run(work)

    async def record(
        self, tenant: Tenant, changes: Sequence[FactDraft | SubjectEnd], *, utc_ms: int
    ) -> list[FactRefused]:
        """Store changes of the hub's own facts in one commit; see `FactTables.record`.

        Returns:
            Why facts were left out that cannot be stored as they stand.

        Raises:
            FactsFull: There is no room, and no closed fact to make some.
        """

        def work(connection: sqlite3.Connection) -> list[FactRefused]:
            self._ensure_disk_space()
            with self._removal(connection):
                has_room = self._room.make_room(connection, self.now_ms(utc_ms), bytes_max=self._limits.bytes_max)
            if not has_room:
                raise FactsFull("end some facts: the store of facts is full of facts that still hold")
            return self._tables.record(connection, tenant, changes, utc_ms)

        return await self._database.run(work)

    async def supersede(self, owner: str, old_id: str, new_id: str, *, author: str, utc_ms: int) -> FactVersion:
        """Let one fact replace another from now on, durably; return the replaced one.

        Raises:
            UnknownFact: One of them is no fact of this owner.
            FactRefused: The chain would break.
        """
        return await self._database.run(
            lambda connection: self._tables.supersede(connection, owner, old_id, new_id, author, utc_ms)
        )

    async def expire(self, owner: str, fact_id: str, valid_to_ms: int, *, author: str, utc_ms: int) -> FactVersion:
        """Let a fact end with nothing in its place, durably; return it.

        Raises:
            UnknownFact: It is no fact of this owner.
            FactRefused: It cannot end then.
        """
        return await self._database.run(
            lambda connection: self._tables.expire(connection, owner, fact_id, valid_to_ms, author, utc_ms)
        )

    async def shown(self, query: FactQuery, *, utc_ms: int) -> list[FactVersion]:
        """Return the facts of a view, those that were stored last first."""
        return await self._database.run(
            lambda connection: self._tables.shown(
                connection, query.chosen, query.view(self.now_ms(utc_ms)), query.limit
            )
        )

    async def found(self, query: FactQuery, question: str, *, utc_ms: int) -> list[search.FoundFact]:
        """Return the facts of a view that contain words of a question, the most similar first."""
        return await self._database.run(
            lambda connection: self._tables.found(
                connection, query.chosen, query.view(self.now_ms(utc_ms)), question, query.limit
            )
        )

    async def chain(self, owners: Sequence[str], fact_id: str) -> list[FactVersion]:
        """Return all facts of the chain to which a fact belongs, by their beginning.

        Raises:
            UnknownFact: It is no fact of these owners.
        """
        return await self._database.run(lambda connection: self._tables.chain(connection, owners, fact_id))

    async def history(self, owners: Sequence[str], fact_id: str) -> tuple[FactVersion, list[Ending]]:
        """Return a fact, and all that became known about its end.

        Raises:
            UnknownFact: It is no fact of these owners.
        """
        return await self._database.run(
            lambda connection: (
                self._tables.version(connection, owners, fact_id),
                self._tables.endings(connection, owners, fact_id),
            )
        )

    async def usage(self, owner: str, *, utc_ms: int) -> FactUsage:
        """Return how full the store is for one owner."""
        return await self._database.run(lambda connection: self._room.usage(connection, owner, self.now_ms(utc_ms)))

    async def maintain(self, *, utc_ms: int) -> int:
        """Remove closed facts that are too old. Called every few hours.

        Returns:
            How many instants were moved to now: a clock was far ahead when they became known.
        """

        def work(connection: sqlite3.Connection) -> int:
            moved = self._tables.move_ahead(connection, utc_ms)
            with self._removal(connection):
                self._room.remove_old(connection, utc_ms)
            return moved

        return await self._database.run(work)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    @contextmanager
    def _removal(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Have the tables follow where facts are removed."""
        before = self._room.removed_count
        try:
            yield
        finally:
            if self._room.removed_count != before:
                self._tables.reload(connection)

    def _ensure_disk_space(self) -> None:
        if not self._room.has_disk_space():
            raise StorageFull("free some space on the disk: facts leave the last of it to readings and settings")

    def _ensure_room(self, connection: sqlite3.Connection, owner: str, utc_ms: int) -> None:
        self._ensure_disk_space()
        with self._removal(connection):
            has_room = self._room.make_room_for(connection, self.now_ms(utc_ms), owner)
        if not has_room:
            raise FactsFull(
                "end some facts: there is no room for another, and none of yours has ended that could make some"
            )


def time_ordered_id(at_ms: int, random_bits: Callable[[int], int]) -> UUID:
    """Return a UUID of version 7 (RFC 9562, section 5.7): ids that follow one another cost an index fewer pages."""
    number = (at_ms & (1 << 48) - 1) << 80 | random_bits(80)
    number = number & ~(0xF << 76) | UUID_VERSION << 76
    return UUID(int=number & ~(0b11 << 62) | 0b10 << 62)


async def open_fact_store(
    directory: Path,
    *,
    limits: FactLimits,
    random_bits: Callable[[int], int],
    worker: Worker,
    disk: Disk,
    is_broken: bool = False,
    may_index: bool = True,
) -> tuple[FactStore, Path | None]:
    """Open the store in ``directory``; return it, and the path of an unreadable one that was quarantined.

    Args:
        directory: Contains `facts.db`.
        limits: How many facts are kept.
        random_bits: Returns so many random bits, for ids.
        worker: Where it works.
        disk: Where durable operations are announced.
        is_broken: Quarantine the present file: it was found unreadable while in use.
        may_index: Use FTS5 where SQLite has it.

    Raises:
        StorageFull: No space to make the file.
        Corrupt: Even a new file cannot be made.
    """

    async def load(database: Database) -> FactStore:
        def read(connection: sqlite3.Connection) -> FactStore:
            has_index = may_index and search.has_fts5(connection)
            tables = FactTables(
                connection,
                database,
                new_id=lambda at_ms: time_ordered_id(at_ms, random_bits),
                has_index=has_index,
            )
            room = Retention(database, disk=disk, limits=limits, has_index=has_index)
            return FactStore(database, tables, room, limits)

        return await database.run(read)

    return await open_store(
        directory / FILE_NAME,
        schema=lambda: statements.SCHEMA,
        version=statements.SCHEMA_VERSION,
        worker=worker,
        disk=disk,
        load=load,
        is_broken=is_broken,
    )
