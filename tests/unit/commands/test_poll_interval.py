import pytest

from agent.commands.poll_interval import ACTIVE_S, poll_interval_s


@pytest.mark.parametrize(
    ("since_s", "is_metered", "expected_s"),
    [
        ((None, None), False, 60.0),
        ((0.0, None), False, 15.0),
        ((None, ACTIVE_S - 1), False, 15.0),
        ((ACTIVE_S, ACTIVE_S), False, 60.0),
        ((ACTIVE_S + 1, 5.0), False, 15.0),
        ((None, None), True, 300.0),
        ((5.0, None), True, 300.0),
    ],
)
def test_polls_are_frequent_while_somebody_works_with_the_hub(
    since_s: tuple[float | None, ...], is_metered: bool, expected_s: float
) -> None:
    found_s = poll_interval_s(since_s, active_interval_s=15.0, idle_interval_s=60.0, is_metered=is_metered)
    assert found_s == expected_s


def test_polls_are_never_more_frequent_while_nobody_is_here() -> None:
    assert poll_interval_s((), active_interval_s=120.0, idle_interval_s=60.0, is_metered=False) == 120.0
