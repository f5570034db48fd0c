"""Takes readings in: keeps the latest for the page and the control law, and commits them to the outbox.

The rhythm of the commits is what a power cut may cost; memory is bounded, and what does not fit while the disk has no
room becomes a gap. Must never let a bad reading through to the outbox.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from agent.errors import StorageFull
from agent.foundation.problem_log import ProblemLog
from agent.telemetry.identities import Identities
from agent.telemetry.outbox.protocol import GapCause, LostReadings, ReadingSink
from hal.interface import Quality, Reading, SensorKind

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause after the disk refused a commit."""


class ChannelState(msgspec.Struct):
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
    """The way of every reading into the agent.

    Attributes:
        channels: What is known of each sensor, by device, sensor and kind.
        disk_failing_since_ms: Boot time since which the disk has refused every commit; `None` while it takes them.
    """

    def __init__(
        self,
        *,
        commit_interval_s: float,
        readings_max: int,
        identities: Identities,
        on_committed: Callable[[Sequence[Reading]], None],
        on_all_durable: Callable[[], None],
        now_ms: Callable[[], int],
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        """Start empty.

        Args:
            commit_interval_s: How long a reading waits at most before it is on the disk.
            readings_max: How many are kept in memory while the disk takes none.
            identities: The cloud identities of relayed sensors.
            on_committed: Told of each durable commit: there is something to send.
            on_all_durable: Told when all that was offered is on the disk.
            now_ms: Returns boot time.
            on_refused: Told of each commit that the disk refused.
        """
        self._commit_interval_s = commit_interval_s
        self._readings_max = readings_max
        self._identities = identities
        self._on_committed = on_committed
        self._on_all_durable = on_all_durable
        self._buffer: list[Reading] = []
        self._overflow: dict[tuple[str, SensorKind], LostReadings] = {}
        self._arrived = asyncio.Event()
        self._last_at_ms: dict[tuple[str, SensorKind], tuple[int, int]] = {}
        self.channels: dict[tuple[str, str, SensorKind], ChannelState] = {}
        self._now_ms = now_ms
        self._on_refused = on_refused
        self._refused = 0
        self._problem = ProblemLog(_log, "readings stay in memory")
        self.disk_failing_since_ms: int | None = None

    @property
    def storage_problem(self) -> str:
        """Why readings stay in memory; empty while the disk takes them."""
        return self._problem.text

    @property
    def uncommitted(self) -> int:
        """Readings that are not on the disk yet."""
        return len(self._buffer)

    @property
    def uncommitted_since_ms(self) -> int | None:
        """Boot time of the oldest of these; `None` where there is none."""
        return self._buffer[0].at_ms if self._buffer else None

    def channel(self, device: str, sensor: str, kind: SensorKind) -> ChannelState:
        """Return the state of a sensor."""
        key = (device, sensor, kind)
        state = self.channels.get(key)
        if state is None:
            state = self.channels[key] = ChannelState()
        return state

    def offer(self, reading: Reading, *, is_reported: bool = True) -> None:
        """Take a reading.

        Args:
            reading: Judged already.
            is_reported: Whether it goes to the cloud: its kind is enabled and its sensor is the device's primary one.
        """
        state = self.channel(reading.device, reading.sensor, reading.kind)
        state.latest = reading
        state.problem = ""
        if reading.quality is Quality.BAD:
            state.bad += 1
            return
        state.good += 1
        if is_reported:
            self._buffer_reading(reading)

    def record_failure(self, device: str, sensor: str, kind: SensorKind, problem: str) -> None:
        """Note that a sensor gave no value."""
        state = self.channel(device, sensor, kind)
        state.failures += 1
        state.problem = problem

    def _buffer_reading(self, reading: Reading) -> None:
        key = (reading.device, reading.kind)
        reported_ms = at_ms = reading.at_ms
        last_reported_ms, last_ms = self._last_at_ms.get(key, (reported_ms, reported_ms - 1))
        if last_reported_ms <= reported_ms <= last_ms:
            # Several reports in one millisecond: the natural key must tell them apart.
            at_ms = last_ms + 1
            reading = msgspec.structs.replace(reading, at_ms=at_ms)
        self._last_at_ms[key] = (reported_ms, at_ms)
        if len(self._buffer) >= self._readings_max:
            self._record_overflow(self._buffer.pop(0))
            self._refused = max(0, self._refused - 1)
        self._buffer.append(reading)
        self._arrived.set()

    def _record_overflow(self, reading: Reading) -> None:
        key = (reading.device, reading.kind)
        known = self._overflow.get(key)
        self._overflow[key] = (
            LostReadings(*key, reading.at_ms, reading.at_ms, 1)
            if known is None
            else LostReadings(*key, min(known.from_ms, reading.at_ms), max(known.to_ms, reading.at_ms), known.lost + 1)
        )

    async def run(self, outbox: ReadingSink) -> None:
        """Commit what arrives, until cancelled.

        Raises:
            Corrupt: The outbox cannot be used any more; what is in memory stays there.
        """
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._commit_interval_s)
            try:
                await self.flush(outbox)
            except StorageFull:
                await asyncio.sleep(RETRY_S)

    async def flush(self, outbox: ReadingSink) -> None:
        """Commit what is in memory now.

        Raises:
            StorageFull: It stays in memory.
            Corrupt: It stays in memory.
        """
        readings = self._buffer
        self._buffer = []
        self._arrived.clear()
        if not readings and not self._overflow and self._problem.text:
            # All have gone another way, so nothing was tried: the disk is not known to take any again.
            return
        try:
            if self._overflow:
                await outbox.record_gap(list(self._overflow.values()), GapCause.MEMORY_FULL)
                self._overflow = {}
            await outbox.append(readings, is_registered=self._identities.is_registered)
        except StorageFull as error:
            self.requeue(readings)
            self._refuse(len(readings), str(error))
            raise
        except BaseException:
            self.requeue(readings)
            raise
        self._problem.clear()
        self._refused, self.disk_failing_since_ms = 0, None
        self._on_committed(readings)
        if not self._buffer:
            self._on_all_durable()

    def _refuse(self, readings: int, problem: str) -> None:
        self._problem.report(problem)
        self._refused = min(readings, len(self._buffer))
        if self.disk_failing_since_ms is None:
            self.disk_failing_since_ms = self._now_ms()
        self._on_refused()

    def requeue(self, readings: Sequence[Reading]) -> None:
        """Take readings into memory again, before all others."""
        self._buffer = [*readings, *self._buffer]
        while len(self._buffer) > self._readings_max:
            self._record_overflow(self._buffer.pop(0))
        if self._buffer:
            self._arrived.set()

    def refused_by_disk(self, is_sendable: Callable[[str], bool]) -> list[Reading]:
        """Return the readings that the disk has refused and that could be sent, by their device, oldest first."""
        return [reading for reading in self._buffer[: self._refused] if is_sendable(reading.device)]

    def remove(self, readings: Sequence[Reading]) -> None:
        """Give readings, of those that `refused` returned, out of hand."""
        taken = set(map(id, readings))
        self._buffer = [reading for reading in self._buffer if id(reading) not in taken]
        self._refused -= len(taken)
