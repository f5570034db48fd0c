"""Numerics of the simulation: the exact solution of a linear system over a step, and random numbers by address.

Linear algebra solves x' = F x + g over a step with constant g. It is pure Python: the matrices are 8 by 8, and numpy
needs more memory than the whole hub. Every addition is written out: the built-in `sum` of floats rounds differently
from Python 3.12 on.

Random numbers are addressed: the same (stream, index) gives the same number in whatever order the numbers are read.
This makes a simulated house independent of the order of reads. Never draw from a shared generator here.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

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


_TABLE_BITS: Final = 12
_MASK: Final = (1 << 64) - 1
_SHIFT: Final = 64 - _TABLE_BITS


def rng_for(seed: int, name: str) -> Random:
    """Return the generator of one part of the simulation, equal on every Python version (seeded by SHA-512)."""
    return Random(f"{seed}/{name}")


def stream_for(seed: int, name: str) -> int:
    """Return the 64-bit address of one part's noise."""
    return rng_for(seed, name).getrandbits(64)


class Noise:
    """Standard normal deviates addressed by stream and index (the finaliser of SplitMix64 over a table of 4,096)."""

    __slots__ = ("_table",)

    def __init__(self, seed: int) -> None:
        rng = rng_for(seed, "noise")
        half = tuple(rng.gauss(0.0, 1.0) for _ in range(1 << (_TABLE_BITS - 1)))
        # Antithetic halves make the mean exactly zero, so noise never shifts a sensor.
        self._table = half + tuple(-deviate for deviate in half)

    def at(self, stream: int, index: int) -> float:
        """Return the deviate of `stream` at `index` (any integer, such as a time in milliseconds)."""
        z = (index * 0x9E3779B97F4A7C15 + stream) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        return self._table[((z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK) >> _SHIFT]


class Fading:
    """A slow random wave: deviates at the multiples of a period, straight lines between them."""

    __slots__ = ("_first", "_index", "_noise", "_period_ms", "_second", "_stream")

    def __init__(self, noise: Noise, stream: int, period_ms: int) -> None:
        self._noise = noise
        self._stream = stream
        self._period_ms = period_ms
        self._index = 0
        self._first = noise.at(stream, 0)
        self._second = noise.at(stream, 1)

    def at(self, at_ms: int) -> float:
        """Return the wave at `at_ms`; its values are standard normal at the multiples of the period."""
        index, rest_ms = divmod(at_ms, self._period_ms)
        if index != self._index:
            self._index = index
            self._first = self._noise.at(self._stream, index)
            self._second = self._noise.at(self._stream, index + 1)
        return self._first + (self._second - self._first) * (rest_ms / self._period_ms)
