"""The climate component: reads the sensors, decides, and drives the outputs. Owns `climate.json`.

Control never waits for disk, cloud or radio. A loop of its own writes the snapshot; if that fails, the home is heated
all the same. However the component ends, by a stop or by a defect, all outputs are off afterwards.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path

import msgspec

from agent.climate import coordinator, snapshot
from agent.climate.binary_sensors import BinaryStates
from agent.climate.controller import ClimateController
from agent.climate.coordinator import ClimateDecision
from agent.climate.fusion import SensorReading, rooms_for_outputs
from agent.climate.model import ZoneProgram
from agent.climate.output_test import OutputTest
from agent.climate.power_draw import Powers
from agent.climate.settings import ClimateSettings
from agent.climate.short_cycle_protection import wait_to_start_ms
from agent.climate.snapshot import ClimateSnapshot
from agent.errors import StorageFull
from agent.foundation.clock import Clock, Now, read_now
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.shutdown import run_shielded
from agent.foundation.signals import Signal
from agent.foundation.worker import Worker
from hal.errors import HalError
from hal.interface import HvacDemand, HvacOutputs

_log = logging.getLogger(__name__)

FILE_NAME = "climate.json"
SNAPSHOT_BYTES_MAX = 1024 * 1024
"""The largest file that is written: eight zones with the largest programs that requests accept. Releases up to now read
no more than this."""

FILE_BYTES_MAX = 4 * SNAPSHOT_BYTES_MAX
"""The largest file that is read: releases that did not bound the schedules wrote more than twice what they could
read."""

DECISION_INTERVAL_S = 10.0
"""Far below every minimum time, far above the time that a decision takes. A request is decided on at once."""

APPLY_S_MAX = 5.0
"""Outputs that take longer do not respond."""

OFF_S_MAX = 3.0
"""The longest time for switching off at the end, cancelled or not: the process ends within 5 s. ExecStopPost= tries
once more after that."""

HUNG_S = 60.0
"""A loop without a decision for this time hangs: the service manager must restart the agent."""

MISSING_SENSOR_S = 2000.0
"""A configured sensor that has not reported by then is absent or has another name: relayed sensors are set to report
every 900 s at least, and one report may be lost."""

SNAPSHOT_DELAY_S = 1.0
SNAPSHOT_RETRY_S = 10.0

OFF_ATTEMPTS = 3


class ClimateService:
    """Heating control of a hub.

    Attributes:
        settings: Of the home.
        control: Decides.
        file_problem: The problem of the file; empty without one.
        output_problem: The problem of the outputs; empty without one.
        sensor_problem: The configured sensors that have not reported; empty without any.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: ClimateSettings,
        outputs: HvacOutputs,
        readings: Callable[[], Mapping[str, SensorReading]],
        timezone: Callable[[], str],
        clock: Clock,
        disk: Disk,
        worker: Worker,
        missing_sensors: Callable[[], Sequence[str]] = tuple,
        binary_states: Callable[[], BinaryStates] = dict,
        powers: Callable[[], Powers] = dict,
        devices: Callable[[], Mapping[str, str]] = dict,
        add_fault: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Restore the last snapshot.

        Args:
            directory: Of `climate.json`.
            settings: Of the home.
            outputs: Heat and cool the zones.
            readings: Returns the latest reading of each sensor.
            timezone: Returns the IANA name of the time zone of the house.
            clock: The clocks of the boot.
            disk: Writes the file.
            worker: Runs what blocks.
            missing_sensors: Returns the configured sensors that have not reported yet.
            binary_states: Returns what contacts and motion sensors say.
            powers: Returns what plugs draw.
            devices: Returns the devices of relayed sensors, by the names that people gave them.
            add_fault: Records a fault for the technician.
        """
        self.settings = settings
        self._store = JsonStore(
            directory / FILE_NAME,
            ClimateSnapshot(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            written_bytes_max=SNAPSHOT_BYTES_MAX,
            loss="the zones start anew, at their default setpoints and without schedules",
        )
        self._outputs = outputs
        self._readings = readings
        self._timezone_name = timezone
        self._clock = clock
        self._missing_sensors = missing_sensors
        self._binary_states, self._powers = binary_states, powers
        self._devices = devices
        self._reported_missing: Sequence[str] = ()
        self._started_ms = clock.monotonic_ms()
        self._add_fault = add_fault
        self._timezone: tzinfo = UTC
        self._timezone_of = "UTC"
        self._snapshot_due = Signal()
        self._decision_due = Signal()
        self._changed_zones: set[str] = set()
        self._last_key: object = None
        self._test: OutputTest | None = None
        self._listeners: list[Callable[[], None]] = []
        self._reported_problems: dict[str, str] = {}
        self.output_problem = ""
        self.sensor_problem = ""
        saved = self._store.load()
        self.control = ClimateController(settings, saved, self.now())
        self._report_dropped_schedules(saved)
        self.file_problem = self._store.problem
        if self.file_problem:
            self._add_fault(self.file_problem)
        self._driven_ms = clock.monotonic_ms()

    @property
    def is_unread(self) -> bool:
        """Whether the disk has not given the programs yet: those in force are the default ones."""
        return self._store.is_unread

    def now(self) -> Now:
        """Return the present instant."""
        return read_now(self._clock)

    @property
    def is_hung(self) -> bool:
        """Whether a decision is overdue: the loop hangs, or fails again after each start."""
        return self._clock.monotonic_ms() - self._driven_ms > HUNG_S * 1000

    def timezone(self) -> tzinfo:
        """Return the time zone of the house; UTC for an unknown name."""
        name = self._timezone_name()
        if name != self._timezone_of:
            self._timezone_of = name
            self._timezone = UTC
            import zoneinfo  # noqa: PLC0415 - 0.3 MiB that a hub on UTC need not spend

            with contextlib.suppress(zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                self._timezone = zoneinfo.ZoneInfo(name)
        return self._timezone

    def set_program(self, zone_id: str, program: ZoneProgram) -> None:
        """Put a program in force at once. It is written to the disk soon.

        Raises:
            KeyError: There is no such zone.
        """
        self.control.set_program(zone_id, program)
        self._changed_zones.add(zone_id)
        self._snapshot_due.set()
        self._decision_due.set()

    def on_decision(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called after each decision. It must do no more than wake a loop: control waits for it."""
        self._listeners.append(listener)

    def set_test(self, test: OutputTest | None) -> None:
        """Let a person test outputs; `None` ends the test. It ends by itself at its `until_ms`."""
        is_changed = (test and test.actions) != (self._test and self._test.actions)
        self._test = test
        if is_changed:
            self._decision_due.set()

    def readings(self) -> Mapping[str, SensorReading]:
        """Return the latest reading of each sensor of the zones that has any, by name."""
        return self._readings()

    def wait_to_start_s(self, zone_id: str) -> int:
        """Return how long the relay of a zone must still rest; 0 where it may start, or is on.

        Raises:
            KeyError: There is no such zone.
        """
        zone = self.control.zones[zone_id]
        relay = self.control.state.zones[list(self.control.zones).index(zone_id)].relay
        if relay.is_on:
            return 0
        return -(-wait_to_start_ms(relay, zone.settings.limits, self.now().now_ms) // 1000)

    async def rewrite(self) -> None:
        """Write the programs of the zones anew.

        Raises:
            StorageFull: The disk refuses.
        """
        await self.save()
        await self._store.rewrite()
        self.file_problem = ""

    async def run(self) -> None:
        """Control the home until cancelled. Every output is off afterwards."""
        self._test = None
        # A restart after a defect: everything was switched off.
        if self.control.last is not None:
            now = self.now()
            self.control = ClimateController(self.settings, self.control.take_snapshot(now), now)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._control_loop())
                group.create_task(self._snapshot_loop())
                group.create_task(self._store.retry_read(self._restore_late))
        finally:
            # A stop cancels again each second. That must not leave slow outputs on.
            try:
                if not await run_shielded(self._apply(HvacDemand(), attempts=OFF_ATTEMPTS), within_s=OFF_S_MAX):
                    _log.error("the outputs did not go off within %.0f s", OFF_S_MAX)
            finally:
                with contextlib.suppress(StorageFull):
                    await self.save()

    async def _control_loop(self) -> None:
        while True:
            self._decision_due.clear()
            decision = self.control.step(
                self.now(),
                self._readings(),
                self.timezone(),
                test=self._test,
                binary_states=self._binary_states(),
                powers=self._powers(),
            )
            await self._apply(msgspec.structs.replace(decision.demand, room_c=self._rooms()))
            self._driven_ms = self._clock.monotonic_ms()
            for listener in self._listeners:
                listener()
            self._report_problems(decision)
            self._request_snapshot(decision)
            self._report_missing_sensors()
            await self._decision_due.wait(self._decision_interval_s())

    def _rooms(self) -> Mapping[str, float]:
        """Return the temperatures for the outputs that may take one; most homes have none."""
        zones = self.control.zones
        taking = [output for output in self._outputs.zones if output.device and output.name in zones]
        known = [(output, zones[output.name]) for output in taking]
        rooms = [
            (output, [name for name, _ in zone.settings.sensors], zone.temperature.value_c) for output, zone in known
        ]
        return rooms_for_outputs(rooms, self._devices()) if rooms else {}

    def _decision_interval_s(self) -> float:
        """Return the time to the next decision: a test ends on time."""
        left_ms = DECISION_INTERVAL_S * 1000 if self._test is None else self._test.until_ms - self.now().now_ms
        return min(DECISION_INTERVAL_S, left_ms / 1000) if left_ms > 0 else DECISION_INTERVAL_S

    async def _apply(self, demand: HvacDemand, *, attempts: int = 1) -> None:
        """Drive the outputs. A failure is reported, and tried again with the next decision."""
        for _ in range(attempts):
            try:
                async with asyncio.timeout(APPLY_S_MAX):
                    await self._outputs.apply(demand)
            except TimeoutError:
                # Before OSError, its base class.
                problem = f"the outputs did not respond within {APPLY_S_MAX:.0f} s"
            except (HalError, OSError) as error:
                problem = str(error) or type(error).__name__
            else:
                if self.output_problem:
                    _log.info("the outputs respond again")
                    self.control.state = coordinator.with_late_starts(self.control.state, self.now().now_ms)
                self.output_problem = ""
                return
            if problem != self.output_problem:
                _log.error("outputs: %s", problem)
                self._add_fault(problem)
            self.output_problem = problem

    def _report_problems(self, decision: ClimateDecision) -> None:
        """Report each new fault of a zone."""
        for zone, state in zip(self.control.zones.values(), decision.state.zones, strict=True):
            zone_id, problem = zone.settings.zone_id, state.problem
            if problem and self._reported_problems.get(zone_id) != problem:
                self._add_fault(f"{zone_id}: {problem}")
                _log.warning("%s: %s", zone_id, problem)
            self._reported_problems[zone_id] = problem

    def _request_snapshot(self, decision: ClimateDecision) -> None:
        """Have a snapshot written if an output was switched, a sensor lost or recovered, or a program changed."""
        source, zones = decision.state.heat_source, decision.state.zones
        key = (
            decision.state.direction,
            *(part.changed_ms for part in (source.stage1, source.stage2, source.aux)),
            *((zone.relay.changed_ms, zone.lost_since_ms is None, zone.frost_since_ms is None) for zone in zones),
            *(zone.program for zone in self.control.zones.values()),
        )
        if key != self._last_key:
            self._last_key = key
            self._snapshot_due.set()

    def _report_missing_sensors(self) -> None:
        """Report configured sensors that do not exist: with a misspelt name, a zone would seem to need no heat."""
        if self._clock.monotonic_ms() - self._started_ms < MISSING_SENSOR_S * 1000:
            return
        names = tuple(self._missing_sensors())
        if names == self._reported_missing:
            return
        self._reported_missing = names
        self.sensor_problem = ""
        if names:
            text = f"check [climate] against `climahub status`: no sensor is called {', '.join(names)}"
            self.sensor_problem = text
            self._add_fault(text)
            _log.warning("%s", text)

    async def _snapshot_loop(self) -> None:
        while True:
            run_s = (self._clock.monotonic_ms() - self._started_ms) / 1000
            await self._snapshot_due.wait(snapshot.interval_s(run_s))
            await asyncio.sleep(SNAPSHOT_DELAY_S)
            self._snapshot_due.clear()
            try:
                await self.save()
            except StorageFull as error:
                problem = f"programs of the zones would not survive a restart: {error}"
                if not self.file_problem:
                    _log.error("%s", problem)
                self.file_problem = problem
                self._snapshot_due.set()
                await asyncio.sleep(SNAPSHOT_RETRY_S)
            else:
                self.file_problem = ""

    async def save(self) -> None:
        """Write the programs of the zones now: they are on the disk when this returns.

        Raises:
            StorageFull: The disk refuses. They stay in force, and are written later.
        """
        await self._store.commit(lambda _: self.control.take_snapshot(self.now()))

    def _report_dropped_schedules(self, saved: ClimateSnapshot) -> None:
        for zone_id, zone in self.control.zones.items():
            if zone_id in saved.zones:
                for name in sorted(saved.zones[zone_id].program.schedules.keys() - zone.program.schedules.keys()):
                    problem = f"{FILE_NAME}: schedule {name!r} of {zone_id} is damaged and was dropped; store it again"
                    _log.error("%s", problem)
                    self._add_fault(problem)

    def _restore_late(self, present: ClimateSnapshot, saved: ClimateSnapshot) -> ClimateSnapshot:
        """Put a file in force that became readable late, except for zones whose program was set since."""
        for zone_id, zone in saved.zones.items():
            if zone_id in self.control.zones and zone_id not in self._changed_zones:
                self.control.restore_zone(zone_id, zone.program, zone.learned)
        self._report_dropped_schedules(saved)
        _log.warning("%s became readable: the programs of the zones are in force again", FILE_NAME)
        self.file_problem = ""
        self._snapshot_due.set()
        self._decision_due.set()
        return present
