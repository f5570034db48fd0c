"""Holds back readings that were recorded on another board, until a person decides whose they are.

The table `machines` says on which machine each boot was: a card that goes from one board to another and back has boots
of both. Held are those of other machines than this one. Once a person has decided, their machine is not known.

An older release held everything up to one blob, whose number stands in `counters` under the other board. It is read and
left there, so that this release holds the same, and the older one does after a rollback.
"""

import json
import sqlite3
from collections.abc import Callable, Collection

from agent.telemetry.outbox import lookup_tables, retention
from agent.telemetry.outbox.protocol import GapCause

IsElsewhere = Callable[[str], bool]
"""Tells whether a machine, as `machines` names it, is another than this one."""

OF_HELD_BOOT = "boot IN (SELECT value FROM json_each(?))"
"""A condition on `blobs`, with the parameter `parameter`."""

_HELD_TO = "held_to "


def boots(connection: sqlite3.Connection, is_elsewhere: IsElsewhere, present: str) -> frozenset[int]:
    """Return the boots whose readings are held back; ``present`` is the name of the present one."""
    machines = lookup_tables.machines(connection)
    last = max(_older_holds(connection, is_elsewhere).values(), default=0)
    up_to_last = {boot for (boot,) in connection.execute("SELECT DISTINCT boot FROM blobs WHERE seq <= ?", (last,))}
    return frozenset(
        number
        for name, number in connection.execute("SELECT boot_id, id FROM boots").fetchall()
        if (is_elsewhere(machines[name]) if name in machines else name != present and number in up_to_last)
    )


def _older_holds(connection: sqlite3.Connection, is_elsewhere: IsElsewhere) -> dict[str, int]:
    rows = connection.execute("SELECT name, value FROM counters WHERE name LIKE ?", (f"{_HELD_TO}%",)).fetchall()
    return {name: last for name, last in rows if is_elsewhere(name.removeprefix(_HELD_TO))}


def parameter(held: Collection[int]) -> str:
    """Return the parameter of `OF_HELD_BOOT`."""
    return json.dumps(sorted(held))


def release(connection: sqlite3.Connection, held: Collection[int], is_elsewhere: IsElsewhere) -> None:
    """Hold these boots back no more, on no machine."""
    lookup_tables.forget_machines(connection, held)
    names = [(name,) for name in _older_holds(connection, is_elsewhere)]
    connection.executemany("DELETE FROM counters WHERE name = ?", names)


def discard(connection: sqlite3.Connection, held: Collection[int], is_elsewhere: IsElsewhere) -> None:
    """Remove what is held back, with one gap for each boot in its place."""
    rows = connection.execute(
        "SELECT boot, min(first_ms), max(first_ms), sum(readings) FROM blobs"  # noqa: S608 - a constant
        f" WHERE {OF_HELD_BOOT} GROUP BY boot",
        (parameter(held),),
    ).fetchall()
    for boot, from_ms, to_ms, lost in rows:
        retention.extend_gap(connection, boot, retention.UNKNOWN_SERIES, from_ms, to_ms, lost, GapCause.DROPPED)
    connection.execute(f"DELETE FROM blobs WHERE {OF_HELD_BOOT}", (parameter(held),))  # noqa: S608 - a constant
    release(connection, held, is_elsewhere)
