"""The durable queue of deliveries: what is committed here is delivered at least once, or shown as a dead letter.

One row per event and endpoint. A row leaves when its endpoint has answered 2xx; the same id goes with every attempt.
Bounded by count and bytes for each endpoint: a full queue makes its oldest delivery a dead letter, and the oldest dead
letters make room, counted.
"""

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from agent.foundation.database import Database, open_store
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker

PENDING_MAX = 500
"""Deliveries that one endpoint may have waiting: days of a busy home's changes."""
PENDING_BYTES_MAX = 256 * 1024
"""Of their bodies, for each endpoint."""

DEAD_MAX = 200
"""Dead letters of all endpoints."""
DEAD_BYTES_MAX = 128 * 1024

BODY_BYTES_MAX = 16 * 1024
"""Of one delivery; the largest event takes 2 KiB."""

OFFERED_MAX = 1024
"""Keys that are remembered: more than the actions that the hub keeps, of zones and twins together."""

REASON_CHARACTERS_MAX = 200
FULL = "the queue of its endpoint was full"

_VERSION = 1
_SCHEMA = """
CREATE TABLE delivery (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    event TEXT NOT NULL,
    body BLOB NOT NULL,
    made_utc_ms INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    is_dead INTEGER NOT NULL DEFAULT 0,
    UNIQUE (id, endpoint)
);
CREATE INDEX delivery_of_endpoint ON delivery (is_dead, endpoint, number);
CREATE TABLE offered (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID
"""

_COLUMNS = "number, id, endpoint, event, body, made_utc_ms, attempts, reason"


class Delivery(msgspec.Struct, frozen=True):
    """One event on its way to one endpoint.

    Attributes:
        number: Its place in the queue; 0 before it has one.
        id: The same in every attempt, and for one event to every endpoint.
        endpoint: The id of the endpoint.
        event: The event's name.
        body: What is sent.
        made_utc_ms: When it was offered; `None` if the time was not known.
        attempts: How many have failed.
        reason: Why the last one failed.
    """

    number: int
    id: str
    endpoint: str
    event: str
    body: bytes
    made_utc_ms: int | None
    attempts: int = 0
    reason: str = ""


class QueueCounts(msgspec.Struct, frozen=True):
    """What the queue holds.

    Attributes:
        pending: Deliveries that wait, by endpoint.
        dead: Dead letters.
        lost: Dead letters that have made room since the file was made.
    """

    pending: dict[str, int]
    dead: int
    lost: int


class WebhookQueue:
    """The queue; made by `open_queue`. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, deliveries: Sequence[Delivery], keys: Collection[str] = ()) -> None:
        """Queue deliveries, in order. One whose id its endpoint has already is the same event: it is left out.

        Args:
            deliveries: What is queued.
            keys: Ids of deliveries whose event may be offered again after they have arrived: such a one is left out.

        Raises:
            StorageFull: Nothing is queued.
        """

        def work(connection: sqlite3.Connection) -> None:
            with self._database.transaction(connection):
                known = {key for key in keys if _is_offered(connection, key)}
                connection.executemany(
                    "INSERT OR IGNORE INTO delivery (id, endpoint, event, body, made_utc_ms) VALUES (?, ?, ?, ?, ?)",
                    [
                        (each.id, each.endpoint, each.event, each.body, each.made_utc_ms)
                        for each in deliveries
                        if each.id not in known
                    ],
                )
                _remember(connection, [key for key in keys if key not in known])
                for endpoint in dict.fromkeys(each.endpoint for each in deliveries):
                    _bound_pending(connection, endpoint)
                _bound_dead(connection)

        await self._database.run(work)

    async def heads(self) -> list[Delivery]:
        """Return the oldest waiting delivery of each endpoint."""

        def work(connection: sqlite3.Connection) -> list[Delivery]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM delivery WHERE number IN"  # noqa: S608 - our own column names
                " (SELECT min(number) FROM delivery WHERE is_dead = 0 GROUP BY endpoint) ORDER BY number"
            )
            return [Delivery(*row) for row in rows]

        return await self._database.run(work)

    async def settle(self, number: int) -> None:
        """Remove a delivery that has arrived."""
        await self._execute("DELETE FROM delivery WHERE number = ?", number)

    async def fail(self, number: int, reason: str, *, is_dead: bool) -> None:
        """Count a failed attempt; a dead letter stays until it is removed or makes room."""
        reason = reason[:REASON_CHARACTERS_MAX]
        await self._execute(
            "UPDATE delivery SET attempts = attempts + 1, reason = ?, is_dead = ? WHERE number = ?",
            reason,
            is_dead,
            number,
        )

    async def remove_endpoint(self, endpoint: str) -> None:
        """Remove everything of an endpoint."""
        await self._execute("DELETE FROM delivery WHERE endpoint = ?", endpoint)

    async def dead_letters(self, limit: int = DEAD_MAX) -> list[Delivery]:
        """Return dead letters, the newest first."""

        def work(connection: sqlite3.Connection) -> list[Delivery]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM delivery WHERE is_dead = 1 ORDER BY number DESC LIMIT ?",  # noqa: S608 - as above
                (limit,),
            )
            return [Delivery(*row) for row in rows]

        return await self._database.run(work)

    async def revive(self, endpoint: str) -> int:
        """Queue the dead letters of an endpoint again, at their old places, and return how many."""

        def work(connection: sqlite3.Connection) -> int:
            with self._database.transaction(connection):
                revived = connection.execute(
                    "UPDATE delivery SET is_dead = 0, attempts = 0 WHERE is_dead = 1 AND endpoint = ?", (endpoint,)
                ).rowcount
                _bound_pending(connection, endpoint)
                _bound_dead(connection)
            return revived

        return await self._database.run(work)

    async def counts(self) -> QueueCounts:
        """Return how much the queue holds."""

        def work(connection: sqlite3.Connection) -> QueueCounts:
            pending = connection.execute("SELECT endpoint, count(*) FROM delivery WHERE is_dead = 0 GROUP BY endpoint")
            dead = connection.execute("SELECT count(*) FROM delivery WHERE is_dead = 1").fetchone()[0]
            lost = connection.execute("SELECT value FROM counter WHERE name = 'lost'").fetchone()
            return QueueCounts(dict(pending.fetchall()), dead, lost[0] if lost else 0)

        return await self._database.run(work)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def _execute(self, statement: str, *values: object) -> None:
        def work(connection: sqlite3.Connection) -> None:
            with self._database.transaction(connection):
                connection.execute(statement, values)
                _bound_dead(connection)

        await self._database.run(work)


def _is_offered(connection: sqlite3.Connection, key: str) -> bool:
    return connection.execute("SELECT 1 FROM offered WHERE key = ?", (key,)).fetchone() is not None


def _remember(connection: sqlite3.Connection, keys: Sequence[str]) -> None:
    connection.executemany("INSERT OR IGNORE INTO offered (key) VALUES (?)", [(key,) for key in keys])
    connection.execute("DELETE FROM offered WHERE number <= (SELECT max(number) FROM offered) - ?", (OFFERED_MAX,))


def _bound_pending(connection: sqlite3.Connection, endpoint: str) -> None:
    """Make the oldest deliveries of an endpoint dead letters until the rest is within the bounds."""
    rows = connection.execute(
        "SELECT number, length(body) FROM delivery WHERE is_dead = 0 AND endpoint = ? ORDER BY number DESC", (endpoint,)
    )
    for number in _beyond(rows.fetchall(), PENDING_MAX, PENDING_BYTES_MAX):
        connection.execute("UPDATE delivery SET is_dead = 1, reason = ? WHERE number = ?", (FULL, number))


def _bound_dead(connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT number, length(body) FROM delivery WHERE is_dead = 1 ORDER BY number DESC")
    beyond = _beyond(rows.fetchall(), DEAD_MAX, DEAD_BYTES_MAX)
    connection.executemany("DELETE FROM delivery WHERE number = ?", [(number,) for number in beyond])
    if beyond:
        connection.execute(
            "INSERT INTO counter VALUES ('lost', ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (len(beyond),),
        )


def _beyond(newest_first: Sequence[tuple[int, int]], count_max: int, bytes_max: int) -> list[int]:
    """Return the numbers of the rows that do not fit, given number and size of each row."""
    beyond, used_bytes = [], 0
    for place, (number, size_bytes) in enumerate(newest_first):
        used_bytes += size_bytes
        if place >= count_max or used_bytes > bytes_max:
            beyond.append(number)
    return beyond


async def open_queue(
    path: Path, *, worker: Worker, disk: Disk, is_broken: bool = False
) -> tuple[WebhookQueue, Path | None]:
    """Open the queue, making the file where there is none.

    Args:
        path: The file.
        worker: Where SQLite works.
        disk: Where durable operations are announced.
        is_broken: Put the present file aside: it was found unreadable while in use.

    Returns:
        The queue, and where an unreadable file went.

    Raises:
        StorageFull, Corrupt: See `open_store`.
    """

    async def load(database: Database) -> WebhookQueue:
        queue = WebhookQueue(database)
        await queue.heads()
        return queue

    return await open_store(
        path, schema=lambda: _SCHEMA, version=_VERSION, worker=worker, disk=disk, load=load, is_broken=is_broken
    )
