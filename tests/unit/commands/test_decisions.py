"""Whether a received command runs, waits, is refused or has expired."""

import msgspec
import pytest

from agent.commands.decisions import (
    ACKS_POLL_MS,
    ATTEMPTS_MAX,
    CLOCK_POLL_MS,
    CONFIRMATION_MS,
    LIFETIME_MS,
    Begin,
    Reject,
    Wait,
    decide,
    execution_order,
    has_exhausted_attempts,
)
from agent.commands.lifecycle import (
    TRAITS,
    CommandEvent,
    CommandRecord,
    CommandState,
    CommandType,
)
from agent.foundation.clock import Now

NOON_MS = 1_774_785_600_000  # 2026-03-29T12:00:00Z
NOW = Now("boot-1", 50_000, NOON_MS)
NO_TIME = Now("boot-1", 50_000, None)


def record(type_: str = "reboot", **changes: object) -> CommandRecord:
    return msgspec.structs.replace(CommandRecord("c1", type_, "boot-1", 40_000, expires_utc_ms=NOON_MS + 1), **changes)


def decided(of: CommandRecord, moment: Now = NOW, *, needs_confirmation: bool = False, acks_due: int = 0) -> object:
    return decide(of, moment, problem="", needs_confirmation=needs_confirmation, acks_due=acks_due)


def test_command_with_a_problem_is_refused_in_any_case() -> None:
    late = record(expires_utc_ms=0)
    assert decide(late, NO_TIME, problem="no", needs_confirmation=True, acks_due=1) == Reject(CommandEvent.REFUSE, "no")


@pytest.mark.parametrize("type_", CommandType)
def test_valid_command_begins(type_: CommandType) -> None:
    assert decided(record(type_)) == Begin()
    assert decided(record(type_, expires_utc_ms=None)) == Begin()


@pytest.mark.parametrize("type_", CommandType)
def test_expired_command_never_begins(type_: CommandType) -> None:
    found = decided(record(type_, expires_utc_ms=NOON_MS))
    assert found == Reject(CommandEvent.EXPIRE, "expired at 2026-03-29T12:00:00Z, before it could be run")


@pytest.mark.parametrize("type_", CommandType)
def test_only_harmless_commands_begin_without_the_time(type_: CommandType) -> None:
    expected = Wait(CLOCK_POLL_MS) if TRAITS[type_].is_destructive else Begin()
    assert decided(record(type_), NO_TIME) == expected


def test_command_of_this_boot_waits_one_day_for_the_time() -> None:
    moment = Now("boot-1", 40_000 + LIFETIME_MS, None)
    found = decided(record(), moment)
    assert isinstance(found, Reject)
    assert found.event is CommandEvent.EXPIRE
    assert decided(record(), msgspec.structs.replace(moment, now_ms=moment.now_ms - 400)) == Wait(400)


def test_command_of_an_earlier_boot_waits_for_the_time_from_the_start_of_this_one() -> None:
    old = record(received_boot_id="boot-0", received_ms=10**12)
    assert decided(old, Now("boot-1", LIFETIME_MS - 5, None)) == Wait(5)
    assert isinstance(decided(old, Now("boot-1", LIFETIME_MS, None)), Reject)


def test_factory_reset_waits_ten_minutes_for_confirmation() -> None:
    of = record("factory_reset")
    assert decided(of, needs_confirmation=True) == Wait(CONFIRMATION_MS - 10_000)
    assert decided(msgspec.structs.replace(of, is_confirmed=True), needs_confirmation=True) == Begin()
    late = msgspec.structs.replace(NOW, now_ms=40_000 + CONFIRMATION_MS)
    refused = Reject(CommandEvent.REFUSE, "nobody confirmed it at the hub within 10 minutes")
    assert decided(of, late, needs_confirmation=True) == refused
    assert decided(msgspec.structs.replace(of, received_boot_id="boot-0"), needs_confirmation=True) == refused


def test_factory_reset_waits_until_all_other_commands_are_acknowledged() -> None:
    assert decided(record("factory_reset"), acks_due=1) == Wait(ACKS_POLL_MS)
    assert decided(record("reboot"), acks_due=1) == Begin()


def test_begun_commands_come_first_then_the_clouds_order() -> None:
    states = (
        CommandState.RECEIVED,
        CommandState.DONE,
        CommandState.EXECUTING,
        CommandState.RECEIVED,
        CommandState.ACKED,
    )
    records = [record(state=state, command_id=str(number)) for number, state in enumerate(states)]
    assert [each.command_id for each in execution_order(records)] == ["2", "0", "3"]


def test_command_that_ended_too_many_processes_is_given_up() -> None:
    assert not has_exhausted_attempts(record("diagnostics", attempts=ATTEMPTS_MAX - 1))
    assert has_exhausted_attempts(record("diagnostics", attempts=ATTEMPTS_MAX))
    assert not has_exhausted_attempts(record("reboot", attempts=ATTEMPTS_MAX + 50))


def test_an_unknown_type_does_not_wait_for_the_time() -> None:
    assert decided(record("set_setpoint"), NO_TIME) == Begin()
