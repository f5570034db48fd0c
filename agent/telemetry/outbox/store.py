"""The outbox on SQLite: one compact blob per commit, removed lazily, bounded in bytes and by the free disk.

Owns the file `outbox.db`. All state that the methods change belongs to the database's worker: each public method is one
function run there, so they never interleave. Must never give up a reading without recording a gap or a dead letter.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.errors import Corrupt
from agent.foundation.database import PAGE_BYTES, Database, open_store
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.telemetry.outbox import blobs, high_water_mark, lookup_tables, retention
from agent.telemetry.outbox.anchors import UtcAnchor
from agent.telemetry.outbox.high_water_mark import FILE_NAME as TALLY_NAME
from agent.telemetry.outbox.high_water_mark import HighWaterMarkFile
from agent.telemetry.outbox.protocol import DeadLetter, Gap, GapCause, Lane, LostReadings, OutboxStats, PendingReading
from hal.interface import HUB, Reading

FILE_NAME = "outbox.db"
SCHEMA_VERSION = 1

SETTLED_BLOBS_MAX = 8
"""Accepted blobs that may wait for their removal: what a crash makes us send twice. Removing rides on the next commit,
so it costs no fsync of its own."""

RECLAIM_SHARE = 0.05
"""A full outbox frees this share of its bytes at once, so that making room is rare."""

BLOB_OVERHEAD_BYTES = 64
"""What a row of SQLite needs beside its blob, generously."""

SHRINK_BYTES_MIN = 1024 * 1024
"""An empty outbox whose file is larger than this gives the room back to the disk."""

SCHEMA = (
    lookup_tables.SCHEMA
    + retention.SCHEMA
    + """
CREATE TABLE blobs (seq INTEGER PRIMARY KEY, boot INTEGER NOT NULL, hold INTEGER NOT NULL, readings INTEGER NOT NULL,
                    first_ms INTEGER NOT NULL, thinned INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE dead_letters (device TEXT NOT NULL, kind TEXT NOT NULL, utc_ms INTEGER NOT NULL, value REAL NOT NULL,
                           reason TEXT NOT NULL, PRIMARY KEY (device, kind, utc_ms));
"""
)

_NO_DEVICE = 0

T = TypeVar("T")


class OutboxLimits(msgspec.Struct, frozen=True):
    """How large the outbox may grow.

    Attributes:
        used_bytes_max: Room for readings in the file.
        disk_free_bytes_min: Room that is left to others on the disk.
        dead_letters_max: The oldest go first.
        gaps_max: The oldest go first; what they counted stays in the totals.
    """

    used_bytes_max: int
    disk_free_bytes_min: int
    dead_letters_max: int
    gaps_max: int = 1000


class SqliteOutbox:
    """See `agent.telemetry.outbox.protocol.Outbox`. Made by `open_outbox`.

    Attributes:
        lost_count: Readings that earlier lives had promised and the file no longer holds, about.
    """

    def __init__(
        self, database: Database, disk: Disk, limits: OutboxLimits, boot_id: str, tally: HighWaterMarkFile | None = None
    ) -> None:
        self._tally = tally
        self.lost_count = 0
        self._database = database
        self._disk = disk
        self._limits = limits
        self._boot_id = boot_id
        self._unregistered = self._unanchored = self._pending = self._fresh = self._committed = 0
        self._downsampled = self._dropped = self._dead_letters = 0
        self._used_bytes = 0
        self._allowed_bytes = self._file_bytes_max = limits.used_bytes_max
        self._oldest_utc_ms: int | None = None
        self._has_old_history = True
        self._taken: dict[int, int] = {}
        self._settled: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._finished: list[int] = []
        self._cursors = {Lane.FRESH: 0, Lane.BACKLOG: 0}

    async def load(self) -> None:
        """Read what the file holds; all of it is backlog."""
        await self._run(self._load)

    async def append(self, readings: Sequence[Reading], *, is_registered: Callable[[str], bool]) -> None:
        """Store readings of this boot."""
        if readings:
            await self._run(lambda connection: self._append(connection, readings, is_registered))

    async def claim(self, lane: Lane, readings_max: int) -> list[PendingReading]:
        """Return the oldest unclaimed readings of a lane."""
        return await self._run(lambda connection: self._claim(connection, lane, readings_max))

    async def settle(self, items: Sequence[PendingReading]) -> None:
        """Mark readings as accepted."""
        await self._run(lambda connection: self._settle(connection, items))

    async def move_to_dead_letters(self, item: PendingReading, reason: str) -> None:
        """Move a claimed reading to the dead letters."""
        await self._run(lambda connection: self._move_to_dead_letters(connection, item, reason))

    async def anchor(self, *, now_ms: int, utc_ms: int) -> UtcAnchor | None:
        """Say that boot time ``now_ms`` is ``utc_ms``."""
        return await self._run(lambda connection: self._anchor(connection, now_ms, utc_ms))

    async def mark_registered(self, device: str) -> None:
        """Let the held readings of a device go."""
        await self._run(lambda connection: self._mark_registered(connection, device))

    async def drop_unregistered(self, device: str) -> None:
        """Give the held readings of a device up, on record."""
        await self._run(lambda connection: self._drop_unregistered(connection, device))

    async def record_gap(self, losses: Sequence[LostReadings], cause: GapCause) -> None:
        """Record readings that never made it to the disk."""
        await self._run(lambda connection: self._record_gap(connection, losses, cause))

    async def close_fresh_lane(self) -> None:
        """Make all that is not claimed backlog."""
        await self._run(lambda _: self._close_fresh_lane())

    async def maintain(self) -> None:
        """Remove what is settled; keep within the limits."""
        await self._run(self._maintain)

    async def gaps(self) -> list[Gap]:
        """Return what is missing for good."""
        return await self._run(self._list_gaps)

    async def dead_letters(self) -> list[DeadLetter]:
        """Return what the cloud refused for good."""
        return await self._run(retention.list_dead_letters)

    def stats(self) -> OutboxStats:
        """Return the present numbers."""
        return OutboxStats(
            pending=self._pending,
            fresh=self._fresh,
            unregistered=self._unregistered,
            unanchored=self._unanchored,
            used_bytes=self._used_bytes,
            oldest_utc_ms=self._oldest_utc_ms,
            committed=self._committed,
            downsampled=self._downsampled,
            dropped=self._dropped,
            dead_letters=self._dead_letters,
        )

    def utc_ms(self, at_ms: int) -> int | None:
        """Return the timestamp of a reading of this boot."""
        boot = self._registry.present_boot
        anchors = self._registry.anchors
        return anchors.utc_ms(boot, at_ms) if boot is not None and anchors.has(boot) else None

    @property
    def database(self) -> Database:
        """The file, for those who examine the hub from outside."""
        return self._database

    async def close(self) -> None:
        """Remove what is settled and close the file."""
        try:
            await self.maintain()
        finally:
            await self._database.close()

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._database.run(lambda connection: self._noted(function, connection))

    def _noted(self, function: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        found = function(connection)
        if self._tally is not None:
            self._tally.note(self._last_seq, self._pending)
        return found

    # From here on: on the worker.

    def _load(self, connection: sqlite3.Connection) -> None:
        self._registry = lookup_tables.LookupTables(connection, self._boot_id)
        counters = dict(connection.execute("SELECT name, value FROM counters").fetchall())
        self._downsampled = counters.get("thinned", 0)
        self._dropped = counters.get("dropped", 0)
        self._dead_letters = counters.get("dead_letters", 0)
        (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM blobs").fetchone()
        self._last_seq = max(newest, counters.get("removed_seq", 0))
        # An outbox of an older release has none yet; without room for one, a loss is told once too often.
        with contextlib.suppress(sqlite3.Error):
            connection.execute(retention.REMOVAL_TRIGGER)
        self._boundary = self._cursors[Lane.FRESH] = self._last_seq
        self._recount(connection)
        if self._tally is not None:
            self.lost_count = high_water_mark.lost_readings(
                self._tally.found, seq=self._last_seq, pending=self._pending
            )
            self._last_seq = max(self._last_seq, self._tally.found.seq)

    def _append(
        self, connection: sqlite3.Connection, readings: Sequence[Reading], is_registered: Callable[[str], bool]
    ) -> None:
        devices = {reading.device for reading in readings}
        unregistered = {device for device in devices if device != HUB and not is_registered(device)}
        open_readings = [r for r in readings if r.device not in unregistered] if unregistered else readings
        seq = self._last_seq
        finished = self._finished.copy() if len(self._finished) >= SETTLED_BLOBS_MAX else []
        try:
            with self._database.transaction(connection):
                boot = self._registry.boot(connection)
                seq = self._insert(connection, seq, boot, _NO_DEVICE, open_readings)
                for device in sorted(unregistered):
                    waiting_device = self._registry.device(connection, device)
                    seq = self._insert(
                        connection, seq, boot, waiting_device, [r for r in readings if r.device == device]
                    )
                retention.remove(connection, finished)
        except BaseException:
            self._registry.reload(connection)
            raise
        self._forget(finished)
        self._last_seq = seq
        self._pending += len(readings)
        self._committed += len(readings)
        self._unregistered += len(readings) - len(open_readings)
        if self._registry.anchors.has(boot):
            if self._oldest_utc_ms is None:
                self._oldest_utc_ms = self._registry.anchors.utc_ms(boot, readings[0].at_ms)
            self._fresh += len(open_readings)
        else:
            self._unanchored += len(open_readings)
        if self._used_bytes > self._allowed_bytes:
            # The readings are stored: told of a failure here, the caller would store them again. `tidy` tries again.
            with contextlib.suppress(sqlite3.Error, OSError):
                self._keep_within_limits(connection)

    def _insert(
        self, connection: sqlite3.Connection, seq: int, boot: int, waiting_device: int, readings: Sequence[Reading]
    ) -> int:
        """Store readings as blobs after ``seq``; return the last number used."""
        for start in range(0, len(readings), blobs.READINGS_MAX):
            part = readings[start : start + blobs.READINGS_MAX]
            first_ms = part[0].at_ms
            blob = blobs.encode(
                self._registry.series_of(connection, part),
                [r.at_ms - first_ms for r in part],
                [r.value for r in part],
            )
            seq += 1
            # A bound from above: looking at the file and the disk is left to `tidy` and to an outbox that seems full.
            self._used_bytes += 2 * len(blob) + BLOB_OVERHEAD_BYTES
            connection.execute(
                "INSERT INTO blobs (seq, boot, hold, readings, first_ms, thinned, data) VALUES (?, ?, ?, ?, ?, 0, ?)",
                (seq, boot, waiting_device, len(part), first_ms, blob),
            )
        return seq

    def _claim(self, connection: sqlite3.Connection, lane: Lane, readings_max: int) -> list[PendingReading]:
        until = self._last_seq if lane is Lane.FRESH else self._boundary
        rows = connection.execute(
            "SELECT seq, boot, readings, first_ms, data FROM blobs WHERE seq > ? AND seq <= ? AND hold = 0"
            " AND boot IN (SELECT boot FROM anchors) ORDER BY seq",
            (self._cursors[lane], until),
        )
        items: list[PendingReading] = []
        unreadable: list[int] = []
        for seq, boot, readings, first_ms, data in rows:
            taken = self._taken.get(seq, 0)
            more = min(readings - taken, readings_max - len(items))
            if more:
                try:
                    columns = blobs.decode(data, readings=readings)
                    items += self._items(seq, boot, first_ms, columns, taken, taken + more)
                except (Corrupt, KeyError):
                    unreadable.append(seq)
                    continue
                self._taken[seq] = taken + more
                self._sizes[seq] = readings
            if taken + more == readings:
                self._cursors[lane] = seq
            if len(items) == readings_max:
                break
        rows.close()
        if unreadable:
            # What was claimed beside them must reach the caller; they are found again at the next start.
            with contextlib.suppress(sqlite3.Error, OSError):
                self._drop_unreadable(connection, unreadable)
        if lane is Lane.FRESH:
            # Making room may have taken fresh readings too: a claim that is not full has seen the lane's end.
            self._fresh = self._fresh - len(items) if len(items) == readings_max else 0
        return items

    def _items(
        self, seq: int, boot: int, first_ms: int, columns: blobs.Columns, start: int, stop: int
    ) -> list[PendingReading]:
        names = self._registry.names
        utc_ms = self._registry.anchors.utc_ms
        return [
            PendingReading(*names[series], utc_ms(boot, first_ms + offset_ms), value, seq)
            for series, offset_ms, value in zip(
                columns.series[start:stop], columns.offset_ms[start:stop], columns.values[start:stop], strict=True
            )
        ]

    def _settle(self, connection: sqlite3.Connection, items: Sequence[PendingReading]) -> None:
        for item in items:
            seq = item.seq
            settled = self._settled.get(seq, 0) + 1
            self._settled[seq] = settled
            if settled == self._sizes[seq]:
                self._finished.append(seq)
        self._pending -= len(items)
        self._oldest_utc_ms = self._find_oldest(connection)

    def _move_to_dead_letters(self, connection: sqlite3.Connection, item: PendingReading, reason: str) -> None:
        with self._database.transaction(connection):
            connection.execute(
                "INSERT OR REPLACE INTO dead_letters (device, kind, utc_ms, value, reason) VALUES (?, ?, ?, ?, ?)",
                (item.device, item.kind.value, item.utc_ms, item.value, reason),
            )
            connection.execute(
                "DELETE FROM dead_letters WHERE rowid NOT IN"
                " (SELECT rowid FROM dead_letters ORDER BY rowid DESC LIMIT ?)",
                (self._limits.dead_letters_max,),
            )
            retention.count(connection, "dead_letters", 1)
        self._dead_letters += 1
        self._settle(connection, [item])

    def _anchor(self, connection: sqlite3.Connection, now_ms: int, utc_ms: int) -> UtcAnchor | None:
        boot = self._registry.present_boot
        anchor = (
            UtcAnchor(now_ms, utc_ms - now_ms)
            if boot is None
            else self._registry.anchors.next_segment(boot, now_ms=now_ms, utc_ms=utc_ms)
        )
        if anchor is not None:
            try:
                with self._database.transaction(connection):
                    self._registry.add_anchor(connection, anchor)
            except BaseException:
                self._registry.reload(connection)
                raise
            self._start_over(connection)
        return anchor

    def _mark_registered(self, connection: sqlite3.Connection, device: str) -> None:
        waiting_device = self._registry.known_device(device)
        if waiting_device is None:
            return
        with self._database.transaction(connection):
            changed = connection.execute("UPDATE blobs SET hold = 0 WHERE hold = ?", (waiting_device,)).rowcount
        if changed:
            self._start_over(connection)

    def _drop_unregistered(self, connection: sqlite3.Connection, device: str) -> None:
        waiting_device = self._registry.known_device(device)
        if waiting_device is not None:
            with self._database.transaction(connection):
                dropped = retention.drop_unregistered(connection, waiting_device)
            self._dropped += dropped
            self._recount(connection)

    def _record_gap(self, connection: sqlite3.Connection, losses: Sequence[LostReadings], cause: GapCause) -> None:
        lost = sum(loss.lost for loss in losses)
        try:
            with self._database.transaction(connection):
                boot = self._registry.boot(connection)
                for loss in losses:
                    series = self._registry.series(connection, loss.device, loss.kind)
                    retention.extend_gap(connection, boot, series, loss.from_ms, loss.to_ms, loss.lost, cause)
                retention.count(connection, "dropped", lost)
        except BaseException:
            self._registry.reload(connection)
            raise
        self._dropped += lost

    def _close_fresh_lane(self) -> None:
        self._boundary = self._cursors[Lane.FRESH] = self._last_seq
        self._fresh = 0

    def _start_over(self, connection: sqlite3.Connection) -> None:
        """Readings became sendable somewhere in the store: look through all of it again."""
        self._close_fresh_lane()
        self._cursors[Lane.BACKLOG] = 0
        self._recount(connection)

    def _maintain(self, connection: sqlite3.Connection) -> None:
        if finished := self._finished.copy():
            with self._database.transaction(connection):
                retention.remove(connection, finished)
            self._forget(finished)
        self._keep_within_limits(connection)
        if self._has_old_history:
            self._forget_history(connection)
            self._has_old_history = False
        (file_pages,) = connection.execute("PRAGMA page_count").fetchone()
        if self._pending == 0 and file_pages * PAGE_BYTES > max(SHRINK_BYTES_MIN, 2 * self._used_bytes):
            connection.execute("VACUUM")

    def _forget_history(self, connection: sqlite3.Connection) -> None:
        """Keep the small tables small: gaps, and boots that nothing refers to. They grow by boots, so once will do."""
        excess_gaps = retention.excess_gaps(connection, self._limits.gaps_max)
        old_boots = self._registry.old_boots(connection)
        if excess_gaps or old_boots:
            with self._database.transaction(connection):
                retention.forget_gaps(connection, excess_gaps)
                self._registry.forget(connection, old_boots)
            self._registry.reload(connection)

    def _forget(self, finished: Sequence[int]) -> None:
        """After the commit that removed them."""
        for seq in finished:
            del self._taken[seq], self._settled[seq], self._sizes[seq]
        del self._finished[: len(finished)]

    def _keep_within_limits(self, connection: sqlite3.Connection) -> None:
        self._measure(connection)
        spare_bytes = self._disk.free_bytes(self._database.path.parent) - self._limits.disk_free_bytes_min
        (file_pages,) = connection.execute("PRAGMA page_count").fetchone()
        file_bytes = file_pages * PAGE_BYTES
        # Where others have filled the disk, the file must not grow; giving up readings would not make it smaller.
        self._file_bytes_max = file_bytes + spare_bytes if spare_bytes > 0 else min(self._file_bytes_max, file_bytes)
        self._allowed_bytes = min(self._limits.used_bytes_max, self._file_bytes_max)
        if self._used_bytes > self._allowed_bytes:
            self._make_room(connection)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        target_bytes = int(self._allowed_bytes * (1 - RECLAIM_SHARE))
        with self._database.transaction(connection):
            losses = retention.reclaim_space(
                connection,
                excess_bytes=self._used_bytes - target_bytes,
                is_free=lambda seq: seq not in self._taken,
            )
        self._downsampled += losses.downsampled
        self._dropped += losses.dropped
        self._recount(connection)

    def _drop_unreadable(self, connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
        with self._database.transaction(connection):
            lost = sum(retention.drop_unreadable(connection, seq) for seq in seqs)
            retention.count(connection, "dropped", lost)
        self._dropped += lost
        self._recount(connection)

    def _recount(self, connection: sqlite3.Connection) -> None:
        """Count what is stored, after a change that is not a plain append or settlement."""
        total, unregistered, unanchored = connection.execute(
            "SELECT coalesce(sum(readings), 0), coalesce(sum(readings) FILTER (WHERE hold <> 0), 0),"
            " coalesce(sum(readings) FILTER (WHERE hold = 0 AND boot NOT IN (SELECT boot FROM anchors)), 0) FROM blobs"
        ).fetchone()
        self._pending = total - sum(self._settled.values())
        self._unregistered = unregistered
        self._unanchored = unanchored
        self._fresh = min(self._fresh, self._pending)
        self._measure(connection)

    def _measure(self, connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free_pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        self._used_bytes = (pages - free_pages) * PAGE_BYTES
        self._oldest_utc_ms = self._find_oldest(connection)

    def _find_oldest(self, connection: sqlite3.Connection) -> int | None:
        finished = set(self._finished)
        rows = connection.execute("SELECT seq, boot, first_ms FROM blobs ORDER BY seq LIMIT ?", (len(finished) + 1,))
        for seq, boot, first_ms in rows:
            if seq not in finished and self._registry.anchors.has(boot):
                return self._registry.anchors.utc_ms(boot, first_ms)
        return None

    def _list_gaps(self, connection: sqlite3.Connection) -> list[Gap]:
        rows = connection.execute("SELECT boot, series, from_ms, to_ms, lost, cause FROM gaps ORDER BY id").fetchall()
        gaps = []
        for boot, series, from_ms, to_ms, lost, cause in rows:
            device, kind = self._registry.names.get(series, (HUB, None))
            gaps.append(Gap(device, kind, self._registry.boot_id(boot), from_ms, to_ms, lost, GapCause(cause)))
        return gaps


async def open_outbox(
    directory: Path, *, boot_id: str, limits: OutboxLimits, worker: Worker, disk: Disk, is_broken: bool = False
) -> tuple[SqliteOutbox, Path | None]:
    """Open the outbox in ``directory``; return it, and where an unreadable one was put aside.

    Args:
        directory: Where `outbox.db` lies.
        boot_id: The present boot.
        limits: How large it may grow.
        worker: Where it works.
        disk: Where durable operations are announced.
        is_broken: Put the present file aside: it was found unreadable while in use.

    Raises:
        StorageFull: No room to make the file.
        Corrupt: Even a new file cannot be made.
    """

    async def load(database: Database) -> SqliteOutbox:
        tally = HighWaterMarkFile(directory / TALLY_NAME)
        outbox = SqliteOutbox(database, disk, limits, boot_id, tally)
        await outbox.load()
        return outbox

    return await open_store(
        directory / FILE_NAME,
        schema=lambda: SCHEMA,
        version=SCHEMA_VERSION,
        worker=worker,
        disk=disk,
        load=load,
        is_broken=is_broken,
    )
