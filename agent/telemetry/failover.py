"""What the uplink empties: the outbox on the disk, and a way past it for readings that the disk refuses.

When the disk has refused readings for a minute, they go to the cloud from memory. Nothing was promised for them: a
crash costs them. What was taken from memory goes to the disk at the end of the process only, so that nothing is
delivered under two timestamps. Must never let a disk that fails end the uplink; only `Corrupt` passes through.
"""

import logging
from collections.abc import Callable, Sequence

import msgspec

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.problem_log import ProblemLog
from agent.telemetry.identities import Identities
from agent.telemetry.intake import Intake
from agent.telemetry.outbox.lookup_tables import UtcAnchor, UtcAnchors
from agent.telemetry.outbox.protocol import (
    EMPTY_STATS,
    GapCause,
    Lane,
    LostReadings,
    Outbox,
    OutboxStats,
    PendingReading,
)
from hal.interface import HUB, Reading

_log = logging.getLogger(__name__)

MEMORY_AFTER_MS = 60_000
"""How long the disk may refuse readings before they go out from memory: a busy card needs seconds."""

READ_FAILURES_MAX = 5
"""So many failures to read what is stored, with minutes in between, are no hiccup: the outbox is put aside."""

_THIS_BOOT = 0


class FailoverOutbox:
    """Has the two sides of an `Outbox`, `ReadingSink` and `ReadingQueue`. Items from memory have a negative `seq`.

    Attributes:
        disk_outbox: The outbox on the disk; `None` while it cannot be opened.
        problem: Why it cannot; empty where it can.
        accepted_from_memory: Readings that the cloud has accepted from memory.
    """

    def __init__(
        self,
        intake: Intake,
        *,
        clock: Clock,
        identities: Identities,
        on_memory_send: Callable[[Sequence[Reading]], None] = lambda _: None,
    ) -> None:
        """Prepare, with no outbox on the disk.

        Args:
            intake: Holds the readings that are not on the disk.
            clock: For ages and timestamps.
            identities: The cloud identities of relayed sensors.
            on_memory_send: Told of readings that are about to be sent from memory.
        """
        self._intake = intake
        self._clock = clock
        self._identities = identities
        self._on_memory_send = on_memory_send
        self._anchors = UtcAnchors()
        self._claimed: dict[int, Reading] = {}
        self._last_seq = 0
        self._reads = ProblemLog(_log, "stored readings wait")
        self._read_failures = 0
        self.disk_outbox: Outbox | None = None
        self.problem = ""
        self.accepted_from_memory = 0

    @property
    def anchor(self) -> UtcAnchor | None:
        """What UTC this boot's milliseconds stood for when readings first went out from memory."""
        return self._anchors.first(_THIS_BOOT)

    @property
    def claimed_from_memory(self) -> int:
        """Readings that were taken from memory and are not accepted yet."""
        return len(self._claimed)

    @property
    def read_problem(self) -> str:
        """Why what is stored cannot be read now; empty where it can."""
        return self._reads.text

    def stats(self) -> OutboxStats:
        """Return the numbers of the disk's outbox; what may go out from memory counts as fresh."""
        stats = self.disk_outbox.stats() if self.disk_outbox else EMPTY_STATS
        disk_outbox = 0 if self._reads.text else stats.fresh
        return msgspec.structs.replace(stats, fresh=disk_outbox + self.ready_in_memory)

    @property
    def ready_in_memory(self) -> int:
        """Readings that may go out from memory now."""
        return len(self._intake.refused_by_disk(self._is_sendable)) if self._is_active else 0

    @property
    def _is_active(self) -> bool:
        since_ms = self._intake.disk_failing_since_ms
        is_long = since_ms is not None and self._clock.monotonic_ms() - since_ms >= MEMORY_AFTER_MS
        return is_long and self._clock.utc_ms() is not None

    def _is_sendable(self, device: str) -> bool:
        return device == HUB or self._identities.is_registered(device)

    async def append(self, readings: Sequence[Reading], *, is_registered: Callable[[str], bool]) -> None:
        """Store readings on the disk."""
        await self._require_disk_outbox().append(readings, is_registered=is_registered)

    async def record_gap(self, losses: Sequence[LostReadings], cause: GapCause) -> None:
        """Record readings that never made it to the disk."""
        await self._require_disk_outbox().record_gap(losses, cause)

    async def claim(self, lane: Lane, readings_max: int) -> list[PendingReading]:
        """Return the oldest unclaimed readings of a lane; what goes out from memory is fresh.

        Raises:
            Corrupt: What is stored cannot be used any more.
        """
        if lane is Lane.FRESH and self._is_active and (items := self._claim_memory(readings_max)):
            return items
        if self.disk_outbox is None:
            return []
        try:
            items = await self.disk_outbox.claim(lane, readings_max)
        except StorageFull as error:
            self._reads.report(str(error))
            self._read_failures += isinstance(error, ReadFailed)
            if self._read_failures >= READ_FAILURES_MAX:
                self._read_failures = 0
                raise Corrupt(f"{error}; tried {READ_FAILURES_MAX} times") from error
            return []
        self._read_failures = 0
        self._reads.clear()
        return items

    def _claim_memory(self, readings_max: int) -> list[PendingReading]:
        readings = self._intake.refused_by_disk(self._is_sendable)[:readings_max]
        self._intake.remove(readings)
        now_ms, utc_ms = self._clock.monotonic_ms(), self._clock.utc_ms()
        if readings and utc_ms is not None:
            self._on_memory_send(readings)
            segment = self._anchors.next_segment(_THIS_BOOT, now_ms=now_ms, utc_ms=utc_ms)
            if segment is not None:
                self._anchors.add(_THIS_BOOT, segment)
        return [self._item(reading) for reading in readings]

    def _item(self, reading: Reading) -> PendingReading:
        self._last_seq -= 1
        self._claimed[self._last_seq] = reading
        # As it would have been stamped from the disk, where that knows the time of this boot.
        utc_ms = self.disk_outbox.utc_ms(reading.at_ms) if self.disk_outbox else None
        if utc_ms is None:
            utc_ms = self._anchors.utc_ms(_THIS_BOOT, reading.at_ms)
        return PendingReading(reading.device, reading.kind, utc_ms, reading.value, self._last_seq)

    async def settle(self, items: Sequence[PendingReading]) -> None:
        """Mark readings as accepted."""
        for item in items:
            self.accepted_from_memory += self._claimed.pop(item.seq, None) is not None
        disk_outbox = [item for item in items if item.seq >= 0]
        if disk_outbox and self.disk_outbox is not None:
            try:
                await self.disk_outbox.settle(disk_outbox)
            except StorageFull as error:
                # They count as settled; should they still be there after a restart, they are sent again as they were.
                self._reads.report(str(error))

    async def move_to_dead_letters(self, item: PendingReading, reason: str) -> None:
        """Move a claimed reading to the dead letters; one from memory is given up, as there is nowhere to keep it.

        Raises:
            StorageFull: It stays claimed.
        """
        if item.seq < 0:
            self._claimed.pop(item.seq, None)
        else:
            await self._require_disk_outbox().move_to_dead_letters(item, reason)

    async def close_fresh_lane(self) -> None:
        """Make all that is stored and not claimed backlog."""
        if self.disk_outbox is not None:
            await self.disk_outbox.close_fresh_lane()

    def return_unaccepted(self) -> None:
        """Return what was taken from memory and not accepted: the process ends, and the disk may take it after all."""
        self._intake.requeue(list(self._claimed.values()))
        self._claimed.clear()

    def _require_disk_outbox(self) -> Outbox:
        if self.disk_outbox is None:
            raise StorageFull(self.problem or "the outbox is not open yet")
        return self.disk_outbox
