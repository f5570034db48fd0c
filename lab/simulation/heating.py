"""A heated home, stepped without an event loop: a day takes a fraction of a second.

The hub's own code decides (`agent.climate`); `hal.sim` provides house, weather, sensors and their faults. The loop
around the decisions is missing; it has tests of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Self

import msgspec

from agent.climate.controller import ClimateController
from agent.climate.fusion import SensorReading
from agent.climate.model import ZoneProgram
from agent.climate.output_test import OutputTest
from agent.climate.settings import ClimateSettings
from agent.climate.snapshot import ClimateSnapshot
from agent.foundation.clock import Now
from hal.errors import HalError
from hal.interface import HvacAction, HvacDemand, Quality, SensorKind
from hal.plausibility import PlausibilityCheck
from hal.sim.building import FLAT, Building
from hal.sim.faults import Fault, by_sensor
from hal.sim.house import House
from hal.sim.numerics import Noise, stream_for
from hal.sim.plant import HEAT_PUMP, HeatGenerator
from hal.sim.sensors import ELEMENTS, Channel, Element
from lab.simulation.safety_oracle import SafetyOracle

BOOT_MS = 20_000
"""Uptime of a machine when its agent starts."""


YOUNG_MIN = 15
"""See `snapshot.SHORT_RUN_S` and `snapshot.INTERVAL_S`."""

WINDOW_AIR_CHANGES_PER_H = (4.0, 15.0)
"""Tilted, and wide open (EN 15242)."""


class HomeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The hub's part of a home.

    Attributes:
        settings: Of the climate control.
        start_utc_ms: When it begins.
        programs: The zones' programs, by id.
        tick_s: Between two decisions.
        zone: The house's time zone.
    """

    settings: ClimateSettings
    start_utc_ms: int
    programs: Mapping[str, ZoneProgram] = {}
    tick_s: float = 60.0
    zone: tzinfo = UTC


class HeatedHomeOptions(HomeOptions, frozen=True, kw_only=True):
    """A home in one of the buildings of `hal.sim.building`; its sensors are called "ROOM" and "ROOM 2".

    Attributes:
        seed: Of house, weather and sensors.
        faults: Of the sensors.
        element: Of the sensors; `None` for the usual one.
        building: The rooms.
        generator: The heat source.
    """

    seed: int
    faults: Sequence[Fault] = ()
    element: Element | None = None
    building: Building = FLAT
    generator: HeatGenerator = HEAT_PUMP


class ControlledHome(ABC):
    """The hub in a home: what it reads, what it decides, its restarts, and the oracle that watches it.

    Attributes:
        rooms: The names of the house's rooms, in the order of their outputs.
        control: The climate control of the hub's present process; `None` while the hub is down.
        oracle: The safety oracle.
        at_ms: True milliseconds since the beginning.
        is_clock_known: Whether the hub's clock is synchronised.
        clock_error_ms: The error of a clock that counts as synchronised.
        broken_relays: Rooms whose relay is stuck, and its position.
        has_source: Whether the heat source works.
        silent: Sensors that do not report.
        frozen_c: Sensors that always report the same value, and the value; `None` until their first report.
        test: A test of outputs by a person at the hub.
        wires: The room that a zone's output really heats, where it is not its own.
    """

    def __init__(self, options: HomeOptions, rooms: Sequence[str]) -> None:
        self.options = options
        self.rooms = tuple(rooms)
        self._sensors = [name for zone in options.settings.zones for name, _ in zone.sensors]
        self._sensors += [zone.floor_sensor for zone in options.settings.zones if zone.floor_sensor]
        self._judges: dict[str, PlausibilityCheck] = {}
        self.observed: dict[str, SensorReading] = {}
        self.oracle = SafetyOracle(options.settings)
        self.at_ms = 0
        self.is_clock_known = True
        self.clock_error_ms = 0
        self.broken_relays: dict[str, HvacAction] = {}
        self.has_source = True
        self.silent: set[str] = set()
        self.frozen_c: dict[str, float | None] = {}
        self.test: OutputTest | None = None
        self.wires: dict[str, str] = {}
        self._life_ms = 0
        self._boots = 0
        self._boot_at_ms = 0
        self._disk = ClimateSnapshot()
        self.control: ClimateController | None = None
        self.reboot()
        for zone_id, program in options.programs.items():
            self.set_program(zone_id, program)

    @property
    @abstractmethod
    def has_power(self) -> bool:
        """Whether the house has electricity."""

    @abstractmethod
    def truth_c(self, room: str) -> float:
        """Return the true air temperature of a room."""

    def floors_c(self) -> Mapping[str, float]:
        """Return the true temperatures of the floors that have a probe, by room."""
        return {}

    def unheard_rooms(self) -> Collection[str]:
        """Return the rooms of which the hub knows nothing; here they are no matter of their own."""
        return ()

    def rooms_without_more_heat(self) -> Collection[str]:
        """Return the rooms that can have no more heat than they have; here the equipment is large enough for each."""
        return ()

    @abstractmethod
    def air(self, room: str, *, is_wide: bool) -> None:
        """Open a window of a room, wide or tilted."""

    @abstractmethod
    def close_window(self, room: str) -> None:
        """Close the window of a room."""

    @abstractmethod
    def _advance(self, at_ms: int) -> None:
        """Advance the house to a time."""

    @abstractmethod
    def _reports(self) -> Iterator[tuple[str, float]]:
        """Yield what sensors report now, unless they are silent."""

    @abstractmethod
    def _drive(self, actions: Sequence[HvacAction]) -> None:
        """Set the outputs of all rooms."""

    def set_program(self, zone_id: str, program: ZoneProgram) -> None:
        """Give a zone a program."""
        if self.control is not None:
            self.control.set_program(zone_id, program)
            self._disk = self.control.take_snapshot(self.now())

    def now(self) -> Now:
        """Return now as the hub sees it."""
        utc_ms = self.options.start_utc_ms + self.at_ms + self.clock_error_ms
        return Now(
            f"boot {self._boots}", self.at_ms - self._boot_at_ms + BOOT_MS, utc_ms if self.is_clock_known else None
        )

    def reboot(self, *, is_clock_known: bool = True) -> None:
        """Boot the machine and start its agent."""
        self._boots += 1
        self._boot_at_ms = self.at_ms
        self.is_clock_known = is_clock_known
        if not is_clock_known:
            self.oracle.record_boot(self.at_ms)
        self.restart()

    def restart(self) -> None:
        """Start the agent anew in the same boot: the readings are forgotten."""
        self.observed.clear()
        self._judges = {name: PlausibilityCheck(SensorKind.TEMPERATURE) for name in self._sensors}
        self._life_ms = self.at_ms
        self.control = ClimateController(self.options.settings, self._disk, self.now())

    def lose_state(self) -> None:
        """Lose the state file. The caller sets the programs again."""
        self._disk = ClimateSnapshot()

    def sensors(self, room: str) -> list[str]:
        """Return the sensors of a room."""
        return [name for zone in self.options.settings.zones if zone.zone_id == room for name, _ in zone.sensors]

    def crash(self) -> None:
        """Kill the hub, by a power cut or kill -9: its relays fall off."""
        self.control = None
        self.oracle.record_kill(self.at_ms)
        self._command({})

    def run(self, until_ms: int, on_step: Callable[[Self], None] | None = None) -> None:
        """Step until a time, with a decision at every tick; `on_step` is called after each."""
        tick_ms = round(self.options.tick_s * 1000)
        while self.at_ms < until_ms:
            self.at_ms = min(until_ms, self.at_ms + tick_ms)
            self._advance(self.at_ms)
            if self.control is not None:
                self._look()
                self._decide(self.control)
            if on_step is not None:
                on_step(self)

    def _look(self) -> None:
        now_ms = self.now().now_ms
        for name, measured in self._reports():
            value = measured
            if name in self.frozen_c:
                known_c = self.frozen_c[name]
                value = self.frozen_c[name] = value if known_c is None else known_c
            quality, _ = self._judges[name].check(value, now_ms)
            if quality is not Quality.BAD:
                self.observed[name] = SensorReading(value, now_ms, quality)

    def _decide(self, control: ClimateController) -> None:
        guards = control.state.heat_source.stage1, *(zone.relay for zone in control.state.zones)
        made = control.step(self.now(), self.observed, self.options.zone, test=self.test)
        # As `service` does: at once after a switch, else once a minute at the start of a run.
        minutes = (self.at_ms - self._life_ms) // 60_000
        if (
            minutes <= YOUNG_MIN
            or minutes % YOUNG_MIN == 0
            or guards != (made.state.heat_source.stage1, *(zone.relay for zone in made.state.zones))
        ):
            self._disk = control.take_snapshot(self.now())
        rooms_c = {
            zone_id: zone.temperature.value_c
            for zone_id, zone in control.zones.items()
            if zone.temperature.value_c is not None
        }
        extremes_c = {
            zone_id: (zone.temperature.coldest_c, zone.temperature.warmest_c)
            for zone_id, zone in control.zones.items()
            if zone.temperature.coldest_c is not None and zone.temperature.warmest_c is not None
        }
        self.oracle.check_demand(made.demand, self.at_ms, rooms_c, extremes_c)
        self._apply(made.demand)

    def _apply(self, demand: HvacDemand) -> None:
        given = {}
        for room, told in demand.zones.items():
            action = told
            if demand.heat_source is not None and demand.heat_source.action is not action:
                action = HvacAction.OFF
            given[self.wires.get(room, room)] = action
        self._command(given)

    def _command(self, given: Mapping[str, HvacAction]) -> None:
        actions = []
        for room in self.rooms:
            action = self.broken_relays.get(room, given.get(room, HvacAction.OFF))
            actions.append(action if self.has_source else HvacAction.OFF)
        self._drive(actions)


class HeatedHome(ControlledHome):
    """A home in one of the buildings of `hal.sim.building`.

    Attributes:
        house: The true house.
    """

    def __init__(self, options: HeatedHomeOptions) -> None:
        self.house = House(
            seed=options.seed,
            start_utc_ms=options.start_utc_ms,
            building=options.building,
            generator=options.generator,
        )
        noise = Noise(options.seed)
        faults = by_sensor(options.faults)
        kind = SensorKind.TEMPERATURE
        element = options.element or ELEMENTS[kind]
        self._channels = {
            name: Channel(
                name=name,
                kind=kind,
                truth=self.house.probe(f"{name.split()[0]}/temperature", lag_s=element.lag_s),
                noise=noise,
                stream=stream_for(options.seed, f"climate {name}"),
                faults=faults.get(name, ()),
                element=element,
            )
            for zone in options.settings.zones
            for name, _ in zone.sensors
        }
        super().__init__(options, self.house.zones)

    @property
    def has_power(self) -> bool:
        """Whether the house has electricity."""
        return self.house.power.has_mains

    def truth_c(self, room: str) -> float:
        """Return the true air temperature of a room."""
        return self.house.thermal.temperatures_c[self.house.zones.index(room)]

    def air(self, room: str, *, is_wide: bool) -> None:
        """Open a window of a room, wide or tilted."""
        self.house.open_window(room, WINDOW_AIR_CHANGES_PER_H[is_wide])

    def close_window(self, room: str) -> None:
        """Close the window of a room."""
        self.house.open_window(room, 0.0)

    def _advance(self, at_ms: int) -> None:
        self.house.advance_to(at_ms)

    def _reports(self) -> Iterator[tuple[str, float]]:
        for name, channel in self._channels.items():
            if channel.silence_s(self.at_ms) > 0 or name in self.silent:
                continue
            try:
                yield name, channel.measure(self.at_ms)
            except HalError:
                continue

    def _drive(self, actions: Sequence[HvacAction]) -> None:
        self.house.command(self.at_ms, actions)
