"""Blobs of readings: their encoding, how far each has been delivered, and which to give up first. Pure.

A blob holds the readings of one commit: deflated JSON of three columns (series numbers, milliseconds since the first
reading, values). JSON has the shortest decimal text that gives the same double back, so every finite value survives.
A value that its sensor rounds to two decimals takes two to four bytes after deflation, against eight as a double
(docs/performance.md, "Telemetry and outbox").

When space runs out, old readings lose resolution before any is lost altogether. In the older half of the backlog every
second reading of a sensor is removed, then every second of the rest, down to one of `2**DOWNSAMPLING_LEVEL_MAX`. After
that, the oldest blobs are dropped.
"""

import zlib
from collections.abc import Iterable, Sequence

import msgspec

from agent.errors import Corrupt
from agent.foundation.lenient_json import DECODE_ERRORS
from agent.telemetry.outbox.protocol import Lane, PendingReading

READINGS_MAX = 100
"""Readings in one blob: as many as a batch may hold, so that a crash makes the hub send little twice."""

BLOB_BYTES_MAX = 64 * 1024
"""More than 100 readings can take when inflated (about 50 bytes each at the very worst)."""

DOWNSAMPLING_LEVEL_MAX = 3
"""At least one reading of eight is kept: an interval of one minute becomes eight minutes."""

GROUP_MAX = 8
"""Blobs downsampled together: a blob often holds one reading of each sensor, so halving needs neighbours."""

_COMPRESSION_LEVEL = 1
"""Level 6 saves 8 % more bytes and takes twice the time."""


class Columns(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The content of a blob; the three lists have the same length.

    Attributes:
        series: Numbers that the outbox gave to (device, kind).
        offset_ms: Milliseconds after the blob's first instant; may be negative, since reports may come late.
        values: As measured.
    """

    series: list[int]
    offset_ms: list[int]
    values: list[float]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Columns).decode


def encode(series: Sequence[int], offset_ms: Sequence[int], values: Sequence[float]) -> bytes:
    """Return the blob of three columns of equal length."""
    return zlib.compress(_encode((series, offset_ms, values)), _COMPRESSION_LEVEL)


def decode(blob: bytes, *, readings: int) -> Columns:
    """Return the columns of a blob with a known number of readings.

    Raises:
        Corrupt: `encode` did not make these bytes of so many readings.
    """
    try:
        inflater = zlib.decompressobj()
        columns = _decode(inflater.decompress(blob, BLOB_BYTES_MAX))
    except (zlib.error, *DECODE_ERRORS) as error:
        raise Corrupt(f"a stored blob of {len(blob)} bytes cannot be read ({error})") from error
    is_whole = inflater.eof and not inflater.unused_data
    if not is_whole or not len(columns.series) == len(columns.offset_ms) == len(columns.values) == readings:
        raise Corrupt(f"a stored blob of {len(blob)} bytes does not hold {readings} readings")
    return columns


class DeliveryProgress:
    """How far the uplink has claimed and settled each blob, and where each lane stands. Kept in memory only.

    A crash forgets it: what was not removed from the file by then is sent again.

    Attributes:
        finished: Blobs of which every reading is settled and that are still in the file, oldest settlement first.
    """

    def __init__(self, last_seq: int) -> None:
        """Start with nothing claimed: all blobs up to ``last_seq`` are backlog."""
        self._claimed: dict[int, int] = {}
        self._settled: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._cursors = {Lane.FRESH: last_seq, Lane.BACKLOG: 0}
        self._backlog_end = last_seq
        self.finished: list[int] = []

    @property
    def settled_readings(self) -> int:
        """Settled readings of blobs that are still in the file."""
        return sum(self._settled.values())

    def is_claimed(self, seq: int) -> bool:
        """Tell whether some of a blob's readings have been claimed."""
        return seq in self._claimed

    def is_finished(self, seq: int) -> bool:
        """Tell whether every reading of a blob that is still in the file has been settled."""
        return seq in self._sizes and self._settled.get(seq) == self._sizes[seq]

    def lane_range(self, lane: Lane, last_seq: int) -> tuple[int, int]:
        """Return the blobs that a lane has not claimed whole: those after the first number, up to the second."""
        return self._cursors[lane], last_seq if lane is Lane.FRESH else self._backlog_end

    def claimed(self, seq: int) -> int:
        """Return how many of a blob's readings have been claimed."""
        return self._claimed.get(seq, 0)

    def record_claim(self, seq: int, *, claimed: int, readings: int) -> None:
        """Record that ``claimed`` readings of a blob of ``readings`` have been claimed by now."""
        self._claimed[seq] = claimed
        self._sizes[seq] = readings

    def move_cursor(self, lane: Lane, seq: int) -> None:
        """Record that a lane has claimed everything up to a blob."""
        self._cursors[lane] = seq

    def settle(self, items: Sequence[PendingReading]) -> None:
        """Record accepted readings; a blob whose last reading is settled is finished."""
        for item in items:
            seq = item.seq
            settled = self._settled.get(seq, 0) + 1
            self._settled[seq] = settled
            if settled == self._sizes[seq]:
                self.finished.append(seq)

    def forget(self, finished: Sequence[int]) -> None:
        """Forget the first finished blobs, once the commit that removed them is durable."""
        for seq in finished:
            del self._claimed[seq], self._settled[seq], self._sizes[seq]
        del self.finished[: len(finished)]

    def close_fresh_lane(self, last_seq: int) -> None:
        """Make every blob up to ``last_seq`` backlog."""
        self._backlog_end = self._cursors[Lane.FRESH] = last_seq

    def restart_backlog(self, last_seq: int) -> None:
        """Make every blob backlog and search it from the start: readings in any of them may have become sendable."""
        self.close_fresh_lane(last_seq)
        self._cursors[Lane.BACKLOG] = 0


class BlobSummary(msgspec.Struct, frozen=True):
    """A stored blob without its content.

    Attributes:
        seq: Its number.
        boot: The number of its boot.
        waiting_device: The number of the unregistered device that it waits for; 0 for none.
        readings: How many it holds.
        size_bytes: Of its encoding.
        level: How often it has been downsampled.
    """

    seq: int
    boot: int
    waiting_device: int
    readings: int
    size_bytes: int
    level: int


def groups_to_downsample(summaries: Iterable[BlobSummary], *, excess_bytes: int) -> list[list[BlobSummary]]:
    """Return runs of neighbouring blobs to downsample, oldest first, that together free about ``excess_bytes``.

    Blobs of one run share boot, waiting device and level. A run has at least two blobs: a lone blob of one reading per
    sensor would free nothing.

    Args:
        summaries: Candidates, in the order of their numbers.
        excess_bytes: How much has to be freed.
    """
    groups: list[list[BlobSummary]] = []
    freed_bytes = 0.0
    run: list[BlobSummary] = []
    for summary in summaries:
        if freed_bytes >= excess_bytes:
            return groups
        if run and (len(run) == GROUP_MAX or not _are_alike(run[-1], summary)):
            run = []
        run.append(summary)
        if len(run) == 2:  # noqa: PLR2004 - the second makes the run worth downsampling
            groups.append(run)
            freed_bytes += run[0].size_bytes / 2
        if len(run) > 1:
            freed_bytes += summary.size_bytes / 2
    return groups


def _are_alike(one: BlobSummary, other: BlobSummary) -> bool:
    return (one.boot, one.waiting_device, one.level) == (other.boot, other.waiting_device, other.level)


def blobs_to_drop(summaries: Iterable[BlobSummary], *, excess_bytes: int) -> list[BlobSummary]:
    """Return the oldest blobs that together free ``excess_bytes``."""
    chosen: list[BlobSummary] = []
    freed_bytes = 0
    for summary in summaries:
        if freed_bytes >= excess_bytes:
            break
        chosen.append(summary)
        freed_bytes += summary.size_bytes
    return chosen


def every_second(series: Sequence[int]) -> list[bool]:
    """Tell for each reading, given its series, whether it is kept: the first, third, ... of each series."""
    keeps: dict[int, bool] = {}
    kept = []
    for number in series:
        keeps[number] = not keeps.get(number, False)
        kept.append(keeps[number])
    return kept
