"""The table holds what it promises: every edge and no other, one actor at a time, nothing run that may not be."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    EDGES,
    TRAITS,
    CommandEvent,
    CommandRecord,
    CommandState,
    CommandType,
    NextActor,
    next_actor,
    to_mermaid,
    transition,
)
from agent.foundation.clock import Now

DOCS = Path(__file__).parents[3] / "docs" / "cloud-commands.md"
NOON_MS = 1_774_785_600_000  # 2026-03-29T12:00:00Z
NOW = Now("boot-1", 50_000, NOON_MS)
NO_TIME = Now("boot-1", 50_000, None)


def record(type_: str = "reboot", **changes: object) -> CommandRecord:
    return msgspec.structs.replace(CommandRecord("c1", type_, "boot-1", 40_000, expires_utc_ms=NOON_MS + 1), **changes)


def decided(of: CommandRecord, moment: Now = NOW, *, needs_confirmation: bool = False, acks_due: int = 0) -> object:
    return decide(of, moment, problem="", needs_confirmation=needs_confirmation, acks_due=acks_due)


@pytest.mark.parametrize("state", CommandState)
@pytest.mark.parametrize("event", CommandEvent)
def test_the_table_is_the_law(state: CommandState, event: CommandEvent) -> None:
    before = record(state=state)
    if (state, event) in EDGES:
        assert transition(before, event, NOW).state is EDGES[state, event]
    else:
        with pytest.raises(ValueError, match=f"command c1 is {state}: it cannot be {event}"):
            transition(before, event, NOW)


@pytest.mark.parametrize("event", [CommandEvent.ACKNOWLEDGED, CommandEvent.REVOKED])
def test_only_what_is_answered_first_can_be_answered_before_its_outcome_is_known(event: CommandEvent) -> None:
    assert transition(record("reboot", state=CommandState.EXECUTING), event, NOW)
    with pytest.raises(ValueError, match="it cannot be"):
        transition(record("config_update", state=CommandState.EXECUTING), event, NOW)


def test_every_state_can_be_reached_and_only_a_tombstone_is_an_end() -> None:
    assert set(EDGES.values()) | {CommandState.RECEIVED} == set(CommandState)
    assert {state for state, _ in EDGES} == set(CommandState) - {CommandState.ACKED}


def test_the_picture_in_the_documentation_is_the_table() -> None:
    assert f"```mermaid\n{to_mermaid()}\n```" in DOCS.read_text()


@given(st.lists(st.sampled_from(CommandEvent), max_size=12), st.sampled_from([*CommandType, "set_setpoint"]))
def test_on_any_way_an_outcome_once_known_never_changes(events: list[CommandEvent], type_: str) -> None:
    now = record(type_)
    outcome = ""
    for event in events:
        try:
            now = transition(now, event, NOW)
        except ValueError:
            continue
        if now.state is CommandState.ACKED or (now.state is not CommandState.EXECUTING and now.outcome):
            assert outcome in {"", now.outcome} or now.is_acked_first
        outcome = now.outcome


def test_what_happened_is_noted() -> None:
    begun = transition(record(), CommandEvent.BEGIN, NOW)
    assert (begun.started_boot_id, begun.attempts, begun.outcome) == ("boot-1", 1, "")
    resumed = transition(begun, CommandEvent.RESUME, NOW)
    assert (resumed.started_boot_id, resumed.attempts) == ("boot-1", 2)
    answered = transition(resumed, CommandEvent.ACKNOWLEDGED, NOW)
    assert (answered.outcome, answered.acked_boot_id, answered.acked_ms) == ("acked", "boot-1", 50_000)
    done = transition(begun, CommandEvent.SUCCEED, NOW, result={"a": 1})
    assert (done.outcome, done.result) == ("acked", {"a": 1})
    failed = transition(begun, CommandEvent.FAIL, NOW, error_message="why")
    assert (failed.outcome, failed.error_message) == ("failed", "why")


def test_a_tombstone_keeps_how_it_ended_and_nothing_large() -> None:
    failed = record("diagnostics", state=CommandState.FAILED, outcome="failed", error_message="why", payload={"x": 1})
    grave = transition(failed, CommandEvent.SETTLED, NOW)
    assert (grave.outcome, grave.error_message, grave.settled_utc_ms) == ("failed", "why", NOON_MS)
    assert grave.payload is grave.result is None


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (record(), NextActor.EXECUTOR),
        (record("diagnostics", state=CommandState.EXECUTING), NextActor.EXECUTOR),
        (record("reboot", state=CommandState.EXECUTING), NextActor.ACKNOWLEDGER),
        (record("factory_reset", state=CommandState.EXECUTING), NextActor.ACKNOWLEDGER),
        (record("reboot", state=CommandState.EXECUTING, acked_boot_id="boot-1"), NextActor.EXECUTOR),
        *(
            (record(state=state), NextActor.ACKNOWLEDGER)
            for state in (CommandState.REFUSED, CommandState.DONE, CommandState.FAILED, CommandState.EXPIRED)
        ),
        (record(state=CommandState.ACKED), NextActor.NOBODY),
    ],
)
def test_exactly_one_acts_next(of: CommandRecord, expected: NextActor) -> None:
    assert next_actor(of) is expected


def test_a_problem_is_a_refusal_whatever_else_is_the_matter() -> None:
    late = record(expires_utc_ms=0)
    assert decide(late, NO_TIME, problem="no", needs_confirmation=True, acks_due=1) == Reject(CommandEvent.REFUSE, "no")


@pytest.mark.parametrize("type_", CommandType)
def test_what_is_valid_begins(type_: CommandType) -> None:
    assert decided(record(type_)) == Begin()
    assert decided(record(type_, expires_utc_ms=None)) == Begin()


@pytest.mark.parametrize("type_", CommandType)
def test_what_has_expired_never_begins(type_: CommandType) -> None:
    found = decided(record(type_, expires_utc_ms=NOON_MS))
    assert found == Reject(CommandEvent.EXPIRE, "expired at 2026-03-29T12:00:00Z, before it could be run")


@pytest.mark.parametrize("type_", CommandType)
def test_without_the_time_only_what_destroys_nothing_begins(type_: CommandType) -> None:
    expected = Wait(CLOCK_POLL_MS) if TRAITS[type_].is_destructive else Begin()
    assert decided(record(type_), NO_TIME) == expected


def test_a_command_of_this_boot_waits_a_day_for_the_time_and_no_longer() -> None:
    moment = Now("boot-1", 40_000 + LIFETIME_MS, None)
    found = decided(record(), moment)
    assert isinstance(found, Reject)
    assert found.event is CommandEvent.EXPIRE
    assert decided(record(), msgspec.structs.replace(moment, now_ms=moment.now_ms - 400)) == Wait(400)


def test_of_an_earlier_boot_only_this_ones_time_counts() -> None:
    old = record(received_boot_id="boot-0", received_ms=10**12)
    assert decided(old, Now("boot-1", LIFETIME_MS - 5, None)) == Wait(5)
    assert isinstance(decided(old, Now("boot-1", LIFETIME_MS, None)), Reject)


def test_a_reset_waits_for_a_person_for_ten_minutes() -> None:
    of = record("factory_reset")
    assert decided(of, needs_confirmation=True) == Wait(CONFIRMATION_MS - 10_000)
    assert decided(msgspec.structs.replace(of, is_confirmed=True), needs_confirmation=True) == Begin()
    late = msgspec.structs.replace(NOW, now_ms=40_000 + CONFIRMATION_MS)
    refused = Reject(CommandEvent.REFUSE, "nobody confirmed it at the hub within 10 minutes")
    assert decided(of, late, needs_confirmation=True) == refused
    assert decided(msgspec.structs.replace(of, received_boot_id="boot-0"), needs_confirmation=True) == refused


def test_a_reset_waits_until_everything_else_is_acknowledged() -> None:
    assert decided(record("factory_reset"), acks_due=1) == Wait(ACKS_POLL_MS)
    assert decided(record("reboot"), acks_due=1) == Begin()


def test_an_unknown_type_is_known_as_such() -> None:
    assert record("set_setpoint").known_type is None
    assert not record("set_setpoint").is_acked_first
    assert decided(record("set_setpoint"), NO_TIME) == Begin()


def test_what_has_begun_comes_first_and_the_clouds_order_stays() -> None:
    states = (
        CommandState.RECEIVED,
        CommandState.DONE,
        CommandState.EXECUTING,
        CommandState.RECEIVED,
        CommandState.ACKED,
    )
    records = [record(state=state, command_id=str(number)) for number, state in enumerate(states)]
    assert [each.command_id for each in execution_order(records)] == ["2", "0", "3"]


def test_what_has_ended_too_many_lives_is_hopeless() -> None:
    assert not has_exhausted_attempts(record("diagnostics", attempts=ATTEMPTS_MAX - 1))
    assert has_exhausted_attempts(record("diagnostics", attempts=ATTEMPTS_MAX))
    assert not has_exhausted_attempts(record("reboot", attempts=ATTEMPTS_MAX + 50))
