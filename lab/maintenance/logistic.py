"""Logistic regression by Newton's method (iteratively reweighted least squares), and how well a probability holds."""

from collections.abc import Sequence
from math import log

import msgspec

from agent.maintenance import logistic

STEPS_MAX = 30
STEP_MIN, STEP_MAX = 1e-7, 2.0
"""The fit is done below the first; beyond the second a step may lead away."""
RIDGE = 1.0
"""A weight that the data do not decide stays near zero: a normal prior on each but the intercept."""


class Point(msgspec.Struct, frozen=True):
    """What is known at one moment, and the truth."""

    features: tuple[float, ...]
    is_true: bool


def fit(points: Sequence[Point]) -> list[float]:
    """Return the intercept and the weights that make the points likeliest.

    Raises:
        ValueError: The points are all true, or all false.
    """
    trues = sum(each.is_true for each in points)
    if not 0 < trues < len(points):
        raise ValueError("the fleet has no fault, or nothing else: simulate more houses")
    size = len(points[0].features) + 1
    weights = [log(trues / (len(points) - trues)), *[0.0] * (size - 1)]
    for _ in range(STEPS_MAX):
        gradient = [0.0] + [-RIDGE * each for each in weights[1:]]
        hessian = [[RIDGE * (i == j > 0) for j in range(size)] for i in range(size)]
        for point in points:
            row = (1.0, *point.features)
            p = probability(weights, point.features)
            w, error = p * (1.0 - p), point.is_true - p
            for i in range(size):
                gradient[i] += error * row[i]
                for j in range(i + 1):
                    hessian[i][j] += w * row[i] * row[j]
        for i in range(size):
            for j in range(i):
                hessian[j][i] = hessian[i][j]
        step = solve(hessian, gradient)
        scale = min(1.0, STEP_MAX / max(abs(each) for each in step))
        step = [scale * each for each in step]
        weights = [each + change for each, change in zip(weights, step, strict=True)]
        if max(abs(each) for each in step) < STEP_MIN:
            break
    return weights


def probability(weights: Sequence[float], features: Sequence[float]) -> float:
    """Return the probability at one point, by the intercept and the weights of `fit`."""
    return logistic.probability(weights[0], weights[1:], features)


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Return the solution of a system of linear equations, by elimination with row exchange."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for i in range(size):
        best = max(range(i, size), key=lambda k: abs(rows[k][i]))
        rows[i], rows[best] = rows[best], rows[i]
        for k in range(i + 1, size):
            share = rows[k][i] / rows[i][i]
            rows[k] = [one - share * other for one, other in zip(rows[k], rows[i], strict=True)]
    found = [0.0] * size
    for i in reversed(range(size)):
        found[i] = (rows[i][size] - sum(rows[i][k] * found[k] for k in range(i + 1, size))) / rows[i][i]
    return found


class Bin(msgspec.Struct, frozen=True):
    """A row of a reliability table: how many points had about one probability, its mean, and the share that is true."""

    count: int
    mean: float
    true_share: float


def reliability(judged: Sequence[tuple[float, bool]], bins: int = 10) -> list[Bin]:
    """Return the reliability table of probabilities with their truths, without empty rows."""
    rows: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for p, is_true in judged:
        rows[min(bins - 1, int(p * bins))].append((p, is_true))
    return [
        Bin(len(row), sum(p for p, _ in row) / len(row), sum(is_true for _, is_true in row) / len(row))
        for row in rows
        if row
    ]


def calibration_error(table: Sequence[Bin]) -> float:
    """Return the expected calibration error: the mean distance of probability and truth, weighed by the points."""
    return sum(each.count * abs(each.mean - each.true_share) for each in table) / sum(each.count for each in table)


def brier(judged: Sequence[tuple[float, bool]]) -> float:
    """Return the Brier score: the mean squared distance of probability and truth."""
    return sum((p - is_true) ** 2 for p, is_true in judged) / len(judged)
