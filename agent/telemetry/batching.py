"""Which readings go next, and what to do when the cloud refuses some. Pure: no clock, no I/O.

The promises: readings that cannot be delivered now are sent again as they were; a batch is split until the refused
reading stands alone; and no reading is given up before the cloud has shown, by accepting others in between, that it is
the reading and not the cloud that is at fault.
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
"""Readings refused alone and not yet judged. At the limit nothing new is sent: the cloud refuses everything."""

UNREGISTERED_RETRY_MS = 60_000
"""How long readings of a device without an identity are left alone before it is looked at again."""

UNREGISTERED_READINGS_MAX = 2000
"""Readings of such devices that wait in memory; at the limit the backlog waits with them."""

REFUSALS_IN_A_ROW_MAX = 10
"""One more than it takes to split a batch of 100, by device and then in halves, down to one reading. As many refusals
without a single acceptance mean that the cloud refuses everything, so sending pauses."""

PAUSE_MS = 60_000
PAUSE_MS_MAX = 900_000


class UplinkState(msgspec.Struct, frozen=True):
    """What the next turn depends on.

    Attributes:
        fresh: Fresh readings waiting.
        fresh_age_ms: How long the first of them waits.
        has_backlog: Whether there may be a backlog.
        backlog_wait_ms: How long the backlog has to wait yet (its pace; the random pause after an outage).
        linger_ms: How long a batch that is not full waits for more.
        readings_max: Readings in a full batch.
    """

    fresh: int
    fresh_age_ms: int
    has_backlog: bool
    backlog_wait_ms: int
    linger_ms: int
    readings_max: int


def next_lane(view: UplinkState) -> Lane | int | None:
    """Return the lane to send from now, or how long to wait in milliseconds; `None` until something happens."""
    if view.fresh >= view.readings_max:
        return Lane.FRESH
    waits_ms = []
    if view.fresh:
        waits_ms.append(view.linger_ms - view.fresh_age_ms)
        if waits_ms[0] <= 0:
            return Lane.FRESH
    if view.has_backlog:
        waits_ms.append(view.backlog_wait_ms)
        if view.backlog_wait_ms <= 0:
            return Lane.BACKLOG
    return min(waits_ms, default=None)


class Batch(msgspec.Struct, frozen=True):
    """Readings that are sent together.

    Attributes:
        items: 1 to 100 of them.
        not_before_ms: Boot time before which they are not sent again.
        refusals_alone: How often the cloud refused them, where it is one reading alone.
        accepted_at_refusal: How many readings the cloud had accepted when it first refused this one alone.
        is_unregistered: Their device has lost its identity and waits for it.
    """

    items: Sequence[PendingReading]
    not_before_ms: int = 0
    refusals_alone: int = 0
    accepted_at_refusal: int = -1
    is_unregistered: bool = False


def split_batch(items: Sequence[PendingReading], status: int) -> list[Sequence[PendingReading]]:
    """Return the parts of a refused batch, to be tried one by one.

    A refusal may be about who speaks (contract section 3.4), so a batch of several devices is split by device first;
    a batch that is too large, or of one device, is halved.
    """
    devices = list(dict.fromkeys(item.device for item in items))
    if len(devices) > 1 and status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        devices.sort(key=lambda device: device != HUB)
        return [[item for item in items if item.device == device] for device in devices]
    middle = len(items) // 2
    return [items[:middle], items[middle:]]


class RetryQueue:
    """Readings that were sent and have to be sent again. Owned by the uplink; changed by its one loop only."""

    def __init__(self) -> None:
        self._parts: list[Batch] = []
        self._accepted = 0
        self._refusals_in_a_row = 0
        self._pauses = 0
        self.paused_until_ms = 0

    @property
    def suspects(self) -> int:
        """Readings refused alone and not yet judged."""
        return sum(part.refusals_alone > 0 for part in self._parts)

    @property
    def is_full(self) -> bool:
        """Whether nothing new may be sent before a suspect is judged."""
        return self.suspects >= SUSPECTS_MAX

    @property
    def blocks_backlog(self) -> bool:
        """Whether so many parked readings wait in memory that no more of the backlog may join them."""
        return (
            self.is_full
            or sum(len(part.items) for part in self._parts if part.is_unregistered) >= UNREGISTERED_READINGS_MAX
        )

    def __len__(self) -> int:
        return sum(len(part.items) for part in self._parts)

    def take(self, now_ms: int) -> Batch | None:
        """Take out the part that is due first."""
        for index, part in enumerate(self._parts):
            if part.not_before_ms <= now_ms:
                return self._parts.pop(index)
        return None

    def wait_ms(self, now_ms: int) -> int | None:
        """Return how long until a part is due; `None` where there is none."""
        return min((max(0, part.not_before_ms - now_ms) for part in self._parts), default=None)

    def requeue(self, part: Batch) -> None:
        """Sending failed without a judgement: the same goes out again, first."""
        self._parts.insert(0, part)

    def defer_unregistered(self, items: Sequence[PendingReading], now_ms: int) -> None:
        """Put readings aside whose device the cloud has no name for at present: they must not go out as the hub's."""
        self._parts.append(Batch(items, now_ms + UNREGISTERED_RETRY_MS, is_unregistered=True))

    def discard(self, is_forgotten: Callable[[PendingReading], bool]) -> None:
        """Leave some readings out: they are claimed again."""
        kept = [(part, [item for item in part.items if not is_forgotten(item)]) for part in self._parts]
        self._parts = [msgspec.structs.replace(part, items=items) for part, items in kept if items]

    def record_accepted(self, count: int) -> None:
        """The cloud took readings: it works."""
        self._accepted += count
        self._refusals_in_a_row = 0
        self._pauses = 0

    def handle_refusal(self, part: Batch, status: int, now_ms: int) -> PendingReading | None:
        """The cloud refused a part: split it, or put a lone reading aside to be tried again later.

        Returns:
            The reading to bury: refused alone before, and others were accepted since.
        """
        self._refusals_in_a_row += 1
        if self._refusals_in_a_row >= REFUSALS_IN_A_ROW_MAX:
            self.paused_until_ms = now_ms + min(PAUSE_MS << min(self._pauses, 8), PAUSE_MS_MAX)
            self._pauses += 1
            self._refusals_in_a_row = 0
        if len(part.items) > 1:
            self._parts[:0] = [Batch(items) for items in split_batch(part.items, status)]
            return None
        if part.refusals_alone and self._accepted > part.accepted_at_refusal:
            return part.items[0]
        wait_ms = min(SUSPECT_RETRY_MS << min(part.refusals_alone, 8), SUSPECT_RETRY_MS_MAX)
        mark = self._accepted if part.accepted_at_refusal < 0 else part.accepted_at_refusal
        self._parts.append(Batch(part.items, now_ms + wait_ms, part.refusals_alone + 1, mark))
        return None
