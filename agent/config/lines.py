"""On which line of a TOML text each key stands: `tomllib` does not say, and an error message must.

Pure. Takes only text that `tomllib` has accepted, so it finds its way by structure and checks nothing.
"""

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]
"""A key's way from the root: names, and positions where the way leads through an array."""

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


def key_lines(text: str) -> dict[Path, int]:
    """Return the line, counted from 1, on which each key and table first stands.

    A table that several headers mention stands where it is first named; each table of an array has its position in its
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
        self._lines: dict[Path, int] = {}
        self._array_lengths: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
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
        # The end of the text ends everything: a text that was not valid after all must not hang the agent.
        return self._take(bracket) or self._at >= len(self._text)

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _array_header(self) -> Path:
        *parents, name = self._key()
        self._take("]]")
        array = (*self._enter(parents), name)
        self._note(array)
        position = self._array_lengths.get(array, 0)
        self._array_lengths[array] = position + 1
        table = (*array, position)
        self._note(table)
        return table

    def _enter(self, parts: list[str]) -> Path:
        """Return the table that a header names: below an array, that is the array's last table."""
        path: Path = ()
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

    def _key_and_value(self, table: Path) -> None:
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path)
        if not self._take("="):
            self._at = len(self._text)
        self._skip_blank()
        self._value(path)

    def _value(self, path: Path) -> None:
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

    def _note(self, path: Path) -> None:
        self._lines.setdefault(path, bisect_right(self._line_ends, self._at - 1) + 1)
