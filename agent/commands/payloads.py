"""What is accepted from and sent to the cloud: commands and their payloads, results and error messages. Pure.

A command is read tolerantly, as the contract leaves open: a missing payload, a missing expiry and unknown fields around
it are accepted. A payload is read strictly: an unknown field might be the important one. Messages are for the operator
who sent the command. Must never let a secret through, nor produce JSON that does not parse.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from agent.errors import CommandInvalid
from agent.foundation import rfc3339
from agent.foundation.lenient_json import Undecodable, decode_value, split_object
from agent.foundation.log import redact
from agent.foundation.text import ENCODE_ERRORS, escape, quote, sanitize

COMMAND_ID_CHARS_MAX = 256
"""Ids are opaque; the published ones have 7 and 36 characters."""

TYPE_CHARS_MAX = 200
PAYLOAD_BYTES_MAX = 16 * 1024
"""Enough for all settings; larger payloads would fill the journal."""

DELAY_S_MAX = 3600
"""Contract section 5.3: a longer delay would outlive the command."""


ERROR_MESSAGE_BYTES_MAX = 1024
RESULT_BYTES_MAX = 64 * 1024
"""Not published in the contract (section 5.2): what is assumed to be accepted."""

LEVELS_MAX = 64
"""Nesting of a result: its reader may parse recursively."""

OMITTED = "omitted"
"""The member of a result that names the sections that did not fit."""

_CUT = "..."


class IncomingCommand(msgspec.Struct, frozen=True):
    """A command of a poll; fields as in `CommandRecord`."""

    command_id: str
    type: str
    payload: Any
    expires_utc_ms: int | None
    problem: str


def decode_commands(commands: Iterable[bytes]) -> tuple[list[IncomingCommand], int]:
    """Return the commands of a response in its order, and how many have no usable id and cannot be acknowledged.

    Each is decoded alone, member by member: what is wrong with one is its `problem` and does not affect the others.

    Args:
        commands: Each as JSON.
    """
    arrivals = []
    unreadable = 0
    for command in commands:
        try:
            parts = split_object(command)
        except msgspec.DecodeError:
            parts = {}
        command_id = _member(parts, "command_id")
        if not isinstance(command_id, str) or not 0 < len(command_id) <= COMMAND_ID_CHARS_MAX:
            unreadable += 1
            continue
        arrivals.append(_arrival(command_id, parts))
    return arrivals, unreadable


def _member(parts: Mapping[str, bytes], name: str) -> Any:  # noqa: ANN401 (any JSON)
    return decode_value(parts[name]) if name in parts else None


def _arrival(command_id: str, parts: Mapping[str, bytes]) -> IncomingCommand:
    problems = []
    type_ = _member(parts, "type")
    if not isinstance(type_, str) or len(type_) > TYPE_CHARS_MAX:
        problems.append(f"type is {_shown(type_)}; the name of a command is needed")
        type_ = ""
    payload = _member(parts, "payload")
    if payload is not None and not isinstance(payload, Mapping):
        problems.append(f"payload is {_shown(payload)}; an object is needed")
        payload = None
    elif len(msgspec.json.encode(payload)) > PAYLOAD_BYTES_MAX:
        problems.append(f"payload is larger than {PAYLOAD_BYTES_MAX} bytes")
        payload = None
    expires_at = _member(parts, "expires_at")
    expires_utc_ms = None
    try:
        expires_utc_ms = _instant(expires_at)
    except ValueError:
        problems.append(
            f"expires_at is {_shown(expires_at)}; a date and time with its zone, {rfc3339.BOUNDS}, is needed"
        )
    return IncomingCommand(command_id, sanitize(type_), payload, expires_utc_ms, "; ".join(problems))


def _instant(text: object) -> int | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError  # noqa: TRY004 - the caller treats both alike
    return rfc3339.parse(text)


def reboot_delay_s(payload: Mapping[str, Any]) -> int:
    """Return the `delay_seconds` of a reboot; 0 by default.

    Raises:
        CommandInvalid: It is not a whole number from 0 to 3600, or there are other fields.
    """
    _only(payload, "delay_seconds")
    value = payload.get("delay_seconds", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= DELAY_S_MAX:
        raise CommandInvalid(f"delay_seconds is {_shown(value)}; allowed are whole seconds, 0 to {DELAY_S_MAX}")
    return value


def check_factory_reset(payload: Mapping[str, Any]) -> None:
    """Check that the payload confirms a factory reset.

    Raises:
        CommandInvalid: It is not, or there are other fields.
    """
    _only(payload, "confirm")
    if payload.get("confirm") is not True:
        raise CommandInvalid('confirmation required: the payload must be {"confirm": true}')


def requested_sections(payload: Mapping[str, Any], known: Collection[str]) -> tuple[str, ...]:
    """Return the sections that a diagnostics command requests; all by default.

    Raises:
        CommandInvalid: `sections` is not a list of known names, or there are other fields.
    """
    _only(payload, "sections")
    wanted = payload.get("sections")
    if wanted is None:
        return tuple(known)
    if not isinstance(wanted, list) or not wanted:
        raise CommandInvalid(f"sections is {_shown(wanted)}; a list of names is needed: {', '.join(known)}")
    wrong = [_shown(name) for name in wanted if not isinstance(name, str) or name not in known]
    if wrong:
        raise CommandInvalid(f"sections names {', '.join(wrong)}; there are {', '.join(known)}")
    return tuple(dict.fromkeys(wanted))


def _only(payload: Mapping[str, Any], *allowed: str) -> None:
    extra = [name for name in payload if name not in allowed]
    if extra:
        raise CommandInvalid(f"unexpected {', '.join(_shown(name) for name in extra)}; allowed is {', '.join(allowed)}")


def _shown(value: object) -> str:
    return f"unreadable ({sanitize(value.reason)})" if isinstance(value, Undecodable) else quote(value)


def limit_message(text: str) -> str:
    """Return text without secrets as one printable line of at most `ERROR_MESSAGE_BYTES_MAX` bytes of UTF-8."""
    data = redact(sanitize(text, characters_max=ERROR_MESSAGE_BYTES_MAX)).encode()
    if len(data) <= ERROR_MESSAGE_BYTES_MAX:
        return data.decode()
    return data[: ERROR_MESSAGE_BYTES_MAX - len(_CUT)].decode("utf-8", "ignore") + _CUT


def redact_json(value: Any, *, levels_max: int = LEVELS_MAX) -> Any:  # noqa: ANN401 (any JSON)
    """Return a JSON value with all secrets removed from its strings and names.

    Raises:
        ValueError: It is nested deeper than ``levels_max``.
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
    """Return a section without secrets, and its size as JSON; a section that JSON cannot hold becomes a problem."""
    try:
        shown = redact_json(msgspec.to_builtins(section))
        return shown, len(msgspec.json.encode(shown))
    except ENCODE_ERRORS as error:
        shown = {"problem": sanitize(f"this cannot be shown: {type(error).__name__}: {error}")}
        return shown, len(msgspec.json.encode(shown))


def limit_result(sections: Mapping[str, Any], *, bytes_max: int = RESULT_BYTES_MAX) -> dict[str, Any]:
    """Return a result without secrets of at most ``bytes_max`` bytes of JSON, without the largest sections if need be.

    `OMITTED` names the sections left out, or counts them if even the names do not fit.
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
