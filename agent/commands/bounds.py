"""Keeps what is sent back within the contract's bounds: text is cut, results lose whole sections. Pure.

Must never let a secret through, nor make JSON that does not parse.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.foundation.redaction import redact
from agent.foundation.text import ENCODE_ERRORS, escape, sanitize

ERROR_MESSAGE_BYTES_MAX = 1024
RESULT_BYTES_MAX = 64 * 1024
"""ClimaSense contract, section 5.2: not published, so the least that is assumed to be taken."""

LEVELS_MAX = 64
"""Arrays and objects within each other in a result: who parses it may be written in a language that recurses."""

OMITTED = "omitted"
"""Where a result names the sections that did not fit."""

_CUT = "..."


def limit_message(text: str) -> str:
    """Return text without secrets, in one printable line of at most `ERROR_MESSAGE_BYTES_MAX` bytes of UTF-8."""
    data = redact(sanitize(text, characters_max=ERROR_MESSAGE_BYTES_MAX)).encode()
    if len(data) <= ERROR_MESSAGE_BYTES_MAX:
        return data.decode()
    return data[: ERROR_MESSAGE_BYTES_MAX - len(_CUT)].decode("utf-8", "ignore") + _CUT


def redact_json(value: Any, *, levels_max: int = LEVELS_MAX) -> Any:  # noqa: ANN401 (any JSON)
    """Return a JSON value with every key blacked out of its texts, names included.

    Raises:
        ValueError: It has more levels than ``levels_max``.
    """
    if levels_max < 0:
        raise ValueError(f"it has more than {LEVELS_MAX} levels")
    match value:
        case str():
            return redact(_encodable(value))
        case Mapping():
            return {
                redact(_encodable(str(name))): redact_json(item, levels_max=levels_max - 1)
                for name, item in value.items()
            }
        case list() | tuple():
            return [redact_json(item, levels_max=levels_max - 1) for item in value]
        case _:
            return value


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return escape(text)
    return text


def _section(section: Any) -> tuple[Any, int]:  # noqa: ANN401 (any JSON)
    """Return a section without secrets and its bytes of JSON; what cannot be shown is shown as such."""
    try:
        shown = redact_json(msgspec.to_builtins(section))
        return shown, len(msgspec.json.encode(shown))
    except ENCODE_ERRORS as error:
        shown = {"problem": sanitize(f"this cannot be shown: {type(error).__name__}: {error}")}
        return shown, len(msgspec.json.encode(shown))


def limit_result(sections: Mapping[str, Any], *, bytes_max: int = RESULT_BYTES_MAX) -> dict[str, Any]:
    """Return a result without secrets and of at most ``bytes_max`` bytes of JSON: the largest sections go first.

    What went is named under `OMITTED`, or merely counted where even the names do not fit. A section that JSON cannot
    hold says so in its own place.
    """
    shown = {redact(_encodable(str(name))): _section(section) for name, section in sections.items()}
    kept: dict[str, Any] = {name: section for name, (section, _) in shown.items()}
    sizes = {name: size for name, (_, size) in shown.items()}
    omitted: list[str] = []
    while len(msgspec.json.encode(kept)) > bytes_max:
        if not sizes:
            return {OMITTED: len(omitted)}
        largest = max(sizes, key=sizes.__getitem__)
        del sizes[largest], kept[largest]
        omitted.append(largest)
        kept[OMITTED] = omitted
    return kept
