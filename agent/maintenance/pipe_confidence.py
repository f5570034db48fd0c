"""From the drift of a pair of thermometers to a probability that something is wrong: a logistic model. Pure.

A fault grows and is repaired within a year; a shift that has stayed for longer is a thermometer, a pump setting or a
valve. So the model weighs its age besides what is weighed of machines.
"""

from math import log1p

import msgspec

from agent.maintenance import machine_drift
from agent.maintenance.logistic import probability
from agent.maintenance.machine_drift import Drift

DAY_MS = 86_400_000
AGE_DAYS_MAX = 365.0
"""A shift that is older than this is not less certain."""


def features(drift: Drift) -> tuple[float, float, float, float]:
    """Return what the model weighs: `machine_drift.features`, and the age of the shift in days as a logarithm."""
    cusum, sigmas, share = machine_drift.features(drift)
    if drift.since_utc_ms is None or drift.last_utc_ms is None:
        return cusum, sigmas, share, 0.0
    age_days = (drift.last_utc_ms - drift.since_utc_ms) / DAY_MS
    return cusum, sigmas, share, log1p(min(AGE_DAYS_MAX, max(0.0, age_days)))


class PipeModel(msgspec.Struct, frozen=True):
    """The coefficients of one indicator.

    Attributes:
        intercept: Of the logistic function.
        weights: Of `features`.
        base_rate: How many such faults a zone has in a year, in the fleets on which it was fitted.
    """

    intercept: float
    weights: tuple[float, float, float, float]
    base_rate: float

    def probability(self, drift: Drift) -> float:
        """Return the probability that the fault is there, 0 to 1."""
        return probability(self.intercept, self.weights, features(drift))
