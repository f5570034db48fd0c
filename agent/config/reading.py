"""Checks TOML text against the table of keys: every mistake is found, none stops the search, none shows a secret.

Owns the walk over the file, the line on which each key stands, the keys that were renamed or are refused, and the words
of the errors. Never reads anything but the text it is given. `tomllib` does not tell lines, and an error message must:
`key_lines` takes only text that `tomllib` has accepted, so it follows the structure and checks nothing.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from agent.config.schema import Key
from agent.config.tables import BY_PATH, KEYS, TABLES
from agent.config.types import NotAllowed, describe, nearest_hint
from agent.errors import ConfigInvalid

KeyPath = tuple[str | int, ...]
"""The path of a key from the root: names, and positions in arrays."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[ \t]*(?:(?P<bare>[A-Za-z0-9_-]+)|(?P<quoted>"(?:\\.|[^"\\])*"|'[^']*'))[ \t]*""")
_SCALAR = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'  # up to two quotes may stand before the closing three
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|[^,\]}#\n]+",  # numbers, booleans, and dates, which may hold a space
    re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, on which each key and table first stands.

    A table that several headers name counts where it is named first; each table of an array has its position in its
    path. Keys of inline tables, and of inline tables in arrays, are included.

    Args:
        text: Valid TOML with plain newlines.
    """
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        self._array_lengths: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._take("[["):
                table = self._array_header()
            elif self._take("["):
                table = self._enter(self._key())
                self._take("]")
            else:
                self._key_and_value(table)
            self._skip_blank()
        return self._lines

    def _take(self, token: str) -> bool:
        found = self._text.startswith(token, self._at)
        self._at += len(token) if found else 0
        return found

    def _ends_with(self, bracket: str) -> bool:
        # The end of the text ends every loop: a text that was not valid after all must not hang the agent.
        return self._take(bracket) or self._at >= len(self._text)

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _array_header(self) -> KeyPath:
        *parents, name = self._key()
        self._take("]]")
        array = (*self._enter(parents), name)
        self._note(array)
        position = self._array_lengths.get(array, 0)
        self._array_lengths[array] = position + 1
        table = (*array, position)
        self._note(table)
        return table

    def _enter(self, parts: list[str]) -> KeyPath:
        """Return the table that a header names: below an array, that is the array's last table."""
        path: KeyPath = ()
        for part in parts:
            path = (*path, part)
            self._note(path)
            if length := self._array_lengths.get(path):
                path = (*path, length - 1)
        return path

    def _key(self) -> list[str]:
        parts = []
        while match := _KEY_PART.match(self._text, self._at):
            self._at = match.end()
            quoted = match["quoted"]
            parts.append(tomllib.loads(f"key = {quoted}")["key"] if quoted else match["bare"])
            if not self._take("."):
                break
        return parts

    def _key_and_value(self, table: KeyPath) -> None:
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path)
        if not self._take("="):
            self._at = len(self._text)
        self._skip_blank()
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._take("["):
            self._skip_blank()
            position = 0
            while not self._ends_with("]"):
                self._value((*path, position))
                position += 1
                self._next_item()
        elif self._take("{"):
            self._skip_blank()
            while not self._ends_with("}"):
                self._key_and_value(path)
                self._next_item()
        else:
            self._note(path)
            match = _SCALAR.match(self._text, self._at)
            self._at = match.end() if match else len(self._text)

    def _next_item(self) -> None:
        self._skip_blank()
        self._take(",")
        self._skip_blank()

    def _note(self, path: KeyPath) -> None:
        self._lines.setdefault(path, bisect_right(self._line_ends, self._at - 1) + 1)


CONFIG_BYTES_MAX = 256 * 1024
"""A hundred times the example file: more is not a configuration."""

RENAMED = MappingProxyType(
    {
        "board.linux.source_lines": "board.linux.heat_source_lines",
        "climate.source": "climate.heat_source",
        "climate.source_min_on_s": "climate.heat_source_min_on_s",
        "climate.source_min_off_s": "climate.heat_source_min_off_s",
        "climate.source_starts_per_hour_max": "climate.heat_source_starts_per_hour_max",
        "climate.source_stages": "climate.heat_source_stages",
        "commands.factory_reset_needs_person": "commands.factory_reset_needs_confirmation",
        "local": "local_api",
        "ota.window": "ota.maintenance_window",
        "relay": "relayed_sensors",
    }
)
"""Keys and tables of releases before 1.0, and what they are called now. A file that has an old name is refused."""

REFUSED = MappingProxyType(
    {
        "cloud.api_key": (
            "a secret never stands in the configuration: put it into a file that only the agent can read and set"
            " cloud.api_key_file, or pass it as the systemd credential named in cloud.api_key_credential"
        ),
        "relayed_sensors.sensor_keys": (
            "secrets never stand in the configuration: put them into a file that only the agent can read and set"
            " relayed_sensors.sensor_keys_file"
        ),
    }
)
"""Keys that people try, each refused with its own reason; their values are never repeated."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SYNTAX_LINE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


class Problem(msgspec.Struct, frozen=True):
    """One mistake in a file.

    Attributes:
        line: From 1; 0 where no line can be named.
        key: Dotted; empty for the file as a whole.
        text: What was found, what is allowed, and what to do.
    """

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class Values(msgspec.Struct, frozen=True):
    """The values of a file, merged with the defaults.

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


_SYNTAX_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "Cannot overwrite a value": "keep one of the two lines with this key",
        "Cannot declare": "put all keys of this table below one heading",
        "Expected '='": "write the key, = and its value",
        "Expected newline": "write one key with one value in a line; numbers have a point, and no zero in front",
        "Illegal character '\\n'": 'close the text with " in its line',
        "Invalid initial character": "write a table between { and } in one line, without a comma at its end",
        "Invalid statement": "a line is a key with its value, a [table], or a comment after #",
        "Invalid value": 'write a text between ", a number, true or false in small letters',
        "Unclosed array": "close it with ]",
        "Unclosed inline table": "close it with } in its line",
        "Unescaped": "write \\\\ for each \\ in a text",
    }
)
"""What to do, by the beginning of the parser's message (`tomllib`, Python 3.11 to 3.13)."""


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
        # Only Python's limit on decimal digits fails without a position (sys.int_info.default_max_str_digits).
        line, message = 0, "an integer has too many digits"
    remedy = next((f"; {text}" for begin, text in _SYNTAX_REMEDIES.items() if message.startswith(begin)), "")
    return Problem(file, line, "", f"not valid TOML: {message}{remedy}")


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
            elif dotted in TABLES:
                if isinstance(value, dict):
                    yield from self.table(value, here)
                else:
                    self._report(here, f"found {describe(value)}; allowed is a table: [{dotted}]")
            else:
                self._report(here, _unknown(dotted, name, _dotted(path)))

    def require(self) -> None:
        """Report each required key that is missing, at the line of its table."""
        for key in KEYS:
            if key.is_required and key.path not in self._seen:
                text = f"found nothing; this key is required, allowed is {key.type.allowed}"
                self._report(tuple(key.path.split(".")), text, line=self._lines.get((key.section,), 0))

    def _value(self, key: Key, value: object, path: tuple[str, ...]) -> Iterator[tuple[str, object]]:
        try:
            yield key.path, _absolute(key.type.read(value), self._directory)
        except NotAllowed as error:
            detail = f" ({error})" if str(error) else ""
            self._report(path, f"found {describe(value)}; allowed is {key.type.allowed}{detail}")

    def _report(self, path: tuple[str, ...], text: str, *, line: int | None = None) -> None:
        line = self._lines.get(path, 0) if line is None else line
        self.problems.append(Problem(self._file, line, _dotted(path), text))


def _unknown(dotted: str, name: str, section: str) -> str:
    if dotted in REFUSED:
        return REFUSED[dotted]
    if new := RENAMED.get(dotted):
        what, name = ("table", f"[{new}]") if new in TABLES else ("key", new.removeprefix(f"{section}."))
        return f"this {what} has a new name: rename it to {name}"
    siblings = {
        path.removeprefix(f"{section}." if section else "").split(".")[0]: None
        for path in (*TABLES, *BY_PATH)
        if not section or path.startswith(f"{section}.")
    }
    hint = nearest_hint(name, tuple(siblings))
    if not hint and (elsewhere := [path for path in BY_PATH if path.endswith(f".{name}")]):
        hint = f'did you mean "{elsewhere[0]}"?'
    where = f"in [{section}]" if section else "as tables"
    return f"unknown key; {hint + ' Allowed' if hint else 'allowed'} {where} are: {', '.join(siblings)}"


def _dotted(path: KeyPath) -> str:
    """Return a dotted key for display: parts are quoted as in TOML, and a secret used as a name is left out."""
    shown = ((part, describe(part).removesuffix(" (text)")) for part in map(str, path))
    return ".".join(part if text == f'"{part}"' and _BARE_KEY.fullmatch(part) else text for part, text in shown)
