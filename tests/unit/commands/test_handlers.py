"""Each handler does what its command says, once, and knows after a crash what it had done."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.commands import factory_reset
from agent.commands.factory_reset import FactoryResetHandler
from agent.commands.handlers import CommandOutcome, ConfigUpdateHandler, DiagnosticsHandler
from agent.commands.lifecycle import CommandEvent, CommandRecord, CommandState
from agent.commands.reboot import ATTEMPTS_MAX, RebootHandler
from agent.errors import CloudUnavailable, CommandInvalid, ConfigInvalid, RebootFailed, SettingInvalid, StorageFull
from agent.foundation.clock import Now
from agent.foundation.disk import Disk
from agent.foundation.lock import FILE_NAME as LOCK_NAME
from agent.foundation.worker import InlineWorker

from .conftest import until

UTC_MS = 1_769_004_780_000
"""21 January 2026, 14:13 UTC."""

KEY, NEW_KEY = ("cs_dev_" + letter * 32 for letter in "ab")


def executing(type_: str, payload: Any = None, **changes: Any) -> CommandRecord:  # noqa: ANN401 (any JSON)
    record = CommandRecord("c1", type_, "boot-1", 0, CommandState.EXECUTING, payload, started_boot_id="boot-1")
    return msgspec.structs.replace(record, **changes)


class Machine:
    """A host that notes what it is asked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = Now("boot-1", 1000, UTC_MS)
        self.did: list[str] = []
        self.is_refusing = False

    def handler(self) -> RebootHandler:
        return RebootHandler(
            now=lambda: self.now,
            flush=self.flush,
            ensure_can_reboot=self.ensure_can_reboot,
            reboot=self.reboot,
            directory=self.directory,
            disk=Disk(),
            worker=InlineWorker(),
        )

    async def flush(self) -> None:
        self.did.append("flush")

    async def ensure_can_reboot(self) -> None:
        if self.is_refusing:
            raise RebootFailed("not allowed")

    async def reboot(self, reason: str) -> None:
        self.did.append(reason)
        if self.is_refusing:
            raise RebootFailed("not allowed")


async def test_a_reboot_flushes_first_and_ends_only_with_the_machine(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    task = asyncio.get_running_loop().create_task(machine.handler().execute(executing("reboot", acked_ms=1000)))
    await until(lambda: len(machine.did) == 2)
    assert machine.did == ["flush", "command c1"]
    assert not task.done()
    task.cancel()


async def test_the_delay_counts_from_the_ack_whatever_has_been_restarted_since(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    machine = Machine(tmp_path)
    machine.now = Now("boot-1", 41_000, None)
    outcome = await machine.handler().execute(executing("reboot", {"delay_seconds": 60}, acked_ms=1000))
    assert slept[0] == 20.0
    assert outcome.event is CommandEvent.GIVEN_UP


@pytest.mark.parametrize("is_refusing", [True, False])
async def test_a_machine_that_stays_up_is_asked_a_few_times(
    monkeypatch: pytest.MonkeyPatch, is_refusing: bool, tmp_path: Path
) -> None:
    monkeypatch.setattr("agent.commands.reboot.SHUTDOWN_GRACE_S", 0.001)
    machine = Machine(tmp_path)
    machine.is_refusing = is_refusing
    outcome = await machine.handler().execute(executing("reboot", acked_ms=0))
    assert machine.did == ["flush", "command c1"] * ATTEMPTS_MAX
    assert outcome.event is CommandEvent.GIVEN_UP
    assert outcome.error_message.endswith(": not allowed" if is_refusing else "did not restart")


async def test_a_machine_that_cannot_reboot_says_so_before_anything_is_acked(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    await machine.handler().prepare()
    machine.is_refusing = True
    with pytest.raises(RebootFailed, match="not allowed"):
        await machine.handler().prepare()
    assert machine.did == []


async def test_another_boot_proves_the_reboot(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.now = Now("boot-2", 0, None)
    handler = machine.handler()
    assert await handler.reconcile(executing("reboot", acked_boot_id="boot-1")) == CommandOutcome(
        CommandEvent.CONFIRMED
    )
    assert await handler.reconcile(executing("reboot")) == CommandOutcome(CommandEvent.SUCCEED)
    assert await handler.reconcile(executing("reboot", started_boot_id="boot-2")) is None
    assert machine.did == []


async def rebooted(machine: Machine, command_id: str) -> None:
    """Run a reboot until the host has been asked."""
    record = msgspec.structs.replace(executing("reboot", acked_ms=0), command_id=command_id)
    asked = len(machine.did)
    task = asyncio.get_running_loop().create_task(machine.handler().execute(record))
    await until(lambda: len(machine.did) == asked + 2)
    task.cancel()


def refusal(machine: Machine) -> str:
    """Return why a new life refuses a reboot; empty where it does not."""
    try:
        machine.handler().check({})
    except CommandInvalid as error:
        return str(error)
    return ""


async def test_one_reboot_in_ten_minutes_and_five_a_day_over_boots(tmp_path: Path) -> None:
    """A cloud that queued a reboot every 20 s kept the home cold: the hub never lived for a minimum off time."""
    machine = Machine(tmp_path)
    now_ms, done = 0, []
    while now_ms < 25 * 3_600_000:
        machine.now = Now(f"boot-{len(done)}", 30_000, UTC_MS + now_ms)
        if not refusal(machine):
            await rebooted(machine, f"c{len(done)}")
            done.append(now_ms // 1000)
        now_ms += 20_000
    assert done == [0, 600, 1200, 1800, 2400, 86_400, 87_000, 87_600, 88_200, 88_800]


async def test_a_refused_reboot_says_why_and_when(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    await rebooted(machine, "c1")
    machine.now = Now("boot-2", 30_000, UTC_MS + 60_000)
    text = "the hub was rebooted by command at 14:13 UTC; at most one in 10 minutes, so send it again after 14:23 UTC"
    assert refusal(machine) == text
    for number in range(1, 5):
        machine.now = Now("boot-2", 30_000, UTC_MS + number * 600_000)
        await rebooted(machine, f"d{number}")
    machine.now = Now("boot-2", 30_000, UTC_MS + 3_600_000)
    assert "at most 5 in 24 hours" in refusal(machine)
    # Without the time it waits, and is judged again.
    machine.now = Now("boot-3", 30_000, None)
    assert refusal(machine) == ""
    # What a wrong clock noted in the future forbids nothing.
    machine.now = Now("boot-3", 30_000, UTC_MS - 3_600_000)
    assert refusal(machine) == ""


@pytest.mark.parametrize("damaged", [b"", b"[{}]", b"x" * 5000, b"\xff", b"[" * 5000])
async def test_a_count_of_reboots_that_cannot_be_read_begins_anew(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "reboots.json").write_bytes(damaged)
    machine = Machine(tmp_path)
    assert refusal(machine) == ""
    await rebooted(machine, "c1")
    assert refusal(machine)


async def test_a_disk_that_is_full_keeps_no_reboot_from_happening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageFull("no room")

    monkeypatch.setattr(Disk, "write", full)
    await rebooted(Machine(tmp_path), "c1")


class Settings:
    """Settings that can be told what to be."""

    def __init__(self) -> None:
        self.in_force: dict[str, Any] = {"timezone": "UTC"}
        self.by = ""
        self.is_reachable = True
        self.is_kept = True

    def check(self, changes: Mapping[str, Any]) -> None:
        if "timezone" not in changes:
            raise SettingInvalid("no time zone")

    async def apply(self, changes: Mapping[str, Any], *, command_id: str) -> Mapping[str, Any]:
        self.in_force |= changes
        if not self.is_kept:
            raise StorageFull("no room")
        self.by = command_id
        return self.in_force

    def applied(self, command_id: str) -> Mapping[str, Any] | None:
        return self.in_force if command_id == self.by else None

    async def refresh(self) -> Mapping[str, Any]:
        if not self.is_reachable:
            raise CloudUnavailable("no route")
        return self.in_force


async def test_a_config_update_answers_with_all_settings() -> None:
    handler = ConfigUpdateHandler(Settings())
    outcome = await handler.execute(executing("config_update", {"timezone": "Europe/Brussels"}))
    assert outcome == CommandOutcome(CommandEvent.SUCCEED, result={"timezone": "Europe/Brussels"})


async def test_settings_that_the_disk_does_not_keep_are_never_acknowledged() -> None:
    settings = Settings()
    settings.is_kept = False
    record = executing("config_update", {"timezone": "Asia/Kolkata"})
    with pytest.raises(StorageFull):
        await ConfigUpdateHandler(settings).execute(record)
    outcome = await ConfigUpdateHandler(settings, is_volatile=lambda: True).execute(record)
    assert outcome.event is CommandEvent.FAIL
    assert outcome.error_message == "in force until the next restart only: no room; send it again"


async def test_an_empty_config_update_fetches() -> None:
    settings = Settings()
    handler = ConfigUpdateHandler(settings)
    handler.check({})
    assert (await handler.execute(executing("config_update"))).result == {"timezone": "UTC"}
    settings.is_reachable = False
    failed = await handler.execute(executing("config_update", {}))
    assert (failed.event, failed.error_message) == (CommandEvent.FAIL, "settings could not be fetched: no route")
    with pytest.raises(SettingInvalid):
        handler.check({"location": {}})


async def test_after_a_crash_the_settings_say_whose_they_are() -> None:
    settings = Settings()
    handler = ConfigUpdateHandler(settings)
    record = executing("config_update", {"timezone": "Asia/Kolkata"})
    assert await handler.reconcile(record) is None
    await handler.execute(record)
    assert await handler.reconcile(record) == CommandOutcome(CommandEvent.SUCCEED, result={"timezone": "Asia/Kolkata"})
    assert await handler.reconcile(executing("config_update", {})) is None


async def test_diagnostics_tell_what_is_asked_for_and_what_cannot_be_had() -> None:
    def broken() -> object:
        raise OSError("no such tree")

    handler = DiagnosticsHandler({"memory": lambda: {"free": 1}, "wear": broken, "link": lambda: "up"})
    whole = await handler.execute(executing("diagnostics"))
    assert whole.result == {"memory": {"free": 1}, "wear": {"problem": "no such tree"}, "link": "up"}
    part = await handler.execute(executing("diagnostics", {"sections": ["link"]}))
    assert part.result == {"link": "up"}
    with pytest.raises(CommandInvalid):
        handler.check({"sections": ["fuel"]})
    assert await handler.reconcile(executing("diagnostics")) is None


async def test_a_section_that_breaks_costs_no_other() -> None:
    def broken() -> object:
        raise RecursionError("maximum recursion depth exceeded")

    handler = DiagnosticsHandler({"settings": broken, "link": lambda: "up"})
    whole = await handler.execute(executing("diagnostics"))
    assert whole.result == {
        "settings": {"problem": "RecursionError: maximum recursion depth exceeded"},
        "link": "up",
    }


async def test_a_reset_bars_the_key_before_it_ends_this_life() -> None:
    did: list[str] = []

    async def bar() -> None:
        did.append("bar")

    handler = FactoryResetHandler(bar_key=bar, restart=lambda: did.append("anew"))
    with pytest.raises(CommandInvalid):
        handler.check({})
    task = asyncio.get_running_loop().create_task(handler.execute(executing("factory_reset", {"confirm": True})))
    await until(lambda: len(did) == 2)
    assert did == ["bar", "anew"]
    assert not task.done()
    assert await handler.reconcile(executing("factory_reset")) is None
    task.cancel()


def operators(path: Path) -> str:
    if not path.exists():
        raise ConfigInvalid("there is no key")
    return path.read_text()


def test_a_barred_key_is_never_used_again_and_a_new_one_is(tmp_path: Path) -> None:
    disk, key_file = Disk(), tmp_path / "key"
    key_file.write_text(KEY)
    state = tmp_path / "state"
    state.mkdir()

    def usable() -> str | None:
        return factory_reset.read_usable_key(state, disk, lambda: operators(key_file))

    assert usable() == KEY
    factory_reset.bar_key(state, disk, KEY)
    assert usable() is None
    key_file.write_text(NEW_KEY)
    assert usable() is None  # not before everything is erased
    assert factory_reset.finish_erasing(state, disk, key_file=key_file)
    assert key_file.exists()  # it is not the barred one
    assert usable() == NEW_KEY
    key_file.write_text(KEY)
    assert usable() is None
    key_file.unlink()
    assert usable() is None


def test_a_reset_erases_all_but_the_lock_and_the_hashes(tmp_path: Path) -> None:
    disk, state, key_file = Disk(), tmp_path / "state", tmp_path / "key"
    state.mkdir()
    key_file.write_text(KEY + "\n")
    for name in ("outbox.db", "outbox.db-wal", "settings.json", "commands.db", "commands.db.corrupt-1", LOCK_NAME):
        (state / name).write_text("x")
    assert not factory_reset.finish_erasing(state, disk, key_file=key_file)
    assert (state / "outbox.db").exists()
    factory_reset.bar_key(state, disk, KEY)
    factory_reset.bar_key(state, disk, KEY)
    assert factory_reset.finish_erasing(state, disk, key_file=key_file)
    assert sorted(path.name for path in state.iterdir()) == sorted(
        [LOCK_NAME, factory_reset.FILE_NAME, factory_reset.COPY_NAME]
    )
    assert KEY not in (state / factory_reset.FILE_NAME).read_text()
    assert not key_file.exists()
    assert not factory_reset.finish_erasing(state, disk, key_file=None)


def test_what_is_named_outlives_a_reset(tmp_path: Path) -> None:
    for name in ("keep", "go"):
        (tmp_path / name).write_text("x")
    factory_reset.bar_key(tmp_path, Disk(), KEY)
    assert factory_reset.finish_erasing(tmp_path, Disk(), key_file=None, outlives=frozenset({"keep"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["keep", factory_reset.FILE_NAME, factory_reset.COPY_NAME]
    )


def test_a_power_cut_at_any_step_of_a_reset_leaves_no_hub_that_connects(tmp_path: Path) -> None:
    class Cut(BaseException): ...

    for point in range(1, 100):
        state = tmp_path / str(point)
        state.mkdir()
        for name in ("outbox.db", "relayed.json", "settings.json"):
            (state / name).write_text("x")
        left = [point]

        def on_operation(operation: object, target: str, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise Cut

        try:
            factory_reset.bar_key(state, Disk(on_operation), KEY)
            factory_reset.finish_erasing(state, Disk(on_operation), key_file=None)
        except Cut:
            has_begun = (state / factory_reset.FILE_NAME).exists()
            assert (factory_reset.read_usable_key(state, Disk(), lambda: KEY) is None) == has_begun
            factory_reset.finish_erasing(state, Disk(), key_file=None)
            left_over = {path.name for path in state.iterdir() if not path.name.endswith(".new")}
            assert (left_over - {factory_reset.COPY_NAME} == {factory_reset.FILE_NAME}) == has_begun
        else:
            assert point > 10
            return
    pytest.fail("it never ended")


def test_a_file_of_hashes_that_cannot_be_read_lets_no_key_through(tmp_path: Path) -> None:
    (tmp_path / factory_reset.FILE_NAME).write_bytes(b"\xff not json")
    assert factory_reset.read_usable_key(tmp_path, Disk(), lambda: KEY) is None
    factory_reset.bar_key(tmp_path, Disk(), KEY)
    assert factory_reset.read_usable_key(tmp_path, Disk(), lambda: NEW_KEY) is None


@pytest.mark.parametrize("damage", [None, b"", b"\xff not json", b'{"sha256":"' + b"0" * 64 + b'","barred":[]}'])
def test_a_lost_list_of_barred_keys_is_taken_from_its_copy(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    factory_reset.bar_key(tmp_path, Disk(), KEY)
    factory_reset.finish_erasing(tmp_path, Disk(), key_file=None)
    path = tmp_path / factory_reset.FILE_NAME
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    assert factory_reset.read_usable_key(tmp_path, Disk(), lambda: KEY) is None
    assert "its copy is in force" in caplog.text
    (tmp_path / factory_reset.COPY_NAME).write_bytes(b"{")
    assert factory_reset.read_usable_key(tmp_path, Disk(), lambda: KEY) is None
    assert "no key is used" in caplog.text


def test_a_key_is_barred_whatever_has_the_name_of_the_list(tmp_path: Path) -> None:
    (tmp_path / factory_reset.FILE_NAME).mkdir()
    factory_reset.bar_key(tmp_path, Disk(), KEY)
    assert factory_reset.is_barred(factory_reset.read(tmp_path, Disk()), KEY)
