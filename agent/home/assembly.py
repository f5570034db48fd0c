"""Builds the home for one hub when it is first needed: a hub without zones and APIs imports none of it."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.pairing.service import PairingService
from agent.telemetry.service import TelemetryService

if TYPE_CHECKING:
    from agent.climate.service import ClimateService
    from agent.home.home import Home


class HomeAssembly:
    """The home of one hub.

    Attributes:
        has_zones: The hub heats or cools something.
    """

    def __init__(
        self,
        *,
        climate: "ClimateService | None",
        telemetry: TelemetryService,
        pairing: PairingService,
        board_name: str,
        directory: Path,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        new_id: Callable[[], str],
        names_follow_spaces: bool,
    ) -> None:
        """Keep the components.

        Args:
            climate: The control; `None` where the hub drives nothing.
            telemetry: Readings.
            pairing: Sensors of the radio.
            board_name: The model of the hub.
            directory: Of the files.
            clock: The clocks of the boot.
            disk: Writes the files.
            worker: Runs what blocks.
            new_id: Makes ids of holds, actions and spaces.
            names_follow_spaces: A zone has the name of the space that it is in.
        """
        self._climate = climate
        self._telemetry = telemetry
        self._pairing = pairing
        self._board_name = board_name
        self._directory = directory
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._new_id = new_id
        self._names_follow_spaces = names_follow_spaces
        self.has_zones = climate is not None

    @cached_property
    def home(self) -> "Home":
        """The home, built at the first use."""
        # Imported late: with the types of the climate control it takes 2 MiB.
        from agent.home.home import Home  # noqa: PLC0415

        return Home(
            climate=self._climate,
            channels=self._telemetry.intake.channels,
            pairing=self._pairing.queries,
            board_name=self._board_name,
            directory=self._directory,
            clock=self._clock,
            disk=self._disk,
            worker=self._worker,
            new_id=self._new_id,
            names_follow_spaces=self._names_follow_spaces,
        )

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops of a home that has been built, by the name under which their faults are shown."""
        return self.home.loops() if "home" in vars(self) else {}
