"""Text for people: untrusted text is sanitized, so that it moves no cursor, starts no line and reads as shown.

The only place that decides this. Untrusted is whatever comes from the cloud, a radio, a file, a certificate, or a
library that repeats these. It is sanitized where it enters; the log and the terminal sanitize it again, in case one
entry was forgotten (CWE-117 and CWE-150). Pure.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

ENCODE_ERRORS = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)
"""What msgspec raises for values that JSON cannot hold: other types, half a surrogate pair, too many levels."""

CHARACTERS_MAX = 200
"""The length of an untrusted message; the rest is cut."""

QUOTED_CHARACTERS_MAX = 60
"""The length of a wrong value in a message, which fits a line of a terminal with it."""

VALUE_DEPTH_MAX = 64

_LINE_BREAKS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")

# C0, DEL and C1 (ECMA-48); invisible and bidirectional format characters (Unicode category Cf, UAX 9); the byte-order
# mark; tags, by which text is hidden in emoji; and halves of surrogate pairs, which no encoding takes.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)

_CUT = "..."


def sanitize(text: str, *, characters_max: int = CHARACTERS_MAX) -> str:
    r"""Return ``text`` as one printable line of at most ``characters_max`` characters.

    Line breaks and tabs become a space, so that words stay apart; other characters that move a cursor, change the
    direction of writing or are invisible are escaped, as `\u001b` or `\u202e`. Idempotent.
    """
    line = escape(_LINE_BREAKS.sub(" ", text))
    return line if len(line) <= characters_max else line[: max(0, characters_max - len(_CUT))] + _CUT


def escape(text: str) -> str:
    """Return ``text`` of any length with every harmful character escaped, including line breaks.

    A JSON document without line breaks keeps its meaning.
    """
    return _HARMFUL.sub(_spelling, text)


def sanitize_value(value: Any, *, characters_max: int = CHARACTERS_MAX) -> Any:  # noqa: ANN401 (any JSON)
    """Return a JSON value with all its texts sanitized, including names."""
    return _sanitize_value(value, characters_max, VALUE_DEPTH_MAX)


def _sanitize_value(value: Any, characters_max: int, depth_left: int) -> Any:  # noqa: ANN401 (any JSON)
    match value:
        case str():
            return sanitize(value, characters_max=characters_max)
        case Mapping() | list() | tuple() if not depth_left:
            return _CUT
        case Mapping():
            return {
                sanitize(str(name), characters_max=characters_max): _sanitize_value(
                    item, characters_max, depth_left - 1
                )
                for name, item in value.items()
            }
        case list() | tuple():
            return [_sanitize_value(item, characters_max, depth_left - 1) for item in value]
        case _:
            return value


def quote(value: object) -> str:
    """Return a wrong value for a message: as JSON, sanitized, and not longer than `QUOTED_CHARACTERS_MAX`."""
    try:
        text = msgspec.json.encode(value).decode()
    except ENCODE_ERRORS:
        text = f"({type(value).__name__} that JSON cannot hold)"
    return sanitize(text, characters_max=QUOTED_CHARACTERS_MAX)


def escape_lines(text: str) -> str:
    """Return the agent's own ``text`` for a terminal: line breaks stay, other harmful characters are escaped."""
    return "\n".join(map(escape, text.split("\n")))


def _spelling(match: re.Match[str]) -> str:
    # As in JSON, so that a JSON document stays one.
    code = ord(match[0])
    if code <= 0xFFFF:  # noqa: PLR2004 - four digits
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def plural(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 reading", "2,500 readings"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
