"""How loops wait: for a call, for a time, and between attempts.

Source of the backoff's form: M. Brooker, "Exponential Backoff And Jitter", AWS, 2015.
"""

import asyncio
import random


class Signal:
    """A wake-up call for one waiting loop: a call that comes before the wait is not lost, several count as one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_set(self) -> bool:
        """Whether the next `wait` returns at once."""
        return self._event.is_set()

    def set(self) -> None:
        """Wake the loop."""
        self._event.set()

    def clear(self) -> None:
        """Forget a call that was not waited for."""
        self._event.clear()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for a call and take it; return whether one came.

        Args:
            timeout_s: How long; `None` for ever.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


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
