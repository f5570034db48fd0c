"""What follows an attempt."""

import random

import pytest

from agent.apis.webhooks.attempts import ATTEMPTS_MAX, BACKOFF_BASE_S, BACKOFF_CAP_S, Next, Result, decide


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_a_delivery(status: int) -> None:
    assert decide(Result(status), 1, random.Random(1)).next is Next.DONE


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410, 500, 503, 199])
def test_anything_else_is_tried_again(status: int) -> None:
    decision = decide(Result(status), 1, random.Random(1))
    assert decision.next is Next.WAIT
    assert 0 <= decision.wait_s <= BACKOFF_BASE_S
    assert str(status) in decision.reason


def test_the_wait_grows_with_jitter_up_to_its_cap() -> None:
    waits = [
        max(decide(Result(500), attempts, random.Random(seed)).wait_s for seed in range(200))
        for attempts in range(1, ATTEMPTS_MAX)
    ]
    assert waits[1] > waits[0]
    assert all(wait <= BACKOFF_CAP_S for wait in waits)
    assert waits[-1] > BACKOFF_CAP_S * 0.9
    assert len({decide(Result(500), 5, random.Random(seed)).wait_s for seed in range(20)}) == 20


def test_after_the_last_attempt_it_is_a_dead_letter() -> None:
    assert decide(Result(500), ATTEMPTS_MAX - 1, random.Random(1)).next is Next.WAIT
    decision = decide(Result(problem="nobody answers"), ATTEMPTS_MAX, random.Random(1))
    assert (decision.next, decision.reason) == (Next.DEAD, "nobody answers")


def test_an_address_that_is_not_allowed_is_a_dead_letter_at_once() -> None:
    assert decide(Result(problem="private", is_final=True), 1, random.Random(1)).next is Next.DEAD


def test_a_wait_that_the_endpoint_asks_for_is_kept_within_the_cap() -> None:
    assert decide(Result(429, retry_after_s=600.0), 1, random.Random(1)).wait_s == 600.0
    assert decide(Result(503, retry_after_s=1e9), 1, random.Random(1)).wait_s == BACKOFF_CAP_S
    assert decide(Result(400, retry_after_s=600.0), 1, random.Random(1)).wait_s <= BACKOFF_BASE_S
    assert Result(799).text == "it answered 799"
