"""Takes readings in: keeps the latest of each channel, and commits readings to the outbox.

A power cut costs the readings since the last commit, so the commit interval bounds the loss. Memory is bounded: what
does not fit while the disk takes nothing becomes a gap. Must never put a bad reading into the outbox, nor one as the
sensor measured it where it can be corrected: every use of a reading sees the same value.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from agent.errors import StorageFull
from agent.foundation.log import ProblemLog
from agent.foundation.signals import Signal
from agent.telemetry.outbox.protocol import GapCause, LostReadings, ReadingSink
from hal.bounded_table import BoundedTable
from hal.interface import Quality, Reading, SensorKind
from hal.plausibility import clamp_reading

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Pause after the disk refused a commit."""

CHANNELS_MAX = 4256
"""256 channels of the machine, and eight kinds of 500 relayed sensors. Where a sensor makes up names, or sensors come
and go for months, the channel that was silent longest makes room."""


class Identities(Protocol):
    """The cloud identities of relayed sensors, by device. `app.py` passes in those of pairing. No method blocks."""

    @property
    def registered_devices(self) -> Sequence[str]:
        """The devices with a cloud identity, removed ones included."""
        ...

    def is_registered(self, device: str) -> bool:
        """Tell whether the cloud has given a device its identity: only then can its readings be sent."""
        ...

    def sensor_id(self, device: str) -> str | None:
        """Return the cloud's id of a device; `None` before it is registered."""
        ...

    def is_relayed(self, device: str) -> bool:
        """Tell whether the readings of a device are taken in: not after it was removed or replaced."""
        ...

    def record_acceptance(self, devices: Iterable[str]) -> None:
        """Record that the cloud accepted readings of these devices."""
        ...


class CommitListener(Protocol):
    """Receives the outcome of each commit. Implemented by the uplink."""

    def readings_committed(self) -> None:
        """Readings are durable: there is something to send."""
        ...

    def commit_refused(self) -> None:
        """The disk refused readings: after a minute they are sent from memory."""
        ...


class ChannelState(msgspec.Struct):
    """What is known of one channel: one kind that one sensor measures.

    Attributes:
        latest: The last reading, of any quality.
        good: Readings that went to the cloud, suspect ones included.
        bad: Readings that were rejected as implausible.
        failures: How often the sensor gave no value.
        problem: Why it gave no value last time; empty when it did.
    """

    latest: Reading | None = None
    good: int = 0
    bad: int = 0
    failures: int = 0
    problem: str = ""


class Intake:
    """The only way of a reading into the agent.

    Attributes:
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
        correct: Callable[[Reading], Reading] = clamp_reading,
    ) -> None:
        """Start empty.

        Args:
            commit_interval_s: How long a reading waits at most for its commit.
            readings_max: How many are kept in memory while the disk takes none.
            identities: The cloud identities of relayed sensors.
            on_committed: Receives the readings of each durable commit, for those who check that they stay durable.
            on_all_durable: Called when everything that was offered is durable.
            now_ms: Returns boot time.
            correct: Returns a reading with the right value, and suspect where its sensor is doubted.
        """
        self._correct = correct
        self._commit_interval_s = commit_interval_s
        self._readings_max = readings_max
        self._identities = identities
        self._on_committed = on_committed
        self._on_all_durable = on_all_durable
        self._now_ms = now_ms
        self._listeners: list[CommitListener] = []
        self._buffer: list[Reading] = []
        self._overflow = BoundedTable[tuple[str, SensorKind], LostReadings](CHANNELS_MAX)
        self._arrived = Signal()
        self._last_at_ms = BoundedTable[tuple[str, SensorKind], tuple[int, int]](CHANNELS_MAX)
        self._channels = BoundedTable[tuple[str, str, SensorKind], ChannelState](CHANNELS_MAX)
        self._refused_count = 0
        self._problem = ProblemLog(_log, "readings stay in memory")
        self.disk_failing_since_ms: int | None = None

    def add_listener(self, listener: CommitListener) -> None:
        """Tell ``listener`` of each commit from now on."""
        self._listeners.append(listener)

    @property
    def channels(self) -> Mapping[tuple[str, str, SensorKind], ChannelState]:
        """The state of each channel, by device, sensor and kind; always the same object."""
        return self._channels.entries

    @property
    def storage_problem(self) -> str:
        """Why readings stay in memory; empty while the disk takes them."""
        return self._problem.text

    @property
    def uncommitted(self) -> int:
        """Readings that are in memory only."""
        return len(self._buffer)

    @property
    def uncommitted_since_ms(self) -> int | None:
        """Boot time of the oldest of these; `None` where there is none."""
        return self._buffer[0].at_ms if self._buffer else None

    def channel(self, device: str, sensor: str, kind: SensorKind) -> ChannelState:
        """Return the state of a channel; create it where there is none."""
        key = (device, sensor, kind)
        state = self._channels.get(key)
        if state is None:
            state = ChannelState()
            self._channels.put(key, state)
        return state

    def offer(self, reading: Reading, *, is_reported: bool = True) -> None:
        """Take a reading.

        Args:
            reading: With its quality.
            is_reported: Whether it goes to the cloud: its kind is enabled, and its sensor is the device's primary one.
        """
        reading = self._correct(reading)
        state = self.channel(reading.device, reading.sensor, reading.kind)
        state.latest = reading
        state.problem = ""
        if reading.quality is Quality.BAD:
            state.bad += 1
            return
        state.good += 1
        if is_reported:
            self._add(reading)

    def record_failure(self, device: str, sensor: str, kind: SensorKind, problem: str) -> None:
        """Record that a sensor gave no value."""
        state = self.channel(device, sensor, kind)
        state.failures += 1
        state.problem = problem

    def _add(self, reading: Reading) -> None:
        key = (reading.device, reading.kind)
        reported_ms = at_ms = reading.at_ms
        last_reported_ms, last_ms = self._last_at_ms.get(key) or (reported_ms, reported_ms - 1)
        if last_reported_ms <= reported_ms <= last_ms:
            # Several reports in one millisecond: the natural key must tell them apart.
            at_ms = last_ms + 1
            reading = msgspec.structs.replace(reading, at_ms=at_ms)
        self._last_at_ms.put(key, (reported_ms, at_ms))
        if len(self._buffer) >= self._readings_max:
            self._record_overflow(self._buffer.pop(0))
            self._refused_count = max(0, self._refused_count - 1)
        self._buffer.append(reading)
        self._arrived.set()

    def _record_overflow(self, reading: Reading) -> None:
        key = (reading.device, reading.kind)
        known = self._overflow.get(key)
        self._overflow.put(
            key,
            LostReadings(*key, reading.at_ms, reading.at_ms, 1)
            if known is None
            else LostReadings(*key, min(known.from_ms, reading.at_ms), max(known.to_ms, reading.at_ms), known.lost + 1),
        )

    async def run(self, outbox: ReadingSink) -> None:
        """Commit what arrives, until cancelled.

        Raises:
            Corrupt: The outbox has to be reopened; what is in memory stays there.
        """
        if self._buffer:
            # A run that was cancelled in its pause has taken the signal of these.
            self._arrived.set()
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
        if not readings and not self._overflow.entries and self._problem.text:
            # All were sent from memory, so nothing was tried: whether the disk takes readings again is not known.
            return
        try:
            if self._overflow.entries:
                await outbox.record_gap(list(self._overflow.entries.values()), GapCause.MEMORY_FULL)
                self._overflow = BoundedTable(CHANNELS_MAX)
            await outbox.append(readings, is_registered=self._identities.is_registered)
        except StorageFull as error:
            self.requeue(readings)
            self._record_refusal(len(readings), str(error))
            raise
        except BaseException:
            self.requeue(readings)
            raise
        self._problem.clear()
        self._refused_count, self.disk_failing_since_ms = 0, None
        for listener in self._listeners:
            listener.readings_committed()
        self._on_committed(readings)
        if not self._buffer:
            self._on_all_durable()

    def _record_refusal(self, readings: int, problem: str) -> None:
        self._problem.report(problem)
        self._refused_count = min(readings, len(self._buffer))
        if self.disk_failing_since_ms is None:
            self.disk_failing_since_ms = self._now_ms()
        for listener in self._listeners:
            listener.commit_refused()

    def requeue(self, readings: Sequence[Reading]) -> None:
        """Take readings back into memory, before all others."""
        self._buffer = [*readings, *self._buffer]
        while len(self._buffer) > self._readings_max:
            self._record_overflow(self._buffer.pop(0))
        if self._buffer:
            self._arrived.set()

    def refused_by_disk(self, is_sendable: Callable[[str], bool]) -> list[Reading]:
        """Return the readings that the disk has refused, oldest first, of the devices that ``is_sendable`` accepts."""
        return [reading for reading in self._buffer[: self._refused_count] if is_sendable(reading.device)]

    def remove(self, readings: Sequence[Reading]) -> None:
        """Remove readings that `refused_by_disk` returned: the caller has them now."""
        removed = set(map(id, readings))
        self._buffer = [reading for reading in self._buffer if id(reading) not in removed]
        self._refused_count -= len(removed)
