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
    """The outcomes of all readings at the end.

    Attributes:
        taken: Readings that were committed to the outbox.
        accepted: Stored by the cloud with the measured value.
        pending: Waiting in the outbox on the disk.
        given_up: Downsampled, dropped or refused for good, on record.
        altered: Stored by the cloud with another value, or never measured.
        lost: Neither in the cloud nor in the outbox.
    """

    taken: int
    accepted: int
    pending: int
    given_up: int
    altered: int
    lost: int

    @property
    def is_clean(self) -> bool:
        """Whether no reading was lost or altered."""
        return not self.lost and not self.altered


class Audit:
    """Records every reading when it is durable."""

    def __init__(self, zero_utc_ms: int) -> None:
        """Begin.

        Args:
            zero_utc_ms: UTC of boot time 0.
        """
        self._zero_utc_ms = zero_utc_ms
        self._taken: dict[Key, float] = {}

    @property
    def taken(self) -> int:
        """The number of readings."""
        return len(self._taken)

    def committed(self, readings: Sequence[Reading]) -> None:
        """Record readings."""
        for reading in readings:
            self._taken[reading.device, reading.kind.value, reading.at_ms + self._zero_utc_ms] = reading.value

    def close(
        self,
        stored: Iterable[AcceptedReading],
        device_of: Mapping[str, str],
        waiting: Iterable[PendingReading],
        stats: OutboxStats,
    ) -> AuditResult:
        """Return the result.

        Args:
            stored: All readings that the cloud has.
            device_of: The hub's name of a device, by the cloud's id.
            waiting: All readings that the outbox on the disk would send.
            stats: The outbox's counts of readings that it holds back or gave up.
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
            # The response to the last request may have been lost: then both the cloud and the outbox have a reading.
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
