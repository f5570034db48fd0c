"""What each type of command does: check its payload, take effect, and say after a crash what had happened."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from agent.commands.lifecycle import CommandEvent, CommandRecord


class CommandOutcome(msgspec.Struct, frozen=True):
    """How a command went.

    Attributes:
        event: `succeed` or `fail`; after an early ack, `confirmed` or `given_up`.
        result: What the cloud is told with a success.
        error_message: Why it failed.
    """

    event: CommandEvent
    result: Mapping[str, Any] | None = None
    error_message: str = ""


class CommandHandler(Protocol):
    """One type of command."""

    def check(self, payload: Mapping[str, Any]) -> None:
        """Judge a payload before anything is begun.

        Raises:
            Rejected: It cannot be executed; the message says what is wrong.
        """
        ...

    async def prepare(self) -> None:
        """See that such a command can take effect on this hub now, before it is begun and, maybe, acknowledged.

        Raises:
            ClimahubError: It cannot. The message says why, and what helps.
        """
        ...

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        """Take effect and say how it went. The record is on the disk as `executing`.

        Raises:
            Transient: Nothing happened, try again: the disk is full, say.
        """
        ...

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        """Say what happened to a command that was executing when the agent died; `None`: it has still to be executed.

        Raises:
            Transient: It cannot be said now, try again.
        """
        ...
