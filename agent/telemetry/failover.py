"""Failover from the outbox on the disk to memory, for readings that the disk refuses.

When the disk has refused readings for a minute, they are sent from memory. They are not durable: a crash costs them.
Readings that were claimed from memory go to the disk only when the process ends, so that none is delivered under two
timestamps. Must never let a failing disk end the uplink; only `Corrupt` passes through.
"""

import logging
from collections.abc import Callable, Sequence

import msgspec

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.clock import Clock
from agent.foundation.log import ProblemLog
from agent.telemetry.intake import Identities, Intake
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
"""How long the disk may refuse readings before they are sent from memory: a busy card recovers in seconds."""

READ_FAILURES_MAX = 5
"""Failures in a row to read the outbox, minutes apart, after which it counts as corrupt."""

_THIS_BOOT = 0


class FailoverOutbox:
    """A `ReadingSink` and a `ReadingQueue` over the disk and memory. Readings from memory have a negative `seq`.

    Attributes:
        disk_outbox: The outbox on the disk; `None` while it cannot be opened.
        problem: Why it cannot be opened; empty while it can.
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
            on_memory_send: Receives readings that are about to be sent from memory.
        """
        self._intake = intake
        self._clock = clock
        self._identities = identities
        self._on_memory_send = on_memory_send
        self._anchors = UtcAnchors()
        self._claimed: dict[int, Reading] = {}
        self._last_seq = 0
        self._read_log = ProblemLog(_log, "stored readings wait")
        self._read_failures = 0
        self.disk_outbox: Outbox | None = None
        self.problem = ""
        self.accepted_from_memory = 0

    @property
    def anchor(self) -> UtcAnchor | None:
        """The anchor with which readings were first sent from memory; `None` before that."""
        return self._anchors.first(_THIS_BOOT)

    @property
    def claimed_from_memory(self) -> int:
        """Readings that were claimed from memory and are not accepted yet."""
        return len(self._claimed)

    @property
    def read_problem(self) -> str:
        """Why the outbox on the disk cannot be read; empty while it can."""
        return self._read_log.text

    def stats(self) -> OutboxStats:
        """Return the numbers of the disk's outbox; readings that may be sent from memory count as fresh."""
        stats = self.disk_outbox.stats() if self.disk_outbox else EMPTY_STATS
        on_disk = 0 if self._read_log.text else stats.fresh
        return msgspec.structs.replace(stats, fresh=on_disk + self.ready_in_memory)

    @property
    def ready_in_memory(self) -> int:
        """Readings that may be sent from memory now."""
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
        """Record readings that never reached the disk."""
        await self._require_disk_outbox().record_gap(losses, cause)

    async def claim(self, lane: Lane, readings_max: int) -> list[PendingReading]:
        """Return the oldest unclaimed readings of a lane; readings from memory are fresh.

        Raises:
            Corrupt: The outbox on the disk has to be reopened.
        """
        if lane is Lane.FRESH and self._is_active and (items := self._claim_memory(readings_max)):
            return items
        if self.disk_outbox is None:
            return []
        try:
            items = await self.disk_outbox.claim(lane, readings_max)
        except StorageFull as error:
            self._read_log.report(str(error))
            self._read_failures += isinstance(error, ReadFailed)
            if self._read_failures >= READ_FAILURES_MAX:
                self._read_failures = 0
                raise Corrupt(f"{error}; tried {READ_FAILURES_MAX} times") from error
            return []
        self._read_failures = 0
        self._read_log.clear()
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
        return [self._claim_reading(reading) for reading in readings]

    def _claim_reading(self, reading: Reading) -> PendingReading:
        self._last_seq -= 1
        self._claimed[self._last_seq] = reading
        # The timestamp that the disk's outbox would give, where it has an anchor of this boot.
        utc_ms = self.disk_outbox.utc_ms(reading.at_ms) if self.disk_outbox else None
        if utc_ms is None:
            utc_ms = self._anchors.utc_ms(_THIS_BOOT, reading.at_ms)
        return PendingReading(reading.device, reading.kind, utc_ms, reading.value, self._last_seq)

    async def settle(self, items: Sequence[PendingReading]) -> None:
        """Mark readings as accepted."""
        for item in items:
            self.accepted_from_memory += self._claimed.pop(item.seq, None) is not None
        on_disk = [item for item in items if item.seq >= 0]
        if on_disk and self.disk_outbox is not None:
            try:
                await self.disk_outbox.settle(on_disk)
            except StorageFull as error:
                # They count as settled; if a restart finds them in the file, they are sent again, identical.
                self._read_log.report(str(error))

    async def move_to_dead_letters(self, item: PendingReading, reason: str) -> None:
        """Move a claimed reading to the dead letters; one from memory is dropped, since the disk takes nothing.

        Raises:
            StorageFull: It stays claimed.
        """
        if item.seq < 0:
            self._claimed.pop(item.seq, None)
        else:
            await self._require_disk_outbox().move_to_dead_letters(item, reason)

    async def close_fresh_lane(self) -> None:
        """Make everything on the disk that is not claimed backlog."""
        if self.disk_outbox is not None:
            await self.disk_outbox.close_fresh_lane()

    def return_unaccepted(self) -> None:
        """Give unaccepted readings back to the intake: the process ends, and the disk may take them after all."""
        self._intake.requeue(list(self._claimed.values()))
        self._claimed.clear()

    def _require_disk_outbox(self) -> Outbox:
        if self.disk_outbox is None:
            raise StorageFull(self.problem or "the outbox is not open yet")
        return self.disk_outbox
