"""The audit trail: who changed what on this hub, from where, with which result, and who signed in or failed to.

Owns `audit.db` in the state directory. An entry of a known caller is on the disk within a moment and survives a power
cut. The database is opened with the first entry, so that a hub that nobody touches does without it. Must never delay or
refuse a request: what the disk refuses stays in memory, bounded, and is written when it can be.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent.errors import Corrupt, StorageFull
from agent.foundation.clock import Clock, read_now
from agent.foundation.database import Database, open_store
from agent.foundation.disk import Disk
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.log import ProblemLog
from agent.foundation.worker import Worker
from agent.local.routes import Caller
from agent.port.sign_in.audit_entries import STORED_ENTRIES_MAX, AuditBuffer, AuditEntry, OpenEntry, make_entry

_log = logging.getLogger(__name__)

FILE_NAME = "audit.db"
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE audit (number INTEGER PRIMARY KEY, role TEXT NOT NULL, boot_id TEXT NOT NULL, at_ms INTEGER NOT NULL,
                    utc_ms INTEGER, entry TEXT NOT NULL);
CREATE INDEX audit_of_role ON audit (role, number);
"""

COMMIT_INTERVAL_S = 1.0
"""Between two commits at least: entries that come meanwhile share one."""
RETRY_S = 60.0
"""Before the disk is tried again after it refused."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuditEntry).decode


class NumberedEntry(msgspec.Struct, frozen=True):
    """An entry and its number; `None` where it is not on the disk yet."""

    number: int | None
    entry: AuditEntry


class Audit:
    """The trail of one hub."""

    def __init__(self, state_dir: Path, *, clock: Clock, disk: Disk, worker: Worker) -> None:
        """Open and write nothing yet.

        Args:
            state_dir: Where the file lies.
            clock: Gives entries their time.
            disk: Where durable operations are announced.
            worker: Where the database blocks.
        """
        self._path = state_dir / FILE_NAME
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._buffer = AuditBuffer()
        self._database: Database | None = None
        self._is_broken = False
        self._lock = asyncio.Lock()
        self._woken = asyncio.Event()
        self._listeners: list[Callable[[AuditEntry], None]] = []
        self._problem_log = ProblemLog(_log, "the audit trail stays in memory")

    @property
    def problem(self) -> str:
        """Why entries are in memory only; empty where they are not."""
        return self._problem_log.text

    def on_entry(self, listener: Callable[[AuditEntry], None]) -> None:
        """Have ``listener`` called with each new entry, but not with what is counted in one."""
        self._listeners.append(listener)

    def record(self, caller: Caller, action: str, target: str, result: str) -> None:
        """Keep one request that may have changed something. Returns at once; the disk follows.

        Args:
            caller: Who, and from where.
            action: The name of the route's handler, or "sign_in".
            target: The path.
            result: The HTTP status and, of a refusal, its code: "200", "409 conflict".
        """
        entry = make_entry(caller, action, target, result, read_now(self._clock))
        added = self._buffer.add(entry)
        self._woken.set()
        if added is not None:
            for listener in self._listeners:
                listener(added)

    async def run(self) -> None:
        """Write entries when they are due, until cancelled."""
        while True:
            self._woken.clear()
            due_ms = self._buffer.due_ms()
            wait_s = None if due_ms is None else max(0.0, (due_ms - self._clock.monotonic_ms()) / 1000)
            if wait_s != 0:
                try:
                    async with asyncio.timeout(wait_s):
                        await self._woken.wait()
                except TimeoutError:
                    pass
                continue
            is_written = await self.flush()
            await asyncio.sleep(COMMIT_INTERVAL_S if is_written else RETRY_S)

    async def close(self) -> None:
        """Write what is in memory and close the file, after `run` has ended."""
        await self.flush()
        if self._database is not None:
            await self._database.close()
            self._database = None

    async def flush(self) -> bool:
        """Write everything in memory; return whether the disk has it now."""
        async with self._lock:
            written = self._buffer.unwritten()
            if not written:
                return True
            try:
                await self._write(written)
            except StorageFull as error:
                self._problem_log.report(str(error))
                return False
            except Corrupt as error:
                await self._give_up(error)
                return False
        self._problem_log.clear()
        return True

    async def entries(self, *, before: int | None = None, after: int = 0, entries_max: int) -> list[NumberedEntry]:
        """Return entries, the newest first; those that the disk has refused come before the first page.

        Args:
            before: Return entries with smaller numbers only.
            after: Return entries with larger numbers only.
            entries_max: How many entries of the disk at most.
        """
        await self.flush()
        unwritten = self._buffer.unwritten() if before is None else []
        found = [NumberedEntry(None, each.entry) for each in reversed(unwritten) if each.number is None]
        try:
            async with self._lock:
                database = await self._open()
                found += await database.run(lambda connection: _select(connection, before, after, entries_max))
        except StorageFull as error:
            self._problem_log.report(str(error))
        except Corrupt as error:
            await self._give_up(error)
        return [self._with_time(each) for each in found]

    def _with_time(self, numbered: NumberedEntry) -> NumberedEntry:
        """Return an entry of this boot with its time, where that has become known since."""
        now, entry = read_now(self._clock), numbered.entry
        if entry.utc_ms is not None or now.utc_ms is None or entry.boot_id != now.boot_id:
            return numbered
        utc_ms = now.utc_ms - (now.now_ms - entry.at_ms)
        return NumberedEntry(numbered.number, msgspec.structs.replace(entry, utc_ms=utc_ms))

    async def _open(self) -> Database:
        if self._database is None:
            database, aside = await open_store(
                self._path,
                schema=lambda: SCHEMA,
                version=SCHEMA_VERSION,
                worker=self._worker,
                disk=self._disk,
                load=_same,
                is_broken=self._is_broken,
            )
            self._database, self._is_broken = database, False
            if aside is not None:
                _log.error("the audit trail could not be read; it is kept as %s and a new one is begun", aside.name)
            return database
        return self._database

    async def _give_up(self, error: Corrupt) -> None:
        """Have the file put aside when it is opened next."""
        self._problem_log.report(str(error))
        self._is_broken = True
        if self._database is not None:
            await self._database.close()
            self._database = None

    async def _write(self, written: Sequence[OpenEntry]) -> None:
        """Write entries in one commit.

        Raises:
            StorageFull, Corrupt: Nothing was written.
        """
        database = await self._open()
        now = read_now(self._clock)
        as_written = [(each.number, each.entry) for each in written]

        def write(connection: sqlite3.Connection) -> list[int]:
            with database.transaction(connection):
                numbers = [_upsert(connection, number, entry) for number, entry in as_written]
                for role in {entry.role for _, entry in as_written}:
                    connection.execute(
                        "DELETE FROM audit WHERE role = ? AND number <= (SELECT number FROM audit WHERE role = ?"
                        " ORDER BY number DESC LIMIT 1 OFFSET ?)",
                        (role.value, role.value, STORED_ENTRIES_MAX[role]),
                    )
                if now.utc_ms is not None:
                    connection.execute(
                        "UPDATE audit SET utc_ms = ? + at_ms WHERE boot_id = ? AND utc_ms IS NULL",
                        (now.utc_ms - now.now_ms, now.boot_id),
                    )
            return numbers

        numbers = await database.run(write)
        for open_entry, number, (_, entry) in zip(written, numbers, as_written, strict=True):
            open_entry.number = number
            if open_entry.entry == entry:
                open_entry.due_ms = None


async def _same(database: Database) -> Database:
    return database


def _upsert(connection: sqlite3.Connection, number: int | None, entry: AuditEntry) -> int:
    """Write one entry and return its number; one that has been deleted meanwhile gets a new one."""
    text = _encode(entry).decode()
    if number is not None:
        changed = connection.execute("UPDATE audit SET entry = ? WHERE number = ?", (text, number))
        if changed.rowcount:
            return number
    cursor = connection.execute(
        "INSERT INTO audit (role, boot_id, at_ms, utc_ms, entry) VALUES (?, ?, ?, ?, ?)",
        (entry.role.value, entry.boot_id, entry.at_ms, entry.utc_ms, text),
    )
    return int(cursor.lastrowid or 0)


def _select(connection: sqlite3.Connection, before: int | None, after: int, entries_max: int) -> list[NumberedEntry]:
    rows = connection.execute(
        "SELECT number, utc_ms, entry FROM audit WHERE number < ? AND number > ? ORDER BY number DESC LIMIT ?",
        (2**63 - 1 if before is None else before, after, entries_max),
    ).fetchall()
    found = []
    for number, utc_ms, text in rows:
        try:
            entry = _decode(text)
        except DECODE_ERRORS:
            # One row costs no other.
            continue
        found.append(NumberedEntry(number, msgspec.structs.replace(entry, utc_ms=utc_ms)))
    return found
