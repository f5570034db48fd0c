"""Which of the board's sensors are read, and which are the hub's own in the cloud, while sensors come and go.

Owns the choice of the primary sensors at run time. Must never exchange a primary sensor that works for one that is new.
"""

import logging
from collections.abc import Callable, Sequence

from agent.config import Config
from agent.config.primary import PrimarySensors, choose_primary, machine_parts_named
from agent.telemetry.sampling import Sampler
from hal.channels import FindsChannels
from hal.interface import Board, Sensor
from hal.plausibility import PlausibilityCheck

_log = logging.getLogger(__name__)


class OwnSensors:
    """The sensors of the board, as the sampler reads them.

    Attributes:
        primary: The primary sensors now.
        problems: What is wrong in `[sensors]` of the configuration, in words.
    """

    def __init__(self, config: Config, board: Board, check_for: Callable[[Sensor], PlausibilityCheck]) -> None:
        """Choose among the sensors that the board has now.

        Args:
            config: Of the hub.
            board: Its sensors.
            check_for: Returns the plausibility check of a sensor.
        """
        self._config = config
        self._board = board
        self._check_for = check_for
        self._checks: dict[str, tuple[Sensor, PlausibilityCheck]] = {}
        self.primary = PrimarySensors({})
        self.problems: tuple[str, ...] = ()
        self._choose()

    @property
    def finder(self) -> FindsChannels | None:
        """The board, where its sensors come and go; else `None`."""
        return self._board if isinstance(self._board, FindsChannels) else None

    @property
    def checked(self) -> Sequence[tuple[Sensor, PlausibilityCheck]]:
        """The sensors to read, each with its check; the same objects as long as a sensor is there."""
        return tuple(self._checks.values())

    async def follow(self, finder: FindsChannels, sampler: Sampler) -> None:
        """Have the sampler read what the board finds, until cancelled."""
        while True:
            await finder.channels_changed()
            self._choose()
            sampler.follow(self.checked, primary=self.primary.sensors)

    def _choose(self) -> None:
        config, sensors = self._config.sensors, self._board.sensors
        self.primary = choose_primary(
            [(sensor.name, sensor.kind) for sensor in sensors], primary=config.primary, disabled=config.disabled
        )
        zones = {zone.id: zone.sensors for zone in self._config.climate.zones}
        problems = (*self.primary.problems, *machine_parts_named(config.primary, zones))
        for problem in problems:
            if problem not in self.problems:
                _log.warning("%s", problem)
        self.problems = problems
        checks: dict[str, tuple[Sensor, PlausibilityCheck]] = {}
        for sensor in sensors:
            if sensor.name not in config.disabled:
                known = self._checks.get(sensor.name)
                checks[sensor.name] = (
                    known if known is not None and known[0] is sensor else (sensor, self._check_for(sensor))
                )
        self._checks = checks
