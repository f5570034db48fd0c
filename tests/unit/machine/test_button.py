"""The button: what each way of pressing it asks, and all the ways that ask nothing."""

import random
from collections.abc import Iterable

import pytest

from agent.machine.button import (
    DEBOUNCE_MS,
    GAP_MS_MAX,
    PAIR_MS,
    RESET_MS,
    STUCK_MS,
    ButtonState,
    Hold,
    Request,
    advance,
    hold,
    is_settled,
)

LOOK_MS = 25
FRESH = ButtonState()


def pressed(spans: Iterable[tuple[bool, int]], state: ButtonState = FRESH) -> tuple[ButtonState, list[Request]]:
    """Hold each level for so many milliseconds, looked at every 25 ms."""
    at_ms, asked = 1_000_000, []
    for level, span_ms in spans:
        end_ms = at_ms + span_ms
        while at_ms < end_ms:
            state, request = advance(state, is_pressed=level, at_ms=at_ms)
            asked += [request] if request else []
            at_ms += LOOK_MS
    return state, asked


UP, AFTER = (False, 200), (False, 300)


@pytest.mark.parametrize(
    ("held_ms", "expected"),
    [
        (200, []),
        (PAIR_MS - 100, []),
        (PAIR_MS, [Request.PAIR]),
        (RESET_MS - 100, [Request.PAIR]),
        (RESET_MS, [Request.RESET]),
        (STUCK_MS - 100, [Request.RESET]),
        (STUCK_MS, []),
        (10 * STUCK_MS, []),
    ],
)
def test_a_release_asks_by_the_time_that_the_button_was_held(held_ms: int, expected: list[Request]) -> None:
    assert pressed([UP, (True, held_ms), AFTER])[1] == expected


def test_nothing_is_asked_before_the_release() -> None:
    assert pressed([UP, (True, STUCK_MS - 1000)])[1] == []


def test_a_button_that_is_held_over_a_restart_asks_nothing_until_it_was_released() -> None:
    state, asked = pressed([(True, RESET_MS), AFTER])
    assert (asked, hold(state)) == ([], Hold.RELEASED)
    assert pressed([(True, RESET_MS), AFTER, (True, PAIR_MS), AFTER])[1] == [Request.PAIR]


def test_a_button_that_is_held_at_the_start_shows_nothing() -> None:
    assert hold(pressed([(True, PAIR_MS + 500)])[0]) is Hold.RELEASED


def test_a_stuck_button_works_again_after_its_release() -> None:
    state, _ = pressed([UP, (True, STUCK_MS + 100)])
    assert hold(state) is Hold.STUCK
    assert pressed([UP, (True, 2 * STUCK_MS), AFTER, (True, PAIR_MS), AFTER])[1] == [Request.PAIR]


@pytest.mark.parametrize(
    ("held_ms", "expected"),
    [(100, Hold.SHORT), (PAIR_MS + 100, Hold.PAIR), (RESET_MS + 100, Hold.RESET), (STUCK_MS + 100, Hold.STUCK)],
)
def test_what_a_release_would_ask_is_known_while_it_is_held(held_ms: int, expected: Hold) -> None:
    assert hold(pressed([UP, (True, held_ms)])[0]) is expected


def test_bouncing_contacts_make_one_press() -> None:
    bounce = [(True, LOOK_MS), (False, LOOK_MS)] * 3
    assert pressed([UP, *bounce, (True, PAIR_MS), *bounce, AFTER])[1] == [Request.PAIR]


def test_noise_is_no_press() -> None:
    rng = random.Random(1)
    noise = [(rng.random() < 0.5, LOOK_MS) for _ in range(4000)]
    assert pressed([UP, *noise, AFTER])[1] == []


def test_a_contact_that_opens_for_a_moment_is_still_held() -> None:
    assert pressed([UP, (True, 2000), (False, LOOK_MS), (True, 2000), AFTER])[1] == [Request.PAIR]


def test_after_a_gap_in_the_looks_nobody_knows_how_long_it_was_held() -> None:
    state, _ = pressed([UP, (True, 1000)])
    late = (state.looked_ms or 0) + GAP_MS_MAX + PAIR_MS
    state, _ = advance(state, is_pressed=True, at_ms=late)
    for step in range(1, 40):
        state, request = advance(state, is_pressed=False, at_ms=late + step * LOOK_MS)
        assert request is None


def test_a_released_button_need_not_be_looked_at() -> None:
    state, _ = pressed([(False, 2 * DEBOUNCE_MS)])
    assert is_settled(state)
    hours_later = (state.looked_ms or 0) + 7 * 3_600_000
    spans = [(True, PAIR_MS), AFTER]
    asked, at_ms = [], hours_later
    for level, span_ms in spans:
        end_ms = at_ms + span_ms
        while at_ms < end_ms:
            state, request = advance(state, is_pressed=level, at_ms=at_ms)
            asked += [request] if request else []
            at_ms += LOOK_MS
    assert asked == [Request.PAIR]
    assert not is_settled(ButtonState())
    assert not is_settled(pressed([UP, (True, 500)])[0])
