"""The count of how often an output was switched on."""

from collections.abc import Sequence

import pytest

from agent.maintenance.assessment import FindingState, ZoneRecord, find_wear, observe
from agent.maintenance.indicators import WearIndicator
from agent.maintenance.switching import RATED_STARTS, SHOWN_SHARE, STARTS_MAX, Switching, count

NEAR = round(SHOWN_SHARE * RATED_STARTS)


@pytest.mark.parametrize(
    ("seen", "starts"),
    [
        ((0, 1, 3), 3),
        ((5, 7, 0, 2), 9),
        # The hub was started anew, and has switched before it was looked at.
        ((5, 1), 6),
    ],
)
def test_starts_are_counted_over_restarts(seen: Sequence[int], starts: int) -> None:
    known = Switching()
    for each in seen:
        known = count(known, each)
    assert known == Switching(starts, seen[-1])


def test_a_damaged_count_stays_in_bounds() -> None:
    assert count(Switching(-5, -7), 2).starts == 9
    assert count(Switching(10**300), 2).starts == STARTS_MAX


def test_it_is_shown_near_the_end_of_a_relay_with_its_number_and_is_never_an_alert() -> None:
    assert not Switching(NEAR - 1).is_near_its_end
    assert Switching(NEAR).is_near_its_end
    found = find_wear(Switching(NEAR))
    assert (found.indicator, found.state, found.confidence) == (WearIndicator.SWITCHING, FindingState.UNKNOWN, None)
    assert not found.is_fault
    assert found.features == (SHOWN_SHARE,)
    assert found.evidence.startswith(f"switched on {NEAR} times; relays are made for {RATED_STARTS}")


def test_other_sensors_do_not_change_what_the_output_has_done() -> None:
    record = ZoneRecord(sensors=(("own", "a"),), switching=Switching(7, 7))
    assert observe(record, {"own": "b"}, None, 0).switching == Switching(7, 7)
