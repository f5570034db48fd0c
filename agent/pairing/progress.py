"""The latest steps of pairing, for the person who is pairing a sensor. In memory, bounded."""

from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

STEPS_MAX = 200


class PairingStepKind(StrEnum):
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


class PairingStep(msgspec.Struct, frozen=True):
    """One step.

    Attributes:
        number: Counts up, so that one who looks again knows what is new.
        at_ms: Boot time.
        kind: What happened.
        device: To which sensor; empty for the window.
        detail: For people.
    """

    number: int
    at_ms: int
    kind: PairingStepKind
    device: str = ""
    detail: str = ""


class PairingProgress:
    """The latest steps."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._steps: deque[PairingStep] = deque(maxlen=STEPS_MAX)
        self._number = 0

    @property
    def steps(self) -> Sequence[PairingStep]:
        """The latest `STEPS_MAX`, oldest first."""
        return tuple(self._steps)

    def add(self, kind: PairingStepKind, device: str = "", detail: str = "", *, at_ms: int | None = None) -> None:
        """Note a step; without a time, it is now."""
        self._number += 1
        self._steps.append(PairingStep(self._number, self._now_ms() if at_ms is None else at_ms, kind, device, detail))
