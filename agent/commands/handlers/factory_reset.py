"""Takes everything from the hub that it was given or has gathered; what remains waits for a new key.

The effect has two steps, each whole or absent. Here the key is barred, by one file that is written atomically: from
then on this hub never speaks to the cloud again, whatever dies. The rest is erased by `agent.commands.factory_reset`
before the next life opens a file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.commands.handlers import CommandOutcome
from agent.commands.lifecycle import CommandRecord
from agent.commands.payloads import check_factory_reset


class FactoryResetHandler:
    """The command `factory_reset`."""

    def __init__(self, *, bar_key: Callable[[], Awaitable[None]], restart: Callable[[], None]) -> None:
        """Prepare.

        Args:
            bar_key: Makes the present key useless, durably; raises `StorageFull`.
            restart: Ends this life of the hub, so that the next one erases the rest.
        """
        self._bar_key = bar_key
        self._restart = restart

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `Handler`: `{"confirm": true}` and nothing else."""
        check_factory_reset(payload)

    async def prepare(self) -> None:
        """See `Handler`: nothing hinders it."""

    async def execute(self, record: CommandRecord) -> CommandOutcome:
        """See `Handler`. Never ends: this life does."""
        del record
        await self._bar_key()
        self._restart()
        never: asyncio.Future[CommandOutcome] = asyncio.get_running_loop().create_future()
        return await never

    async def reconcile(self, record: CommandRecord) -> CommandOutcome | None:
        """See `Handler`: had the key been barred, this journal would be gone."""
        del record
        return None
