"""A year of a heated home in which everything goes wrong now and then: sensors, relays, power, clock, the heat source.

Owns what goes wrong and when; `heating` has the home, `safety_oracle` the rules.
"""

import random
from collections import Counter
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

from agent.climate.holds import Program
from agent.climate.model import Mode
from agent.climate.schedule import WEEK, Block, Schedule
from agent.climate.settings import ClimateSettings, Emitter, SourceKind, SourceSettings, ZoneSettings, law_for
from agent.rehearsal.heating import Home, HomeOptions
from hal.interface import HvacAction, SensorKind
from hal.sim.building import FLAT
from hal.sim.faults import random_faults

START_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000
MINUTE_MS = 60_000

COLD_C = 4.0
RECOVERY_MS = 12 * 3_600_000
"""After its heat source worked again a room is given so long to get warm."""

ROOMS = tuple(zone.name for zone in FLAT.zones)
_PROGRAM = Program(
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


class MishapKind(StrEnum):
    """What goes wrong."""

    POWER_CUT = "power cut"
    KILL = "kill"
    CLOCK_LOST = "clock lost"
    CLOCK_WRONG = "clock wrong"
    RELAY_CLOSED = "relay stuck closed"
    RELAY_OPEN = "relay stuck open"
    SOURCE_FAILED = "source failed"


PER_YEAR = {
    MishapKind.POWER_CUT: 60.0,
    MishapKind.KILL: 120.0,
    MishapKind.CLOCK_LOST: 20.0,
    MishapKind.CLOCK_WRONG: 10.0,
    MishapKind.RELAY_CLOSED: 3.0,
    MishapKind.RELAY_OPEN: 3.0,
    MishapKind.SOURCE_FAILED: 4.0,
}
MEAN_MIN = {
    MishapKind.POWER_CUT: 30.0,
    MishapKind.KILL: 1.0,
    MishapKind.CLOCK_LOST: 600.0,
    MishapKind.CLOCK_WRONG: 120.0,
    MishapKind.RELAY_CLOSED: 600.0,
    MishapKind.RELAY_OPEN: 300.0,
    MishapKind.SOURCE_FAILED: 240.0,
}
SENSOR_FAULTS_PER_DAY = 0.05
SENSOR_FAULT_MEAN_S = 6 * 3600.0


class Mishap(msgspec.Struct, frozen=True, order=True):
    """Something that goes wrong from one minute to another."""

    from_min: int
    to_min: int
    kind: MishapKind
    room: str


class YearVerdict(msgspec.Struct, frozen=True):
    """How it went.

    Attributes:
        seed: Of everything.
        days: How many.
        steps: Decisions that were watched.
        broken: Rules of safety that were broken, in words.
        coldest_c: The coldest that any room was while its heat worked.
        warmest_c: The warmest that any room was.
        starts: Of each relay.
        struck: How often each thing went wrong.
        noticed: How often the hub noticed that heat did not come, or did not end.
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
        """Whether nothing was broken and no room was cold."""
        return not self.broken and self.coldest_c >= COLD_C


def year_settings(seed: int) -> ClimateSettings:
    """Return the home: a heat pump for four rooms, two sensors in two of them.

    Every other home has a heat pump with all there can be: two stages, auxiliary heat, a valve that is on in heating.
    """
    zones = tuple(
        ZoneSettings(
            zone_id=zone.name,
            sensors=((zone.name, 1.0), (f"{zone.name} 2", 1.0)) if number % 2 == 0 else ((zone.name, 1.0),),
            can_cool=zone.cooling_w > 0,
            law=law_for(Emitter.RADIATOR, is_shared=True, min_on_s=180.0),
        )
        for number, zone in enumerate(FLAT.zones)
    )
    source = SourceSettings(kind=SourceKind.HEAT_PUMP)
    if seed % 2 == 0:
        source = msgspec.structs.replace(source, stages=2, has_aux=True, is_valve_on_in_heating=True)
    return ClimateSettings(zones=zones, source=source)


def draw(rng: random.Random, days: int) -> list[Mishap]:
    """Return what goes wrong, in order."""
    drawn = []
    for kind, per_year in PER_YEAR.items():
        at_min = rng.expovariate(per_year / 365 / 1440)
        while at_min < days * 1440:
            length = 1 + round(rng.expovariate(1 / MEAN_MIN[kind]))
            drawn.append(Mishap(round(at_min), round(at_min) + length, kind, rng.choice(ROOMS)))
            at_min += length + rng.expovariate(per_year / 365 / 1440)
    return sorted(drawn)


class Year:
    """One run."""

    def __init__(self, seed: int, days: int) -> None:
        """Prepare.

        Args:
            seed: Of everything.
            days: How many.
        """
        self._seed = seed
        self._days = days
        rng = random.Random(seed)
        settings = year_settings(seed)
        series = [(name, SensorKind.TEMPERATURE) for zone in settings.zones for name, _ in zone.sensors]
        faults = random_faults(
            rng,
            series,
            duration_s=days * 86_400,
            faults_per_day=SENSOR_FAULTS_PER_DAY,
            mean_fault_s=SENSOR_FAULT_MEAN_S,
        )
        self._home = Home(
            HomeOptions(
                settings=settings,
                seed=seed,
                start_utc_ms=START_MS,
                programs=dict.fromkeys(ROOMS, _PROGRAM),
                zone=ZoneInfo("Europe/Berlin"),
                faults=faults,
            )
        )
        self._mishaps = draw(rng, days)
        self._wrong_ms = [rng.choice((-1, 1)) * rng.randrange(3600_000, 400 * DAY_MS) for _ in range(16)]
        self._struck: Counter[str] = Counter({"sensor": len(faults)})
        self._noticed: Counter[str] = Counter()
        self._noticing: set[tuple[str, str]] = set()
        self._under_way: list[Mishap] = []
        self._excused_ms = dict.fromkeys(ROOMS, 0)
        self._coldest_c = self._warmest_c = 20.0

    def run(self) -> YearVerdict:
        """Let it happen."""
        home = self._home
        waiting = list(reversed(self._mishaps))
        for minute in range(self._days * 1440):
            while waiting and waiting[-1].from_min <= minute:
                self._begin(waiting.pop())
            for mishap in [found for found in self._under_way if found.to_min <= minute]:
                self._under_way.remove(mishap)
                self._end(mishap)
            home.run((minute + 1) * MINUTE_MS)
            self._look()
        return YearVerdict(
            seed=self._seed,
            days=self._days,
            steps=home.oracle.steps,
            broken=[*home.oracle.summary(), *(f"{e.rule} at {e.at_ms}: {e.text}" for e in home.oracle.examples[:3])],
            coldest_c=round(self._coldest_c, 2),
            warmest_c=round(self._warmest_c, 2),
            starts=dict(home.oracle.starts),
            struck=dict(self._struck),
            noticed=dict(self._noticed),
        )

    def _begin(self, mishap: Mishap) -> None:
        home = self._home
        self._struck[mishap.kind.value] += 1
        match mishap.kind:
            case MishapKind.POWER_CUT | MishapKind.KILL:
                if home.control is not None:
                    home.go_down()
            case MishapKind.CLOCK_LOST:
                home.is_clock_known = False
            case MishapKind.CLOCK_WRONG:
                home.clock_error_ms = self._wrong_ms[self._struck[mishap.kind.value] % len(self._wrong_ms)]
            case MishapKind.RELAY_CLOSED:
                home.broken_relays[mishap.room] = HvacAction.HEAT
            case MishapKind.RELAY_OPEN:
                home.broken_relays[mishap.room] = HvacAction.OFF
            case MishapKind.SOURCE_FAILED:
                home.has_source = False
        self._under_way.append(mishap)

    def _end(self, mishap: Mishap) -> None:
        home = self._home
        kinds = [found.kind for found in self._under_way]
        match mishap.kind:
            case MishapKind.POWER_CUT | MishapKind.KILL:
                if MishapKind.POWER_CUT in kinds or MishapKind.KILL in kinds:
                    return
                if mishap.kind is MishapKind.KILL:
                    home.restart()
                else:
                    home.reboot(is_clock_known=False)
                    # NTP needs a network: some boots learn the time at once, some the next day.
                    later = mishap.to_min + (2 if mishap.to_min % 3 else 1440)
                    self._under_way.append(Mishap(mishap.to_min, later, MishapKind.CLOCK_LOST, mishap.room))
            case MishapKind.CLOCK_LOST:
                home.is_clock_known = MishapKind.CLOCK_LOST not in kinds
            case MishapKind.CLOCK_WRONG:
                home.clock_error_ms = 0
            case MishapKind.RELAY_CLOSED | MishapKind.RELAY_OPEN:
                home.broken_relays.pop(mishap.room, None)
            case MishapKind.SOURCE_FAILED:
                home.has_source = MishapKind.SOURCE_FAILED not in kinds

    def _look(self) -> None:
        """Judge the rooms by the truth, and count what the hub has noticed."""
        home = self._home
        is_out = not home.has_source or not home.house.power.has_mains or home.control is None
        for room in ROOMS:
            value_c = home.truth_c(room)
            self._warmest_c = max(self._warmest_c, value_c)
            if is_out or home.broken_relays.get(room) is HvacAction.OFF:
                self._excused_ms[room] = home.at_ms + RECOVERY_MS
            elif home.at_ms > self._excused_ms[room]:
                self._coldest_c = min(self._coldest_c, value_c)
        if home.control is None:
            return
        noticing = set()
        for room, state in zip(ROOMS, home.control.state.zones, strict=True):
            if state.watch.is_failing:
                noticing.add(("no heat", room))
            if state.watch.is_stuck:
                noticing.add(("heat does not end", room))
        for kind, _ in noticing - self._noticing:
            self._noticed[kind] += 1
        self._noticing = noticing
