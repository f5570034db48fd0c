"""Reads JSON so that one bad element costs only itself. Pure.

msgspec judges a document as a whole: half an emoji in one command, a number that is too large, or objects nested
hundreds of levels deep would cost all the others. `split_array` and `split_object` take a document from outside apart,
by a scan that looks at nothing but strings, brackets and commas; `decode_value` decodes each element alone. It must
never let an element through that is nested deeper than the rest of the agent can handle.

`decode_leniently` does the same for files of our own in which many things stand side by side, zones or sensors: a
release that wrote one of them in another form, or a manual change, must not cost the others. A document that is cut
short or of another kind is not read at all. A mapping or list that a struct requires, such as the blocks of a schedule,
is read whole or not at all.
"""

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from agent.foundation.text import sanitize

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The exceptions of msgspec for unexpected bytes: its own, one for text that is not UTF-8, and one for objects that are
nested too deeply."""

NESTING_MAX = 32
"""The maximum nesting of one element. The published payloads have two levels; recursive code can handle these."""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
"""The range of SQLite; no quantity of a hub is a larger whole number."""

# Possessive: with backtracking, two bytes of an escape took 120 of memory.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],:]', re.DOTALL)
_CLOSED_BY = {b"{": b"}", b"[": b"]"}
_SPACE = b" \t\r\n"

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Undecodable(msgspec.Struct, frozen=True):
    """Replaces a member that cannot be decoded.

    Attributes:
        reason: Why, for people.
    """

    reason: str


def split_array(document: bytes) -> list[bytes]:
    """Return the elements of a JSON array, each unchanged.

    Raises:
        msgspec.DecodeError: It is no array, or is cut off.
    """
    try:
        return [bytes(each) for each in _ARRAY.decode(document)]
    except DECODE_ERRORS:
        pass  # one element, or the whole: the scan finds out
    body = document.strip(_SPACE)
    if body[:1] != b"[":
        raise msgspec.DecodeError("an array is needed")
    parts = list(_split(body))
    return [] if parts == [b""] else _none_empty(parts)


def split_object(document: bytes) -> dict[str, bytes]:
    """Return the members of a JSON object by name, each value unchanged; of duplicate names, the last.

    Members whose name cannot be read are left out: nobody can have asked for them.

    Raises:
        msgspec.DecodeError: It is no object, or is cut off.
    """
    try:
        return {name: bytes(value) for name, value in _OBJECT.decode(document).items()}
    except DECODE_ERRORS:
        pass  # one member, or the whole: the scan finds out
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
    """Return the value of one element, or `Undecodable`.

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
    """Return the members of a JSON object, each decoded alone; those that cannot be are `Undecodable`.

    Raises:
        msgspec.DecodeError: It is no object, or is cut off.
    """
    return {name: decode_value(element) for name, element in split_object(document).items()}


def _split(body: bytes) -> Iterator[bytes]:
    """Yield the parts between the commas of the outermost level."""
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


T = TypeVar("T")

_UNIONS = (Union, types.UnionType)


def decode_leniently(data: bytes, kind: type[T]) -> tuple[T, list[str]]:
    """Return a struct, and what had to be left out: elements of its mappings and lists, and their members, each named.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: A member of the document itself makes no sense, or
            nothing is left of one.
    """
    try:
        return msgspec.json.decode(data, type=kind), []
    except msgspec.ValidationError:
        lost: list[str] = []
        found: T = _struct(data, kind, "", lost, is_whole=True)
        return found, lost


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _value(data: bytes, kind: Any, path: str, lost: list[str]) -> Any:  # noqa: ANN401 - any type that a struct has
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in _UNIONS:
            (kind, *others) = (each for each in arguments if each is not types.NoneType)
            if others:
                raise
            return _value(data, kind, path, lost)
        if _is_struct(kind):
            return _struct(data, kind, path, lost, is_whole=False)
        if origin in {dict, Mapping}:
            return _mapping(data, arguments[1], path, lost)
        if origin in {tuple, list, Sequence} and (origin is not tuple or arguments[-1] is Ellipsis):
            return _sequence(data, origin, arguments[0], path, lost)
        raise


def _struct(data: bytes, kind: Any, path: str, lost: list[str], *, is_whole: bool) -> Any:  # noqa: ANN401 - see `_value`
    parts = split_object(data)
    found = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in parts:
            continue
        place = f"{path}.{field.name}" if path else field.name
        part = parts[field.encode_name]
        try:
            if field.required and not is_whole and not _is_struct(field.type):
                found[field.name] = msgspec.json.decode(part, type=field.type)
            else:
                found[field.name] = _value(part, field.type, place, lost)
        except DECODE_ERRORS as error:
            if is_whole or field.required:
                raise
            _lose(place, error, lost)
    try:
        return kind(**found)
    except TypeError as error:
        raise msgspec.ValidationError(str(error)) from error


def _mapping(data: bytes, kind: Any, path: str, lost: list[str]) -> dict[str, Any]:  # noqa: ANN401 - see `_value`
    parts = split_object(data)
    found = {}
    for name, part in parts.items():
        try:
            found[name] = _value(part, kind, f"{path}.{name}", lost)
        except DECODE_ERRORS as error:
            _lose(f"{path}.{name}", error, lost)
    if parts and not found:
        raise msgspec.ValidationError(f"nothing in {path} can be read")
    return found


def _sequence(data: bytes, origin: Any, kind: Any, path: str, lost: list[str]) -> Any:  # noqa: ANN401 - see `_value`
    found = []
    for number, part in enumerate(split_array(data)):
        try:
            # Whole or not at all: a hold without its end would never end.
            found.append(msgspec.json.decode(part, type=kind))
        except DECODE_ERRORS as error:
            _lose(f"{path}[{number}]", error, lost)
    return tuple(found) if origin is tuple else found


def _lose(place: str, error: Exception, lost: list[str]) -> None:
    reason = str(error).split(" - at `")[0]
    lost.append(sanitize(f"{place} ({reason})"))
