"""Reads the query of a request: every value is checked, and a wrong one is refused with what is allowed. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar, get_args

import msgspec

from agent.foundation.lenient_json import DECODE_ERRORS
from agent.foundation.text import quote
from agent.local.routes import RequestRefused

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$\.(\w+)`$")


def read(query: Mapping[str, str], struct: type[S]) -> S:
    """Return a query in its declared form. An empty value counts as missing, an unknown name is ignored.

    Raises:
        RequestRefused: A value is not of the declared form.
    """
    given = {name: value for name, value in query.items() if value}
    try:
        return msgspec.convert(given, struct, strict=False)
    except DECODE_ERRORS as error:
        place = _PLACE.search(str(error))
        name = place[1] if place else ""
        reason = _PLACE.sub("", str(error))
        kind = next((field.type for field in msgspec.structs.fields(struct) if field.encode_name == name), None)
        words = [each for part in get_args(kind) for each in get_args(part) if isinstance(each, str)]
        if words:
            reason = f"allowed are {', '.join(words)}"
        text = f"correct {name or 'the query'}: found {quote(given.get(name, ''))}; {reason[:1].lower()}{reason[1:]}"
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "invalid", text) from error


def page(
    entries: Sequence[T], id_of: Callable[[T], str], *, before: str | None, after: str | None, limit: int
) -> Sequence[T]:
    """Return one page of a list.

    Args:
        entries: All of them, the newest first.
        id_of: Returns the id of an entry.
        before: Only entries older than this one.
        after: Only entries newer than this one; one that is no longer listed is older than all.
        limit: How many at most: the newest of those that fit.

    Raises:
        RequestRefused: `before` is not listed: what is older cannot be known.
    """
    ids = [id_of(entry) for entry in entries]
    begin = 0
    if before is not None:
        if before not in ids:
            text = f"read the list from its start: {quote(before)} is no longer listed"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text)
        begin = ids.index(before) + 1
    end = ids.index(after) if after in ids else len(ids)
    return entries[begin : min(end, begin + limit)]
