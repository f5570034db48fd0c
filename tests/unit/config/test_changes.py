"""The trial of a change, without disk and clock."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.config.changes import (
    ConfigChanges,
    ConfigTrial,
    begin,
    confirm,
    edited,
    roll_back,
    set_confirmed,
    start,
    usable,
)
from agent.errors import ConfigInvalid

OLD: dict[str, Any] = {"log.level": "debug"}
NEW: dict[str, Any] = {"log.level": "debug", "cloud.proxy": "none"}


def begun() -> ConfigChanges:
    return begin(ConfigChanges(OLD), NEW, trial_s=60, caller="session 1")


def test_a_trial_is_in_force_from_its_start_on() -> None:
    assert begun().in_force == OLD
    started = start(begun())
    assert started.in_force == NEW
    assert started.values == OLD
    assert started.trial == ConfigTrial(NEW, 60, has_started=True, caller="session 1")


def test_a_confirmed_change_stays_over_every_start() -> None:
    confirmed = confirm(start(begun()))
    assert (confirmed.values, confirmed.trial, confirmed.last_trial) == (NEW, None, "the change was confirmed")
    assert start(start(confirmed)) == confirmed


def test_a_second_start_without_a_confirmation_undoes_the_change() -> None:
    undone = start(start(begun()))
    assert (undone.in_force, undone.trial) == (OLD, None)
    assert "the hub restarted before anybody confirmed" in undone.last_trial
    assert start(undone) == undone


def test_change_is_undone_by_a_person_or_at_its_deadline() -> None:
    assert roll_back(start(begun()), "nobody confirmed") == ConfigChanges(OLD, None, "nobody confirmed")


def test_without_a_trial_there_is_nothing_to_start_confirm_or_undo() -> None:
    quiet = ConfigChanges(OLD, None, "the change was confirmed")
    assert start(quiet) is quiet
    assert confirm(quiet) is quiet
    assert roll_back(quiet, "no reason") is quiet


def test_a_change_that_needs_no_trial() -> None:
    assert set_confirmed(ConfigChanges(OLD), NEW).in_force == NEW


def test_what_another_release_refuses_is_left_out_and_named() -> None:
    def problems(values: Mapping[str, Any]) -> dict[str, str]:
        return {path: "there is no such key" for path in values if path.startswith("gone")}

    def check(values: Mapping[str, Any]) -> None:
        if "cloud.proxy" in values:
            raise ConfigInvalid("it does not fit")

    assert usable({}, problems=problems, check=check) == ({}, "")
    assert usable(OLD, problems=problems, check=check) == (OLD, "")
    values, problem = usable({**OLD, "gone.key": 1}, problems=problems, check=check)
    assert (values, problem) == (OLD, "the change of gone.key is not in force: there is no such key")
    values, problem = usable(NEW, problems=problems, check=check)
    assert (values, problem) == ({}, "the changes that were made at the hub are not in force: it does not fit")


def test_edits_add_replace_and_take_back() -> None:
    assert edited(OLD, {"cloud.proxy": "none"}) == NEW
    assert edited(NEW, {"cloud.proxy": None, "log.level": "info"}) == {"log.level": "info"}
    assert edited(OLD, {"cloud.proxy": None}) == OLD


@given(st.lists(st.sampled_from(("begin", "start", "confirm", "roll back"))))
def test_value_is_confirmed_or_undone_by_the_second_start(steps: list[str]) -> None:
    changes, confirmed = ConfigChanges(OLD), OLD
    for number, step in enumerate(steps):
        match step:
            case "begin" if changes.trial is None:
                changes = begin(changes, {"number": number}, trial_s=60, caller="")
            case "start":
                changes = start(changes)
            case "confirm" if changes.trial is None or changes.trial.has_started:
                confirmed = dict(changes.trial.values) if changes.trial else confirmed
                changes = confirm(changes)
            case "roll back":
                changes = roll_back(changes, "undone")
        assert changes.values == confirmed
    assert start(start(changes)).in_force == confirmed
