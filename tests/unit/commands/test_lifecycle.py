"""The transition table of commands, and what each transition changes in the record."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.lifecycle import (
    EDGES,
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


def record(type_: str = "reboot", **changes: object) -> CommandRecord:
    return msgspec.structs.replace(CommandRecord("c1", type_, "boot-1", 40_000, expires_utc_ms=NOON_MS + 1), **changes)


@pytest.mark.parametrize("state", CommandState)
@pytest.mark.parametrize("event", CommandEvent)
def test_only_transitions_of_the_table_are_possible(state: CommandState, event: CommandEvent) -> None:
    before = record(state=state)
    if (state, event) in EDGES:
        assert transition(before, event, NOW).state is EDGES[state, event]
    else:
        with pytest.raises(ValueError, match=f"command c1 is {state}: it cannot be {event}"):
            transition(before, event, NOW)


@pytest.mark.parametrize("event", [CommandEvent.ACKNOWLEDGED, CommandEvent.REVOKED])
def test_only_commands_acknowledged_early_can_be_acknowledged_while_executing(event: CommandEvent) -> None:
    assert transition(record("reboot", state=CommandState.EXECUTING), event, NOW) is not None
    with pytest.raises(ValueError, match="it cannot be"):
        transition(record("config_update", state=CommandState.EXECUTING), event, NOW)


def test_every_state_can_be_reached_and_only_a_tombstone_is_an_end() -> None:
    assert set(EDGES.values()) | {CommandState.RECEIVED} == set(CommandState)
    assert {state for state, _ in EDGES} == set(CommandState) - {CommandState.ACKED}


def test_documented_diagram_matches_the_table() -> None:
    assert f"```mermaid\n{to_mermaid()}\n```" in DOCS.read_text()


@given(st.lists(st.sampled_from(CommandEvent), max_size=12), st.sampled_from([*CommandType, "set_setpoint"]))
def test_known_outcome_never_changes(events: list[CommandEvent], type_: str) -> None:
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


def test_transition_records_time_and_problem() -> None:
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


def test_tombstone_keeps_the_outcome_and_drops_the_payload() -> None:
    failed = record("diagnostics", state=CommandState.FAILED, outcome="failed", error_message="why", payload={"x": 1})
    tombstone = transition(failed, CommandEvent.SETTLED, NOW)
    assert (tombstone.outcome, tombstone.error_message, tombstone.settled_utc_ms) == ("failed", "why", NOON_MS)
    assert tombstone.payload is tombstone.result is None


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
        (record(state=CommandState.ACKED), NextActor.NONE),
    ],
)
def test_exactly_one_loop_acts_on_each_state(of: CommandRecord, expected: NextActor) -> None:
    assert next_actor(of) is expected


def test_unknown_type_is_recognised() -> None:
    assert record("set_setpoint").known_type is None
    assert not record("set_setpoint").is_acked_first
