"""Which commands there are and where each stands, on the disk before anything is done because of it.

Owns the file `commands.db`: open commands in the cloud's order, and tombstones of settled ones, by which a second
delivery is known. Decides nothing. Must never forget an open command, nor a tombstone that a delivery may still meet.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agent.commands.lifecycle import CommandEvent, CommandRecord, CommandState, transition
from agent.commands.payloads import IncomingCommand
from agent.errors import StorageFull
from agent.foundation import rfc3339
from agent.foundation.clock import Now
from agent.foundation.database import Database, open_store
from agent.foundation.disk import Disk
from agent.foundation.lenient_json import DECODE_ERRORS, NESTING_MAX, nesting_depth
from agent.foundation.worker import InlineWorker, Worker

_log = logging.getLogger(__name__)

FILE_NAME = "commands.db"
SCHEMA_VERSION = 1

MARKER_NAME = "commands.made"
"""Stands beside the file once there was one, so that a missing one is no first one."""
_MADE_SAYS = b"commands.db was made. Where it is missing, commands may have been run that nobody knows of.\n"

TOMBSTONE_MS = 48 * 3600 * 1000
"""How long a settled command is known at the least: twice the day after which the cloud forgets it."""

TOMBSTONES_MAX = 2 * 24 * 60 * 30
"""As many as the quota lets a hub acknowledge in two days (30 a minute), so the bound never cuts into them."""

RECENT_MAX = 200
"""How many a person is shown."""

JOURNAL_LOST_MESSAGE = "the hub's record of commands could not be read, so it may have been run already; send it again"
"""What the cloud is told of the commands that a rebuilt journal finds waiting."""

SCHEMA = """
CREATE TABLE commands (seq INTEGER PRIMARY KEY, command_id TEXT NOT NULL UNIQUE, is_open INTEGER NOT NULL,
                       keep_until_ms INTEGER, record TEXT NOT NULL);
CREATE INDEX open_commands ON commands (seq) WHERE is_open;
CREATE TABLE marks (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""

RECORD_UNREADABLE_MESSAGE = (
    "the hub's record of this command could not be read, so it may have been run already; send it again"
)
"""What the cloud is told of a command whose row makes no sense, while those beside it do."""

REBUILT_MARK = "INSERT INTO marks (name) VALUES ('is_rebuilt');"
"""Goes with the schema of a file in the place of one that could not be read, so that no power cut comes in between:
until the next poll, what the cloud lists may have been run before."""

_COLUMNS = "command_id, is_open, record"
_LEVELS_AROUND = 2
"""Of a record around what the cloud sent or a handler found."""

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CommandRecord).decode


class CommandJournal:
    """The commands of one hub. Made by `open_journal`.

    All methods that await may raise `StorageFull` (nothing changed) and `Corrupt` (reopen it).

    Attributes:
        replaces_missing: It takes the place of one that was there and is gone, or is empty.
        is_volatile: It is in memory only, as the disk takes nothing: a restart forgets it.
        refused_since_ms: Boot time since which the disk has refused every change; `None` while it takes them.
        deferred_count: Deliveries deferred since the start because too many commands were open; the cloud keeps them.
    """

    def __init__(self, database: Database, *, pending_commands_max: int, is_volatile: bool = False) -> None:
        self._database = database
        self.is_volatile = is_volatile
        self.refused_since_ms: int | None = None
        self._pending_commands_max = pending_commands_max
        self._open_commands: dict[str, CommandRecord] = {}
        self._is_rebuilt = False
        self._settled_ids: frozenset[str] = frozenset()
        self._lock = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []
        self.deferred_count = 0
        self.replaces_missing = False

    @property
    def database(self) -> Database:
        """The file, for those who examine the hub from outside."""
        return self._database

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after each durable change."""
        self._listeners.append(listener)

    async def load(self) -> None:
        """Read what the file holds."""
        await self._database.run(self._load)

    def open_commands(self) -> list[CommandRecord]:
        """Return the commands that are not settled, in the order in which the cloud listed them."""
        return list(self._open_commands.values())

    def get(self, command_id: str) -> CommandRecord | None:
        """Return an open command."""
        return self._open_commands.get(command_id)

    async def add(self, arrivals: Sequence[IncomingCommand], now: Now) -> int:
        """Take in what a poll brought; return how many of them are new."""
        async with self._lock:
            unknown: dict[str, IncomingCommand] = {}
            for arrival in arrivals:
                if arrival.command_id not in self._open_commands and arrival.command_id not in self._settled_ids:
                    unknown.setdefault(arrival.command_id, arrival)
            if not unknown and not self._is_rebuilt:
                return 0
            added, known_ids = await self._changed(
                lambda connection: self._add(connection, list(unknown.values()), now), now
            )
            self._is_rebuilt = False
            # A forgetful cloud lists a settled command at each poll, for a day: the file is asked once, and again
            # after a commit, which removes old tombstones.
            self._settled_ids = frozenset() if added else self._settled_ids | known_ids
            self._open_commands |= {record.command_id: record for record in added}
        if added:
            self._notify()
        return len(added)

    async def advance(
        self,
        command_id: str,
        event: CommandEvent,
        now: Now,
        *,
        error_message: str = "",
        result: Any = None,  # noqa: ANN401 (any JSON object)
    ) -> CommandRecord:
        """Let an event happen to an open command; durable on return.

        Raises:
            KeyError: No such command is open.
            ValueError: The event cannot happen to it now.
        """
        async with self._lock:
            record = transition(self._open_commands[command_id], event, now, error_message=error_message, result=result)
            await self._changed(lambda connection: self._store(connection, record, now), now)
            if record.state is CommandState.ACKED:
                del self._open_commands[command_id]
                self._settled_ids = frozenset()
            else:
                self._open_commands[command_id] = record
        self._notify()
        return record

    async def confirm(self, command_id: str, now: Now) -> CommandRecord:
        """Note that a person at the hub confirms a command; durable on return.

        Raises:
            KeyError: No such command waits to be run.
        """
        async with self._lock:
            record = self._open_commands[command_id]
            if record.state is not CommandState.RECEIVED:
                raise KeyError(command_id)
            record = msgspec.structs.replace(record, is_confirmed=True)
            await self._changed(lambda connection: self._store(connection, record, now), now)
            self._open_commands[command_id] = record
        self._notify()
        return record

    async def merge(self, records: Sequence[CommandRecord], now: Now) -> None:
        """Take over records of another journal, open ones and tombstones; durable on return.

        Of a command that both know, the other's record counts: it has gone on meanwhile.
        """
        async with self._lock:
            await self._changed(lambda connection: self._merge(connection, records, now), now)
            for record in records:
                self._open_commands.pop(record.command_id, None)
                if record.state is not CommandState.ACKED:
                    self._open_commands[record.command_id] = record
            self._settled_ids = frozenset()
        self._notify()

    async def _changed(self, function: Callable[[sqlite3.Connection], T], now: Now) -> T:
        try:
            changed = await self._database.run(function)
        except StorageFull:
            self.refused_since_ms = now.now_ms if self.refused_since_ms is None else self.refused_since_ms
            raise
        self.refused_since_ms = None
        return changed

    async def recent(self) -> list[CommandRecord]:
        """Return the newest commands, tombstones included, newest first; at most `RECENT_MAX`."""
        return await self._database.run(_listed)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()

    # From here on: on the worker.

    def _load(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM commands WHERE is_open ORDER BY seq").fetchall()  # noqa: S608
        self._open_commands = {record.command_id: record for record in map(_read, rows)}
        self._is_rebuilt = connection.execute("SELECT 1 FROM marks").fetchone() is not None

    def _add(
        self, connection: sqlite3.Connection, arrivals: Sequence[IncomingCommand], now: Now
    ) -> tuple[list[CommandRecord], set[str]]:
        known_ids = {
            each.command_id
            for each in arrivals
            if connection.execute("SELECT 1 FROM commands WHERE command_id = ?", (each.command_id,)).fetchone()
        }
        fresh = [each for each in arrivals if each.command_id not in known_ids]
        room = max(0, self._pending_commands_max - len(self._open_commands))
        self.deferred_count += len(fresh[room:])
        records = [self._received(each, now) for each in fresh[:room]]
        if not records and not self._is_rebuilt:
            return [], known_ids
        with self._database.transaction(connection):
            connection.executemany(
                "INSERT INTO commands (command_id, is_open, record) VALUES (?, 1, ?)",
                [(record.command_id, _encode(record)) for record in records],
            )
            connection.execute("DELETE FROM marks")
            _forget_old(connection, now)
        return records, known_ids

    def _merge(self, connection: sqlite3.Connection, records: Sequence[CommandRecord], now: Now) -> None:
        with self._database.transaction(connection):
            for record in records:
                is_open = record.state is not CommandState.ACKED
                keep_until_ms = None if is_open else _keep_until_ms(record, now.utc_ms)
                connection.execute(
                    "INSERT INTO commands (command_id, is_open, keep_until_ms, record) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (command_id) DO UPDATE SET is_open = excluded.is_open,"
                    " keep_until_ms = excluded.keep_until_ms, record = excluded.record",
                    (record.command_id, is_open, keep_until_ms, _encode(record)),
                )

    def _received(self, arrival: IncomingCommand, now: Now) -> CommandRecord:
        return CommandRecord(
            command_id=arrival.command_id,
            type=arrival.type,
            received_boot_id=now.boot_id,
            received_ms=now.now_ms,
            received_utc_ms=now.utc_ms,
            payload=arrival.payload,
            problem=JOURNAL_LOST_MESSAGE if self._is_rebuilt else arrival.problem,
            expires_utc_ms=arrival.expires_utc_ms,
        )

    def _store(self, connection: sqlite3.Connection, record: CommandRecord, now: Now) -> None:
        is_open = record.state is not CommandState.ACKED
        keep_until_ms = None if is_open else _keep_until_ms(record, now.utc_ms)
        with self._database.transaction(connection):
            connection.execute(
                "UPDATE commands SET is_open = ?, keep_until_ms = ?, record = ? WHERE command_id = ?",
                (is_open, keep_until_ms, _encode(record), record.command_id),
            )
            if not is_open:
                _forget_old(connection, now)


def _keep_until_ms(record: CommandRecord, utc_ms: int | None) -> int | None:
    """Return until when a tombstone is kept: never less than while the cloud may list the command."""
    if utc_ms is None:
        return None
    return min(max(utc_ms, record.expires_utc_ms or 0), rfc3339.UTC_MS_MAX) + TOMBSTONE_MS


def _forget_old(connection: sqlite3.Connection, now: Now) -> None:
    """Remove tombstones that nobody can ask for any more. Rides on a commit that is made anyway."""
    if now.utc_ms is not None:
        # Those settled while the time was not known begin to age now.
        connection.execute(
            "UPDATE commands SET keep_until_ms = ? WHERE NOT is_open AND keep_until_ms IS NULL",
            (now.utc_ms + TOMBSTONE_MS,),
        )
        connection.execute("DELETE FROM commands WHERE NOT is_open AND keep_until_ms <= ?", (now.utc_ms,))
    connection.execute(
        "DELETE FROM commands WHERE seq IN"
        " (SELECT seq FROM commands WHERE NOT is_open ORDER BY seq DESC LIMIT -1 OFFSET ?)",
        (TOMBSTONES_MAX,),
    )


def _listed(connection: sqlite3.Connection) -> list[CommandRecord]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM commands ORDER BY seq DESC LIMIT ?", (RECENT_MAX,)).fetchall()  # noqa: S608
    return [_read(row) for row in rows]


def _read(row: tuple[Any, ...]) -> CommandRecord:
    """Return the record of a row given as `_COLUMNS`; one that makes no sense, of an older release perhaps, is refused.

    Its id is known all the same, so that the cloud hears of it, and a second delivery is not run.
    """
    command_id, is_open, data = row
    try:
        data = data.encode() if isinstance(data, str) else data
        record = _decode(data)
        if record.command_id == command_id and nesting_depth(data) <= NESTING_MAX + _LEVELS_AROUND:
            return record
    except (*DECODE_ERRORS, TypeError, UnicodeEncodeError) as error:
        _log.error("%s: the record of command %s cannot be read (%s)", FILE_NAME, command_id, error)
    return CommandRecord(
        command_id=str(command_id),
        type="",
        received_boot_id="",
        received_ms=0,
        state=CommandState.RECEIVED if is_open else CommandState.ACKED,
        problem=RECORD_UNREADABLE_MESSAGE,
        error_message="" if is_open else RECORD_UNREADABLE_MESSAGE,
    )


async def open_volatile_journal(
    records: Sequence[CommandRecord], now: Now, *, pending_commands_max: int
) -> CommandJournal:
    """Return a journal in memory, for a hub whose disk takes nothing; it knows what the disk's journal knew.

    Args:
        records: Of the disk's journal, as far as it can be read, oldest first.
        now: Now.
        pending_commands_max: How many commands may be open.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(SCHEMA)
    # Nothing of it is durable: no disk is asked, and no thread has to wait for one.
    database = Database(Path(":memory:"), connection, worker=InlineWorker(), disk=Disk())
    journal = CommandJournal(database, pending_commands_max=pending_commands_max, is_volatile=True)
    await journal.merge(records, now)
    return journal


async def open_journal(
    directory: Path, *, pending_commands_max: int, worker: Worker, disk: Disk, is_broken: bool = False
) -> tuple[CommandJournal, Path | None]:
    """Open the journal in ``directory``; return it, and where an unreadable one was put aside.

    Args:
        directory: Where `commands.db` lies.
        pending_commands_max: How many commands may be open.
        worker: Where it works.
        disk: Where durable operations are announced.
        is_broken: Put the present file aside: it was found unreadable while in use.

    Raises:
        StorageFull: No room to make the file.
        Corrupt: Even a new file cannot be made.
    """
    path, made = directory / FILE_NAME, directory / MARKER_NAME
    replaces_missing = False

    def schema() -> str:
        nonlocal replaces_missing
        replaces_missing = made.exists() and not (path.is_file() and path.stat().st_size)
        is_first = not path.exists() and not made.exists() and not any(directory.glob(f"{FILE_NAME}.corrupt-*"))
        return SCHEMA if is_first else SCHEMA + REBUILT_MARK

    async def load(database: Database) -> CommandJournal:
        journal = CommandJournal(database, pending_commands_max=pending_commands_max)
        await journal.load()
        journal.replaces_missing = replaces_missing
        if not made.exists():
            with contextlib.suppress(OSError, StorageFull):
                await worker.run(lambda: disk.write(made, _MADE_SAYS))
        return journal

    return await open_store(
        path, schema=schema, version=SCHEMA_VERSION, worker=worker, disk=disk, load=load, is_broken=is_broken
    )
