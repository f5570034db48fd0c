"""A simulated board: the world (house, radio, faults), and the hub's hardware in it.

The environment outlives the hub: a hub that restarts gets a new `SimBoard` in the same `SimEnvironment`. Radio reports
sent in between are lost, as with a real radio.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from hal.errors import ActuatorFault
from hal.interface import SERIES_MAX, HvacAction, HvacDemand, RelayedSensor, SensorKind, ZoneOutput
from hal.sim.building import FLAT
from hal.sim.faults import Fault, by_sensor
from hal.sim.house import House, Truth
from hal.sim.mesh import SimMesh
from hal.sim.network import SimNetwork
from hal.sim.numerics import Noise, stream_for
from hal.sim.occupants import OccupantThermostat
from hal.sim.radio import SimRadio, fading_signal, relayed_sensors
from hal.sim.sensors import ELEMENTS, Channel, OnValue, SimSensor

HUB_KINDS: Final = tuple(SensorKind)
HUB_ROOM: Final = "living"
SECOND_SOURCE: Final = "sim/temperature-2"
HUB_SIGNAL_DBM: Final = -58.0
INTERVAL_S_MAX: Final = 86_399.0
"""A lone sleep of a day or more is an error in virtual time."""

_SIGNALS: Final = {
    SensorKind.TEMPERATURE: f"{HUB_ROOM}/temperature",
    SensorKind.HUMIDITY: f"{HUB_ROOM}/humidity",
    SensorKind.IAQ: f"{HUB_ROOM}/iaq",
    SensorKind.PRESSURE: "pressure",
    SensorKind.POWER_AVAILABILITY: "mains",
    SensorKind.BATTERY_LEVEL: "battery",
}


class SimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A world to be simulated.

    Attributes:
        seed: Everything random follows from it.
        start_utc_ms: The UTC instant at which the world begins.
        sensors_count: Series in all: the hub's seven and those of relayed sensors.
        report_interval_s: The time between two reports of a relayed sensor.
        faults: What goes wrong with the sensors.
        has_occupant_thermostat: Whether the occupants' own thermostat heats while the hub does not.
        has_second_temperature: Whether the hub has two temperature sensors; the second comes on top of the count.
        reports_max: How many reports the radio keeps for a hub that does not fetch them.
        unpaired_count: How many relayed sensors, the last ones, have yet to be paired.
    """

    seed: int
    start_utc_ms: int
    sensors_count: int = len(HUB_KINDS)
    report_interval_s: float = 60.0
    faults: tuple[Fault, ...] = ()
    has_occupant_thermostat: bool = True
    has_second_temperature: bool = False
    reports_max: int = 256
    unpaired_count: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated.

        Raises:
            ValueError: A number is outside its bounds, or a fault names no sensor of this world.
        """
        if not len(HUB_KINDS) <= self.sensors_count <= SERIES_MAX:
            raise ValueError(f"sensors_count: {self.sensors_count} is outside {len(HUB_KINDS)} to {SERIES_MAX}")
        if not 1.0 <= self.report_interval_s <= INTERVAL_S_MAX:
            raise ValueError(f"report_interval_s: {self.report_interval_s} is outside 1 to {INTERVAL_S_MAX:.0f}")
        if self.reports_max < 1:
            raise ValueError(f"reports_max: {self.reports_max} is below 1")
        if not 0 <= self.unpaired_count <= len(self.relayed):
            raise ValueError(
                f"unpaired_count: {self.unpaired_count} is outside 0 to {len(self.relayed)}, all that are relayed"
            )
        known = {name for name, _ in self.series} | {sensor.name for sensor in self.relayed}
        unknown = sorted({fault.sensor for fault in self.faults} - known)
        if unknown:
            raise ValueError(f"faults: no such sensor: {', '.join(unknown)}")

    @property
    def relayed(self) -> tuple[RelayedSensor, ...]:
        """The relayed sensors of this world."""
        return relayed_sensors(self.seed, self.sensors_count - len(HUB_KINDS), [zone.name for zone in FLAT.zones])

    @property
    def series(self) -> tuple[tuple[str, SensorKind], ...]:
        """Name and kind of every series, as faults name them: "sim/KIND" on the hub, "ROOM NUMBER/KIND" elsewhere."""
        own = [(f"sim/{kind}", kind) for kind in HUB_KINDS]
        if self.has_second_temperature:
            own.append((SECOND_SOURCE, SensorKind.TEMPERATURE))
        return (*own, *((f"{sensor.name}/{kind}", kind) for sensor in self.relayed for kind in sensor.kinds))


class SimEnvironment:
    """The house and everything on the air in it; survives its hub.

    The relays are part of it: when a hub dies they stay as it left them, until the next one says otherwise.

    Attributes:
        options: What it was made from.
        house: The house.
        channels: The hub's own elements.
        radio: The relayed sensors, where there are any.
        mesh: Which of them are in the network, where there are any.
    """

    def __init__(self, options: SimOptions) -> None:
        self.options = options
        thermostat = OccupantThermostat() if options.has_occupant_thermostat else None
        self.house = House(seed=options.seed, start_utc_ms=options.start_utc_ms, thermostat=thermostat)
        noise = Noise(options.seed)
        faults = by_sensor(options.faults)
        own = [(name, kind) for name, kind in options.series if name.startswith("sim/")]
        self.channels = tuple(
            Channel(
                name=name,
                kind=kind,
                truth=self._truth(kind, noise),
                noise=noise,
                stream=stream_for(options.seed, name),
                faults=faults.get(name, ()),
            )
            for name, kind in own
        )
        relayed = options.relayed
        self.radio: SimRadio | None = None
        self.mesh: SimMesh | None = None
        if relayed:
            self.radio = SimRadio(
                self.house,
                seed=options.seed,
                sensors=relayed,
                interval_s=options.report_interval_s,
                faults=faults,
                noise=noise,
                reports_max=options.reports_max,
            )
            boxed = [sensor.device for sensor in relayed[len(relayed) - options.unpaired_count :]]
            self.mesh = SimMesh(self.radio, seed=options.seed, boxed=boxed, advance_to=self.advance_to)

    def advance_to(self, at_ms: int) -> None:
        """Bring everything to an instant, in order of time.

        Args:
            at_ms: Milliseconds since the world's start; an instant in the past changes nothing.
        """
        if self.radio is not None and at_ms >= self.radio.due_ms:
            self.radio.collect(at_ms)
        self.house.advance_to(at_ms)

    def listen(self, *, at_ms: int, world_offset_ms: int) -> None:
        """Begin a boot of the hub: what came over the air before it is lost.

        Args:
            at_ms: The present, in the world's time.
            world_offset_ms: The world's time minus the boot's monotonic clock.
        """
        self.advance_to(at_ms)
        if self.radio is not None:
            self.radio.waiting.clear()
            self.radio.world_offset_ms = world_offset_ms

    def _truth(self, kind: SensorKind, noise: Noise) -> Truth:
        """Return what an element of the hub measures."""
        if kind is SensorKind.SIGNAL_STRENGTH:
            return fading_signal(noise, stream_for(self.options.seed, "hub signal"), HUB_SIGNAL_DBM)
        return self.house.probe(_SIGNALS[kind], lag_s=ELEMENTS[kind].lag_s)


class SimOutputs:
    """The relays of the simulated house, implementing `hal.interface.HvacOutputs`."""

    def __init__(self, world: SimEnvironment, *, monotonic_ms: Callable[[], int], world_offset_ms: int) -> None:
        self._world = world
        self._monotonic_ms = monotonic_ms
        self._world_offset_ms = world_offset_ms

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The rooms, by name."""
        return self._world.house.outputs

    async def apply(self, demand: HvacDemand) -> None:
        """Set the output of each named room and switch the others off; the tenant's thermostat stands back.

        Where a shared source is spoken of, a room gets only what that makes.

        Raises:
            ActuatorFault: There is no such room. Nothing was changed.
        """
        zones = [zone.name for zone in self.zones]
        unknown = sorted(set(demand.zones) - set(zones))
        if unknown:
            raise ActuatorFault(f"no output for {', '.join(unknown)}; this house has {', '.join(zones)}")
        at_ms = self._monotonic_ms() + self._world_offset_ms
        self._world.advance_to(at_ms)
        self._world.house.command(at_ms, [_given(demand, zone) for zone in zones])

    def release(self) -> None:
        """Switch everything off and let the tenant's thermostat take over."""
        at_ms = self._monotonic_ms() + self._world_offset_ms
        self._world.advance_to(at_ms)
        self._world.house.release(at_ms)


def _given(demand: HvacDemand, zone: str) -> HvacAction:
    """Return what a room gets: what it is told, as far as the source makes it."""
    action = demand.zones.get(zone, HvacAction.OFF)
    return action if demand.heat_source is None or demand.heat_source.action is action else HvacAction.OFF


class SimBoard:
    """The hub's hardware in a simulated world, implementing `hal.interface.Board`.

    Attributes:
        world: The world that it stands in.
        sensors: The hub's own sensors: one of each kind, and a second for temperature where the options say so.
        network: The relayed sensors; `None` where the options have none.
        outputs: The relays of all rooms.
    """

    name = "sim"

    def __init__(
        self,
        world: SimEnvironment,
        *,
        monotonic_ms: Callable[[], int],
        utc_ms: Callable[[], int] | None = None,
        on_value: OnValue | None = None,
    ) -> None:
        """Boot a hub in a world.

        Args:
            world: The world, new or the one that an earlier hub stood in.
            monotonic_ms: This boot's monotonic clock.
            utc_ms: The true UTC, which ties the boot to the world's time. Without it, the world goes on from the minute
                in which it was looked at last.
            on_value: Told of every value that a sensor gave and every reading that the network handed over.
        """
        self.world = world
        now_ms = monotonic_ms()
        world_ms = world.house.minute_ms if utc_ms is None else utc_ms() - world.options.start_utc_ms
        offset_ms = world_ms - now_ms
        world.listen(at_ms=world_ms, world_offset_ms=offset_ms)
        self.sensors: Sequence[SimSensor] = tuple(
            SimSensor(
                channel,
                monotonic_ms=monotonic_ms,
                world_offset_ms=offset_ms,
                advance_to=world.advance_to,
                on_value=on_value,
            )
            for channel in world.channels
        )
        self.network = (
            None
            if world.radio is None or world.mesh is None
            else SimNetwork(
                world.radio,
                world.mesh,
                monotonic_ms=monotonic_ms,
                advance_to=world.advance_to,
                on_value=on_value,
            )
        )
        self.outputs = SimOutputs(world, monotonic_ms=monotonic_ms, world_offset_ms=offset_ms)

    async def close(self) -> None:
        """Switch the outputs off; the tenant's thermostat takes over."""
        self.outputs.release()
