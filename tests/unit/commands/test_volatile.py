"""A disk that takes nothing while the cloud has commands: they work from memory, but for those that need the disk."""

import errno
import os

import pytest

from agent.commands.lifecycle import CommandState, CommandType
from agent.foundation.disk import Operation, allow_operation
from lab.refcloud.records import CommandState as CloudCommandState
from tests.unit.commands.conftest import Hub, until

DIAGNOSTICS, REBOOT = CommandType.DIAGNOSTICS, CommandType.REBOOT
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
