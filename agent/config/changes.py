"""Changes of the configuration that are made at the hub, and their trial. Pure: no clock, no I/O.

A change that needs a restart is on trial first: it is undone unless a person confirms it in time, so that one that cuts
the hub's link, or the person's own connection, undoes itself. The record is one value, written as a whole, and each
step is one write:

    begin      the trial is recorded; the hub restarts
    start      recorded as started, before it is in force
    confirm    the trial's values are the confirmed ones
    roll_back  the trial is gone: by a person, by the end of its time, or by the second start

A start that finds a trial which has started already is an end of the process that nobody planned, a power cut or a
crash: it rolls back. Must never lose a confirmed value.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agent.errors import ConfigInvalid

VALUES_MAX = 200
"""More than there are keys that can be changed."""


class ConfigTrial(msgspec.Struct, frozen=True):
    """Values on trial.

    Attributes:
        values: All values that differ from the file, by dotted key, confirmed ones included.
        trial_s: How long a person has to confirm.
        has_started: They have been in force.
        caller: Who made the change.
    """

    values: Mapping[str, Any]
    trial_s: int
    has_started: bool = False
    caller: str = ""


class ConfigChanges(msgspec.Struct, frozen=True):
    """All changes.

    Attributes:
        values: The confirmed values, by dotted key, as JSON has them; they count instead of the file's.
        trial: What is on trial.
        last_trial: How the last trial ended, in words; empty before the first.
    """

    values: Mapping[str, Any] = {}
    trial: ConfigTrial | None = None
    last_trial: str = ""

    @property
    def in_force(self) -> Mapping[str, Any]:
        """The values that count now: those on trial once it has started."""
        return self.trial.values if self.trial and self.trial.has_started else self.values


def edited(values: Mapping[str, Any], edits: Mapping[str, Any]) -> dict[str, Any]:
    """Return values after edits; a `None` takes a change back, so that the file's value counts again."""
    merged = {**values, **edits}
    return {path: value for path, value in merged.items() if value is not None}


def usable(
    values: Mapping[str, Any],
    *,
    problems: Callable[[Mapping[str, Any]], Mapping[str, str]],
    check: Callable[[Mapping[str, Any]], object],
) -> tuple[Mapping[str, Any], str]:
    """Return the values that can be used, and what is wrong with the others: another release may allow less.

    Args:
        values: By dotted key.
        problems: Returns what is wrong with each value by itself, by key.
        check: Checks all of them together; raises `ConfigInvalid`.
    """
    if not values:
        return values, ""
    wrong = problems(values)
    good = {path: value for path, value in values.items() if path not in wrong}
    try:
        check(good)
    except ConfigInvalid as error:
        return {}, f"the changes that were made at the hub are not in force: {error}"
    return good, "; ".join(f"the change of {path} is not in force: {text}" for path, text in wrong.items())


def begin(changes: ConfigChanges, values: Mapping[str, Any], *, trial_s: int, caller: str) -> ConfigChanges:
    """Return the record with a trial of values that has not started."""
    return msgspec.structs.replace(changes, trial=ConfigTrial(values, trial_s, caller=caller))


def start(changes: ConfigChanges) -> ConfigChanges:
    """Return the record for a hub that starts: a new trial starts, one that has started before is rolled back."""
    trial = changes.trial
    if trial is None:
        return changes
    if trial.has_started:
        return roll_back(changes, "the hub restarted before anybody confirmed the change: it was undone")
    return msgspec.structs.replace(changes, trial=msgspec.structs.replace(trial, has_started=True))


def confirm(changes: ConfigChanges) -> ConfigChanges:
    """Return the record with the trial's values confirmed."""
    if changes.trial is None:
        return changes
    return ConfigChanges(changes.trial.values, None, "the change was confirmed")


def roll_back(changes: ConfigChanges, reason: str) -> ConfigChanges:
    """Return the record without the trial; the confirmed values count."""
    if changes.trial is None:
        return changes
    return ConfigChanges(changes.values, None, reason)


def set_confirmed(changes: ConfigChanges, values: Mapping[str, Any]) -> ConfigChanges:
    """Return the record with values that need no trial."""
    return msgspec.structs.replace(changes, values=values)
