"""How fast updates go on: what hinders them now, and whether a person has asked for haste. No I/O."""

import asyncio
import logging
from datetime import datetime

_log = logging.getLogger(__name__)


class RunControl:
    """Shared by the rooms' parts that wait.

    Attributes:
        is_urgent: A person has asked: no window is waited for.
        problem: Why nothing goes on at the moment; empty where it does.
    """

    def __init__(self) -> None:
        self._wake_event = asyncio.Event()
        self.is_urgent = False
        self.blocked_reason = ""

    def expedite(self) -> None:
        """Begin at once."""
        self.is_urgent = True
        self._wake_event.set()

    def wake(self) -> None:
        """Have everything looked at once more: something has changed."""
        self._wake_event.set()

    def begin_step(self) -> None:
        """Forget earlier nudges: what they were about is looked at now."""
        self._wake_event.clear()

    def block(self, reason: str) -> None:
        """Say why nothing goes on."""
        if reason != self.blocked_reason:
            _log.info("updates: %s", reason)
        self.blocked_reason = reason

    async def wait(self, seconds: float) -> None:
        """Wait, or until somebody nudges."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake_event.wait()
        except TimeoutError:
            return


def format_wait(wait_s: float, local: datetime | None, now_local: datetime | None) -> str:
    """Return when something may be done: "before 14:20" where the hub knows the time, else "for 38 min".

    Args:
        wait_s: How long it must wait.
        local: The time where the hub is at the end of the wait; `None` where it is not known.
        now_local: The time there now.
    """
    if local is None or now_local is None:
        minutes = max(1, -(-int(wait_s) // 60))
        return f"for {minutes} min"
    day = "" if local.date() == now_local.date() else f"{local:%Y-%m-%d} "
    return f"before {day}{local:%H:%M}"
