import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.foundation.signals import full_jitter_s


class Extreme(random.Random):
    """Draws the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


@pytest.mark.parametrize(
    ("attempt", "longest_s"), [(0, 1.0), (1, 2.0), (5, 32.0), (8, 256.0), (9, 300.0), (64, 300.0), (10**6, 300.0)]
)
def test_doubles_up_to_the_cap(attempt: int, longest_s: float) -> None:
    assert full_jitter_s(attempt, base_s=1.0, cap_s=300.0, rng=Extreme()) == longest_s


def test_backoff_uses_full_jitter() -> None:
    rng = random.Random(1)
    waits_s = [full_jitter_s(4, base_s=1.0, cap_s=300.0, rng=rng) for _ in range(2000)]
    assert min(waits_s) < 0.5
    assert max(waits_s) > 15.5
    assert 7.5 < sum(waits_s) / len(waits_s) < 8.5


@given(st.integers(0, 10**9), st.floats(1e-3, 1e3), st.floats(1e-3, 1e6), st.integers())
def test_backoff_lies_between_zero_and_the_cap(attempt: int, base_s: float, cap_s: float, seed: int) -> None:
    assert 0.0 <= full_jitter_s(attempt, base_s=base_s, cap_s=cap_s, rng=random.Random(seed)) <= cap_s


def test_negative_attempt_raises() -> None:
    with pytest.raises(ValueError, match="counts from 0"):
        full_jitter_s(-1, base_s=1.0, cap_s=2.0, rng=random.Random(1))
