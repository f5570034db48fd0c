"""Commands over real sockets and a real journal: each runs once, and a failing one affects no other."""

import contextlib
import json
import sqlite3
from typing import Any

import pytest

from agent.cloud.client import CommandsClient
from agent.commands.decisions import LIFETIME_MS
from agent.commands.handlers import CommandOutcome
from agent.commands.journal import FILE_NAME
from agent.commands.lifecycle import CommandEvent, CommandRecord, CommandState, CommandType
from agent.errors import CommandInvalid, Corrupt, RebootFailed, SettingInvalid, StorageFull
from agent.foundation.disk import Operation
from agent.local.commands import build_commands
from lab.refcloud.records import CommandState as CloudCommandState

from .conftest import Hub, until

DIAGNOSTICS, REBOOT = CommandType.DIAGNOSTICS, CommandType.REBOOT
RESET = CommandType.FACTORY_RESET


async def test_command_is_run_and_its_result_is_acknowledged(hub: Hub) -> None:
    async with hub.life():
        (found,) = await hub.settled(hub.queue("diagnostics"))
    assert (found.state, found.result) == (CloudCommandState.ACKED, {"done": True})
    assert hub.handlers[DIAGNOSTICS].executed == ["id-2"]


async def test_failed_command_is_acknowledged_with_its_reason(hub: Hub) -> None:
    hub.handlers[DIAGNOSTICS].outcome = CommandOutcome(
        CommandEvent.FAIL, error_message="no luck with cs_dev_" + "x" * 32
    )
    async with hub.life():
        (found,) = await hub.settled(hub.queue("diagnostics"))
    assert (found.state, found.error_message) == (CloudCommandState.FAILED, "no luck with cs_dev_[redacted]")


@pytest.mark.parametrize(
    ("type_", "payload", "words"),
    [
        ("set_setpoint", {}, "unsupported command type 'set_setpoint'; there are reboot, config_update,"),
        ("diagnostics", {"bad": 1}, "diagnostics: bad is bad"),
        ("diagnostics", {"x": "y" * 20_000}, "payload is larger than 16384 bytes"),
    ],
)
async def test_invalid_command_is_refused_with_its_reason(
    hub: Hub, type_: str, payload: dict[str, Any], words: str
) -> None:
    async with hub.life():
        (found,) = await hub.settled(hub.queue(type_, payload))
    assert found.state is CloudCommandState.FAILED
    assert found.error_message.startswith(words)
    assert hub.handlers[DIAGNOSTICS].executed == []


@pytest.mark.parametrize(
    "error",
    [
        ValueError("year 0"),
        RecursionError("too deep"),
        KeyError(1),
        ExceptionGroup("x", [OSError(5, "y")]),
        SettingInvalid("no"),
        Corrupt("not the journal"),
    ],
)
async def test_defect_in_a_handler_fails_its_command_only(hub: Hub, error: Exception) -> None:
    hub.handlers[DIAGNOSTICS].errors.append(error)
    async with hub.life():
        bad, good = await hub.settled(hub.queue("diagnostics"), hub.queue("diagnostics"))
    assert (bad.state, good.state) == (CloudCommandState.FAILED, CloudCommandState.ACKED)
    assert bad.error_message.startswith("diagnostics: ")
    assert hub.faults == []


async def test_defect_in_a_check_fails_its_command_only(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(payload: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(hub.handlers[DIAGNOSTICS], "check", check)
    async with hub.life():
        bad, good = await hub.settled(hub.queue("diagnostics"), hub.queue("config_update"))
    assert (bad.state, bad.error_message) == (CloudCommandState.FAILED, "diagnostics: RecursionError: too deep")
    assert good.state is CloudCommandState.ACKED


@pytest.mark.parametrize(
    "error", [RebootFailed("there is no logind"), CommandInvalid("there is no logind"), KeyError(1)]
)
async def test_command_that_cannot_be_prepared_fails_without_being_executed(hub: Hub, error: Exception) -> None:
    hub.handlers[REBOOT].skip_reason = error
    async with hub.life() as commands:
        bad, good = await hub.settled(hub.queue("reboot"), hub.queue("diagnostics"))
        (told, *_) = [record for record in await commands.recent() if record.type == "reboot"]
    assert (bad.state, good.state) == (CloudCommandState.FAILED, CloudCommandState.ACKED)
    expected = "reboot: KeyError: 1" if isinstance(error, KeyError) else "reboot: there is no logind"
    assert bad.error_message == told.error_message == expected
    assert hub.handlers[REBOOT].executed == []


async def test_parts_of_a_result_that_cannot_be_encoded_do_not_fail_the_command(hub: Hub) -> None:
    nested: object = 1
    for _ in range(900):
        nested = {"x": nested}
    hub.handlers[DIAGNOSTICS].outcome = CommandOutcome(
        CommandEvent.SUCCEED, result={"settings": nested, "link": "up\ud83c"}
    )
    async with hub.life():
        (found,) = await hub.settled(hub.queue("diagnostics"))
    assert found.state is CloudCommandState.ACKED
    assert found.result is not None
    assert found.result["link"] == "up\\ud83c"
    assert "this cannot be shown" in found.result["settings"]["problem"]


async def test_invalid_outcome_is_a_failure(hub: Hub) -> None:
    hub.handlers[DIAGNOSTICS].outcome = CommandOutcome(CommandEvent.ACKNOWLEDGED)
    async with hub.life():
        bad, good = await hub.settled(hub.queue("diagnostics"), hub.queue("config_update"))
    assert bad.error_message.startswith("its outcome cannot be saved: ValueError: ")
    assert (bad.state, good.state) == (CloudCommandState.FAILED, CloudCommandState.ACKED)


async def test_unknown_command_left_executing_by_another_release_fails(hub: Hub) -> None:
    handler = hub.handlers[DIAGNOSTICS]
    handler.gate.clear()
    async with hub.life():
        command = hub.queue("diagnostics")
        await until(lambda: handler.executed == [command])
    with contextlib.closing(sqlite3.connect(hub.directory / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE commands SET record = replace(record, '\"diagnostics\"', '\"set_setpoint\"')")
    async with hub.life():
        found, good = await hub.settled(command, hub.queue("config_update"))
    assert found.error_message == "this release of the hub does not know commands of type 'set_setpoint'"
    assert (found.state, good.state) == (CloudCommandState.FAILED, CloudCommandState.ACKED)


@pytest.mark.parametrize("expires_utc_ms", [-62_135_600_400_000, -(2**70)])
async def test_command_with_an_unrepresentable_expiry_from_an_older_release_is_settled(
    hub: Hub, expires_utc_ms: int
) -> None:
    hub.needs_confirmation = True
    async with hub.life() as service:
        command = hub.queue("factory_reset")
        await until(lambda: service.journal is not None and len(service.journal.open_commands()) == 1)
    with contextlib.closing(sqlite3.connect(hub.directory / FILE_NAME)) as connection, connection:
        ((record,),) = connection.execute("SELECT record FROM commands").fetchall()
        changed = json.loads(record) | {"expires_utc_ms": expires_utc_ms}
        connection.execute("UPDATE commands SET record = ?", (json.dumps(changed),))
    async with hub.life() as service:
        found, good = await hub.settled(command, hub.queue("diagnostics"))
        await until(lambda: service.journal is not None and not service.journal.open_commands())
        (recent, _) = sorted(
            build_commands(await service.recent(), problem="").commands, key=lambda each: each.type, reverse=True
        )
    assert found.error_message == "expired at an instant that is not between 1970 and 2200, before it could be run"
    assert (found.state, good.state) == (CloudCommandState.FAILED, CloudCommandState.ACKED)
    assert recent.expires == "an instant that is not between 1970 and 2200"


async def test_defect_while_reconciling_fails_its_command_only(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands.executor.RETRY_S", 0.01)
    handler = hub.handlers[DIAGNOSTICS]
    handler.gate.clear()
    async with hub.life():
        command = hub.queue("diagnostics")
        await until(lambda: handler.executed == [command])
    errors: list[Exception] = [StorageFull("no room"), ValueError("year 0")]

    async def reconcile(record: CommandRecord) -> CommandOutcome | None:
        raise errors.pop(0)

    monkeypatch.setattr(handler, "reconcile", reconcile)
    async with hub.life():
        found, good = await hub.settled(command, hub.queue("config_update"))
    assert (found.state, found.error_message) == (CloudCommandState.FAILED, "diagnostics: ValueError: year 0")
    assert good.state is CloudCommandState.ACKED


async def test_unreadable_command_does_not_affect_the_others(hub: Hub) -> None:
    bad = b'{"command_id":"poison","type":"config_update","payload":{"name":"Kueche \\ud83c"}}'
    listing = CommandsClient.get_pending_commands
    acks: list[tuple[str, str, str]] = []
    ack = CommandsClient.ack_command

    async def poisoned(self: CommandsClient) -> list[bytes]:
        return [bad, *await listing(self)]

    async def noting(self: CommandsClient, command_id: str, status: str, **more: Any) -> None:  # noqa: ANN401
        acks.append((command_id, status, more["error_message"]))
        await ack(self, command_id, status, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CommandsClient, "get_pending_commands", poisoned)
        patched.setattr(CommandsClient, "ack_command", noting)
        async with hub.life() as service:
            await hub.settled(hub.queue("diagnostics"), hub.queue("config_update"))
            await until(lambda: service.journal is not None and not service.journal.open_commands())
    assert ("poison", "failed", "payload is unreadable (Input data was truncated); an object is needed") in acks


async def test_commands_run_one_at_a_time_in_the_clouds_order(hub: Hub) -> None:
    gates = [hub.handlers[kind].gate for kind in (DIAGNOSTICS, CommandType.CONFIG_UPDATE)]
    gates[0].clear()
    ids = [hub.queue("diagnostics"), hub.queue("config_update"), hub.queue("diagnostics")]
    async with hub.life():
        await until(lambda: hub.handlers[DIAGNOSTICS].executed == ids[:1])
        assert hub.handlers[CommandType.CONFIG_UPDATE].executed == []
        gates[0].set()
        await hub.settled(*ids)
    assert hub.handlers[DIAGNOSTICS].executed == [ids[0], ids[2]]
    assert hub.handlers[CommandType.CONFIG_UPDATE].executed == [ids[1]]


async def test_an_expired_command_is_not_run(hub: Hub) -> None:
    hub.needs_confirmation = True
    async with hub.life() as service:
        command = hub.queue("factory_reset", lifetime_ms=600_000)
        await until(lambda: service.journal is not None and len(service.journal.open_commands()) == 1)
        hub.clock.push(600_000)
        await hub.settled(hub.queue("diagnostics"))  # wakes the executor
        await until(lambda: service.journal is not None and not service.journal.open_commands())
        tombstone = next(each for each in await service.recent() if each.command_id == command)
    assert tombstone.error_message.startswith("expired at 2026-03-29T12:2")
    assert hub.handlers[RESET].executed == []


async def test_reboot_without_the_time_waits_while_others_run(hub: Hub) -> None:
    hub.clock.is_known = False
    async with hub.life() as service:
        reboot = hub.queue("reboot")
        await hub.settled(hub.queue("diagnostics"), hub.queue("config_update"))
        await until(lambda: service.journal is not None and len(service.journal.open_commands()) == 1)
        assert service.journal is not None
        assert [record.state for record in service.journal.open_commands()] == [CommandState.RECEIVED]
        hub.clock.push(LIFETIME_MS)
        await hub.settled(hub.queue("diagnostics"))  # wakes the executor
        await until(lambda: service.journal is not None and not service.journal.open_commands())
        tombstone = next(each for each in await service.recent() if each.command_id == reboot)
    assert tombstone.error_message.startswith("not run: the hub's clock was not set for a day")
    assert hub.handlers[REBOOT].executed == []


async def test_interrupted_command_is_reconciled_by_its_handler(hub: Hub) -> None:
    handler = hub.handlers[DIAGNOSTICS]
    handler.gate.clear()
    async with hub.life():
        command = hub.queue("diagnostics")
        await until(lambda: handler.executed == [command])
    handler.found = CommandOutcome(CommandEvent.SUCCEED, result={"found": True})
    async with hub.life():
        (found,) = await hub.settled(command)
    assert handler.executed == handler.reconciled == [command]
    assert found.result == {"found": True}


async def test_command_that_ended_five_processes_is_given_up(hub: Hub) -> None:
    handler = hub.handlers[DIAGNOSTICS]
    handler.gate.clear()
    command = hub.queue("diagnostics")
    for life in range(1, 6):
        async with hub.life():
            await until(lambda: len(handler.executed) == life)  # noqa: B023
    async with hub.life():
        (found,) = await hub.settled(command)
    assert found.error_message == "the agent died 5 times while running it"
    assert len(handler.executed) == 5


async def test_no_command_begins_on_a_full_disk(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands.executor.RETRY_S", 0.01)
    is_full = [True]

    def on_operation(operation: Operation, target: str) -> None:
        if is_full[0] and operation is Operation.COMMIT and hub.handlers[DIAGNOSTICS].executed:
            raise OSError(28, "No space left on device")

    hub.disk.on_operation = on_operation
    async with hub.life() as service:
        command = hub.queue("diagnostics")
        await until(lambda: bool(hub.handlers[DIAGNOSTICS].executed))
        later = hub.queue("config_update")
        await until(lambda: "free some space" in service.problem)
        assert hub.handlers[CommandType.CONFIG_UPDATE].executed == []
        is_full[0] = False
        await hub.settled(command, later)
    assert hub.handlers[DIAGNOSTICS].executed == [command]


async def test_transient_error_is_retried(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands.executor.RETRY_S", 0.01)
    hub.handlers[DIAGNOSTICS].errors.append(StorageFull("no room"))
    async with hub.life():
        command = hub.queue("diagnostics")
        (found,) = await hub.settled(command)
    assert found.state is CloudCommandState.ACKED
    assert hub.handlers[DIAGNOSTICS].executed == [command, command]
