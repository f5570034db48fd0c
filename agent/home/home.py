"""The home: what every API of the hub sees and changes. No API reaches past it."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property, partial

from agent.foundation.clock import read_now
from agent.home.action_service import ActionService
from agent.home.changes import HomeChanges
from agent.home.devices import Devices
from agent.home.humidity import HumidityLookup
from agent.home.parts import HomeParts
from agent.home.spaces import Spaces
from agent.home.thermostat import Thermostat
from agent.home.thermostats import Thermostats


class Home:
    """The services of one home.

    Attributes:
        changes: Tells listeners what changes.
        thermostats: The zones.
        devices: The hub, the zones and the sensors of the radio.
        findings: Returns what predictive maintenance knows about a zone, by its id.
        alerts: Those of predictive maintenance; `None` where the hub drives nothing.
        observe_post: Gives predictive maintenance what a client has measured at a machine of a zone.
    """

    def __init__(self, parts: HomeParts) -> None:
        """Build the services; nothing runs yet. Reads the spaces where names follow them, which blocks."""
        climate, clock, disk, worker, new_id = parts.climate, parts.clock, parts.disk, parts.worker, parts.new_id
        self._make_spaces = partial(Spaces, parts.directory, disk=disk, worker=worker, new_id=new_id)
        name_of = self._space_name if parts.names_follow_spaces else str
        self.findings = parts.findings
        self.alerts = parts.alerts
        self.observe_post = parts.observe_post
        self.changes = HomeChanges(zones=self._zones, sensors=self._sensors, now=lambda: read_now(clock))
        humidity = HumidityLookup(
            climate.settings if climate else None,
            channels=parts.channels,
            devices=parts.pairing.devices_by_name,
            now_ms=clock.monotonic_ms,
        )
        self.thermostats = Thermostats(climate, humidity=humidity, changes=self.changes, new_id=new_id, name_of=name_of)
        self.devices = Devices(
            thermostats=self.thermostats,
            pairing=parts.pairing,
            channels=parts.channels,
            offset_of=parts.offset_of,
            board_name=parts.board_name,
            clock=clock,
        )
        self._make_actions = partial(
            ActionService,
            parts.directory,
            thermostats=self.thermostats,
            changes=self.changes,
            clock=clock,
            disk=disk,
            worker=worker,
            new_id=new_id,
        )
        if parts.names_follow_spaces:
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
