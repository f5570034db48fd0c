"""From TOML text to checked values: every mistake is found, none stops the search, none is shown with a secret in it.

Owns the walk over the file and the words of its errors. Never reads anything but the text it is given.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from agent.config.keys import BY_PATH, KEYS, REFUSED, SECTIONS, Key
from agent.config.lines import Path as KeyPath
from agent.config.lines import key_lines
from agent.config.types import NotAllowed, describe, nearest_hint
from agent.errors import ConfigInvalid

CONFIG_BYTES_MAX = 256 * 1024
"""A hundred times the example file: more is not a configuration."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SYNTAX_LINE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


class Problem(msgspec.Struct, frozen=True):
    """One mistake in a file.

    Attributes:
        line: From 1; 0 where no line can be named.
        key: Dotted; empty for the file as a whole.
        text: What was found, what is allowed, and what to do about it.
    """

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class Values(msgspec.Struct, frozen=True):
    """What a file says, merged with the defaults.

    Attributes:
        values: One for each key of the table; where there is a problem, the default.
        lines: The line of each key that the file has, and of each table.
    """

    values: Mapping[str, object]
    lines: Mapping[str, int]
    problems: tuple[Problem, ...]


class ConfigProblems(ConfigInvalid):
    """A configuration with mistakes: the message lists all of them, a line each.

    Attributes:
        problems: The same, one by one; at least one.
    """

    def __init__(self, *problems: Problem) -> None:
        count = f"{len(problems)} errors" if len(problems) > 1 else "an error"
        super().__init__("\n".join((f"the configuration has {count}:", *map(str, problems))))
        self.problems = problems


def read_text(path: Path) -> str:
    """Return a configuration file's text, with plain newlines.

    Raises:
        ConfigInvalid: It cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigProblems(Problem(str(path), 0, "", f"cannot be read: {error.strerror}")) from error
    if len(content) > CONFIG_BYTES_MAX:
        text = f"found more than {CONFIG_BYTES_MAX} bytes; allowed are {CONFIG_BYTES_MAX}. Is this the right file?"
        raise ConfigProblems(Problem(str(path), 0, "", text))
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = f"found the byte 0x{content[error.start]:02x}; allowed is UTF-8 text: save the file in that encoding"
        raise ConfigProblems(Problem(str(path), line, "", text)) from error


def read_values(text: str, *, file: str, directory: Path) -> Values:
    """Check a configuration's text against the table of keys.

    Args:
        text: With plain newlines, as `read_text` gives it.
        file: The file's name, for messages.
        directory: Where relative paths start.

    Returns:
        The values and all problems. A syntax error hides what follows it.
    """
    try:
        document = tomllib.loads(text)
        lines = key_lines(text)
    except (ValueError, RecursionError) as error:
        return Values(_defaults(directory), {}, (_syntax_problem(text, file, error),))
    reader = _Reader(file, directory, lines)
    values = _defaults(directory) | dict(reader.table(document, ()))
    reader.require()
    named_lines = {_dotted(path): line for path, line in lines.items()}
    return Values(values, named_lines, tuple(reader.problems))


def _defaults(directory: Path) -> dict[str, object]:
    return {key.path: None if key.default is None else _absolute(key.type.read(key.default), directory) for key in KEYS}


def _absolute(value: object, directory: Path) -> object:
    return directory / value if isinstance(value, Path) else value


def _syntax_problem(text: str, file: str, error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem(file, 0, "", "tables or arrays are nested too deeply; no key needs more than two levels")
    message = str(error)
    match = _SYNTAX_LINE.search(message)
    line = text.rstrip("\n").count("\n") + 1
    if match:
        line = int(match["line"] or line)
        message = message[: match.start()]
    else:
        # All that fails without a place is Python's limit on decimal digits (sys.int_info.default_max_str_digits).
        line, message = 0, "an integer has too many digits"
    return Problem(file, line, "", f"not valid TOML: {message}")


class _Reader:
    """Walks one document, collecting problems."""

    def __init__(self, file: str, directory: Path, lines: Mapping[KeyPath, int]) -> None:
        self._file = file
        self._directory = directory
        self._lines = lines
        self._seen: set[str] = set()
        self.problems: list[Problem] = []

    def table(self, table: Mapping[str, object], path: tuple[str, ...]) -> Iterator[tuple[str, object]]:
        """Yield the key and value of each good key below a table."""
        for name, value in table.items():
            here = (*path, name)
            dotted = _dotted(here)
            self._seen.add(dotted)
            if key := BY_PATH.get(dotted):
                yield from self._value(key, value, here)
            elif dotted in SECTIONS:
                if isinstance(value, dict):
                    yield from self.table(value, here)
                else:
                    self._report(here, f"found {describe(value)}; allowed is a table: [{dotted}]")
            else:
                self._report(here, _unknown(dotted, name, _dotted(path)))

    def require(self) -> None:
        """Report each required key that was not seen, at the line of its table."""
        for key in KEYS:
            if key.is_required and key.path not in self._seen:
                text = f"found nothing; this key is required, allowed is {key.type.allowed}"
                self._report(tuple(key.path.split(".")), text, line=self._lines.get((key.section,), 0))

    def _value(self, key: Key, value: object, path: tuple[str, ...]) -> Iterator[tuple[str, object]]:
        try:
            yield key.path, _absolute(key.type.read(value), self._directory)
        except NotAllowed as error:
            why = f" ({error})" if str(error) else ""
            self._report(path, f"found {describe(value)}; allowed is {key.type.allowed}{why}")

    def _report(self, path: tuple[str, ...], text: str, *, line: int | None = None) -> None:
        line = self._lines.get(path, 0) if line is None else line
        self.problems.append(Problem(self._file, line, _dotted(path), text))


def _unknown(dotted: str, name: str, section: str) -> str:
    if dotted in REFUSED:
        return REFUSED[dotted]
    siblings = {
        path.removeprefix(f"{section}." if section else "").split(".")[0]: None
        for path in (*SECTIONS, *BY_PATH)
        if not section or path.startswith(f"{section}.")
    }
    hint = nearest_hint(name, tuple(siblings))
    if not hint and (elsewhere := [path for path in BY_PATH if path.endswith(f".{name}")]):
        hint = f'did you mean "{elsewhere[0]}"?'
    where = f"in [{section}]" if section else "as tables"
    return f"unknown key; {hint + ' Allowed' if hint else 'allowed'} {where} are: {', '.join(siblings)}"


def _dotted(path: KeyPath) -> str:
    """Return a key as a line can show it: parts quoted where TOML quotes them, a secret in place of a name left out."""
    shown = ((part, describe(part).removesuffix(" (text)")) for part in map(str, path))
    return ".".join(part if text == f'"{part}"' and _BARE_KEY.fullmatch(part) else text for part, text in shown)
