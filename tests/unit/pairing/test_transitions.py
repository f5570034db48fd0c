"""What events change: in whatever order they come, no identity and no name has two owners."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import PairingRefused
from agent.pairing import transitions
from agent.pairing.lifecycle import (
    PairingEvent,
    PairingRecord,
    PairingStage,
    PairingState,
    transition,
)

from .states import DEVICES, paired, sensor, window, with_window


def test_router_leaves_the_planned_name_and_key_to_the_next_device() -> None:
    planned = with_window(name="bath", key="sk_1")
    taken = transitions.join(planned, DEVICES[0])
    assert taken.sensors[DEVICES[0]].key == "sk_1"
    state = transitions.forget_non_sensor(taken, DEVICES[0])
    assert state == planned
    state = transitions.interview(transitions.join(state, DEVICES[1]), sensor(DEVICES[1]))
    assert (state.sensors[DEVICES[1]].name, state.sensors[DEVICES[1]].key) == ("bath", "sk_1")


def test_relayed_sensor_is_never_forgotten_as_a_non_sensor() -> None:
    state = paired(DEVICES[0])
    assert transitions.forget_non_sensor(state, DEVICES[0]) == state


def test_the_first_new_sensor_takes_name_and_key_and_the_window_ends_with_its_interview() -> None:
    state = transitions.join(with_window(name="attic", key="k"), DEVICES[0])
    assert state.window == window(device=DEVICES[0])
    second = transitions.join(state, DEVICES[1])
    assert second.sensors[DEVICES[1]] == PairingRecord(DEVICES[1])
    done = transitions.interview(second, sensor(DEVICES[0]), "maker")
    first = done.sensors[DEVICES[0]]
    assert (first.stage, first.name, first.key, first.about) == (PairingStage.KEYED, "attic", "k", "maker")
    assert done.window is None


def test_rejoining_sensor_does_not_take_the_planned_name_and_key() -> None:
    state = with_window(paired(DEVICES[0]), name="attic", key="k")
    state = transitions.join(state, DEVICES[0])
    assert state.sensors[DEVICES[0]].name == ""
    assert state.window == window(name="attic", key="k")


def test_label_address_reserves_the_planned_name_and_key() -> None:
    state = transitions.join(with_window(name="attic", ieee_address=DEVICES[1]), DEVICES[0])
    assert state.sensors[DEVICES[0]].name == ""
    state = transitions.join(state, DEVICES[1])
    assert state.sensors[DEVICES[1]].name == "attic"


def test_window_for_many_sensors_stays_open() -> None:
    state = with_window(is_many=True)
    for device in DEVICES:
        state = transitions.interview(transitions.join(state, device), sensor(device))
    assert state.window == window(is_many=True)
    assert {record.stage for record in state.sensors.values()} == {PairingStage.INTERVIEWED}


def test_sensor_that_joined_unnoticed_does_not_take_anothers_key() -> None:
    """Found by seed 12 of the harsh simulations: the hub was down while it joined."""
    state = transitions.interview(with_window(key="k"), sensor(DEVICES[0]))
    assert state.sensors[DEVICES[0]].stage is PairingStage.INTERVIEWED
    assert state.window == window(key="k")
    named = transitions.interview(with_window(key="k", ieee_address=DEVICES[0]), sensor(DEVICES[0]))
    assert named.sensors[DEVICES[0]].stage is PairingStage.KEYED


def test_rejoining_sensor_that_waits_for_its_key_does_not_take_anothers() -> None:
    state = transitions.interview(transitions.join(PairingState(), DEVICES[0]), sensor(DEVICES[0]))
    state = transitions.join(with_window(state, key="k"), DEVICES[0])
    assert state.sensors[DEVICES[0]].stage is PairingStage.INTERVIEWED
    assert state.window == window(key="k")


@pytest.mark.parametrize("changed", [{"ieee_address": DEVICES[0]}, {}])
def test_waiting_sensor_can_be_paired_again_by_its_label(changed: dict[str, str]) -> None:
    state = transitions.interview(transitions.join(PairingState(), DEVICES[0]), sensor(DEVICES[0]))
    if not changed:
        state = transitions.mark_away(state, DEVICES[0])  # it was reset, so it joins anew
    state = transitions.join(with_window(state, key="k", **changed), DEVICES[0])
    assert state.sensors[DEVICES[0]].stage is PairingStage.KEYED


def test_rejoin_keeps_the_identity_and_resumes_relaying() -> None:
    state = transitions.rename(paired(DEVICES[0]), DEVICES[0], "attic")
    state = transitions.mark_away(state, DEVICES[0])
    assert state.sensors[DEVICES[0]].is_away
    state = transitions.interview(transitions.join(state, DEVICES[0]), sensor(DEVICES[0]))
    record = state.sensors[DEVICES[0]]
    assert (record.stage, record.name, record.sensor_id) == (PairingStage.RELAYING, "attic", f"id {DEVICES[0]}")
    assert not record.is_away


def test_removed_sensor_that_is_paired_again_keeps_its_identity() -> None:
    state = transitions.finish_removal(transitions.begin_removal(paired(DEVICES[0]), DEVICES[0]), DEVICES[0])
    assert state.sensors[DEVICES[0]].stage is PairingStage.REMOVED
    state = transitions.interview(transitions.join(state, DEVICES[0]), sensor(DEVICES[0]))
    assert state.sensors[DEVICES[0]].stage is PairingStage.REGISTERED


def test_replaced_sensor_that_returns_is_a_new_sensor() -> None:
    state = transitions.rename(paired(DEVICES[0]), DEVICES[0], "attic")
    state = transitions.join(with_window(state, replaces=DEVICES[0]), DEVICES[1])
    state = transitions.finish_removal(transitions.interview(state, sensor(DEVICES[1])), DEVICES[0])
    assert state.sensors[DEVICES[0]].sensor_id  # for the readings that wait
    state = transitions.interview(transitions.join(state, DEVICES[0]), sensor(DEVICES[0]))
    back = state.sensors[DEVICES[0]]
    assert (back.stage, back.sensor_id, back.name) == (PairingStage.INTERVIEWED, "", "")


def test_removed_sensor_without_identity_leaves_no_record() -> None:
    state = transitions.begin_removal(transitions.join(PairingState(), DEVICES[0]), DEVICES[0])
    assert transitions.finish_removal(state, DEVICES[0]) == PairingState()


def test_leaving_sensor_does_not_join() -> None:
    state = transitions.begin_removal(paired(DEVICES[0]), DEVICES[0])
    assert transitions.join(state, DEVICES[0]) == state
    assert transitions.interview(state, sensor(DEVICES[0])) == state
    assert transitions.mark_away(state, DEVICES[0]) == state


def test_a_key_accepted_while_the_sensor_was_being_removed_names_what_it_had_measured() -> None:
    state = transitions.interview(transitions.join(PairingState(), DEVICES[0]), sensor(DEVICES[0]))
    state = transitions.begin_removal(state, DEVICES[0])
    state = transitions.register(state, DEVICES[0], sensor_id="id", serial_number="")
    assert (state.sensors[DEVICES[0]].stage, state.sensors[DEVICES[0]].sensor_id) == (PairingStage.LEAVING, "id")


def test_a_new_sensor_takes_over_name_and_history() -> None:
    state = transitions.rename(paired(DEVICES[0]), DEVICES[0], "attic")
    state = transitions.join(with_window(state, replaces=DEVICES[0]), DEVICES[1])
    assert state.sensors[DEVICES[0]].stage is PairingStage.RELAYING  # until the new one can do it
    state = transitions.interview(state, sensor(DEVICES[1]))
    old, new = state.sensors[DEVICES[0]], state.sensors[DEVICES[1]]
    assert (new.stage, new.name, new.sensor_id, new.serial_number) == (
        PairingStage.REGISTERED, "attic", f"id {DEVICES[0]}", "S"
    )  # fmt: skip
    assert (old.stage, old.sensor_id) == (PairingStage.LEAVING, new.sensor_id)


def test_waiting_sensor_can_take_over_as_replacement() -> None:
    state = transitions.interview(transitions.join(paired(DEVICES[0]), DEVICES[1]), sensor(DEVICES[1]))
    state = transitions.replace(state, DEVICES[0], DEVICES[1])
    assert state.sensors[DEVICES[1]].sensor_id == f"id {DEVICES[0]}"


def test_sensor_with_an_identity_cannot_be_a_replacement() -> None:
    state = transitions.finish_removal(transitions.begin_removal(paired(DEVICES[1]), DEVICES[1]), DEVICES[1])
    state = transitions.join(with_window(paired(DEVICES[0], state), replaces=DEVICES[0]), DEVICES[1])
    state = transitions.interview(state, sensor(DEVICES[1]))
    assert "identity of its own" in state.sensors[DEVICES[1]].problem
    assert state.sensors[DEVICES[0]].stage is PairingStage.RELAYING


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: transitions.replace(c, DEVICES[0], DEVICES[1]), "identity of its own already"),
        (lambda c: transitions.replace(c, DEVICES[2], DEVICES[3]), "never registered"),
        (lambda c: transitions.replace(c, DEVICES[0], DEVICES[3]), "not interviewed yet"),
        (lambda c: transitions.give_key(c, DEVICES[0], "k"), "needs no key"),
        (lambda c: transitions.give_key(c, "T9", "k"), 'no sensor "T9"'),
        (lambda c: transitions.begin_removal(c, "T9"), 'no sensor "T9"'),
        (lambda c: transitions.rename(c, DEVICES[1], "Attic"), "is the name of"),
        (lambda c: transitions.rename(c, DEVICES[1], DEVICES[0]), "is the name of"),
        (lambda c: transitions.rename(c, DEVICES[1], "  "), "1 to 64 printable"),
        (lambda c: transitions.rename(c, DEVICES[1], "x" * 65), "1 to 64 printable"),
        (lambda c: transitions.rename(c, DEVICES[1], "\x07"), "1 to 64 printable"),
    ],
)
def test_impossible_action_is_refused_with_its_reason(
    change: Callable[[PairingState], PairingState], told: str
) -> None:
    state = transitions.rename(paired(DEVICES[1], paired(DEVICES[0])), DEVICES[0], "attic")
    state = transitions.interview(transitions.join(state, DEVICES[2]), sensor(DEVICES[2]))
    state = transitions.join(state, DEVICES[3])
    with pytest.raises(PairingRefused, match=told):
        change(state)


def test_number_of_sensors_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "SENSORS_MAX", 2)
    state = PairingState()
    for device in DEVICES:
        state = transitions.interview(transitions.join(state, device), sensor(device))
    assert list(state.sensors) == DEVICES[:2]


def test_oldest_removed_sensors_are_dropped_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "REMOVED_MAX", 2)
    state = PairingState()
    for device in DEVICES:
        state = transitions.finish_removal(transitions.begin_removal(paired(device, state), device), device)
    assert list(state.sensors) == DEVICES[2:]


def one_event(state: PairingState, rng: random.Random) -> PairingState:  # noqa: C901, PLR0911 (one line an event)
    device, other = rng.choice(DEVICES), rng.choice(DEVICES)
    record = state.sensors.get(device)
    match rng.randrange(12):
        case 0 | 1:
            return transitions.join(state, device)
        case 2 | 3:
            return transitions.interview(state, sensor(device))
        case 4:
            return transitions.mark_away(state, device)
        case 5:
            return transitions.begin_removal(state, device)
        case 6 if record is not None and record.stage is PairingStage.LEAVING:
            return transitions.finish_removal(state, device)
        case 7:
            return transitions.give_key(state, device, f"key {device}")
        case 8 if record is not None and record.stage in {PairingStage.INTERVIEWED, PairingStage.KEYED}:
            return transitions.register(state, device, sensor_id=f"id {device}", serial_number="")
        case 9 if record is not None and record.stage is PairingStage.REGISTERED:
            return transitions.with_records(state, transition(record, PairingEvent.RELEASE))
        case 10:
            replaces = other if record is None and other in state.sensors else ""
            name = rng.choice(["", device])
            return transitions.with_window(state, window(key=f"key {device}", name=f"n{name}", replaces=replaces))
        case 11:
            return transitions.replace(state, device, other)
        case _:
            return state


@given(st.integers(0, 2**32))
def test_no_identity_and_no_key_has_two_owners(seed: int) -> None:
    rng = random.Random(seed)
    state = PairingState()
    for _ in range(200):
        try:
            state = one_event(state, rng)
        except PairingRefused:
            continue
        present = [record for record in state.sensors.values() if record.is_relayed]
        identities = [record.sensor_id for record in present if record.sensor_id]
        assert len(identities) == len(set(identities))
        assert not [record for record in state.sensors.values() if record.sensor_id and record.key]
        for record in state.sensors.values():
            if record.stage in {PairingStage.REGISTERED, PairingStage.RELAYING, PairingStage.REMOVED}:
                assert record.sensor_id
            if record.stage is PairingStage.KEYED:
                assert record.key
