"""JSON from outside, taken apart so that one bad element costs only itself. Pure.

A decoder judges a document as a whole: half an emoji in one command, a number that is too large, or objects nested
hundreds of levels deep would cost all the others. So a document is first split into its elements, by a scan that looks
at nothing but strings, brackets and commas; then each element is decoded alone. Must never let an element through that
is nested deeper than the rest of the agent can handle.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not as expected: beside its own error, one for text that is not UTF-8, and one
for objects within objects within objects."""

ENCODE_ERRORS = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)
"""What msgspec raises for values that JSON cannot hold: other types, half a surrogate pair, too many levels."""

NESTING_MAX = 32
"""Levels of arrays and objects in one element. The published payloads have two; recursive code may follow these."""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
"""What SQLite can hold; a larger whole number is no quantity that a hub knows."""

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\],:]', re.DOTALL)
_CLOSED_BY = {b"{": b"}", b"[": b"]"}
_SPACE = b" \t\r\n"


class Undecodable(msgspec.Struct, frozen=True):
    """Stands in the place of a member that cannot be decoded.

    Attributes:
        reason: Why, for people.
    """

    reason: str


def split_array(document: bytes) -> list[bytes]:
    """Return the elements of a JSON array, each as it came.

    Raises:
        msgspec.DecodeError: It is no array, or is cut off.
    """
    body = document.strip(_SPACE)
    if body[:1] != b"[":
        raise msgspec.DecodeError("an array is needed")
    parts = list(_split(body))
    return [] if parts == [b""] else _none_empty(parts)


def split_object(document: bytes) -> dict[str, bytes]:
    """Return the members of a JSON object by name, each value as it came; of a name that stands twice, the last.

    Members whose name cannot be read are left out: nobody can have asked for them.

    Raises:
        msgspec.DecodeError: It is no object, or is cut off.
    """
    body = document.strip(_SPACE)
    if body[:1] != b"{":
        raise msgspec.DecodeError("an object is needed")
    parts = list(_split(body))
    found = {}
    for part in [] if parts == [b""] else _none_empty(parts):
        match = _TOKEN.match(part)
        name, value = (match[0], part[match.end() :].lstrip(_SPACE)) if match else (b"", b"")
        if name[:1] != b'"' or value[:1] != b":":
            raise msgspec.DecodeError("a member of an object has no name")
        try:
            text = msgspec.json.decode(name, type=str)
        except DECODE_ERRORS:
            continue
        found[text] = value[1:].strip(_SPACE)
    return found


def decode_value(element: bytes) -> Any:  # noqa: ANN401 (any JSON)
    """Return what one element says, or `Undecodable`.

    Unreadable is, beside what is no JSON: nesting of more than `NESTING_MAX` levels, and a whole number outside
    `INTEGER_MIN` to `INTEGER_MAX`.
    """
    if nesting_depth(element) > NESTING_MAX:
        return Undecodable(f"nested deeper than {NESTING_MAX} levels")
    try:
        decoded = msgspec.json.decode(element)
    except DECODE_ERRORS as error:
        return Undecodable(str(error).split(" - at `")[0])
    if _has_huge_integer(decoded):
        return Undecodable(f"a whole number is outside {INTEGER_MIN} to {INTEGER_MAX}")
    return decoded


def decode_object(document: bytes) -> dict[str, Any]:
    """Return the members of a JSON object, each decoded alone; `Undecodable` stands for those that cannot be.

    Raises:
        msgspec.DecodeError: It is no object, or is cut off.
    """
    return {name: decode_value(element) for name, element in split_object(document).items()}


def _split(body: bytes) -> Iterator[bytes]:
    """Yield what stands between the commas of the outermost level."""
    closers: list[bytes] = []
    begin = 1
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token in _CLOSED_BY:
            closers.append(_CLOSED_BY[token])
        elif token in {b"}", b"]"}:
            if not closers or closers.pop() != token:
                break
            if not closers:
                yield body[begin : match.start()].strip(_SPACE)
                if match.end() != len(body):
                    raise msgspec.DecodeError("something follows the end of the document")
                return
        elif token == b"," and len(closers) == 1:
            yield body[begin : match.start()].strip(_SPACE)
            begin = match.end()
        elif token == b'"':
            break
    raise msgspec.DecodeError("the document is cut off, or its brackets do not match")


def _none_empty(parts: list[bytes]) -> list[bytes]:
    if b"" in parts:
        raise msgspec.DecodeError("there is nothing between two commas")
    return parts


def nesting_depth(element: bytes) -> int:
    """Return how many levels of arrays and objects one element has; 0 for a text or a number."""
    level = deepest = 0
    for match in _TOKEN.finditer(element):
        if match[0] in _CLOSED_BY:
            level += 1
            deepest = max(deepest, level)
        elif match[0] in {b"}", b"]"}:
            level -= 1
    return deepest


def _has_huge_integer(decoded: object) -> bool:
    match decoded:
        case int():
            return not INTEGER_MIN <= decoded <= INTEGER_MAX
        case list():
            return any(map(_has_huge_integer, decoded))
        case dict():
            return any(map(_has_huge_integer, decoded.values()))
        case _:
            return False
