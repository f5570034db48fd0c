"""Linear algebra for one purpose: the exact solution of x' = F x + g over a step during which g stands still.

Pure Python, since the matrices are 8 by 8 and numpy would cost more memory than the whole hub. Every addition is
written out: the built-in `sum` of floats rounds differently from Python 3.12 on.
"""

from collections.abc import Sequence

import msgspec

Matrix = tuple[tuple[float, ...], ...]

_SERIES_NORM_MAX = 0.5
"""The Taylor series is used where the matrix times the step is below this; larger steps are reached by doubling."""

_SERIES_TERMS = 16
"""0.5**17 / 17! is below 1e-19: beyond double precision."""


def identity(size: int) -> Matrix:
    """Return the identity matrix."""
    return tuple(tuple(1.0 if i == j else 0.0 for j in range(size)) for i in range(size))


def dot(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the scalar product, added from left to right."""
    total = 0.0
    for a, b in zip(left, right, strict=True):
        total += a * b
    return total


def product(left: Matrix, right: Matrix) -> Matrix:
    """Return the matrix product."""
    columns = tuple(zip(*right, strict=True))
    return tuple(tuple(dot(row, column) for column in columns) for row in left)


def scaled(matrix: Matrix, factor: float) -> Matrix:
    """Return the matrix with every element times `factor`."""
    return tuple(tuple(element * factor for element in row) for row in matrix)


def plus(left: Matrix, right: Matrix) -> Matrix:
    """Return the sum of two matrices."""
    return tuple(tuple(a + b for a, b in zip(*rows, strict=True)) for rows in zip(left, right, strict=True))


class Propagator(msgspec.Struct, frozen=True):
    """The exact solution of x' = F x + g over one step with constant g.

    At its end x = `state` x0 + `once` g; the integral of x over it is `once` x0 + `twice` g.

    Attributes:
        state: exp(F h).
        once: The integral of exp(F s) over s from 0 to h.
        twice: The integral of that over h, again from 0.
    """

    state: Matrix
    once: Matrix
    twice: Matrix


def propagator(dynamics: Matrix, step_s: float) -> Propagator:
    """Return the propagator of x' = F x + g.

    Taylor series over a step short enough, then doubling: with E, P, Q those of h, those of 2h are E E, P + E P and
    Q + h P + E Q (scaling and squaring, Moler and Van Loan 2003, method 3, carried over to the integrals).

    Args:
        dynamics: F, n by n, in 1/s.
        step_s: The step h in seconds, above 0.

    Raises:
        ValueError: The step is not above 0.
    """
    if step_s <= 0:
        raise ValueError(f"a step lasts longer than {step_s} s")
    norm = max(dot([abs(element) for element in row], [step_s] * len(row)) for row in dynamics)
    doublings = 0
    while norm > _SERIES_NORM_MAX:
        norm /= 2
        doublings += 1
    h = step_s / 2**doublings
    term = identity(len(dynamics))
    state, once, twice = term, scaled(term, h), scaled(term, h * h / 2)
    for k in range(1, _SERIES_TERMS + 1):
        term = scaled(product(term, dynamics), h / k)
        state = plus(state, term)
        once = plus(once, scaled(term, h / (k + 1)))
        twice = plus(twice, scaled(term, h * h / ((k + 1) * (k + 2))))
    for _ in range(doublings):
        twice = plus(plus(twice, scaled(once, h)), product(state, twice))
        once = plus(once, product(state, once))
        state = product(state, state)
        h *= 2
    return Propagator(state, once, twice)
