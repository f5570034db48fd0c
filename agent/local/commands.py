"""The journal of commands as a document for people at the hub. Values only.

The JSON form is an interface: fields may be added, never renamed.
"""

from collections.abc import Sequence

import msgspec

from agent.commands.bounds import ERROR_MESSAGE_BYTES_MAX
from agent.commands.lifecycle import CommandRecord
from agent.commands.payloads import COMMAND_ID_CHARS_MAX
from agent.foundation import instants
from agent.foundation.foreign_text import harmless
from agent.foundation.redaction import redact


class CommandReport(msgspec.Struct, frozen=True):
    """One command. `outcome` is what the cloud is told: "acked", "failed", or nothing yet."""

    command_id: str
    type: str
    state: str
    outcome: str
    error_message: str
    received: str | None
    expires: str | None
    settled: str | None


class CommandsReport(msgspec.Struct, frozen=True):
    """The newest commands, newest first, and why no more come in where none do."""

    commands: list[CommandReport]
    problem: str


def build_commands(records: Sequence[CommandRecord], *, problem: str) -> CommandsReport:
    """Return the document."""
    return CommandsReport([_report(record) for record in records], problem)


def _report(record: CommandRecord) -> CommandReport:
    return CommandReport(
        command_id=redact(harmless(record.command_id, characters_max=COMMAND_ID_CHARS_MAX)),
        type=redact(harmless(record.type)),
        state=record.state.value,
        outcome=record.outcome,
        error_message=harmless(record.error_message, characters_max=ERROR_MESSAGE_BYTES_MAX),
        received=_text(record.received_utc_ms),
        expires=_text(record.expires_utc_ms),
        settled=_text(record.settled_utc_ms),
    )


def _text(utc_ms: int | None) -> str | None:
    return None if utc_ms is None else instants.shown(utc_ms)
