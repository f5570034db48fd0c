"""The propagator against closed forms."""

from itertools import pairwise
from math import cos, exp, expm1, fsum, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.sim.numerics import Fading, Matrix, Noise, identity, plus, product, propagator, rng_for, scaled, stream_for


def flat(matrix: Matrix) -> list[float]:
    return [element for row in matrix for element in row]


@given(st.floats(1e-3, 50.0), st.floats(0.01, 5000.0))
def test_one_node_is_an_exponential(steps_in_time_constants: float, step_s: float) -> None:
    rate_per_s = steps_in_time_constants / step_s
    solved = propagator(((-rate_per_s,),), step_s)
    kept = exp(-rate_per_s * step_s)
    once = -expm1(-rate_per_s * step_s) / rate_per_s
    assert solved.state[0][0] == pytest.approx(kept, rel=1e-9, abs=1e-14)
    assert solved.once[0][0] == pytest.approx(once, rel=1e-12)
    assert solved.twice[0][0] == pytest.approx((step_s - once) / rate_per_s, rel=1e-9)


def test_a_rotation_is_sine_and_cosine() -> None:
    angle = 7.5
    solved = propagator(((0.0, -1.0), (1.0, 0.0)), angle)
    assert flat(solved.state) == pytest.approx([cos(angle), -sin(angle), sin(angle), cos(angle)], abs=1e-12)
    assert flat(solved.once) == pytest.approx([sin(angle), cos(angle) - 1, 1 - cos(angle), sin(angle)], abs=1e-12)


def test_a_double_integrator_is_a_polynomial() -> None:
    solved = propagator(((0.0, 1.0), (0.0, 0.0)), 3.0)
    assert flat(solved.state) == [1.0, 3.0, 0.0, 1.0]
    assert flat(solved.once) == pytest.approx([3.0, 4.5, 0.0, 3.0])
    assert flat(solved.twice) == pytest.approx([4.5, 4.5, 0.0, 4.5])


def test_two_steps_make_the_double_step() -> None:
    dynamics = ((-0.01, 0.004), (0.0007, -0.002))
    one, two = propagator(dynamics, 60.0), propagator(dynamics, 120.0)
    assert flat(product(one.state, one.state)) == pytest.approx(flat(two.state), rel=1e-12)
    assert flat(plus(one.once, product(one.state, one.once))) == pytest.approx(flat(two.once), rel=1e-12)
    twice = plus(plus(one.twice, scaled(one.once, 60.0)), product(one.state, one.twice))
    assert flat(twice) == pytest.approx(flat(two.twice), rel=1e-12)


def test_the_identity_changes_nothing() -> None:
    matrix = ((1.0, 2.0), (3.0, 4.0))
    assert product(identity(2), matrix) == matrix == product(matrix, identity(2))


@pytest.mark.parametrize("step_s", [0.0, -1.0])
def test_a_step_that_takes_no_time_is_refused(step_s: float) -> None:
    with pytest.raises(ValueError, match="lasts longer"):
        propagator(((-1.0,),), step_s)


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


def test_random_streams_are_independent() -> None:
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
