"""Asks the hub's own sensors for their values, in the rhythm of the device settings.

A sensor that hangs must not hold up the others: all are asked in turn, without a task each, as long as that goes fast.
Those that were not reached in time are asked side by side in the background, and so is one that proved slow, until it
answers quickly again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.errors import Defect
from agent.foundation.clock import Clock
from agent.foundation.supervisor import contain_failure
from agent.foundation.text import sanitize
from agent.telemetry.intake import Intake
from hal.errors import HalError
from hal.interface import HUB, Quality, Reading, Sensor, SensorKind
from hal.plausibility import PlausibilityCheck

FAST_READS_S_MAX = 1.0
"""How long asking all sensors in turn may take. The slowest in use (1-Wire DS18B20) takes 0.75 s."""

READ_TIMEOUT_S = 5.0
"""How long one sensor may take in the background before it counts as not answering."""


DRIVER_ERRORS = (HalError, OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError)
"""What a driver raises on purpose or by a defect that is told briefly; anything else is logged with its traceback. Its
neighbours are asked all the same."""


class SamplingSchedule(msgspec.Struct, frozen=True):
    """When to sample, from the device settings.

    Attributes:
        interval_s: `reporting_interval_seconds`.
        kinds: `enabled_sensors`; `None` for all. The others are sampled too, for the page and the control law, but do
            not go to the cloud.
        control_interval_s: How often thermometers are read at least, for the control law. Values read between two
            reports stay on the hub. `None` without a control law.
    """

    interval_s: int
    kinds: frozenset[SensorKind] | None
    control_interval_s: int | None = None


_Judged = tuple[Sensor, PlausibilityCheck]


def next_tick_ms(now_ms: int, interval_ms: int, phase: float) -> int:
    """Return the first tick after ``now_ms``.

    Args:
        now_ms: Boot time.
        interval_ms: Between two ticks.
        phase: 0 up to 1, this hub's own, so that a fleet does not beat in step.
    """
    offset_ms = int(interval_ms * phase)
    return ((now_ms - offset_ms) // interval_ms + 1) * interval_ms + offset_ms


class Sampler:
    """The loop that asks the sensors.

    Attributes:
        unreported_count: How many good values were asked for between two reports and went nowhere.
    """

    def __init__(
        self,
        sensors: Sequence[tuple[Sensor, PlausibilityCheck]],
        *,
        primary: Mapping[SensorKind, str],
        intake: Intake,
        clock: Clock,
        schedule: Callable[[], SamplingSchedule],
        phase: float,
    ) -> None:
        """Prepare.

        Args:
            sensors: The hub's own, each with the judge of its values.
            primary: The sensor whose values are the hub's own, by kind.
            intake: Where readings go.
            clock: For ticks and instants.
            schedule: Asked before each tick.
            phase: See `next_tick_ms`.
        """
        self._sensors = tuple(sensors)
        self._quick: list[_Judged] = []
        self._slow: list[_Judged] = []
        self._primary = primary
        self._intake = intake
        self._clock = clock
        self._schedule = schedule
        self._phase = phase
        self._changed = asyncio.Event()
        self.unreported_count = 0

    def schedule_changed(self) -> None:
        """Take note that the device settings changed."""
        self._changed.set()

    async def run(self) -> None:
        """Sample now and then at every tick, until cancelled."""
        # Begun again after a failure, those that were being asked in the background are in neither list.
        self._quick, self._slow = list(self._sensors), []
        async with asyncio.TaskGroup() as background:
            is_report_due = True
            while True:
                await self.sample(background, is_report_due=is_report_due)
                is_report_due = await self._tick()

    async def _tick(self) -> bool:
        """Wait for the next tick; a change of rhythm moves it. Return whether it is one for a report."""
        while True:
            self._changed.clear()
            now_ms = self._clock.monotonic_ms()
            schedule = self._schedule()
            due_ms = tick_ms = next_tick_ms(now_ms, schedule.interval_s * 1000, self._phase)
            if schedule.control_interval_s is not None:
                tick_ms = min(due_ms, next_tick_ms(now_ms, schedule.control_interval_s * 1000, self._phase))
            try:
                async with asyncio.timeout((tick_ms - now_ms) / 1000):
                    await self._changed.wait()
            except TimeoutError:
                return tick_ms == due_ms

    async def sample(self, background: asyncio.TaskGroup, *, is_report_due: bool = True) -> None:
        """Ask every sensor once. One that is still being asked in the background is left alone.

        Args:
            background: Where slow ones are asked.
            is_report_due: Whether the values go to the cloud.
        """
        kinds = self._schedule().kinds
        late, self._slow = self._slow, []
        if not is_report_due:
            self._slow = [judged for judged in late if not _is_control_input(judged)]
            late = [judged for judged in late if _is_control_input(judged)]
        quick: list[_Judged] = []
        try:
            async with asyncio.timeout(FAST_READS_S_MAX):
                for judged in self._quick:
                    if not is_report_due and not _is_control_input(judged):
                        quick.append(judged)
                        continue
                    await self._read(judged, kinds, is_report_due=is_report_due)
                    quick.append(judged)
        except TimeoutError:
            late += self._quick[len(quick) :]
        self._quick = quick
        for judged in late:
            background.create_task(self._read_in_background(judged, kinds, is_report_due=is_report_due))

    async def _read_in_background(
        self, judged: _Judged, kinds: frozenset[SensorKind] | None, *, is_report_due: bool
    ) -> None:
        started_ms = self._clock.monotonic_ms()
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await self._read(judged, kinds, is_report_due=is_report_due)
        except TimeoutError:
            sensor = judged[0]
            self._intake.record_failure(HUB, sensor.name, sensor.kind, f"no answer within {READ_TIMEOUT_S:.0f} s")
        is_quick = self._clock.monotonic_ms() - started_ms < FAST_READS_S_MAX * 1000
        (self._quick if is_quick else self._slow).append(judged)

    async def _read(self, judged: _Judged, kinds: frozenset[SensorKind] | None, *, is_report_due: bool) -> None:
        sensor, judge = judged
        name, kind = sensor.name, sensor.kind
        try:
            with contain_failure(f"sensor {name}"):
                try:
                    value = await sensor.read()
                    at_ms = self._clock.monotonic_ms()
                    quality, reason = judge.check(value, at_ms)
                except DRIVER_ERRORS as error:
                    said = str(error) if isinstance(error, HalError) else f"{type(error).__name__}: {error}"
                    self._intake.record_failure(HUB, name, kind, sanitize(said))
                    return
        except Defect as error:
            self._intake.record_failure(HUB, name, kind, str(error))
            return
        is_reported = self._primary.get(kind) == name and (kinds is None or kind in kinds)
        if is_reported and not is_report_due and quality is not Quality.BAD:
            self.unreported_count += 1
        self._intake.offer(
            Reading(HUB, name, kind, value, at_ms, quality, reason), is_reported=is_reported and is_report_due
        )


def _is_control_input(judged: _Judged) -> bool:
    return judged[0].kind is SensorKind.TEMPERATURE
