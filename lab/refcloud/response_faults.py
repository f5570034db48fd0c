"""Rewrites the body of an answer as a fault wants it. Pure.

Bodies that are not JSON objects (firmware) pass the JSON faults unchanged. Must never change what the server keeps.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from lab.refcloud.faults import (
    AcceptedLower,
    BrokenJson,
    ExtraFields,
    Fault,
    ListsReversed,
    OversizedBody,
    TruncatedJson,
    WrongShape,
)

_EXTRA_FIELDS = MappingProxyType({"x_added_later": {"since": 2}})


def apply_fault(body: bytes, faults: Sequence[Fault], *, is_json: bool) -> bytes:
    """Return the body after all faults, in their order: first those that change the object, then those of its text."""
    if not is_json:
        return body
    document = msgspec.json.decode(body, type=dict[str, Any])
    for fault in faults:
        document = _rewritten(document, fault)
    body = msgspec.json.encode(document)
    for fault in faults:
        body = _mangled(body, fault)
    return body


def _rewritten(document: dict[str, Any], fault: Fault) -> dict[str, Any]:
    match fault:
        case AcceptedLower(by=by) if isinstance(document.get("accepted"), int):
            return document | {"accepted": max(0, document["accepted"] - by)}
        case ExtraFields():
            return {name: _with_extra_fields(value) for name, value in document.items()} | _EXTRA_FIELDS
        case ListsReversed():
            return {name: _reversed(value) for name, value in document.items()}
        case WrongShape(shape=shape, field=field):
            return _misshapen(document, shape, set(document) if field is None else {field} & set(document))
        case _:
            return document


def _with_extra_fields(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    match value:
        case dict():
            return {name: _with_extra_fields(item) for name, item in value.items()} | _EXTRA_FIELDS
        case list():
            return [_with_extra_fields(item) for item in value]
        case _:
            return value


def _reversed(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    return [item for item in reversed(value) for _ in range(2)] if isinstance(value, list) else value


def _misshapen(document: dict[str, Any], shape: str, fields: set[str]) -> dict[str, Any]:
    match shape:
        case "missing":
            return {name: value for name, value in document.items() if name not in fields}
        case "null":
            return {name: None if name in fields else value for name, value in document.items()}
        case _:
            return {name: _as_string(value) if name in fields else value for name, value in document.items()}


def _as_string(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    # What is a string already becomes a list, so that the type is wrong in every case.
    return [value] if isinstance(value, str) else msgspec.json.encode(value).decode()


def _mangled(body: bytes, fault: Fault) -> bytes:
    match fault:
        case BrokenJson():
            return body[:-1] + b"]"
        case TruncatedJson():
            return body[: len(body) // 2]
        case OversizedBody(body_bytes=body_bytes):
            return body.ljust(body_bytes)
        case _:
            return body
