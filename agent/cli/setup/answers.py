"""The answers to `climahub setup`: a configuration, with one table more for what no configuration holds. Pure.

What the answers leave out, setup finds on the machine or leaves at its default. No message may repeat a key.
"""

import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from agent.config.reading import Problem
from agent.config.secrets import is_api_key, not_a_key
from agent.config.types import describe, nearest_hint
from agent.errors import ConfigInvalid, SettingInvalid
from agent.settings.model import check_changes

TABLE = "setup"


class Answers(msgspec.Struct, frozen=True):
    """What a person or an operator's script has answered.

    Attributes:
        document: The tables of the configuration, as the answers have them.
        key: The hub's key of the cloud; empty where it is elsewhere.
        key_file: A file with the key; empty for none.
        time_zone: Of the home, an IANA name; empty to leave the cloud's as it is.
        replace: Replace a configuration that a person has written.
    """

    document: Mapping[str, Any]
    key: str = ""
    key_file: str = ""
    time_zone: str = ""
    replace: bool = False

    def __repr__(self) -> str:
        return f"Answers({', '.join(self.document)})"


def read_answers(text: str, *, file: str) -> Answers:
    """Return the answers of a TOML file.

    Args:
        text: Its content.
        file: Its name, for messages.

    Raises:
        ConfigInvalid: It is no TOML, or its table `[setup]` is wrong; the message lists every mistake in that table.
            The configuration's own keys are checked later, with what was found on the machine.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigInvalid(f"{file}: not valid TOML: {error}") from None
    table = document.pop(TABLE, {})
    if not isinstance(table, dict):
        raise ConfigInvalid(f"{file}: {TABLE}: found {describe(table)}; allowed is a table")
    problems = [Problem(file, 0, f"{TABLE}.{name}", text) for name, text in _problems(table).items()]
    if problems:
        raise ConfigInvalid("\n".join(map(str, problems)))
    return Answers(document, **table)


def _problems(table: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with each key of the table."""
    kinds = {"key": str, "key_file": str, "time_zone": str, "replace": bool}
    problems = {}
    for name, value in table.items():
        if name not in kinds:
            hint = nearest_hint(name, tuple(kinds)) or f"there are {', '.join(kinds)}"
            problems[name] = f"there is no such key; {hint}"
        elif not isinstance(value, kinds[name]):
            allowed = "true or false" if kinds[name] is bool else "a text"
            problems[name] = f"found {describe(value)}; allowed is {allowed}"
    if not problems and table.get("key") and not is_api_key(table["key"]):
        problems["key"] = not_a_key(table["key"])
    if not problems and table.get("time_zone"):
        try:
            check_changes({"timezone": table["time_zone"]})
        except SettingInvalid as error:
            problems["time_zone"] = str(error)
    return problems
