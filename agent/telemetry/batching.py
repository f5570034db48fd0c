"""Decides which readings are sent next, and what happens to refused ones. Pure: no clock, no I/O.

Readings that cannot be delivered now are sent again unchanged. A refused batch is split until the refused reading is
alone. A reading is given up only after the cloud has accepted others in between: then the reading is at fault, and not
the cloud.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus

import msgspec

from agent.telemetry.outbox.protocol import Lane, PendingReading
from hal.interface import HUB

SUSPECT_RETRY_MS = 60_000
"""Pause before a reading that was refused alone is tried again; doubled with each refusal."""

SUSPECT_RETRY_MS_MAX = 3_600_000

SUSPECTS_MAX = 200
"""Readings that were refused alone and are tried again. At the limit nothing new is sent: the cloud refuses all."""

UNREGISTERED_RETRY_MS = 60_000
"""Pause before the identity of an unregistered device is looked up again."""

UNREGISTERED_READINGS_MAX = 2000
"""Readings of such devices that wait in memory; at the limit the backlog waits too."""

REFUSALS_IN_A_ROW_MAX = 10
"""One more than it takes to split a batch of 100, by device and then in halves, down to one reading. As many refusals
without a single acceptance mean that the cloud refuses everything, so sending pauses."""

PAUSE_MS = 60_000
PAUSE_MS_MAX = 900_000


class UplinkState(msgspec.Struct, frozen=True):
    """What the next batch depends on.

    Attributes:
        fresh: Fresh readings waiting.
        fresh_age_ms: How long the first of them has waited.
        has_backlog: Whether there may be a backlog.
        backlog_wait_ms: How long the backlog still has to wait (its pace; the random pause after an outage).
        linger_ms: How long a batch that is not full waits for more.
        readings_max: Readings in a full batch.
    """

    fresh: int
    fresh_age_ms: int
    has_backlog: bool
    backlog_wait_ms: int
    linger_ms: int
    readings_max: int


def next_lane(state: UplinkState) -> Lane | int | None:
    """Return the lane to send from now, or the milliseconds to wait; `None` to wait for a change."""
    if state.fresh >= state.readings_max:
        return Lane.FRESH
    waits_ms = []
    if state.fresh:
        waits_ms.append(state.linger_ms - state.fresh_age_ms)
        if waits_ms[0] <= 0:
            return Lane.FRESH
    if state.has_backlog:
        waits_ms.append(state.backlog_wait_ms)
        if state.backlog_wait_ms <= 0:
            return Lane.BACKLOG
    return min(waits_ms, default=None)


class Batch(msgspec.Struct, frozen=True):
    """Readings that are sent together.

    Attributes:
        items: 1 to 100 of them.
        not_before_ms: Boot time before which they are not sent.
        refusals_alone: How often the cloud refused a single reading; 0 for several.
        accepted_at_refusal: How many readings the cloud had accepted when it first refused the single reading.
        is_unregistered: Their device has lost its identity.
    """

    items: Sequence[PendingReading]
    not_before_ms: int = 0
    refusals_alone: int = 0
    accepted_at_refusal: int = -1
    is_unregistered: bool = False


def split_batch(items: Sequence[PendingReading], status: int) -> list[Sequence[PendingReading]]:
    """Return the smaller batches of a refused one, to be sent one by one.

    A refusal may concern one device (contract section 3.4), so a batch of several devices is split by device first. A
    batch that is too large, or of one device, is halved.
    """
    devices = list(dict.fromkeys(item.device for item in items))
    if len(devices) > 1 and status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        devices.sort(key=lambda device: device != HUB)
        return [[item for item in items if item.device == device] for device in devices]
    middle = len(items) // 2
    return [items[:middle], items[middle:]]


class RetryQueue:
    """Readings that were sent and have to be sent again. Only the loop of the uplink changes it.

    Attributes:
        paused_until_ms: Boot time until which nothing is sent, since the cloud refuses everything.
    """

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._accepted = 0
        self._refusals_in_a_row = 0
        self._pauses = 0
        self.paused_until_ms = 0

    @property
    def suspects(self) -> int:
        """Readings that were refused alone and are tried again."""
        return sum(batch.refusals_alone > 0 for batch in self._batches)

    @property
    def is_full(self) -> bool:
        """Whether nothing new may be sent until a suspect is accepted or given up."""
        return self.suspects >= SUSPECTS_MAX

    @property
    def blocks_backlog(self) -> bool:
        """Whether too many unregistered readings are in memory to claim more of the backlog."""
        return (
            self.is_full
            or sum(len(batch.items) for batch in self._batches if batch.is_unregistered) >= UNREGISTERED_READINGS_MAX
        )

    def __len__(self) -> int:
        return sum(len(batch.items) for batch in self._batches)

    def take(self, now_ms: int) -> Batch | None:
        """Remove and return the first batch that is due; `None` where there is none."""
        for index, batch in enumerate(self._batches):
            if batch.not_before_ms <= now_ms:
                return self._batches.pop(index)
        return None

    def wait_ms(self, now_ms: int) -> int | None:
        """Return how long until a batch is due; `None` where there is none."""
        return min((max(0, batch.not_before_ms - now_ms) for batch in self._batches), default=None)

    def requeue(self, batch: Batch) -> None:
        """Send a batch again, before all others: its delivery failed without a refusal."""
        self._batches.insert(0, batch)

    def defer_unregistered(self, items: Sequence[PendingReading], now_ms: int) -> None:
        """Defer readings of a device without an identity: without its id they would count as the hub's own."""
        self._batches.append(Batch(items, now_ms + UNREGISTERED_RETRY_MS, is_unregistered=True))

    def discard(self, is_discarded: Callable[[PendingReading], bool]) -> None:
        """Discard some readings: they will be claimed again."""
        kept = [(batch, [item for item in batch.items if not is_discarded(item)]) for batch in self._batches]
        self._batches = [msgspec.structs.replace(batch, items=items) for batch, items in kept if items]

    def record_accepted(self, count: int) -> None:
        """Record that the cloud accepted readings: it works."""
        self._accepted += count
        self._refusals_in_a_row = 0
        self._pauses = 0

    def handle_refusal(self, batch: Batch, status: int, now_ms: int) -> PendingReading | None:
        """Split a refused batch; try a single reading again later.

        Returns:
            The reading to move to the dead letters: refused alone before, and others were accepted since.
        """
        self._refusals_in_a_row += 1
        if self._refusals_in_a_row >= REFUSALS_IN_A_ROW_MAX:
            self.paused_until_ms = now_ms + min(PAUSE_MS << min(self._pauses, 8), PAUSE_MS_MAX)
            self._pauses += 1
            self._refusals_in_a_row = 0
        if len(batch.items) > 1:
            self._batches[:0] = [Batch(items) for items in split_batch(batch.items, status)]
            return None
        if batch.refusals_alone and self._accepted > batch.accepted_at_refusal:
            return batch.items[0]
        wait_ms = min(SUSPECT_RETRY_MS << min(batch.refusals_alone, 8), SUSPECT_RETRY_MS_MAX)
        mark = self._accepted if batch.accepted_at_refusal < 0 else batch.accepted_at_refusal
        self._batches.append(Batch(batch.items, now_ms + wait_ms, batch.refusals_alone + 1, mark))
        return None
