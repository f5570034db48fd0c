"""Takes readings in: keeps the latest for the page and the control law, and commits them to the outbox.

The rhythm of the commits is what a power cut may cost; memory is bounded, and what does not fit while the disk has no
room becomes a gap. Must never let a bad reading through to the outbox.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from agent.errors import StorageFull
from agent.model import Quality, Reading, SensorKind
from agent.telemetry.outbox import GapCause, Loss, Outbox

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause after the disk refused a commit."""


class SourceState(msgspec.Struct):
    """What is known of one sensor.

    Attributes:
        latest: Its last reading, good or not.
        good: Readings that went to the cloud, suspect ones included.
        bad: Readings that went nowhere.
        failures: Times that it gave no value.
        problem: Why it gave no value last time; empty when it did.
    """

    latest: Reading | None = None
    good: int = 0
    bad: int = 0
    failures: int = 0
    problem: str = ""


class Intake:
    """The way of every reading into the agent."""

    def __init__(
        self,
        *,
        commit_interval_s: float,
        readings_max: int,
        is_known: Callable[[str], bool],
        on_committed: Callable[[Sequence[Reading]], None],
        on_durable: Callable[[], None],
    ) -> None:
        """Start empty.

        Args:
            commit_interval_s: How long a reading waits at most before it is on the disk.
            readings_max: How many are kept in memory while the disk takes none.
            is_known: Tells whether a device has its identity with the cloud.
            on_committed: Told of each durable commit: there is something to send.
            on_durable: Told when all that was offered is on the disk.
        """
        self._commit_interval_s = commit_interval_s
        self._readings_max = readings_max
        self._is_known = is_known
        self._on_committed = on_committed
        self._on_durable = on_durable
        self._buffer: list[Reading] = []
        self._overflow: dict[tuple[str, SensorKind], Loss] = {}
        self._arrived = asyncio.Event()
        self._last_at_ms: dict[tuple[str, SensorKind], tuple[int, int]] = {}
        self.sources: dict[tuple[str, str, SensorKind], SourceState] = {}
        self.storage_problem = ""

    @property
    def waiting(self) -> int:
        """Readings that are not on the disk yet."""
        return len(self._buffer)

    @property
    def waiting_since_ms(self) -> int | None:
        """Boot time of the oldest of these; `None` where there is none."""
        return self._buffer[0].at_ms if self._buffer else None

    def source(self, device: str, source: str, kind: SensorKind) -> SourceState:
        """Return the state of a sensor."""
        key = (device, source, kind)
        state = self.sources.get(key)
        if state is None:
            state = self.sources[key] = SourceState()
        return state

    def offer(self, reading: Reading, *, is_reported: bool = True) -> None:
        """Take a reading.

        Args:
            reading: Judged already.
            is_reported: Whether it goes to the cloud: its kind is enabled and its source speaks for its device.
        """
        state = self.source(reading.device, reading.source, reading.kind)
        state.latest = reading
        state.problem = ""
        if reading.quality is Quality.BAD:
            state.bad += 1
            return
        state.good += 1
        if is_reported:
            self._keep(reading)

    def missed(self, device: str, source: str, kind: SensorKind, problem: str) -> None:
        """Note that a sensor gave no value."""
        state = self.source(device, source, kind)
        state.failures += 1
        state.problem = problem

    def _keep(self, reading: Reading) -> None:
        key = (reading.device, reading.kind)
        reported_ms = at_ms = reading.at_ms
        last_reported_ms, last_ms = self._last_at_ms.get(key, (reported_ms, reported_ms - 1))
        if last_reported_ms <= reported_ms <= last_ms:
            # Several reports in one millisecond: the natural key must tell them apart.
            at_ms = last_ms + 1
            reading = msgspec.structs.replace(reading, at_ms=at_ms)
        self._last_at_ms[key] = (reported_ms, at_ms)
        if len(self._buffer) >= self._readings_max:
            self._give_up(self._buffer.pop(0))
        self._buffer.append(reading)
        self._arrived.set()

    def _give_up(self, reading: Reading) -> None:
        key = (reading.device, reading.kind)
        known = self._overflow.get(key)
        self._overflow[key] = (
            Loss(*key, reading.at_ms, reading.at_ms, 1)
            if known is None
            else Loss(*key, min(known.from_ms, reading.at_ms), max(known.to_ms, reading.at_ms), known.lost + 1)
        )

    async def run(self, outbox: Outbox) -> None:
        """Commit what arrives, until cancelled.

        Raises:
            Corrupt: The outbox cannot be used any more; what is in memory stays there.
        """
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._commit_interval_s)
            try:
                await self.flush(outbox)
            except StorageFull as error:
                if not self.storage_problem:
                    _log.error("readings stay in memory: %s", error)
                self.storage_problem = str(error)
                await asyncio.sleep(RETRY_S)

    async def flush(self, outbox: Outbox) -> None:
        """Commit what is in memory now.

        Raises:
            StorageFull: It stays in memory.
            Corrupt: It stays in memory.
        """
        readings = self._buffer
        self._buffer = []
        self._arrived.clear()
        try:
            if self._overflow:
                await outbox.record_gap(list(self._overflow.values()), GapCause.NO_ROOM)
                self._overflow = {}
            await outbox.append(readings, is_known=self._is_known)
        except BaseException:
            self._buffer = readings + self._buffer
            while len(self._buffer) > self._readings_max:
                self._give_up(self._buffer.pop(0))
            if self._buffer:
                self._arrived.set()
            raise
        self.storage_problem = ""
        self._on_committed(readings)
        if not self._buffer:
            self._on_durable()
