"""What a handler of commands has to do, and the two handlers that need no restart: settings and diagnostics.

A handler checks a payload, takes effect, and after a crash tells whether the effect had happened.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from agent.commands.lifecycle import CommandEvent, CommandRecord
from agent.commands.payloads import requested_sections
from agent.errors import ClimahubError, CloudUnavailable, StorageFull, Transient
from agent.foundation.supervisor import contain_failure


class CommandOutcome(msgspec.Struct, frozen=True):
    """The outcome of a command.

    Attributes:
        event: `succeed` or `fail`; after an early ack, `confirmed` or `given_up`.
        result: Sent to the cloud with a success.
        error_message: Why it failed.
    """

    event: CommandEvent
    result: Mapping[str, Any] | None = None
    error_message: str = ""


class CommandHandler(Protocol):
    """One type of command."""

    def check(self, payload: Mapping[str, Any]) -> None:
        """Check a payload before the command begins.

        Raises:
            Rejected: It cannot be executed; the message says what is wrong.
        """
        ...

    async def prepare(self) -> None:
        """Check that the command can take effect on this hub now, before it begins and may be acknowledged.

        Raises:
            ClimahubError: It cannot; the message says why, and what helps.
        """
        ...

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        """Take effect and return the outcome. The record is saved as `executing`.

        Raises:
            Transient: Nothing happened, for example because the disk is full; try again.
        """
        ...

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        """Return the outcome of a command that was executing when the agent stopped; `None` to execute it.

        Raises:
            Transient: It is not known now; try again.
        """
        ...


class SettingsControl(Protocol):
    """What `config_update` needs of the device settings."""

    def check(self, changes: Mapping[str, Any]) -> None:
        """Raise `SettingInvalid` for changes that cannot be made."""
        ...

    async def apply(self, changes: Mapping[str, Any], *, command_id: str) -> Mapping[str, Any]:
        """Apply changes durably, together with the id of their command, and return all settings.

        Raises:
            StorageFull: They are in force, but not durable yet.
        """
        ...

    def applied(self, command_id: str) -> Mapping[str, Any] | None:
        """Return all settings if this command was the last to change them, else `None`."""
        ...

    async def refresh(self) -> Mapping[str, Any]:
        """Fetch the settings from the cloud now and return all of them.

        Raises:
            CloudUnavailable: They could not be fetched in time.
        """
        ...


class ConfigUpdateHandler:
    """The command `config_update`: changes all settings of its payload or none; an empty payload fetches the cloud's.

    It takes effect exactly once: the settings are saved in one file together with the id of their command, so that the
    file tells after a crash whether the command took effect.
    """

    def __init__(self, settings: SettingsControl, *, is_volatile: Callable[[], bool] = lambda: False) -> None:
        """Prepare.

        Args:
            settings: The device settings.
            is_volatile: Tells whether commands are kept in memory because the disk takes nothing.
        """
        self._settings = settings
        self._is_volatile = is_volatile

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `CommandHandler`: any of the fields of PUT /v1/settings, or none."""
        if payload:
            self._settings.check(payload)

    async def prepare(self) -> None:
        """See `CommandHandler`: always possible."""

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        """See `CommandHandler`."""
        if record.payload:
            return await self._apply(record)
        try:
            return CommandOutcome(CommandEvent.SUCCEED, result=await self._settings.refresh())
        except CloudUnavailable as error:
            return CommandOutcome(CommandEvent.FAIL, error_message=f"settings could not be fetched: {error}")

    async def _apply(self, record: CommandRecord) -> CommandOutcome:
        try:
            in_force = await self._settings.apply(record.payload, command_id=record.command_id)
        except StorageFull as error:
            if not self._is_volatile():
                raise
            # It began while the disk still worked; other commands wait for it.
            message = f"in force until the next restart only: {error}; send it again"
            return CommandOutcome(CommandEvent.FAIL, error_message=message)
        return CommandOutcome(CommandEvent.SUCCEED, result=in_force)

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        """See `CommandHandler`: fetching again is harmless, applying again might undo a later change."""
        in_force = self._settings.applied(record.command_id) if record.payload else None
        return None if in_force is None else CommandOutcome(CommandEvent.SUCCEED, result=in_force)


DiagnosticsSection = Callable[[], Any]
"""Returns JSON values. May raise `OSError` where the operating system gives no answer."""


class DiagnosticsHandler:
    """The command `diagnostics`: reports as many of the requested sections as fit. Changes nothing."""

    def __init__(self, sections: Mapping[str, DiagnosticsSection]) -> None:
        """Prepare.

        Args:
            sections: The sections by name, in the order of the report.
        """
        self._sections = sections

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `CommandHandler`: nothing, `{}`, or a list of `sections`."""
        requested_sections(payload, self._sections.keys())

    async def prepare(self) -> None:
        """See `CommandHandler`: always possible."""

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        """See `CommandHandler`."""
        names = requested_sections(record.payload or {}, self._sections.keys())
        return CommandOutcome(CommandEvent.SUCCEED, result={name: self._section(name) for name in names})

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        """See `CommandHandler`: reporting again is harmless."""
        del record
        return None

    def _section(self, name: str) -> Any:  # noqa: ANN401 (any JSON)
        """Return one section; a failing section does not affect the others."""
        try:
            with contain_failure(f"section {name} of the diagnostics"), _transient_read_errors():
                return self._sections[name]()
        except ClimahubError as error:
            return {"problem": str(error)}


@contextlib.contextmanager
def _transient_read_errors() -> Iterator[None]:
    """Translate read errors of the operating system, which are no defects."""
    try:
        yield
    except OSError as error:
        raise Transient(str(error)) from error
