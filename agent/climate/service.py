"""The loop that keeps the home comfortable: reads what is known, decides, drives the outputs. Owns `climate.json`.

It never waits for disk, cloud or radio: what is to be kept is written by a loop of its own, and when that fails the
home is heated all the same. Whatever ends it, a stop or a defect, ends with all outputs off.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path

import msgspec

from agent.climate.controller import ClimateController, SensorReading
from agent.climate.coordinator import ClimateDecision
from agent.climate.holds import ZoneProgram
from agent.climate.settings import ClimateSettings
from agent.climate.snapshot import SHORT_RUN_S, ClimateSnapshot
from agent.errors import StorageFull
from agent.foundation.clock import Clock, Now
from agent.foundation.disk import Disk
from agent.foundation.durable_file import DurableFile
from agent.foundation.lenient_json import decode_leniently
from agent.foundation.shutdown import run_shielded
from agent.foundation.worker import Worker
from hal.errors import HalError
from hal.interface import HvacDemand, HvacOutputs

_log = logging.getLogger(__name__)

FILE_NAME = "climate.json"
SNAPSHOT_BYTES_MAX = 1024 * 1024
"""What is written: eight zones with the most that an order may give them. Releases up to now read no more than this."""

FILE_BYTES_MAX = 4 * SNAPSHOT_BYTES_MAX
"""What is read: releases that did not bound the schedules have written more than twice as much as they could read."""

DECISION_INTERVAL_S = 10.0
"""Between two decisions: far below every minimum time, far above what one costs. An order is decided on at once."""

APPLY_S_MAX = 5.0
"""How long the outputs may take before they count as not answering."""

OFF_S_MAX = 3.0
"""How long the last switching off may take, cancelled or not: the process is gone within 5 s. After that ExecStopPost=
tries once more."""

HUNG_S = 60.0
"""A loop that has not decided for so long hangs: the service manager is to start the agent anew."""

MISSING_SENSOR_S = 2000.0
"""A sensor of the configuration that has said nothing for so long is not there or has another name: relayed ones are
asked to report every 900 s at least, and one report may be lost."""

SNAPSHOT_INTERVAL_AT_START_S = 60.0
SNAPSHOT_INTERVAL_S = 900.0
"""So often it is written even if nothing happens: how long things have lasted has to survive an agent that is restarted
over and over. The first is for lives shorter than `kept.SHORT_LIFE_S`, the second spares the card."""

SNAPSHOT_DELAY_S = 1.0
SNAPSHOT_RETRY_S = 10.0


class ClimateService:
    """The control room of a hub.

    Attributes:
        settings: How the home is treated.
        control: Decides.
        file_problem: What is wrong with the file; empty where nothing is.
        output_problem: What is wrong with the outputs; likewise.
        sensor_problem: Which sensors of the configuration nobody has heard of; likewise.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: ClimateSettings,
        outputs: HvacOutputs,
        observed: Callable[[], Mapping[str, SensorReading]],
        timezone: Callable[[], str],
        clock: Clock,
        disk: Disk,
        worker: Worker,
        unheard: Callable[[], Sequence[str]] = tuple,
        add_fault: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take up what was kept.

        Args:
            directory: Where `climate.json` lies.
            settings: How the home is treated.
            outputs: What acts on it.
            observed: Gives the latest reading of each sensor.
            timezone: Gives the IANA name of the house's time zone.
            clock: The boot's clocks.
            disk: Writes the file.
            worker: Where writing blocks.
            unheard: Gives the sensors of the configuration that nobody has heard of yet.
            add_fault: Told of what a technician should know of.
        """
        self.settings = settings
        self._lost: list[str] = []
        self._file = DurableFile(
            directory / FILE_NAME,
            disk=disk,
            bytes_max=FILE_BYTES_MAX,
            written_bytes_max=SNAPSHOT_BYTES_MAX,
            decode=lambda data: _decode(data, self._lost),
            loss="the zones begin anew, at their first setpoints and without schedules",
        )
        self._outputs = outputs
        self._observed = observed
        self._timezone = timezone
        self._clock = clock
        self._worker = worker
        self._unheard = unheard
        self._unheard_told: Sequence[str] = ()
        self._made_ms = clock.monotonic_ms()
        self._add_fault = add_fault
        self._zone: tzinfo = UTC
        self._zone_name = "UTC"
        self._to_keep = asyncio.Event()
        self._told = asyncio.Event()
        self._told_zones: set[str] = set()
        self._kept_last: object = None
        self._noticed: dict[str, str] = {}
        self.file_problem = ""
        self.output_problem = ""
        self.sensor_problem = ""
        self.control = ClimateController(settings, self._read(), self.now())
        self._driven_ms = clock.monotonic_ms()

    def now(self) -> Now:
        """Return now."""
        return Now(self._clock.boot_id, self._clock.monotonic_ms(), self._clock.utc_ms())

    @property
    def is_hung(self) -> bool:
        """Whether it should have decided and told the outputs long ago: it hangs, or fails again after each start."""
        return self._clock.monotonic_ms() - self._driven_ms > HUNG_S * 1000

    def zone_info(self) -> tzinfo:
        """Return the house's time zone; UTC where its name means nothing."""
        name = self._timezone()
        if name != self._zone_name:
            self._zone_name = name
            self._zone = UTC
            import zoneinfo  # noqa: PLC0415 - 0.3 MiB that a hub on UTC need not spend

            with contextlib.suppress(zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                self._zone = zoneinfo.ZoneInfo(name)
        return self._zone

    def set_program(self, zone_id: str, program: ZoneProgram) -> None:
        """Put a zone's new program in force at once, and on the disk soon.

        Raises:
            KeyError: There is no such zone.
        """
        self.control.set_program(zone_id, program)
        self._told_zones.add(zone_id)
        self._to_keep.set()
        self._told.set()

    async def run(self) -> None:
        """Keep the home comfortable until cancelled; every output is off after that."""
        # Begun again after a defect: what ran then was switched off.
        if self.control.last is not None:
            now = self.now()
            self.control = ClimateController(self.settings, self.control.to_keep(now), now)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_control())
                group.create_task(self._keep_keeping())
                group.create_task(self._file.settle(self._worker, self._take_up))
        finally:
            # A stop cancels again each second: slow outputs must not be left on for that.
            try:
                if not await run_shielded(self._apply(HvacDemand(), repeats=3), within_s=OFF_S_MAX):
                    _log.error("the outputs did not go off within %.0f s", OFF_S_MAX)
            finally:
                with contextlib.suppress(StorageFull, OSError):
                    await self._write()

    async def _keep_control(self) -> None:
        while True:
            self._told.clear()
            made = self.control.step(self.now(), self._observed(), self.zone_info())
            await self._apply(made.demand)
            self._driven_ms = self._clock.monotonic_ms()
            self._note(made)
            self._note_unheard()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DECISION_INTERVAL_S):
                    await self._told.wait()

    async def _apply(self, demand: HvacDemand, *, repeats: int = 1) -> None:
        """Drive the outputs; what fails is reported, and tried again with the next decision."""
        for _ in range(repeats):
            try:
                async with asyncio.timeout(APPLY_S_MAX):
                    await self._outputs.apply(demand)
            except TimeoutError:
                # Before OSError, of which it is a kind.
                problem = f"the outputs did not answer within {APPLY_S_MAX:.0f} s"
            except (HalError, OSError) as error:
                problem = str(error) or type(error).__name__
            else:
                if self.output_problem:
                    _log.info("the outputs answer again")
                self.output_problem = ""
                return
            if problem != self.output_problem:
                _log.error("outputs: %s", problem)
                self._add_fault(problem)
            self.output_problem = problem

    def _note(self, made: ClimateDecision) -> None:
        """Report what the watches have noticed, and see to it that what was switched and lost is written down."""
        for mind, state in zip(self.control.zones.values(), made.state.zones, strict=True):
            zone_id, problem = mind.settings.zone_id, state.problem
            if problem and self._noticed.get(zone_id) != problem:
                self._add_fault(f"{zone_id}: {problem}")
                _log.warning("%s: %s", zone_id, problem)
            self._noticed[zone_id] = problem
        kept = (
            made.state.direction,
            *(
                relay.changed_ms
                for relay in (made.state.heat_source.stage1, made.state.heat_source.stage2, made.state.heat_source.aux)
            ),
            *(
                (zone.relay.changed_ms, zone.lost_since_ms is None, zone.frost_since_ms is None)
                for zone in made.state.zones
            ),
            *(mind.program for mind in self.control.zones.values()),
        )
        if kept != self._kept_last:
            self._kept_last = kept
            self._to_keep.set()

    def _note_unheard(self) -> None:
        """Report sensors that nobody answers to: a name that is misspelt looks like a zone that needs nothing."""
        if self._clock.monotonic_ms() - self._made_ms < MISSING_SENSOR_S * 1000:
            return
        names = tuple(self._unheard())
        if names == self._unheard_told:
            return
        self._unheard_told = names
        self.sensor_problem = ""
        if names:
            text = f"no sensor answers to {', '.join(names)}: check climate.zones against `climahub status`"
            self.sensor_problem = text
            self._add_fault(text)
            _log.warning("%s", text)

    async def _keep_keeping(self) -> None:
        while True:
            is_young = self._clock.monotonic_ms() - self._made_ms < SHORT_RUN_S * 1000
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SNAPSHOT_INTERVAL_AT_START_S if is_young else SNAPSHOT_INTERVAL_S):
                    await self._to_keep.wait()
            await asyncio.sleep(SNAPSHOT_DELAY_S)
            self._to_keep.clear()
            try:
                await self._write()
            except (StorageFull, OSError) as error:
                problem = str(error) if isinstance(error, StorageFull) else f"{self._file.path}: {error.strerror}"
                if not self.file_problem:
                    _log.error("what the zones were told is not kept over a restart: %s", problem)
                self.file_problem = f"what the zones were told is not kept over a restart: {problem}"
                self._to_keep.set()
                await asyncio.sleep(SNAPSHOT_RETRY_S)
            else:
                self.file_problem = ""

    async def _write(self) -> None:
        data = msgspec.json.encode(self.control.to_keep(self.now()))
        await self._worker.run(lambda: self._file.write(data))

    def _read(self) -> ClimateSnapshot:
        found = self._file.read()
        if self._lost and not self._file.problem:
            self.file_problem = f"{FILE_NAME}: left out, since it makes no sense: {'; '.join(self._lost)}"
            self._add_fault(self.file_problem)
        if self._file.problem:
            self.file_problem = self._file.problem
            self._add_fault(self.file_problem)
        return found or ClimateSnapshot()

    def _take_up(self, found: ClimateSnapshot) -> None:
        """Put in force what the disk has given at last, but for zones that were told something since."""
        for zone_id, saved in found.zones.items():
            if zone_id in self.control.zones and zone_id not in self._told_zones:
                self.control.take_up(zone_id, saved.program, saved.learned)
        _log.warning("%s could be read after all: the zones do what they were told", FILE_NAME)
        self.file_problem = ""
        self._to_keep.set()
        self._told.set()


def _decode(data: bytes, lost: list[str]) -> ClimateSnapshot:
    """Return what the file holds; what in it makes no sense is added to ``lost``, and costs no other zone."""
    kept, more = decode_leniently(data, ClimateSnapshot)
    lost += more
    return kept
