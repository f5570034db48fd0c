import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.climate.model import Block, HoldKind, Mode, Schedule
from agent.climate.requests import ClimateRequest, EcoRequest, HoldRequest, PutScheduleRequest, SetRequest
from agent.facts.model import FactDraft, FactRefused, FactVersion
from agent.facts.retention import FactLimits
from agent.facts.service import FactService
from agent.facts.store import FactQuery, FactStore
from agent.facts.tables import FactFilter
from agent.foundation.disk import Disk, Operation
from agent.foundation.supervisor import cancel
from agent.foundation.worker import InlineWorker
from agent.home import fact_recorder, fact_texts
from agent.home.fact_recorder import CHANGES_MAX, FactRecorder
from agent.home.fact_texts import HUB_TENANT
from agent.maintenance.alert_service import MaintenanceAlerts
from agent.maintenance.alerts import Answer, Verdict
from agent.maintenance.assessment import Finding, FindingState
from agent.maintenance.indicators import Indicator
from agent.sensors.calibration import Offset
from agent.telemetry.intake import ChannelState
from hal.interface import HUB, SensorKind
from tests.unit.home.home_bench import HomeBench
from tests.unit.power_cut import Cutter, PowerCut

pytestmark = pytest.mark.usefixtures("closed_connections")


class RecorderBench:
    """A home, its facts and the recorder, over several processes."""

    def __init__(self, directory: Path) -> None:
        self.home = HomeBench(directory)
        self.directory = directory
        self.disk = Disk()
        self.start()

    def start(self, disk: Disk | None = None) -> None:
        self.disk = disk or self.disk
        self.facts = FactService(
            self.directory,
            clock=self.home.clock,
            disk=self.disk,
            worker=InlineWorker(),
            random_bits=random.Random(self.home.clock.now_ms).getrandbits,
            add_fault=lambda _: None,
            limits=FactLimits(disk_free_bytes_min=0),
        )
        self.recorder = FactRecorder(self.home.home, self.facts, clock=self.home.clock)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.facts.run())
            await self.facts.wait_until_open()
            yield
            await cancel([task])
        await self.facts.close()

    def apply(self, request: ClimateRequest, by: str = "anna") -> None:
        self.home.home.thermostats.apply("living", request, by=by)

    async def facts_about(self, subject: str, *, has_ended: bool = True) -> list[FactVersion]:
        query = FactQuery(FactFilter((HUB_TENANT,)), 1000, has_superseded=has_ended)
        shown = await self.facts.use(lambda store, utc_ms: store.shown(query, utc_ms=utc_ms))
        return [version for version in reversed(shown) if version.fact.subject == subject]

    async def texts_about(self, subject: str, *, has_ended: bool = True) -> list[str]:
        return [version.fact.text for version in await self.facts_about(subject, has_ended=has_ended)]


@pytest.fixture
def bench(tmp_path: Path) -> RecorderBench:
    return RecorderBench(tmp_path)


async def test_each_setpoint_is_a_fact_with_who_set_it_and_when(bench: RecorderBench) -> None:
    async with bench.open():
        await bench.recorder.write(is_look=True)
        begun_ms = bench.home.clock.utc_ms()
        for setpoint_c, by in ((21.0, "anna"), (22.0, "api:amps/bert")):
            bench.home.advance(5)
            bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=setpoint_c), by)
        bench.home.advance(30)
        await bench.recorder.write(is_look=True)
        first, second, third = await bench.facts_about("living/setpoints")
        assert "heat to 21 °C" in second.fact.text
        assert "heat to 22 °C" in third.fact.text
        assert (second.fact.author, third.fact.author) == ("anna", "api:amps/bert")
        assert begun_ms is not None
        assert (second.fact.valid_from_ms, third.fact.valid_from_ms) == (begun_ms + 5000, begun_ms + 10_000)
        assert (first.valid_to_ms, second.valid_to_ms) == (begun_ms + 5000, begun_ms + 10_000)
        assert second.superseded_by == third.fact.id


async def test_what_changed_while_the_hub_was_off_becomes_a_fact_and_the_rest_does_not(bench: RecorderBench) -> None:
    async with bench.open():
        await bench.recorder.write(is_look=True)
        everything = len(await bench.facts.use(all_of))
    bench.apply(EcoRequest(is_enabled=True))
    bench.start()
    async with bench.open():
        bench.home.advance(3600)
        await bench.recorder.write(is_look=True)
        off, on = await bench.texts_about("living/eco")
        assert (off, on[: len("living: eco is on")]) == ("living: eco is off.", "living: eco is on")
        assert len(await bench.facts.use(all_of)) == everything + 2, "eco, and the setpoints that it changes"


async def test_a_hold_ends_with_nothing_in_its_place(bench: RecorderBench) -> None:
    async with bench.open():
        bench.apply(SetRequest(mode=Mode.HEAT))
        bench.apply(HoldRequest(HoldKind.BOOST, heat_setpoint_c=25.0, id="b", for_s=600))
        await bench.recorder.write(is_look=True)
        assert await bench.texts_about("living/hold/boost", has_ended=False) == ["living: boost: heat to 25 °C."]
        bench.home.advance(700)
        await bench.recorder.write(is_look=True)
        assert await bench.texts_about("living/hold/boost", has_ended=False) == []
        assert len(await bench.texts_about("living/hold/boost")) == 1


async def test_changes_before_the_time_is_known_wait_and_get_their_instants(bench: RecorderBench) -> None:
    utc_ms = bench.home.clock.utc
    assert utc_ms is not None
    async with bench.open():
        await bench.recorder.write(is_look=True)
        bench.home.clock.utc = None
        bench.home.advance(10)
        bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=23.0))
        await bench.recorder.write(is_look=True)
        bench.home.advance(50)
        bench.home.clock.utc = utc_ms + 60_000
        await bench.recorder.write(is_look=True)
        fact = (await bench.facts_about("living/setpoints"))[-1].fact
        assert (fact.valid_from_ms, fact.author) == (utc_ms + 10_000, "anna")


async def test_what_the_disk_does_not_take_waits_in_memory_up_to_its_limit(bench: RecorderBench) -> None:
    async with bench.open():
        await bench.recorder.write(is_look=True)
        bench.disk.on_operation = refuse
        for number in range(CHANGES_MAX + 10):
            bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=20.0 + number % 2))
        await bench.recorder.write(is_look=True)
        assert bench.recorder.lost_count == 9, "the first of them changed nothing"
        bench.disk.on_operation = allow
        await bench.recorder.write(is_look=True)
        facts = await bench.texts_about("living/setpoints")
        assert "heat to 21 °C" in facts[-1]
        assert 900 < len(facts) <= CHANGES_MAX + 2


@pytest.mark.parametrize("name", ["Nacht\u00a0plan", "Nacht\u200bplan", "Nacht\u3000plan"])
@pytest.mark.parametrize("by", ["anna", "an\u00a0na", "\u3000" * 200])
async def test_no_name_stops_the_recorder(bench: RecorderBench, name: str, by: str) -> None:
    async with bench.open():
        bench.apply(
            PutScheduleRequest(Schedule(name, (Block("Day", "06:00", "22:00", 21.0, 26.0),)), is_followed=False), by
        )
        bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=23.5), by)
        await bench.recorder.write(is_look=True)
        assert bench.recorder.refused_count == 0
        assert not bench.recorder._waiting
        assert "heat to 23.5 °C" in (await bench.texts_about("living/setpoints"))[-1]
        texts = [version.fact.text for version in await bench.facts.use(in_force_of)]
        assert sum("the schedule" in text for text in texts) == 1


async def test_a_change_that_the_store_refuses_is_left_out_and_counted(
    bench: RecorderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = FactDraft("", subject="living/mode")
    several = fact_texts.facts_of_change
    monkeypatch.setattr(fact_recorder, "facts_of_change", lambda *what: [bad, *several(*what)])
    async with bench.open():
        bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=23.5))
        await bench.recorder.write(is_look=False)
        assert bench.recorder.refused_count == 1
        assert not bench.recorder._waiting
        assert "heat to 23.5 °C" in (await bench.texts_about("living/setpoints"))[-1]


async def test_a_service_visit_that_the_store_refuses_is_refused(
    bench: RecorderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_recorder, "fact_of_visit", lambda *_: FactDraft("", subject="hub.0/visit"))
    async with bench.open():
        with pytest.raises(FactRefused, match="give the fact a text"):
            await bench.recorder.record_visit("filter changed", zone_id="", at=None, by="anna")


async def test_more_changes_than_memory_holds_are_written_in_between(
    bench: RecorderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_recorder, "CHANGES_MAX", 20)
    async with bench.open():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bench.recorder.run())
            for number in range(100):
                bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=20.0 + number % 2))
                for _ in range(20):
                    await asyncio.sleep(0)
            await cancel([task])
        assert bench.recorder.lost_count == 0
        assert len(await bench.texts_about("living/setpoints")) >= 99


async def test_two_writes_at_a_time_leave_out_no_change_that_comes_meanwhile(
    bench: RecorderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = bench.facts.use

    async def slow_use(work: Any) -> Any:  # noqa: ANN401 - as FactService.use
        for _ in range(5):
            await asyncio.sleep(0)
        return await use(work)

    async with bench.open():
        await bench.recorder.write(is_look=True)
        monkeypatch.setattr(bench.facts, "use", slow_use)
        bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=23.0))
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(bench.recorder.write(is_look=False))
            await asyncio.sleep(0)
            bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=24.0))
        await bench.recorder.write(is_look=False)
        assert "heat to 24 °C" in (await bench.texts_about("living/setpoints"))[-1]


async def test_the_loop_writes_what_is_in_memory_when_it_ends(
    bench: RecorderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_recorder, "START_S", 0.0)
    async with bench.open():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bench.recorder.run())
            for _ in range(20):
                await asyncio.sleep(0)
            bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=23.5))
            await cancel([task])
        assert "heat to 23.5 °C" in (await bench.texts_about("living/setpoints"))[-1]


async def test_a_power_cut_before_any_operation_leaves_one_fact_in_force_for_each_subject(tmp_path: Path) -> None:
    at, is_done = 0, False
    while not is_done:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        bench = RecorderBench(directory)
        bench.start(Disk(Cutter(at)))
        with contextlib.suppress(PowerCut, BaseExceptionGroup):
            async with bench.open():
                await change_twice(bench)
                is_done = True
        bench.start(Disk())
        async with bench.open():
            await bench.recorder.write(is_look=True)
            in_force = [version.fact.subject for version in await bench.facts.use(in_force_of)]
            assert len(in_force) == len(set(in_force)), f"operation {at}"
            zone = bench.home.home.thermostats.get("living")
            (present,) = await bench.texts_about("living/setpoints", has_ended=False)
            assert f"heat to {zone.heat_setpoint_c:g} °C" in present, f"operation {at}"
    assert at > 3


async def change_twice(bench: RecorderBench) -> None:
    for setpoint_c in (21.0, 22.0):
        bench.apply(SetRequest(mode=Mode.HEAT, heat_setpoint_c=setpoint_c))
    for setpoint_c in (21.0, 22.0):
        bench.apply(SetRequest(heat_setpoint_c=setpoint_c))
        await bench.recorder.write(is_look=True)


def refuse(operation: Operation, target: str) -> None:
    raise OSError(5, "broken")


def allow(operation: Operation, target: str) -> None:
    """Nothing."""


async def all_of(store: FactStore, utc_ms: int) -> list[FactVersion]:
    return await store.shown(FactQuery(FactFilter((HUB_TENANT,)), 9999, has_superseded=True), utc_ms=utc_ms)


async def in_force_of(store: FactStore, utc_ms: int) -> list[FactVersion]:
    return await store.shown(FactQuery(FactFilter((HUB_TENANT,)), 9999), utc_ms=utc_ms)


async def test_calibration_is_a_fact_until_it_is_cleared(tmp_path: Path) -> None:
    bench = RecorderBench(tmp_path)
    offsets = {SensorKind.TEMPERATURE: Offset(0.4, "anna")}
    bench.home.home.devices._offset_of = lambda _device, _sensor, kind: offsets.get(kind)
    key = (HUB, "room", SensorKind.TEMPERATURE)
    bench.home.channels[key] = ChannelState()
    async with bench.open():
        await bench.recorder.write(is_look=True)
        (fact,) = await bench.facts_about("hub.0/calibration/room")
        assert (fact.fact.author, "+0.4 °C" in fact.fact.text) == ("anna", True)
        offsets.clear()
        await bench.recorder.write(is_look=True)
        assert await bench.texts_about("hub.0/calibration/room", has_ended=False) == []


def watched(bench: RecorderBench) -> MaintenanceAlerts:
    """Return the alerts of predictive maintenance of a home, as they are after a start."""
    return MaintenanceAlerts(
        bench.directory,
        clock=bench.home.clock,
        disk=bench.disk,
        worker=InlineWorker(),
        new_id=lambda: "1",
        add_fault=lambda _: None,
        remove_fault=lambda _: None,
    )


async def test_an_alert_and_its_answer_are_facts_with_their_times_once_also_after_a_restart(
    bench: RecorderBench,
) -> None:
    alerts = bench.home.home.alerts = watched(bench)
    await alerts.load()
    bench.start()
    async with bench.open():
        finding = Finding(Indicator.WARMTH, FindingState.NEEDED, 0.9, "31 % more run time", None, 0.2)
        await alerts.review({"living": [finding]})
        begun_ms = bench.home.clock.utc_ms()
        assert begun_ms is not None
        for _ in range(2):
            bench.home.advance(60)
            await bench.recorder.write(is_look=True)
        (version,) = await bench.facts_about("living/maintenance/warmth")
        assert version.fact.text == (
            "living: maintenance is needed: less heat from the same run time: 31 % more run time."
        )
        assert (version.fact.valid_from_ms, version.valid_to_ms) == (begun_ms, None)
        answered_ms = bench.home.clock.utc_ms()
        assert answered_ms is not None
        made = Answer("living", "warmth", Verdict.NOTHING_FOUND, "filter is clean", "anna", answered_ms)
        await alerts.answer(made, shift=0.2)
        bench.home.advance(60)
        await bench.recorder.write(is_look=True)
    alerts = bench.home.home.alerts = watched(bench)
    await alerts.load()
    bench.start()
    async with bench.open():
        bench.home.advance(60)
        await bench.recorder.write(is_look=True)
        (version,) = await bench.facts_about("living/maintenance/warmth")
        assert (version.fact.author, version.valid_to_ms) == ("hub", answered_ms)
        (answer,) = await bench.facts_about("living/maintenance/warmth/answer")
        assert "a technician answered nothing-found about warmth on " in answer.fact.text
        assert answer.fact.text.endswith(": filter is clean.")
        assert (answer.fact.author, answer.fact.valid_from_ms, answer.valid_to_ms) == ("anna", answered_ms, None)


async def test_a_new_alert_is_written_without_waiting_for_the_next_look(bench: RecorderBench) -> None:
    alerts = bench.home.home.alerts = watched(bench)
    await alerts.load()
    bench.start()
    assert not bench.recorder._due.is_set
    finding = Finding(Indicator.WARMTH, FindingState.NEEDED, 0.9, "31 % more run time", None, 0.2)
    await alerts.review({"living": [finding]})
    assert bench.recorder._due.is_set
