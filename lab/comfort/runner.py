"""Runs one house with one sensor habit under one controller, and measures comfort, starts and energy.

Owns the loop (sensors, decision, house) and the measures. It knows no table and no file.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import compress
from statistics import fmean
from typing import Final

import msgspec

from agent.climate.settings import ClimateSettings, HeatSourceKind
from hal.sim.house_design import HouseDesign
from hal.sim.house_model import HouseModel
from hal.sim.numerics import Noise
from hal.sim.plant import COOLING_PERFORMANCE
from hal.sim.sensor_habits import HabitualSensor, SensorHabit
from hal.sim.weather_patterns import Outdoors, WeatherPattern, weather_series
from lab.comfort.control import (
    Controller,
    HubControl,
    Hysteresis,
    Situation,
    TimeProportional,
    constant_program,
    modulating_settings_for,
    settings_for,
)
from lab.comfort.oracle import HouseOracle, Oracle, ReachOracle
from lab.comfort.outdoor_sensor import OutdoorSensor, Placement
from lab.comfort.plugs import Plugs

DAY_MINUTES: Final = 1440
HEAT_SETPOINT_C: Final = 21.0
COOL_SETPOINT_C: Final = 25.0
START_C: Final = 20.0
JOULES_PER_KWH: Final = 3.6e6


class Law(StrEnum):
    """Who controls."""

    HUB = "hub"
    HUB_FLOW = "hub modulating"
    HYSTERESIS_03 = "hysteresis 0.3"
    HYSTERESIS_05 = "hysteresis 0.5"
    TPI = "tpi"
    ORACLE = "oracle"
    HYSTERESIS_HELD = "hysteresis 0.3 held"
    """With the minimum times of the hub's relays."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A house, its weather and its sensors.

    Attributes:
        design: The house.
        pattern: The weather.
        habit: Of all its sensors.
        seed: Of weather, people and sensors.
        warm_up_days: Not measured.
        days: Measured.
        outdoor: Of its outdoor sensor.
    """

    design: HouseDesign
    pattern: WeatherPattern
    habit: SensorHabit
    seed: int
    warm_up_days: int = 2
    days: int = 3
    outdoor: Placement = Placement.NONE

    @property
    def is_cooling(self) -> bool:
        """Whether the weather asks for cooling."""
        return self.pattern.mean_c > COOLING_FROM_C

    def weather(self) -> tuple[Outdoors, ...]:
        """Return its weather."""
        return weather_series(self.pattern, seed=self.seed, days=self.warm_up_days + self.days)


COOLING_FROM_C: Final = 18.0

REACHED_K: Final = 0.05
"""A room this near its setpoint has it, whatever its output does."""


class ConstantResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a controller made of a constant setpoint.

    Attributes:
        error_k: Mean absolute distance of the true air from the setpoint, over rooms and minutes.
        mean_k: Mean distance, with its sign.
        starts_per_h: Of what costs: the shared source, else the mean of the rooms' own equipment.
        zone_starts_per_h: Mean of the rooms' outputs.
        used_kwh: Fuel or electricity.
        settled_kwh: The same without what it left in the house: as if that had ended as warm as it began.
        degree_hours: Kelvin-hours between inside and outside, mean of the rooms; energy over it compares houses that
            were kept at different temperatures.
        coldest_c: The lowest true temperature of any room.
        faults: Problems of equipment or sensors reported on this healthy house; only the hub reports any.
        lost_minutes: Minutes without a temperature though the sensor works, of all rooms; only for the hub.
        reachable_error_k: The mean absolute distance in those minutes that `minutes_within_reach` marks; `None` if it
            was not asked, or marks none.
    """

    error_k: float
    mean_k: float
    starts_per_h: float
    zone_starts_per_h: float
    used_kwh: float
    settled_kwh: float
    degree_hours: float
    coldest_c: float
    faults: int = 0
    lost_minutes: int = 0
    reachable_error_k: float | None = None

    @property
    def corrected_kwh(self) -> float:
        """Energy for each thousand kelvin-hours."""
        return self.used_kwh / self.degree_hours * 1000.0


OnMinute = Callable[[HouseModel, Situation, list[float]], None]


class ComfortHome:
    """A house with sensors and a controller, advanced minute by minute.

    Attributes:
        house: The true house.
        sensors: One for each room.
        controller: Who decides.
    """

    def __init__(
        self,
        case: Case,
        controller: Controller,
        weather: Sequence[Outdoors] | None = None,
        *,
        plugs: Plugs | None = None,
    ) -> None:
        self._plugs = plugs
        self.case = case
        self.house = HouseModel(
            case.design,
            weather or case.weather(),
            seed=case.seed,
            start_c=COOL_SETPOINT_C if case.is_cooling else START_C,
        )
        noise = Noise(case.seed)
        self.sensors = [
            HabitualSensor(case.habit, noise=noise, seed=case.seed, name=room.name) for room in case.design.rooms
        ]
        self._outdoor_sensor = OutdoorSensor(case.outdoor, seed=case.seed)
        self.controller = controller
        if isinstance(controller, HouseOracle):
            controller.house = self.house

    def run(self, minutes: int, setpoint_c: float | Callable[[int], float], on_minute: OnMinute | None = None) -> None:
        """Advance; `setpoint_c` may be a function of the minute."""
        house, sensors, controller = self.house, self.sensors, self.controller
        start_utc_ms = self.case.pattern.start_utc_ms
        rooms = range(len(sensors))
        for _ in range(minutes):
            minute = house.minute
            air_c = house.air_c
            reports = {}
            for room in rooms:
                value_c = sensors[room].advance(minute, air_c[room], house.emitter_excess_k(room))
                if value_c is not None:
                    reports[room] = value_c
            wanted_c = setpoint_c(minute) if callable(setpoint_c) else setpoint_c
            situation = Situation(
                minute,
                start_utc_ms + minute * 60_000,
                reports,
                [wanted_c] * len(sensors),
                house.outside_c,
                house.pipe_c.copy(),
                self._plugs.reports if self._plugs else {},
                self._outdoor_sensor.advance(house),
            )
            calls = controller.decide(situation)
            if self._plugs:
                calls = self._plugs.advance(house, calls)
            if isinstance(controller, HubControl):
                house.flow_c = controller.flow_c
            house.advance(calls)
            if on_minute is not None:
                on_minute(house, situation, calls)


def controller_for(
    law: Law,
    case: Case,
    *,
    tick_s: float = 60.0,
    settings: ClimateSettings | None = None,
    held_tolerance_k: float = 0.3,
) -> Controller:
    """Return a controller of a constant setpoint.

    Args:
        law: Whose.
        case: The house.
        tick_s: Between two decisions of the hub.
        settings: Of the hub and its minimum times; by default those of the house.
        held_tolerance_k: Of the hysteresis with minimum times.
    """
    rooms, is_cooling = len(case.design.rooms), case.is_cooling
    match law:
        case Law.HYSTERESIS_03:
            return Hysteresis(rooms, tolerance_k=0.3, is_cooling=is_cooling)
        case Law.HYSTERESIS_05:
            return Hysteresis(rooms, tolerance_k=0.5, is_cooling=is_cooling)
        case Law.HYSTERESIS_HELD:
            relay = (settings or settings_for(case.design)).zones[0].limits
            return Hysteresis(
                rooms,
                tolerance_k=held_tolerance_k,
                is_cooling=is_cooling,
                min_on_minutes=relay.min_on_s / 60.0,
                min_off_minutes=relay.min_off_s / 60.0,
            )
        case Law.TPI:
            return TimeProportional(rooms, is_cooling=is_cooling)
        case Law.ORACLE:
            held = settings or settings_for(case.design)
            limits = [zone.limits for zone in held.zones]
            if held.heat_source.kind is not HeatSourceKind.NONE:
                limits.append(held.heat_source.limits)
            return Oracle(
                rooms,
                is_cooling=is_cooling,
                min_on_minutes=max(each.min_on_s for each in limits) / 60.0,
                min_off_minutes=max(each.min_off_s for each in limits) / 60.0,
            )
    program = constant_program(COOL_SETPOINT_C if is_cooling else HEAT_SETPOINT_C, is_cooling=is_cooling)
    return HubControl(
        case.design,
        start_utc_ms=case.pattern.start_utc_ms,
        programs={room.name: program for room in case.design.rooms},
        tick_s=tick_s,
        settings=modulating_settings_for(case.design) if law is Law.HUB_FLOW else settings,
    )


class StartCounter:
    """Counts starts of the rooms' outputs and of what they share."""

    def __init__(self, rooms: int) -> None:
        self._was_on = [False] * rooms
        self.zones = 0
        self.source = 0

    def count(self, calls: Sequence[float]) -> None:
        """Take the calls of one minute."""
        is_on = [call != 0.0 for call in calls]
        self.zones += sum(on and not was for on, was in zip(is_on, self._was_on, strict=True))
        self.source += any(is_on) and not any(self._was_on)
        self._was_on = is_on


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """In which minutes a house can have a constant setpoint at all.

    Attributes:
        is_reachable: For each measured minute and room, in this order, whether it can.
        error_k: What the mean absolute distance is at least in the minutes in which it can; 0 if there is none.
    """

    is_reachable: tuple[bool, ...]
    error_k: float

    @property
    def beyond_share(self) -> float:
        """The share of the minutes in which it cannot."""
        return 1.0 - sum(self.is_reachable) / len(self.is_reachable)


def minutes_within_reach(case: Case) -> Reach:
    """Return when no law could keep the setpoint: an oracle with free starts and any level is at its limit, and off."""
    oracle = ReachOracle(len(case.design.rooms), is_cooling=case.is_cooling)
    home = ComfortHome(case, oracle)
    setpoint_c = COOL_SETPOINT_C if case.is_cooling else HEAT_SETPOINT_C
    warm_up = case.warm_up_days * DAY_MINUTES
    is_reachable: list[bool] = []
    error_k: list[float] = []

    def look(house: HouseModel, situation: Situation, _: list[float]) -> None:
        if situation.minute < warm_up:
            return
        for value_c, is_at_limit in zip(house.air_c, oracle.is_at_limit, strict=True):
            off_k = abs(value_c - setpoint_c)
            is_reachable.append(not is_at_limit or off_k <= REACHED_K)
            if is_reachable[-1]:
                error_k.append(off_k)

    home.run(warm_up + case.days * DAY_MINUTES, setpoint_c, look)
    return Reach(is_reachable=tuple(is_reachable), error_k=fmean(error_k) if error_k else 0.0)


def run_constant(
    case: Case,
    law: Law,
    controller: Controller | None = None,
    *,
    reach: Reach | None = None,
    raised_k: float = 0.0,
) -> ConstantResult:
    """Return what a controller makes of a constant setpoint, after the warm-up.

    Args:
        case: The house, its weather and its sensors.
        law: Who controls.
        controller: In place of the law's own.
        reach: Of the same house and weather, to measure the error within reach too.
        raised_k: The law is asked for so much more than the setpoint of the measures; the hub has its own program.
    """
    controller = controller or controller_for(law, case)
    home = ComfortHome(case, controller)
    rooms = len(case.design.rooms)
    setpoint_c = COOL_SETPOINT_C if case.is_cooling else HEAT_SETPOINT_C
    starts = StartCounter(rooms)
    signed_k = degree_minutes = 0.0
    errors_k: list[float] = []
    coldest_c = 99.0
    warm_up = case.warm_up_days * DAY_MINUTES
    used_j = drawn_j = stored_j = 0.0

    def look(house: HouseModel, situation: Situation, calls: list[float]) -> None:
        nonlocal signed_k, degree_minutes, coldest_c, used_j, drawn_j, stored_j
        if situation.minute == warm_up - 1:
            starts.count(calls)
            starts.zones = starts.source = 0
            used_j, drawn_j, stored_j = house.consumed_j, house.drawn_j, house.network.stored_j
        if situation.minute < warm_up:
            return
        starts.count(calls)
        for value_c in house.air_c:
            off_k = value_c - setpoint_c
            errors_k.append(abs(off_k))
            signed_k += off_k
            degree_minutes += abs(value_c - house.outside_c)
            coldest_c = min(coldest_c, value_c)

    home.run(warm_up + case.days * DAY_MINUTES, setpoint_c + raised_k, look)
    used_j = home.house.consumed_j - used_j
    moved_j = -used_j * COOLING_PERFORMANCE if case.is_cooling else home.house.drawn_j - drawn_j
    left_j = (home.house.network.stored_j - stored_j) * used_j / moved_j if moved_j else 0.0
    minutes = case.days * DAY_MINUTES
    hours = minutes / 60.0
    hub = controller if isinstance(controller, HubControl) else None
    zone_starts_per_h = starts.zones / hours / rooms
    is_own = case.design.has_own_equipment
    within_k = list(compress(errors_k, reach.is_reachable)) if reach else []
    return ConstantResult(
        error_k=fmean(errors_k),
        mean_k=signed_k / minutes / rooms,
        starts_per_h=zone_starts_per_h if is_own else starts.source / hours,
        zone_starts_per_h=zone_starts_per_h,
        used_kwh=used_j / JOULES_PER_KWH,
        settled_kwh=(used_j - left_j) / JOULES_PER_KWH,
        degree_hours=degree_minutes / 60.0 / rooms,
        coldest_c=coldest_c,
        faults=sum(hub.faults.values()) if hub else 0,
        lost_minutes=sum(hub.lost_minutes.values()) if hub else 0,
        reachable_error_k=fmean(within_k) if within_k else None,
    )
