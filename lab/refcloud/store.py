"""The server's storage: the protocol, a store in memory for demo, CI and simulations, and one in an SQLite file.

A store must never judge: it keeps records by key and readings by their natural key (device, sensor type, instant), and
the first value of a reading stays. The memory store is bounded by memory alone. The SQLite store blocks the event loop
while it works, which a reference server may do; two processes must never open one file. A response that went out is in
the file (WAL, synchronous=NORMAL): a killed process loses nothing, a power cut may lose the last responses.
"""

import errno
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from heapq import nsmallest
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from agent.errors import Corrupt
from lab.refcloud.contract import SensorType
from lab.refcloud.records import (
    AcceptedReading,
    CloudCommand,
    CloudCredential,
    CloudDevice,
    CloudFirmware,
    CloudRecord,
    CloudSettings,
    OtaHistory,
    ReadingTally,
    ReadingVerdict,
)

R = TypeVar("R", bound=CloudRecord)


class ReadingKey(NamedTuple):
    """The natural key of a reading; readings are listed in its order."""

    device_id: str
    sensor_type: str
    at_ms: int


class ReadingColumns(msgspec.Struct, frozen=True):
    """Readings as columns of equal length: the hot path makes no object per reading."""

    device_ids: list[str]
    sensor_types: list[SensorType]
    at_ms: list[int]
    values: list[float]


class Store(Protocol):
    """Storage. Every method is short and synchronous; a reference server may hold up its loop that long."""

    def transaction(self) -> AbstractContextManager[object]:
        """Make the writes of the `with` block one, where the storage outlives the process."""
        ...

    def get(self, kind: type[R], key: str) -> R | None:
        """Return the record with this key."""
        ...

    def put(self, record: CloudRecord) -> None:
        """Keep a record, in place of the one with the same key, where there is one."""
        ...

    def shelf(self, kind: type[R], shelf: str) -> Sequence[R]:
        """Return the records of one shelf, in the order in which they were put there."""
        ...

    def add_readings(self, columns: ReadingColumns) -> list[ReadingVerdict]:
        """Keep the new readings, and return the verdict on each reading."""
        ...

    def readings(self, after: ReadingKey | None, limit: int) -> list[AcceptedReading]:
        """Return at most `limit` readings, in the order of their keys, from the first one behind `after`."""
        ...

    def readings_count(self) -> int:
        """Return how many readings are kept."""
        ...

    def put_image(self, version: str, image: bytes) -> None:
        """Keep a firmware image."""
        ...

    def image(self, version: str, start: int, stop: int) -> bytes:
        """Return a part of a firmware image.

        Raises:
            KeyError: There is none of that version.
        """
        ...

    def close(self) -> None:
        """Close the storage. No other method may be called afterwards."""
        ...


class MemoryStore:
    """A `Store` that ends with the process."""

    def __init__(self) -> None:
        self._records: dict[type[CloudRecord], dict[str, CloudRecord]] = {}
        self._shelves: dict[tuple[type[CloudRecord], str], dict[str, CloudRecord]] = {}
        self._series: dict[tuple[str, str], dict[int, float]] = {}
        self._images: dict[str, bytes] = {}

    def transaction(self) -> AbstractContextManager[object]:
        """Do nothing: every refusal comes before the first write."""
        return nullcontext()

    def get(self, kind: type[R], key: str) -> R | None:
        """Return the record with this key."""
        found: Any = self._records.get(kind, {}).get(key)
        return found  # type: ignore[no-any-return]  # each dict holds records of its own class only

    def put(self, record: CloudRecord) -> None:
        """Keep a record and move it to its shelf."""
        kind, key, shelf = type(record), record.key, record.shelf
        by_key = self._records.setdefault(kind, {})
        old = by_key.get(key)
        if old is not None and old.shelf != shelf:
            del self._shelves[kind, old.shelf][key]
        by_key[key] = record
        self._shelves.setdefault((kind, shelf), {})[key] = record

    def shelf(self, kind: type[R], shelf: str) -> Sequence[R]:
        """Return the records of one shelf."""
        found: Any = self._shelves.get((kind, shelf), {}).values()
        return list(found)

    def add_readings(self, columns: ReadingColumns) -> list[ReadingVerdict]:
        """Keep those readings that are new."""
        stored, duplicate, conflicting = ReadingVerdict.STORED, ReadingVerdict.DUPLICATE, ReadingVerdict.CONFLICTING
        all_series = self._series
        verdicts: list[ReadingVerdict] = []
        for device_id, sensor_type, at_ms, value in zip(
            columns.device_ids, columns.sensor_types, columns.at_ms, columns.values, strict=True
        ):
            series = all_series.get((device_id, sensor_type))
            if series is None:
                series = all_series[device_id, sensor_type] = {}
            kept = series.get(at_ms)
            if kept is None:
                series[at_ms] = value
                verdicts.append(stored)
            else:
                verdicts.append(duplicate if kept == value else conflicting)
        return verdicts

    def readings(self, after: ReadingKey | None, limit: int) -> list[AcceptedReading]:
        """Return one page of readings."""
        page: list[AcceptedReading] = []
        for device_id, sensor_type in sorted(self._series):
            if after is not None and (device_id, sensor_type) < after[:2]:
                continue
            series = self._series[device_id, sensor_type]
            times = [
                at_ms
                for at_ms in series
                if after is None or (device_id, sensor_type) != after[:2] or at_ms > after.at_ms
            ]
            kind: Any = sensor_type
            page += [
                AcceptedReading(device_id=device_id, sensor_type=kind, at_ms=at_ms, value=series[at_ms])
                for at_ms in nsmallest(limit - len(page), times)
            ]
            if len(page) == limit:
                break
        return page

    def readings_count(self) -> int:
        """Return how many readings are kept."""
        return sum(map(len, self._series.values()))

    def put_image(self, version: str, image: bytes) -> None:
        """Keep a firmware image."""
        self._images[version] = image

    def image(self, version: str, start: int, stop: int) -> bytes:
        """Return a part of a firmware image."""
        return self._images[version][start:stop]

    def close(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._shelves.clear()
        self._series.clear()
        self._images.clear()


_KINDS: Mapping[type[CloudRecord], str] = MappingProxyType(
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
            OSError: It cannot be opened or made.
        """
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise OSError(errno.EIO, f"choose a file that can be written: {error}", str(path)) from error
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise Corrupt(f"use another file: {path} is no store of the reference cloud ({error})") from error
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
            raise Corrupt(f"use another file: the store has schema {version}, and this program reads {_SCHEMA_VERSION}")
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

    def put(self, record: CloudRecord) -> None:
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
