"""Every command settles exactly once, in whatever state the world stops; and the judge of that is no yes-man."""

import os
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from agent.commands.acknowledger import CommandAcknowledger
from agent.commands.handlers import CommandOutcome, ConfigUpdateHandler
from agent.commands.journal import CommandJournal
from agent.commands.lifecycle import (
    TRAITS,
    CommandEvent,
    CommandRecord,
    CommandState,
    CommandTraits,
    CommandType,
    transition,
)
from agent.commands.payloads import IncomingCommand
from agent.commands.reboot import RebootHandler
from agent.foundation.clock import Now
from lab.refcloud.contract import Endpoint
from lab.refcloud.faults import FaultRule, SlowDrip
from lab.simulation.crash_points import fork_at_operations
from lab.simulation.options import RATES, MachineFault, MachineFaultKind, Options, PlannedCommand, draw_commands
from lab.simulation.run import simulate
from lab.simulation.verdict import Verdict, as_text

QUEUED_S = 90.0
"""After the first poll of a hub that has crashed at its start: the first listing to a new journal is refused."""

ORDERS = {
    "reboot": PlannedCommand(QUEUED_S, "reboot", None),
    "reboot later": PlannedCommand(QUEUED_S, "reboot", {"delay_seconds": 90}),
    "config_update": PlannedCommand(
        QUEUED_S, "config_update", {"reporting_interval_seconds": 300, "timezone": "Asia/Kolkata"}
    ),
    "config_update, empty": PlannedCommand(QUEUED_S, "config_update", {}),
    "factory_reset": PlannedCommand(QUEUED_S, "factory_reset", {"confirm": True}),
    "diagnostics": PlannedCommand(QUEUED_S, "diagnostics", {"sections": ["memory", "outbox"]}),
    "unknown": PlannedCommand(QUEUED_S, "set_setpoint", {"heat_setpoint_c": 21}, is_valid=False),
    "extra field": PlannedCommand(QUEUED_S, "reboot", {"force": True}, is_valid=False),
    "not confirmed": PlannedCommand(QUEUED_S, "factory_reset", {"confirm": False}, is_valid=False),
}

ALONE = Options(
    days=240 / 86_400,
    sensors=7,
    faults="none",
    machine_faults=(),
    calm_s=1860.0,
    config_text="[storage]\ncommit_interval_s = 300\n",
)
"""One command on an idle hub. The rest of the time is for a new key after a reset, and for the last batch."""


def alone(order: PlannedCommand, **changes: Any) -> Verdict:  # noqa: ANN401 (any option)
    return simulate(msgspec.structs.replace(ALONE, commands=(order,), **changes))


def settled_once(verdict: Verdict, order: PlannedCommand) -> bool:
    """Tell whether the one command took effect as often as it should, and was reported once."""
    commands = verdict.commands
    expected = (1, 1, 0) if order.is_valid else (0, 0, 1)
    # A reboot whose boot ended by a power cut before its ack needs no restart of its own.
    may_be_spared = order.type == "reboot" and verdict.crashes and commands.executed == 0
    found = (1 if may_be_spared and order.is_valid else commands.executed, commands.acked, commands.failed)
    return not verdict.violations and commands.issued == 1 and found == expected


@pytest.mark.parametrize("name", ORDERS)
def test_each_command_settles_once_without_faults(name: str) -> None:
    verdict = alone(ORDERS[name])
    assert settled_once(verdict, ORDERS[name]), as_text(verdict, name)


def swept(name: str, *, stride: int) -> tuple[int, list[str]]:
    """Stop the world before each operation, by power cut and by kill; return how many points, and what failed."""
    order = ORDERS[name]
    tried, failed = 0, []
    for kind in (MachineFaultKind.POWER_CUT, MachineFaultKind.PROCESS_KILLED):

        def judge(point: int, verdict: Verdict, kind: MachineFaultKind = kind) -> None:
            nonlocal tried
            tried += 1
            if not settled_once(verdict, order) or verdict.crashes != 1:
                failed.append(f"{name}, {kind} before operation {point}: {as_text(verdict, '')}")

        options = msgspec.structs.replace(ALONE, commands=(order,), stop_by=kind)
        fork_at_operations(lambda at: simulate(options, at_operation=at), stride=stride, on_result=judge)  # noqa: B023
    return tried, failed


@pytest.mark.parametrize("name", ["reboot", "config_update"])
def test_selected_crash_points_do_no_harm(name: str) -> None:
    _, failed = swept(name, stride=7)
    assert not failed, failed[0]


STRIDE = int(os.environ.get("CLIMAHUB_STRIDE", "8"))
"""Every so many operations only: all of them take minutes (`CLIMAHUB_STRIDE=1`, which `make soak` sets)."""


@pytest.mark.slow
def test_every_command_settles_once_at_every_crash_point() -> None:
    tried, failed = 0, []
    for name in ORDERS:
        count, found = swept(name, stride=STRIDE)
        tried += count
        failed += found
    print(f"crash points of commands: {tried - len(failed)} of {tried} settled exactly once")  # noqa: T201 - the issue asks for the count
    assert not failed, failed[0]
    assert tried > 300 // STRIDE


MIXED = Options(
    days=0.06,
    seed=2,
    sensors=7,
    faults="none",
    config_text="commands_idle_poll_interval_s = 15\n",
    commands=(
        PlannedCommand(300.0, "config_update", {"reporting_interval_seconds": 90}, relisted_after_s=600.0),
        PlannedCommand(600.0, "reboot", {"delay_seconds": 60}, relisted_after_s=600.0),
        PlannedCommand(1000.0, "diagnostics", None),
        PlannedCommand(1400.0, "reboot", {}),
        PlannedCommand(1401.0, "config_update", {"timezone": "Asia/Kolkata"}),
        PlannedCommand(2000.0, "config_update", {"reporting_interval_seconds": 5}, is_valid=False),
        PlannedCommand(2100.0, "reboot", {"delay_seconds": 10}, lifetime_s=1.0),
    ),
    machine_faults=(
        MachineFault(MachineFaultKind.PROCESS_KILLED, at_s=630.0, lasts_s=5.0),
        MachineFault(MachineFaultKind.NETWORK_CUT, at_s=2090.0, lasts_s=60.0),
        MachineFault(MachineFaultKind.POWER_CUT, at_s=3000.0, lasts_s=60.0, unsynchronised_s=120.0),
    ),
)


def broken(options: Options = MIXED, *, until: str = "") -> set[str]:
    """Return the broken promises; up to the one that is looked for, if there is one."""
    verdict = simulate(options, until_broken=(until,) if until else ())
    return {violation.promise for violation in verdict.violations}


def is_broken(promise: str, options: Options = MIXED) -> bool:
    return promise in broken(options, until=promise)


def test_without_a_planted_bug_the_mixture_passes() -> None:
    verdict = simulate(MIXED)
    assert not verdict.violations, as_text(verdict, "")
    commands = verdict.commands
    assert (commands.issued, commands.executed, commands.acked, commands.failed, commands.expired) == (7, 5, 5, 1, 1)


def test_executing_before_the_journal_has_it_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    store = CommandJournal._update

    def forget_what_executes(self: CommandJournal, connection: Any, record: CommandRecord, now: Now) -> None:  # noqa: ANN401
        if record.state is not CommandState.EXECUTING:
            store(self, connection, record, now)

    monkeypatch.setattr(CommandJournal, "_update", forget_what_executes)
    # Else the second reboot is refused for being one too many.
    monkeypatch.setattr("agent.commands.reboot.limit_reason", lambda asked, utc_ms: "")
    assert is_broken("nothing executed twice")


def test_acknowledging_a_config_update_before_its_effect_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    traits = dict(TRAITS) | {CommandType.CONFIG_UPDATE: CommandTraits(is_destructive=False, is_acked_first=True)}
    monkeypatch.setattr("agent.commands.lifecycle.TRAITS", traits)
    execute = ConfigUpdateHandler.execute

    async def proven(self: ConfigUpdateHandler, record: CommandRecord) -> CommandOutcome:
        return msgspec.structs.replace(await execute(self, record), event=CommandEvent.CONFIRMED)

    monkeypatch.setattr(ConfigUpdateHandler, "execute", proven)
    assert is_broken("done before acked")


def test_forgetting_tombstones_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    add = CommandJournal._add

    def add_again(
        self: CommandJournal,
        connection: Any,  # noqa: ANN401
        arrivals: Sequence[IncomingCommand],
        now: Now,
    ) -> tuple[list[CommandRecord], set[str]]:
        connection.execute("DELETE FROM commands WHERE NOT is_open")
        return add(self, connection, arrivals, now)

    monkeypatch.setattr(CommandJournal, "_add", add_again)
    assert is_broken("nothing executed twice")


def test_executing_again_after_a_crash_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never_heard_of_it(self: RebootHandler, record: CommandRecord) -> None:
        return None

    monkeypatch.setattr(RebootHandler, "reconcile", never_heard_of_it)
    assert is_broken("nothing executed twice")


def test_a_reboot_before_its_ack_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    traits = dict(TRAITS) | {CommandType.REBOOT: CommandTraits(is_destructive=True, is_acked_first=False)}
    monkeypatch.setattr("agent.commands.lifecycle.TRAITS", traits)
    assert is_broken("acked before done")


def test_missing_limit_of_reboots_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = tuple(PlannedCommand(600.0 + 120.0 * number, "reboot", None) for number in range(8))
    options = msgspec.structs.replace(MIXED, commands=commands, machine_faults=())
    verdict = simulate(options)
    assert not verdict.violations, as_text(verdict, "")
    assert (verdict.commands.executed, verdict.commands.failed) == (2, 6)
    monkeypatch.setattr("agent.commands.reboot.limit_reason", lambda asked, utc_ms: "")
    assert broken(options) == {"reboots are limited"}


@pytest.mark.parametrize("name", ["reboot", "factory_reset"])
def test_an_ack_whose_answer_still_drips_has_come_before_its_effect(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cloud has the ack before its answer; the hub may go down with the answer's last byte."""
    drip = FaultRule(SlowDrip(piece_bytes=256, pause_s=60.0), endpoint=Endpoint.COMMANDS_ACK)
    monkeypatch.setattr("lab.simulation.run.cloud_rules", lambda rates, *, until_s: [drip])
    verdict = alone(ORDERS[name])
    assert settled_once(verdict, ORDERS[name]), as_text(verdict, name)
    assert verdict.faults["SlowDrip"]


def test_running_a_malformed_command_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def execute(self: ConfigUpdateHandler, record: CommandRecord) -> CommandOutcome:
        return CommandOutcome(CommandEvent.SUCCEED, result={})

    monkeypatch.setattr(ConfigUpdateHandler, "check", lambda self, payload: None)
    monkeypatch.setattr(ConfigUpdateHandler, "execute", execute)
    assert is_broken("bad commands are refused")


def test_an_ack_that_is_never_sent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CommandAcknowledger, "_next", lambda self, journal: (None, None))
    assert is_broken("everything settled")


def test_an_ack_without_the_effect_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pretend(self: RebootHandler, record: CommandRecord) -> CommandOutcome:
        return CommandOutcome(CommandEvent.CONFIRMED)

    monkeypatch.setattr(RebootHandler, "execute", pretend)
    options = msgspec.structs.replace(MIXED, commands=MIXED.commands[1:2] if MIXED.commands else (), machine_faults=())
    assert is_broken("what is acked is done", options)


def test_omitted_result_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(record: CommandRecord, event: CommandEvent, now: Now, **said: Any) -> CommandRecord:  # noqa: ANN401
        return msgspec.structs.replace(transition(record, event, now, **said), result=None)

    monkeypatch.setattr("agent.commands.journal.transition", forgetful)
    assert is_broken("the result is reported")


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 26, 51, 76])
def test_random_commands_settle_under_every_fault_for_a_hundred_seeds(first: int) -> None:
    issued = twice = unsettled = 0
    for seed in range(first, first + 25):
        planned = tuple(draw_commands(random.Random(seed), 4 * RATES["harsh"].commands, until_s=0.05 * 86_400))
        verdict = simulate(Options(days=0.05, sensors=7, seed=seed, faults="harsh", commands=planned, calm_s=3600.0))
        assert not verdict.violations, as_text(verdict, f"seed {seed}")
        issued += verdict.commands.issued
        twice += verdict.commands.executed_twice
        unsettled += verdict.commands.unsettled
    print(f"{issued} commands, {twice} executed twice, {unsettled} unsettled")  # noqa: T201 - the issue asks for the count
    assert (twice, unsettled) == (0, 0)
    assert issued > 250
