"""Accounts for every reading that the demo's hub has taken: compares it with the cloud's store and the outbox file.

Must not trust the hub: it keeps its own count.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from agent.telemetry.outbox.protocol import OutboxStats, PendingReading
from hal.interface import Reading
from lab.refcloud.records import AcceptedReading

Key: TypeAlias = tuple[str, str, int]
"""Device as the hub calls it, kind, UTC in milliseconds."""


class AuditResult(msgspec.Struct, frozen=True):
    """The books at the end.

    Attributes:
        taken: Readings that were committed to the outbox.
        accepted: Of these, stored by the cloud with the very value that was measured.
        pending: The others that wait in the outbox on the disk.
        given_up: Thinned, dropped or refused for good, on record.
        altered: Stored by the cloud with another value, or never measured at all.
        lost: Nowhere.
    """

    taken: int
    accepted: int
    pending: int
    given_up: int
    altered: int
    lost: int

    @property
    def is_clean(self) -> bool:
        """Whether every reading is where it should be."""
        return not self.lost and not self.altered


class Audit:
    """Notes every reading at the moment at which it is safe on the disk."""

    def __init__(self, zero_utc_ms: int) -> None:
        """Begin.

        Args:
            zero_utc_ms: UTC of boot time 0.
        """
        self._zero_utc_ms = zero_utc_ms
        self._taken: dict[Key, float] = {}

    @property
    def taken(self) -> int:
        """How many there are."""
        return len(self._taken)

    def committed(self, readings: Sequence[Reading]) -> None:
        """Note readings."""
        for reading in readings:
            self._taken[reading.device, reading.kind.value, reading.at_ms + self._zero_utc_ms] = reading.value

    def close(
        self,
        stored: Iterable[AcceptedReading],
        device_of: Mapping[str, str],
        waiting: Iterable[PendingReading],
        stats: OutboxStats,
    ) -> AuditResult:
        """Return the account.

        Args:
            stored: All that the cloud has.
            device_of: The hub's name of a device, by the cloud's id.
            waiting: All that the outbox on the disk would send.
            stats: What that outbox says of itself: readings that it holds back or gave up on record.
        """
        missing = dict(self._taken)
        accepted = altered = 0
        for reading in stored:
            value = missing.pop((device_of.get(reading.device_id, "?"), reading.sensor_type, reading.at_ms), None)
            if value == reading.value:
                accepted += 1
            else:
                altered += 1
        listed = pending = 0
        for item in waiting:
            listed += 1
            # The answer to the last request may not have come: then the cloud has it, and the outbox has it still.
            pending += missing.pop((item.device, item.kind.value, item.utc_ms), None) is not None
        held_back = min(len(missing), max(0, stats.pending - listed))
        given_up = min(len(missing) - held_back, stats.downsampled + stats.dropped + stats.dead_letters)
        return AuditResult(
            taken=len(self._taken),
            accepted=accepted,
            pending=pending + held_back,
            given_up=given_up,
            altered=altered,
            lost=len(missing) - held_back - given_up,
        )
