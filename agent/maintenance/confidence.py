"""From a drift to a probability that something is wrong: a logistic model, fitted where the truth is known. Pure."""

from math import log, log1p, tanh

import msgspec

from agent.maintenance.drift import Drift

SHIFT_SIGMA_MIN, SHIFT_SIGMA_MAX = -2.0, 6.0
SHIFT_MIN, SHIFT_MAX = -0.2, 0.6
"""Beyond these a drift is not more or less certain: the fitted fleets have too few."""


def features(drift: Drift) -> tuple[float, float, float]:
    """Return what the model weighs: the CUSUM as a logarithm, the shift in standard deviations, and as a share."""
    return (
        log1p(drift.cusum),
        min(SHIFT_SIGMA_MAX, max(SHIFT_SIGMA_MIN, drift.shift_sigma)),
        min(SHIFT_MAX, max(SHIFT_MIN, drift.shift)),
    )


class CalibratedModel(msgspec.Struct, frozen=True):
    """The coefficients of one indicator.

    Attributes:
        intercept: Of the logistic function.
        weights: Of `features`.
        base_rate: How many such faults a zone has in a year, in the fleets on which it was fitted.
    """

    intercept: float
    weights: tuple[float, float, float]
    base_rate: float

    def probability(self, drift: Drift, base_rate: float | None = None) -> float:
        """Return the probability that the fault is there, 0 to 1.

        Args:
            drift: Of the indicator.
            base_rate: How many such faults a zone has in a year where the hub is; `None` for that of the fleets. The
                same evidence means less where faults are rare (Bayes' theorem, on the odds).
        """
        score = self.intercept + sum(
            weight * value for weight, value in zip(self.weights, features(drift), strict=True)
        )
        if base_rate is not None:
            score += log(base_rate / self.base_rate)
        return 0.5 * (1.0 + tanh(score / 2.0))
