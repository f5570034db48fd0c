"""The commands document of the local API, and the confirmation of a command by a person at the hub.

The JSON form is an interface: fields may be added, never renamed.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

import msgspec

from agent.commands.lifecycle import CommandRecord
from agent.commands.payloads import COMMAND_ID_CHARS_MAX, ERROR_MESSAGE_BYTES_MAX
from agent.foundation import rfc3339
from agent.foundation.log import redact
from agent.foundation.text import sanitize
from agent.local import query
from agent.local.queries import CommandsQuery
from agent.local.routes import Handler, LocalRequest, RequestRefused


class CommandReport(msgspec.Struct, frozen=True):
    """One command. `outcome` is the acknowledgement to the cloud: "acked", "failed", or nothing yet."""

    command_id: str
    type: str
    state: str
    outcome: str
    error_message: str
    received: str | None
    expires: str | None
    settled: str | None


class CommandsReport(msgspec.Struct, frozen=True):
    """The commands, newest first, and the problem that keeps new ones from arriving.

    Attributes:
        next_before: The cursor of the next page; nothing where this is the last one.
    """

    commands: list[CommandReport]
    problem: str
    next_before: str | None = None


class Confirmed(msgspec.Struct, frozen=True):
    """The id of the command that a person has confirmed."""

    confirmed: str


def build_commands(records: Sequence[CommandRecord], *, problem: str) -> CommandsReport:
    """Return the document."""
    return CommandsReport([_report(record) for record in records], problem)


def select_page(report: CommandsReport, asked: CommandsQuery) -> CommandsReport:
    """Return the part of the document that a query asks for.

    Raises:
        RequestRefused: The command `before` is no longer listed.
    """
    commands = query.page(
        report.commands,
        lambda each: each.command_id,
        before=asked.before,
        after=asked.after,
        limit=asked.limit,
    )
    is_last = not commands or commands[-1] == report.commands[-1]
    return CommandsReport(list(commands), report.problem, None if is_last else commands[-1].command_id)


def _report(record: CommandRecord) -> CommandReport:
    return CommandReport(
        command_id=redact(sanitize(record.command_id, characters_max=COMMAND_ID_CHARS_MAX)),
        type=redact(sanitize(record.type)),
        state=record.state.value,
        outcome=record.outcome,
        error_message=sanitize(record.error_message, characters_max=ERROR_MESSAGE_BYTES_MAX),
        received=rfc3339.render_known(record.received_utc_ms),
        expires=rfc3339.render_known(record.expires_utc_ms),
        settled=rfc3339.render_known(record.settled_utc_ms),
    )


def handlers(
    report: Callable[[], Awaitable[CommandsReport]], confirm: Callable[[str], Awaitable[object]]
) -> Mapping[str, Handler]:
    """Return the handlers of commands.

    Args:
        report: Makes the document.
        confirm: Records a person's confirmation of a command; raises `KeyError` for a command that is not waiting.
    """

    async def get_commands(request: LocalRequest) -> CommandsReport:
        return select_page(await report(), query.read(request.query, CommandsQuery))

    async def confirm_command(request: LocalRequest) -> Confirmed:
        command_id = request.parameters["command_id"]
        try:
            await confirm(command_id)
        except KeyError:
            text = f"check the id (climahub commands): no command {command_id} waits to be confirmed"
            raise RequestRefused(HTTPStatus.NOT_FOUND, "not_found", text) from None
        return Confirmed(command_id)

    return {"get_commands": get_commands, "confirm_command": confirm_command}
