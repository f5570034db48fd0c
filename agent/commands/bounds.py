"""Keeps what is sent back within the contract's bounds: text is cut, results lose whole sections. Pure.

Must never let a secret through, nor make JSON that does not parse.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.foundation.redaction import redact

ERROR_MESSAGE_BYTES_MAX = 1024
RESULT_BYTES_MAX = 64 * 1024
"""ClimaSense contract, section 5.2: not published, so the least that is assumed to be taken."""

OMITTED = "omitted"
"""Where a result names the sections that did not fit."""

_CUT = "..."


def bounded_message(text: str) -> str:
    """Return text without secrets and of at most `ERROR_MESSAGE_BYTES_MAX` bytes of UTF-8."""
    data = redact(text).encode("utf-8", "replace")
    if len(data) <= ERROR_MESSAGE_BYTES_MAX:
        return data.decode()
    return data[: ERROR_MESSAGE_BYTES_MAX - len(_CUT)].decode("utf-8", "ignore") + _CUT


def without_secrets(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    """Return a JSON value with every key blacked out of its texts, names included."""
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {redact(str(name)): without_secrets(item) for name, item in value.items()}
        case list() | tuple():
            return [without_secrets(item) for item in value]
        case _:
            return value


def bounded_result(sections: Mapping[str, Any], *, bytes_max: int = RESULT_BYTES_MAX) -> dict[str, Any]:
    """Return a result without secrets and of at most ``bytes_max`` bytes of JSON: the largest sections go first.

    What went is named under `OMITTED`, or merely counted where even the names do not fit.
    """
    kept: dict[str, Any] = without_secrets(msgspec.to_builtins(sections))
    sizes = {name: len(msgspec.json.encode(section)) for name, section in kept.items()}
    omitted: list[str] = []
    while len(msgspec.json.encode(kept)) > bytes_max:
        if not sizes:
            return {OMITTED: len(omitted)}
        largest = max(sizes, key=sizes.__getitem__)
        del sizes[largest], kept[largest]
        omitted.append(largest)
        kept[OMITTED] = omitted
    return kept
