"""From a drift to a probability that something is wrong: a logistic model, fitted where the truth is known. Pure."""

from math import log

import msgspec

from agent.maintenance.drift import Drift, Sign
from agent.maintenance.logistic import probability

ODDS_MAX = 6.0
LOSS_MIN, LOSS_MAX = -0.2, 0.6
SIGMAS_MIN, SIGMAS_MAX = -3.0, 8.0
"""Beyond these a drift is not more or less certain: the fitted fleets have too few."""

SURPRISE_MIN = -2.0
"""Days that are much better than expected: a repair."""


def features(sign: Sign) -> tuple[float, float, float, float]:
    """Return what the model weighs.

    These are the odds of a fault, what it takes, the same in standard deviations, and by how much the last days were
    better than it would have them.
    """
    return (
        min(ODDS_MAX, max(-ODDS_MAX, sign.log_odds)),
        min(LOSS_MAX, max(LOSS_MIN, sign.loss)),
        min(SIGMAS_MAX, max(SIGMAS_MIN, sign.sigmas)),
        min(0.0, max(SURPRISE_MIN, sign.surprise)),
    )


class CalibratedModel(msgspec.Struct, frozen=True):
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
        """Return the probability that the fault is there, 0 to 1: the least of the days that have to agree."""
        of_days = [probability(self.intercept, self.weights, features(sign)) for sign in drift.signs]
        return min(of_days, default=0.0)

    def with_base_rate(self, factor: float) -> "CalibratedModel":
        """Return the model where such faults are so many times as frequent as in the fleets.

        The same evidence means less where faults are rare: Bayes' theorem, on the odds.
        """
        return CalibratedModel(self.intercept + log(factor), self.weights, self.base_rate * factor)
