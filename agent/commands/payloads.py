"""What may stand in a command: how a poll's answer is read, and what each type takes. Pure.

Tolerant of what the contract leaves open (missing payload, missing expiry, unknown fields around a command), strict
inside a payload: a field that is not understood might have been the one that mattered. Messages are for the operator
who sent the command.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from agent.errors import CommandInvalid
from agent.foundation import rfc3339
from agent.foundation.lenient_json import Undecodable, decode_value, split_object
from agent.foundation.text import quote, sanitize

COMMAND_ID_CHARS_MAX = 256
"""Ids are opaque; the published ones have 7 and 36 characters. What is longer cannot be told from rubbish."""

TYPE_CHARS_MAX = 200
PAYLOAD_BYTES_MAX = 16 * 1024
"""Room for every setting there is; the journal must not fill with what no command needs."""

DELAY_S_MAX = 3600
"""Contract section 5.3: a longer delay would outlive the command."""


class IncomingCommand(msgspec.Struct, frozen=True):
    """A command as a poll brought it; fields as in `Record`."""

    command_id: str
    type: str
    payload: Any
    expires_utc_ms: int | None
    problem: str


def decode_commands(commands: Iterable[bytes]) -> tuple[list[IncomingCommand], int]:
    """Return the commands of an answer in its order, and how many have no usable id and can never be acknowledged.

    Each is decoded alone, member by member: what is wrong with one is its `problem`, and costs no other.

    Args:
        commands: Each as the JSON that came.
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
        raise ValueError  # noqa: TRY004 - to the caller it is the same
    return rfc3339.parse(text)


def reboot_delay_s(payload: Mapping[str, Any]) -> int:
    """Return the `delay_seconds` of a reboot, 0 where it says none.

    Raises:
        CommandInvalid: It is no whole number from 0 to 3600, or there are other fields.
    """
    _only(payload, "delay_seconds")
    value = payload.get("delay_seconds", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= DELAY_S_MAX:
        raise CommandInvalid(f"delay_seconds is {_shown(value)}; allowed are whole seconds, 0 to {DELAY_S_MAX}")
    return value


def check_factory_reset(payload: Mapping[str, Any]) -> None:
    """Check that a factory reset is confirmed in so many words.

    Raises:
        CommandInvalid: It is not, or there are other fields.
    """
    _only(payload, "confirm")
    if payload.get("confirm") is not True:
        raise CommandInvalid('confirmation required: the payload must be {"confirm": true}')


def requested_sections(payload: Mapping[str, Any], known: Collection[str]) -> tuple[str, ...]:
    """Return the sections that a diagnostics command asks for; all of them where it names none.

    Raises:
        CommandInvalid: `sections` is no list of known names, or there are other fields.
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
