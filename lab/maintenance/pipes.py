"""A fast model of supply and return of a heated zone, day by day, with faults and look-alikes. Pure, for a seed.

The hub's own `agent.maintenance` gets the settled readings of a day as it would make them of minutes. Emitter and water
are a heat exchanger, the source keeps a heating curve while it can. Rates and sizes of faults are assumptions, as those
of `lab.maintenance.fleet`: no published ones were found.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from math import exp, log

import msgspec

from agent.maintenance.indicators import SOLSTICE_MS
from agent.maintenance.pipe_readings import PipeIndicator, units_of
from lab.maintenance.faults import DAY_MS, LONGEST_PAST_DAYS, YEARS, beginnings, cold_on, next_weather_k
from lab.maintenance.pipe_faults import (
    CURVE,
    HEAT_PUMP,
    OFF_SHARE,
    ON_OFF,
    PIPE_FAULTS,
    PIPE_LOOK_ALIKES,
    SOURCES,
    Effect,
    PipeEpisode,
    PipeFault,
    Range,
)

GROUPS = 3
"""A day's settled readings come from so many hours."""

HEAT_C = 15.0
"""A house is heated below this temperature outside."""

STANDARD_C = 2.0
"""The weather in which it is asked whether a fault shows."""

DESIGN_C = -10.0
"""The weather for which source and heating curve are made."""

DESIGN_EXCESS_K = 30.0
CURVE_POWER = 0.8
"""A heating curve: the excess of the supply over the room goes with this power of room minus outside."""

OUTDOOR_KNOWN_SHARE = 0.6
FLOOR_SHARE, FLOOR_EXCESS = 0.3, 0.4
"""So many zones have a heated floor, whose supply is so much less above the room."""
MODULATING_SHARE = 0.25
"""So many have a valve that opens as far as it has to."""

SETTLED_SHARE = 0.8
"""So many days have settled heating in all their parts."""
DEFROST_C, DEFROST_SHARE = 5.0, 0.2
"""Below this a heat pump has defrosted before so many readings."""

READING_NOISE_K = 0.15


class SettledReading(msgspec.Struct, frozen=True):
    """A settled reading, as `agent.maintenance.pipe_record.add_reading` takes it, and how often it came."""

    excess_k: float
    spread_k: float
    output: float
    outdoor_c: float | None
    times: int


class PipeDay(msgspec.Struct, frozen=True):
    """One day of a zone, and the truth about it: the faults that have begun."""

    number: int
    ended_utc_ms: int
    readings: tuple[SettledReading, ...]
    faults: tuple[PipeFault, ...]


class PipeClimate(msgspec.Struct, frozen=True):
    """The ranges from which zones, pipes and weather are drawn: those to fit on, or wider ones to judge by."""

    mean_c: Range = (7.0, 11.0)
    swing_k: Range = (8.0, 11.0)
    units: Range = (0.22, 0.60)
    design_k: Range = (28.0, 48.0)
    flow_scatter: Range = (0.010, 0.035)
    supply_scatter: Range = (0.010, 0.035)
    valves: Range = (0.0, 0.15)
    offset_k: Range = (-0.5, 0.5)


PIPES_FITTED = PipeClimate()
PIPES_HELD_OUT = PipeClimate(
    mean_c=(5.0, 14.0),
    swing_k=(6.0, 13.0),
    units=(0.18, 0.70),
    design_k=(24.0, 52.0),
    flow_scatter=(0.008, 0.045),
    supply_scatter=(0.008, 0.045),
    valves=(0.0, 0.20),
)
"""Other zones and other weather than those of the fit."""


class _Zone(msgspec.Struct, frozen=True):
    """What is drawn once for a zone and its weather.

    Attributes:
        source: One of `SOURCES`.
        first: The day of the year on which it begins.
        mean_c: The mean temperature outside over a year.
        swing_k: By how much the coldest day is colder than that.
        room_c: The room.
        units: The transfer units of the emitter at an excess of `DESIGN_EXCESS_K`.
        power: With which power of the excess they grow.
        design_k: The excess of the supply in `DESIGN_C`.
        reserve: How much more than that the source can give then.
        flow_scatter: Of the flow from day to day, as a logarithm.
        supply_scatter: That of the supply.
        valves: The share of the flow that radiator valves take in the mildest weather.
        offsets_k: The errors of the thermometers, supply first.
        is_outdoor_known: The hub knows the temperature outside.
        is_modulating: The valve of the zone opens as far as it has to.
    """

    source: str
    first: int
    mean_c: float
    swing_k: float
    room_c: float
    units: float
    power: float
    design_k: float
    reserve: float
    flow_scatter: float
    supply_scatter: float
    valves: float
    offsets_k: tuple[float, float]
    is_outdoor_known: bool
    is_modulating: bool

    def units_at(self, excess_k: float, effect: Effect, flow: float) -> float:
        """Return the transfer units at an excess, with a flow as a share of the usual one."""
        return float(self.units * (1.0 + effect.emission) / flow * (excess_k / DESIGN_EXCESS_K) ** self.power)

    def heat(self, excess_k: float, effect: Effect, flow: float) -> float:
        """Return the heat at an excess, in units of the usual flow times a kelvin."""
        return flow * excess_k * (1.0 - exp(-self.units_at(excess_k, effect, flow)))

    def excess_k(self, outdoor_c: float, effect: Effect, flow: float, curve: float = 0.0) -> float:
        """Return the excess of the supply that the source reaches in this weather."""
        cold = max(1.0, self.room_c - outdoor_c) / (self.room_c - DESIGN_C)
        wanted_k = float(self.design_k * exp(curve) * cold**CURVE_POWER)
        most = self.heat(self.design_k, Effect(), 1.0) * self.reserve * (1.0 + effect.source)
        if self.source == HEAT_PUMP:
            most *= 1.0 + 0.012 * (outdoor_c - DESIGN_C)
        if self.source != ON_OFF and self.heat(wanted_k, effect, flow) <= most:
            return wanted_k
        low_k, high_k = 1.0, 95.0
        for _ in range(12):
            middle_k = 0.5 * (low_k + high_k)
            low_k, high_k = (middle_k, high_k) if self.heat(middle_k, effect, flow) < most else (low_k, middle_k)
        return 0.5 * (low_k + high_k)

    def spread_k(self, excess_k: float, effect: Effect, flow: float) -> float:
        """Return supply minus return."""
        return excess_k * (1.0 - exp(-self.units_at(excess_k, effect, flow))) * (1.0 + effect.mixing)

    def changes(self, effect: Effect) -> Mapping[PipeIndicator, float]:
        """Return by how much an effect makes each indicator worse, as a logarithm, in weather of `STANDARD_C`."""
        usual_k, now_k = (self.excess_k(STANDARD_C, each, 1.0 + each.flow) for each in (Effect(), effect))
        usual, now = (
            log(units_of(excess_k, self.spread_k(excess_k, each, 1.0 + each.flow)))
            for excess_k, each in ((usual_k, Effect()), (now_k, effect))
        )
        return {
            PipeIndicator.SPREAD: now - usual,
            PipeIndicator.LOW_SPREAD: usual - now,
            PipeIndicator.LOW_SUPPLY: log(usual_k / now_k),
        }


def run_pair(seed: int, number: int, climate: PipeClimate, years: int = YEARS) -> Iterator[PipeDay]:
    """Yield the days of one zone of a fleet."""
    rng = random.Random(f"pipes {seed}/{number}")  # noqa: S311 - no secret
    length = 365 * years
    zone = _drawn(rng, SOURCES[number % len(SOURCES)], climate)
    faults, episodes = _faults(rng, zone, length), _episodes(rng, length)
    weather_k = 0.0
    for day in range(length):
        weather_k = next_weather_k(rng, weather_k)
        present = [each for each in episodes if each.begins <= day < each.ends]
        warmer_k = weather_k + sum(each.outdoor_k for each in present)
        outdoor_c = zone.mean_c - zone.swing_k * cold_on(zone.first + day) + warmer_k
        active = tuple([each for each in faults if each.begins <= day < each.ends])
        readings = _readings(rng, zone, day, outdoor_c, active, present) if outdoor_c < HEAT_C else ()
        yield PipeDay(day, SOLSTICE_MS + (zone.first + day) * DAY_MS, readings, active)


def _drawn(rng: random.Random, source: str, climate: PipeClimate) -> _Zone:
    draw = rng.uniform
    is_floor = rng.random() < FLOOR_SHARE
    reserve = {CURVE: draw(1.6, 2.5), HEAT_PUMP: draw(0.75, 1.1), ON_OFF: draw(0.7, 1.2)}[source]
    return _Zone(
        source=source,
        first=int(draw(0.0, 365.0)),
        mean_c=draw(*climate.mean_c),
        swing_k=draw(*climate.swing_k),
        room_c=draw(19.5, 22.5),
        units=draw(*climate.units),
        power=draw(0.08, 0.12) if is_floor else draw(0.25, 0.35),
        design_k=draw(*climate.design_k) * (FLOOR_EXCESS if is_floor else 1.0),
        reserve=reserve,
        flow_scatter=draw(*climate.flow_scatter),
        supply_scatter=draw(*climate.supply_scatter),
        valves=draw(*climate.valves),
        offsets_k=(draw(*climate.offset_k), draw(*climate.offset_k)),
        is_outdoor_known=rng.random() < OUTDOOR_KNOWN_SHARE,
        is_modulating=rng.random() < MODULATING_SHARE,
    )


def _readings(
    rng: random.Random,
    zone: _Zone,
    day: int,
    outdoor_c: float,
    faults: Sequence[PipeFault],
    present: Sequence[PipeEpisode],
) -> tuple[SettledReading, ...]:
    """Return the settled readings of a day."""
    effects = [each.effect_on(day) for each in faults]
    flow = exp(rng.gauss(0.0, zone.flow_scatter) + sum(each.flow for each in present))
    source = mixing = emission = 1.0
    for effect in effects:
        flow *= 1.0 + effect.flow
        source *= 1.0 + effect.source
        mixing *= 1.0 + effect.mixing
        emission *= 1.0 + effect.emission
    emission *= exp(sum(each.emission for each in present))
    effect = Effect(0.0, emission - 1.0, source - 1.0, mixing - 1.0)
    curve = sum(each.curve for each in present)
    room_k = sum(each.room_k for each in present)
    scatter = rng.gauss(0.0, zone.supply_scatter)
    supply_error_k, return_error_k = (
        zone.offsets_k[is_return] + sum(each.error_k(day) for each in present if each.is_return == bool(is_return))
        for is_return in (0, 1)
    )
    found = []
    for _ in range(GROUPS if rng.random() < SETTLED_SHARE else rng.randrange(GROUPS)):
        now_c = outdoor_c + rng.uniform(-4.0, 4.0)
        mild = min(1.0, max(0.0, (now_c - DESIGN_C) / 25.0)) * rng.uniform(0.5, 1.0)
        output = min(1.0, max(0.2, (zone.room_c - now_c) / 30.0 + rng.gauss(0.0, 0.1))) if zone.is_modulating else 1.0
        now = flow * (1.0 - zone.valves * mild) * output
        excess_k = max(1.0, zone.excess_k(now_c, effect, now, curve) * exp(scatter) - room_k)
        if zone.source == HEAT_PUMP and now_c < DEFROST_C and rng.random() < DEFROST_SHARE:
            excess_k *= rng.uniform(0.9, 1.0)
        spread_k = zone.spread_k(excess_k, effect, now)
        supply_k = excess_k + supply_error_k + rng.gauss(0.0, READING_NOISE_K)
        return_k = excess_k - spread_k + return_error_k + rng.gauss(0.0, READING_NOISE_K)
        for each in present:
            if each.is_swap:
                supply_k, return_k = return_k, supply_k
            if each.is_off and each.is_return:
                return_k *= OFF_SHARE
            elif each.is_off:
                supply_k *= OFF_SHARE
        known_c = now_c if zone.is_outdoor_known else None
        found.append(SettledReading(supply_k, supply_k - return_k, output, known_c, rng.randrange(1, 8)))
    return tuple(found)


def rate_of(indicator: PipeIndicator) -> float:
    """Return how many faults of the kinds that an indicator shows a zone of the fleet has in a year."""
    takes = {
        PipeIndicator.SPREAD: ("flow",),
        PipeIndicator.LOW_SPREAD: ("emission", "mixing"),
        PipeIndicator.LOW_SUPPLY: ("source",),
    }[indicator]
    return round(sum(each.a_year * len(each.sources) / len(SOURCES) for each in PIPE_FAULTS if each.takes in takes), 3)


def _faults(rng: random.Random, zone: _Zone, length: int) -> list[PipeFault]:
    found = []
    for kind in PIPE_FAULTS:
        if zone.source not in kind.sources:
            continue
        for begins in beginnings(rng, kind.a_year, -LONGEST_PAST_DAYS, length):
            share = rng.uniform(*kind.share)
            changes = tuple(zone.changes(Effect(**{kind.takes: -share})).items())
            found.append(PipeFault(begins, rng.uniform(*kind.days), kind.name, kind.takes, share, changes))
    return found


def _episodes(rng: random.Random, length: int) -> list[PipeEpisode]:
    draw = rng.uniform
    return [
        PipeEpisode(
            begins,
            begins + draw(*kind.days),
            draw(*kind.curve),
            draw(*kind.room_k),
            draw(*kind.outdoor_k),
            draw(*kind.flow),
            draw(*kind.emission),
            draw(*kind.offset_k),
            draw(*kind.drift_k),
            kind.is_swap,
            kind.is_off,
            is_return=rng.choice((False, True)),
        )
        for kind in PIPE_LOOK_ALIKES
        for begins in beginnings(rng, kind.a_year, 0.0, length)
    ]
