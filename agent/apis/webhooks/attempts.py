"""What follows an attempt to deliver: done, another attempt after a wait, or the dead letters. Pure."""

import random
from enum import StrEnum
from http import HTTPStatus

import msgspec

from agent.foundation.signals import full_jitter_s

ANSWER_S_MAX = 30.0
"""How long an endpoint may take to answer (Amps, /concepts/webhook-model)."""

BACKOFF_BASE_S = 10.0
BACKOFF_CAP_S = 2 * 3600.0

ATTEMPTS_MAX = 24
"""Then a delivery becomes a dead letter: with the backoff above after about 15 hours, and at most 30."""

_TOO_MANY = 429


class Next(StrEnum):
    """What happens to a delivery after an attempt."""

    DONE = "done"
    WAIT = "wait"
    DEAD = "dead"


class Result(msgspec.Struct, frozen=True):
    """How one attempt ended.

    Attributes:
        status: Of the answer; 0 where there was none.
        problem: Why there was none, without any secret; empty where there was one.
        retry_after_s: The wait that the endpoint asked for.
        is_final: No later attempt can end otherwise: the address is not allowed.
    """

    status: int = 0
    problem: str = ""
    retry_after_s: float | None = None
    is_final: bool = False

    @property
    def has_arrived(self) -> bool:
        """Whether the endpoint has taken it."""
        return 200 <= self.status < 300  # noqa: PLR2004

    @property
    def text(self) -> str:
        """In words, for people."""
        if self.problem:
            return self.problem
        try:
            return f"it answered {self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return f"it answered {self.status}"


class Decision(msgspec.Struct, frozen=True):
    """What follows.

    Attributes:
        next: What happens to the delivery.
        wait_s: Until the next attempt.
        reason: Why it was not delivered.
    """

    next: Next
    wait_s: float = 0.0
    reason: str = ""


def decide(result: Result, attempts: int, rng: random.Random) -> Decision:
    """Return what follows an attempt.

    Args:
        result: Of the attempt.
        attempts: How many there were, this one included.
        rng: Where the jitter comes from.
    """
    if result.has_arrived:
        return Decision(Next.DONE)
    if result.is_final or attempts >= ATTEMPTS_MAX:
        return Decision(Next.DEAD, reason=result.text)
    wait_s = full_jitter_s(attempts - 1, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S, rng=rng)
    if result.retry_after_s is not None and result.status in {_TOO_MANY, HTTPStatus.SERVICE_UNAVAILABLE}:
        wait_s = max(wait_s, min(result.retry_after_s, BACKOFF_CAP_S))
    return Decision(Next.WAIT, wait_s, result.text)
