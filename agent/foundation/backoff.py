"""How long to wait before trying again: exponential with full jitter, so that a fleet does not come back in step.

Pure but for the injected generator. Source of the form: M. Brooker, "Exponential Backoff And Jitter", AWS, 2015.
"""

import random


def full_jitter_s(attempt: int, *, base_s: float, cap_s: float, rng: random.Random) -> float:
    """Return a wait between 0 and ``min(cap_s, base_s * 2**attempt)`` seconds.

    Args:
        attempt: How many tries failed before this wait, less one: 0 after the first failure.
        base_s: The longest first wait.
        cap_s: The longest wait of all.
        rng: Where the jitter comes from.

    Raises:
        ValueError: ``attempt`` is negative.
    """
    if attempt < 0:
        raise ValueError(f"attempt is {attempt}; it counts from 0")
    # 2**64 s is past any cap; the bound keeps the float from overflowing after a year of failures.
    return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(attempt, 64)))
