"""What the link to the cloud costs: bytes sent and received each day, and what a metered link comes to at that rate.

Owns `data-usage.json`: the last days, written a few times a day. Counts what the transport has counted since the start;
must never take part in a request. Days are those of UTC.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from agent.cloud.session import TRANSPORT_OVERHEAD_BYTES, DataUsage
from agent.foundation import rfc3339
from agent.foundation.beat import next_beat
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.worker import Worker

FILE_NAME = "data-usage.json"
FILE_BYTES_MAX = 16 * 1024
"""Thirty-one days take 4 KiB."""

DAYS_MAX = 31
"""Days that are kept."""

COUNT_S = 600.0
"""How often the traffic is added to its day: so much of it may stand at the wrong side of midnight."""

SAVE_COUNTS = 36
"""The file is written every so many times, four times a day. A power cut loses these counts at most; the rate stays
right, for their time is lost with them."""

RATE_DAYS = 7
"""The rate is that of so many last days: a week has all kinds of days."""

RATE_S_MIN = 3600
"""A shorter time says nothing about a day: the hub asks for everything when it starts."""

DAY_S = 86_400
MONTH_DAYS = 30


class UsageDay(msgspec.Struct, frozen=True):
    """The traffic of one day.

    Attributes:
        day: "2026-11-28", of UTC.
        counted_s: For how long it was counted.
        requests: That were answered.
        sent_bytes: With what HTTP, TLS and TCP add.
        received_bytes: Likewise.
    """

    day: str
    counted_s: int = 0
    requests: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class UsageDays(msgspec.Struct, frozen=True):
    """The content of the file: the last days, the oldest first."""

    days: tuple[UsageDay, ...] = ()


class Traffic(msgspec.Struct, frozen=True):
    """What was counted since the start of this process."""

    counted_s: int = 0
    requests: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


def total(usages: Iterable[DataUsage], counted_s: int) -> Traffic:
    """Return the traffic of all endpoints, with what TLS and TCP add to each exchange, half of it each way. Pure."""
    found = list(usages)
    requests = sum(usage.requests for usage in found)
    overhead = requests * TRANSPORT_OVERHEAD_BYTES // 2
    sent, received = sum(usage.sent_bytes for usage in found), sum(usage.received_bytes for usage in found)
    return Traffic(counted_s, requests, sent + overhead, received + overhead)


def with_traffic(kept: UsageDays, day: str, before: Traffic, now: Traffic) -> UsageDays:
    """Return the days with what came between two counts added to one day. Pure.

    After the clock was set back a day may stand there twice.
    """
    is_same = bool(kept.days) and kept.days[-1].day == day
    last, others = (kept.days[-1], kept.days[:-1]) if is_same else (UsageDay(day), kept.days)
    last = UsageDay(
        last.day,
        last.counted_s + now.counted_s - before.counted_s,
        last.requests + now.requests - before.requests,
        last.sent_bytes + now.sent_bytes - before.sent_bytes,
        last.received_bytes + now.received_bytes - before.received_bytes,
    )
    return UsageDays((*others, last)[-DAYS_MAX:])


def bytes_per_day(kept: UsageDays) -> int | None:
    """Return what a day comes to at the rate of the last week; `None` before an hour is counted. Pure."""
    recent = kept.days[-RATE_DAYS:]
    counted_s = sum(day.counted_s for day in recent)
    if counted_s < RATE_S_MIN:
        return None
    return sum(day.sent_bytes + day.received_bytes for day in recent) * DAY_S // counted_s


class DataUsageLog:
    """The traffic of the last days."""

    def __init__(
        self,
        state_dir: Path,
        *,
        usages: Callable[[], Iterable[DataUsage]],
        clock: Clock,
        disk: Disk,
        worker: Worker,
    ) -> None:
        """Prepare; the file is read by `run`.

        Args:
            state_dir: Where the file lies.
            usages: Returns the counts of every endpoint since the start.
            clock: Tells the day.
            disk: Reads and writes.
            worker: Where reading and writing block.
        """
        self._usages = usages
        self._clock = clock
        self._began_ms = clock.monotonic_ms()
        self._counted = Traffic()
        self._days = UsageDays()
        self._is_read = False
        self._store = JsonStore(
            state_dir / FILE_NAME,
            self._days,
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="the traffic of the days before is not known",
        )

    async def run(self) -> None:
        """Read the file, count, and write from time to time."""
        self._days = await self._store.load_patiently()
        self._is_read = True
        while True:
            for _ in range(SAVE_COUNTS):
                await next_beat(COUNT_S)
                self._count()
            await self.save()

    async def save(self) -> None:
        """Count, and write; before the file was read, do nothing."""
        if self._is_read:
            self._count()
            await self._store.apply(lambda _: self._days)

    def days(self) -> UsageDays:
        """Return the days with what was counted until now; without a known day, only what was known before."""
        day = self._today()
        return self._days if day is None else with_traffic(self._days, day, self._counted, self._now())

    def _count(self) -> None:
        """Add what has come since the last count to its day; while the day is not known it waits."""
        self._days = self.days()
        if self._today() is not None:
            self._counted = self._now()

    def _now(self) -> Traffic:
        return total(self._usages(), (self._clock.monotonic_ms() - self._began_ms) // 1000)

    def _today(self) -> str | None:
        utc_ms = self._clock.utc_ms()
        return None if utc_ms is None else rfc3339.render(utc_ms)[:10]
