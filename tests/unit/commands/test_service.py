"""The journal and the loops together: restarts, confirmations, limits, and journals that are lost."""

import errno
import os
from collections.abc import Sequence

import pytest

from agent.commands.decisions import CONFIRMATION_MS
from agent.commands.handlers import CommandOutcome
from agent.commands.journal import FILE_NAME, JOURNAL_LOST_MESSAGE, CommandJournal
from agent.commands.lifecycle import CommandEvent, CommandType
from agent.commands.payloads import IncomingCommand
from agent.errors import Corrupt, StorageFull
from agent.foundation.clock import Now
from agent.foundation.disk import Operation, allow_operation
from lab.refcloud.contract import Endpoint
from lab.refcloud.faults import ErrorStatus, FaultRule, ListsReversed, WrongShape
from lab.refcloud.records import CommandState as CloudCommandState

from .conftest import Hub, until

DIAGNOSTICS, REBOOT = CommandType.DIAGNOSTICS, CommandType.REBOOT
RESET = CommandType.FACTORY_RESET


async def test_unordered_listing_with_duplicates_runs_each_command_once(hub: Hub) -> None:
    hub.cloud.set_faults([FaultRule(ListsReversed(), Endpoint.COMMANDS_PENDING)])
    ids = [hub.queue("diagnostics") for _ in range(4)]
    async with hub.life():
        await hub.settled(*ids)
    assert sorted(hub.handlers[DIAGNOSTICS].executed) == ids


async def test_invalid_listing_is_ignored(hub: Hub) -> None:
    hub.cloud.set_faults([FaultRule(WrongShape("null"), Endpoint.COMMANDS_PENDING, next_n=1)])
    async with hub.life() as service:
        command = hub.queue("diagnostics")
        await until(lambda: "does not keep the contract" in service.problem)
        hub.clock.push(10_000)
        await hub.settled(command)
    assert service.problem == ""


async def test_unconfirmed_factory_reset_is_refused(hub: Hub) -> None:
    hub.needs_confirmation = True
    async with hub.life() as service:
        command = hub.queue("factory_reset")
        await until(lambda: service.journal is not None and len(service.journal.open_commands()) == 1)
        hub.clock.push(CONFIRMATION_MS)
        (found, _) = await hub.settled(command, hub.queue("diagnostics"))
    assert found.error_message == "nobody confirmed it at the hub within 10 minutes"
    assert hub.handlers[RESET].executed == []


async def test_confirmed_factory_reset_is_run(hub: Hub) -> None:
    hub.needs_confirmation = True
    hub.handlers[RESET].outcome = CommandOutcome(CommandEvent.CONFIRMED)
    async with hub.life() as service:
        command = hub.queue("factory_reset")
        await until(lambda: service.journal is not None and len(service.journal.open_commands()) == 1)
        with pytest.raises(KeyError):
            await service.confirm("another")
        await service.confirm(command)
        await until(lambda: hub.handlers[RESET].executed == [command])
        await until(lambda: service.journal is not None and not service.journal.open_commands())
        with pytest.raises(KeyError):
            await service.confirm(command)


async def test_after_a_restart_a_settled_command_is_known(hub: Hub) -> None:
    async with hub.life() as service:
        command = hub.queue("diagnostics")
        (found,) = await hub.settled(command)
        await until(lambda: service.journal is not None and not service.journal.open_commands())
    hub.cloud._store.put(type(found)(command, found.device_id, found.type, found.created_ms, found.expires_ms))
    async with hub.life():
        await hub.settled(hub.queue("config_update"))
        assert hub.at_cloud(command).state is CloudCommandState.PENDING
    assert hub.handlers[DIAGNOSTICS].executed == [command]


async def test_number_of_open_commands_is_limited(hub: Hub) -> None:
    hub.handlers[DIAGNOSTICS].gate.clear()
    ids = [hub.queue("diagnostics") for _ in range(8)]
    async with hub.life() as service:
        await until(lambda: service.journal is not None and service.journal.deferred_count > 3)
        assert service.journal is not None
        assert [record.command_id for record in service.journal.open_commands()] == ids[:5]
        hub.handlers[DIAGNOSTICS].gate.set()
        await hub.settled(*ids)
    assert hub.handlers[DIAGNOSTICS].executed == ids


async def test_unreadable_journal_is_quarantined_and_listed_commands_are_refused(hub: Hub) -> None:
    (hub.directory / FILE_NAME).write_bytes(b"no database at all" * 100)
    lost = hub.queue("reboot")
    async with hub.life():
        (found,) = await hub.settled(lost)
        assert (found.state, found.error_message) == (CloudCommandState.FAILED, JOURNAL_LOST_MESSAGE)
        await hub.settled(hub.queue("diagnostics"))
    assert hub.handlers[REBOOT].executed == []
    assert len(hub.handlers[DIAGNOSTICS].executed) == 1
    assert "could not be read" in hub.faults[0]


async def test_journal_that_becomes_corrupt_in_use_is_replaced(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    add = CommandJournal.add
    broken = [True]

    async def breaking(self: CommandJournal, arrivals: Sequence[IncomingCommand], now: Now) -> int:
        if broken.pop() if broken else False:
            raise Corrupt("commands.db cannot be read")
        return await add(self, arrivals, now)

    monkeypatch.setattr(CommandJournal, "add", breaking)
    async with hub.life():
        (found,) = await hub.settled(hub.queue("diagnostics"))
        assert found.error_message == JOURNAL_LOST_MESSAGE
        await hub.settled(hub.queue("diagnostics"))
    assert hub.faults[0] == "commands.db cannot be read"
    assert (hub.directory / f"{FILE_NAME}.corrupt-1").exists()


async def test_journal_is_opened_again_after_a_read_error(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.commands.service.RETRY_S", 0.01)
    refusals = [1, 1]

    def on_operation(operation: Operation, target: str) -> None:
        if refusals:
            refusals.pop()
            raise OSError(30, "Read-only file system")

    hub.disk.on_operation = on_operation
    async with hub.life():
        await hub.settled(hub.queue("diagnostics"))
    assert len(caplog.messages) == len(set(caplog.messages)), "a lasting problem is logged once"
    assert any("cannot be opened" in text for text in caplog.messages)


async def test_interrupted_command_is_reconciled_then_executed_again(hub: Hub) -> None:
    hub.handlers[REBOOT].gate.clear()
    async with hub.life():
        command = hub.queue("reboot")
        await until(lambda: hub.handlers[REBOOT].executed == [command])
    hub.handlers[REBOOT].outcome = CommandOutcome(CommandEvent.CONFIRMED)
    hub.handlers[REBOOT].gate.set()
    async with hub.life() as service:
        await until(lambda: service.journal is not None and not service.journal.open_commands())
    assert hub.handlers[REBOOT].reconciled == [command]
    assert hub.handlers[REBOOT].executed == [command, command]


async def test_confirmation_is_refused_before_the_journal_is_open(hub: Hub) -> None:
    async with hub.life() as service:
        await until(lambda: service.journal is not None)
    assert await service.recent() == []
    with pytest.raises(StorageFull):
        await service.confirm("c")


async def on_another_board(hub: Hub) -> tuple[str, str]:
    """Put a card with a command that is done and one that waits for a person into another board; return their ids."""
    hub.cloud.set_faults([FaultRule(ErrorStatus(500), Endpoint.COMMANDS_ACK)])
    hub.needs_confirmation = True
    async with hub.life() as service:
        done = hub.queue("diagnostics")
        await until(lambda: hub.handlers[DIAGNOSTICS].executed == [done])
        waiting = hub.queue("factory_reset", {"confirm": True})
        await until(lambda: service.journal is not None and service.journal.get(waiting) is not None)
    hub.cloud.set_faults([])
    hub.machine = "board-2"
    return done, waiting


async def test_commands_of_another_board_are_neither_run_nor_acknowledged(hub: Hub) -> None:
    done, waiting = await on_another_board(hub)
    async with hub.life() as service:
        new = hub.queue("diagnostics")
        await hub.settled(new)
        assert service.journal is not None
        assert {each.command_id for each in service.journal.held} == {done, waiting}
        with pytest.raises(KeyError):
            await service.confirm(waiting)
        assert await service.discard_held() == 2
        assert await service.discard_held() == 0
    assert {hub.at_cloud(each).state for each in (done, waiting)} == {CloudCommandState.PENDING}
    assert hub.handlers[RESET].executed == []


async def test_commands_of_another_board_go_on_once_a_person_says_so(hub: Hub) -> None:
    done, waiting = await on_another_board(hub)
    async with hub.life() as service:
        new = hub.queue("diagnostics")
        await hub.settled(new)
        assert service.holds_back
        await service.release_held()
        assert not service.holds_back
        (acked,) = await hub.settled(done)
        await until(lambda: service.journal is not None and service.journal.get(waiting) is not None)
        await service.confirm(waiting)
        await hub.settled(waiting)
    assert acked.state is CloudCommandState.ACKED
    assert hub.handlers[DIAGNOSTICS].executed == [done, new], "nothing is run twice"


async def test_commands_that_this_board_receives_meanwhile_are_not_held(hub: Hub) -> None:
    done, waiting = await on_another_board(hub)
    hub.cloud.set_faults([FaultRule(ErrorStatus(500), Endpoint.COMMANDS_ACK)])
    async with hub.life():
        new = hub.queue("diagnostics")
        await until(lambda: hub.handlers[DIAGNOSTICS].executed == [done, new])
    hub.cloud.set_faults([])
    async with hub.life() as service:
        await hub.settled(new)
        assert service.journal is not None
        assert {each.command_id for each in service.journal.held} == {done, waiting}


async def test_on_the_board_of_before_its_own_commands_go_on(hub: Hub) -> None:
    done, waiting = await on_another_board(hub)
    async with hub.life() as service:
        await until(lambda: service.journal is not None and len(service.journal.held) == 2)
    hub.machine = "board-1"
    async with hub.life() as service:
        await hub.settled(done)
        await until(lambda: service.journal is not None and service.journal.get(waiting) is not None)
        assert not service.holds_back


async def test_commands_of_another_board_are_not_discarded_while_the_disk_does_not_give_them(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.commands.service.RETRY_S", 0.02)
    monkeypatch.setattr("agent.commands.service.VOLATILE_AFTER_S", 0.04)
    held = set(await on_another_board(hub))

    def die(operation: Operation, name: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), name)

    async with hub.life() as service:
        await until(lambda: service.journal is not None)
        hub.disk.on_operation = die
        hub.queue("diagnostics")
        await until(lambda: service.is_volatile)
        with pytest.raises(StorageFull, match="kept in memory"):
            await service.discard_held()
        with pytest.raises(StorageFull, match="kept in memory"):
            await service.release_held()
        hub.disk.on_operation = allow_operation
        await until(lambda: not service.is_volatile)
        assert service.journal is not None
        assert {each.command_id for each in service.journal.held} == held
        assert await service.discard_held() == 2
    assert hub.handlers[RESET].executed == []
