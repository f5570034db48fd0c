"""The history: records every channel once a minute for seven days, and answers `GET /v1/history`.

Owns when the card is written: once for each block (`history_buffer.BLOCK_ROWS`), and at an orderly stop. Must never
hold up control or readings: it reads what they have in memory, and the disk works on the worker, a segment at a time.
A lost or damaged history costs only itself.
"""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import msgspec

from agent.errors import StorageFull
from agent.foundation.clock import Clock, Now, read_now
from agent.foundation.disk import Disk
from agent.foundation.log import ProblemLog
from agent.foundation.worker import Worker
from agent.local import query
from agent.local.queries import HISTORY_DAYS, HistoryQuery
from agent.local.routes import Handler, LocalRequest, RequestRefused
from agent.port.history.blocks import HistoryBlock
from agent.port.history.buffer import BLOCK_ROWS, INTERVAL_MS, HistoryBuffer
from agent.port.history.channels import STALE_MS, HistoryChannel, channel_of, sensor_values, zone_values
from agent.port.history.segment_files import HistorySegments
from agent.port.history.series import Series, Thinning
from agent.port.hub_parts import HubParts

_log = logging.getLogger(__name__)

UNWRITTEN_BLOCKS_MAX = 16
"""Blocks that wait in memory for a disk that takes nothing: four hours."""

WRITE_INTERVAL_MS = (BLOCK_ROWS - 2) * INTERVAL_MS
"""Between two writes at least: a clock that is corrected again and again makes short blocks and must not wear the card.
A little less than a block takes, so that a full block is written at once."""

CHANNELS_ASKED_MAX = 128
"""The ids of more do not fit an address."""
VALUES_ASKED_MAX = 64_000
"""Channels times points: an answer of 2 MB, made with 6 MiB of memory."""

PERIOD_MS = HISTORY_DAYS * 86_400_000

STALE_INTERVALS = 2.5
"""The hub's own sensors may be read more rarely than `STALE_MS`; one reading may fail."""

BOOT, UTC = "boot", "utc"


class HistoryReport(msgspec.Struct, frozen=True):
    """Channels over time, as columns for a chart.

    Attributes:
        time_base: "utc": times are seconds since 1970; "boot": since this boot, while it has not learnt the time.
        interval_s: The length of each stretch of time; the values of a stretch are its mean, least and greatest.
        times: The beginning of each stretch.
        series: One for each channel that was asked for. `low` and `high` are empty where each stretch has one value.
        channels: What can be asked for.
        problem: What is missing, in words.
    """

    time_base: str
    interval_s: int
    times: list[int]
    series: list[Series]
    channels: list[HistoryChannel]
    problem: str = ""


class ChartQuery(msgspec.Struct, frozen=True):
    """What is asked for, in milliseconds of the time base."""

    channels: tuple[str, ...]
    from_ms: int
    to_ms: int
    points: int


def chart_query(asked: HistoryQuery, now: Now) -> ChartQuery:
    """Return what a query asks for at an instant. Pure.

    Raises:
        RequestRefused: The query is wrong, or gives a time of day while none is known.
    """
    channels = tuple(dict.fromkeys(filter(None, asked.channels.split(","))))
    if len(channels) > CHANNELS_ASKED_MAX:
        text = f"ask for fewer channels: {len(channels)} were named, allowed are {CHANNELS_ASKED_MAX}"
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
    if len(channels) * asked.points > VALUES_ASKED_MAX:
        text = f"ask for fewer channels or points: channels times points may be {VALUES_ASKED_MAX}"
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
    if now.utc_ms is None and max(asked.from_s, asked.to_s) > 0:
        text = "ask for a time relative to now, such as from=-3600: this boot has not learnt the time yet"
        raise RequestRefused(HTTPStatus.CONFLICT, "time_unknown", text)
    base_ms = now.now_ms if now.utc_ms is None else now.utc_ms
    from_ms, to_ms = (at_s * 1000 if at_s > 0 else base_ms + at_s * 1000 for at_s in (asked.from_s, asked.to_s))
    from_ms, to_ms = max(from_ms, base_ms - PERIOD_MS), min(to_ms, base_ms)
    if from_ms >= to_ms:
        text = f"let from be before to, and both within the last {HISTORY_DAYS} days"
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text)
    return ChartQuery(channels, from_ms, to_ms, asked.points)


class History:
    """Recording and answering.

    Attributes:
        is_on: Whether it records.
        problem: Why nothing is written; empty while the disk takes it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        values: Callable[[int], Mapping[str, float | None]],
        clock: Clock,
        disk: Disk,
        worker: Worker,
        is_on: bool = True,
    ) -> None:
        """Read and write nothing yet.

        Args:
            directory: The state directory.
            values: Returns the present value of each channel, given boot time.
            clock: The clocks of the boot.
            disk: Reads and writes.
            worker: Where reading and writing block.
            is_on: Whether to record; where not, what was recorded is removed.
        """
        self.is_on = is_on
        self._values = values
        self._clock = clock
        self._worker = worker
        self._segments = HistorySegments(directory, disk)
        self._buffer = HistoryBuffer()
        self._unwritten: deque[HistoryBlock] = deque(maxlen=UNWRITTEN_BLOCKS_MAX)
        self._problem_log = ProblemLog(_log, "the history stays in memory", level=logging.WARNING)
        self._turn = asyncio.Lock()
        self._written_ms = clock.monotonic_ms()

    @property
    def problem(self) -> str:
        """Why nothing is written; empty while the disk takes it."""
        return self._problem_log.text

    async def run(self) -> None:
        """Record until cancelled; then write what is in memory. Switched off: remove what was recorded, and return."""
        if not self.is_on:
            await self._remove()
            return
        try:
            while True:
                await asyncio.sleep(self._pause_s())
                now = read_now(self._clock)
                done = self._buffer.add(now, self._values(now.now_ms))
                self._unwritten += done
                if done and now.now_ms - self._written_ms >= WRITE_INTERVAL_MS:
                    await self._write()
        finally:
            self._unwritten += self._buffer.take()
            await self._write()

    async def _remove(self) -> None:
        try:
            await self._worker.run(self._segments.remove_all)
        except OSError as error:
            _log.warning("the old history is still there: %s", error)

    def _pause_s(self) -> float:
        """Return the time until the next full minute, so that stretches of a minute hold one value each."""
        base_ms = self._clock.utc_ms()
        if base_ms is None:
            base_ms = self._clock.monotonic_ms()
        left_ms = INTERVAL_MS - base_ms % INTERVAL_MS
        # A wall clock that is slewed has the minute still ahead by a few milliseconds when the loop wakes for it.
        return (left_ms if left_ms > INTERVAL_MS // 2 else left_ms + INTERVAL_MS) / 1000

    async def _write(self) -> None:
        self._written_ms = self._clock.monotonic_ms()
        while blocks := list(self._unwritten):
            try:
                count = await self._worker.run(functools.partial(self._segments.append, blocks))
            except StorageFull as error:
                self._problem_log.report(str(error))
                return
            for _ in range(count):
                self._unwritten.popleft()
        self._problem_log.clear()

    async def answer(self, asked: HistoryQuery) -> HistoryReport:
        """Return what a query asks for.

        Raises:
            RequestRefused: The query is wrong.
        """
        return await self.report(chart_query(asked, read_now(self._clock)))

    async def report(self, asked: ChartQuery) -> HistoryReport:
        """Return what is asked for. One at a time: a Pi takes some tenths of a second for seven days."""
        async with self._turn:
            now = read_now(self._clock)
            zero_utc_ms = None if now.utc_ms is None else now.utc_ms - now.now_ms
            collected = _Collected(asked, boot_id=now.boot_id, zero_utc_ms=zero_utc_ms)
            self._segments.problem = ""
            # Before the files are read: a block that is written meanwhile is in one of both.
            newest = [*self._unwritten, *filter(None, [self._buffer.block()])]
            for number in await self._worker.run(self._segments.numbers):
                await self._worker.run(functools.partial(self._collect, collected, number))
            return await self._worker.run(functools.partial(self._finish, collected, newest))

    def _collect(self, collected: "_Collected", number: int) -> None:
        for block in self._segments.read(number):
            collected.add(block)

    def _finish(self, collected: "_Collected", newest: Sequence[HistoryBlock]) -> HistoryReport:
        for block in newest:
            collected.add(block)
        return collected.report(self._segments.problem)


class _Collected:
    """What was found in the blocks so far; used by the worker."""

    def __init__(self, asked: ChartQuery, *, boot_id: str, zero_utc_ms: int | None) -> None:
        self._asked = asked
        self._boot_id = boot_id
        self._is_utc = zero_utc_ms is not None
        self._zero_ms = {boot_id: zero_utc_ms or 0}
        self._unanchored: list[HistoryBlock] = []
        self._seen: set[tuple[str, int]] = set()
        self._channels: dict[str, None] = {}
        self._thinning = Thinning(
            asked.channels,
            from_ms=asked.from_ms,
            to_ms=asked.to_ms,
            interval_ms=INTERVAL_MS,
            points_max=asked.points,
        )

    def add(self, block: HistoryBlock) -> None:
        """Take a block: at once where the time of its boot is known, or once another block of that boot knows it.

        A block that was taken already, from a file or from memory, is left out.
        """
        key = (block.boot_id, block.start_ms)
        if key in self._seen:
            return
        self._seen.add(key)
        self._channels.update(dict.fromkeys(block.differences))
        if self._is_utc and block.zero_utc_ms is not None:
            # Of this boot, the clock knows better by now than the block did.
            self._zero_ms.setdefault(block.boot_id, block.zero_utc_ms)
        if block.boot_id in self._zero_ms:
            self._thin(block)
        elif self._is_utc:
            wanted = {name: each for name, each in block.differences.items() if name in self._asked.channels}
            self._unanchored.append(msgspec.structs.replace(block, differences=wanted))

    def report(self, problem: str) -> HistoryReport:
        """Return the document."""
        unknown_rows = 0
        for block in self._unanchored:
            if block.boot_id in self._zero_ms:
                self._thin(block)
            else:
                unknown_rows += block.rows
        if unknown_rows and not problem:
            problem = f"{unknown_rows} minutes are left out: a boot has never learnt the time"
        chart = self._thinning.chart()
        return HistoryReport(
            UTC if self._is_utc else BOOT,
            chart.width_s,
            chart.times_s,
            chart.series,
            [channel_of(name) for name in sorted(self._channels)],
            problem,
        )

    def _thin(self, block: HistoryBlock) -> None:
        start_ms = block.start_ms + self._zero_ms[block.boot_id]
        end_ms = start_ms + block.rows * block.interval_ms
        if end_ms < self._asked.from_ms - INTERVAL_MS or start_ms > self._asked.to_ms + INTERVAL_MS:
            return
        for channel in self._asked.channels:
            if channel in block.differences:
                self._thinning.add(channel, block.values(channel), start_ms=start_ms, interval_ms=block.interval_ms)


def build_history(hub: HubParts, *, interval_s: Callable[[], float]) -> History:
    """Return the history of a hub.

    Args:
        hub: Its parts.
        interval_s: Returns how often the hub's own sensors are read.
    """

    def values(now_ms: int) -> dict[str, float | None]:
        stale_ms = max(STALE_MS, round(STALE_INTERVALS * interval_s() * 1000))
        zones = zone_values(hub.climate.control if hub.climate else None)
        return {**zones, **sensor_values(hub.telemetry.intake.channels, now_ms=now_ms, stale_ms=stale_ms)}

    storage, is_on = hub.config.storage, hub.config.port.history != "off"
    return History(storage.state_dir, values=values, clock=hub.clock, disk=hub.disk, worker=hub.worker, is_on=is_on)


def handlers(history: History) -> Mapping[str, Handler]:
    """Return the handler of the history; none where it is switched off."""
    if not history.is_on:
        return {}

    async def get_history(request: LocalRequest) -> HistoryReport:
        return await history.answer(query.read(request.query, HistoryQuery))

    return {"get_history": get_history}
