"""Faults and weather of the simulated fleets, of houses and of machines. Pure, for a generator of random numbers.

A fault grows evenly to its full effect and is repaired some time after; faults and look-alikes begin by chance, as a
Poisson process. The weather of a day follows that of the day before.
"""

import random
from math import cos, pi

import msgspec

from agent.maintenance.indicators import YEAR_MS

DAY_MS = 86_400_000
YEARS = 3
"""A house or machine is followed for so long, from a day of the year by chance."""

COLDEST_LAG_DAYS = 30.0
"""The coldest time of the year comes so long after the solstice."""

WEATHER_SHARE, WEATHER_SIGMA_K = 0.75, 2.3
"""So much of a day's weather is that of the day before, and the scatter of the rest."""

REPAIR_DAYS = 14
FAULT_DAYS_MIN = 60.0
"""A fault that has run its course is repaired so long after: somebody has noticed. None is repaired sooner than the
second after its beginning."""

LONGEST_PAST_DAYS = 180.0
"""A fault may have begun so long before the first day: the hub learns with it half done."""


class FaultCourse(msgspec.Struct, frozen=True):
    """The course of one fault: the day on which it begins, and in how many days it is full."""

    begins: float
    days: float

    @property
    def ends(self) -> float:
        """The day of its repair."""
        return self.begins + self.days + max(REPAIR_DAYS, FAULT_DAYS_MIN - self.days)

    def share_on(self, day: int) -> float:
        """Return how much of its full effect there is on a day, 0 to 1."""
        return 0.0 if not self.begins <= day < self.ends else min(1.0, (day - self.begins) / self.days)


def beginnings(rng: random.Random, a_year: float, first: float, length: int) -> list[float]:
    """Return the times of a Poisson process from a day on, in days before ``length``."""
    found, at = [], first
    while (at := at + rng.expovariate(a_year / 365.0)) < length:
        found.append(at)
    return found


def cold_on(day: int) -> float:
    """Return how cold the season is so many days after the solstice: 1 at its coldest, -1 at its warmest."""
    return cos(2.0 * pi * ((day - COLDEST_LAG_DAYS) * DAY_MS) / YEAR_MS)


def next_weather_k(rng: random.Random, weather_k: float) -> float:
    """Return by how much the next day is warmer than its season, from the same of this day."""
    return WEATHER_SHARE * weather_k + rng.gauss(0.0, WEATHER_SIGMA_K)
