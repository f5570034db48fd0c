"""A bundle that a person has brought to the hub, taken in beside what the cloud may be sending."""

from collections.abc import AsyncIterator

from agent.errors import Rejected
from agent.foundation.worker import Worker
from agent.ota.header import BundleHeader
from agent.ota.lifecycle import UpdateEvent, UpdateState
from agent.ota.manifest import Offer
from agent.ota.run_control import RunControl
from agent.ota.staging import PartialBundle, Staging
from agent.ota.store import UpdateStore


class Sideload:
    """Takes in files that people bring.

    Attributes:
        is_under_way: One is coming in now: nothing else may write.
    """

    def __init__(self, *, store: UpdateStore, staging: Staging, worker: Worker, run_control: RunControl) -> None:
        self._store = store
        self._staging = staging
        self._worker = worker
        self._run_control = run_control
        self.is_receiving = False

    async def receive(self, pieces: AsyncIterator[bytes]) -> BundleHeader:
        """Take in a bundle, and have it installed without waiting for a window.

        Raises:
            Rejected: An update is under way already, or this hub must not have the bundle.
            StorageFull: No room.
        """
        record = self._store.record
        if self.is_receiving or (record.is_open and record.state is not UpdateState.DOWNLOADING):
            raise Rejected(f"an update is under way already ({record.state}); let it end first")
        self.is_receiving = True
        try:
            await self._worker.run(self._staging.clear)
            part: PartialBundle = await self._worker.run(lambda: self._staging.open_part(None))
            async for piece in pieces:
                await self._worker.run(lambda piece=piece: part.write(piece))  # type: ignore[misc]
            header = await self._worker.run(part.finish)
            offer = Offer(header.manifest.version, "", part.size_bytes)
            await self._store.advance(UpdateEvent.SIDELOAD, offer=offer)
            self._run_control.is_urgent = True
        finally:
            self.is_receiving = False
            self._run_control.wake()
        return header
