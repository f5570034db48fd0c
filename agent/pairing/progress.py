"""What has happened to sensors lately, step by step, for the person who is pairing one. In memory, bounded."""

from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

STEPS_MAX = 200


class What(StrEnum):
    """What happened."""

    WINDOW_OPEN = "window_open"
    WINDOW_CLOSED = "window_closed"
    JOINED = "joined"
    INTERVIEWED = "interviewed"
    CONFIGURED = "configured"
    FAILED = "failed"
    LEFT = "left"
    KEYED = "keyed"
    REGISTERED = "registered"
    REFUSED = "refused"
    WAITS = "waits"
    RELAYING = "relaying"
    ACCEPTED = "accepted"
    REMOVED = "removed"


class Step(msgspec.Struct, frozen=True):
    """One step.

    Attributes:
        number: Counts up, so that one who looks again knows what is new.
        at_ms: Boot time.
        what: What happened.
        device: To which sensor; empty for the window.
        detail: For people.
    """

    number: int
    at_ms: int
    what: What
    device: str = ""
    detail: str = ""


class Progress:
    """The latest steps."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._steps: deque[Step] = deque(maxlen=STEPS_MAX)
        self._number = 0

    @property
    def steps(self) -> Sequence[Step]:
        """The latest `STEPS_MAX`, oldest first."""
        return tuple(self._steps)

    def add(self, what: What, device: str = "", detail: str = "", *, at_ms: int | None = None) -> None:
        """Note a step; without a time, it is now."""
        self._number += 1
        self._steps.append(Step(self._number, self._now_ms() if at_ms is None else at_ms, what, device, detail))
