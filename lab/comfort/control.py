"""Who decides: the hub's own law, and the baselines beside it. All see the same reports and drive the same equipment.

Owns the decisions of one minute: reports and setpoints go in, for each room the share of the minute in which heat
(positive) or cold (negative) is called for comes out. The house is not seen, except by the oracle (`oracle`).

Sources: hysteresis: Home Assistant's generic_thermostat (on at `cold_tolerance` below, off at `hot_tolerance` above,
the last value stays in force). TPI: Versatile Thermostat's published defaults (coefficients 0.6 inside and 0.01
outside, cycles of five minutes).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Final, Literal, Protocol

import msgspec

from agent.climate.controller import ClimateController
from agent.climate.flow_temperature import EXPONENT
from agent.climate.fusion import SensorReading
from agent.climate.model import Mode, Setpoints, ZoneProgram
from agent.climate.settings import ClimateSettings, Emitter, FlowSettings, climate_settings
from agent.climate.snapshot import ClimateSnapshot
from agent.config import ClimateConfig
from agent.config.zones import ZoneConfig
from agent.foundation.clock import Now
from hal.interface import HvacAction, Quality, SensorKind, ZoneOutput
from hal.plausibility import PlausibilityCheck
from hal.radio import PowerState
from hal.sim.emitters import EmitterKind, SourceKind
from hal.sim.house_design import HouseDesign, HouseRoom
from lab.comfort import outdoor_sensor

BOOT_MS: Final = 20_000
MINUTE_MS: Final = 60_000


class Situation(msgspec.Struct):
    """What a controller may know in a minute.

    Attributes:
        minute: Since the start.
        utc_ms: The time.
        reports: Values that have arrived in this minute, by room.
        setpoints_c: Of the rooms, heating or cooling.
        outside_c: Outdoor temperature, for those who measure it.
        pipes_c: The temperatures of the rooms' supply pipes, for those who measure them.
        plugs_w: What the rooms' plugs have reported in this minute, in watts, by room.
        outdoor_c: What the outdoor sensor has reported in this minute; `None` for nothing.
    """

    minute: int
    utc_ms: int
    reports: Mapping[int, float]
    setpoints_c: Sequence[float]
    outside_c: float
    pipes_c: Sequence[float] = ()
    plugs_w: Mapping[int, float] = {}
    outdoor_c: float | None = None


class Controller(Protocol):
    """Decides once a minute."""

    def decide(self, situation: Situation) -> list[float]:
        """Return the calls of all rooms for this minute."""


class Hysteresis:
    """On at the tolerance below the setpoint, off at the tolerance above it; mirrored for cooling.

    The minimum times are those of the hub's relays where they are asked for; without them it is Home Assistant's.
    """

    def __init__(
        self,
        rooms: int,
        *,
        tolerance_k: float,
        is_cooling: bool = False,
        min_on_minutes: float = 0.0,
        min_off_minutes: float = 0.0,
    ) -> None:
        self._tolerance_k = tolerance_k
        self._sign = -1.0 if is_cooling else 1.0
        self._known_c: list[float | None] = [None] * rooms
        self._is_on = [False] * rooms
        self._changed_minute = [0] * rooms
        self._min_minutes = {False: min_off_minutes, True: min_on_minutes}

    def decide(self, situation: Situation) -> list[float]:
        """Return the calls of all rooms for this minute."""
        for room, reported_c in situation.reports.items():
            self._known_c[room] = reported_c
        for room, (value_c, setpoint_c) in enumerate(zip(self._known_c, situation.setpoints_c, strict=True)):
            if value_c is None:
                continue
            is_on = self._is_on[room]
            missing_k = self._sign * (setpoint_c - value_c)
            is_wanted = missing_k > -self._tolerance_k if is_on else missing_k >= self._tolerance_k
            if is_wanted is not is_on and situation.minute - self._changed_minute[room] >= self._min_minutes[is_on]:
                self._is_on[room], self._changed_minute[room] = is_wanted, situation.minute
        return [self._sign if is_on else 0.0 for is_on in self._is_on]


class TimeProportional:
    """TPI: each cycle of five minutes is on for a share of it, proportional to error and outdoor distance."""

    COEFFICIENT_INSIDE: Final = 0.6
    COEFFICIENT_OUTSIDE: Final = 0.01
    CYCLE_MINUTES: Final = 5

    def __init__(self, rooms: int, *, is_cooling: bool = False) -> None:
        self._sign = -1.0 if is_cooling else 1.0
        self._known_c: list[float | None] = [None] * rooms
        self._on_minutes = [0.0] * rooms

    def decide(self, situation: Situation) -> list[float]:
        """Return the calls of all rooms for this minute."""
        for room, reported_c in situation.reports.items():
            self._known_c[room] = reported_c
        within = situation.minute % self.CYCLE_MINUTES
        if within == 0:
            for room, (value_c, setpoint_c) in enumerate(zip(self._known_c, situation.setpoints_c, strict=True)):
                share = 0.0
                if value_c is not None:
                    share = self._sign * (
                        self.COEFFICIENT_INSIDE * (setpoint_c - value_c)
                        + self.COEFFICIENT_OUTSIDE * (setpoint_c - situation.outside_c)
                    )
                self._on_minutes[room] = min(1.0, max(0.0, share)) * self.CYCLE_MINUTES
        return [self._sign * min(1.0, max(0.0, minutes - within)) for minutes in self._on_minutes]


_EMITTERS: Final = {
    EmitterKind.RADIATOR: Emitter.RADIATOR,
    EmitterKind.CAST_IRON: Emitter.RADIATOR,
    EmitterKind.FLOOR: Emitter.FLOOR,
    EmitterKind.PANEL: Emitter.RADIATOR,
    EmitterKind.AIR: Emitter.AIR,
}
_SOURCES: Final[Mapping[SourceKind, Literal["none", "boiler", "heat_pump"]]] = {
    SourceKind.DIRECT: "none",
    SourceKind.FURNACE: "none",
    SourceKind.BOILER: "boiler",
    SourceKind.HEAT_PUMP: "heat_pump",
}


def _zone_equipment(design: HouseDesign) -> Literal["auto", "heat_pump", "furnace", "electric"]:
    """Return what the outputs of rooms drive; "auto" where they share a source."""
    if design.source.kind is SourceKind.FURNACE:
        return "furnace"
    if design.source.kind is SourceKind.DIRECT:
        is_air = any(room.emitter is EmitterKind.AIR for room in design.rooms)
        return "heat_pump" if is_air else "electric"
    return "auto"


def has_water(room: HouseRoom) -> bool:
    """Return whether water brings the heat to a room."""
    return room.emitter in {EmitterKind.RADIATOR, EmitterKind.CAST_IRON, EmitterKind.FLOOR}


def pipe_sensor(room: str) -> str:
    """Return the name of the thermometer on a room's supply pipe."""
    return f"{room} supply"


OUTDOOR_SENSOR: Final = outdoor_sensor.NAME


def settings_for(
    design: HouseDesign,
    flow: FlowSettings | None = None,
    *,
    has_pipe_sensors: bool = False,
    has_plugs: bool = False,
    min_on_s: float | None = None,
) -> ClimateSettings:
    """Return what a person would configure for a house: its emitters and its source, all else at the defaults.

    Args:
        design: Of the house.
        flow: Of a boiler that modulates.
        has_pipe_sensors: Each room with water has a thermometer on its supply pipe.
        has_plugs: The equipment of each room hangs on a plug that measures it.
        min_on_s: The minimum on time of the rooms' relays; `None` for the default of what they drive.
    """
    pipes = {room.name: pipe_sensor(room.name) for room in design.rooms if has_pipe_sensors and has_water(room)}
    outputs = [ZoneOutput(room.name, can_cool=room.cooling_w > 0) for room in design.rooms]
    config = ClimateConfig(
        zones=tuple(
            ZoneConfig(
                room.name,
                (room.name,),
                (1.0,),
                emitter=_EMITTERS[room.emitter].value,
                supply_sensor=pipes.get(room.name, ""),
                power_meter=room.name if has_plugs else "",
            )
            for room in design.rooms
        ),
        heat_source=_SOURCES[design.source.kind],
        zone_equipment=_zone_equipment(design),
        relay_min_on_s=min_on_s,
        outdoor_sensor=OUTDOOR_SENSOR,
    )
    settings = climate_settings(config, outputs, flow)
    if settings is None:
        raise ValueError(f"{design.name} has no rooms")
    return settings


def modulating_settings_for(design: HouseDesign) -> ClimateSettings:
    """Return the same with a boiler that takes a flow temperature, at most that of the design."""
    exponents = [EXPONENT[_EMITTERS[room.emitter]] for room in design.rooms]
    return settings_for(design, FlowSettings(flow_c_max=design.source.flow_c, exponent=min(exponents)))


class HubControl:
    """The hub's `ClimateController`, driven as `lab.simulation.heating` does.

    Attributes:
        controller: The hub's.
        faults: How often a problem was reported of a zone without one, by zone and text.
        lost_minutes: For each zone, the minutes without a temperature since its first one.
        flow_c: The flow temperature that it asks for; `None` where the boiler does not modulate, or is off.
    """

    def __init__(
        self,
        design: HouseDesign,
        *,
        start_utc_ms: int,
        programs: Mapping[str, ZoneProgram],
        tick_s: float = 60.0,
        settings: ClimateSettings | None = None,
        silence_s_max: float | None = None,
    ) -> None:
        """Start the agent with the default state.

        Args:
            design: Of the house.
            start_utc_ms: The time at minute 0.
            programs: The zones' programs; their setpoints count in place of those of `decide`.
            tick_s: Between two decisions; a part of a minute.
            settings: In place of `settings_for`.
            silence_s_max: How long the sensors may be silent, as a radio would know; `None` for not known.
        """
        self._silence_s_max = silence_s_max
        self._names = [room.name for room in design.rooms]
        self._start_utc_ms = start_utc_ms
        self._ticks = max(1, round(60.0 / tick_s))
        self.controller = ClimateController(settings or settings_for(design), ClimateSnapshot(), self._now(0))
        for name, program in programs.items():
            self.controller.set_program(name, program)
        self._readings: dict[str, SensorReading] = {}
        self._powers: dict[str, PowerState] = {}
        self._judges = {name: PlausibilityCheck(SensorKind.TEMPERATURE) for name in self._names}
        self._problems = dict.fromkeys(self._names, "")
        self.faults: dict[tuple[str, str], int] = {}
        self.lost_minutes = dict.fromkeys(self._names, 0)
        self.flow_c: float | None = None

    def _now(self, at_ms: int) -> Now:
        return Now("boot", BOOT_MS + at_ms, self._start_utc_ms + at_ms)

    def decide(self, situation: Situation) -> list[float]:
        """Return the calls of all rooms for this minute."""
        at_ms = situation.minute * MINUTE_MS
        now = self._now(at_ms)
        for room, value_c in situation.reports.items():
            name = self._names[room]
            quality, _ = self._judges[name].check(value_c, now.now_ms)
            if quality is not Quality.BAD:
                self._readings[name] = SensorReading(value_c, now.now_ms, quality, self._silence_s_max)
        for name, pipe_c in zip(self._names, situation.pipes_c, strict=False):
            self._readings[pipe_sensor(name)] = SensorReading(pipe_c, now.now_ms, Quality.GOOD)
        if situation.outdoor_c is not None:
            self._readings[OUTDOOR_SENSOR] = SensorReading(situation.outdoor_c, now.now_ms, Quality.GOOD)
        for room, watts in situation.plugs_w.items():
            name = self._names[room]
            self._powers[name] = PowerState(name, watts, now.now_ms)
        calls = [0.0] * len(self._names)
        for tick in range(self._ticks):
            here = now if tick == 0 else self._now(at_ms + tick * MINUTE_MS // self._ticks)
            demand = self.controller.step(here, self._readings, UTC, powers=self._powers).demand
            source = demand.heat_source
            self.flow_c = None if source is None else source.flow_c
            for room, name in enumerate(self._names):
                action = demand.zones[name]
                if action is HvacAction.OFF or (source is not None and source.action is not action):
                    continue
                calls[room] += (1.0 if action is HvacAction.HEAT else -1.0) / self._ticks
        self._count_problems()
        return calls

    def _count_problems(self) -> None:
        for state, name in zip(self.controller.state.zones, self._names, strict=True):
            problem = state.problem
            if problem and not self._problems[name]:
                key = (name, problem)
                self.faults[key] = self.faults.get(key, 0) + 1
            self._problems[name] = problem
            if name in self._readings and self.controller.zones[name].temperature.value_c is None:
                self.lost_minutes[name] += 1


def constant_program(setpoint_c: float, *, is_cooling: bool) -> ZoneProgram:
    """Return the program of a zone that keeps one setpoint."""
    setpoints = Setpoints(16.0, setpoint_c) if is_cooling else Setpoints(setpoint_c, 28.0)
    return ZoneProgram(mode=Mode.COOL if is_cooling else Mode.HEAT, setpoints=setpoints)
