"""Randomness that has an address: the same (stream, index) gives the same number whoever asks, in whatever order.

That is what makes a simulated house independent of who reads it when. Never draw from a shared generator in here.
"""

from random import Random
from typing import Final

_TABLE_BITS: Final = 12
_MASK: Final = (1 << 64) - 1
_SHIFT: Final = 64 - _TABLE_BITS


def rng_for(seed: int, name: str) -> Random:
    """Return the generator of one part of the world, the same on every Python version (seeded by SHA-512 of a text)."""
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
