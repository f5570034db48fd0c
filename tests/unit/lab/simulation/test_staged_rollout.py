"""The stages of a rollout, and when it goes on or halts."""

import pytest

from lab.simulation.staged_rollout import STAGES_PERCENT, Rollout, advance, stage_of


def test_each_hub_is_in_the_stage_of_its_share() -> None:
    stages = [stage_of(number, 200) for number in range(200)]
    assert stages == sorted(stages)
    assert [sum(stage <= each for stage in stages) for each in range(4)] == [2, 20, 100, 200]


@pytest.mark.parametrize("hubs", [1, 2, 7])
def test_a_small_fleet_still_begins_with_one_hub(hubs: int) -> None:
    stages = [stage_of(number, hubs) for number in range(hubs)]
    assert stages[0] == 0
    assert max(stages) <= len(STAGES_PERCENT) - 1
    assert stages.count(0) == 1


@pytest.mark.parametrize(
    ("offered", "succeeded", "failed", "expected"),
    [
        (20, 0, 0, Rollout(1)),
        (20, 17, 0, Rollout(1)),
        (20, 18, 0, Rollout(2)),
        (20, 17, 1, Rollout(2)),
        (20, 9, 1, Rollout(1)),
        (20, 8, 1, Rollout(1, is_halted=True)),
        (20, 0, 1, Rollout(1, is_halted=True)),
        (20, 18, 2, Rollout(2)),
        (20, 17, 3, Rollout(1, is_halted=True)),
    ],
)
def test_next_stage_or_halt(offered: int, succeeded: int, failed: int, expected: Rollout) -> None:
    assert advance(Rollout(1), offered=offered, succeeded=succeeded, failed=failed) == expected


def test_a_halted_rollout_stays_halted_and_the_last_stage_is_the_last() -> None:
    halted = Rollout(1, is_halted=True)
    assert advance(halted, offered=20, succeeded=20, failed=0) == halted
    assert advance(Rollout(3), offered=200, succeeded=200, failed=0) == Rollout(3)
