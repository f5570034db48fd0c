import math
from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from lab.demo.environment import PLAN_S, SPREAD, CloudCondition, OutagePhase, phases


@given(seed=st.integers(0, 2**32), speed=st.floats(1, 1e5))
def test_phases_follow_the_plan_without_a_gap(seed: int, speed: float) -> None:
    found = list(islice(phases(seed, speed=speed), 2 * len(PLAN_S)))
    assert found[0].begins_s == 0.0
    assert all(one.ends_s == other.begins_s for one, other in pairwise(found))
    for phase, (weather, watched_s) in zip(found, PLAN_S * 2, strict=True):
        assert phase.weather is weather
        share = (phase.ends_s - phase.begins_s) / (watched_s * speed)
        assert 1 - SPREAD - 1e-6 <= share <= 1 + SPREAD + 1e-6


def test_the_same_seed_gives_the_same_outages() -> None:
    assert list(islice(phases(3, speed=60), 9)) == list(islice(phases(3, speed=60), 9))
    assert list(islice(phases(3, speed=60), 9)) != list(islice(phases(4, speed=60), 9))


def test_plan_begins_without_outage_and_has_both_kinds() -> None:
    assert PLAN_S[0][0] is CloudCondition.FAIR
    assert {weather for weather, _ in PLAN_S} == set(CloudCondition)


def test_plan_without_outages() -> None:
    assert list(phases(1, speed=60, are_wanted=False)) == [OutagePhase(CloudCondition.FAIR, 0.0, math.inf)]
