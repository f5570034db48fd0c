"""Which of the board's sensors are read, and which are the hub's own in the cloud, while sensors come and go.

Owns `primary_sensors.json`: the choice among several sensors of a kind, which is the same after each restart. Must
never exchange a primary sensor that works for one that is new.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.config import Config
from agent.config.primary import PrimarySensors, case_problems, choose_primary, machine_parts_named
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.json_store import JsonStore
from agent.foundation.worker import Worker
from agent.telemetry.sampling import Sampler
from hal.channels import DescribesChannel, FindsChannels
from hal.interface import Board, Sensor, SensorKind
from hal.plausibility import PlausibilityCheck

_log = logging.getLogger(__name__)

FILE_NAME = "primary_sensors.json"
FILE_BYTES_MAX = 16 * 1024
"""Seven kinds, each with one name."""

MISSING_S_MAX = 3600.0
"""How long the place of a primary sensor is kept that is missing: a loose cable is found, and a new sensor is not
taken for the old one at once. After that another sensor of the kind reports in its place."""


class PrimaryFile(msgspec.Struct, frozen=True):
    """The file: by kind, the sensor that was chosen without the configuration."""

    primary: Mapping[str, str] = {}


class OwnSensors:
    """The sensors of the board, as the sampler reads them.

    Attributes:
        primary: The primary sensors now.
        problems: What is wrong in `[sensors]` of the configuration or with a primary sensor, in words.
    """

    def __init__(
        self,
        config: Config,
        board: Board,
        check_for: Callable[[Sensor], PlausibilityCheck],
        *,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        derived: Callable[[], Sequence[Sensor]] = lambda: (),
    ) -> None:
        """Choose among the sensors that the board has now; a board that finds its sensors is searched first.

        Args:
            config: Of the hub.
            board: Its sensors.
            check_for: Returns the plausibility check of a sensor.
            clock: For how long a sensor is missing.
            disk: Where the choice is stored.
            worker: Where storing it blocks.
            derived: Returns sensors that are computed from the board's channels.
        """
        self._config = config
        self._board = board
        self._check_for = check_for
        self._clock = clock
        self._worker = worker
        self._derived = derived
        self._store = JsonStore(
            config.storage.state_dir / FILE_NAME,
            PrimaryFile(),
            disk=disk,
            worker=worker,
            bytes_max=FILE_BYTES_MAX,
            loss="the primary sensors are chosen anew",
        )
        self._checks: dict[str, tuple[Sensor, PlausibilityCheck]] = {}
        self._missing_since_ms: dict[str, int] = {}
        self.primary = PrimarySensors({})
        self.problems: tuple[str, ...] = ()
        if self.finder is None:
            self._choose()
        else:
            self._follow_board()

    @property
    def path(self) -> Path:
        """The file."""
        return self._store.path

    @property
    def finder(self) -> FindsChannels | None:
        """The board, where its sensors come and go; else `None`."""
        return self._board if isinstance(self._board, FindsChannels) else None

    @property
    def computed(self) -> Sequence[DescribesChannel]:
        """The sensors that are computed from the board's channels and have a channel of their own."""
        return tuple(sensor for sensor in self._derived() if isinstance(sensor, DescribesChannel))

    @property
    def checked(self) -> Sequence[tuple[Sensor, PlausibilityCheck]]:
        """The sensors to read, each with its check; the same objects as long as a sensor is there."""
        return tuple(self._checks.values())

    async def follow(self, finder: FindsChannels, sampler: Sampler) -> None:
        """Have the sampler read what the board finds, until cancelled."""
        await self._worker.run(self._store.load)
        async with asyncio.TaskGroup() as group:
            if self._store.is_unread:
                group.create_task(self._read_late(sampler))
            await finder.search()
            while True:
                self._choose()
                sampler.follow(self.checked, primary=self.primary.sensors)
                await self._remember()
                with contextlib.suppress(TimeoutError):
                    # After that time the place of a sensor that is missing is given away.
                    async with asyncio.timeout(MISSING_S_MAX if self._missing_since_ms else None):
                        await finder.channels_changed()

    async def _read_late(self, sampler: Sampler) -> None:
        """Follow the choice of earlier once a disk that does not answer gives it."""
        await self._store.retry_read(lambda _, found: found)
        self._choose()
        sampler.follow(self.checked, primary=self.primary.sensors)

    def _choose(self) -> None:
        """Choose the primary sensors, and follow the board."""
        self._follow_board()
        config = self._config.sensors
        gone = self.finder.gone if self.finder is not None else ()
        sensors = [(sensor.name, sensor.kind) for sensor in self._all()]
        before = self._before({name for name, _ in sensors if name not in gone})
        self.primary = choose_primary(
            sensors, primary=config.primary, disabled=config.disabled, before=before, gone=gone
        )
        zones = {zone.id: zone.sensors for zone in self._config.climate.zones}
        problems = (
            *self.primary.problems,
            *case_problems([each for each in sensors if each[0] not in config.disabled], config.in_case),
            *machine_parts_named(config.primary, zones),
        )
        for problem in problems:
            if problem not in self.problems:
                _log.warning("%s", problem)
        self.problems = problems

    def _before(self, present: Collection[str]) -> Mapping[SensorKind, str]:
        """Return the choice of earlier, without sensors that are missing for so long that others take their place."""
        now_ms = self._clock.monotonic_ms()
        before = {SensorKind(kind): name for kind, name in self._store.value.primary.items() if kind in set(SensorKind)}
        missing = {name for name in before.values() if name not in present}
        self._missing_since_ms = {name: self._missing_since_ms.get(name, now_ms) for name in missing}
        lost = {name for name, since_ms in self._missing_since_ms.items() if now_ms - since_ms >= MISSING_S_MAX * 1000}
        return {kind: name for kind, name in before.items() if name not in lost}

    async def _remember(self) -> None:
        chosen = {
            kind.value: name for kind, name in self.primary.sensors.items() if kind not in self._config.sensors.primary
        }
        before = self._store.value.primary
        for kind, name in chosen.items():
            if before.get(kind, name) != name:
                _log.warning("%s of this hub is now that of %s; it was that of %s", kind, name, before[kind])
        await self._store.apply(lambda file: PrimaryFile({**file.primary, **chosen}))

    def _all(self) -> Sequence[Sensor]:
        return (*self._board.sensors, *self._derived())

    def _follow_board(self) -> None:
        checks: dict[str, tuple[Sensor, PlausibilityCheck]] = {}
        for sensor in self._all():
            if sensor.name not in self._config.sensors.disabled:
                known = self._checks.get(sensor.name)
                if known is None or known[0] is not sensor:
                    known = sensor, self._check_for(sensor)
                checks[sensor.name] = known
        self._checks = checks
