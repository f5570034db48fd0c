"""A reboot by command happens exactly once, and not too often."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.commands.handlers import CommandOutcome
from agent.commands.lifecycle import CommandEvent, CommandRecord, CommandState
from agent.commands.reboot import ATTEMPTS_MAX, RebootHandler
from agent.errors import CommandInvalid, RebootFailed, StorageFull
from agent.foundation.clock import Now
from agent.foundation.disk import Disk
from agent.foundation.worker import InlineWorker

from .conftest import until

UTC_MS = 1_769_004_780_000
"""21 January 2026, 14:13 UTC."""


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


async def test_reboot_flushes_first_and_executes_until_the_machine_goes_down(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    task = asyncio.get_running_loop().create_task(machine.handler().execute(executing("reboot", acked_ms=1000)))
    await until(lambda: len(machine.did) == 2)
    assert machine.did == ["flush", "command c1"]
    assert not task.done()
    task.cancel()


async def test_delay_counts_from_the_ack_over_restarts_of_the_agent(
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
async def test_reboot_is_requested_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch, is_refusing: bool, tmp_path: Path
) -> None:
    monkeypatch.setattr("agent.commands.reboot.SHUTDOWN_GRACE_S", 0.001)
    machine = Machine(tmp_path)
    machine.is_refusing = is_refusing
    outcome = await machine.handler().execute(executing("reboot", acked_ms=0))
    assert machine.did == ["flush", "command c1"] * ATTEMPTS_MAX
    assert outcome.event is CommandEvent.GIVEN_UP
    assert outcome.error_message.endswith(": not allowed" if is_refusing else "did not restart")


async def test_impossible_reboot_is_refused_before_the_ack(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    await machine.handler().prepare()
    machine.is_refusing = True
    with pytest.raises(RebootFailed, match="not allowed"):
        await machine.handler().prepare()
    assert machine.did == []


async def test_changed_boot_id_confirms_the_reboot(tmp_path: Path) -> None:
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


async def test_reboots_are_limited_per_ten_minutes_and_per_day(tmp_path: Path) -> None:
    """A cloud that queued a reboot every 20 s kept the home cold: the hub never lived for a minimum off time."""
    machine = Machine(tmp_path)
    now_ms, done = 0, list[int]()
    while now_ms < 25 * 3_600_000:
        machine.now = Now(f"boot-{len(done)}", 30_000, UTC_MS + now_ms)
        if not refusal(machine):
            await rebooted(machine, f"c{len(done)}")
            done.append(now_ms // 1000)
        now_ms += 20_000
    assert done == [0, 600, 1200, 1800, 2400, 86_400, 87_000, 87_600, 88_200, 88_800]


async def test_refused_reboot_names_the_reason_and_the_time(tmp_path: Path) -> None:
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


async def test_count_of_reboots_has_a_copy_and_reads_the_format_of_0_1(tmp_path: Path) -> None:
    (tmp_path / "reboots.json").write_bytes(b'[{"command_id":"c0","utc_ms":%d}]' % UTC_MS)
    machine = Machine(tmp_path)
    assert "at most one in 10 minutes" in refusal(machine)
    (tmp_path / "reboots.json").write_bytes(b"")
    assert "at most one in 10 minutes" in refusal(Machine(tmp_path))


@pytest.mark.parametrize("damaged", [b"", b"[{}]", b"x" * 5000, b"\xff", b"[" * 5000])
async def test_unreadable_count_of_reboots_starts_empty(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "reboots.json").write_bytes(damaged)
    machine = Machine(tmp_path)
    assert refusal(machine) == ""
    await rebooted(machine, "c1")
    assert refusal(machine)


async def test_reboot_happens_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageFull("no room")

    monkeypatch.setattr(Disk, "write", full)
    await rebooted(Machine(tmp_path), "c1")
