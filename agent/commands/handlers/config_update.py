"""Changes the device settings, all of them or none; without any, has the cloud's copy fetched now.

What makes it exactly once: the settings are stored together with the id of the command that they come from, in one
file, so that after a crash the file itself says whether the command took effect.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent.commands.handlers import CommandOutcome
from agent.commands.lifecycle import CommandEvent, CommandRecord
from agent.errors import CloudUnavailable, StorageFull


class SettingsControl(Protocol):
    """What this command needs of the settings."""

    def check(self, changes: Mapping[str, Any]) -> None:
        """Raise `SettingInvalid` for changes that cannot be made."""
        ...

    async def apply(self, changes: Mapping[str, Any], *, command_id: str) -> Mapping[str, Any]:
        """Put changes in force, durably and in the name of a command, and return all settings.

        Raises:
            StorageFull: They are in force, but not durable yet.
        """
        ...

    def applied(self, command_id: str) -> Mapping[str, Any] | None:
        """Return all settings where this command was the last to change them, else `None`."""
        ...

    async def refresh(self) -> Mapping[str, Any]:
        """Fetch the cloud's copy now and return all settings.

        Raises:
            CloudUnavailable: It could not be had in time.
        """
        ...


class ConfigUpdateHandler:
    """The command `config_update`."""

    def __init__(self, settings: SettingsControl, *, is_volatile: Callable[[], bool] = lambda: False) -> None:
        """Prepare.

        Args:
            settings: What is changed.
            is_volatile: Tells whether the disk has taken nothing for so long that memory has to do.
        """
        self._settings = settings
        self._is_volatile = is_volatile

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `Handler`: any of the fields of PUT /v1/settings, or none."""
        if payload:
            self._settings.check(payload)

    async def prepare(self) -> None:
        """See `Handler`: nothing hinders it."""

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        """See `Handler`."""
        if record.payload:
            return await self._applied(record)
        try:
            return CommandOutcome(CommandEvent.SUCCEED, result=await self._settings.refresh())
        except CloudUnavailable as error:
            return CommandOutcome(CommandEvent.FAIL, error_message=f"settings could not be fetched: {error}")

    async def _applied(self, record: CommandRecord) -> CommandOutcome:
        try:
            in_force = await self._settings.apply(record.payload, command_id=record.command_id)
        except StorageFull as error:
            if not self._is_volatile():
                raise
            # It had begun when the disk still took something; others wait behind it.
            return CommandOutcome(
                CommandEvent.FAIL, error_message=f"in force until the next restart only: {error}; send it again"
            )
        return CommandOutcome(CommandEvent.SUCCEED, result=in_force)

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        """See `Handler`: fetching again does no harm, applying again might undo a later change."""
        in_force = self._settings.applied(record.command_id) if record.payload else None
        return None if in_force is None else CommandOutcome(CommandEvent.SUCCEED, result=in_force)
