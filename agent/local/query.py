"""Reads the query of a request: every value is checked, and a wrong one is refused with what is allowed. Pure."""

from collections.abc import Collection, Mapping
from http import HTTPStatus

from agent.foundation.text import quote
from agent.local.routes import RequestRefused

DIGITS_MAX = 15
"""Of a number: milliseconds since 1970 have 13."""


def whole_number(
    query: Mapping[str, str], name: str, default: int | None, *, minimum: int, maximum: int | None = None
) -> int | None:
    """Return a number of the query, or ``default`` where it is missing or empty.

    Raises:
        RequestRefused: It is no whole number, or out of bounds.
    """
    found = query.get(name, "")
    if not found:
        return default
    digits = found.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX:
        number = int(found)
        if minimum <= number and (maximum is None or number <= maximum):
            return number
    allowed = f"from {minimum} to {maximum}" if maximum is not None else f"from {minimum}"
    raise RequestRefused(
        HTTPStatus.BAD_REQUEST, "invalid", f"correct {name}: found {quote(found)}, allowed is a whole number {allowed}"
    )


def one_of(query: Mapping[str, str], name: str, default: str, options: Collection[str]) -> str:
    """Return a word of the query, or ``default`` where it is missing or empty.

    Raises:
        RequestRefused: It is none of ``options``.
    """
    found = query.get(name) or default
    if found in options:
        return found
    raise RequestRefused(
        HTTPStatus.BAD_REQUEST, "invalid", f"correct {name}: found {quote(found)}, allowed is {', '.join(options)}"
    )


def text(query: Mapping[str, str], name: str, *, characters_max: int) -> str:
    """Return a text of the query; empty where it is missing.

    Raises:
        RequestRefused: It is too long.
    """
    found = query.get(name, "")
    if len(found) > characters_max:
        raise RequestRefused(
            HTTPStatus.BAD_REQUEST, "invalid", f"shorten {name}: it may have {characters_max} characters"
        )
    return found
