"""How long to wait before the radio is started again. Pure."""

from collections.abc import Sequence

DELAYS_S: Sequence[float] = (1, 5, 15, 30, 60, 120, 300)
"""A stick that was pulled out for a moment is back soon; one that stays away costs a try every five minutes."""

RESET_AFTER_S = 300.0
"""A radio that has worked for so long begins at the first step again."""


def delay_s(failures: int) -> float:
    """Return the pause after so many failures in a row, the first included.

    Raises:
        ValueError: ``failures`` is below 1.
    """
    if failures < 1:
        raise ValueError("a pause follows a failure")
    return DELAYS_S[min(failures, len(DELAYS_S)) - 1]


def next_failures(failures: int, worked_s: float) -> int:
    """Return how many failures in a row there are, once a radio that worked for ``worked_s`` seconds has failed."""
    return 1 if worked_s >= RESET_AFTER_S else failures + 1
