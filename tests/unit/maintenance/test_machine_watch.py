"""The machines of one hub: kept over restarts and power cuts, bounded, and fair to those who post."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from agent.foundation.disk import Disk, Operation
from agent.foundation.phrase import parts
from agent.foundation.worker import InlineWorker
from agent.maintenance.alert_service import MaintenanceAlerts
from agent.maintenance.alerts import Verdict
from agent.maintenance.assessment import FindingState
from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.machine_assessment import (
    DAY_MS,
    MachineRecord,
)
from agent.maintenance.machine_drift import BASELINE_DAYS, RECENT_DAYS, MachineModel
from agent.maintenance.machine_readings import (
    Channel,
    EnergyPost,
    MachineIndicator,
    VibrationPost,
    ZoneState,
)
from agent.maintenance.machine_watch import (
    FILE_NAME,
    MachineWatch,
)
from agent.maintenance.service import MaintenanceService, PlugEvidence, ZoneEvidence
from tests.unit.power_cut import Cutter, PowerCut

SURE = MappingProxyType({each: MachineModel(-4.0, (1.0, 1.0, 1.0), 0.1) for each in MachineIndicator})
ZONES = tuple(f"zone {number}" for number in range(8))


class Hub:
    """A hub with eight zones at a time that the test sets."""

    boot_id = "b"

    def __init__(self, directory: Path, *, inject: Callable[[Operation, str], None] | None = None) -> None:
        self.now_ms: int | None = SOLSTICE_MS
        self.zones: tuple[str, ...] = ZONES
        self.disk = Disk(inject) if inject else Disk()
        self.watch = MachineWatch(
            directory, states=self.states, models=SURE, clock=self, disk=self.disk, worker=InlineWorker()
        )

    def monotonic_ms(self) -> int:
        return 0

    def utc_ms(self) -> int | None:
        return self.now_ms

    def states(self) -> Mapping[str, ZoneState]:
        return {each: ZoneState(1, 5.0) for each in self.zones}

    def post(self, zone_id: str, source: str, current_a: float = 4.0) -> None:
        assert self.now_ms is not None
        self.watch.add(zone_id, source, EnergyPost(self.now_ms, 5, 230.0, current_a))

    def days(self, days: int, zone_id: str = "zone 0", source: str = "client", current_a: float = 4.0) -> None:
        for _ in range(days):
            for _ in range(3):
                self.post(zone_id, source, current_a)
                self.now_ms = (self.now_ms or 0) + 300_000
            self.now_ms = (self.now_ms or 0) + DAY_MS - 900_000


def loaded(directory: Path) -> Hub:
    hub = Hub(directory)
    asyncio.run(hub.watch.load())
    return hub


def owners(hub: Hub) -> list[tuple[str, str]]:
    return [(each.zone_id, each.source) for each in hub.watch.records]


def test_what_was_learned_goes_on_after_a_restart(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    hub.days(10)
    asyncio.run(hub.watch.save())
    again = loaded(tmp_path)
    assert again.watch.records == hub.watch.records != ()
    again.now_ms = hub.now_ms
    again.days(BASELINE_DAYS + RECENT_DAYS + 1 - 10)
    assert [each.state for each in again.watch.findings()["zone 0"]] == [FindingState.USUAL] * 2


def test_a_cut_at_each_operation_of_the_disk_leaves_the_old_or_the_new_state(tmp_path: Path) -> None:
    at, whole = 0, False
    while not whole:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        old = loaded(directory)
        old.days(3)
        asyncio.run(old.watch.save())
        cutter = Cutter(at)
        hub = Hub(directory, inject=cutter)
        try:
            asyncio.run(hub.watch.load())
            hub.now_ms = old.now_ms
            hub.days(3)
            new = hub.watch.records
            asyncio.run(hub.watch.save())
            whole = cutter.operations < at
        except PowerCut:
            pass
        after = loaded(directory)
        assert after.watch.problem == ""
        assert after.watch.records in ({old.watch.records, new} if at > 1 else {old.watch.records})
    assert after.watch.records == new
    assert at > 5


def test_a_damaged_file_is_reported_and_learned_anew(tmp_path: Path) -> None:
    for name in (FILE_NAME, f"{FILE_NAME}.copy"):
        (tmp_path / name).write_text('{"machines": 5')
    hub = loaded(tmp_path)
    assert "learns the usual behaviour of each machine anew" in hub.watch.problem
    hub.days(2)
    assert len(hub.watch.records) == 1


def test_nothing_is_learned_before_the_file_is_read_nor_without_the_time(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.days(2)
    assert hub.watch.records == ()
    asyncio.run(hub.watch.save())
    assert not (tmp_path / FILE_NAME).exists()
    asyncio.run(hub.watch.load())
    hub.now_ms = None
    assert "does not know the time" in hub.watch.add("zone 0", "client", EnergyPost(SOLSTICE_MS, 5, 230.0, 4.0))
    assert hub.watch.records == ()


def test_a_post_that_says_nothing_makes_no_machine(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    fine = EnergyPost(SOLSTICE_MS, 5, 230.0, 4.0)
    for post, reason in (
        (EnergyPost(SOLSTICE_MS, 0, 230.0, 4.0), "the machine did not run"),
        (VibrationPost(SOLSTICE_MS, 0.0, 50.0), "the machine did not run"),
        (EnergyPost(0, 5, 230.0, 4.0), "more than 26 hours ago"),
    ):
        assert reason in hub.watch.add("zone 0", "client", post)
    assert hub.watch.records == ()
    assert hub.watch.add("zone 0", "client", fine) == ""
    assert "30 seconds" in hub.watch.add("zone 0", "client", fine)


def test_two_who_post_for_a_zone_are_two_machines_of_which_the_worse_is_shown(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    hub.days(BASELINE_DAYS + RECENT_DAYS, source="fine")
    hub.now_ms = SOLSTICE_MS
    hub.days(BASELINE_DAYS, source="ill", current_a=10.0)
    for day in range(30):
        hub.days(1, source="ill", current_a=10.0 * (1.0 + 0.01 * day))
    high, low = hub.watch.findings()["zone 0"]
    assert (high.indicator, high.state) == (MachineIndicator.CURRENT, FindingState.NEEDED)
    assert high.evidence.startswith("machine 2 of 2: draws 12.")
    assert parts([high.evidence])[high.evidence].key == "machine {number} of {machines}: {evidence}"
    assert low.state is FindingState.USUAL
    hub.watch.add("zone 0", "ill", EnergyPost(hub.now_ms, 5, 230.0, 12.0), "cellar-meter")
    asyncio.run(hub.watch.save())
    again = loaded(tmp_path)
    again.now_ms = hub.now_ms
    named = again.watch.findings()["zone 0"][0].evidence
    assert named.startswith("machine of cellar-meter: draws 12.")
    assert parts([named])[named].key == "machine of {name}: {evidence}"


def test_a_zone_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    hub = loaded(tmp_path)
    hub.post("zone 0", "client")
    hub.post("zone 1", "client")
    hub.zones = ("zone 1",)
    asyncio.run(hub.watch.save())
    assert owners(hub) == owners(loaded(tmp_path)) == [("zone 1", "client")]


def service_of(
    directory: Path, hub: Hub, *, zones: tuple[str, ...] = ("zone 0",), plug: PlugEvidence | None = None
) -> MaintenanceService:
    """Return the service with a hub's machines and these heated zones."""
    worker, ids = InlineWorker(), itertools.count(1)
    alerts = MaintenanceAlerts(
        directory,
        clock=hub,
        disk=hub.disk,
        worker=worker,
        new_id=lambda: str(next(ids)),
        add_fault=print,
        remove_fault=print,
    )
    return MaintenanceService(
        directory,
        evidence=lambda: [ZoneEvidence(zone, {"own": ""}, 20.0, 5.0, 0.5, plug=plug) for zone in zones],
        models={},
        alerts=alerts,
        clock=hub,
        disk=hub.disk,
        worker=worker,
        machines=hub.watch,
    )


async def running(service: MaintenanceService, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work while the service runs, and let the service write at the end."""
    task = asyncio.create_task(service.run())
    await service.alerts.wait_until_loaded()
    try:
        await work()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await service.save()


@pytest.mark.parametrize("zones", [("zone 0",), ()], ids=["heated", "not heated"])
def test_the_service_shows_and_keeps_them_with_the_rest(tmp_path: Path, zones: tuple[str, ...]) -> None:
    hub = Hub(tmp_path)
    service = service_of(tmp_path, hub, zones=zones)

    async def post() -> None:
        hub.days(2)

    asyncio.run(running(service, post))
    found = service.findings()["zone 0"]
    assert [each.indicator for each in found] == [*(["warmth", "run_time"] if zones else []), "current", "low_current"]
    assert loaded(tmp_path).watch.records == hub.watch.records != ()


def test_what_a_plug_measures_is_a_machine_of_its_zone_and_each_value_counts_once(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    service = service_of(tmp_path, hub, plug=PlugEvidence("0x1", 950.0, -60_000))

    async def live() -> None:
        hub.post("zone 0", "client")
        for _ in range(3):
            service.sample()

    asyncio.run(running(service, live))
    posted, plug = loaded(tmp_path).watch.records
    assert (posted.source, plug.source, plug.name) == ("client", "plug 0x1", "the plug")
    assert (posted.is_own, plug.is_own) == (False, True)
    assert hub.now_ms is not None
    assert plug.power_utc_ms == hub.now_ms - 60_000
    assert [(each.channel, each.seen) for each in plug.day] == [(Channel.POWER, 1)]
    indicators = [each.indicator for each in service.findings()["zone 0"]]
    assert indicators[2:] == ["current", "low_current", "power", "low_power"]


def worsen(hub: Hub, current_a: float, *, days: int = 30) -> float:
    """Post a current that grows by a hundredth a day; return the last one."""
    for _ in range(days):
        current_a *= 1.01
        hub.days(1, current_a=current_a)
    return current_a


def test_the_alert_of_a_machine_is_raised_answered_muted_and_returns(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    service = service_of(tmp_path, hub)

    def is_open() -> list[bool]:
        return [each.is_open for each in service.alerts.state.alerts if each.indicator == "current"]

    async def live() -> None:
        hub.days(BASELINE_DAYS + RECENT_DAYS, current_a=10.0)
        current_a = worsen(hub, 10.0)
        await service.alerts.review(service.findings())
        assert is_open() == [True]
        made = await service.answer("zone 0", "current", Verdict.NOTHING_FOUND, note="", by="anna")
        assert (made.evidence[:8], len(made.features)) == ("draws 13", 3)
        hub.days(3, current_a=current_a)
        await service.alerts.review(service.findings())
        assert is_open() == [False]
        current_a = worsen(hub, current_a)
        await service.alerts.review(service.findings())
        assert is_open() == [False, True]
        await service.answer("zone 0", "current", Verdict.SERVICED, note="", by="anna")
        assert is_open() == [False, False]
        (_, _, anew, low) = service.findings()["zone 0"]
        assert (anew.state, anew.evidence[:23]) == (FindingState.UNKNOWN, "still learning: 0 of 14")
        assert low.state is FindingState.USUAL
        hub.days(BASELINE_DAYS + RECENT_DAYS, current_a=current_a)
        await service.alerts.review(service.findings())
        assert is_open() == [False, False]
        worsen(hub, current_a)
        await service.alerts.review(service.findings())
        assert is_open() == [False, False, True]

    asyncio.run(running(service, live))


def test_a_service_begins_a_machine_anew_also_where_the_power_is_cut_at_any_operation(tmp_path: Path) -> None:
    at, is_whole = 0, False
    while not is_whole:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        before = loaded(directory)
        before.days(3, zone_id="zone 1")
        before.days(3)
        asyncio.run(before.watch.save())
        cutter = Cutter(at)
        hub = Hub(directory, inject=cutter)
        hub.now_ms = before.now_ms
        service = service_of(directory, hub)

        async def answer(service: MaintenanceService = service) -> None:
            await service.answer("zone 0", "current", Verdict.SERVICED, note="", by="anna")

        is_answered = False
        try:
            asyncio.run(running(service, answer))
            is_answered = True
            is_whole = cutter.operations < at
        except PowerCut:
            pass
        after = Hub(directory)
        after.now_ms = before.now_ms
        restarted = service_of(directory, after)

        async def learn(hub: Hub = after) -> None:
            hub.days(3)

        asyncio.run(running(restarted, learn))
        # What is learned after it stays over another start.
        asyncio.run(running(service_of(directory, Hub(directory)), nothing))
        is_kept = bool(restarted.alerts.state.answers)
        assert is_kept or not is_answered, f"operation {at}"
        other, served = sorted(loaded(directory).watch.records, key=lambda each: each.zone_id, reverse=True)
        assert learned_days(served) == (3 if is_kept else 5, 5), f"operation {at}"
        assert learned_days(other) == (2, 2), f"operation {at}"
    assert at > 5


async def nothing() -> None:
    """Do nothing."""


def learned_days(record: MachineRecord) -> tuple[int, int]:
    """Return how many days of the current when it rises, and when it falls, were learned."""
    rising, falling = (record.drift(each).drift for each in (MachineIndicator.CURRENT, MachineIndicator.LOW_CURRENT))
    return rising.days_learned, falling.days_learned
