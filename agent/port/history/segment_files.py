"""The files of the history: a ring of segments in the state directory, the oldest of which makes room.

A block is written behind the others into a file that grows in steps, so most writes cost the card one page and no entry
in the journal of its file system (half of what SQLite writes: docs/experiments/storage.md). Bounded by size, and by
rows, which are a time: what was recorded while a boot did not know the time is bounded too. All methods block: call
them on a worker.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.disk import Disk
from agent.local.queries import HISTORY_DAYS
from agent.port.history.blocks import HistoryBlock, decode, encode

ROWS_A_DAY = 1440
SEGMENT_ROWS_MAX = ROWS_A_DAY // 2
SEGMENTS_MAX = 2 * HISTORY_DAYS + 1
"""Seven days in whole segments, and the one that is being filled."""

SEGMENT_BYTES_MAX = 256 * 1024
"""Half a day of 256 channels that all change takes less. All segments together: 3.75 MiB."""

STEP_BYTES = 32 * 1024
"""A segment grows by this: between a quarter of an hour and a day of blocks."""

WRITE_BYTES_MAX = 64 * 1024
"""Of several blocks that are written at once, after a disk that refused."""

SEGMENT_READ_BYTES_MAX = 2 * SEGMENT_BYTES_MAX

_NAME = re.compile(r"history-(\d{8})\.seg")


class HistorySegments:
    """The segments of one state directory.

    Attributes:
        problem: What was wrong with the files when they were last read; empty where nothing was.
    """

    def __init__(self, directory: Path, disk: Disk) -> None:
        """Read and write nothing yet.

        Args:
            directory: The state directory: a factory reset removes the files of it.
            disk: Reads and writes.
        """
        self._directory = directory
        self._disk = disk
        self._current: int | None = None
        self._rows = 0
        self._end_bytes = 0
        self._leftover_bytes = 0
        self.problem = ""

    def append(self, blocks: Sequence[HistoryBlock]) -> int:
        """Add the first blocks in one write, durably; return how many: at least one, and what fits a write.

        Raises:
            StorageFull: The disk refuses; nothing is lost but these blocks.
        """
        data, rows, count = b"", 0, 0
        for block in blocks:
            frame = encode(block)
            if data and len(data) + len(frame) > WRITE_BYTES_MAX:
                break
            data, rows, count = data + frame, rows + block.rows, count + 1
        try:
            self._write(data, rows)
        except OSError as error:
            self._current = None
            raise StorageFull(f"the disk refused the history ({error.strerror}); check the disk") from error
        except StorageFull:
            self._current = None
            raise
        return count

    def _write(self, data: bytes, rows: int) -> None:
        path = self._path(self._segment_for(rows, len(data)))
        # What a write that was cut short has left behind is overwritten.
        padded = data + bytes(max(0, self._leftover_bytes - len(data)))
        try:
            self._disk.write_at(path, self._end_bytes, padded, step_bytes=STEP_BYTES)
        except Corrupt:
            self._disk.quarantine(path)
            self._rows = self._end_bytes = 0
            self._disk.write_at(path, 0, data, step_bytes=STEP_BYTES)
        self._rows += rows
        self._end_bytes += len(data)
        self._leftover_bytes = 0

    def read(self, number: int) -> Iterator[HistoryBlock]:
        """Yield the readable blocks of one segment, the oldest first; what is damaged is left out and reported."""
        for block, _ in decode(self._content(number)):
            if block is None:
                self.problem = f"a part of the history is damaged: {self._path(number).name}"
            else:
                yield block

    def numbers(self) -> list[int]:
        """Return the numbers of the segments, the oldest first."""
        found = []
        with contextlib.suppress(OSError):
            found = [int(match[1]) for each in self._directory.iterdir() if (match := _NAME.fullmatch(each.name))]
        return sorted(found)

    def remove_all(self) -> None:
        """Remove the history.

        Raises:
            OSError: The disk refuses.
        """
        self._current = None
        for number in self.numbers():
            self._disk.remove(self._path(number))

    def _path(self, number: int) -> Path:
        return self._directory / f"history-{number:08d}.seg"

    def _content(self, number: int) -> bytes:
        try:
            return self._disk.read(self._path(number), bytes_max=SEGMENT_READ_BYTES_MAX) or b""
        except (Corrupt, ReadFailed) as error:
            self.problem = f"a part of the history cannot be read: {error}"
            return b""

    def _segment_for(self, rows: int, size_bytes: int) -> int:
        """Return the segment that has room for a block; the oldest segments are removed for a new one.

        Raises:
            OSError: The disk refuses.
        """
        if self._current is None:
            numbers = self.numbers()
            self._current = numbers[-1] if numbers else 1
            self._find_end(self._current)
        is_full = self._rows + rows > SEGMENT_ROWS_MAX or self._end_bytes + size_bytes > SEGMENT_BYTES_MAX
        if is_full:
            numbers = self.numbers()
            for number in numbers[: max(0, len(numbers) + 1 - SEGMENTS_MAX)]:
                self._disk.remove(self._path(number))
            self._current += 1
            self._rows = self._end_bytes = self._leftover_bytes = 0
        return self._current

    def _find_end(self, number: int) -> None:
        """Find where the next block belongs: behind the last one that can be read."""
        self._rows = self._end_bytes = 0
        content = self._content(number)
        for block, end_bytes in decode(content):
            if block is not None:
                self._rows += block.rows
                self._end_bytes = end_bytes
        self._leftover_bytes = len(content[self._end_bytes :].rstrip(b"\0"))
