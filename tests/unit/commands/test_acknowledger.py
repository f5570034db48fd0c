"""Acks over real sockets: each outcome reaches the cloud, whatever it answers."""

from typing import Any

import pytest

from agent.cloud.client import CommandsClient
from agent.commands.handlers import CommandOutcome
from agent.commands.lifecycle import CommandEvent, CommandRecord, CommandState, CommandType
from lab.refcloud.contract import Endpoint
from lab.refcloud.faults import CutAfter, ErrorStatus, FaultRule
from lab.refcloud.records import CommandState as CloudCommandState

from .conftest import Hub, until

DIAGNOSTICS, REBOOT = CommandType.DIAGNOSTICS, CommandType.REBOOT
RESET = CommandType.FACTORY_RESET


async def test_an_ack_that_cannot_be_written_is_sent_with_less_in_it(hub: Hub) -> None:
    ack = CommandsClient.ack_command

    async def breaking(self: CommandsClient, command_id: str, status: str, **more: Any) -> None:  # noqa: ANN401
        if more["result"] is not None:
            raise RecursionError("too deep")
        await ack(self, command_id, status, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CommandsClient, "ack_command", breaking)
        async with hub.life():
            (found,) = await hub.settled(hub.queue("diagnostics"))
    assert (found.state, found.result) == (CloudCommandState.ACKED, None)


async def test_reboot_is_acknowledged_before_it_happens(hub: Hub) -> None:
    seen: list[CloudCommandState] = []
    handler = hub.handlers[REBOOT]
    handler.outcome = CommandOutcome(CommandEvent.CONFIRMED)
    execute = handler.execute

    async def noting(record: CommandRecord) -> CommandOutcome:
        seen.append(hub.at_cloud(record.command_id).state)
        return await execute(record)

    handler.execute = noting  # type: ignore[method-assign]
    async with hub.life() as service:
        command = hub.queue("reboot")
        await hub.settled(command)
        await until(lambda: service.journal is not None and not service.journal.open_commands())
    assert seen == [CloudCommandState.ACKED]
    assert handler.executed == [command]


async def test_nothing_begins_while_a_reboot_waits_for_its_ack(hub: Hub) -> None:
    hub.cloud.set_faults([FaultRule(ErrorStatus(503, retry_after_s=3600), Endpoint.COMMANDS_ACK)])
    hub.queue("reboot")
    hub.queue("diagnostics")
    async with hub.life() as service:
        await until(lambda: service.journal is not None and len(service.journal.open_commands()) == 2)
        await until(lambda: hub.cloud.statistics().faults.get("Status", 0) > 0)
        assert service.journal is not None
        assert [record.state for record in service.journal.open_commands()] == [
            CommandState.EXECUTING,
            CommandState.RECEIVED,
        ]
    assert hub.handlers[REBOOT].executed == hub.handlers[DIAGNOSTICS].executed == []


async def test_lost_answer_to_an_ack_leads_to_one_409(hub: Hub) -> None:
    hub.cloud.set_faults([FaultRule(CutAfter(), Endpoint.COMMANDS_ACK, next_n=1)])
    async with hub.life() as service:
        command = hub.queue("diagnostics")
        await hub.settled(command)
        hub.clock.push(10_000)  # past the back-off
        await until(lambda: service.journal is not None and not service.journal.open_commands())
        await until(lambda: command in {each.command_id for each in hub.cloud.admin.commands(hub.device_id)})
    assert hub.handlers[DIAGNOSTICS].executed == [command]


async def test_reboot_unknown_to_the_cloud_does_not_happen(hub: Hub) -> None:
    hub.cloud.set_faults([FaultRule(ErrorStatus(404), Endpoint.COMMANDS_ACK)])
    async with hub.life() as service:
        hub.queue("reboot")
        await until(lambda: hub.cloud.statistics().faults.get("Status", 0) > 0)
        await until(lambda: service.journal is not None and not service.journal.open_commands())
        (tombstone,) = await service.recent()
    assert hub.handlers[REBOOT].executed == []
    assert tombstone.error_message.startswith("not run: the cloud no longer knows it")


async def test_an_ack_that_is_refused_is_sent_with_less_in_it_and_others_pass(hub: Hub) -> None:
    hub.handlers[DIAGNOSTICS].outcome = CommandOutcome(CommandEvent.FAIL, error_message="long story", result={"a": 1})
    hub.cloud.set_faults([FaultRule(ErrorStatus(422), Endpoint.COMMANDS_ACK, next_n=2)])
    async with hub.life():
        (found,) = await hub.settled(hub.queue("diagnostics"))
        assert (found.error_message, found.result) == ("", None)
        hub.cloud.set_faults([FaultRule(ErrorStatus(400), Endpoint.COMMANDS_ACK, next_n=3)])
        stuck = hub.queue("diagnostics")
        await until(lambda: hub.cloud.statistics().faults.get("Status", 0) == 3)
        await hub.settled(hub.queue("config_update"))
        assert hub.at_cloud(stuck).state is CloudCommandState.PENDING
        hub.clock.push(61_000)
        await hub.settled(hub.queue("config_update"), stuck)


async def test_factory_reset_waits_until_all_other_commands_are_acknowledged(hub: Hub) -> None:
    hub.cloud.set_faults([FaultRule(ErrorStatus(400), Endpoint.COMMANDS_ACK, next_n=3)])
    hub.handlers[RESET].outcome = CommandOutcome(CommandEvent.CONFIRMED)
    stuck = hub.queue("diagnostics")
    async with hub.life() as service:
        await until(lambda: hub.cloud.statistics().faults.get("Status", 0) == 3)
        reset = hub.queue("factory_reset")
        await hub.settled(hub.queue("config_update"))
        assert hub.handlers[RESET].executed == []
        assert hub.at_cloud(reset).state is CloudCommandState.PENDING
        hub.clock.push(61_000)
        await hub.settled(hub.queue("config_update"), stuck, reset)
        await until(lambda: service.journal is not None and not service.journal.open_commands())
    assert hub.handlers[RESET].executed == [reset]
