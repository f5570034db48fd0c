"""Keeps the outbox within its bytes: reads what is stored, lets `thinning` decide, writes the result with its gaps.

Works inside the outbox's transactions, on its worker. Never touches a blob that is being sent.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from agent.errors import Corrupt
from agent.telemetry.outbox import blobs, downsampling
from agent.telemetry.outbox.downsampling import DOWNSAMPLING_LEVEL_MAX, BlobSummary
from agent.telemetry.outbox.protocol import DeadLetter, GapCause
from hal.interface import SensorKind

SCHEMA = """
CREATE TABLE gaps (id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, series INTEGER NOT NULL, from_ms INTEGER NOT NULL,
                   to_ms INTEGER NOT NULL, lost INTEGER NOT NULL, cause TEXT NOT NULL);
CREATE INDEX gaps_by_series ON gaps (boot, series, cause);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

UNKNOWN_SERIES = 0
"""The series of a gap whose blob cannot be read."""

CANDIDATES_MAX = 4096
"""How many blobs are looked at in one step: bounds memory with any size of outbox."""

_OF_BLOB = "seq, boot, hold, readings, length(data), thinned"

REMOVAL_TRIGGER = """
CREATE TRIGGER IF NOT EXISTS note_removed AFTER DELETE ON blobs BEGIN
    INSERT INTO counters (name, value) VALUES ('removed_seq', old.seq)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > value;
END
"""
"""With it, the file knows the highest number that it has given, also after its row is gone: see `outbox_tally`. Older
releases keep it up unknowingly."""


class ReclaimedCounts(msgspec.Struct):
    """What one round gave up."""

    downsampled: int = 0
    dropped: int = 0


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
    """Let the gap of a series and cause grow, or begin one."""
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
    """Return how many gaps there are too many."""
    (gaps,) = connection.execute("SELECT count(*) FROM gaps").fetchone()
    return max(0, int(gaps) - gaps_max)


def forget_gaps(connection: sqlite3.Connection, number: int) -> None:
    """Remove the oldest gaps."""
    connection.execute("DELETE FROM gaps WHERE id IN (SELECT id FROM gaps ORDER BY id LIMIT ?)", (number,))


def drop_unreadable(connection: sqlite3.Connection, seq: int) -> int:
    """Remove a blob that cannot be decoded, with a gap in its place; return how many readings went, to be counted."""
    boot, readings, first_ms = connection.execute(
        "SELECT boot, readings, first_ms FROM blobs WHERE seq = ?", (seq,)
    ).fetchone()
    extend_gap(connection, boot, UNKNOWN_SERIES, first_ms, first_ms, readings, GapCause.DECODE_ERRORS)
    connection.execute("DELETE FROM blobs WHERE seq = ?", (seq,))
    return int(readings)


def reclaim_space(
    connection: sqlite3.Connection, *, excess_bytes: int, is_free: Callable[[int], bool]
) -> ReclaimedCounts:
    """Thin the older half of what is stored, then drop the oldest, until about ``excess_bytes`` are free.

    Args:
        connection: Inside a transaction.
        excess_bytes: How much has to go.
        is_free: Tells whether a blob, by its number, may be touched.
    """
    losses = ReclaimedCounts()
    oldest, newest = connection.execute("SELECT min(seq), max(seq) FROM blobs").fetchone()
    if oldest is None:
        return losses
    middle = (oldest + newest) // 2
    for level in range(DOWNSAMPLING_LEVEL_MAX):
        rows = connection.execute(
            f"SELECT {_OF_BLOB} FROM blobs WHERE thinned = ? AND seq <= ? ORDER BY boot, hold, seq LIMIT ?",  # noqa: S608
            (level, middle, CANDIDATES_MAX),
        ).fetchall()
        candidates = [BlobSummary(*row) for row in rows if is_free(row[0])]
        for group in downsampling.groups_to_downsample(candidates, excess_bytes=excess_bytes):
            excess_bytes -= _downsample(connection, group, losses)
        if excess_bytes <= 0:
            break
    if excess_bytes > 0:
        rows = connection.execute(
            f"SELECT {_OF_BLOB} FROM blobs ORDER BY seq LIMIT ?",  # noqa: S608
            (CANDIDATES_MAX,),
        ).fetchall()
        free = [BlobSummary(*row) for row in rows if is_free(row[0])]
        for summary in downsampling.blobs_to_drop(free, excess_bytes=excess_bytes):
            losses.dropped += _drop(connection, summary)
    count(connection, "thinned", losses.downsampled)
    count(connection, "dropped", losses.dropped)
    return losses


def drop_unregistered(connection: sqlite3.Connection, waiting_device: int) -> int:
    """Remove what is held for a device that nobody will ever name, with gaps in its place; return how many went."""
    rows = connection.execute(f"SELECT {_OF_BLOB} FROM blobs WHERE hold = ? ORDER BY seq", (waiting_device,)).fetchall()  # noqa: S608
    lost = sum(_drop(connection, BlobSummary(*row)) for row in rows)
    if lost:
        count(connection, "dropped", lost)
    return lost


def remove(connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Remove blobs that the cloud has."""
    connection.executemany("DELETE FROM blobs WHERE seq = ?", [(seq,) for seq in seqs])


def list_dead_letters(connection: sqlite3.Connection) -> list[DeadLetter]:
    """Return what the cloud refused for good, oldest first."""
    rows = connection.execute("SELECT device, kind, utc_ms, value, reason FROM dead_letters ORDER BY rowid").fetchall()
    return [DeadLetter(device, SensorKind(kind), utc_ms, value, reason) for device, kind, utc_ms, value, reason in rows]


def _downsample(connection: sqlite3.Connection, group: list[BlobSummary], losses: ReclaimedCounts) -> int:
    """Halve a run of blobs into as few as will hold the rest; add to the losses and return the bytes freed."""
    series: list[int] = []
    at_ms: list[int] = []
    values: list[float] = []
    for summary in group:
        first_ms, data = connection.execute("SELECT first_ms, data FROM blobs WHERE seq = ?", (summary.seq,)).fetchone()
        try:
            columns = blobs.decode(data, readings=summary.readings)
        except Corrupt:
            losses.dropped += drop_unreadable(connection, summary.seq)
            continue
        series += columns.series
        at_ms += [first_ms + offset_ms for offset_ms in columns.offset_ms]
        values += columns.values
    stays = downsampling.every_second(series)
    gone = [(series[index], at_ms[index]) for index, kept in enumerate(stays) if not kept]
    kept = [index for index, stay in enumerate(stays) if stay]
    losses.downsampled += record_gap(connection, group[0].boot, gone, GapCause.DOWNSAMPLED)
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
