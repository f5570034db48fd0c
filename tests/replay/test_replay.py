"""A slice of the campaign `python -m tests.replay`: power cuts on a recorded disk, and bugs that it has to find."""

import pytest

from .campaign import judged, record, replay, scratch, skip_reason, states_of
from .planted import BUGS
from .workload import Step, release, scenarios

pytestmark = pytest.mark.slow

STATES = 15
"""Of each tape. The campaign takes them all."""
STRIDE = 4


@pytest.fixture(autouse=True)
def _recordable() -> None:
    if why := skip_reason():
        pytest.skip(why)


@pytest.mark.parametrize("name", ["downloaded", "brought", "not well", "dead"])
def test_every_crash_state_boots_a_complete_release_and_finishes_the_update(name: str) -> None:
    with scratch() as directory:
        report = replay(record(directory, scenarios()[name]), variants=2, states_max=STATES)
    assert report.states > STATES // 2
    assert report.findings == ()


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    bug = BUGS[name]
    missing = set(bug.kinds)
    with scratch() as directory:
        with bug.plant():
            recording = record(directory, [Step(release("2.0.0", 2))], launcher_bugs=bug.launcher)
        states = states_of(recording, variants=1)
        # The bundle is on its way in the first third, when there is little to find.
        for findings in judged(recording, states[len(states) // 3 :: STRIDE]):
            missing -= {each.kind for each in findings}
            if not missing:
                return
    pytest.fail(f"not found: {missing}")
