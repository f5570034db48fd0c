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

    def __init__(self, *, book: UpdateStore, intake: Staging, worker: Worker, pace: RunControl) -> None:
        self._book = book
        self._intake = intake
        self._worker = worker
        self._pace = pace
        self.is_under_way = False

    async def take_in(self, pieces: AsyncIterator[bytes]) -> BundleHeader:
        """Take in a bundle, and have it installed without waiting for a window.

        Raises:
            Rejected: An update is under way already, or this hub must not have the bundle.
            StorageFull: No room.
        """
        record = self._book.record
        if self.is_under_way or (record.is_open and record.state is not UpdateState.DOWNLOADING):
            raise Rejected(f"an update is under way already ({record.state}); let it end first")
        self.is_under_way = True
        try:
            await self._worker.run(self._intake.forget)
            part: PartialBundle = await self._worker.run(lambda: self._intake.part(None))
            async for piece in pieces:
                await self._worker.run(lambda piece=piece: part.take(piece))  # type: ignore[misc]
            header = await self._worker.run(part.finish)
            offer = Offer(header.manifest.version, "", part.size_bytes)
            await self._book.advance(UpdateEvent.BRING, offer=offer)
            self._pace.is_urgent = True
        finally:
            self.is_under_way = False
            self._pace.nudge()
        return header
