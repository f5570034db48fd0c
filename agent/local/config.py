"""The configuration document of the local API: every key as it is in force, and the change that is on trial.

The JSON form is an interface: fields may be added, never renamed. Must never show a secret: a file or credential with a
key is named, and of a proxy the credentials are left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.config import Resolved
from agent.config.changes import ConfigChanges
from agent.config.loading import CHANGED
from agent.config.network import without_credentials
from agent.config.report import shown_value, toml_value
from agent.config.tables import KEYS, TABLES
from agent.local.status import ConfigTrialReport


class ConfigKey(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        key: Dotted, as in the file.
        value: In force, as JSON has it; nothing where it is not set. Credentials are left out.
        text: The same as TOML writes it; "(not set)" without one.
        default: As TOML writes it; empty where there is none.
        allowed: What may stand there, in words.
        help: What it is for, or why the default is what it is.
        origin: `FILE:LINE`, "default", "credential NAME", or "changed at the hub".
        edit: How it may be changed: "live" (in force at once), "restart" (on trial first), "file" (only there).
    """

    key: str
    value: Any
    text: str
    unit: str
    default: str
    allowed: str
    help: str
    origin: str
    edit: str

    @property
    def is_changed(self) -> bool:
        """Whether the value was changed at the hub."""
        return self.origin == CHANGED


class ConfigTable(msgspec.Struct, frozen=True):
    """One table of the configuration and what it is about."""

    table: str
    about: str


class ConfigReport(msgspec.Struct, frozen=True):
    """The configuration in force.

    Attributes:
        file: The file that a person edits; its values count where nothing was changed at the hub.
        last_trial: How the last trial ended; empty before the first.
        problem: What is wrong with the changes that were made at the hub.
        is_restarting: The hub restarts in a moment, and other values are in force then.
        outputs: What the board drives: the names that zones of `climate.zones` may have.
    """

    file: str
    tables: list[ConfigTable]
    keys: list[ConfigKey]
    trial: ConfigTrialReport | None
    last_trial: str
    problem: str
    is_restarting: bool = False
    outputs: Sequence[str] = ()


def build_config(
    resolved: Resolved,
    changes: ConfigChanges,
    *,
    file: str,
    left_s: int | None,
    problem: str,
    is_restarting: bool,
    outputs: Sequence[str] = (),
) -> ConfigReport:
    """Return the document.

    Args:
        resolved: The configuration in force.
        changes: What was changed at the hub.
        file: The configuration file.
        left_s: The time left of a trial that has started.
        problem: What is wrong with the changes.
        is_restarting: The hub restarts in a moment.
        outputs: What the board drives.
    """
    keys = [
        ConfigKey(
            key.path,
            _json_value(resolved.values[key.path]),
            shown_value(resolved.values[key.path]),
            key.type.unit,
            "" if key.default is None else toml_value(key.default),
            key.type.allowed,
            key.reason,
            resolved.origins[key.path],
            key.edit,
        )
        for key in KEYS
    ]
    tables = [ConfigTable(path, about) for path, about in TABLES.items()]
    trial = trial_report(changes, left_s)
    return ConfigReport(file, tables, keys, trial, changes.last_trial, problem, is_restarting, outputs)


def trial_report(changes: ConfigChanges, left_s: int | None) -> ConfigTrialReport | None:
    """Return what is on trial; `None` for nothing.

    Args:
        changes: What was changed at the hub.
        left_s: The time left of a trial that has started.
    """
    trial = changes.trial
    if trial is None:
        return None
    left = trial.trial_s if left_s is None else left_s
    return ConfigTrialReport(changed_keys(changes), left, trial.has_started, trial.caller)


def changed_keys(changes: ConfigChanges) -> list[str]:
    """Return the keys whose values are on trial, those that are taken back included."""
    trial: Mapping[str, Any] = changes.trial.values if changes.trial else changes.values
    paths = trial.keys() | changes.values.keys()
    return sorted(path for path in paths if trial.get(path) != changes.values.get(path))


def _json_value(value: object) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return without_credentials(value)
    return msgspec.to_builtins(value, enc_hook=_path_text)


def _path_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)
