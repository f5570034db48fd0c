"""A fast model of a heated zone, day by day, with faults and with what looks like one. Pure, for a seed.

The daily balance of a house: `output = (lift - people - sun) / (span x health)`, where `lift` is room minus outside and
`span` how far full output keeps the room above outside (degree-day method, ISO 52016-1's monthly balance by the day).
The hub's own `agent.maintenance` sees the days as it sees those of a real zone.

Rates of faults are assumptions, chosen within what trade surveys call common (a fault in three to ten years of each
kind): no published rate a zone-year was found. They are stated in the generated file, and a hub may use others.
"""

import random
from collections.abc import Iterator, Sequence

import msgspec

from agent.maintenance.indicators import SOLSTICE_MS, Day, Indicator, season_of
from lab.maintenance.faults import (
    DAY_MS,
    LONGEST_PAST_DAYS,
    YEARS,
    FaultCourse,
    beginnings,
    cold_on,
    next_weather_k,
)

PRESENT = 0.03
"""From this loss on a fault counts as present."""


class FaultKind(msgspec.Struct, frozen=True):
    """One kind of fault.

    Attributes:
        name: For people.
        indicator: What it lowers.
        a_year: How many of these faults a zone has in a year, on average.
        days: From its beginning to its full effect: the shortest and the longest.
        loss: Its full effect on the indicator, as a share: the smallest and the largest.
    """

    name: str
    indicator: Indicator
    a_year: float
    days: tuple[float, float]
    loss: tuple[float, float]


FAULTS = (
    FaultKind("clogged filter", Indicator.WARMTH, 0.04, (90.0, 270.0), (0.15, 0.40)),
    FaultKind("refrigerant loss", Indicator.WARMTH, 0.02, (60.0, 240.0), (0.20, 0.50)),
    FaultKind("scale", Indicator.WARMTH, 0.02, (180.0, 400.0), (0.15, 0.35)),
    FaultKind("worn pump", Indicator.WARMTH, 0.02, (60.0, 200.0), (0.20, 0.50)),
    FaultKind("fouled coil", Indicator.WARMTH, 0.02, (90.0, 270.0), (0.15, 0.35)),
    FaultKind("leaking duct or lost insulation", Indicator.WARMTH, 0.02, (1.0, 10.0), (0.15, 0.35)),
    FaultKind("air in the circuit", Indicator.RUN_TIME, 0.04, (5.0, 40.0), (0.30, 0.60)),
    FaultKind("sticking valve", Indicator.RUN_TIME, 0.02, (20.0, 90.0), (0.30, 0.60)),
    FaultKind("sensor beside the emitter", Indicator.RUN_TIME, 0.02, (1.0, 2.0), (0.30, 0.60)),
    FaultKind("limiter that trips", Indicator.RUN_TIME, 0.02, (30.0, 120.0), (0.30, 0.70)),
)


class Fault(FaultCourse, frozen=True):
    """One fault of one house: its course, its kind, and how much it takes when it is full."""

    kind: FaultKind
    loss: float

    def loss_on(self, day: int) -> float:
        """Return what it takes on a day, as a share."""
        return self.loss * self.share_on(day)


class LookAlike(msgspec.Struct, frozen=True):
    """What looks like a fault and is none, over some days.

    Attributes:
        name: For people.
        a_year: How many of these events a zone has in a year, on average.
        days: The shortest and the longest; it stays for good where the longest is infinite.
        room_k: What it does to the room's temperature: the least and the most.
        people_k: The same to the warmth of people and devices.
        loss: The same to the heat that the house loses, as a share.
        run: The same to the length of a run, as a share.
        outdoor_k: The same to the temperature outside.
    """

    name: str
    a_year: float
    days: tuple[float, float]
    room_k: tuple[float, float] = (0.0, 0.0)
    people_k: tuple[float, float] = (0.0, 0.0)
    loss: tuple[float, float] = (0.0, 0.0)
    run: tuple[float, float] = (0.0, 0.0)
    outdoor_k: tuple[float, float] = (0.0, 0.0)


LOOK_ALIKES = (
    LookAlike("holiday", 1.0, (5.0, 16.0), room_k=(-5.0, -2.0), people_k=(-2.0, -1.0)),
    LookAlike("new tenant", 0.15, (1e9, 1e9), room_k=(-1.5, 1.5), people_k=(-1.5, 1.5), run=(-0.1, 0.1)),
    LookAlike("cold spell", 1.0, (5.0, 14.0), outdoor_k=(-10.0, -5.0)),
    LookAlike("open window", 0.5, (5.0, 40.0), loss=(0.02, 0.10)),
    LookAlike("sensor replaced under its name", 0.1, (1e9, 1e9), room_k=(-0.6, 0.6), run=(-0.1, 0.1)),
    LookAlike("changed schedule", 0.5, (1e9, 1e9), room_k=(-1.0, 1.0), run=(-0.15, 0.15)),
)
"""A slow house is one of the houses."""


class Episode(msgspec.Struct, frozen=True):
    """One look-alike in one house, with the sizes that chance has given it."""

    name: str
    begins: float
    ends: float
    room_k: float
    people_k: float
    loss: float
    run: float
    outdoor_k: float


class HouseDay(msgspec.Struct, frozen=True):
    """One day of a house, and the truth about it: the faults that are present."""

    day: Day
    number: int
    faults: tuple[Fault, ...]

    def has(self, indicator: Indicator) -> bool:
        """Whether a fault that lowers an indicator is present."""
        return any(each.kind.indicator is indicator for each in self.faults)


class Climate(msgspec.Struct, frozen=True):
    """The ranges from which houses and weather are drawn: those of the fleets to fit on, or wider ones to judge by."""

    mean_c: tuple[float, float] = (7.0, 11.0)
    swing_k: tuple[float, float] = (8.0, 11.0)
    span_k: tuple[float, float] = (30.0, 65.0)
    sun_k: tuple[float, float] = (3.0, 8.0)
    people_k: tuple[float, float] = (1.5, 4.0)
    wind: tuple[float, float] = (0.03, 0.07)
    run_minutes: tuple[float, float] = (5.0, 20.0)
    run_scatter: tuple[float, float] = (0.05, 0.12)


FITTED = Climate()
HELD_OUT = Climate(
    mean_c=(5.0, 13.0),
    swing_k=(6.0, 13.0),
    span_k=(26.0, 80.0),
    sun_k=(2.0, 9.0),
    people_k=(1.0, 4.5),
    wind=(0.02, 0.08),
    run_minutes=(4.0, 30.0),
    run_scatter=(0.04, 0.14),
)
"""Other houses and other weather than those of the fit."""


def live(seed: int, number: int, climate: Climate, years: int = YEARS) -> Iterator[HouseDay]:
    """Yield the days of one house of a fleet."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311 - no secret
    draw = rng.uniform
    first = int(draw(0.0, 365.0))
    length = 365 * years
    faults, episodes = _faults(rng, length), _episodes(rng, length)
    mean_c, swing_k, span_k, sun_k = (
        draw(*climate.mean_c), draw(*climate.swing_k), draw(*climate.span_k), draw(*climate.sun_k),
    )  # fmt: skip
    people_k, wind, scatter = draw(*climate.people_k), draw(*climate.wind), draw(*climate.run_scatter)
    run_minutes, room_c = draw(*climate.run_minutes), draw(19.5, 22.0)
    weather_k = 0.0
    for day in range(length):
        utc_ms = SOLSTICE_MS + (first + day) * DAY_MS
        weather_k = next_weather_k(rng, weather_k)
        present = [each for each in episodes if each.begins <= day < each.ends]
        outdoor_c = mean_c - swing_k * cold_on(first + day) + weather_k + sum(each.outdoor_k for each in present)
        lift_k = room_c + sum(each.room_k for each in present) + rng.gauss(0.0, 0.15) - outdoor_c
        sun = sun_k * (0.2 + 0.4 * (1.0 - season_of(utc_ms))) * draw(0.1, 1.0)
        free_k = sun + people_k * rng.lognormvariate(0.0, 0.15) + sum(each.people_k for each in present)
        losing = 1.0 + sum(each.loss for each in present)
        health = _health(faults, Indicator.WARMTH, day)
        span = span_k * health / losing * rng.lognormvariate(0.0, wind)
        output = min(1.0, max(0.0, (lift_k - free_k) / span))
        lift_k = min(lift_k, span + free_k)
        # A controller with hysteresis: the run grows as the pause shrinks.
        run = run_minutes / max(0.1, 1.0 - output) * _health(faults, Indicator.RUN_TIME, day)
        run *= (1.0 + sum(each.run for each in present)) * rng.lognormvariate(0.0, scatter)
        starts = int(output * 1440.0 / run)
        active = tuple([each for each in faults if each.loss_on(day) >= PRESENT])
        run_s = output * 86_400.0 / starts if starts else 0.0
        yield HouseDay(Day(utc_ms, output, lift_k, starts, run_s, rng.gauss(0.0, 0.4)), day, active)


def _health(faults: Sequence[Fault], indicator: Indicator, day: int) -> float:
    health = 1.0
    for each in faults:
        if each.kind.indicator is indicator:
            health *= 1.0 - each.loss_on(day)
    return health


def _faults(rng: random.Random, length: int) -> list[Fault]:
    return [
        Fault(begins, rng.uniform(*kind.days), kind, rng.uniform(*kind.loss))
        for kind in FAULTS
        for begins in beginnings(rng, kind.a_year, -LONGEST_PAST_DAYS, length)
    ]


def _episodes(rng: random.Random, length: int) -> list[Episode]:
    return [
        Episode(
            kind.name,
            begins,
            begins + rng.uniform(*kind.days),
            rng.uniform(*kind.room_k),
            rng.uniform(*kind.people_k),
            rng.uniform(*kind.loss),
            rng.uniform(*kind.run),
            rng.uniform(*kind.outdoor_k),
        )
        for kind in LOOK_ALIKES
        for begins in beginnings(rng, kind.a_year, 0.0, length)
    ]
