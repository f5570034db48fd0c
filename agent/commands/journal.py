"""The journal of commands: saves every command and every transition before anything is done because of it.

Owns the file `commands.db`: open commands in the cloud's order, and tombstones of settled ones, which identify repeated
deliveries. Must never lose an open command, nor a tombstone while the cloud may still deliver its command.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agent.commands.lifecycle import TOMBSTONE_MS, CommandEvent, CommandRecord, CommandState, keep_until_ms, transition
from agent.commands.payloads import IncomingCommand
from agent.errors import StorageFull
from agent.foundation.clock import Now
from agent.foundation.database import Database, open_store
from agent.foundation.disk import Disk
from agent.foundation.lenient_json import DECODE_ERRORS, NESTING_MAX, nesting_depth
from agent.foundation.worker import InlineWorker, Worker

_log = logging.getLogger(__name__)

FILE_NAME = "commands.db"
SCHEMA_VERSION = 1

MARKER_NAME = "commands.made"
"""Written beside the first journal: it tells a missing journal from a new hub."""
_MARKER_TEXT = b"commands.db was created. If it is missing, its commands may have been run already.\n"

TOMBSTONES_MAX = 2 * 24 * 60 * 30
"""As many acks as the quota allows in two days (30 a minute), so this limit never deletes a younger tombstone."""

RECENT_MAX = 200
"""Commands that a person is shown."""

JOURNAL_LOST_MESSAGE = "the hub's record of commands could not be read, so it may have been run already; send it again"
"""Reported for commands that are waiting when an unreadable journal was replaced."""

SCHEMA = """
CREATE TABLE commands (seq INTEGER PRIMARY KEY, command_id TEXT NOT NULL UNIQUE, is_open INTEGER NOT NULL,
                       keep_until_ms INTEGER, record TEXT NOT NULL);
CREATE INDEX open_commands ON commands (seq) WHERE is_open;
CREATE TABLE marks (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""

RECORD_UNREADABLE_MESSAGE = (
    "the hub's record of this command could not be read, so it may have been run already; send it again"
)
"""Reported for a command whose row is not readable, while other rows are."""

REBUILT_MARK = "INSERT INTO marks (name) VALUES ('is_rebuilt');"
"""Written in the same transaction as the schema of a replacement file, so that no power cut comes in between: until the
next poll, commands that the cloud lists may have been run before."""

_COLUMNS = "command_id, is_open, record"
_LEVELS_AROUND = 2
"""Levels that a record adds around a payload or result."""

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CommandRecord).decode


class CommandJournal:
    """The commands of one hub. Made by `open_journal`.

    All methods that await may raise `StorageFull` (nothing changed) and `Corrupt` (reopen it).

    Attributes:
        replaces_missing: The previous journal is missing or empty.
        is_volatile: It is in memory only, because the disk takes nothing, and lost at a restart.
        refused_since_ms: Boot time since which the disk has refused every change; `None` while it works.
        deferred_count: Deliveries deferred since the start because too many commands were open; the cloud keeps them.
        change_count: Changes since the start. Compare it to learn whether a copy of the records is still complete.
        held: Commands that another machine has received: neither run nor acknowledged before a person decides.
        has_released: Some were held and may be run now, once the journal has been opened again.
    """

    def __init__(
        self,
        database: Database,
        *,
        pending_commands_max: int,
        is_volatile: bool = False,
        machine: str = "",
        is_elsewhere: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._database = database
        self._machine = machine
        self._is_elsewhere = is_elsewhere
        self.held: list[CommandRecord] = []
        self.has_released = False
        self.is_volatile = is_volatile
        self.refused_since_ms: int | None = None
        self._pending_commands_max = pending_commands_max
        self._open_commands: dict[str, CommandRecord] = {}
        self._is_rebuilt = False
        self._settled_ids: frozenset[str] = frozenset()
        self._lock = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []
        self.deferred_count = 0
        self.change_count = 0
        self.replaces_missing = False
        self._is_retired = False

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after each durable change."""
        self._listeners.append(listener)

    async def drop_held(self) -> int:
        """Remove the commands that are held back: they were another hub's. Return how many."""
        ids = [(each.command_id,) for each in self.held]

        def drop(connection: sqlite3.Connection) -> None:
            with self._database.transaction(connection):
                connection.executemany("DELETE FROM commands WHERE command_id = ?", ids)

        if ids:
            await self._database.run(drop)
        self.held = []
        return len(ids)

    async def release_held(self, now: Now) -> None:
        """Keep the commands that are held back as if it were not known which machine has received them."""
        released = [msgspec.structs.replace(each, machine="") for each in self.held]
        if released:
            await self._write(lambda connection: self._merge(connection, released, now), now)
            self.held, self.has_released = [], True

    async def load(self) -> None:
        """Read the open commands."""
        await self._database.run(self._load)

    def open_commands(self) -> list[CommandRecord]:
        """Return the commands that are not settled, in the cloud's order."""
        return list(self._open_commands.values())

    def get(self, command_id: str) -> CommandRecord | None:
        """Return an open command; `None` for any other."""
        return self._open_commands.get(command_id)

    async def add(self, commands: Sequence[IncomingCommand], now: Now) -> int:
        """Add the commands of a poll; return how many are new."""
        async with self._lock:
            unknown: dict[str, IncomingCommand] = {}
            for command in commands:
                if command.command_id not in self._open_commands and command.command_id not in self._settled_ids:
                    unknown.setdefault(command.command_id, command)
            if not unknown and not self._is_rebuilt:
                return 0
            added, known_ids = await self._write(
                lambda connection: self._add(connection, list(unknown.values()), now), now
            )
            self._is_rebuilt = False
            # A cloud that ignores acks lists a settled command at each poll, for a day: the file is read once for it,
            # and again after a commit, which deletes old tombstones.
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
        """Apply an event to an open command; durable on return.

        Raises:
            KeyError: No such command is open.
            ValueError: The transition is not in the table.
        """
        async with self._lock:
            record = transition(self._open_commands[command_id], event, now, error_message=error_message, result=result)
            await self._write(lambda connection: self._update(connection, record, now), now)
            if record.state is CommandState.ACKED:
                del self._open_commands[command_id]
                self._settled_ids = frozenset()
            else:
                self._open_commands[command_id] = record
        self._notify()
        return record

    async def confirm(self, command_id: str, now: Now) -> CommandRecord:
        """Save that a person at the hub confirms a command; durable on return.

        Raises:
            KeyError: No such command waits to be run.
        """
        async with self._lock:
            record = self._open_commands[command_id]
            if record.state is not CommandState.RECEIVED:
                raise KeyError(command_id)
            record = msgspec.structs.replace(record, is_confirmed=True)
            await self._write(lambda connection: self._update(connection, record, now), now)
            self._open_commands[command_id] = record
        self._notify()
        return record

    async def merge(self, records: Sequence[CommandRecord], now: Now) -> None:
        """Merge the records of another journal, open ones and tombstones; durable on return.

        The other journal's record of a command replaces the own one: it is newer.
        """
        async with self._lock:
            await self._write(lambda connection: self._merge(connection, records, now), now)
            for record in records:
                self._open_commands.pop(record.command_id, None)
                if record.state is not CommandState.ACKED:
                    self._open_commands[record.command_id] = record
            self._settled_ids = frozenset()
        self._notify()

    async def retire(self, change_count: int) -> bool:
        """Refuse every further change, because another journal has the records and replaces this one.

        A change under way is waited for; later ones raise `StorageFull`.

        Args:
            change_count: That of the copied records.

        Returns:
            `False` where the records have changed since then, and nothing is refused.
        """
        async with self._lock:
            self._is_retired = self.change_count == change_count
        return self._is_retired

    async def _write(self, function: Callable[[sqlite3.Connection], T], now: Now) -> T:
        if self._is_retired:
            raise StorageFull("try again: the hub has just changed where it keeps commands")
        try:
            changed = await self._database.run(function)
        except StorageFull:
            self.refused_since_ms = now.now_ms if self.refused_since_ms is None else self.refused_since_ms
            raise
        self.refused_since_ms = None
        self.change_count += 1
        return changed

    async def recent(self) -> list[CommandRecord]:
        """Return the newest commands, tombstones included, newest first; at most `RECENT_MAX`."""
        return await self._database.run(_recent)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()

    # The methods below run on the worker.

    def _load(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM commands WHERE is_open ORDER BY seq").fetchall()  # noqa: S608
        records = [_read(row) for row in rows]
        self._open_commands = {each.command_id: each for each in records if not self._is_elsewhere(each.machine)}
        self.held = [each for each in records if each.command_id not in self._open_commands]
        self._is_rebuilt = connection.execute("SELECT 1 FROM marks").fetchone() is not None

    def _add(
        self, connection: sqlite3.Connection, commands: Sequence[IncomingCommand], now: Now
    ) -> tuple[list[CommandRecord], set[str]]:
        known_ids = {
            each.command_id
            for each in commands
            if connection.execute("SELECT 1 FROM commands WHERE command_id = ?", (each.command_id,)).fetchone()
        }
        unknown = [each for each in commands if each.command_id not in known_ids]
        free = max(0, self._pending_commands_max - len(self._open_commands))
        self.deferred_count += len(unknown[free:])
        records = [self._received(each, now) for each in unknown[:free]]
        if not records and not self._is_rebuilt:
            return [], known_ids
        with self._database.transaction(connection):
            connection.executemany(
                "INSERT INTO commands (command_id, is_open, record) VALUES (?, 1, ?)",
                [(record.command_id, _encode(record)) for record in records],
            )
            connection.execute("DELETE FROM marks")
            _delete_old_tombstones(connection, now)
        return records, known_ids

    def _merge(self, connection: sqlite3.Connection, records: Sequence[CommandRecord], now: Now) -> None:
        with self._database.transaction(connection):
            for record in records:
                is_open = record.state is not CommandState.ACKED
                kept_until_ms = None if is_open else keep_until_ms(record, now.utc_ms)
                connection.execute(
                    "INSERT INTO commands (command_id, is_open, keep_until_ms, record) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (command_id) DO UPDATE SET is_open = excluded.is_open,"
                    " keep_until_ms = excluded.keep_until_ms, record = excluded.record",
                    (record.command_id, is_open, kept_until_ms, _encode(record)),
                )

    def _received(self, command: IncomingCommand, now: Now) -> CommandRecord:
        return CommandRecord(
            command_id=command.command_id,
            type=command.type,
            received_boot_id=now.boot_id,
            received_ms=now.now_ms,
            received_utc_ms=now.utc_ms,
            payload=command.payload,
            problem=JOURNAL_LOST_MESSAGE if self._is_rebuilt else command.problem,
            expires_utc_ms=command.expires_utc_ms,
            machine=self._machine,
        )

    def _update(self, connection: sqlite3.Connection, record: CommandRecord, now: Now) -> None:
        is_open = record.state is not CommandState.ACKED
        kept_until_ms = None if is_open else keep_until_ms(record, now.utc_ms)
        with self._database.transaction(connection):
            connection.execute(
                "UPDATE commands SET is_open = ?, keep_until_ms = ?, record = ? WHERE command_id = ?",
                (is_open, kept_until_ms, _encode(record), record.command_id),
            )
            if not is_open:
                _delete_old_tombstones(connection, now)


def _delete_old_tombstones(connection: sqlite3.Connection, now: Now) -> None:
    """Delete the tombstones that are no longer needed, as part of a commit that is made anyway."""
    if now.utc_ms is not None:
        # Tombstones of commands that were settled without the time begin to age now.
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


def _recent(connection: sqlite3.Connection) -> list[CommandRecord]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM commands ORDER BY seq DESC LIMIT ?", (RECENT_MAX,)).fetchall()  # noqa: S608
    return [_read(row) for row in rows]


def _read(row: tuple[Any, ...]) -> CommandRecord:
    """Return the record of a row given as `_COLUMNS`; an unreadable one becomes a refused command.

    Its id is known anyway: the cloud gets an ack, and a repeated delivery is not run.
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
    records: Sequence[CommandRecord], now: Now, *, pending_commands_max: int, machine: str = ""
) -> CommandJournal:
    """Return a journal in memory, for a hub whose disk takes nothing.

    Args:
        records: The records of the journal on the disk, as far as they are readable, oldest first.
        now: Now.
        pending_commands_max: How many commands may be open.
        machine: This one, recorded with each command.
    """
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(SCHEMA)
    # Nothing of it is durable, so no thread has to wait for a disk.
    database = Database(Path(":memory:"), connection, worker=InlineWorker(), disk=Disk())
    journal = CommandJournal(database, pending_commands_max=pending_commands_max, is_volatile=True, machine=machine)
    await journal.merge(records, now)
    return journal


async def open_journal(
    directory: Path,
    *,
    pending_commands_max: int,
    worker: Worker,
    disk: Disk,
    is_broken: bool = False,
    machine: str = "",
    is_elsewhere: Callable[[str], bool] = lambda _: False,
) -> tuple[CommandJournal, Path | None]:
    """Open the journal in ``directory``; return it, and the new path of an unreadable one.

    Args:
        directory: Where `commands.db` is.
        pending_commands_max: How many commands may be open.
        worker: Runs what blocks.
        disk: Announces durable operations.
        is_broken: Quarantine the present file: it was found unreadable in use.
        machine: This one, recorded with each command.
        is_elsewhere: Tells whether another machine has received a command: while it is open, it is held back.

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
        journal = CommandJournal(
            database, pending_commands_max=pending_commands_max, machine=machine, is_elsewhere=is_elsewhere
        )
        await journal.load()
        journal.replaces_missing = replaces_missing
        if not made.exists():
            with contextlib.suppress(OSError, StorageFull):
                await worker.run(lambda: disk.write(made, _MARKER_TEXT))
        return journal

    return await open_store(
        path, schema=schema, version=SCHEMA_VERSION, worker=worker, disk=disk, load=load, is_broken=is_broken
    )
