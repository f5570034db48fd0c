"""Noise has an address: who asks, and in which order, makes no difference."""

from itertools import pairwise
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.sim.noise import Fading, Noise, rng_for, stream_for

NOISE = Noise(7)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(-(2**50), 2**50)), max_size=20))
def test_the_same_address_gives_the_same_deviate_in_any_order(addresses: list[tuple[int, int]]) -> None:
    forward = [NOISE.at(*address) for address in addresses]
    backward = [Noise(7).at(*address) for address in reversed(addresses)]
    assert forward == backward[::-1]


def test_deviates_at_regular_instants_are_standard_normal_and_uncorrelated() -> None:
    stream = stream_for(1, "a sensor")
    values = [NOISE.at(stream, minute * 60_000) for minute in range(20_000)]
    assert fsum(values) / len(values) == pytest.approx(0.0, abs=0.03)
    assert fsum(v * v for v in values) / len(values) == pytest.approx(1.0, abs=0.05)
    assert fsum(a * b for a, b in pairwise(values)) / len(values) == pytest.approx(0.0, abs=0.03)


def test_streams_know_nothing_of_each_other() -> None:
    one, other = stream_for(1, "one"), stream_for(1, "other")
    pairs = [(NOISE.at(one, i), NOISE.at(other, i)) for i in range(20_000)]
    assert fsum(a * b for a, b in pairs) / len(pairs) == pytest.approx(0.0, abs=0.03)


def test_seed_and_name_both_matter() -> None:
    assert len({stream_for(seed, name) for seed in (1, 2) for name in ("a", "b")}) == 4
    assert rng_for(1, "a").random() == rng_for(1, "a").random()
    assert Noise(1).at(0, 0) != Noise(2).at(0, 0)


def test_a_fading_meets_its_deviates_and_runs_straight_between_them() -> None:
    fading = Fading(NOISE, 5, 1000)
    for at_ms in (3000, 0, 9000):  # in any order
        assert fading.at(at_ms) == NOISE.at(5, at_ms // 1000)
    assert fading.at(4250) == pytest.approx(0.75 * NOISE.at(5, 4) + 0.25 * NOISE.at(5, 5), abs=1e-12)
