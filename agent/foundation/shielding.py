"""Lets the last work of a loop come to its end although the loop is cancelled, again and again, meanwhile.

For what must happen before the process goes: relays that switch off. Always bounded, since a stop must end.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_shielded(work: Coroutine[Any, Any, None], *, within_s: float) -> bool:
    """Wait for work; a cancellation of the waiter is handed on afterwards.

    Args:
        work: What is to be done; what it raises is raised.
        within_s: After so long it is given up and cancelled.

    Returns:
        Whether it came to its end.

    Raises:
        asyncio.CancelledError: The waiter was cancelled meanwhile; the work has ended nevertheless, or its time has.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    end_s = loop.time() + within_s
    cancelled: asyncio.CancelledError | None = None
    while not task.done() and loop.time() < end_s:
        try:
            await asyncio.wait({task}, timeout=end_s - loop.time())
        except asyncio.CancelledError as error:
            cancelled = error
    is_finished = task.done()
    if not is_finished:
        task.cancel()
        # What hangs in a cancelled state must not hold the stop up either.
        task.add_done_callback(_noted)
    elif not task.cancelled() and (failure := task.exception()) is not None:
        raise failure
    if cancelled is not None:
        raise cancelled
    return is_finished


def _noted(task: asyncio.Task[None]) -> None:
    """Take note of how a task ended, so that nobody is warned of an error that came too late."""
    if not task.cancelled():
        task.exception()
