"""When the cloud of the demo fails, and how. Pure: from a time to what is the case then."""

import random
from collections.abc import Iterator
from enum import StrEnum

import msgspec


class CloudCondition(StrEnum):
    """How the cloud is."""

    FAIR = "fair"
    UNREACHABLE = "unreachable"
    FAILING = "failing"


class OutagePhase(msgspec.Struct, frozen=True):
    """A stretch of the same weather, in seconds of the house.

    Attributes:
        ends_s: When it is over; infinite for one that never is.
    """

    weather: CloudCondition
    begins_s: float
    ends_s: float


PLAN_S = (
    (CloudCondition.FAIR, 5.0),
    (CloudCondition.UNREACHABLE, 7.0),
    (CloudCondition.FAIR, 9.0),
    (CloudCondition.FAILING, 4.0),
    (CloudCondition.FAIR, 6.0),
)
"""One round, in seconds of whoever watches: long enough to see the outbox fill and empty, short enough not to bore."""

SPREAD = 0.2
"""Each phase is up to so much longer or shorter, so that no round is like the other."""


def phases(seed: int, *, speed: float, are_wanted: bool = True) -> Iterator[OutagePhase]:
    """Yield the phases, one after the other without end; a single fair one where no outages are wanted."""
    if not are_wanted:
        yield OutagePhase(CloudCondition.FAIR, 0.0, float("inf"))
        return
    rng = random.Random(seed)  # noqa: S311 - a plan, not a secret
    begins_s = 0.0
    while True:
        for weather, watched_s in PLAN_S:
            ends_s = begins_s + watched_s * speed * rng.uniform(1 - SPREAD, 1 + SPREAD)
            yield OutagePhase(weather, begins_s, ends_s)
            begins_s = ends_s
