"""The configuration file that setup writes: from the answers and what was found on the machine. Pure.

The file carries the digest of itself, so that the next setup knows whether a person has changed it since. Never holds a
secret.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.config import Resolved, resolve_text
from agent.config.reading import ConfigProblems, key_lines
from agent.config.report import toml_value
from agent.config.tables import TABLES
from agent.config.types import quoted

_MARK = "# Written by climahub setup; unchanged while this is the SHA-256 of the lines below: "
_ADVICE = """\
# Change it here, then systemctl restart climahub; every key: climahub config example --all
"""


def complete(document: Mapping[str, Any], *, has_stick: bool) -> dict[str, Any]:
    """Return the tables of a configuration with what setup knows and they leave out.

    Args:
        document: The tables that were answered.
        has_stick: One Zigbee stick was found.
    """
    made = {name: dict(table) if isinstance(table, Mapping) else table for name, table in document.items()}
    found = {"board": {"name": "linux"}, "log": {"format": "journal"}}
    if has_stick:
        found["zigbee"] = {"port": "auto"}
    for name, values in found.items():
        table = made.setdefault(name, {})
        if isinstance(table, dict):
            made[name] = {**values, **table}
    return made


def configuration_text(document: Mapping[str, Any]) -> str:
    """Return a configuration file with these tables, in the order of the example's."""
    body = "\n".join("\n".join(lines) + "\n" for lines in _tables(document))
    return f"{_MARK}{_digest(body)}\n{_ADVICE}{body}"


def is_untouched(text: str) -> bool:
    """Return whether a file is as a setup has written it: nobody has changed a line since."""
    first, _, rest = text.partition("\n")
    return first.startswith(_MARK) and first.removeprefix(_MARK) == _digest(rest.removeprefix(_ADVICE))


def resolve(document: Mapping[str, Any], *, answers: str, file: str, directory: Path) -> Resolved:
    """Check the configuration that these tables make.

    Args:
        document: The tables, completed.
        answers: The text of the answers, whose lines a message names.
        file: Its name.
        directory: Where the configuration will be.

    Raises:
        ConfigProblems: It cannot be used; all mistakes are listed.
    """
    text = "\n".join("\n".join(lines) for lines in _tables(document))
    try:
        return resolve_text(text, file=file, directory=directory, environ={})
    except ConfigProblems as error:
        lines = {".".join(map(str, path)): line for path, line in key_lines(answers).items()}
        raise ConfigProblems(
            *(msgspec.structs.replace(each, line=lines.get(each.key, 0)) for each in error.problems)
        ) from None


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _tables(document: Mapping[str, Any]) -> Iterator[list[str]]:
    """Return the lines of each table, those that the example knows first and in its order."""
    found = {name: table for name, table in _sections(document, ()) if table}
    order = [name for name in TABLES if name in found]
    for name in (*order, *(each for each in found if each not in TABLES)):
        lines = [f"# {TABLES[name]}"] if name in TABLES else []
        lines += [f"[{name}]"] if name else []
        lines += [f"{_bare(key)} = {_inline(value)}" for key, value in found[name].items()]
        yield lines


def _sections(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield ".".join(map(_bare, path)), {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _sections(value, (*path, name))


def _bare(key: str) -> str:
    is_bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if is_bare else quoted(key)


def _inline(value: object) -> str:
    match value:
        case Mapping():
            return "{ " + ", ".join(f"{_bare(name)} = {_inline(each)}" for name, each in value.items()) + " }"
        case list():
            return f"[{', '.join(map(_inline, value))}]"
        case _:
            return toml_value(value)
