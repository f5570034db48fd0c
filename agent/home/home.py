"""The home: what every API of the hub sees and changes. No API reaches past it."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.foundation.clock import Clock, read_now
from agent.foundation.disk import Disk
from agent.foundation.worker import Worker
from agent.home.action_service import ActionService
from agent.home.changes import HomeChanges
from agent.home.devices import Devices
from agent.home.humidity import Channel, HumidityLookup
from agent.home.spaces import Spaces
from agent.home.thermostat import Thermostat
from agent.home.thermostats import Thermostats
from agent.pairing.service import PairingQueries
from agent.telemetry.intake import ChannelState

if TYPE_CHECKING:
    from agent.climate.service import ClimateService


class Home:
    """The services of one home.

    Attributes:
        changes: Tells listeners what changes.
        thermostats: The zones.
        devices: The hub, the zones and the sensors of the radio.
    """

    def __init__(
        self,
        *,
        climate: "ClimateService | None",
        channels: Mapping[Channel, ChannelState],
        pairing: PairingQueries,
        board_name: str,
        directory: Path,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        new_id: Callable[[], str],
        names_follow_spaces: bool = False,
    ) -> None:
        """Build the services; nothing runs yet. Reads the spaces where names follow them, which blocks.

        Args:
            climate: The control; `None` where the hub drives nothing.
            channels: The state of every sensor channel. It grows as sensors report.
            pairing: Sensors of the radio.
            board_name: The model of the hub.
            directory: Of the files.
            clock: The clocks of the boot.
            disk: Writes the files.
            worker: Runs what blocks.
            new_id: Makes ids of holds, actions and spaces.
            names_follow_spaces: A zone has the name of the space that it is in.
        """
        self._make_spaces = partial(Spaces, directory, disk=disk, worker=worker, new_id=new_id)
        name_of = self._space_name if names_follow_spaces else str
        self.changes = HomeChanges(zones=self._zones, sensors=self._sensors, now=lambda: read_now(clock))
        humidity = HumidityLookup(
            climate.settings if climate else None,
            channels=channels,
            devices=pairing.devices_by_name,
            now_ms=clock.monotonic_ms,
        )
        self.thermostats = Thermostats(climate, humidity=humidity, changes=self.changes, new_id=new_id, name_of=name_of)
        self.devices = Devices(
            thermostats=self.thermostats, pairing=pairing, channels=channels, board_name=board_name, clock=clock
        )
        self._make_actions = partial(
            ActionService,
            directory,
            thermostats=self.thermostats,
            changes=self.changes,
            clock=clock,
            disk=disk,
            worker=worker,
            new_id=new_id,
        )
        if names_follow_spaces:
            _ = self.spaces
        if climate:
            climate.on_decision(self.changes.request_look)

    @cached_property
    def actions(self) -> ActionService:
        """The actions of clients. They are carried out where an API has used this before the loops begin."""
        return self._make_actions()

    @cached_property
    def spaces(self) -> Spaces:
        """The rooms, floors and houses that the owner has named. Read at the first use, which blocks."""
        return self._make_spaces()

    def _space_name(self, zone_id: str) -> str:
        space = self.spaces.tree.space_of(zone_id)
        return space.name if space else zone_id

    def _zones(self) -> Mapping[str, Thermostat]:
        return {each.zone_id: each for each in self.thermostats.all()}

    def _sensors(self) -> Mapping[str, bool]:
        return self.devices.online()

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops, by the name under which their faults are shown."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {"home": self.changes.run}
        if "spaces" in vars(self):
            loops["spaces"] = self.spaces.read_again
        return loops | {"actions": self.actions.run} if "actions" in vars(self) else loops
