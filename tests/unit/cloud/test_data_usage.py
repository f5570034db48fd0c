"""The traffic of each day: counted, bounded, kept over a restart, and what a metered link comes to."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.cloud.data_usage import (
    DAY_S,
    DAYS_MAX,
    FILE_BYTES_MAX,
    FILE_NAME,
    RATE_DAYS,
    RATE_S_MIN,
    DataUsageLog,
    Traffic,
    UsageDay,
    UsageDays,
    bytes_per_day,
    total,
    with_traffic,
)
from agent.cloud.session import TRANSPORT_OVERHEAD_BYTES, DataUsage
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker

NOVEMBER_28_MS = 1_795_824_000_000
NOTHING = Traffic()


def test_all_endpoints_are_added_with_what_tls_and_tcp_add_half_each_way() -> None:
    assert total([DataUsage(2, 100, 1000), DataUsage(1, 10, 20)], 60) == Traffic(
        60, 3, 110 + 3 * TRANSPORT_OVERHEAD_BYTES // 2, 1020 + 3 * TRANSPORT_OVERHEAD_BYTES // 2
    )


def test_traffic_is_added_to_its_day_and_old_days_make_room() -> None:
    kept = UsageDays()
    for number in range(DAYS_MAX + 5):
        kept = with_traffic(kept, f"day {number:02}", NOTHING, Traffic(10, 1, 2, 3))
        kept = with_traffic(kept, f"day {number:02}", Traffic(10, 1, 2, 3), Traffic(30, 2, 5, 9))
    assert len(kept.days) == DAYS_MAX
    assert (kept.days[0].day, kept.days[-1]) == ("day 05", UsageDay("day 35", 30, 2, 5, 9))


def test_the_rate_is_that_of_the_last_week_and_of_the_time_that_was_counted() -> None:
    week = tuple(UsageDay(f"{number}", DAY_S // 2, 1, 400, 600) for number in range(RATE_DAYS))
    assert bytes_per_day(UsageDays((UsageDay("before", DAY_S, 1, 10**9, 0), *week))) == 2000
    assert bytes_per_day(UsageDays((UsageDay("today", RATE_S_MIN - 1, 1, 100, 0),))) is None
    assert bytes_per_day(UsageDays((UsageDay("today", RATE_S_MIN, 1, 60, 40),))) == 2400


class Hub:
    """Counts traffic on a clock that the test moves."""

    def __init__(self, directory: Path) -> None:
        self.now_ms = 5_000
        self.utc_ms: int | None = None
        self.usage = DataUsage()
        clock = SimpleNamespace(monotonic_ms=lambda: self.now_ms, utc_ms=lambda: self.utc_ms)
        self.log = DataUsageLog(
            directory,
            usages=lambda: [self.usage],
            clock=cast("Any", clock),
            disk=Disk(),
            worker=InlineWorker(),
        )

    async def read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Read the file, and end there."""

        async def sleep(_: float) -> None:
            raise _Ended

        monkeypatch.setattr("agent.cloud.data_usage.next_beat", sleep)
        with pytest.raises(_Ended):
            await self.log.run()


class _Ended(Exception):
    pass


async def test_days_are_kept_over_a_restart_and_count_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tmp_path)
    await hub.read(monkeypatch)
    hub.usage.sent_bytes, hub.usage.received_bytes, hub.now_ms = 700, 300, 65_000
    # Without a date nothing is lost and nothing is shown.
    assert hub.log.days() == UsageDays()
    hub.utc_ms = NOVEMBER_28_MS
    assert hub.log.days().days == (UsageDay("2026-11-28", 60, 0, 700, 300),)
    await hub.log.save()
    hub.usage.sent_bytes, hub.utc_ms = 900, NOVEMBER_28_MS + DAY_S * 1000
    expected = (UsageDay("2026-11-28", 60, 0, 700, 300), UsageDay("2026-11-29", 0, 0, 200, 0))
    assert hub.log.days().days == expected
    await hub.log.save()
    again = Hub(tmp_path)
    await again.read(monkeypatch)
    assert again.log.days().days == expected


async def test_nothing_is_written_before_the_file_was_read(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.utc_ms, hub.usage.sent_bytes = NOVEMBER_28_MS, 10
    await hub.log.save()
    assert not (tmp_path / FILE_NAME).exists()


async def test_the_file_of_all_days_is_within_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tmp_path)
    await hub.read(monkeypatch)
    hub.utc_ms = NOVEMBER_28_MS
    for _ in range(DAYS_MAX + 1):
        hub.usage.sent_bytes += 10**12
        hub.usage.received_bytes += 10**12
        hub.utc_ms += DAY_S * 1000
        await hub.log.save()
    assert 0 < (tmp_path / FILE_NAME).stat().st_size < FILE_BYTES_MAX
