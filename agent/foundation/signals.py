"""Wakes a loop that waits for something to do, or for a time to pass."""

import asyncio


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
