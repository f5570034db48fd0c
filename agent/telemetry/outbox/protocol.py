"""What an outbox is: readings that are kept until the cloud has them. The Protocol and its value types, no behaviour.

`outbox_sqlite` is the design in use; `tests/contract/test_outbox.py` is what any other must pass.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from agent.telemetry.outbox.anchors import UtcAnchor
from hal.interface import Reading, SensorKind


class Lane(StrEnum):
    """Fresh readings are sent at once; the backlog of an outage fills the rest of the quota."""

    FRESH = "fresh"
    BACKLOG = "backlog"


class PendingReading(msgspec.Struct, frozen=True, gc=False):
    """A stored reading, ready to be sent.

    Attributes:
        device: As in `Reading.device`.
        kind: As in `Reading.kind`.
        utc_ms: Its timestamp; the same whenever the reading is sent again.
        value: As measured.
        seq: Which blob of the outbox it lies in.
    """

    device: str
    kind: SensorKind
    utc_ms: int
    value: float
    seq: int


class GapCause(StrEnum):
    """Why readings are missing for good."""

    DOWNSAMPLED = "thinned"
    DROPPED = "dropped"
    MEMORY_FULL = "no_room"
    DECODE_ERRORS = "unreadable"


class Gap(msgspec.Struct, frozen=True):
    """Readings that will never reach the cloud, and why.

    Attributes:
        device: Whose; empty also where it is not known (an unreadable blob).
        kind: What they measured; `None` where it is not known.
        boot_id: The boot in whose time `from_ms` and `to_ms` are given.
        from_ms: Boot time of the first that went.
        to_ms: Boot time of the last.
        lost: How many went. With the cause "thinned", others in between remain.
        cause: Why.
    """

    device: str
    kind: SensorKind | None
    boot_id: str
    from_ms: int
    to_ms: int
    lost: int
    cause: GapCause


class LostReadings(msgspec.Struct, frozen=True):
    """Readings of one series, of this boot, that never made it to the disk; fields as in `Gap`."""

    device: str
    kind: SensorKind
    from_ms: int
    to_ms: int
    lost: int


class DeadLetter(msgspec.Struct, frozen=True):
    """A reading that the cloud refused for good, kept for the technician."""

    device: str
    kind: SensorKind
    utc_ms: int
    value: float
    reason: str


class OutboxStats(msgspec.Struct, frozen=True):
    """What the status shows.

    Attributes:
        pending: Readings not yet accepted, whatever the reason.
        fresh: Of these, not yet sent since the link is up.
        unregistered: Of these, waiting for their device to be registered.
        unanchored: Of these, of boots whose clock was never right.
        used_bytes: Room taken in the file.
        oldest_utc_ms: Instant of the oldest pending reading that has a UTC.
        committed: Readings stored since the outbox was made.
        downsampled: Readings given up by thinning, since then.
        dropped: Readings given up whole, for want of room or because they could not be read, since then.
        dead_letters: Readings refused for good, since then.
    """

    pending: int
    fresh: int
    unregistered: int
    unanchored: int
    used_bytes: int
    oldest_utc_ms: int | None
    committed: int
    downsampled: int
    dropped: int
    dead_letters: int

    @property
    def sendable(self) -> int:
        """Readings that could go now: their device and their time are known."""
        return self.pending - self.unregistered - self.unanchored


EMPTY_STATS = OutboxStats(0, 0, 0, 0, 0, None, 0, 0, 0, 0)
"""Of an outbox that holds nothing, or is not there."""


class ReadingSink(Protocol):
    """Where readings are put. All methods may raise `StorageFull` (nothing changed) and `Corrupt` (reopen it)."""

    async def append(self, readings: Sequence[Reading], *, is_registered: Callable[[str], bool]) -> None:
        """Store readings of this boot; durable on return. Those of devices that are not known are held."""
        ...

    async def record_gap(self, losses: Sequence[LostReadings], cause: GapCause) -> None:
        """Record readings that never made it to the disk."""
        ...


class ReadingQueue(Protocol):
    """Where readings are taken from to be sent. Errors as of `ReadingSink`."""

    async def claim(self, lane: Lane, readings_max: int) -> list[PendingReading]:
        """Return the oldest unclaimed readings of a lane, each once, until `settle` or a restart.

        An empty list means that the lane has nothing to send now. A claimed reading stays stored.
        """
        ...

    async def settle(self, items: Sequence[PendingReading]) -> None:
        """Mark readings as accepted. They are removed with a later commit: a crash before makes them sent again."""
        ...

    async def move_to_dead_letters(self, item: PendingReading, reason: str) -> None:
        """Move a claimed reading to the dead letters; durable on return."""
        ...

    async def close_fresh_lane(self) -> None:
        """Make all that is not claimed backlog: called when the link comes back after an outage."""
        ...

    def stats(self) -> OutboxStats:
        """Return the present numbers, without touching the disk."""
        ...


class Outbox(ReadingSink, ReadingQueue, Protocol):
    """Durable store of readings. All methods may raise `StorageFull` (nothing changed) and `Corrupt` (reopen it)."""

    async def anchor(self, *, now_ms: int, utc_ms: int) -> UtcAnchor | None:
        """Say that boot time ``now_ms`` is ``utc_ms``; return the new segment where this began one."""
        ...

    async def mark_registered(self, device: str) -> None:
        """Let the held readings of a device go: it is known now. They join the backlog."""
        ...

    async def drop_unregistered(self, device: str) -> None:
        """Give up the held readings of a device that was removed before it had a name, on record as dropped."""
        ...

    async def maintain(self) -> None:
        """Remove what is settled; keep within the limits of bytes and disk. Called now and then."""
        ...

    async def gaps(self) -> list[Gap]:
        """Return what is missing for good, oldest first."""
        ...

    async def dead_letters(self) -> list[DeadLetter]:
        """Return what the cloud refused for good, oldest first."""
        ...

    def utc_ms(self, at_ms: int) -> int | None:
        """Return the timestamp of a reading of this boot; `None` while the boot is not anchored."""
        ...

    async def close(self) -> None:
        """Remove what is settled and close the store."""
        ...
