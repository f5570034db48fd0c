"""Takes everything from the hub that it was given or has gathered; what remains waits for a new key.

The effect has two steps, each whole or absent. Here the key is barred, by one file that is written atomically: from
then on this hub never speaks to the cloud again, whatever dies. The rest is erased by `agent.commands.reset` before
anything of the next life opens a file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.commands.handlers import Outcome
from agent.commands.lifecycle import Record
from agent.commands.payloads import check_reset


class FactoryReset:
    """The command `factory_reset`."""

    def __init__(self, *, bar_key: Callable[[], Awaitable[None]], begin_anew: Callable[[], None]) -> None:
        """Prepare.

        Args:
            bar_key: Makes the present key useless, durably; raises `StorageFull`.
            begin_anew: Ends this life of the hub, so that the next one erases the rest.
        """
        self._bar_key = bar_key
        self._begin_anew = begin_anew

    def check(self, payload: Mapping[str, Any]) -> None:
        """See `Handler`: `{"confirm": true}` and nothing else."""
        check_reset(payload)

    async def prepare(self) -> None:
        """See `Handler`: nothing hinders it."""

    async def execute(self, record: Record) -> Outcome:
        """See `Handler`. Never ends: this life does."""
        del record
        await self._bar_key()
        self._begin_anew()
        never: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        return await never

    async def reconcile(self, record: Record) -> Outcome | None:
        """See `Handler`: had the key been barred, this journal would be gone."""
        del record
        return None
