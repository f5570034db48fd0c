"""How long to wait before the radio is started again. Pure."""

from collections.abc import Sequence

STEPS_S: Sequence[float] = (1, 5, 15, 30, 60, 120, 300)
"""A stick that was pulled out for a moment is back soon; one that stays away costs a try every five minutes."""

STEADY_S = 300.0
"""A radio that has worked for so long begins at the first step again."""


def pause_s(failures: int) -> float:
    """Return the pause after so many failures in a row, the first included.

    Raises:
        ValueError: ``failures`` is below 1.
    """
    if failures < 1:
        raise ValueError("a pause follows a failure")
    return STEPS_S[min(failures, len(STEPS_S)) - 1]


def failures_after(failures: int, worked_s: float) -> int:
    """Return how many failures in a row there are, once a radio that worked for ``worked_s`` seconds has failed."""
    return 1 if worked_s >= STEADY_S else failures + 1
