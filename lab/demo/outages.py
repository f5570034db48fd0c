"""When the cloud of the demo fails, and how. Pure: from a time to what is the case then."""

import random
from collections.abc import Iterator
from enum import StrEnum

import msgspec


class Weather(StrEnum):
    """How the cloud is."""

    FAIR = "fair"
    UNREACHABLE = "unreachable"
    FAILING = "failing"


class Phase(msgspec.Struct, frozen=True):
    """A stretch of the same weather, in seconds of the house.

    Attributes:
        ends_s: When it is over; infinite for one that never is.
    """

    weather: Weather
    begins_s: float
    ends_s: float


PLAN_S = (
    (Weather.FAIR, 5.0),
    (Weather.UNREACHABLE, 7.0),
    (Weather.FAIR, 9.0),
    (Weather.FAILING, 4.0),
    (Weather.FAIR, 6.0),
)
"""One round, in seconds of whoever watches: long enough to see the outbox fill and empty, short enough not to bore."""

SPREAD = 0.2
"""Each phase is up to so much longer or shorter, so that no round is like the other."""


def phases(seed: int, *, speed: float, are_wanted: bool = True) -> Iterator[Phase]:
    """Yield the phases, one after the other without end; a single fair one where no outages are wanted."""
    if not are_wanted:
        yield Phase(Weather.FAIR, 0.0, float("inf"))
        return
    rng = random.Random(seed)  # noqa: S311 - a plan, not a secret
    begins_s = 0.0
    while True:
        for weather, watched_s in PLAN_S:
            ends_s = begins_s + watched_s * speed * rng.uniform(1 - SPREAD, 1 + SPREAD)
            yield Phase(weather, begins_s, ends_s)
            begins_s = ends_s
