"""A disk that takes nothing while the cloud has commands: they work from memory, but for those that need the disk."""

import asyncio
import errno
import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from agent.commands.journal import CommandJournal
from agent.commands.lifecycle import CommandRecord, CommandState, CommandType
from agent.foundation.disk import Operation, allow_operation
from agent.foundation.worker import InlineWorker
from lab.refcloud.records import CommandState as CloudCommandState
from tests.unit.commands.conftest import Hub, until

DIAGNOSTICS, REBOOT = CommandType.DIAGNOSTICS, CommandType.REBOOT
T = TypeVar("T")
NUMBERS = [errno.EIO, errno.EROFS, errno.ENOSPC]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands.service.RETRY_S", 0.02)
    monkeypatch.setattr("agent.commands.executor.RETRY_S", 0.02)
    monkeypatch.setattr("agent.commands.acknowledger.RETRY_S", 0.02)
    monkeypatch.setattr("agent.commands.service.VOLATILE_AFTER_S", 0.04)


def die(hub: Hub, number: int) -> None:
    def on_operation(operation: Operation, target: str) -> None:
        raise OSError(number, os.strerror(number), target)

    hub.disk.on_operation = on_operation


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.__getitem__)
async def test_commands_that_need_no_disk_run_after_the_disk_failed(hub: Hub, number: int) -> None:
    async with hub.life() as service:
        before = hub.queue("diagnostics")
        await hub.settled(before)
        await until(lambda: service.journal is not None and not service.journal.open_commands())
        die(hub, number)
        first, second = await hub.settled(hub.queue("diagnostics"), hub.queue("reboot"))
        assert first.state is CloudCommandState.ACKED
        assert second.state is CloudCommandState.FAILED
        assert "disk takes nothing" in (second.error_message or "")
        assert "kept in memory only" in service.problem
        assert [each.command_id for each in await service.recent()][-1] == before
        hub.disk.on_operation = allow_operation
        await until(lambda: not service.is_volatile)
        (third,) = await hub.settled(hub.queue("reboot"))
        assert third.state is CloudCommandState.ACKED
        await until(lambda: service.journal is not None and not service.journal.open_commands())
        assert service.problem == ""
    assert hub.handlers[REBOOT].executed == [third.command_id]
    assert hub.handlers[DIAGNOSTICS].executed == [before, first.command_id]
    async with hub.life() as service:
        await until(lambda: service.journal is not None)
        assert [each.state for each in await service.recent()] == [CommandState.ACKED] * 4, (
            "what was done in memory is kept"
        )
    assert hub.faults == []


async def test_commands_run_in_memory_where_the_disk_fails_from_the_start(hub: Hub) -> None:
    die(hub, errno.EROFS)
    async with hub.life() as service:
        first, second, third, fourth = await hub.settled(
            hub.queue("diagnostics"),
            hub.queue("config_update"),
            hub.queue("factory_reset"),
            hub.queue("config_update", {"timezone": "UTC"}),
        )
        assert first.state is second.state is CloudCommandState.ACKED
        assert third.state is fourth.state is CloudCommandState.FAILED
        hub.disk.on_operation = allow_operation
        await until(lambda: not service.is_volatile)
        assert len(await service.recent()) == 4
    assert hub.handlers[CommandType.FACTORY_RESET].executed == []


async def test_briefly_busy_disk_causes_no_fallback_to_memory(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands.service.VOLATILE_AFTER_S", 60.0)
    async with hub.life() as service:
        await until(lambda: service.journal is not None)
        die(hub, errno.ENOSPC)
        command = hub.queue("reboot")
        await until(lambda: "come in" in service.problem)
        hub.disk.on_operation = allow_operation
        (found,) = await hub.settled(command)
    assert found.state is CloudCommandState.ACKED


async def test_command_begun_on_the_disk_continues_in_memory(hub: Hub) -> None:
    handler = hub.handlers[DIAGNOSTICS]
    handler.gate.clear()
    async with hub.life() as service:
        command = hub.queue("diagnostics")
        await until(lambda: handler.executed == [command])
        die(hub, errno.EIO)
        handler.gate.set()
        (found,) = await hub.settled(command)
        assert found.state is CloudCommandState.ACKED
        await until(lambda: service.is_volatile)
    assert hub.faults == []


class SlowWorker(InlineWorker):
    """Lets the loops go on while the disk writes, as a thread does."""

    async def run(self, function: Callable[[], T]) -> T:
        done = await super().run(function)
        await asyncio.sleep(0.2)
        return done


async def test_command_that_ends_during_the_return_to_the_disk_is_not_run_again(hub: Hub) -> None:
    handler = hub.handlers[DIAGNOSTICS]
    async with hub.life() as service:
        await hub.settled(hub.queue("diagnostics"))
        die(hub, errno.EIO)
        await hub.settled(hub.queue("diagnostics"))
        await until(lambda: service.is_volatile)
        handler.gate.clear()
        service._worker = SlowWorker()
        command = hub.queue("diagnostics")
        await until(lambda: handler.executed[-1] == command)

        def end(operation: Operation, target: str) -> None:
            if operation is Operation.COMMIT:
                handler.gate.set()

        hub.disk.on_operation = end
        await until(lambda: not service.is_volatile)
        assert hub.at_cloud(command).state is CloudCommandState.ACKED
        (kept,) = [each for each in await service.recent() if each.command_id == command]
        assert kept.state is CommandState.ACKED
        await asyncio.sleep(0.1)
    assert handler.executed.count(command) == 1
    assert handler.reconciled == []


async def test_disk_that_recovers_during_the_fallback_to_memory_is_kept(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = hub.handlers[DIAGNOSTICS]
    handler.gate.clear()
    recent = CommandJournal.recent

    async def recover(self: CommandJournal) -> list[CommandRecord]:
        hub.disk.on_operation = allow_operation
        found = await recent(self)
        await asyncio.sleep(0.2)
        return found

    monkeypatch.setattr(CommandJournal, "recent", recover)
    async with hub.life() as service:
        command = hub.queue("diagnostics")
        await until(lambda: handler.executed == [command])
        die(hub, errno.EIO)
        handler.gate.set()
        (found,) = await hub.settled(command)
        assert found.state is CloudCommandState.ACKED
        await asyncio.sleep(0.3)
        assert not service.is_volatile
    assert handler.executed == [command]
