"""Collects the values of each minute until a block is full. Pure: no clock, no I/O.

Owns the bounds of what is in memory, and what a block must hold: one boot, one interval, no hole in its rows.
"""

from collections.abc import Mapping

from agent.foundation.clock import Now
from agent.port.history.blocks import CHANNEL_CHARACTERS_MAX, CHANNELS_MAX, HistoryBlock, make_block

INTERVAL_MS = 60_000
BLOCK_ROWS = 15
"""A write every quarter of an hour. A power cut costs at most as much; an orderly stop costs nothing."""

LATE_MS_MAX = INTERVAL_MS // 4
"""A row that comes so much beside its instant begins another block: the machine slept, or the clock was corrected."""


class HistoryBuffer:
    """The block that is being filled."""

    def __init__(self) -> None:
        self._boot_id = ""
        self._start_ms = 0
        self._rows = 0
        self._columns: dict[str, list[float | None]] = {}
        self._zero_utc_ms: int | None = None

    def add(self, now: Now, values: Mapping[str, float | None]) -> list[HistoryBlock]:
        """Add a row; return the blocks that it completes.

        Args:
            now: The instant of the values.
            values: By channel; channels above `CHANNELS_MAX` are left out.
        """
        done = []
        is_next = abs(now.now_ms - self._start_ms - self._rows * INTERVAL_MS) <= LATE_MS_MAX
        if self._rows and (now.boot_id != self._boot_id or not is_next):
            done += self.take()
        if not self._rows:
            self._boot_id, self._start_ms = now.boot_id, now.now_ms
        self._zero_utc_ms = None if now.utc_ms is None else now.utc_ms - now.now_ms
        for channel, value in values.items():
            column = self._columns.get(channel)
            if column is None:
                if len(self._columns) >= CHANNELS_MAX or len(channel) > CHANNEL_CHARACTERS_MAX:
                    continue
                column = self._columns[channel] = [None] * self._rows
            column.append(value)
        self._rows += 1
        for column in self._columns.values():
            if len(column) < self._rows:
                column.append(None)
        if self._rows >= BLOCK_ROWS:
            done += self.take()
        return done

    def block(self) -> HistoryBlock | None:
        """Return what is there as a block; `None` for nothing. Channels without any value are left out."""
        columns = {
            channel: column for channel, column in self._columns.items() if any(each is not None for each in column)
        }
        if not columns:
            return None
        return make_block(
            self._boot_id,
            start_ms=self._start_ms,
            interval_ms=INTERVAL_MS,
            zero_utc_ms=self._zero_utc_ms,
            columns=columns,
        )

    def take(self) -> list[HistoryBlock]:
        """Return what is there as a block, if there is anything, and begin another."""
        block = self.block()
        self._rows = 0
        self._columns = {}
        return [] if block is None else [block]
