"""A second world of supply and return, made without a look at how the hub judges it: other physics, weather and habits.

Owns what `lab.maintenance.pipes` leaves out or simplifies, to judge by alone; nothing is fitted or chosen on it.
Radiators give heat by the logarithmic mean difference (EN 442-2), floors with a power of 1.1 (EN 1264-2); a heating
curve is a straight line; thermostatic valves close as sun and people warm the room; a clamped thermometer shows a part
of its pipe's excess over the room; faults grow faster or slower in the end. Pure, for a seed.
"""

import random
from collections.abc import Iterator, Sequence
from math import exp, log
from typing import NamedTuple

import msgspec

from agent.maintenance.indicators import SOLSTICE_MS, season_of
from agent.maintenance.pipe_readings import PipeIndicator, units_of
from lab.maintenance.faults import DAY_MS, LONGEST_PAST_DAYS, YEARS, beginnings, cold_on
from lab.maintenance.pipe_faults import (
    CURVE,
    FOR_GOOD,
    HEAT_PUMP,
    NOTHING,
    ON_OFF,
    PIPE_FAULTS,
    SOURCES,
    Effect,
    PipeFault,
    Range,
)
from lab.maintenance.pipes import PipeDay, SettledReading

DESIGN_C, STANDARD_C, HEAT_C = -12.0, 3.0, 14.0
"""The weather for which houses are made, that in which it is asked whether a fault shows, and that below which it is
heated."""

FLOOR_SHARE, OUTDOOR_KNOWN_SHARE, MODULATING_SHARE = 0.4, 0.7, 0.35
FLOOR_POWER = 1.1
RADIATOR_POWER: Range = (1.25, 1.40)
WEATHER_SHARE, WEATHER_SIGMA_K = 0.85, 2.0
SILENT_SHARE = 0.06
"""So many days have no reading: a battery, a radio, a summer house."""
GROUPS_MAX = 5
BISECTIONS = 16


class Habit(NamedTuple):
    """What looks like a fault and is none: how often a year, for how many days, and what it does (see `PipeEvent`)."""

    name: str
    a_year: float
    days: Range
    pump: Range = NOTHING
    slope: Range = NOTHING
    parallel_k: Range = NOTHING
    room_k: Range = NOTHING
    gains: Range = NOTHING
    emission: Range = NOTHING
    offset_k: Range = NOTHING
    loose: Range = NOTHING
    loosens_days: float = 1.0


HABITS = (
    Habit("another stage of the pump", 0.10, FOR_GOOD, pump=(-0.45, 0.45)),
    Habit("balanced again", 0.05, FOR_GOOD, pump=(-0.35, 0.10)),
    Habit("steeper or flatter heating curve", 0.25, FOR_GOOD, slope=(-0.20, 0.20)),
    Habit("heating curve moved up or down", 0.25, FOR_GOOD, parallel_k=(-5.0, 5.0)),
    Habit("new setpoint", 0.4, FOR_GOOD, room_k=(-2.0, 2.0)),
    Habit("holiday", 1.0, (5.0, 25.0), room_k=(-5.0, -2.0), gains=(-0.15, -0.05)),
    Habit("guests or a stove", 1.0, (3.0, 30.0), gains=(0.05, 0.30)),
    Habit("curtains or furniture before the radiators", 0.15, (60.0, 500.0), emission=(-0.10, 0.0)),
    Habit("another radiator", 0.03, FOR_GOOD, emission=(0.10, 0.30)),
    Habit("thermometer touched and put back", 0.4, FOR_GOOD, loose=(-0.04, 0.04)),
    Habit("thermometer warmed by a hand or the sun", 0.6, (1.0, 3.0), offset_k=(1.0, 6.0)),
    Habit("thermometer that comes loose by and by", 0.08, (90.0, 400.0), loose=(-0.35, -0.08), loosens_days=150.0),
    Habit("thermometer come off", 0.06, (10.0, 150.0), loose=(-0.90, -0.70)),
    Habit("insulation of the pipe lost", 0.06, FOR_GOOD, loose=(-0.08, -0.03)),
    Habit("replaced thermometer", 0.08, FOR_GOOD, offset_k=(-1.0, 1.0)),
)


class PipeEvent(msgspec.Struct, frozen=True):
    """One habit in one zone, with the sizes that chance has given it.

    Attributes:
        begins: Its first day.
        ends: The first day without it.
        pump: What it does to the flow, as a logarithm.
        slope: The same to the slope of the heating curve.
        parallel_k: What it adds to the heating curve.
        room_k: What it adds to the room.
        gains: What it adds to the heat of sun and people, as a share of the design load.
        emission: What it does to the emitter, as a logarithm.
        offset_k: What it adds to a thermometer.
        loose: What it does to the contact of a thermometer, as a share, by and by.
        loosens_days: In how many days.
        is_return: It is the thermometer on the return.
    """

    begins: float
    ends: float
    pump: float
    slope: float
    parallel_k: float
    room_k: float
    gains: float
    emission: float
    offset_k: float
    loose: float
    loosens_days: float
    is_return: bool

    def contact_on(self, day: int) -> float:
        """Return by which share the contact of its thermometer is changed on a day."""
        return self.loose * min(1.0, (day + 1 - self.begins) / self.loosens_days)


class GrowingFault(PipeFault, frozen=True):
    """A fault that grows with a power of time: above 1 slowly first, below 1 quickly first."""

    growth: float = 1.0

    def share_on(self, day: int) -> float:
        """Return how much of its full effect there is on a day, 0 to 1."""
        return float(super().share_on(day) ** self.growth)


class _House(msgspec.Struct, frozen=True):
    """What is drawn once.

    Attributes:
        source: One of `SOURCES`.
        first: The day of the year on which it begins.
        mean_c: The mean temperature outside over a year.
        swing_k: By how much the coldest day is colder than that.
        room_c: The room.
        supply_k: Supply minus room by the heating curve in `DESIGN_C`.
        foot_k: The same at no difference between room and outside: where the straight line begins.
        spread_k: Supply minus return in `DESIGN_C`.
        power: With which power of the logarithmic mean difference the emitter gives heat.
        capacity: What the source can give in `DESIGN_C`, as a share of what the emitter takes then.
        valves: Which share of the flow goes through thermostatic valves.
        gains: How much sun and people give on a bright day, as a share of the design load.
        scatter: Of the flow and of the supply from day to day, as logarithms.
        contacts: Which share of its pipe's excess each thermometer shows, supply first.
        offsets_k: The errors of the thermometers.
        is_outdoor_known: The hub knows the temperature outside.
        is_modulating: The valve of the zone opens as far as it has to.
    """

    source: str
    first: int
    mean_c: float
    swing_k: float
    room_c: float
    supply_k: float
    foot_k: float
    spread_k: float
    power: float
    capacity: float
    valves: float
    gains: float
    scatter: tuple[float, float]
    contacts: tuple[float, float]
    offsets_k: tuple[float, float]
    is_outdoor_known: bool
    is_modulating: bool

    def load(self, outdoor_c: float) -> float:
        """Return the heat that the zone loses, as a share of that in `DESIGN_C`."""
        return max(0.0, self.room_c - outdoor_c) / (self.room_c - DESIGN_C)

    def spread_at(self, excess_k: float, emission: float, flow: float) -> float:
        """Return supply minus return for an excess of the supply: what the water loses, the room gets."""
        usual_k = _log_mean(self.supply_k, self.spread_k)
        low_k, high_k = 1e-6, excess_k * 0.9999
        for _ in range(BISECTIONS):
            middle_k = 0.5 * (low_k + high_k)
            given = emission * (_log_mean(excess_k, middle_k) / usual_k) ** self.power
            low_k, high_k = (middle_k, high_k) if flow * middle_k / self.spread_k < given else (low_k, middle_k)
        return 0.5 * (low_k + high_k)

    def excess_at(
        self, outdoor_c: float, effect: Effect, flow: float, slope: float = 0.0, parallel_k: float = 0.0
    ) -> float:
        """Return supply minus room that the source reaches in this weather."""
        steep_k = (self.supply_k - self.foot_k) * exp(slope)
        wanted_k = max(2.0, self.foot_k + parallel_k + steep_k * self.load(outdoor_c))
        most = self.capacity * (1.0 + effect.source)
        if self.source == HEAT_PUMP:
            most *= 1.0 + 0.022 * (outdoor_c - DESIGN_C)
        # With the heat known, spread and logarithmic mean are, and these give the excess.
        spread_k = self.spread_k * most / flow
        mean_k = _log_mean(self.supply_k, self.spread_k) * (most / (1.0 + effect.emission)) ** (1.0 / self.power)
        reached_k = spread_k / (1.0 - exp(-spread_k / mean_k))
        return reached_k if self.source == ON_OFF else min(wanted_k, reached_k)

    def changes(self, effect: Effect) -> tuple[tuple[PipeIndicator, float], ...]:
        """Return by how much an effect makes each indicator worse in `STANDARD_C`, as a logarithm."""
        usual_k = self.excess_at(STANDARD_C, Effect(), 1.0)
        now_k = self.excess_at(STANDARD_C, effect, 1.0 + effect.flow)
        usual = units_of(usual_k, self.spread_at(usual_k, 1.0, 1.0))
        spread_k = self.spread_at(now_k, 1.0 + effect.emission, 1.0 + effect.flow) * (1.0 + effect.mixing)
        wider = log(units_of(now_k, spread_k) / usual)
        return (
            (PipeIndicator.SPREAD, wider),
            (PipeIndicator.LOW_SPREAD, -wider),
            (PipeIndicator.LOW_SUPPLY, log(usual_k / now_k)),
        )


def _log_mean(excess_k: float, spread_k: float) -> float:
    """Return the logarithmic mean of the excess of supply and return over the room."""
    return spread_k / log(excess_k / (excess_k - spread_k))


def run_other_pair(seed: int, number: int, years: int = YEARS) -> Iterator[PipeDay]:
    """Yield the days of one zone of the second world."""
    rng = random.Random(f"other pipes {seed}/{number}")  # noqa: S311 - no secret
    length = 365 * years
    house = _drawn(rng, SOURCES[number % len(SOURCES)])
    faults, events = _faults(rng, house, length), _events(rng, length)
    weather_k = 0.0
    for day in range(length):
        weather_k = WEATHER_SHARE * weather_k + rng.gauss(0.0, WEATHER_SIGMA_K)
        outdoor_c = house.mean_c - house.swing_k * cold_on(house.first + day) + weather_k
        utc_ms = SOLSTICE_MS + (house.first + day) * DAY_MS
        active = tuple([each for each in faults if each.begins <= day < each.ends])
        present = [each for each in events if each.begins <= day < each.ends]
        is_silent = outdoor_c >= HEAT_C or rng.random() < SILENT_SHARE
        sun = 1.0 - 0.5 * season_of(utc_ms)
        readings = () if is_silent else _readings(rng, house, day, outdoor_c, sun, active, present)
        yield PipeDay(day, utc_ms, readings, active)


def _drawn(rng: random.Random, source: str) -> _House:
    draw = rng.uniform
    is_floor = rng.random() < FLOOR_SHARE
    supply_k = draw(10.0, 20.0) if is_floor else draw(22.0, 50.0)
    return _House(
        source=source,
        first=int(draw(0.0, 365.0)),
        mean_c=draw(3.0, 13.0),
        swing_k=draw(5.0, 14.0),
        room_c=draw(18.5, 23.0),
        supply_k=supply_k,
        foot_k=supply_k * draw(0.05, 0.25),
        spread_k=supply_k * draw(0.18, 0.45),
        power=FLOOR_POWER if is_floor else draw(*RADIATOR_POWER),
        capacity={CURVE: draw(1.2, 2.5), HEAT_PUMP: draw(0.6, 1.1), ON_OFF: draw(0.8, 1.4)}[source],
        valves=rng.choice((0.0, 0.0, draw(0.0, 0.5))),
        gains=draw(0.10, 0.35),
        scatter=(draw(0.005, 0.04), draw(0.005, 0.05)),
        contacts=(draw(0.92, 1.0), draw(0.92, 1.0)),
        offsets_k=(draw(-0.5, 0.5), draw(-0.5, 0.5)),
        is_outdoor_known=rng.random() < OUTDOOR_KNOWN_SHARE,
        is_modulating=rng.random() < MODULATING_SHARE,
    )


def _readings(
    rng: random.Random,
    house: _House,
    day: int,
    outdoor_c: float,
    sun: float,
    faults: Sequence[PipeFault],
    present: Sequence[PipeEvent],
) -> tuple[SettledReading, ...]:
    """Return the settled readings of a day."""
    effect = _together([each.effect_on(day) for each in faults], sum(each.emission for each in present))
    pump = (1.0 + effect.flow) * exp(rng.gauss(0.0, house.scatter[0]) + sum(each.pump for each in present))
    supply_factor = exp(rng.gauss(0.0, house.scatter[1]))
    slope, parallel_k = sum(each.slope for each in present), sum(each.parallel_k for each in present)
    room_k, more_gains = sum(each.room_k for each in present), sum(each.gains for each in present)
    brightness = rng.random()
    found = []
    for _ in range(rng.randint(0, GROUPS_MAX)):
        now_c = outdoor_c + rng.gauss(0.0, 3.0)
        gains = house.gains * sun * brightness * rng.random() + more_gains + 0.05
        needed = max(0.15, house.load(now_c - room_k) - gains)
        output = min(1.0, max(0.2, needed * rng.uniform(0.9, 1.5))) if house.is_modulating else 1.0
        # Valves close as the room gets what it needs otherwise; what does not pass them stays as it is.
        open_share = 1.0 - house.valves * (1.0 - min(1.0, needed / max(0.15, house.load(now_c))))
        flow = max(0.05, pump * open_share * output)
        excess_k = max(1.0, house.excess_at(now_c, effect, flow, slope, parallel_k) * supply_factor - room_k)
        spread_k = house.spread_at(excess_k, 1.0 + effect.emission, flow) * (1.0 + effect.mixing)
        shown = []
        for is_return, pipe_k in enumerate((excess_k, excess_k - spread_k)):
            mine = [each for each in present if each.is_return == bool(is_return)]
            contact = max(0.05, house.contacts[is_return] * (1.0 + sum(each.contact_on(day) for each in mine)))
            error_k = house.offsets_k[is_return] + sum(each.offset_k for each in mine) + rng.gauss(0.0, 0.2)
            shown.append(pipe_k * contact + error_k)
        known_c = now_c + rng.gauss(0.0, 0.5) if house.is_outdoor_known else None
        found.append(SettledReading(shown[0], shown[0] - shown[1], output, known_c, rng.randint(1, 6)))
    return tuple(found)


def _together(effects: Sequence[Effect], emission: float) -> Effect:
    """Return several effects as one, and what is done to the emitter besides, as a logarithm."""
    flow = source = mixing = 1.0
    given = exp(emission)
    for each in effects:
        flow, source = flow * (1.0 + each.flow), source * (1.0 + each.source)
        mixing, given = mixing * (1.0 + each.mixing), given * (1.0 + each.emission)
    return Effect(flow - 1.0, given - 1.0, source - 1.0, mixing - 1.0)


def _faults(rng: random.Random, house: _House, length: int) -> list[GrowingFault]:
    found = []
    for kind in PIPE_FAULTS:
        if house.source not in kind.sources:
            continue
        for begins in beginnings(rng, kind.a_year * rng.uniform(0.5, 1.5), -LONGEST_PAST_DAYS, length):
            share = rng.uniform(*kind.share)
            days = rng.uniform(0.7 * kind.days[0], 1.3 * kind.days[1])
            changes = house.changes(Effect(**{kind.takes: -share}))
            found.append(GrowingFault(begins, days, kind.name, kind.takes, share, changes, rng.uniform(0.6, 2.0)))
    return found


def _events(rng: random.Random, length: int) -> list[PipeEvent]:
    draw = rng.uniform
    return [
        PipeEvent(
            begins,
            begins + draw(*each.days),
            draw(*each.pump),
            draw(*each.slope),
            draw(*each.parallel_k),
            draw(*each.room_k),
            draw(*each.gains),
            draw(*each.emission),
            draw(*each.offset_k),
            draw(*each.loose),
            each.loosens_days,
            is_return=rng.choice((False, True)),
        )
        for each in HABITS
        for begins in beginnings(rng, each.a_year, 0.0, length)
    ]
