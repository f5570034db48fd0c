import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from agent.apis.aurra_home import events
from agent.apis.aurra_home.alerts import Alerts, UnknownAlert
from agent.apis.aurra_home.events import AGAIN_MS
from agent.apis.aurra_home.records import ALERTS_MAX, AlertRecord, AurraRecords
from agent.apis.webhooks.endpoints import WebhookEvent
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from tests.integration.conftest import WAIT_S
from tests.unit.power_cut import Cutter, PowerCut

NOW_MS = 1_790_000_000_000
CREATED, RESOLVED = "predictive.alert_created", "predictive.alert_resolved"


class Clock:
    boot_id = "boot"

    def __init__(self, utc_ms: int | None) -> None:
        self.utc = utc_ms

    def monotonic_ms(self) -> int:
        return 0

    def utc_ms(self) -> int | None:
        return self.utc


class Bench:
    """The alerts of one process of a hub: what people see, and what webhooks were offered."""

    def __init__(self, directory: Path, *, utc_ms: int | None = NOW_MS, disk: Disk | None = None) -> None:
        self.faults: list[str] = []
        self.offered: list[WebhookEvent] = []
        self.records = AurraRecords(directory, disk=disk or Disk(), worker=InlineWorker())
        self.clock = Clock(utc_ms)
        self.alerts = Alerts(
            self.records,
            clock=self.clock,
            offer=self._offer,
            add_fault=self.faults.append,
            remove_fault=self._remove,
        )

    def _offer(self, events: Sequence[WebhookEvent]) -> None:
        self.offered += events

    def _remove(self, text: str) -> None:
        self.faults[:] = [each for each in self.faults if each != text]

    async def start(self) -> None:
        loop = asyncio.get_running_loop().create_task(self.records.run())
        await self.alerts.run()
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop

    def names(self) -> list[str]:
        return [event.name for event in self.offered]


async def started(directory: Path, *, utc_ms: int | None = NOW_MS, disk: Disk | None = None) -> Bench:
    bench = Bench(directory, utc_ms=utc_ms, disk=disk)
    await bench.start()
    return bench


def alert(number: int = 0, *, confidence: float = 0.8) -> AlertRecord:
    return AlertRecord(
        f"alt_{number}", "living", "acc_1", "wear", confidence, "replace", "high", False, NOW_MS, "anna"
    )  # fmt: skip


async def test_a_resolved_alert_is_no_fault_any_more_and_is_told(tmp_path: Path) -> None:
    bench = await started(tmp_path)
    await bench.alerts.add(alert())
    assert bench.faults == ["alert alt_0 of anna: living: wear; replace"]
    resolved = await bench.alerts.resolve("alt_0", by="bert")
    assert (bench.faults, bench.names()) == ([], [CREATED, RESOLVED])
    assert (resolved.is_resolved, resolved.resolved_by, resolved.resolved_utc_ms) == (True, "bert", NOW_MS)
    body = msgspec.json.decode(bench.offered[-1].body)
    assert body["event"] == RESOLVED
    assert body["data"] == {"device_id": "living", "alert_id": "alt_0", "resolved_at": "2026-09-21T14:13:20Z"}


async def test_an_alert_stays_resolved_by_the_first(tmp_path: Path) -> None:
    bench = await started(tmp_path)
    await bench.alerts.add(alert())
    await bench.alerts.resolve("alt_0", by="bert")
    assert (await bench.alerts.resolve("alt_0", by="carl")).resolved_by == "bert"
    # The queue knows the event by its key.
    assert len({event.key for event in bench.offered}) == 2


async def test_an_unknown_alert_is_refused(tmp_path: Path) -> None:
    bench = await started(tmp_path)
    with pytest.raises(UnknownAlert, match="climahub api alert list"):
        await bench.alerts.resolve("alt_9", by="bert")
    assert bench.offered == []


async def test_an_alert_below_the_threshold_is_told_to_nobody(tmp_path: Path) -> None:
    bench = await started(tmp_path)
    await bench.alerts.add(alert(confidence=0.71))
    await bench.alerts.resolve("alt_0", by="bert")
    assert (bench.faults, bench.offered) == ([], [])


async def test_after_a_restart_open_alerts_are_shown_and_the_last_day_is_offered_again(tmp_path: Path) -> None:
    bench = await started(tmp_path)
    for number in range(2):
        await bench.alerts.add(alert(number))
    await bench.alerts.resolve("alt_0", by="bert")
    again = await started(tmp_path)
    assert again.faults == ["alert alt_1 of anna: living: wear; replace"]
    assert {event.key for event in again.offered} == {"alt_0", "alt_0_resolved", "alt_1"}
    assert all(event.at_utc_ms == NOW_MS for event in again.offered)
    late = await started(tmp_path, utc_ms=NOW_MS + AGAIN_MS)
    assert (late.faults, late.offered) == (again.faults, [])


async def test_an_alert_that_has_made_room_is_no_fault_any_more(tmp_path: Path) -> None:
    bench = await started(tmp_path)
    for number in range(ALERTS_MAX + 1):
        await bench.alerts.add(alert(number))
    assert len(bench.faults) == ALERTS_MAX
    assert not any("alt_0 " in text for text in bench.faults)


async def test_a_start_without_the_time_shows_open_alerts_at_once_and_offers_none_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.001)
    await (await started(tmp_path)).alerts.add(alert())
    for utc_ms, keys in ((NOW_MS + AGAIN_MS - 1, ["alt_0"]), (NOW_MS + AGAIN_MS, [])):
        again = Bench(tmp_path, utc_ms=None)
        task = asyncio.create_task(again.start())
        async with asyncio.timeout(WAIT_S):
            while not again.faults:  # noqa: ASYNC110 - a list reports nothing
                await asyncio.sleep(0.001)
        assert (again.offered, task.done()) == ([], False)
        again.clock.utc = utc_ms
        async with asyncio.timeout(WAIT_S):
            await task
        assert [event.key for event in again.offered] == keys


async def test_without_the_time_an_alert_is_resolved_at_an_unknown_one(tmp_path: Path) -> None:
    bench = await started(tmp_path)
    bench.clock.utc = None
    await bench.alerts.add(alert())
    assert (await bench.alerts.resolve("alt_0", by="bert")).is_resolved
    assert msgspec.json.decode(bench.offered[-1].body)["data"]["resolved_at"] is None


async def test_what_was_answered_outlives_a_power_cut_before_any_operation(tmp_path: Path) -> None:
    at, is_done = 0, False
    while not is_done:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        answered: list[str] = []
        with contextlib.suppress(PowerCut):
            bench = await started(directory, disk=Disk(Cutter(at)))
            await bench.alerts.add(alert())
            answered.append(CREATED)
            await bench.alerts.resolve("alt_0", by="bert")
            answered.append(RESOLVED)
            is_done = True
        again = await started(directory)
        found = again.alerts.newest_first
        # Whatever is on the disk is told: what was answered at least, and one more at most.
        assert again.names() == [CREATED, RESOLVED][: len(again.names())]
        assert len(answered) <= len(again.names()) <= len(answered) + 1, f"operation {at}"
        assert bool(again.faults) == (len(found) == 1 and not found[0].is_resolved), f"operation {at}"
    assert at > 8
