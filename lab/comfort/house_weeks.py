"""Two weeks of the hub in a house of the catalogue: one in which all works, and one with faults of everything.

Owns which weather and which program each pair of house and sensor habit meets, and what counts as false in the first
week. The faults and the rules of safety are those of the flat (`lab.simulation.heating_year`, `safety_oracle`).
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from agent.climate.model import Hold, HoldKind, Mode, Until, ZoneProgram
from agent.climate.settings import ClimateSettings
from hal.interface import HvacAction
from hal.sim.emitters import EmitterKind
from hal.sim.house_design import HouseDesign
from hal.sim.house_model import HouseModel
from hal.sim.houses import HOUSES
from hal.sim.numerics import Noise, rng_for
from hal.sim.sensor_habits import HABITS, HabitualSensor
from hal.sim.weather_patterns import PATTERNS
from lab.comfort.control import settings_for
from lab.comfort.runner import COOL_SETPOINT_C, DAY_MINUTES, START_C, Case
from lab.simulation.heating import ControlledHome, HomeOptions
from lab.simulation.heating_year import (
    DAY_MS,
    MINUTE_MS,
    SETBACKS,
    HeatingYear,
    HomeFault,
    HomeFaultKind,
    draw_faults,
    draw_windows,
)

WEEK_DAYS: Final = 7

PER_WEEK: Final = {
    HomeFaultKind.POWER_CUT: 1.0,
    HomeFaultKind.KILL: 3.0,
    HomeFaultKind.CLOCK_LOST: 0.5,
    HomeFaultKind.CLOCK_WRONG: 0.5,
    HomeFaultKind.RELAY_CLOSED: 0.2,
    HomeFaultKind.RELAY_OPEN: 0.2,
    HomeFaultKind.SOURCE_FAILED: 0.2,
    HomeFaultKind.DEAD: 1.0,
    HomeFaultKind.DEAD_WHILE_OFF: 0.3,
    HomeFaultKind.NEVER_HEARD: 0.2,
    HomeFaultKind.FROZEN: 0.3,
    HomeFaultKind.RADIO_DEAD: 0.3,
    HomeFaultKind.OFFLINE: 0.2,
    HomeFaultKind.REBOOTS: 0.3,
    HomeFaultKind.CRASHES: 0.3,
}
"""Many sensors that die, fewer outages: those excuse a cold room for half a day."""

PER_YEAR: Final = {kind: count * 365 / WEEK_DAYS for kind, count in PER_WEEK.items()}

FLOOR_C_MAX: Final = 24.0
"""So low that it is met: in the cold the floors of these houses have up to 25.4 °C."""

PROGRAMS: Final = 4
LIED_MS: Final = DAY_MS // 2
"""For so long after a frozen sensor its room may be wrong."""

FULL_MINUTES: Final = 120
"""A room whose output has been on for so long has all the heat there is."""

_CALLS: Final = {HvacAction.HEAT: 1.0, HvacAction.COOL: -1.0, HvacAction.OFF: 0.0}


def programs(start_utc_ms: int) -> tuple[ZoneProgram, ...]:
    """Return what people may have set: setbacks, the same with a holiday in each week, off in each week, constant."""

    def absent(first_day: int, days: int, number: int, mode: Mode | None) -> Hold:
        begin_ms = start_utc_ms + first_day * DAY_MS
        return Hold(
            f"absent {number}",
            kind=HoldKind.AWAY,
            heat_setpoint_c=12.0,
            cool_setpoint_c=30.0,
            mode=mode,
            until=Until.TIME,
            start_utc_ms=begin_ms,
            end_utc_ms=begin_ms + days * DAY_MS,
        )

    holiday = (absent(2, 3, 1, None), absent(9, 3, 2, None))
    off = (absent(2, 4, 1, Mode.OFF), absent(8, 5, 2, Mode.OFF))
    return (
        SETBACKS,
        msgspec.structs.replace(SETBACKS, holds=holiday),
        msgspec.structs.replace(SETBACKS, holds=off),
        msgspec.structs.replace(SETBACKS, schedules={}, schedule=""),
    )


def floor_probe(room: str) -> str:
    """Return the name of the probe in a room's floor."""
    return f"{room} floor"


class Pair(msgspec.Struct, frozen=True):
    """A house with sensors of one habit, and what it meets.

    Attributes:
        house: The name of the house.
        habit: The name of the sensors' habit.
        weather: The name of the weather.
        program: The number of its program in `programs`.
        seed: Of weather, people, sensors and faults.
    """

    house: str
    habit: str
    weather: str
    program: int
    seed: int


def pairs(rounds: Sequence[int], houses: Collection[str] = tuple(HOUSES)) -> list[Pair]:
    """Return every house with every habit, once in each round; weathers and programs rotate over them.

    Five rounds show every weather, four every program, to each pair.
    """
    made = []
    for each in rounds:
        for j, habit in enumerate(HABITS):
            for i, house in enumerate(HOUSES):
                at = i + j + each
                weather = PATTERNS[at % len(PATTERNS)].name
                seed = 1000 * each + len(HABITS) * i + j
                if house in houses:
                    made.append(Pair(house, habit.name, weather, (at + 2 * j) % PROGRAMS, seed))
    return made


class HouseWeeks(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one house.

    Attributes:
        pair: What it was.
        false_problems: Reported in the week in which all works, with room and minute.
        lost_minutes: In that week: minutes in which a sensor did not count that had reported, of all rooms.
        steps: Decisions that the oracle checked.
        broken: How often each rule of safety was broken.
        examples: The first such breaks, in words.
        coldest_c: The coldest that any room was while its heat worked and the hub knew of it.
        coldest_unheard_c: The coldest that any room was of which it knew nothing; `None` without such a time.
        struck: How many faults there were in the other week.
    """

    pair: Pair
    false_problems: list[str]
    lost_minutes: int
    steps: int
    broken: dict[str, int]
    examples: list[str]
    coldest_c: float
    coldest_unheard_c: float | None
    struck: int


class CatalogueHome(ControlledHome):
    """The hub in a house of the catalogue.

    Attributes:
        house: The true house.
    """

    def __init__(self, case: Case, options: HomeOptions) -> None:
        start_c = COOL_SETPOINT_C if case.is_cooling else START_C
        self.house = HouseModel(case.design, case.weather(), seed=case.seed, start_c=start_c)
        noise = Noise(case.seed)
        self._names = [room.name for room in case.design.rooms]
        self._thermometers = [
            HabitualSensor(case.habit, noise=noise, seed=case.seed, name=name) for name in self._names
        ]
        self._calls = [0.0] * len(self._names)
        self._arrived: list[tuple[str, float]] = []
        self._windows: set[int] = set()
        self._probes = [zone.floor_sensor for zone in options.settings.zones]
        self._full_minutes = [0] * len(self._names)
        self._unheard: set[str] = set()
        super().__init__(options, self._names)

    @property
    def has_power(self) -> bool:
        """Whether the house has electricity; power cuts are the hub's alone."""
        return True

    def truth_c(self, room: str) -> float:
        """Return the true air temperature of a room."""
        return self.house.air_c[self._names.index(room)]

    def floors_c(self) -> dict[str, float]:
        """Return the true temperatures of the floors that have a probe."""
        return {
            name: self.truth_c(name) + self.house.emitter_excess_k(number)
            for number, name in enumerate(self._names)
            if self._probes[number]
        }

    def lose_state(self) -> None:
        """Lose the state file: until its sensor reports, nothing is known of a room."""
        super().lose_state()
        self.observed.clear()
        self._unheard = set(self._names)

    def unheard_rooms(self) -> Collection[str]:
        """Return the rooms of which the hub knows nothing, as its state was lost and no sensor has reported since."""
        self._unheard -= self.observed.keys()
        return self._unheard

    def rooms_without_more_heat(self) -> Collection[str]:
        """Return the rooms that have had all the heat there is for two hours, and those of which nothing is known.

        A room of which nothing is known gets a third of its output, which keeps it 12 K above the outside where the
        equipment fits (`agent.climate.sensor_loss`), and less where that is too small.
        """
        full = {name for name, minutes in zip(self._names, self._full_minutes, strict=True) if minutes >= FULL_MINUTES}
        return full | set(self.unheard_rooms())

    def air(self, room: str, *, is_wide: bool) -> None:
        """Open the window of a room; this house has tilted ones only."""
        del is_wide
        self._windows.add(self._names.index(room))
        self.house.open_windows(frozenset(self._windows))

    def close_window(self, room: str) -> None:
        """Close the window of a room."""
        self._windows.discard(self._names.index(room))
        self.house.open_windows(frozenset(self._windows))

    def _advance(self, at_ms: int) -> None:
        minute = at_ms // MINUTE_MS - 1
        self.house.advance(self._calls)
        for number, call in enumerate(self._calls):
            self._full_minutes[number] = self._full_minutes[number] + 1 if call > 0.0 else 0
        air_c = self.house.air_c
        self._arrived.clear()
        for number, name in enumerate(self._names):
            value_c = self._thermometers[number].advance(minute, air_c[number], self.house.emitter_excess_k(number))
            if value_c is not None:
                self._arrived.append((name, value_c))
        self._arrived += [(floor_probe(room), floor_c) for room, floor_c in self.floors_c().items()]

    def _reports(self) -> Iterator[tuple[str, float]]:
        for name, value_c in self._arrived:
            if name not in self.silent:
                yield name, value_c

    def _drive(self, actions: Sequence[HvacAction]) -> None:
        self._calls = [_CALLS[action] for action in actions]


class Watcher:
    """Looks at each minute of the two weeks."""

    def __init__(self, rooms: Sequence[str]) -> None:
        self.false_problems: list[str] = []
        self.lost_minutes = 0
        self.coldest_unheard_c: float | None = None
        self._problems = dict.fromkeys(rooms, "")
        self._lied_ms: dict[str, int] = {}

    def look(self, home: ControlledHome, under_way: Collection[HomeFault]) -> None:
        """Take a minute."""
        if (unheard := home.unheard_rooms()) and home.has_source:
            coldest_c = min(home.truth_c(room) for room in unheard)
            known_c = self.coldest_unheard_c
            self.coldest_unheard_c = round(coldest_c if known_c is None else min(known_c, coldest_c), 2)
        if home.at_ms <= WEEK_DAYS * DAY_MS:
            self._look_for_false(home)
        self._lied_ms |= {each.room: home.at_ms for each in under_way if each.kind is HomeFaultKind.FROZEN}
        rooms_c = {
            room: home.truth_c(room) for room in home.rooms if home.at_ms - self._lied_ms.get(room, -LIED_MS) >= LIED_MS
        }
        home.oracle.check_truth(rooms_c, home.floors_c(), home.at_ms)

    def _look_for_false(self, home: ControlledHome) -> None:
        """Count what is reported or lost although everything works."""
        if home.control is None:
            return
        for state, room in zip(home.control.state.zones, home.rooms, strict=True):
            if state.problem and not self._problems[room]:
                self.false_problems.append(f"{room} at {home.at_ms // MINUTE_MS} min: {state.problem}")
            self._problems[room] = state.problem
            self.lost_minutes += room in home.observed and state.lost_since_ms is not None


def settings_of(design: HouseDesign, *, has_probes: bool) -> ClimateSettings:
    """Return the hub's settings, with a probe and a low limit in each heated floor if asked for."""
    settings = settings_for(design)
    if not has_probes:
        return settings
    zones = [
        msgspec.structs.replace(zone, floor_sensor=floor_probe(room.name), floor_c_max=FLOOR_C_MAX)
        if room.emitter is EmitterKind.FLOOR
        else zone
        for zone, room in zip(settings.zones, design.rooms, strict=True)
    ]
    return msgspec.structs.replace(settings, zones=tuple(zones))


def home_of(pair: Pair) -> CatalogueHome:
    """Return the home of a pair, with weather for both weeks."""
    design = HOUSES[pair.house]
    pattern = next(each for each in PATTERNS if each.name == pair.weather)
    habit = next(each for each in HABITS if each.name == pair.habit)
    options = HomeOptions(
        settings=settings_of(design, has_probes=pair.seed % 2 == 0),
        start_utc_ms=pattern.start_utc_ms,
        programs={room.name: programs(pattern.start_utc_ms)[pair.program] for room in design.rooms},
    )
    days = 2 * WEEK_DAYS
    case = Case(design=design, pattern=pattern, habit=habit, seed=pair.seed, warm_up_days=0, days=days)
    return CatalogueHome(case, options)


def faults_of(pair: Pair, rooms: Sequence[str]) -> list[HomeFault]:
    """Return the faults of its second week, in order."""
    rng = rng_for(pair.seed, "faults of a home")
    drawn = draw_faults(rng, WEEK_DAYS, rooms, PER_YEAR) + draw_windows(rng, WEEK_DAYS, rooms)
    later = WEEK_DAYS * DAY_MINUTES
    moved = (HomeFault(each.from_min + later, each.to_min + later, each.kind, each.room) for each in drawn)
    return sorted(moved)


def run_pair(pair: Pair, *, days: int = 2 * WEEK_DAYS) -> HouseWeeks:
    """Run the week in which all works, and the one with faults."""
    home = home_of(pair)
    watcher = Watcher(home.rooms)
    verdict = HeatingYear(pair.seed, days, faults_of(pair, home.rooms), home=home).run(on_minute=watcher.look)
    return HouseWeeks(
        pair=pair,
        false_problems=watcher.false_problems,
        lost_minutes=watcher.lost_minutes,
        steps=verdict.steps,
        broken=dict(home.oracle.broken),
        examples=[f"{each.rule} at {each.at_ms // MINUTE_MS} min: {each.text}" for each in home.oracle.examples[:3]],
        coldest_c=verdict.coldest_c,
        coldest_unheard_c=watcher.coldest_unheard_c,
        struck=sum(verdict.struck.values()),
    )
