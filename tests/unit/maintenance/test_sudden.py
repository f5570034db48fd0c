"""A report of control that heating has no effect: kept with its numbers until the room has got warmer."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker
from agent.maintenance.alert_service import MaintenanceAlerts
from agent.maintenance.alerts import Verdict
from agent.maintenance.assessment import Finding, FindingState, ZoneRecord, find_sudden, observe
from agent.maintenance.indicators import SOLSTICE_MS, SuddenIndicator
from agent.maintenance.service import MaintenanceService, ZoneEvidence
from agent.maintenance.sudden import NoWarming, Response, follow
from lab.simulation.virtual_loop import VirtualLoop

HOUR_S = 3600.0
FINE = Response(20.8, 21.0)
NOW_MS = SOLSTICE_MS


def report(room_c: float = 19.5) -> Response:
    return Response(room_c, 21.0, is_failing=True)


def followed(*seen: Response, dt_s: float = 60.0) -> NoWarming:
    known = NoWarming()
    for each in seen:
        known = follow(known, each, dt_s, NOW_MS)
    return known


def test_a_report_lasts_until_the_room_is_warmer_by_a_kelvin_or_by_what_was_missing() -> None:
    known = followed(report(19.5), report(19.0), report(18.0))
    assert (known.since_utc_ms, known.lasted_s, known.first_c, known.lowest_c) == (NOW_MS, 120.0, 19.5, 18.0)
    # A setpoint that is lowered below the room takes the report back, and repairs nothing.
    night = follow(known, Response(17.9, 16.0), 60.0, NOW_MS)
    assert (night.since_utc_ms, night.is_reported, night.lasted_s, night.lowest_c) == (NOW_MS, False, 120.0, 17.9)
    assert follow(night, Response(18.8, 21.0), 60.0, NOW_MS).since_utc_ms == NOW_MS
    assert follow(night, Response(18.9, 21.0), 60.0, NOW_MS) == NoWarming()
    near = followed(report(20.5), Response(20.9, 21.0))
    assert near.since_utc_ms == NOW_MS
    assert follow(near, Response(21.0, 21.0), 60.0, NOW_MS) == NoWarming()


def test_a_temperature_that_is_not_known_neither_ends_nor_prolongs_a_report() -> None:
    known = followed(report(), report())
    blind = follow(known, Response(), 3600.0, NOW_MS)
    assert (blind.since_utc_ms, blind.lasted_s, blind.is_reported) == (NOW_MS, 60.0, False)
    assert follow(blind, Response(), 60.0, NOW_MS) is blind
    assert followed(Response(), Response(20.0, None, is_failing=True)) == NoWarming()


def test_a_finding_has_its_numbers_and_is_never_an_alert() -> None:
    known = followed(*[report(19.5 - 0.01 * minute) for minute in range(151)])
    found = find_sudden(known, report(18.0))
    assert found is not None
    assert (found.state, found.confidence, found.since_utc_ms) == (FindingState.UNKNOWN, None, NOW_MS)
    assert found.evidence == (
        "control has reported for 2.5 h that heating has no effect: 18.0 °C, 19.5 °C at its beginning, setpoint"
        " 21.0 °C; not calibrated: its confidence is unknown"
    )
    assert found.features == (2.5, 3.0)
    assert "boiler" in found.advice.action
    blind = find_sudden(known, Response())
    assert blind is not None
    assert blind.evidence.endswith("now the temperature of the zone, last 18.0 °C, is not known")
    night = find_sudden(follow(known, Response(18.0, 16.0), 60.0, NOW_MS), Response(18.0, 16.0))
    assert night is not None
    assert night.evidence.endswith("the room has 18.0 °C, it works again from 19.0 °C on")


def test_a_zone_that_responds_has_no_finding_and_other_sensors_begin_anew() -> None:
    assert find_sudden(NoWarming(), FINE) is None
    record = ZoneRecord(sensors=(("own", "0x1"),), no_warming=followed(report()))
    assert observe(record, {"own": "0x1"}, None, NOW_MS).no_warming == record.no_warming
    assert observe(record, {"own": "0x2"}, None, NOW_MS).no_warming == NoWarming()


class Hub:
    """A hub whose zone responds, or does not, by the time since its first boot."""

    boot_id = "b"

    def __init__(self, directory: Path, *, fails: tuple[float, float], begins_s: float = 0.0) -> None:
        self.loop, self.fails, self.begins_s = VirtualLoop(), fails, begins_s
        disk, worker = Disk(), InlineWorker()
        alerts = MaintenanceAlerts(
            directory,
            clock=self,
            disk=disk,
            worker=worker,
            new_id=lambda: "1",
            add_fault=lambda _: None,
            remove_fault=lambda _: None,
        )
        self.service = MaintenanceService(
            directory,
            evidence=self.evidence,
            models={},
            alerts=alerts,
            clock=self,
            disk=disk,
            worker=worker,
        )

    def seconds(self) -> float:
        return self.begins_s + self.loop.time()

    def monotonic_ms(self) -> int:
        return int(self.loop.time() * 1000)

    def utc_ms(self) -> int:
        return NOW_MS + int(self.seconds() * 1000)

    def evidence(self) -> list[ZoneEvidence]:
        begun_s, ended_s = self.fails
        is_failing = begun_s <= self.seconds() < ended_s
        response = Response(19.0 if is_failing else 20.9, 21.0, is_failing=is_failing)
        return [ZoneEvidence("living", {"own": ""}, response.room_c, 5.0, 1.0, response)]

    def run(self, seconds: float, *, is_serviced: bool = False) -> None:
        async def go() -> None:
            task = asyncio.get_running_loop().create_task(self.service.run())
            await asyncio.sleep(seconds)
            if is_serviced:
                name = SuddenIndicator.NO_WARMING.value
                await self.service.answer("living", name, Verdict.SERVICED, note="", by="anna")
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.service.save()

        try:
            self.loop.run_until_complete(go())
        finally:
            self.loop.close()

    def sudden(self) -> Finding | None:
        found = self.service.findings()["living"]
        return next((each for each in found if each.indicator is SuddenIndicator.NO_WARMING), None)


def test_a_report_is_kept_over_a_restart_until_the_repair_and_makes_no_alert(tmp_path: Path) -> None:
    fails = (1.5 * HOUR_S, 6.5 * HOUR_S)
    first = Hub(tmp_path, fails=fails)
    first.run(5.0 * HOUR_S)
    before = first.sudden()
    assert before is not None
    assert (before.since_utc_ms or 0) - NOW_MS == pytest.approx(1.5 * HOUR_S * 1000, abs=61_000)
    during = Hub(tmp_path, fails=fails, begins_s=5.1 * HOUR_S)
    during.run(1.0 * HOUR_S)
    after = during.sudden()
    assert after is not None
    assert after.since_utc_ms == before.since_utc_ms
    assert during.service.records["living"].no_warming.lasted_s == pytest.approx(4.5 * HOUR_S, abs=300.0)
    repaired = Hub(tmp_path, fails=fails, begins_s=6.6 * HOUR_S)
    repaired.run(600.0)
    assert repaired.sudden() is None
    assert first.service.alerts.newest_first == repaired.service.alerts.newest_first == ()


def test_a_technician_answers_a_report_and_a_service_forgets_it(tmp_path: Path) -> None:
    hub = Hub(tmp_path, fails=(0.0, 2.0 * HOUR_S))
    hub.run(1.5 * HOUR_S, is_serviced=True)
    (answer,) = hub.service.alerts.state.answers
    assert (answer.indicator, answer.verdict, answer.features) == ("no_warming", Verdict.SERVICED, (1.47, 2.0))
    assert hub.service.records["living"].no_warming == NoWarming()
