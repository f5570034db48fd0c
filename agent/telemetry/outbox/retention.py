"""Keeps the outbox within its space, and records every reading that was given up: gaps, counters, dead letters.

Works inside the outbox's transactions, on its worker. Must never remove a reading without a gap or a dead letter in its
place, and must never touch a blob that is being sent.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from agent.errors import Corrupt
from agent.foundation.database import PAGE_BYTES
from agent.foundation.disk import Disk
from agent.telemetry.outbox import blobs
from agent.telemetry.outbox.blobs import DOWNSAMPLING_LEVEL_MAX, BlobSummary
from agent.telemetry.outbox.protocol import DeadLetter, GapCause, OutboxLimits, PendingReading
from hal.interface import SensorKind

SCHEMA = """
CREATE TABLE gaps (id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, series INTEGER NOT NULL, from_ms INTEGER NOT NULL,
                   to_ms INTEGER NOT NULL, lost INTEGER NOT NULL, cause TEXT NOT NULL);
CREATE INDEX gaps_by_series ON gaps (boot, series, cause);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

DEAD_LETTERS_SCHEMA = """
CREATE TABLE dead_letters (device TEXT NOT NULL, kind TEXT NOT NULL, utc_ms INTEGER NOT NULL, value REAL NOT NULL,
                           reason TEXT NOT NULL, PRIMARY KEY (device, kind, utc_ms));
"""

REMOVAL_TRIGGER = """
CREATE TRIGGER IF NOT EXISTS note_removed AFTER DELETE ON blobs BEGIN
    INSERT INTO counters (name, value) VALUES ('removed_seq', old.seq)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > value;
END
"""
"""Keeps the highest blob number ever given in the file, after its row is gone too: see `high_water_mark`. An older
release maintains it as well, since the trigger is part of the file."""

UNKNOWN_SERIES = 0
"""The series of a gap whose blob cannot be read."""

CANDIDATES_MAX = 4096
"""Blobs considered in one step: bounds memory for any size of outbox."""

RECLAIM_SHARE = 0.05
"""A full outbox frees this share of its bytes at once, so that reclaiming is rare."""

BLOB_OVERHEAD_BYTES = 64
"""What a row of SQLite needs beside its blob, generously."""

SHRINK_BYTES_MIN = 1024 * 1024
"""An empty outbox whose file is larger than this returns the space to the disk."""

_SUMMARY_COLUMNS = "seq, boot, hold, readings, length(data), thinned"


class ReclaimedCounts(msgspec.Struct):
    """Readings that were given up in one round."""

    downsampled: int = 0
    dropped: int = 0


class SpaceBudget:
    """How many bytes the readings take, and how many they may take.

    Attributes:
        used_bytes: Pages in use; between two measurements an upper bound.
        allowed_bytes: The configured limit, or less where the disk is nearly full.
    """

    def __init__(self, directory: Path, disk: Disk, limits: OutboxLimits) -> None:
        self._directory = directory
        self._disk = disk
        self._limits = limits
        self._file_bytes_max = limits.used_bytes_max
        self.allowed_bytes = limits.used_bytes_max
        self.used_bytes = 0

    @property
    def is_exceeded(self) -> bool:
        """Whether readings have to be given up."""
        return self.used_bytes > self.allowed_bytes

    @property
    def excess_bytes(self) -> int:
        """How much to free in one go."""
        return self.used_bytes - int(self.allowed_bytes * (1 - RECLAIM_SHARE))

    def add_blob(self, blob_bytes: int) -> None:
        """Count a new blob, as an upper bound: only `measure` and `update_allowance` look at the file and the disk."""
        self.used_bytes += 2 * blob_bytes + BLOB_OVERHEAD_BYTES

    def measure(self, connection: sqlite3.Connection) -> None:
        """Count the pages in use."""
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free_pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        self.used_bytes = (pages - free_pages) * PAGE_BYTES

    def update_allowance(self, connection: sqlite3.Connection) -> None:
        """Find out how far the file may grow on this disk."""
        spare_bytes = self._disk.free_bytes(self._directory) - self._limits.disk_free_bytes_min
        (file_pages,) = connection.execute("PRAGMA page_count").fetchone()
        file_bytes = file_pages * PAGE_BYTES
        # Where others have filled the disk, the file must not grow; giving up readings would not make it smaller.
        self._file_bytes_max = file_bytes + spare_bytes if spare_bytes > 0 else min(self._file_bytes_max, file_bytes)
        self.allowed_bytes = min(self._limits.used_bytes_max, self._file_bytes_max)

    def shrink(self, connection: sqlite3.Connection) -> None:
        """Return the space of an empty outbox to the disk, where that is worth the writes."""
        (file_pages,) = connection.execute("PRAGMA page_count").fetchone()
        if file_pages * PAGE_BYTES > max(SHRINK_BYTES_MIN, 2 * self.used_bytes):
            connection.execute("VACUUM")


def count(connection: sqlite3.Connection, name: str, more: int) -> None:
    """Add to a counter that outlives the process."""
    connection.execute(
        "INSERT INTO counters (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, more),
    )


def record_gap(
    connection: sqlite3.Connection, boot: int, lost_at_ms: Iterable[tuple[int, int]], cause: GapCause
) -> int:
    """Record lost readings, given as (series, boot time); return how many. A known gap of a series grows instead."""
    by_series: dict[int, list[int]] = defaultdict(list)
    for series, at_ms in lost_at_ms:
        by_series[series].append(at_ms)
    for series, times_ms in by_series.items():
        extend_gap(connection, boot, series, min(times_ms), max(times_ms), len(times_ms), cause)
    return sum(map(len, by_series.values()))


def extend_gap(
    connection: sqlite3.Connection, boot: int, series: int, from_ms: int, to_ms: int, lost: int, cause: GapCause
) -> None:
    """Extend the gap of a series and cause; begin one where there is none."""
    cursor = connection.execute(
        "UPDATE gaps SET from_ms = min(from_ms, ?), to_ms = max(to_ms, ?), lost = lost + ?"
        " WHERE boot = ? AND series = ? AND cause = ?",
        (from_ms, to_ms, lost, boot, series, cause.value),
    )
    if cursor.rowcount == 0:
        connection.execute(
            "INSERT INTO gaps (boot, series, from_ms, to_ms, lost, cause) VALUES (?, ?, ?, ?, ?, ?)",
            (boot, series, from_ms, to_ms, lost, cause.value),
        )


def excess_gaps(connection: sqlite3.Connection, gaps_max: int) -> int:
    """Return how many gaps are above the limit."""
    (gaps,) = connection.execute("SELECT count(*) FROM gaps").fetchone()
    return max(0, int(gaps) - gaps_max)


def remove_oldest_gaps(connection: sqlite3.Connection, number: int) -> None:
    """Remove the oldest gaps."""
    connection.execute("DELETE FROM gaps WHERE id IN (SELECT id FROM gaps ORDER BY id LIMIT ?)", (number,))


def add_dead_letter(
    connection: sqlite3.Connection, item: PendingReading, reason: str, *, dead_letters_max: int
) -> None:
    """Keep a refused reading for the technician; the oldest dead letters above the limit are removed."""
    connection.execute(
        "INSERT OR REPLACE INTO dead_letters (device, kind, utc_ms, value, reason) VALUES (?, ?, ?, ?, ?)",
        (item.device, item.kind.value, item.utc_ms, item.value, reason),
    )
    connection.execute(
        "DELETE FROM dead_letters WHERE rowid NOT IN (SELECT rowid FROM dead_letters ORDER BY rowid DESC LIMIT ?)",
        (dead_letters_max,),
    )
    count(connection, "dead_letters", 1)


def list_dead_letters(connection: sqlite3.Connection) -> list[DeadLetter]:
    """Return the dead letters, oldest first."""
    rows = connection.execute("SELECT device, kind, utc_ms, value, reason FROM dead_letters ORDER BY rowid").fetchall()
    return [DeadLetter(device, SensorKind(kind), utc_ms, value, reason) for device, kind, utc_ms, value, reason in rows]


def remove_delivered(connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Remove blobs of which the cloud has accepted every reading."""
    connection.executemany("DELETE FROM blobs WHERE seq = ?", [(seq,) for seq in seqs])


def drop_unreadable(connection: sqlite3.Connection, seq: int) -> int:
    """Remove a blob that cannot be decoded, with a gap in its place; return how many readings it held, uncounted."""
    boot, readings, first_ms = connection.execute(
        "SELECT boot, readings, first_ms FROM blobs WHERE seq = ?", (seq,)
    ).fetchone()
    extend_gap(connection, boot, UNKNOWN_SERIES, first_ms, first_ms, readings, GapCause.UNREADABLE)
    connection.execute("DELETE FROM blobs WHERE seq = ?", (seq,))
    return int(readings)


def drop_unregistered(connection: sqlite3.Connection, waiting_device: int) -> int:
    """Remove the readings of a device that will never be registered, with gaps in their place; return how many."""
    rows = connection.execute(
        f"SELECT {_SUMMARY_COLUMNS} FROM blobs WHERE hold = ? ORDER BY seq",  # noqa: S608
        (waiting_device,),
    ).fetchall()
    lost = sum(_drop(connection, BlobSummary(*row)) for row in rows)
    if lost:
        count(connection, "dropped", lost)
    return lost


def reclaim_space(
    connection: sqlite3.Connection, *, excess_bytes: int, is_free: Callable[[int], bool]
) -> ReclaimedCounts:
    """Downsample the older half of what is stored, then drop the oldest, until about ``excess_bytes`` are free.

    Args:
        connection: Inside a transaction.
        excess_bytes: How much has to be freed.
        is_free: Tells whether a blob, by its number, may be touched.
    """
    reclaimed = ReclaimedCounts()
    oldest, newest = connection.execute("SELECT min(seq), max(seq) FROM blobs").fetchone()
    if oldest is None:
        return reclaimed
    middle = (oldest + newest) // 2
    for level in range(DOWNSAMPLING_LEVEL_MAX):
        rows = connection.execute(
            f"SELECT {_SUMMARY_COLUMNS} FROM blobs WHERE thinned = ? AND seq <= ?"  # noqa: S608
            " ORDER BY boot, hold, seq LIMIT ?",
            (level, middle, CANDIDATES_MAX),
        ).fetchall()
        candidates = [BlobSummary(*row) for row in rows if is_free(row[0])]
        for group in blobs.groups_to_downsample(candidates, excess_bytes=excess_bytes):
            excess_bytes -= _downsample(connection, group, reclaimed)
        if excess_bytes <= 0:
            break
    if excess_bytes > 0:
        rows = connection.execute(
            f"SELECT {_SUMMARY_COLUMNS} FROM blobs ORDER BY seq LIMIT ?",  # noqa: S608
            (CANDIDATES_MAX,),
        ).fetchall()
        free = [BlobSummary(*row) for row in rows if is_free(row[0])]
        for summary in blobs.blobs_to_drop(free, excess_bytes=excess_bytes):
            reclaimed.dropped += _drop(connection, summary)
    count(connection, "thinned", reclaimed.downsampled)
    count(connection, "dropped", reclaimed.dropped)
    return reclaimed


def _downsample(connection: sqlite3.Connection, group: list[BlobSummary], reclaimed: ReclaimedCounts) -> int:
    """Halve a run of blobs into as few as hold the rest; add to the counts and return the bytes freed."""
    series: list[int] = []
    at_ms: list[int] = []
    values: list[float] = []
    for summary in group:
        first_ms, data = connection.execute("SELECT first_ms, data FROM blobs WHERE seq = ?", (summary.seq,)).fetchone()
        try:
            columns = blobs.decode(data, readings=summary.readings)
        except Corrupt:
            reclaimed.dropped += drop_unreadable(connection, summary.seq)
            continue
        series += columns.series
        at_ms += [first_ms + offset_ms for offset_ms in columns.offset_ms]
        values += columns.values
    keeps = blobs.every_second(series)
    lost = [(series[index], at_ms[index]) for index, is_kept in enumerate(keeps) if not is_kept]
    kept = [index for index, is_kept in enumerate(keeps) if is_kept]
    reclaimed.downsampled += record_gap(connection, group[0].boot, lost, GapCause.DOWNSAMPLED)
    connection.executemany("DELETE FROM blobs WHERE seq = ?", [(summary.seq,) for summary in group])
    size_bytes = 0
    for place, start in enumerate(range(0, len(kept), blobs.READINGS_MAX)):
        part = kept[start : start + blobs.READINGS_MAX]
        first_ms = at_ms[part[0]]
        blob = blobs.encode([series[i] for i in part], [at_ms[i] - first_ms for i in part], [values[i] for i in part])
        size_bytes += len(blob)
        # Fewer blobs come out than went in, so the run's own numbers suffice and the order stays.
        connection.execute(
            "INSERT INTO blobs (seq, boot, hold, readings, first_ms, thinned, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (group[place].seq, group[0].boot, group[0].waiting_device, len(part), first_ms, group[0].level + 1, blob),
        )
    return sum(summary.size_bytes for summary in group) - size_bytes


def _drop(connection: sqlite3.Connection, summary: BlobSummary) -> int:
    first_ms, data = connection.execute("SELECT first_ms, data FROM blobs WHERE seq = ?", (summary.seq,)).fetchone()
    try:
        columns = blobs.decode(data, readings=summary.readings)
    except Corrupt:
        return drop_unreadable(connection, summary.seq)
    gone = zip(columns.series, (first_ms + offset_ms for offset_ms in columns.offset_ms), strict=True)
    lost = record_gap(connection, summary.boot, gone, GapCause.DROPPED)
    connection.execute("DELETE FROM blobs WHERE seq = ?", (summary.seq,))
    return lost
