"""Holds back readings that were recorded on another board, until a person decides whose they are.

Everything in the outbox up to one blob is held: the hub notices another board when it starts, before it stores
anything. The number of that blob stands in the table `counters`, under the board's hash: it is set once for each board.
"""

import sqlite3

from agent.telemetry.outbox import retention
from agent.telemetry.outbox.protocol import GapCause

_NAME = "held_to "

Origin = str | None
"""The other machine on which the readings were recorded, as a hash; empty for none, `None` where that is not known."""


def held_to(connection: sqlite3.Connection) -> int:
    """Return the number of the last blob that is held back; 0 for none."""
    rows = connection.execute("SELECT value FROM counters WHERE name LIKE ?", (f"{_NAME}%",)).fetchall()
    return max((int(value) for (value,) in rows), default=0)


def is_arranged(connection: sqlite3.Connection, origin: Origin) -> bool:
    """Tell whether `arrange` has nothing to write."""
    if origin is None:
        return True
    rows = connection.execute("SELECT name FROM counters WHERE name LIKE ?", (f"{_NAME}%",)).fetchall()
    return (f"{_NAME}{origin}",) in rows if origin else not rows


def arrange(connection: sqlite3.Connection, origin: str) -> None:
    """Hold back what was recorded on another machine, once; release it where a person has decided meanwhile."""
    if origin:
        connection.execute(
            "INSERT INTO counters (name, value) VALUES (?, (SELECT coalesce(max(seq), 0) FROM blobs))",
            (f"{_NAME}{origin}",),
        )
    else:
        release(connection)


def release(connection: sqlite3.Connection) -> None:
    """Hold nothing back any more."""
    connection.execute("DELETE FROM counters WHERE name LIKE ?", (f"{_NAME}%",))


def discard(connection: sqlite3.Connection) -> None:
    """Remove what is held back, with one gap for each boot in its place."""
    last = held_to(connection)
    rows = connection.execute(
        "SELECT boot, min(first_ms), max(first_ms), sum(readings) FROM blobs WHERE seq <= ? GROUP BY boot", (last,)
    ).fetchall()
    for boot, from_ms, to_ms, lost in rows:
        retention.extend_gap(connection, boot, retention.UNKNOWN_SERIES, from_ms, to_ms, lost, GapCause.DROPPED)
    connection.execute("DELETE FROM blobs WHERE seq <= ?", (last,))
