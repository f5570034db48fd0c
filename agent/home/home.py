"""The home: what every API of the hub sees and changes. No API reaches past it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from agent.foundation.clock import Clock, read_now
from agent.home.changes import HomeChanges
from agent.home.humidity import Channel, HumidityLookup
from agent.home.thermostats import Thermostats

if TYPE_CHECKING:
    from agent.climate.fusion import SensorState
    from agent.climate.service import ClimateService


class Home:
    """The services of one home.

    Attributes:
        changes: Tells listeners what changes.
        thermostats: The zones.
    """

    def __init__(
        self,
        *,
        climate: "ClimateService | None",
        channels: "Mapping[Channel, SensorState]",
        device_names: Callable[[], Mapping[str, str]],
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        """Build the services; nothing runs yet.

        Args:
            climate: The control; `None` where the hub drives nothing.
            channels: The state of every sensor channel. It grows as sensors report.
            device_names: Returns the devices of relayed sensors, by the names that people gave them.
            clock: The clocks of the boot.
            new_id: Makes ids of holds and actions.
        """
        self.changes = HomeChanges(
            lambda: {each.zone_id: each for each in self.thermostats.all()}, lambda: read_now(clock)
        )
        humidity = HumidityLookup(
            climate.settings if climate else None,
            channels=channels,
            devices=device_names,
            now_ms=clock.monotonic_ms,
        )
        self.thermostats = Thermostats(climate, humidity=humidity, changes=self.changes, new_id=new_id)
        if climate:
            climate.on_decision(self.changes.request_look)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops, by the name under which their faults are shown."""
        return {"home": self.changes.run}
