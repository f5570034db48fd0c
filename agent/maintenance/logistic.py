"""The logistic function of a weighted sum: how each model of predictive maintenance makes a probability. Pure."""

from collections.abc import Sequence
from math import tanh


def probability(intercept: float, weights: Sequence[float], features: Sequence[float]) -> float:
    """Return the probability, 0 to 1, that a logistic model gives to what it weighs.

    Raises:
        ValueError: There are not as many weights as features.
    """
    score = intercept + sum(weight * value for weight, value in zip(weights, features, strict=True))
    return 0.5 * (1.0 + tanh(score / 2.0))
