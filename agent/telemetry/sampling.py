"""Samples the hub's own sensors at the interval of the device settings.

The sensors of one bus are read in turn, thermometers first, those of different buses side by side: a sensor that hangs
delays nothing but its own bus. A bus that is still being read at a tick is left out, and read again at once where a
report was due.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.errors import Defect
from agent.foundation.clock import Clock
from agent.foundation.signals import Signal
from agent.foundation.supervisor import contain_failure
from agent.foundation.text import sanitize
from agent.telemetry.intake import Intake
from hal.channels import DescribesChannel, Outcome, ReadsInTurn
from hal.errors import HalError, SensorUnavailable
from hal.interface import HUB, Quality, Reading, Sensor, SensorKind
from hal.plausibility import PlausibilityCheck

READ_TIMEOUT_S = 5.0
"""How long one read may take. The slowest in use (1-Wire DS18B20) takes 0.75 s."""


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


_CheckedSensor = tuple[Sensor, PlausibilityCheck]


class _Series(msgspec.Struct, frozen=True):
    """A sensor with its check, and how it is read.

    Attributes:
        is_control_input: Whether the control law uses it.
        in_turn: The sensor, where it is read together with others of its bus.
    """

    sensor: Sensor
    check: PlausibilityCheck
    is_control_input: bool
    in_turn: ReadsInTurn | None


def next_tick_ms(now_ms: int, interval_ms: int, phase: float) -> int:
    """Return the first tick after ``now_ms``.

    Args:
        now_ms: Boot time.
        interval_ms: Between two ticks.
        phase: From 0 up to 1, different for each hub, so that the hubs of a fleet do not report at the same moment.
    """
    offset_ms = int(interval_ms * phase)
    return ((now_ms - offset_ms) // interval_ms + 1) * interval_ms + offset_ms


class Sampler:
    """The loop that reads the sensors.

    Attributes:
        unreported_count: How many good values were read between two reports and stayed on the hub.
    """

    def __init__(
        self,
        sensors: Sequence[_CheckedSensor],
        *,
        primary: Mapping[SensorKind, str],
        intake: Intake,
        clock: Clock,
        schedule: Callable[[], SamplingSchedule],
        phase: float,
    ) -> None:
        """Prepare.

        Args:
            sensors: The hub's own, each with the check of its values.
            primary: The sensor whose values are the hub's own in the cloud, by kind.
            intake: Where readings go.
            clock: For ticks and instants.
            schedule: Called before each tick.
            phase: See `next_tick_ms`.
        """
        self._sensors = tuple(sensors)
        self._buses = _by_bus(sensors)
        self._new: list[_CheckedSensor] = []
        self._busy: set[str] = set()
        self._overdue: set[str] = set()
        self._primary = primary
        self._intake = intake
        self._clock = clock
        self._schedule = schedule
        self._phase = phase
        self._changed = Signal()
        self.unreported_count = 0

    def schedule_changed(self) -> None:
        """Apply a change of the device settings to the next tick."""
        self._changed.set()

    def follow(self, sensors: Sequence[_CheckedSensor], *, primary: Mapping[SensorKind, str]) -> None:
        """Read these sensors from now on. Those that are new, or primary since now, are read at once.

        Args:
            sensors: As in the constructor; one that is known has the check that it had.
            primary: As in the constructor.
        """
        before = self._primary
        known = {
            _key(checked)
            for checked in self._sensors
            if not _is_primary(checked, primary) or _is_primary(checked, before)
        }
        self._sensors, self._buses, self._primary = tuple(sensors), _by_bus(sensors), primary
        self._new += [checked for checked in sensors if _key(checked) not in known]
        self._changed.set()

    async def run(self) -> None:
        """Sample now and then at every tick, until cancelled."""
        self._new, self._busy, self._overdue = [], set(), set()
        async with asyncio.TaskGroup() as background:
            is_report_due = True
            while True:
                self.sample(background, is_report_due=is_report_due)
                is_report_due = await self._wait_for_tick(background)

    async def _wait_for_tick(self, background: asyncio.TaskGroup) -> bool:
        """Wait for the next tick, which a change of the schedule moves; return whether a report is due."""
        while True:
            self._changed.clear()
            self._read_new(background)
            now_ms = self._clock.monotonic_ms()
            schedule = self._schedule()
            report_ms = tick_ms = next_tick_ms(now_ms, schedule.interval_s * 1000, self._phase)
            if schedule.control_interval_s is not None:
                tick_ms = min(report_ms, next_tick_ms(now_ms, schedule.control_interval_s * 1000, self._phase))
            if not await self._changed.wait((tick_ms - now_ms) / 1000):
                return tick_ms == report_ms

    def _read_new(self, background: asyncio.TaskGroup) -> None:
        new, self._new = self._new, []
        for group in _by_bus(new).values():
            background.create_task(self._read_in_turn(group, is_report_due=True))

    def sample(self, background: asyncio.TaskGroup, *, is_report_due: bool = True) -> None:
        """Begin to read every sensor once, except on a bus that is still being read.

        Args:
            background: Runs the reads.
            is_report_due: Whether the values go to the cloud; if not, only thermometers are read.
        """
        for bus, group in self._buses.items():
            if bus in self._busy:
                if is_report_due:
                    self._overdue.add(bus)
            elif wanted := [series for series in group if is_report_due or series.is_control_input]:
                self._busy.add(bus)
                background.create_task(self._read_bus(bus, wanted, is_report_due=is_report_due))

    async def _read_bus(self, bus: str, wanted: Sequence[_Series], *, is_report_due: bool) -> None:
        await self._read_in_turn(wanted, is_report_due=is_report_due)
        if bus in self._overdue:
            self._overdue.discard(bus)
            await self._read_in_turn(self._buses.get(bus, ()), is_report_due=True)
        self._busy.discard(bus)

    async def _read_in_turn(self, wanted: Sequence[_Series], *, is_report_due: bool) -> None:
        kinds = self._schedule().kinds
        together = [(series, series.in_turn) for series in wanted if series.in_turn is not None]
        if together:
            turn = together[0][1].turn([sensor for _, sensor in together], timeout_s=READ_TIMEOUT_S)
            answered = 0
            while outcomes := await turn.advance():
                for (series, _), outcome in zip(together[answered:], outcomes, strict=False):
                    self._record(series, outcome, kinds, is_report_due=is_report_due)
                answered += len(outcomes)
        for series in wanted:
            if series.in_turn is None:
                self._record(series, await _read_alone(series.sensor), kinds, is_report_due=is_report_due)

    def _record(
        self, series: _Series, outcome: Outcome, kinds: frozenset[SensorKind] | None, *, is_report_due: bool
    ) -> None:
        name, kind = series.sensor.name, series.sensor.kind
        try:
            if isinstance(outcome, HalError):
                self._intake.record_failure(HUB, name, kind, sanitize(str(outcome)))
                return
            # A driver raises `HalError` only. Anything else is a defect of the driver, and must stop no other sensor.
            with contain_failure(f"sensor {name}"):
                if isinstance(outcome, Exception):
                    raise outcome
                at_ms = self._clock.monotonic_ms()
                quality, reason = series.check.check(outcome, at_ms)
        except Defect as error:
            self._intake.record_failure(HUB, name, kind, sanitize(str(error)))
            return
        is_reported = self._primary.get(kind) == name and (kinds is None or kind in kinds)
        if is_reported and not is_report_due and quality is not Quality.BAD:
            self.unreported_count += 1
        self._intake.offer(
            Reading(HUB, name, kind, outcome, at_ms, quality, reason), is_reported=is_reported and is_report_due
        )


async def _read_alone(sensor: Sensor) -> Outcome:
    limit = asyncio.timeout(READ_TIMEOUT_S)
    try:
        async with limit:
            return await sensor.read()
    except Exception as error:  # noqa: BLE001 - recorded as what became of this sensor
        # A driver may raise `TimeoutError` as well.
        return SensorUnavailable(f"no answer within {READ_TIMEOUT_S:.0f} s") if limit.expired() else error


def _key(checked: _CheckedSensor) -> int:
    """Return what tells sensors apart: the sensor itself, and not its check."""
    return id(checked[0])


def _is_primary(checked: _CheckedSensor, primary: Mapping[SensorKind, str]) -> bool:
    return primary.get(checked[0].kind) == checked[0].name


def _by_bus(sensors: Sequence[_CheckedSensor]) -> Mapping[str, Sequence[_Series]]:
    """Return the sensors of each bus, the inputs of control first; one that names no bus delays no other."""
    groups: dict[str, list[_Series]] = {}
    for sensor, check in sorted(sensors, key=lambda checked: not _is_control_input(checked[0])):
        bus = sensor.channel.bus if isinstance(sensor, DescribesChannel) else f"sensor {sensor.name} {sensor.kind}"
        in_turn = sensor if isinstance(sensor, ReadsInTurn) else None
        groups.setdefault(bus, []).append(_Series(sensor, check, _is_control_input(sensor), in_turn))
    return groups


def _is_control_input(sensor: Sensor) -> bool:
    return sensor.kind is SensorKind.TEMPERATURE
