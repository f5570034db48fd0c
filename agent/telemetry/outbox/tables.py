"""The outbox's tables: every operation as one synchronous function on the database's worker.

Owns the tables `blobs` and `dead_letters`, the numbers of the blobs and the counts that `stats` shows. Must never give
up a reading without recording a gap or a dead letter.
"""

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence

from agent.errors import Corrupt
from agent.foundation.database import Database
from agent.foundation.disk import Disk
from agent.telemetry.outbox import blobs, held, high_water_mark, lookup_tables, retention
from agent.telemetry.outbox.blobs import DeliveryProgress
from agent.telemetry.outbox.high_water_mark import HighWaterMarkFile
from agent.telemetry.outbox.lookup_tables import LookupTables, UtcAnchor
from agent.telemetry.outbox.protocol import (
    Gap,
    GapCause,
    Lane,
    LostReadings,
    OutboxLimits,
    OutboxStats,
    PendingReading,
)
from agent.telemetry.outbox.retention import SpaceBudget
from hal.interface import HUB, Reading

SCHEMA_VERSION = 1

SETTLED_BLOBS_MAX = 8
"""Accepted blobs that may wait for their removal: what a crash sends twice. The next commit removes them, so that
removing costs no fsync of its own."""

SCHEMA = (
    lookup_tables.SCHEMA
    + retention.SCHEMA
    + """
CREATE TABLE blobs (seq INTEGER PRIMARY KEY, boot INTEGER NOT NULL, hold INTEGER NOT NULL, readings INTEGER NOT NULL,
                    first_ms INTEGER NOT NULL, thinned INTEGER NOT NULL, data BLOB NOT NULL);
"""
    + retention.DEAD_LETTERS_SCHEMA
)

_NO_DEVICE = 0
"""`blobs.hold` of readings that wait for no registration."""


class OutboxTables:
    """The synchronous half of `SqliteOutbox`, with one method for each of its operations, so more than ten.

    All state belongs to the worker but for what was accepted: `accept` is called from outside and waits for no worker,
    and the worker takes it up with the next operation. `stats` is read from outside, and sees whole numbers.

    Attributes:
        lost_count: About how many readings earlier processes had stored and the file no longer holds.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        database: Database,
        disk: Disk,
        limits: OutboxLimits,
        boot_id: str,
        mark: HighWaterMarkFile,
        *,
        label: Callable[[], str] = lambda: "",
        is_elsewhere: held.IsElsewhere = lambda _: False,
    ) -> None:
        """Read what the file holds; all of it is backlog but what was recorded on another machine."""
        self._database = database
        self._limits = limits
        self._mark = mark
        self._space = SpaceBudget(database.path.parent, disk, limits)
        self._lookup = LookupTables(connection, boot_id, label)
        self._unregistered = self._unanchored = self._fresh = self._committed = self._held = 0
        # Pending are those stored less those accepted; the worker changes one number, the caller of `accept` the other.
        self._stored = self._settled = self._accepted = 0
        self._unsettled: deque[Sequence[PendingReading]] = deque()
        self._oldest_seq = 0
        self._oldest_utc_ms: int | None = None
        self._oldest_at_ms: int | None = None
        self._has_old_history = True
        counters = dict(connection.execute("SELECT name, value FROM counters").fetchall())
        self._downsampled = counters.get("thinned", 0)
        self._dropped = counters.get("dropped", 0)
        self._dead_letters = counters.get("dead_letters", 0)
        (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM blobs").fetchone()
        self._last_seq = max(newest, counters.get("removed_seq", 0))
        # An outbox of an older release has no trigger yet; without room for one, a loss is reported once too often.
        with contextlib.suppress(sqlite3.Error):
            connection.execute(retention.REMOVAL_TRIGGER)
        self._progress = DeliveryProgress(self._last_seq)
        self._is_elsewhere = is_elsewhere
        self._held_boots = held.boots(connection, is_elsewhere, boot_id)
        self._recount(connection)
        self.lost_count = high_water_mark.lost_readings(mark.found, seq=self._last_seq, pending=self._stored)
        self._last_seq = max(self._last_seq, mark.found.seq)

    def stats(self) -> OutboxStats:
        """Return the present numbers."""
        pending = self._stored - self._accepted
        return OutboxStats(
            pending=pending,
            fresh=self._fresh,
            unregistered=self._unregistered,
            unanchored=self._unanchored,
            used_bytes=self._space.used_bytes,
            oldest_utc_ms=self._oldest_utc_ms if pending else None,
            oldest_at_ms=self._oldest_at_ms if pending else None,
            committed=self._committed,
            downsampled=self._downsampled,
            dropped=self._dropped,
            dead_letters=self._dead_letters,
            held=self._held,
        )

    def utc_ms(self, at_ms: int) -> int | None:
        """Return the timestamp of a reading of this boot; `None` while the boot is not anchored."""
        return self._lookup.utc_ms(at_ms)

    def note_progress(self) -> None:
        """Note beside the file how far it has come: after each operation."""
        self._mark.write(self._last_seq, self._stored - self._settled)

    def accept(self, items: Sequence[PendingReading]) -> None:
        """Take note of accepted readings, on any one thread; the next operation settles them."""
        self._accepted += len(items)
        self._unsettled.append(items)

    def settle_accepted(self, connection: sqlite3.Connection) -> None:
        """Settle what was accepted since the last operation: before each operation."""
        if self._unsettled:
            while self._unsettled:
                items = self._unsettled.popleft()
                self._settled += len(items)
                self._progress.settle(items)
            self._update_oldest(connection)

    def close(self) -> None:
        """Let go of the high-water mark; nothing else may be called afterwards."""
        self._mark.close()

    def append(
        self, connection: sqlite3.Connection, readings: Sequence[Reading], is_registered: Callable[[str], bool]
    ) -> None:
        """Store readings of this boot in one commit, which also removes delivered blobs once there are several."""
        devices = {reading.device for reading in readings}
        unregistered = {device for device in devices if device != HUB and not is_registered(device)}
        sendable = [r for r in readings if r.device not in unregistered] if unregistered else readings
        seq = self._last_seq
        finished = self._progress.finished.copy() if len(self._progress.finished) >= SETTLED_BLOBS_MAX else []
        try:
            with self._database.transaction(connection):
                boot = self._lookup.boot(connection)
                seq = self._insert(connection, seq, boot, _NO_DEVICE, sendable)
                for device in sorted(unregistered):
                    number = self._lookup.device(connection, device)
                    seq = self._insert(connection, seq, boot, number, [r for r in readings if r.device == device])
                retention.remove_delivered(connection, finished)
        except BaseException:
            self._lookup.reload(connection)
            raise
        self._progress.forget(finished)
        self._last_seq = seq
        self._stored += len(readings)
        self._committed += len(readings)
        self._unregistered += len(readings) - len(sendable)
        if self._lookup.anchors.has(boot):
            if self._oldest_utc_ms is None:
                self._note_oldest(boot, readings[0].at_ms)
            self._fresh += len(sendable)
        else:
            self._unanchored += len(sendable)
        if self._space.is_exceeded:
            # The readings are stored: an error here would make the caller store them again. `maintain` tries again.
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
                self._lookup.series_of(connection, part),
                [r.at_ms - first_ms for r in part],
                [r.value for r in part],
            )
            seq += 1
            self._space.add_blob(len(blob))
            connection.execute(
                "INSERT INTO blobs (seq, boot, hold, readings, first_ms, thinned, data) VALUES (?, ?, ?, ?, ?, 0, ?)",
                (seq, boot, waiting_device, len(part), first_ms, blob),
            )
        return seq

    def claim(self, connection: sqlite3.Connection, lane: Lane, readings_max: int) -> list[PendingReading]:
        """Return the oldest unclaimed readings of a lane."""
        progress = self._progress
        after, last = progress.lane_range(lane, self._last_seq)
        rows = connection.execute(
            "SELECT seq, boot, readings, first_ms, data FROM blobs WHERE seq > ? AND seq <= ? AND hold = 0"  # noqa: S608
            f" AND boot IN (SELECT boot FROM anchors) AND NOT {held.OF_HELD_BOOT} ORDER BY seq",
            (after, last, held.parameter(self._held_boots)),
        )
        items: list[PendingReading] = []
        unreadable: list[int] = []
        for seq, boot, readings, first_ms, data in rows:
            claimed = progress.claimed(seq)
            more = min(readings - claimed, readings_max - len(items))
            if more:
                try:
                    columns = blobs.decode(data, readings=readings)
                    items += self._items(seq, boot, first_ms, columns, claimed, claimed + more)
                except (Corrupt, KeyError):
                    unreadable.append(seq)
                    continue
                progress.record_claim(seq, claimed=claimed + more, readings=readings)
            if claimed + more == readings:
                progress.move_cursor(lane, seq)
            if len(items) == readings_max:
                break
        rows.close()
        if unreadable:
            # What was claimed beside them must reach the caller; they are found again at the next start.
            with contextlib.suppress(sqlite3.Error, OSError):
                self._drop_unreadable(connection, unreadable)
        if lane is Lane.FRESH:
            # Reclaiming may have taken fresh readings too: a claim that is not full has reached the lane's end.
            self._fresh = self._fresh - len(items) if len(items) == readings_max else 0
        return items

    def _items(
        self, seq: int, boot: int, first_ms: int, columns: blobs.Columns, start: int, stop: int
    ) -> list[PendingReading]:
        names = self._lookup.names
        utc_ms = self._lookup.anchors.utc_ms
        return [
            PendingReading(*names[series], utc_ms(boot, first_ms + offset_ms), value, seq)
            for series, offset_ms, value in zip(
                columns.series[start:stop], columns.offset_ms[start:stop], columns.values[start:stop], strict=True
            )
        ]

    def move_to_dead_letters(self, connection: sqlite3.Connection, item: PendingReading, reason: str) -> None:
        """Move a claimed reading to the dead letters."""
        with self._database.transaction(connection):
            retention.add_dead_letter(connection, item, reason, dead_letters_max=self._limits.dead_letters_max)
        self._dead_letters += 1
        self._stored -= 1
        self._progress.settle([item])
        self._update_oldest(connection)

    def anchor(self, connection: sqlite3.Connection, now_ms: int, utc_ms: int) -> UtcAnchor | None:
        """Anchor this boot; return the new segment where this began one."""
        boot = self._lookup.present_boot
        anchor = (
            UtcAnchor(now_ms, utc_ms - now_ms)
            if boot is None
            else self._lookup.anchors.next_segment(boot, now_ms=now_ms, utc_ms=utc_ms)
        )
        if anchor is not None:
            try:
                with self._database.transaction(connection):
                    self._lookup.add_anchor(connection, anchor)
            except BaseException:
                self._lookup.reload(connection)
                raise
            self._restart_backlog(connection)
        return anchor

    def mark_registered(self, connection: sqlite3.Connection, device: str) -> None:
        """Make the unregistered readings of a device backlog."""
        number = self._lookup.known_device(device)
        if number is None:
            return
        with self._database.transaction(connection):
            changed = connection.execute("UPDATE blobs SET hold = 0 WHERE hold = ?", (number,)).rowcount
        if changed:
            self._restart_backlog(connection)

    def drop_unregistered(self, connection: sqlite3.Connection, device: str) -> None:
        """Give up the unregistered readings of a device."""
        number = self._lookup.known_device(device)
        if number is not None:
            with self._database.transaction(connection):
                dropped = retention.drop_unregistered(connection, number)
            self._dropped += dropped
            self._recount(connection)

    def release_held(self, connection: sqlite3.Connection) -> None:
        """Make what is held back backlog."""
        if self._held_boots:
            with self._database.transaction(connection):
                held.release(connection, self._held_boots, self._is_elsewhere)
            self._hold_nothing(connection)
            self._restart_backlog(connection)

    def discard_held(self, connection: sqlite3.Connection) -> int:
        """Remove what is held back, with gaps in its place; return how many readings. Nothing new is held then."""
        discarded = self._held
        if self._held_boots:
            with self._database.transaction(connection):
                held.discard(connection, self._held_boots, self._is_elsewhere)
            self._hold_nothing(connection)
            self._recount(connection)
        return discarded

    def _hold_nothing(self, connection: sqlite3.Connection) -> None:
        self._held_boots = frozenset()
        self._lookup.reload(connection)

    def record_gap(self, connection: sqlite3.Connection, losses: Sequence[LostReadings], cause: GapCause) -> None:
        """Record readings of this boot that never reached the disk."""
        lost = sum(loss.lost for loss in losses)
        try:
            with self._database.transaction(connection):
                boot = self._lookup.boot(connection)
                for loss in losses:
                    series = self._lookup.series(connection, loss.device, loss.kind)
                    retention.extend_gap(connection, boot, series, loss.from_ms, loss.to_ms, loss.lost, cause)
                retention.count(connection, "dropped", lost)
        except BaseException:
            self._lookup.reload(connection)
            raise
        self._dropped += lost

    def close_fresh_lane(self) -> None:
        """Make everything that is not claimed backlog."""
        self._progress.close_fresh_lane(self._last_seq)
        self._fresh = 0

    def _restart_backlog(self, connection: sqlite3.Connection) -> None:
        """Make everything backlog: readings somewhere in the file became sendable."""
        self._progress.restart_backlog(self._last_seq)
        self._fresh = 0
        self._recount(connection)

    def maintain(self, connection: sqlite3.Connection) -> None:
        """Remove delivered blobs, keep within the limits, and return the space of an empty outbox to the disk."""
        if finished := self._progress.finished.copy():
            with self._database.transaction(connection):
                retention.remove_delivered(connection, finished)
            self._progress.forget(finished)
        self._keep_within_limits(connection)
        if self._has_old_history:
            self._forget_history(connection)
            self._has_old_history = False
        if self._stored == self._settled:
            self._space.shrink(connection)

    def _forget_history(self, connection: sqlite3.Connection) -> None:
        """Limit the gaps and forget boots without readings. They grow with boots, so once per process is enough."""
        excess_gaps = retention.excess_gaps(connection, self._limits.gaps_max)
        old_boots = self._lookup.old_boots(connection)
        if excess_gaps or old_boots:
            with self._database.transaction(connection):
                retention.remove_oldest_gaps(connection, excess_gaps)
                self._lookup.forget(connection, old_boots)
            self._lookup.reload(connection)

    def _keep_within_limits(self, connection: sqlite3.Connection) -> None:
        self._measure(connection)
        self._space.update_allowance(connection)
        if self._space.is_exceeded:
            with self._database.transaction(connection):
                reclaimed = retention.reclaim_space(
                    connection,
                    excess_bytes=self._space.excess_bytes,
                    is_free=lambda seq: not self._progress.is_claimed(seq),
                )
            self._downsampled += reclaimed.downsampled
            self._dropped += reclaimed.dropped
            self._recount(connection)

    def _drop_unreadable(self, connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
        with self._database.transaction(connection):
            lost = sum(retention.drop_unreadable(connection, seq) for seq in seqs)
            retention.count(connection, "dropped", lost)
        self._dropped += lost
        self._recount(connection)

    def _recount(self, connection: sqlite3.Connection) -> None:
        """Count what is stored, after a change that is neither an append nor a settlement."""
        total, self._held, unregistered, unanchored = connection.execute(
            "SELECT coalesce(sum(readings), 0), coalesce(sum(readings) FILTER (WHERE is_held), 0),"  # noqa: S608
            " coalesce(sum(readings) FILTER (WHERE NOT is_held AND hold <> 0), 0),"
            " coalesce(sum(readings) FILTER"
            " (WHERE NOT is_held AND hold = 0 AND boot NOT IN (SELECT boot FROM anchors)), 0)"
            f" FROM (SELECT readings, hold, boot, {held.OF_HELD_BOOT} AS is_held FROM blobs)",
            (held.parameter(self._held_boots),),
        ).fetchone()
        pending = total - self._progress.settled_readings
        self._stored = pending + self._settled
        self._unregistered = unregistered
        self._unanchored = unanchored
        self._fresh = min(self._fresh, pending)
        self._measure(connection)

    def _measure(self, connection: sqlite3.Connection) -> None:
        self._space.measure(connection)
        self._oldest_seq = 0
        self._find_oldest(connection)

    def _update_oldest(self, connection: sqlite3.Connection) -> None:
        """Find the oldest pending reading where that must not end what has been done, or follows: it is only shown."""
        with contextlib.suppress(sqlite3.Error):
            self._find_oldest(connection)

    def _find_oldest(self, connection: sqlite3.Connection) -> None:
        """Find the oldest pending reading with a timestamp, from the blob that had it last."""
        rows = connection.execute(
            f"SELECT seq, boot, first_ms FROM blobs WHERE seq >= ? AND NOT {held.OF_HELD_BOOT} ORDER BY seq",  # noqa: S608
            (self._oldest_seq, held.parameter(self._held_boots)),
        )
        self._oldest_utc_ms = self._oldest_at_ms = None
        for seq, boot, first_ms in rows:
            self._oldest_seq = seq
            if not self._progress.is_finished(seq) and self._lookup.anchors.has(boot):
                self._note_oldest(boot, first_ms)
                break
        rows.close()

    def _note_oldest(self, boot: int, at_ms: int) -> None:
        self._oldest_utc_ms = self._lookup.anchors.utc_ms(boot, at_ms)
        self._oldest_at_ms = at_ms if boot == self._lookup.present_boot else None

    def list_gaps(self, connection: sqlite3.Connection) -> list[Gap]:
        """Return the gaps, oldest first."""
        rows = connection.execute("SELECT boot, series, from_ms, to_ms, lost, cause FROM gaps ORDER BY id").fetchall()
        gaps = []
        for boot, series, from_ms, to_ms, lost, cause in rows:
            device, kind = self._lookup.names.get(series, (HUB, None))
            gaps.append(Gap(device, kind, self._lookup.boot_id(boot), from_ms, to_ms, lost, GapCause(cause)))
        return gaps
