"""Reads a JSON document of our own as far as it makes sense: one bad element costs only itself. Pure.

For files in which many things stand side by side, zones or sensors: a release that wrote one of them in another way, or
a hand that changed it, must not cost the others. A document that is cut short or of another kind is not read at all. A
mapping or list that a struct cannot be without, such as the blocks of a schedule, is read whole or not at all.
"""

import types
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from agent.foundation.lenient_json import DECODE_ERRORS, split_array, split_object
from agent.foundation.text import sanitize

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
    why = str(error).split(" - at `")[0]
    lost.append(sanitize(f"{place} ({why})"))
