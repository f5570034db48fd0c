"""The storage that survives a restart: one SQLite file, for `climahub cloud --db FILE`.

Holds up the event loop for as long as SQLite takes: this is a reference server, not the hub. Must never be opened by
two processes at once. What was answered is in the file (WAL, synchronous=NORMAL): a killed process loses nothing, a
power cut may lose the last answers.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType

import msgspec

from agent.errors import Corrupt
from lab.refcloud.records import (
    AcceptedReading,
    CloudCommand,
    CloudCredential,
    CloudDevice,
    CloudFirmware,
    CloudSettings,
    OtaHistory,
    ReadingTally,
    ReadingVerdict,
    StoredRecord,
)
from lab.refcloud.store import R, ReadingColumns, ReadingKey

_KINDS: Mapping[type[StoredRecord], str] = MappingProxyType(
    {
        CloudDevice: "Device",
        CloudCredential: "Credential",
        CloudSettings: "SettingsOf",
        CloudCommand: "Command",
        CloudFirmware: "Release",
        OtaHistory: "OtaHistory",
        ReadingTally: "Tally",
    }
)
"""How the file spells the kind of a record."""

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE record (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, shelf TEXT NOT NULL, body BLOB NOT NULL,
    UNIQUE (kind, key)
);
CREATE INDEX record_shelf ON record (kind, shelf, seq);
CREATE TABLE reading (
    device_id TEXT NOT NULL, sensor_type TEXT NOT NULL, at_ms INTEGER NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (device_id, sensor_type, at_ms)
) WITHOUT ROWID;
CREATE TABLE image (version TEXT PRIMARY KEY, body BLOB NOT NULL);
"""
_ADD_READING = "INSERT OR IGNORE INTO reading VALUES (?, ?, ?, ?)"
_GET_READING = "SELECT value FROM reading WHERE device_id = ? AND sensor_type = ? AND at_ms = ?"
_PUT_RECORD = """
INSERT INTO record (kind, key, shelf, body) VALUES (?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET
    seq = CASE WHEN shelf = excluded.shelf THEN seq ELSE (SELECT max(seq) + 1 FROM record) END,
    shelf = excluded.shelf, body = excluded.body
"""
_PAGE = "SELECT device_id, sensor_type, at_ms, value FROM reading"
_PAGE_ORDER = "ORDER BY device_id, sensor_type, at_ms LIMIT ?"


class SqliteStore:
    """A `Store` in one file."""

    def __init__(self, path: Path) -> None:
        """Open the file, or begin a new one.

        Raises:
            Corrupt: The file is something else, or of another version of this program.
        """
        self._connection = sqlite3.connect(path, isolation_level=None)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise Corrupt(f"{path} is no store of the reference cloud ({error}): give it another file") from error
        except Corrupt:
            self._connection.close()
            raise

    def _open(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == _SCHEMA_VERSION:
            return
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version != 0 or tables:
            raise Corrupt(f"the store has schema {version}, this program reads {_SCHEMA_VERSION}: give it another file")
        self._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")

    def transaction(self) -> AbstractContextManager[object]:
        """Make the writes of the `with` block one commit, or none when it raises."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def get(self, kind: type[R], key: str) -> R | None:
        """Return the record with this key."""
        row = self._connection.execute(
            "SELECT body FROM record WHERE kind = ? AND key = ?", (_KINDS[kind], key)
        ).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def put(self, record: StoredRecord) -> None:
        """Keep a record."""
        row = (_KINDS[type(record)], record.key, record.shelf, msgspec.json.encode(record))
        self._connection.execute(_PUT_RECORD, row)

    def shelf(self, kind: type[R], shelf: str) -> Sequence[R]:
        """Return the records of one shelf."""
        rows = self._connection.execute(
            "SELECT body FROM record WHERE kind = ? AND shelf = ? ORDER BY seq", (_KINDS[kind], shelf)
        )
        return [msgspec.json.decode(body, type=kind) for (body,) in rows]

    def add_readings(self, columns: ReadingColumns) -> list[ReadingVerdict]:
        """Keep those readings that are new."""
        execute = self._connection.execute
        verdicts: list[ReadingVerdict] = []
        for row in zip(columns.device_ids, columns.sensor_types, columns.at_ms, columns.values, strict=True):
            if execute(_ADD_READING, row).rowcount:
                verdicts.append(ReadingVerdict.STORED)
                continue
            (kept,) = execute(_GET_READING, row[:3]).fetchone()
            verdicts.append(ReadingVerdict.DUPLICATE if kept == row[3] else ReadingVerdict.CONFLICTING)
        return verdicts

    def readings(self, after: ReadingKey | None, limit: int) -> list[AcceptedReading]:
        """Return one page of readings."""
        if after is None:
            rows = self._connection.execute(f"{_PAGE} {_PAGE_ORDER}", (limit,))
        else:
            behind = "WHERE (device_id, sensor_type, at_ms) > (?, ?, ?)"
            rows = self._connection.execute(f"{_PAGE} {behind} {_PAGE_ORDER}", (*after, limit))
        return [
            AcceptedReading(device_id=device_id, sensor_type=sensor_type, at_ms=at_ms, value=value)
            for device_id, sensor_type, at_ms, value in rows
        ]

    def readings_count(self) -> int:
        """Return how many readings are kept."""
        (count,) = self._connection.execute("SELECT count(*) FROM reading").fetchone()
        return int(count)

    def put_image(self, version: str, image: bytes) -> None:
        """Keep a firmware image."""
        self._connection.execute("INSERT OR REPLACE INTO image VALUES (?, ?)", (version, image))

    def image(self, version: str, start: int, stop: int) -> bytes:
        """Return a part of a firmware image."""
        row = self._connection.execute("SELECT rowid FROM image WHERE version = ?", (version,)).fetchone()
        if row is None:
            raise KeyError(version)
        with self._connection.blobopen("image", "body", row[0], readonly=True) as blob:
            blob.seek(start)
            return blob.read(stop - start)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
