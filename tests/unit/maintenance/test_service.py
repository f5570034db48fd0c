"""The loop over a hub's life: sampled by the minute, kept over restarts and power cuts, written once an hour."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from math import exp
from pathlib import Path

import msgspec
import pytest

from agent.errors import UnknownDevice
from agent.foundation.disk import Disk, Operation
from agent.foundation.worker import InlineWorker
from agent.maintenance import machine_drift
from agent.maintenance.alert_service import MaintenanceAlerts
from agent.maintenance.alerts import Verdict
from agent.maintenance.assessment import ZoneRecord, observe
from agent.maintenance.curve import DAYS_MAX, CurveDay, days_of, with_day
from agent.maintenance.drift import Drift, Sign
from agent.maintenance.imm_filter import Mode
from agent.maintenance.indicators import SOLSTICE_MS, DayInProgress, WearIndicator
from agent.maintenance.machine_drift import BANDS_MAX, BASELINE_DAYS, Baseline
from agent.maintenance.pipe_readings import PipeChannel, PipeIndicator, PipePair, Steady
from agent.maintenance.pipe_record import DAY_BANDS_MAX, PipeBandDay, PipeDrift, PipeRecord
from agent.maintenance.service import (
    FILE_BYTES_MAX,
    FILE_NAME,
    SAMPLE_S_MAX,
    AnswerRefused,
    MaintenanceFile,
    MaintenanceService,
    ZoneEvidence,
)
from agent.maintenance.signature import FREE_K, SUN_K
from agent.maintenance.sudden import NoWarming
from agent.maintenance.switching import RATED_STARTS, Switching
from lab.simulation.virtual_loop import VirtualLoop
from tests.unit.power_cut import Cutter, PowerCut

HOUR_S = 3600.0


class Hub:
    """A hub with one zone that heats ten minutes of thirty, from a time of its boot on.

    With the thermometers of a pair it heats twenty of thirty, and they are settled then.
    """

    boot_id = "b"

    def __init__(
        self,
        directory: Path,
        *,
        began_utc_ms: int | None = SOLSTICE_MS,
        zones: Mapping[str, float | None] | None = None,
        inject: Callable[[Operation, str], None] | None = None,
        is_southern: bool = False,
        pair: PipePair | None = None,
    ) -> None:
        self.pair = pair
        self.loop = VirtualLoop()
        self.writes: list[str] = []
        self.began_utc_ms = began_utc_ms
        self.zones = {"living": 20.0} if zones is None else zones
        disk, worker = Disk(inject or self._note), InlineWorker()
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
            is_southern=lambda: is_southern,
        )

    def _note(self, operation: Operation, name: str) -> None:
        if operation is Operation.RENAME:
            self.writes.append(name)

    def monotonic_ms(self) -> int:
        return int(self.loop.time() * 1000)

    def utc_ms(self) -> int | None:
        return None if self.began_utc_ms is None else self.began_utc_ms + self.monotonic_ms()

    def evidence(self) -> list[ZoneEvidence]:
        is_on = self.monotonic_ms() // 60_000 % 30 < (20 if self.pair else 10)
        starts = self.monotonic_ms() // 1_800_000
        return [
            ZoneEvidence(name, {"own": ""}, room_c, 5.0, float(is_on), starts=starts, pair=self.pair)
            for name, room_c in self.zones.items()
        ]

    def run(self, seconds: float, *, is_ended_well: bool = True) -> None:
        async def go() -> None:
            task = asyncio.get_running_loop().create_task(self.service.run())
            await asyncio.sleep(seconds)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            if is_ended_well:
                await self.service.save()

        try:
            self.loop.run_until_complete(go())
        finally:
            self.loop.close()


def kept(directory: Path) -> MaintenanceFile:
    return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=MaintenanceFile)


def learned(directory: Path) -> ZoneRecord:
    return kept(directory).zones["living"]


def test_days_are_learned_and_go_on_after_a_restart(tmp_path: Path) -> None:
    Hub(tmp_path).run(36 * HOUR_S)
    assert learned(tmp_path).warmth.days_learned == 1
    assert learned(tmp_path).day.measured_s == pytest.approx(12 * HOUR_S, abs=120)
    Hub(tmp_path, began_utc_ms=SOLSTICE_MS + int(37 * HOUR_S * 1000)).run(13 * HOUR_S)
    assert learned(tmp_path).warmth.days_learned == learned(tmp_path).run_time.days_learned == 2


def test_a_power_cut_loses_an_hour_at_most(tmp_path: Path) -> None:
    Hub(tmp_path).run(10.9 * HOUR_S, is_ended_well=False)
    assert learned(tmp_path).day.measured_s >= 9.9 * HOUR_S


def test_a_cut_at_each_operation_of_the_disk_leaves_the_old_or_the_new_state(tmp_path: Path) -> None:
    at, whole = 0, False
    while not whole:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        Hub(directory).run(2 * HOUR_S)
        cutter = Cutter(at)
        try:
            Hub(directory, began_utc_ms=SOLSTICE_MS + 2 * 3_600_000, inject=cutter).run(1.5 * HOUR_S)
            whole = cutter.operations < at
        except PowerCut:
            pass
        after = Hub(directory, began_utc_ms=SOLSTICE_MS + 4 * 3_600_000)
        after.run(60.0)
        assert after.service.problem == ""
        assert 1.9 * HOUR_S < learned(directory).day.measured_s < 3.6 * HOUR_S
    assert at > 5


def test_the_card_gets_one_write_an_hour(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.run(24 * HOUR_S)
    assert hub.writes.count(FILE_NAME) <= 25


def test_nothing_is_learned_without_the_time_nor_from_a_room_whose_temperature_is_unknown(tmp_path: Path) -> None:
    without = Hub(tmp_path / "a", began_utc_ms=None)
    without.run(30 * HOUR_S)
    assert without.service.records == {}
    assert "still learning: 0 of 14 days" in without.service.findings()["living"][1].evidence
    unknown = Hub(tmp_path / "b", zones={"living": None})
    unknown.run(30 * HOUR_S)
    assert unknown.service.findings()["living"][1].evidence.startswith("still learning: 0 of 14 days")


def test_a_machine_that_slept_counts_three_minutes_at_most(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.service.sample()
    hub.loop.run_until_complete(asyncio.sleep(10 * HOUR_S))
    hub.service.sample()
    assert hub.service.records["living"].day.measured_s == SAMPLE_S_MAX
    hub.loop.close()


def test_a_zone_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    Hub(tmp_path, zones={"living": 20.0, "attic": 20.0}).run(2 * HOUR_S)
    Hub(tmp_path).run(HOUR_S)
    assert set(kept(tmp_path).zones) == {"living"}


def test_a_damaged_file_is_reported_and_learned_anew(tmp_path: Path) -> None:
    Hub(tmp_path).run(2 * HOUR_S)
    for name in (FILE_NAME, f"{FILE_NAME}.copy"):
        (tmp_path / name).write_text('{"zones": 5')
    hub = Hub(tmp_path)
    hub.run(HOUR_S)
    assert "learns the usual behaviour of each zone anew" in hub.service.problem
    assert learned(tmp_path).day.measured_s == pytest.approx(HOUR_S, abs=120)


def most_pipes() -> PipeRecord:
    """Return the record of a pair that has met every operating state."""
    values = (-3.1234,) * BASELINE_DAYS
    drift = machine_drift.Drift(
        tuple(Baseline(100 + band, values, -0.1234) for band in range(BANDS_MAX)),
        59.123,
        SOLSTICE_MS,
        ((-0.1234, -12.123),) * machine_drift.RECENT_DAYS,
        ((-3.1234, -3.1234),) * machine_drift.RECENT_DAYS,
        SOLSTICE_MS,
    )
    return PipeRecord(
        (f"{1:064}", f"{2:064}"),
        SOLSTICE_MS,
        Steady(*(12345.678901234567,) * 8),
        tuple(PipeBandDay(PipeChannel.SPREAD, 100 + band, 288, -1234.1234) for band in range(DAY_BANDS_MAX)),
        drifts=tuple(PipeDrift(each, drift, -0.123) for each in PipeIndicator),
    )


def test_eight_zones_fit_the_file() -> None:
    number = -0.12345678901234567
    sizes = {"warmth": 4, "run_time": 3}
    drifts = {
        name: Drift(
            9999, (number,) * size, (number,) * (size * (size + 1) // 2), *(number,) * 2,
            (Sign(number, number, number, number),) * 3, (number,) * (size - 1),
            number, number, SOLSTICE_MS, SOLSTICE_MS,
            Mode((number,) * size, (number,) * (size * (size + 1) // 2)), number,
        )
        for name, size in sizes.items()
    }  # fmt: skip
    sensors = tuple((f"{number:064}", f"0x{number:016}") for number in range(16))
    day = DayInProgress(SOLSTICE_MS, *(12345.678901234567,) * 5, 999, 20.123456789, True)
    curve = b""
    for number in range(DAYS_MAX):
        curve = with_day(curve, CurveDay(20_000 + number, 12.34, 43.21))
    record = ZoneRecord(
        sensors,
        day,
        drifts["warmth"],
        drifts["run_time"],
        is_outdoor_missing=True,
        warmth_curve=curve,
        run_time_curve=curve,
        no_warming=NoWarming(SOLSTICE_MS, *(12345.678901234567,) * 4, is_reported=True),
        pipes=most_pipes(),
    )
    content = msgspec.json.encode(MaintenanceFile({f"{number:064}": record for number in range(8)}))
    assert len(content) < FILE_BYTES_MAX * 0.6
    assert json.loads(content)["zones"]


DAYS_LEARNED = 3


def serve(hub: Hub, *, zone: str = "living", indicator: str = "warmth") -> None:
    """Let a technician answer "serviced" a minute after the start of a process."""

    async def go() -> None:
        task = asyncio.get_running_loop().create_task(hub.service.run())
        await asyncio.sleep(60.0)
        try:
            await hub.service.answer(zone, indicator, Verdict.SERVICED, note="new filter", by="anna")
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    try:
        hub.loop.run_until_complete(go())
    finally:
        hub.loop.close()


def test_starts_are_counted_over_restarts_until_the_relay_was_serviced(tmp_path: Path) -> None:
    Hub(tmp_path).run(10.1 * HOUR_S)
    assert learned(tmp_path).switching.starts == 20
    store = tmp_path / FILE_NAME
    worn = msgspec.structs.replace(learned(tmp_path), switching=Switching(RATED_STARTS, 20))
    store.write_bytes(msgspec.json.encode(MaintenanceFile({"living": worn}, kept(tmp_path).restarts)))
    hub = Hub(tmp_path, began_utc_ms=SOLSTICE_MS + int(11 * HOUR_S * 1000))
    serve(hub, indicator=WearIndicator.SWITCHING.value)
    assert learned(tmp_path).switching.starts == 0
    again = Hub(tmp_path, began_utc_ms=SOLSTICE_MS + int(12 * HOUR_S * 1000))
    again.run(2.1 * HOUR_S)
    assert learned(tmp_path).switching.starts == 4
    # A relay that is replaced before that.
    serve(Hub(tmp_path, began_utc_ms=SOLSTICE_MS + int(15 * HOUR_S * 1000)), indicator=WearIndicator.SWITCHING.value)
    assert learned(tmp_path).switching.starts == 0
    assert [each.indicator for each in again.service.findings()["living"]] == ["warmth", "run_time"]


def test_a_service_begins_one_baseline_anew_also_where_the_power_is_cut_at_any_operation(tmp_path: Path) -> None:
    at, is_whole = 0, False
    while not is_whole:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        Hub(directory).run(DAYS_LEARNED * 24.1 * HOUR_S)
        begun = SOLSTICE_MS + 80 * 3_600_000
        cutter = Cutter(at)
        is_answered = False
        try:
            serve(Hub(directory, began_utc_ms=begun, inject=cutter))
            is_answered = True
            is_whole = cutter.operations < at
        except PowerCut:
            pass
        after = Hub(directory, began_utc_ms=begun + 3_600_000)
        after.run(60.0)
        answers = after.service.alerts.state.answers
        # The answer and the new baseline are there both, or neither.
        learned_days = (learned(directory).warmth.days_learned, learned(directory).run_time.days_learned)
        assert learned_days == (0 if answers else DAYS_LEARNED, DAYS_LEARNED), f"operation {at}"
        assert answers or not is_answered, f"operation {at}"
        # What is learned after it stays over a restart.
        Hub(directory, began_utc_ms=begun + 2 * 3_600_000).run(24.1 * HOUR_S)
        Hub(directory, began_utc_ms=begun + 30 * 3_600_000).run(60.0)
        assert learned(directory).warmth.days_learned == learned_days[0] + 1
        # The curve shows the days before and after.
        assert len(days_of(learned(directory).warmth_curve)) == DAYS_LEARNED + 1
    assert at > 8


def test_an_answer_has_what_was_known_and_needs_a_finding_and_the_time(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    serve(hub)
    (kept_answer,) = hub.service.alerts.state.answers
    assert (kept_answer.verdict, kept_answer.note, kept_answer.by) == (Verdict.SERVICED, "new filter", "anna")
    assert (kept_answer.confidence, kept_answer.features) == (None, ())
    assert kept_answer.evidence.startswith("still learning")
    with pytest.raises(UnknownDevice, match="climahub maintenance status"):
        serve(Hub(tmp_path), zone="attic")
    with pytest.raises(UnknownDevice):
        serve(Hub(tmp_path), indicator="noise")
    with pytest.raises(AnswerRefused, match="when the hub knows the time"):
        serve(Hub(tmp_path, began_utc_ms=None))


OLD_DRIFT = """{"baselines":[{"band":2,"values":[3.6,3.7],"season":0.9}],"cusum":59.0,"since_utc_ms":5,
    "recent":[[0.3,9.2]],"recent_values":[[3.5,3.8]],"last_utc_ms":1734772860000}"""


def test_a_file_of_a_release_with_operating_states_keeps_the_zone_and_learns_anew(tmp_path: Path) -> None:
    Hub(tmp_path).run(2 * HOUR_S)
    zone = json.loads((tmp_path / FILE_NAME).read_bytes())["zones"]["living"]
    zone["warmth"] = zone["run_time"] = json.loads(OLD_DRIFT)
    for name in (FILE_NAME, f"{FILE_NAME}.copy"):
        (tmp_path / name).write_text(json.dumps({"zones": {"living": zone}}))
    hub = Hub(tmp_path, began_utc_ms=SOLSTICE_MS + 2 * 3_600_000)
    hub.run(24 * HOUR_S)
    assert hub.service.problem == ""
    assert learned(tmp_path).warmth.days == 1
    assert learned(tmp_path).warmth.since_utc_ms is None


def test_the_hemisphere_is_asked_for_each_day(tmp_path: Path) -> None:
    hubs = [Hub(tmp_path / name, is_southern=name == "south") for name in ("north", "south")]
    for hub in hubs:
        hub.run(25 * HOUR_S)
    north, south = (hub.service.records["living"].warmth.state[0] for hub in hubs)
    assert exp(north - south) == pytest.approx((15.0 - FREE_K) / (15.0 - FREE_K - SUN_K), rel=0.01)


PAIR = PipePair(50.0, 41.0, ("supply", "return"))


def test_supply_and_return_are_learned_shown_and_kept_over_restarts(tmp_path: Path) -> None:
    hub = Hub(tmp_path, pair=PAIR)
    hub.run(36 * HOUR_S)
    pipes = learned(tmp_path).pipes
    assert {each.indicator: each.drift.days_learned for each in pipes.drifts} == dict.fromkeys(PipeIndicator, 1)
    found = hub.service.findings()["living"]
    assert [each.indicator for each in found] == ["warmth", "run_time", *PipeIndicator]
    again = Hub(tmp_path, began_utc_ms=SOLSTICE_MS + int(36.5 * HOUR_S * 1000), pair=PAIR)
    again.run(13 * HOUR_S)
    assert {each.drift.days_learned for each in learned(tmp_path).pipes.drifts} == {2}


def test_a_power_cut_loses_an_hour_of_supply_and_return_at_most(tmp_path: Path) -> None:
    Hub(tmp_path, pair=PAIR).run(10.9 * HOUR_S, is_ended_well=False)
    (spread,) = (each for each in learned(tmp_path).pipes.day if each.channel is PipeChannel.SPREAD)
    assert spread.readings >= 19


def test_supply_and_return_outlive_other_sensors_in_the_room_and_end_with_the_pair(tmp_path: Path) -> None:
    Hub(tmp_path, pair=PAIR).run(36 * HOUR_S)
    record = learned(tmp_path)
    other = observe(record, {"another": ""}, None, SOLSTICE_MS)
    assert (other.warmth, other.pipes) == (Drift(), record.pipes)
    Hub(tmp_path, began_utc_ms=SOLSTICE_MS + int(37 * HOUR_S * 1000)).run(2 * HOUR_S)
    assert learned(tmp_path).pipes == PipeRecord()


def test_an_answer_that_the_zone_was_serviced_begins_one_indicator_of_the_pair_anew(tmp_path: Path) -> None:
    hub = Hub(tmp_path, pair=PAIR)
    service = hub.service

    async def answer() -> None:
        await asyncio.sleep(36 * HOUR_S)
        await service.answer("living", "spread", Verdict.SERVICED, note="", by="anna")

    async def go() -> None:
        await asyncio.wait(
            {asyncio.ensure_future(service.run()), asking := asyncio.ensure_future(answer())}, timeout=37 * HOUR_S
        )
        asking.result()

    hub.loop.run_until_complete(go())
    hub.loop.close()
    assert {each.indicator for each in learned(tmp_path).pipes.drifts} == {"low_spread", "low_supply"}
    assert kept(tmp_path).restarts.keys() == {"living/spread"}
