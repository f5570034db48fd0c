"""The example configuration, written from the table of keys, so that it can neither miss one nor lie about a default.

Pure. `config.example.toml` in the repository is the long text; a test compares them.
"""

from collections.abc import Iterator

import msgspec

from agent.config.keys import KEYS, SECTIONS, Key
from agent.config.types import quoted

_HEADER = """\
# The configuration of climahub, with every key there is. Written by agent/config/example.py: do not edit by hand.
#
# Only cloud.base_url is required. The other keys without "#" have their defaults here and can be left out; those behind
# "#" have none. Relative paths start at the directory of this file. No secret belongs here: secrets stand in files of
# their own or in systemd credentials. Check a file with: climahub config check FILE
"""


def example_text() -> str:
    """Return a valid configuration for the simulated board that holds every key with its unit, default and reason."""
    return "\n".join((_HEADER, *(f"{_section(section)}\n" for section in SECTIONS))).rstrip("\n") + "\n"


_SHORT_HEADER = """\
# The configuration of a climahub hub: what has to be chosen. Every other key has a default that fits;
# climahub config example --all prints all of them. What the hub heats and cools: docs/climate.md.
# Relative paths start at the directory of this file. Check it with: climahub config check FILE
"""


def short_text() -> str:
    """Return a valid configuration that holds only what whoever installs a hub has to choose."""
    sections = [section for section in SECTIONS if any(key.is_chosen for key in _keys(section))]
    return "\n".join((_SHORT_HEADER, *(f"{_section(each, is_short=True)}\n" for each in sections))).rstrip("\n") + "\n"


def _keys(section: str) -> list[Key]:
    return [key for key in KEYS if key.section == section]


def _section(section: str, *, is_short: bool = False) -> str:
    keys = [key for key in _keys(section) if key.is_chosen or not is_short]
    return "\n".join((f"# {SECTIONS[section]}", f"[{section}]", "\n\n".join("\n".join(_key(key)) for key in keys)))


def _key(key: Key) -> Iterator[str]:
    yield f"# {key.reason[0].upper()}{key.reason[1:]}."
    if key.default is None:
        mark = "" if key.is_required else "# "
        yield f"# {'Required' if key.is_required else 'No default'}; allowed: {key.type.allowed}."
        yield f"{mark}{key.name} = {toml_value(key.example)}"
    else:
        default = f"{toml_value(key.default)} {key.type.unit}".rstrip()
        yield f"# Default: {default}; allowed: {key.type.allowed}."
        yield f"{key.name} = {toml_value(key.default)}"


def toml_value(value: object) -> str:
    """Return a boolean, number, text, table or an array of such as TOML writes it."""
    match value:
        case bool():
            shown = str(value).lower()
        case int():
            shown = f"{value:_}"
        case float():
            shown = repr(value)
        case msgspec.Struct():
            fields = msgspec.structs.asdict(value).items()
            shown = "{ " + ", ".join(f"{name} = {toml_value(item)}" for name, item in fields) + " }"
        case list() | tuple():
            shown = f"[{', '.join(map(toml_value, value))}]"
        case _:
            shown = quoted(str(value))
    return shown
