"""The status LED: every state has a pattern of its own that a person can tell from the others."""

import itertools
import re
from pathlib import Path

import pytest

from agent.machine.button import Hold
from agent.machine.light import CYCLE_MS, DARK, HELD, PAIRING, RESET, Condition, flashes, pattern

HARDWARE = Path(__file__).parents[3] / "docs" / "hardware.md"


@pytest.mark.parametrize("condition", Condition)
def test_a_condition_is_its_number_of_flashes_in_a_cycle(condition: Condition) -> None:
    shown = pattern(Hold.RELEASED, condition, is_reset_asked=False, is_pairing=False)
    assert sum(is_on for is_on, _ in shown) == condition.value
    assert sum(span_ms for _, span_ms in shown) == CYCLE_MS
    assert all(one[0] is not other[0] for one, other in itertools.pairwise(shown))
    assert shown[-1][0] is False
    assert shown[-1][1] > 3000


def test_what_a_person_has_just_done_is_shown_first() -> None:
    fault = Condition.FAULT
    assert pattern(Hold.RELEASED, fault, is_reset_asked=False, is_pairing=True) == PAIRING
    assert pattern(Hold.RELEASED, fault, is_reset_asked=True, is_pairing=True) == RESET
    held = [pattern(each, fault, is_reset_asked=True, is_pairing=True) for each in Hold if each is not Hold.RELEASED]
    assert held == [HELD, PAIRING, RESET, DARK]


def test_the_documents_name_every_condition() -> None:
    text = HARDWARE.read_text()
    for condition in Condition:
        assert re.search(rf"\| {condition.value} short flash", text)
    assert flashes(1)[0] == (True, 150)
