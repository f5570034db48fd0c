"""A year of a heated home with occasional faults: sensors, relays, power, clock, heat source.

Owns the faults and their times; `heating` has the home, `safety_oracle` the rules.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

from agent.climate.model import WEEK, Block, Mode, Schedule, ZoneProgram
from agent.climate.settings import (
    ClimateSettings,
    Emitter,
    HeatSourceKind,
    HeatSourceSettings,
    ZoneSettings,
    pi_settings_for,
)
from hal.interface import HvacAction, SensorKind
from hal.sim.building import FLAT
from hal.sim.faults import random_faults
from lab.simulation.heating import ControlledHome, HeatedHome, HeatedHomeOptions

START_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000
MINUTE_MS = 60_000

ROOMS = tuple(zone.name for zone in FLAT.zones)
SETBACKS = ZoneProgram(
    mode=Mode.AUTO,
    schedules={
        "week": Schedule(
            "week",
            (
                Block("Day", "06:00", "22:00", 21.0, 25.0, WEEK[:5]),
                Block("Weekend", "08:00", "23:00", 21.0, 25.0, WEEK[5:]),
                Block("Night", "22:00", "06:00", 17.0, 26.0),
            ),
        )
    },
    schedule="week",
)
"""A week with a setback each night."""


class HomeFaultKind(StrEnum):
    """The kinds of faults in a home."""

    POWER_CUT = "power cut"
    KILL = "kill"
    CLOCK_LOST = "clock lost"
    CLOCK_WRONG = "clock wrong"
    RELAY_CLOSED = "relay stuck closed"
    RELAY_OPEN = "relay stuck open"
    SOURCE_FAILED = "source failed"
    DEAD = "sensors dead"
    DEAD_WHILE_OFF = "sensors dead while off"
    NEVER_HEARD = "state lost, sensors never heard"
    FROZEN = "sensors frozen"
    RADIO_DEAD = "all sensors dead"
    OFFLINE = "internet away"
    REBOOTS = "reboots by the minute"
    CRASHES = "crashes by the minute"
    WINDOW = "window open"


PER_YEAR = {
    HomeFaultKind.POWER_CUT: 60.0,
    HomeFaultKind.KILL: 120.0,
    HomeFaultKind.CLOCK_LOST: 20.0,
    HomeFaultKind.CLOCK_WRONG: 10.0,
    HomeFaultKind.RELAY_CLOSED: 3.0,
    HomeFaultKind.RELAY_OPEN: 3.0,
    HomeFaultKind.SOURCE_FAILED: 4.0,
    HomeFaultKind.DEAD: 6.0,
    HomeFaultKind.DEAD_WHILE_OFF: 4.0,
    HomeFaultKind.NEVER_HEARD: 2.0,
    HomeFaultKind.FROZEN: 8.0,
    HomeFaultKind.RADIO_DEAD: 2.0,
    HomeFaultKind.OFFLINE: 6.0,
    HomeFaultKind.REBOOTS: 6.0,
    HomeFaultKind.CRASHES: 6.0,
}
MEAN_MIN = {
    HomeFaultKind.POWER_CUT: 30.0,
    HomeFaultKind.KILL: 1.0,
    HomeFaultKind.CLOCK_LOST: 600.0,
    HomeFaultKind.CLOCK_WRONG: 120.0,
    HomeFaultKind.RELAY_CLOSED: 600.0,
    HomeFaultKind.RELAY_OPEN: 300.0,
    HomeFaultKind.SOURCE_FAILED: 240.0,
    HomeFaultKind.DEAD: 4 * 1440.0,
    HomeFaultKind.DEAD_WHILE_OFF: 4 * 1440.0,
    HomeFaultKind.NEVER_HEARD: 3 * 1440.0,
    HomeFaultKind.FROZEN: 1440.0,
    HomeFaultKind.RADIO_DEAD: 3 * 1440.0,
    HomeFaultKind.OFFLINE: 3 * 1440.0,
    HomeFaultKind.REBOOTS: 720.0,
    HomeFaultKind.CRASHES: 720.0,
}
WINDOWS_PER_YEAR = 300.0
WINDOW_MEAN_MIN = 15.0

REPLACED_MIN = 70
"""How long it takes to replace a broken hub or card."""

STORM_PERIODS_MIN = (3, 5, 7, 9, 12)
"""So often the hub dies in a storm of reboots or crashes; a minute later it is back. What is decided takes effect in
the next minute: a process that runs for one minute would heat nothing here."""

_SILENT = {HomeFaultKind.DEAD, HomeFaultKind.RADIO_DEAD, HomeFaultKind.DEAD_WHILE_OFF, HomeFaultKind.NEVER_HEARD}
SENSOR_FAULTS_PER_DAY = 0.05
SENSOR_FAULT_MEAN_S = 6 * 3600.0


class HomeFault(msgspec.Struct, frozen=True, order=True):
    """A fault from one minute to another."""

    from_min: int
    to_min: int
    kind: HomeFaultKind
    room: str


class YearVerdict(msgspec.Struct, frozen=True):
    """The outcome of a year.

    Attributes:
        seed: Of everything.
        days: How many.
        steps: Decisions that the oracle checked.
        broken: Violated safety rules, in words.
        coldest_c: The coldest that any room was while its heat worked.
        warmest_c: The warmest that any room was, except for a day after its relay had stuck closed.
        starts: Of each relay.
        struck: How often each thing went wrong.
        noticed: How often the hub detected that heat did not come, or did not end.
    """

    seed: int
    days: int
    steps: int
    broken: list[str]
    coldest_c: float
    warmest_c: float
    starts: dict[str, int]
    struck: dict[str, int]
    noticed: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether no rule was violated and no room got too cold."""
        return not self.broken


def year_settings(seed: int) -> ClimateSettings:
    """Return the home: a heat pump for four rooms, two sensors in two of them.

    Every other home has a heat pump with all there can be: two stages, auxiliary heat, a valve that is on in heating.
    """
    zones = tuple(
        ZoneSettings(
            zone_id=zone.name,
            sensors=((zone.name, 1.0), (f"{zone.name} 2", 1.0)) if number % 2 == 0 else ((zone.name, 1.0),),
            can_cool=zone.cooling_w > 0,
            law=pi_settings_for(Emitter.RADIATOR, is_shared=True, min_on_s=180.0),
        )
        for number, zone in enumerate(FLAT.zones)
    )
    source = HeatSourceSettings(kind=HeatSourceKind.HEAT_PUMP)
    if seed % 2 == 0:
        source = msgspec.structs.replace(source, stages=2, has_aux=True, is_valve_on_in_heating=True)
    return ClimateSettings(zones=zones, heat_source=source)


def draw_faults(
    rng: random.Random,
    days: int,
    rooms: Sequence[str] = ROOMS,
    per_year: Mapping[HomeFaultKind, float] = PER_YEAR,
) -> list[HomeFault]:
    """Return the faults, in order."""
    drawn = []
    for kind, count in per_year.items():
        drawn += _draw(rng, days, kind, count, MEAN_MIN[kind], rooms)
    return sorted(drawn)


def draw_windows(rng: random.Random, days: int, rooms: Sequence[str] = ROOMS) -> list[HomeFault]:
    """Return when windows are open, in order."""
    return _draw(rng, days, HomeFaultKind.WINDOW, WINDOWS_PER_YEAR, WINDOW_MEAN_MIN, rooms)


def _draw(
    rng: random.Random, days: int, kind: HomeFaultKind, per_year: float, mean_min: float, rooms: Sequence[str]
) -> list[HomeFault]:
    drawn = []
    at_min = rng.expovariate(per_year / 365 / 1440)
    while at_min < days * 1440:
        length = 1 + round(rng.expovariate(1 / mean_min))
        drawn.append(HomeFault(round(at_min), round(at_min) + length, kind, rng.choice(rooms)))
        at_min += length + rng.expovariate(per_year / 365 / 1440)
    return drawn


class HeatingYear:
    """One run."""

    def __init__(
        self,
        seed: int,
        days: int,
        home_faults: Sequence[HomeFault] | None = None,
        *,
        home: ControlledHome | None = None,
    ) -> None:
        """Prepare.

        Args:
            seed: Of everything.
            days: How many.
            home_faults: The faults, in order; drawn from the seed where not given.
            home: In place of the flat, whose sensors have faults of their own.
        """
        self._seed = seed
        self._days = days
        rng = random.Random(seed)
        self._struck: Counter[str] = Counter()
        self._home = home or self._flat(rng)
        self._faults = draw_faults(rng, days) if home_faults is None else list(home_faults)
        self._wrong_ms = [rng.choice((-1, 1)) * rng.randrange(3600_000, 400 * DAY_MS) for _ in range(16)]
        if home_faults is None:
            self._faults = sorted(self._faults + draw_windows(rng, days))
        self._noticed: Counter[str] = Counter()
        self._noticing: set[tuple[str, str]] = set()
        self._under_way: list[HomeFault] = []
        self._stuck_ms: dict[str, int] = {}
        self._programs = dict(self._home.options.programs)
        self._is_stormed = self._is_reboot = False
        self._warmest_c = 20.0

    def _flat(self, rng: random.Random) -> HeatedHome:
        """Return a flat of four rooms; a year of the same seed has always the same one."""
        settings = year_settings(self._seed)
        series = [(name, SensorKind.TEMPERATURE) for zone in settings.zones for name, _ in zone.sensors]
        faults = random_faults(
            rng,
            series,
            duration_s=self._days * 86_400,
            faults_per_day=SENSOR_FAULTS_PER_DAY,
            mean_fault_s=SENSOR_FAULT_MEAN_S,
        )
        self._struck["sensor"] = len(faults)
        return HeatedHome(
            HeatedHomeOptions(
                settings=settings,
                seed=self._seed,
                start_utc_ms=START_MS,
                programs=dict.fromkeys(ROOMS, SETBACKS),
                zone=ZoneInfo("Europe/Berlin"),
                faults=faults,
            )
        )

    def run(
        self,
        *,
        until_broken: str = "",
        on_minute: Callable[[ControlledHome, Collection[HomeFault]], None] | None = None,
    ) -> YearVerdict:
        """Run the year.

        Args:
            until_broken: Where a rule is given, the run ends once it was broken: for a bug that has to be found.
            on_minute: Called after each minute, with the faults of then.
        """
        home = self._home
        waiting = list(reversed(self._faults))
        for minute in range(self._days * 1440):
            while waiting and waiting[-1].from_min <= minute:
                self._begin(waiting.pop())
            for fault in [found for found in self._under_way if found.to_min <= minute]:
                self._under_way.remove(fault)
                self._end(fault)
            self._storm(minute)
            home.run((minute + 1) * MINUTE_MS)
            self._look()
            if on_minute is not None:
                on_minute(home, self._under_way)
            if until_broken in home.oracle.broken:
                break
        return YearVerdict(
            seed=self._seed,
            days=self._days,
            steps=home.oracle.steps,
            broken=[*home.oracle.summary(), *(f"{e.rule} at {e.at_ms}: {e.text}" for e in home.oracle.examples[:3])],
            coldest_c=round(home.oracle.coldest_c or 0.0, 2),
            warmest_c=round(self._warmest_c, 2),
            starts=dict(home.oracle.starts),
            struck=dict(self._struck),
            noticed=dict(self._noticed),
        )

    def _begin(self, fault: HomeFault) -> None:
        home = self._home
        self._struck[fault.kind.value] += 1
        match fault.kind:
            case HomeFaultKind.POWER_CUT | HomeFaultKind.KILL:
                if home.control is not None:
                    home.crash()
            case HomeFaultKind.CLOCK_LOST:
                home.is_clock_known = False
            case HomeFaultKind.CLOCK_WRONG:
                home.clock_error_ms = self._wrong_ms[self._struck[fault.kind.value] % len(self._wrong_ms)]
            case HomeFaultKind.RELAY_CLOSED:
                home.broken_relays[fault.room] = HvacAction.HEAT
            case HomeFaultKind.RELAY_OPEN:
                home.broken_relays[fault.room] = HvacAction.OFF
            case HomeFaultKind.SOURCE_FAILED:
                home.has_source = False
            case HomeFaultKind.WINDOW:
                home.air(fault.room, is_wide=bool(fault.from_min % 2))
        self._under_way.append(fault)
        self._strike_sensors()
        self._strike_state(fault)

    def _strike_state(self, fault: HomeFault) -> None:
        """Turn a zone off or replace the hub, together with its dead sensors."""
        if fault.kind is HomeFaultKind.DEAD_WHILE_OFF:
            self._tell(fault.room, msgspec.structs.replace(self._programs[fault.room], mode=Mode.OFF, schedule=""))
        if fault.kind is HomeFaultKind.NEVER_HEARD:
            if self._home.control is not None:
                self._home.crash()
            self._home.lose_state()
            until_min = fault.from_min + REPLACED_MIN
            self._under_way.append(HomeFault(fault.from_min, until_min, HomeFaultKind.POWER_CUT, fault.room))

    def _strike_sensors(self) -> None:
        """Make the sensors of the present faults silent or frozen."""
        home = self._home
        home.silent = {name for found in self._under_way if found.kind in _SILENT for name in self._sensors_of(found)}
        frozen = {
            name for found in self._under_way if found.kind is HomeFaultKind.FROZEN for name in self._sensors_of(found)
        }
        home.frozen_c = {name: home.frozen_c.get(name) for name in frozen}

    def _sensors_of(self, fault: HomeFault) -> list[str]:
        """Return the sensors that a fault concerns."""
        rooms = self._home.rooms if fault.kind is HomeFaultKind.RADIO_DEAD else (fault.room,)
        return [name for room in rooms for name in self._home.sensors(room)]

    def _tell(self, room: str, program: ZoneProgram) -> None:
        """Set a room's program, as soon as a hub runs."""
        self._programs[room] = program
        if self._home.control is not None:
            self._home.set_program(room, program)

    def _storm(self, minute: int) -> None:
        """Kill a hub that is in a storm; it comes back a minute later."""
        home = self._home
        kinds = {found.kind for found in self._under_way}
        if HomeFaultKind.POWER_CUT in kinds or HomeFaultKind.KILL in kinds:
            return
        if home.control is None:
            if self._is_stormed:
                self._is_stormed = False
                self._come_back(minute, is_reboot=self._is_reboot)
            return
        for kind in (HomeFaultKind.REBOOTS, HomeFaultKind.CRASHES):
            storm = next((found for found in self._under_way if found.kind is kind), None)
            if storm and (minute - storm.from_min) % STORM_PERIODS_MIN[storm.from_min % len(STORM_PERIODS_MIN)] == 1:
                self._is_stormed, self._is_reboot = True, kind is HomeFaultKind.REBOOTS
                home.crash()
                return

    def _come_back(self, minute: int, *, is_reboot: bool) -> None:
        """Start the agent again, in a new boot or in the same."""
        home = self._home
        if not is_reboot:
            home.restart()
        else:
            home.reboot(is_clock_known=False)
            # NTP needs a network: some boots learn the time at once, some the next day.
            later = minute + (2 if minute % 3 else 1440)
            offline = [found.to_min for found in self._under_way if found.kind is HomeFaultKind.OFFLINE]
            self._under_way.append(HomeFault(minute, max([later, *offline]), HomeFaultKind.CLOCK_LOST, home.rooms[0]))
        for room, program in self._programs.items():
            if home.control is not None and home.control.zones[room].program.mode is not program.mode:
                home.set_program(room, program)

    def _end(self, fault: HomeFault) -> None:
        home = self._home
        kinds = [found.kind for found in self._under_way]
        match fault.kind:
            case HomeFaultKind.POWER_CUT | HomeFaultKind.KILL:
                if HomeFaultKind.POWER_CUT in kinds or HomeFaultKind.KILL in kinds:
                    return
                self._is_stormed = False
                self._come_back(fault.to_min, is_reboot=fault.kind is HomeFaultKind.POWER_CUT)
            case HomeFaultKind.CLOCK_LOST:
                home.is_clock_known = HomeFaultKind.CLOCK_LOST not in kinds
            case HomeFaultKind.CLOCK_WRONG:
                home.clock_error_ms = 0
            case HomeFaultKind.RELAY_CLOSED | HomeFaultKind.RELAY_OPEN:
                home.broken_relays.pop(fault.room, None)
            case HomeFaultKind.SOURCE_FAILED:
                home.has_source = HomeFaultKind.SOURCE_FAILED not in kinds
            case HomeFaultKind.WINDOW:
                home.close_window(fault.room)
        self._strike_sensors()
        if fault.kind is HomeFaultKind.DEAD_WHILE_OFF:
            self._tell(fault.room, self._home.options.programs[fault.room])

    def _look(self) -> None:
        """Check the true temperatures of the rooms, and count what the hub has detected."""
        home = self._home
        is_out = not home.has_source or not home.has_power or home.control is None
        rooms_c = {room: home.truth_c(room) for room in home.rooms}
        for room, value_c in rooms_c.items():
            if home.broken_relays.get(room) is HvacAction.HEAT:
                self._stuck_ms[room] = home.at_ms
            elif home.at_ms - self._stuck_ms.get(room, -DAY_MS) >= DAY_MS:
                self._warmest_c = max(self._warmest_c, value_c)
        windows = {found.room for found in self._under_way if found.kind is HomeFaultKind.WINDOW}
        spent = home.rooms_without_more_heat()
        without_heat = [
            room
            for room in home.rooms
            if is_out or home.broken_relays.get(room) is HvacAction.OFF or room in windows or room in spent
        ]
        home.oracle.felt(rooms_c, without_heat, home.at_ms)
        if home.control is None:
            return
        noticing = set()
        for room, state in zip(home.rooms, home.control.state.zones, strict=True):
            if state.heating_monitor.is_failing:
                noticing.add(("no heat", room))
            if state.heating_monitor.is_stuck:
                noticing.add(("heat does not end", room))
            if state.window.is_open:
                noticing.add(("window", room))
        for kind, _ in noticing - self._noticing:
            self._noticed[kind] += 1
        self._noticing = noticing
