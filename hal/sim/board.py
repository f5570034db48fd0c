"""A simulated board: the environment (house, radio, faults) and the hub's hardware in it.

The environment outlives the hub: a hub that restarts gets a new `SimBoard` in the same `SimEnvironment`. Radio reports
sent in between are lost, as with a real radio.
"""

import logging
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

_log = logging.getLogger(__name__)

HUB_KINDS: Final = tuple(SensorKind)
HUB_ROOM: Final = "living"
SECOND_SOURCE: Final = "sim/temperature-2"
HUB_SIGNAL_DBM: Final = -58.0
INTERVAL_S_MAX: Final = 86_399.0
"""A single sleep of a day or more is an error in virtual time."""

_SIGNALS: Final = {
    SensorKind.TEMPERATURE: f"{HUB_ROOM}/temperature",
    SensorKind.HUMIDITY: f"{HUB_ROOM}/humidity",
    SensorKind.IAQ: f"{HUB_ROOM}/iaq",
    SensorKind.PRESSURE: "pressure",
    SensorKind.POWER_AVAILABILITY: "mains",
    SensorKind.BATTERY_LEVEL: "battery",
}


class SimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a simulated environment.

    Attributes:
        seed: Determines everything random.
        start_utc_ms: UTC instant of the start of the simulation.
        sensors_count: Total number of series: the hub's seven and those of relayed sensors.
        report_interval_s: Time between two reports of a relayed sensor.
        reports_together: Whether all of them report at the same instants, exactly so far apart.
        faults: Faults of the sensors.
        has_occupant_thermostat: Whether the occupants' own thermostat heats while the hub does not.
        has_second_temperature: Whether the hub has a second temperature sensor, in addition to the count.
        reports_max: Capacity of the radio's buffer of unfetched reports.
        unpaired_count: How many relayed sensors, the last ones, have yet to be paired.
    """

    seed: int
    start_utc_ms: int
    sensors_count: int = len(HUB_KINDS)
    report_interval_s: float = 60.0
    reports_together: bool = False
    faults: tuple[Fault, ...] = ()
    has_occupant_thermostat: bool = True
    has_second_temperature: bool = False
    reports_max: int = 256
    unpaired_count: int = 0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: A number is out of range, or a fault names an unknown sensor.
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
        """The relayed sensors of this environment."""
        return relayed_sensors(self.seed, self.sensors_count - len(HUB_KINDS), [zone.name for zone in FLAT.zones])

    @property
    def series(self) -> tuple[tuple[str, SensorKind], ...]:
        """Name and kind of every series, as faults name them: "sim/KIND" on the hub, "ROOM NUMBER/KIND" elsewhere."""
        own = [(f"sim/{kind}", kind) for kind in HUB_KINDS]
        if self.has_second_temperature:
            own.append((SECOND_SOURCE, SensorKind.TEMPERATURE))
        return (*own, *((f"{sensor.name}/{kind}", kind) for sensor in self.relayed for kind in sensor.kinds))


class SimEnvironment:
    """The house, its sensors and its radio network; outlives the hub.

    It includes the relays: after a crash of the hub they keep their state until the next hub changes it.

    Attributes:
        options: Its options.
        house: The house.
        channels: The hub's own elements.
        radio: The relayed sensors; `None` without any.
        mesh: The members of the network; `None` without relayed sensors.
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
                reports_together=options.reports_together,
                faults=faults,
                noise=noise,
                reports_max=options.reports_max,
            )
            unpaired = [sensor.device for sensor in relayed[len(relayed) - options.unpaired_count :]]
            self.mesh = SimMesh(self.radio, seed=options.seed, unpaired=unpaired, advance_to=self.advance_to)

    def advance_to(self, at_ms: int) -> None:
        """Advance everything to an instant, in order of time.

        Args:
            at_ms: Simulated time; an instant in the past changes nothing.
        """
        if self.radio is not None and at_ms >= self.radio.due_ms:
            self.radio.collect(at_ms)
        self.house.advance_to(at_ms)

    def listen(self, *, at_ms: int, sim_offset_ms: int) -> None:
        """Start a boot of the hub: earlier radio reports are lost.

        Args:
            at_ms: The present, in simulated time.
            sim_offset_ms: Simulated time minus the boot's monotonic clock.
        """
        self.advance_to(at_ms)
        if self.radio is not None:
            self.radio.waiting.clear()
            self.radio.sim_offset_ms = sim_offset_ms

    def _truth(self, kind: SensorKind, noise: Noise) -> Truth:
        """Return the true value that an element of the hub measures."""
        if kind is SensorKind.SIGNAL_STRENGTH:
            return fading_signal(noise, stream_for(self.options.seed, "hub signal"), HUB_SIGNAL_DBM)
        return self.house.probe(_SIGNALS[kind], lag_s=ELEMENTS[kind].lag_s)


class SimOutputs:
    """The relays of the simulated house, implementing `hal.interface.HvacOutputs`."""

    def __init__(self, environment: SimEnvironment, *, monotonic_ms: Callable[[], int], sim_offset_ms: int) -> None:
        self._environment = environment
        self._monotonic_ms = monotonic_ms
        self._sim_offset_ms = sim_offset_ms

    @property
    def zones(self) -> Sequence[ZoneOutput]:
        """The rooms, by name."""
        return self._environment.house.outputs

    async def apply(self, demand: HvacDemand) -> None:
        """Set the output of each named room and switch the others off; this disables the occupants' thermostat.

        With a shared heat source, a room gets only what that produces.

        Raises:
            ActuatorFault: There is no such room. Nothing was changed.
        """
        zones = [zone.name for zone in self.zones]
        unknown = sorted(set(demand.zones) - set(zones))
        if unknown:
            raise ActuatorFault(f"no output for {', '.join(unknown)}; this house has {', '.join(zones)}")
        at_ms = self._monotonic_ms() + self._sim_offset_ms
        self._environment.advance_to(at_ms)
        self._environment.house.command(at_ms, [_effective_action(demand, zone) for zone in zones])

    def release(self) -> None:
        """Switch everything off and enable the occupants' thermostat."""
        at_ms = self._monotonic_ms() + self._sim_offset_ms
        self._environment.advance_to(at_ms)
        self._environment.house.release(at_ms)


class SimLed:
    """The LED of the simulated hub, implementing `hal.interface.Led`: the log shows it."""

    name = "sim"

    def __init__(self) -> None:
        """Leave it dark."""
        self.is_lit = False
        """Whether somebody has it blink."""

    async def light(self, *, is_on: bool) -> None:
        """See `hal.interface.Led`."""
        if is_on and not self.is_lit:
            _log.info("the LED blinks")
            self.is_lit = True

    async def release(self) -> None:
        """See `hal.interface.Led`."""
        if self.is_lit:
            _log.info("the LED shows what it showed before")
            self.is_lit = False


def _effective_action(demand: HvacDemand, zone: str) -> HvacAction:
    """Return the effective action in a room: the commanded one, if the heat source produces it."""
    action = demand.zones.get(zone, HvacAction.OFF)
    return action if demand.heat_source is None or demand.heat_source.action is action else HvacAction.OFF


class SimBoard:
    """The hub's hardware in a simulated environment, implementing `hal.interface.Board`.

    Attributes:
        environment: The environment of the hub.
        sensors: The hub's own sensors: one of each kind, and a second one for temperature if enabled.
        network: The network of relayed sensors; `None` without any.
        outputs: The relays of all rooms.
        led: By which a person finds the hub.
    """

    name = "sim"

    def __init__(
        self,
        environment: SimEnvironment,
        *,
        monotonic_ms: Callable[[], int],
        utc_ms: Callable[[], int] | None = None,
        on_value: OnValue | None = None,
        window_pace: float = 1.0,
    ) -> None:
        """Boot a hub in an environment.

        Args:
            environment: A new environment, or the one of an earlier hub.
            monotonic_ms: This boot's monotonic clock.
            utc_ms: The true UTC, which relates the boot to simulated time. Without it, the simulation continues from
                its last minute.
            on_value: Called for every value of a sensor and every reading of the network.
            window_pace: See `SimNetwork`.
        """
        self.environment = environment
        now_ms = monotonic_ms()
        sim_ms = environment.house.minute_ms if utc_ms is None else utc_ms() - environment.options.start_utc_ms
        offset_ms = sim_ms - now_ms
        environment.listen(at_ms=sim_ms, sim_offset_ms=offset_ms)
        self.sensors: Sequence[SimSensor] = tuple(
            SimSensor(
                channel,
                monotonic_ms=monotonic_ms,
                sim_offset_ms=offset_ms,
                advance_to=environment.advance_to,
                on_value=on_value,
            )
            for channel in environment.channels
        )
        self.network = (
            None
            if environment.radio is None or environment.mesh is None
            else SimNetwork(
                environment.radio,
                environment.mesh,
                monotonic_ms=monotonic_ms,
                advance_to=environment.advance_to,
                on_value=on_value,
                window_pace=window_pace,
            )
        )
        self.outputs = SimOutputs(environment, monotonic_ms=monotonic_ms, sim_offset_ms=offset_ms)
        self.led = SimLed()

    async def close(self) -> None:
        """Switch the outputs off and enable the occupants' thermostat."""
        self.outputs.release()
