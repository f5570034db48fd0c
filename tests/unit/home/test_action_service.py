"""Actions through the real control and the real files: each is carried out once, whatever power cuts do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from agent.climate.model import HoldKind, Mode
from agent.climate.requests import HoldRequest, PutScheduleRequest, ResumeRequest, SetRequest
from agent.errors import SettingInvalid, StorageFull, UnknownDevice
from agent.foundation import rfc3339
from agent.foundation.disk import Operation, allow_operation
from agent.home import action_service
from agent.home.action_admission import ActionRefused, ActionRequest, OnConflict, Refusal
from agent.home.actions import ActionState, Command, HomeAction
from tests.unit.home.home_bench import NOON_MS, HomeBench
from tests.unit.home.test_changes import WEEK
from tests.unit.power_cut import Cutter, PowerCut

HOUR_S = 3600
HOUR_MS = 3_600_000
OPERATIONS = 70
"""More than the sweep takes."""


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    made = HomeBench(tmp_path)
    made.listen()
    return made


@contextlib.asynccontextmanager
async def running(bench: HomeBench) -> AsyncIterator[None]:
    """Run the actions of the present process."""
    task = asyncio.get_running_loop().create_task(bench.home.actions.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the loop under test has no event for it
            await asyncio.sleep(0)


def heat(value_c: float = 22.0, **changed: object) -> ActionRequest:
    request = ActionRequest(zone_id="living", command=Command.HEAT, heat_setpoint_c=value_c, by="amps")
    return msgspec.structs.replace(request, **changed)


def window(start_s: float = HOUR_S, end_s: float = 2 * HOUR_S, value_c: float = 22.0) -> ActionRequest:
    return heat(value_c, start_utc_ms=NOON_MS + round(start_s * 1000), end_utc_ms=NOON_MS + round(end_s * 1000))


def setpoint_c(bench: HomeBench) -> float:
    return bench.home.thermostats.get("living").heat_setpoint_c


async def carry_out(bench: HomeBench, action: HomeAction) -> HomeAction:
    """Look for what is due, and return the action afterwards."""
    await bench.home.actions.carry_out()
    return await bench.home.actions.get(action.action_id)


async def test_an_immediate_action(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(heat())
        assert action.state is ActionState.ACKNOWLEDGED
        await until(lambda: bench.home.actions.latest("living").state is ActionState.COMPLETED)  # type: ignore[union-attr]
    assert setpoint_c(bench) == 22.0
    told = bench.take_heard()
    assert [(kind, by) for kind, _, _, _, by in told] == [
        ("hold_begun", "amps"),
        ("setpoints", "amps"),
        ("action_settled", "amps"),
    ]
    assert bench.home.actions.latest("bath") is None


async def test_a_scheduled_action_begins_at_its_time(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(heat(start_utc_ms=NOON_MS + HOUR_MS))
        assert (await carry_out(bench, action)).state is ActionState.SCHEDULED
        bench.clock.advance(HOUR_S - 1)
        assert (await carry_out(bench, action)).state is ActionState.SCHEDULED
        bench.clock.advance(1)
        action = await carry_out(bench, action)
    assert (action.state, action.acknowledged_utc_ms) == (ActionState.COMPLETED, NOON_MS + HOUR_MS)
    assert setpoint_c(bench) == 22.0


async def test_a_window_goes_back_to_the_hold_before(bench: HomeBench) -> None:
    bench.home.thermostats.apply("living", HoldRequest(heat_setpoint_c=18.0, id="mine"), by="anna")
    async with running(bench):
        action = await bench.home.actions.push(window())
        bench.advance(HOUR_S)
        assert (await carry_out(bench, action)).state is ActionState.COMPLETED
        assert setpoint_c(bench) == 22.0
        bench.advance(HOUR_S - 1)
        assert setpoint_c(bench) == 22.0
        bench.advance(1)
    assert setpoint_c(bench) == 18.0


async def test_a_window_goes_back_to_the_schedule(bench: HomeBench) -> None:
    bench.home.thermostats.apply("living", PutScheduleRequest(WEEK), by="anna")
    async with running(bench):
        action = await bench.home.actions.push(window(value_c=25.0, end_s=10 * HOUR_S))
        bench.advance(HOUR_S)
        await carry_out(bench, action)
        assert setpoint_c(bench) == 25.0
        bench.advance(9 * HOUR_S)
    assert setpoint_c(bench) == 17.0


async def test_a_window_ends_while_the_hub_is_off(bench: HomeBench) -> None:
    bench.home.thermostats.apply("living", HoldRequest(heat_setpoint_c=18.0, id="mine"), by="anna")
    async with running(bench):
        action = await bench.home.actions.push(window())
        bench.advance(HOUR_S)
        await carry_out(bench, action)
    bench.clock.boot_id = "boot 2"
    bench.clock.advance(5 * HOUR_S)
    bench.start()
    assert setpoint_c(bench) == 18.0
    async with running(bench):
        assert (await carry_out(bench, action)).state is ActionState.COMPLETED
    assert setpoint_c(bench) == 18.0


@pytest.mark.parametrize("request_", [HoldRequest(heat_setpoint_c=16.0, id="hers"), ResumeRequest()])
async def test_a_window_undoes_nothing_that_a_person_changed_since(
    bench: HomeBench, request_: HoldRequest | ResumeRequest
) -> None:
    async with running(bench):
        action = await bench.home.actions.push(window())
        bench.advance(HOUR_S)
        await carry_out(bench, action)
        bench.home.thermostats.apply("living", request_, by="anna")
        expected_c = setpoint_c(bench)
        for _ in range(3):
            bench.advance(HOUR_S)
            await carry_out(bench, action)
            assert setpoint_c(bench) == expected_c


async def test_a_hub_that_was_off_at_the_start_begins_late(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(window())
    bench.clock.advance(1.5 * HOUR_S)
    bench.start()
    async with running(bench):
        assert (await carry_out(bench, action)).state is ActionState.COMPLETED
    assert setpoint_c(bench) == 22.0
    bench.advance(0.5 * HOUR_S)
    assert setpoint_c(bench) == 20.0


async def test_a_hub_that_was_off_for_the_whole_window_says_so(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(window())
    bench.clock.advance(2 * HOUR_S)
    bench.start()
    async with running(bench):
        action = await carry_out(bench, action)
    assert (action.state, action.problem) == (ActionState.FAILED, action_service.TIME_PASSED)
    assert setpoint_c(bench) == 20.0


async def test_a_boot_that_does_not_know_the_time_waits(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(window())
    bench.clock.advance(1.5 * HOUR_S)
    known_ms, bench.clock.utc = bench.clock.utc, None
    bench.start()
    async with running(bench):
        assert (await carry_out(bench, action)).state is ActionState.SCHEDULED
        with pytest.raises(ActionRefused) as caught:
            await bench.home.actions.push(heat(start_utc_ms=NOON_MS + 5 * HOUR_MS))
        assert caught.value.refusal is Refusal.TIME_UNKNOWN
        bench.clock.utc = known_ms
        assert (await carry_out(bench, action)).state is ActionState.COMPLETED


async def test_an_immediate_action_without_the_time(bench: HomeBench) -> None:
    bench.clock.utc = None
    async with running(bench):
        action = await bench.home.actions.push(heat())
        await until(lambda: bench.home.actions.latest("living").state is ActionState.COMPLETED)  # type: ignore[union-attr]
    assert setpoint_c(bench) == 22.0
    assert action.created_utc_ms is None


async def test_follow_schedule_ends_the_actions_hold(bench: HomeBench) -> None:
    async with running(bench):
        await carry_out(bench, await bench.home.actions.push(heat()))
        follow = ActionRequest(zone_id="living", command=Command.FOLLOW_SCHEDULE, by="amps")
        await carry_out(bench, await bench.home.actions.push(follow))
    assert bench.home.thermostats.get("living").holds == ()
    assert setpoint_c(bench) == 20.0


async def test_a_stronger_hold_is_named(bench: HomeBench) -> None:
    async with running(bench):
        bench.home.thermostats.apply("living", HoldRequest(kind=HoldKind.AWAY, id="gone"), by="anna")
        action = await carry_out(bench, await bench.home.actions.push(heat()))
    assert action.state is ActionState.COMPLETED
    assert "away gone" in action.note


async def test_what_the_zone_cannot_do_is_refused(bench: HomeBench) -> None:
    async with running(bench):
        with pytest.raises(SettingInvalid, match="cannot do cool"):
            await bench.home.actions.push(ActionRequest(zone_id="bath", command=Command.COOL, cool_setpoint_c=25.0))
        with pytest.raises(UnknownDevice):
            await bench.home.actions.push(ActionRequest(zone_id="attic", command=Command.IDLE))
        assert await bench.home.actions.page() == []


async def test_cancelling_and_replacing_are_told(bench: HomeBench) -> None:
    async with running(bench):
        first = await bench.home.actions.push(window())
        second = await bench.home.actions.push(
            heat(start_utc_ms=NOON_MS + HOUR_MS, on_conflict=OnConflict.CANCEL_AND_REPLACE)
        )
        await bench.home.actions.cancel(second.action_id)
    settled = [new for kind, _, _, new, _ in bench.take_heard() if kind == "action_settled"]
    assert [(each.action_id, each.state) for each in settled if isinstance(each, HomeAction)] == [
        (first.action_id, ActionState.CANCELLED),
        (second.action_id, ActionState.CANCELLED),
    ]


async def test_an_action_that_is_cancelled_while_it_begins(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(window())
        bench.clock.advance(HOUR_S)
        await bench.home.actions.cancel(action.action_id)
        # The loop has looked at the action before it was cancelled.
        await bench.home.actions._advance(action)
        assert (await bench.home.actions.get(action.action_id)).state is ActionState.CANCELLED
    assert setpoint_c(bench) == 20.0


async def test_a_disk_that_refuses_takes_no_action(bench: HomeBench) -> None:
    async with running(bench):
        await bench.home.actions.page()

        def refuse(operation: Operation, _: str) -> None:
            raise OSError(28, "No space left on device")

        bench.disk.on_operation = refuse
        with pytest.raises(StorageFull):
            await bench.home.actions.push(heat())
        assert await bench.home.actions.page() == []
    assert setpoint_c(bench) == 20.0


async def test_a_zone_that_is_gone_after_a_restart(bench: HomeBench) -> None:
    async with running(bench):
        action = await bench.home.actions.push(window())
    bench.clock.advance(HOUR_S)
    bench.zone_ids = ("bath",)
    bench.start()
    async with running(bench):
        action = await carry_out(bench, action)
    assert action.state is ActionState.FAILED
    assert "there is no living" in action.problem


@pytest.mark.parametrize("at", range(1, OPERATIONS))
async def test_a_power_cut_at_any_operation_settles_each_action_once(tmp_path: Path, at: int) -> None:
    """A person changes the zone after the action; a cut must neither lose the action nor repeat it over the person."""
    bench = HomeBench(tmp_path)
    bench.listen()
    pushed: list[HomeAction] = []
    is_changed = is_begun = False
    bench.disk.on_operation = Cutter(at)
    actions = bench.home.actions
    with contextlib.suppress(PowerCut):
        await actions.load()
        pushed.append(await actions.push(heat()))
        await actions.carry_out()
        bench.home.thermostats.apply("living", SetRequest(Mode.HEAT, 16.0), by="anna")
        bench.home.thermostats.apply("living", ResumeRequest(), by="anna")
        await bench.climate.save()
        is_changed = True
        pushed.append(await actions.push(window()))
        bench.clock.advance(HOUR_S)
        await actions.carry_out()
        is_begun = True
    bench.disk.on_operation = allow_operation
    bench.start()
    await bench.home.actions.load()
    await bench.home.actions.carry_out()
    found = {each.action_id: each for each in await bench.home.actions.page()}
    assert all(each.action_id in found for each in pushed)
    begun = [each for each in found.values() if each.start_utc_ms is None or is_begun]
    assert all(each.state is ActionState.COMPLETED for each in begun)
    if found and not is_changed:
        assert setpoint_c(bench) in {16.0, 22.0}
    if is_changed and not is_begun and bench.clock.utc == NOON_MS:
        assert setpoint_c(bench) == 16.0
    if is_begun:
        assert setpoint_c(bench) == 22.0


def test_the_sweep_reaches_past_the_last_operation(tmp_path: Path) -> None:
    """The last of the power cuts above comes after everything is on the disk."""
    counted = Cutter(10_000)
    bench = HomeBench(tmp_path)
    bench.disk.on_operation = counted

    async def work() -> None:
        actions = bench.home.actions
        await actions.load()
        await actions.push(heat())
        await actions.carry_out()
        await bench.climate.save()
        await actions.push(window())
        bench.clock.advance(HOUR_S)
        await actions.carry_out()

    asyncio.run(work())
    assert counted.operations < OPERATIONS


async def test_what_a_person_changed_before_the_action_was_settled_is_kept(bench: HomeBench) -> None:
    """The disk refuses the action's file only; the person's change is on the disk, and the power goes."""

    def refuse(_: Operation, target: str) -> None:
        if "actions" in target and setpoint_c(bench) == 22.0:
            raise OSError(28, "No space left on device")

    actions = bench.home.actions
    await actions.load()
    action = await actions.push(heat())
    bench.disk.on_operation = refuse
    with pytest.raises(StorageFull):
        await actions.carry_out()
    assert (await actions.get(action.action_id)).state is ActionState.ACKNOWLEDGED
    bench.home.thermostats.apply("living", ResumeRequest(), by="anna")
    await bench.climate.save()
    bench.disk.on_operation = allow_operation
    bench.start()
    await bench.home.actions.load()
    assert (await carry_out(bench, action)).state is ActionState.COMPLETED
    assert setpoint_c(bench) == 20.0


async def test_a_damaged_file_is_in_force_from_its_copy(bench: HomeBench) -> None:
    await bench.home.actions.load()
    action = await bench.home.actions.push(window())
    path = bench.directory / action_service.FILE_NAME
    path.write_bytes(path.read_bytes()[:-9] + b"}")
    bench.start()
    await bench.home.actions.load()
    assert (await bench.home.actions.get(action.action_id)).state is ActionState.SCHEDULED
    path.write_bytes(b"")
    path.with_name(f"{path.name}.copy").write_bytes(b"")
    bench.start()
    await bench.home.actions.load()
    assert await bench.home.actions.page() == []
    assert "scheduled actions are not carried out" in bench.home.actions.problem


@pytest.mark.parametrize(("off_s", "is_known", "is_told"), [(60, True, True), (7200, True, False), (7200, False, True)])
async def test_the_last_end_is_told_again_after_a_restart(
    bench: HomeBench, off_s: float, *, is_known: bool, is_told: bool
) -> None:
    """The power may have gone before a listener had it on the disk."""
    await bench.home.actions.load()
    for value_c in (21.0, 22.0):
        await carry_out(bench, await bench.home.actions.push(heat(value_c)))
        bench.advance(5)
    bench.take_heard()
    bench.clock.advance(off_s)
    bench.clock.utc = bench.clock.utc if is_known else None
    bench.start()
    bench.listen()
    await bench.home.actions.load()
    settled = [new for kind, _, _, new, _ in bench.take_heard() if kind == "action_settled"]
    assert [each.heat_setpoint_c for each in settled if isinstance(each, HomeAction)] == [22.0] * is_told


async def test_a_disk_that_refuses_for_a_while(bench: HomeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken before is carried out when the disk takes it, and says so until then."""
    monkeypatch.setattr(action_service, "RETRY_S", 0.0)
    actions = bench.home.actions

    def refuse(_: Operation, target: str) -> None:
        if "climate" in target:
            raise OSError(28, "No space left on device")

    bench.disk.on_operation = refuse
    async with running(bench):
        action = await actions.push(heat())
        await until(lambda: actions.problem)
        assert (await actions.get(action.action_id)).state is ActionState.ACKNOWLEDGED
        assert setpoint_c(bench) == 22.0
        bench.disk.on_operation = allow_operation
        await until(lambda: not actions.problem)
        await until(lambda: (known := actions.latest("living")) and not known.is_pending)
    assert (await actions.get(action.action_id)).state is ActionState.COMPLETED


async def test_a_file_that_is_not_read_yet(bench: HomeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_service, "LOAD_S_MAX", 0.0)
    with pytest.raises(StorageFull, match="check the disk: it has not given"):
        await bench.home.actions.push(heat())


@pytest.mark.parametrize("night", ["2026-03-29T00:30:00Z", "2026-10-25T00:30:00Z"])
async def test_a_window_over_the_change_of_the_clocks_has_its_length(bench: HomeBench, night: str) -> None:
    """Both nights in Berlin: two hours by any clock that does not jump."""
    bench.home.thermostats.apply("living", PutScheduleRequest(WEEK), by="anna")
    bench.clock.utc = rfc3339.parse(night) - HOUR_MS
    start_ms = rfc3339.parse(night)
    await bench.home.actions.load()
    action = await bench.home.actions.push(heat(23.0, start_utc_ms=start_ms, end_utc_ms=start_ms + 2 * HOUR_MS))
    bench.advance(HOUR_S)
    assert (await carry_out(bench, action)).state is ActionState.COMPLETED
    bench.advance(2 * HOUR_S - 1)
    assert setpoint_c(bench) == 23.0
    bench.advance(1)
    assert setpoint_c(bench) == 17.0
