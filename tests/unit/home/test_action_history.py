"""Where actions go that have ended: what a push costs the card, what older files had, and what power cuts leave."""

import contextlib
from pathlib import Path

import msgspec
import pytest

from agent.errors import ReadFailed, StorageFull
from agent.foundation.disk import Disk, Operation, allow_operation
from agent.foundation.worker import InlineWorker
from agent.home import action_history
from agent.home.action_admission import HOME_PENDING_MAX, ActionRefused, OnConflict, Refusal
from agent.home.action_history import FILE_BYTES_MAX, HISTORY_MAX, RECORD_BYTES, ActionHistory, ActionRecord
from agent.home.action_service import FILE_NAME
from agent.home.actions import KEPT_MAX, ActionsFile, ActionState, Command, HomeAction
from tests.unit.home.home_bench import NOON_MS, HomeBench
from tests.unit.home.test_action_service import HOUR_S, carry_out, heat, running
from tests.unit.power_cut import Cutter, PowerCut

PUSH_BYTES_MAX = 20_000
"""What one push may write to the card."""
HISTORY_NAME = "actions-history.log"
LONGEST_BY, LONGEST_CLIENT = "api:amps/" + "n" * 32, "acc_" + "a" * 16


class CountingDisk(Disk):
    """Counts the bytes that go to the files of actions."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def write(self, path: Path, data: bytes, *, is_secret: bool = False) -> None:
        self.bytes += len(data) if path.name.startswith("actions") else 0
        super().write(path, data, is_secret=is_secret)

    def write_at(self, path: Path, offset_bytes: int, data: bytes, *, step_bytes: int) -> None:
        self.bytes += len(data) if path.name.startswith("actions") else 0
        super().write_at(path, offset_bytes, data, step_bytes=step_bytes)


@pytest.fixture
def bench(tmp_path: Path) -> HomeBench:
    return HomeBench(tmp_path)


def ended(action_id: str, **changed: object) -> HomeAction:
    action = HomeAction(
        action_id=action_id,
        zone_id="living",
        command=Command.HEAT,
        heat_setpoint_c=21.5,
        state=ActionState.COMPLETED,
        by=LONGEST_BY,
        client_id=LONGEST_CLIENT,
        start_utc_ms=NOON_MS,
        end_utc_ms=NOON_MS,
        created_utc_ms=NOON_MS,
        updated_utc_ms=NOON_MS,
        acknowledged_utc_ms=NOON_MS,
        ended_utc_ms=NOON_MS,
    )
    return msgspec.structs.replace(action, **changed)


async def test_what_a_push_writes_to_the_card(bench: HomeBench) -> None:
    """After many others, with all that becomes of it."""
    bench.disk = disk = CountingDisk()
    bench.start()
    await bench.home.actions.load()
    costs = []
    for number in range(40):
        disk.bytes = 0
        request = heat(20.0 + number / 100, by=LONGEST_BY, client_id=LONGEST_CLIENT)
        assert (await carry_out(bench, await bench.home.actions.push(request))).state is ActionState.COMPLETED
        costs.append(disk.bytes)
        bench.advance(1)
    assert max(costs) < PUSH_BYTES_MAX
    assert len(await bench.home.actions.page()) == 40


async def test_a_push_beside_as_many_as_may_wait(bench: HomeBench) -> None:
    bench.disk = disk = CountingDisk()
    bench.start()
    await bench.home.actions.load()
    for number in range(HOME_PENDING_MAX):
        start_ms = NOON_MS + (2 * number + 1) * HOUR_S * 1000
        request = heat(
            zone_id=("living", "bath")[number % 2],
            start_utc_ms=start_ms,
            end_utc_ms=start_ms + HOUR_S * 1000,
            by=LONGEST_BY,
            client_id=LONGEST_CLIENT,
            on_conflict=OnConflict.QUEUE_AFTER,
        )
        disk.bytes = 0
        await bench.home.actions.push(request)
    assert 2 * HOME_PENDING_MAX * 300 < disk.bytes < PUSH_BYTES_MAX
    disk.bytes = 0
    await bench.home.actions.push(heat(on_conflict=OnConflict.CANCEL_AND_REPLACE))
    assert disk.bytes < PUSH_BYTES_MAX


async def test_the_file_of_an_older_version_is_read(bench: HomeBench) -> None:
    """It had everything that was kept, and is as short as ours after a start."""
    old = [*(ended(f"a{number}", created_utc_ms=NOON_MS + number) for number in range(63))]
    waiting = ended("w", state=ActionState.SCHEDULED, start_utc_ms=NOON_MS + HOUR_S * 1000, created_utc_ms=NOON_MS - 1)
    waiting = msgspec.structs.replace(waiting, end_utc_ms=None, ended_utc_ms=None)
    (bench.directory / FILE_NAME).write_bytes(msgspec.json.encode(ActionsFile((waiting, *old))))
    bench.start()
    await bench.home.actions.load()
    assert [each.action_id for each in await bench.home.actions.page()] == [
        *(f"a{number}" for number in reversed(range(63))),
        "w",
    ]
    kept = msgspec.json.decode((bench.directory / FILE_NAME).read_bytes(), type=ActionsFile)
    assert len(kept.actions) < KEPT_MAX
    bench.advance(HOUR_S)
    assert (await carry_out(bench, waiting)).state is ActionState.COMPLETED
    assert (await bench.home.actions.get("a0")).state is ActionState.COMPLETED
    with pytest.raises(ActionRefused) as refused:
        await bench.home.actions.cancel("a0")
    assert refused.value.refusal is Refusal.NOT_CANCELLABLE


async def test_an_older_version_reads_our_file(bench: HomeBench) -> None:
    """It has what is pending, and the last that have ended."""
    await bench.home.actions.load()
    for number in range(2 * KEPT_MAX):
        action = await carry_out(bench, await bench.home.actions.push(heat(20.0 + number / 100)))
    waiting = await bench.home.actions.push(heat(start_utc_ms=NOON_MS + HOUR_S * 1000))
    found = msgspec.json.decode((bench.directory / FILE_NAME).read_bytes(), type=ActionsFile)
    assert [each.action_id for each in found.actions][-2:] == [action.action_id, waiting.action_id]


@pytest.mark.parametrize("at", range(1, 60, 2))
async def test_a_power_cut_while_actions_make_room(tmp_path: Path, at: int) -> None:
    """Each is there once, in the state that was reported, and in its order."""
    old = [ended(f"a{number}", created_utc_ms=NOON_MS - 1000 + number) for number in range(KEPT_MAX)]
    (tmp_path / FILE_NAME).write_bytes(msgspec.json.encode(ActionsFile(tuple(old))))
    bench = HomeBench(tmp_path)
    await bench.home.actions.load()
    pushed = [each.action_id for each in old]
    bench.disk.on_operation = Cutter(at)
    with contextlib.suppress(PowerCut):
        for number in range(2):
            action = await bench.home.actions.push(heat(21 + number / 100))
            pushed.append(action.action_id)
            await bench.home.actions.carry_out()
            bench.advance(1)
    bench.disk.on_operation = allow_operation
    bench.start()
    await bench.home.actions.load()
    await bench.home.actions.carry_out()
    found = [each.action_id for each in reversed(await bench.home.actions.page())]
    # One more may have been taken without an answer.
    assert found[: len(pushed)] == pushed
    assert len(found) - len(pushed) in {0, 1}
    assert all(each.state is ActionState.COMPLETED for each in await bench.home.actions.page())


async def test_a_copy_that_is_older_than_the_history(bench: HomeBench) -> None:
    """What the history has, has ended: an older state of the file does not bring it back."""
    await bench.home.actions.load()
    first = await bench.home.actions.push(heat(23.0))
    older = (bench.directory / FILE_NAME).read_bytes()
    await bench.home.actions.carry_out()
    for number in range(KEPT_MAX):
        await carry_out(bench, await bench.home.actions.push(heat(20.0 + number / 100)))
    (bench.directory / FILE_NAME).write_bytes(older)
    bench.start()
    await bench.home.actions.load()
    await bench.home.actions.carry_out()
    assert bench.home.thermostats.get("living").heat_setpoint_c < 21.0
    assert (await bench.home.actions.get(first.action_id)).state is ActionState.COMPLETED


async def test_the_ring_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / HISTORY_NAME
    history = ActionHistory(path, disk=Disk(), worker=InlineWorker())
    await history.load()
    await history.add([ended(f"a{number}") for number in range(HISTORY_MAX - 2)])
    await history.add([ended(f"b{number}") for number in range(5)])
    await history.add([ended("b4")])
    again = ActionHistory(path, disk=Disk(), worker=InlineWorker())
    await again.load()
    expected = [*(f"a{number}" for number in range(3, HISTORY_MAX - 2)), *(f"b{number}" for number in range(5))]
    assert [each.action_id for each in history.actions] == [each.action_id for each in again.actions] == expected
    assert path.stat().st_size == FILE_BYTES_MAX
    assert not again.problem


def test_a_record_has_room_for_the_longest_action() -> None:
    action = ended("action_" + "i" * 16, zone_id="z" * 32, problem="\u0001" * 500, note="ü" * 500)
    action = msgspec.structs.replace(action, forced_problem="INCOMPATIBLE_CURRENT_MODE: " + "x" * 60)
    data = action_history.encode(ActionRecord(10**9, action))
    assert len(data) == RECORD_BYTES
    ((record,), damaged) = action_history.decode(data)
    assert (damaged, record.action.action_id) == (0, action.action_id)


async def test_a_damaged_record_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / HISTORY_NAME
    history = ActionHistory(path, disk=Disk(), worker=InlineWorker())
    await history.add([ended("a"), ended("b"), ended("c")])
    content = bytearray(path.read_bytes())
    content[RECORD_BYTES + 200] ^= 1
    path.write_bytes(content + b"torn")
    again = ActionHistory(path, disk=Disk(), worker=InlineWorker())
    await again.load()
    assert [each.action_id for each in again.actions] == ["a", "c"]
    assert again.problem == f"{HISTORY_NAME}: 2 actions of the history cannot be read"


async def test_a_place_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / HISTORY_NAME).mkdir()
    history = ActionHistory(tmp_path / HISTORY_NAME, disk=Disk(), worker=InlineWorker())
    await history.load()
    assert "the history of actions begins anew" in history.problem
    await history.add([ended("a")])
    (tmp_path / HISTORY_NAME).unlink()
    (tmp_path / HISTORY_NAME).mkdir()
    with pytest.raises(StorageFull, match="no regular file"):
        await history.add([ended("b")])
    await history.add([ended("b")])
    assert [each.action_id for each in history.actions] == ["a", "b"]


async def test_a_medium_that_cannot_be_read_is_put_aside_when_room_is_needed(tmp_path: Path) -> None:
    class Failing(Disk):
        def read(self, path: Path, *, bytes_max: int) -> bytes | None:
            del bytes_max
            raise ReadFailed(f"{path} cannot be read (Input/output error); check the disk with fsck")

    (tmp_path / HISTORY_NAME).write_bytes(b"what was there")
    history = ActionHistory(tmp_path / HISTORY_NAME, disk=Failing(), worker=InlineWorker())
    await history.load()
    assert "the history of actions is not shown" in history.problem
    await history.add([ended("a")])
    assert (tmp_path / f"{HISTORY_NAME}.corrupt-1").read_bytes() == b"what was there"
    assert [each.action_id for each in history.actions] == ["a"]


async def test_a_disk_that_refuses_the_history_refuses_the_push(bench: HomeBench) -> None:
    def refuse(operation: Operation, target: str) -> None:
        if target == HISTORY_NAME:
            raise OSError(5, "Input/output error")

    async with running(bench):
        for number in range(KEPT_MAX):
            await carry_out(bench, await bench.home.actions.push(heat(20.0 + number / 100)))
        bench.disk.on_operation = refuse
        before = await bench.home.actions.page()
        with pytest.raises(StorageFull, match="check the disk"):
            await bench.home.actions.push(heat())
        assert await bench.home.actions.page() == before
        bench.disk.on_operation = allow_operation
        await bench.home.actions.push(heat())
