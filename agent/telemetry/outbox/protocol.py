"""The outbox as the rest of telemetry sees it: Protocols and value types, no behaviour.

`store` implements it on SQLite. Any other implementation must pass `tests/contract/outbox/`.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from agent.telemetry.outbox.lookup_tables import UtcAnchor
from hal.interface import Reading, SensorKind


class Lane(StrEnum):
    """The two ends of the queue: fresh readings are sent at once, the backlog fills the rest of the quota."""

    FRESH = "fresh"
    BACKLOG = "backlog"


class PendingReading(msgspec.Struct, frozen=True, gc=False):
    """A stored reading, ready to be sent.

    Attributes:
        device: As in `Reading.device`.
        kind: As in `Reading.kind`.
        utc_ms: Its timestamp; identical each time the reading is sent.
        value: As measured.
        seq: The number of the blob that holds it; negative for a reading that was claimed from memory.
    """

    device: str
    kind: SensorKind
    utc_ms: int
    value: float
    seq: int


class GapCause(StrEnum):
    """Why readings were lost. The values are stored in `outbox.db`."""

    DOWNSAMPLED = "thinned"
    DROPPED = "dropped"
    MEMORY_FULL = "no_room"
    UNREADABLE = "unreadable"


class Gap(msgspec.Struct, frozen=True):
    """Readings that will never reach the cloud, and why.

    Attributes:
        device: As in `Reading.device`; also empty for an unreadable blob.
        kind: As in `Reading.kind`; `None` for an unreadable blob.
        boot_id: The boot that `from_ms` and `to_ms` count from.
        from_ms: Boot time of the first lost reading.
        to_ms: Boot time of the last.
        lost: How many were lost. With the cause `DOWNSAMPLED`, others in between remain.
        cause: Why they were lost.
    """

    device: str
    kind: SensorKind | None
    boot_id: str
    from_ms: int
    to_ms: int
    lost: int
    cause: GapCause


class LostReadings(msgspec.Struct, frozen=True):
    """Readings of one series and of this boot that never reached the disk; fields as in `Gap`."""

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
    """The numbers of an outbox. Four count from the creation of the file: committed to dead_letters.

    Attributes:
        pending: Readings that are stored and not yet accepted.
        fresh: Of these, readings of the fresh lane that are not claimed.
        unregistered: Of these, readings of devices without a cloud identity.
        unanchored: Of these, readings of boots whose clock was never right.
        used_bytes: Space taken in the file.
        oldest_utc_ms: Timestamp of the oldest pending reading that has one, as of the last other operation: what was
            settled since may be older.
        oldest_at_ms: Its time on the clock of this boot; `None` where it is of an earlier one.
        committed: Readings stored.
        downsampled: Readings removed by downsampling.
        dropped: Readings removed for lack of space, or because they could not be read.
        dead_letters: Readings that the cloud refused for good.
        held: Of the pending ones, readings that were recorded on another board: they wait for a person.
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
    held: int = 0
    oldest_at_ms: int | None = None

    @property
    def sendable(self) -> int:
        """Readings that can be sent now: not held back, their device registered and their boot anchored."""
        return self.pending - self.held - self.unregistered - self.unanchored


EMPTY_STATS = OutboxStats(0, 0, 0, 0, 0, None, 0, 0, 0, 0)
"""The numbers of an empty outbox, or of one that cannot be opened."""


class OutboxLimits(msgspec.Struct, frozen=True):
    """How large the outbox may grow.

    Attributes:
        used_bytes_max: Space for readings in the file.
        disk_free_bytes_min: Space that is left to others on the disk.
        dead_letters_max: The oldest are removed first.
        gaps_max: The oldest are removed first; the totals keep what they counted.
    """

    used_bytes_max: int
    disk_free_bytes_min: int
    dead_letters_max: int
    gaps_max: int = 1000


class ReadingSink(Protocol):
    """The writing side. All methods may raise `StorageFull` (nothing changed) and `Corrupt` (reopen the outbox)."""

    async def append(self, readings: Sequence[Reading], *, is_registered: Callable[[str], bool]) -> None:
        """Store readings of this boot; durable on return.

        Readings of a device that ``is_registered`` rejects wait for `Outbox.mark_registered`.
        """
        ...

    async def record_gap(self, losses: Sequence[LostReadings], cause: GapCause) -> None:
        """Record readings that never reached the disk."""
        ...


class ReadingQueue(Protocol):
    """The reading side. Errors as for `ReadingSink`."""

    async def claim(self, lane: Lane, readings_max: int) -> list[PendingReading]:
        """Return the oldest unclaimed readings of a lane, each once, until `settle` or a restart.

        An empty list means that the lane has nothing to send now. A claimed reading stays in the store.
        """
        ...

    async def settle(self, items: Sequence[PendingReading]) -> None:
        """Mark readings as accepted. A later commit removes them; after a crash before it, they are sent again.

        Waits for no disk.
        """
        ...

    async def move_to_dead_letters(self, item: PendingReading, reason: str) -> None:
        """Move a claimed reading to the dead letters; durable on return."""
        ...

    async def close_fresh_lane(self) -> None:
        """Make everything that is not claimed backlog: called when the connection returns after an outage."""
        ...

    def stats(self) -> OutboxStats:
        """Return the present numbers; reads no file."""
        ...


class Outbox(ReadingSink, ReadingQueue, Protocol):
    """The whole outbox. Errors as for `ReadingSink`.

    16 methods, since one object is the queue between three loops: intake appends, the uplink claims and settles, the
    service maintains.
    """

    async def anchor(self, *, now_ms: int, utc_ms: int) -> UtcAnchor | None:
        """Anchor this boot: its time ``now_ms`` is ``utc_ms``. Return the new segment where this began one."""
        ...

    async def mark_registered(self, device: str) -> None:
        """Make the unregistered readings of a device backlog: the cloud has registered it."""
        ...

    async def drop_unregistered(self, device: str) -> None:
        """Give up the unregistered readings of a device that was removed; gaps record them as dropped."""
        ...

    async def release_held(self) -> None:
        """Make backlog of the readings that were recorded on another machine."""
        ...

    async def discard_held(self) -> int:
        """Give them up; gaps record them as dropped. Return how many."""
        ...

    async def maintain(self) -> None:
        """Remove settled readings and keep within the limits of bytes and disk. Called every few minutes."""
        ...

    async def gaps(self) -> list[Gap]:
        """Return the gaps, oldest first."""
        ...

    async def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters, oldest first."""
        ...

    def utc_ms(self, at_ms: int) -> int | None:
        """Return the timestamp of a reading of this boot; `None` while the boot is not anchored."""
        ...

    async def close(self) -> None:
        """Remove settled readings and close the store."""
        ...
