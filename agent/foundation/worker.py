"""Blocking work (SQLite, fsync) off the event loop, one piece at a time and in order."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Worker(Protocol):
    """Runs blocking functions one after the other."""

    async def run(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns, or raise what it raises.

        A cancellation waits: a function that has begun takes effect, and its caller is cancelled after that.
        """
        ...

    def beside(self, name: str) -> "Worker":
        """Return another worker of the same kind: its functions hold up none of this one. Whoever asks closes it."""
        ...

    def close(self) -> None:
        """Finish the running function and stop."""
        ...


class ThreadWorker:
    """Runs functions on its own thread: the event loop never waits for an fsync (up to a second on an SD card)."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, function: Callable[[], T]) -> T:
        """Run ``function`` on the thread."""
        future = asyncio.get_running_loop().run_in_executor(self._executor, function)
        cancellations = 0
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                cancellations += 1
        task = asyncio.current_task()
        if cancellations and task is not None:
            task.uncancel()
            task.cancel()
        return future.result()

    def beside(self, name: str) -> "ThreadWorker":
        """Return a worker with a thread of its own, which begins with the first function."""
        return ThreadWorker(name)

    def close(self) -> None:
        """Wait for the thread to finish."""
        self._executor.shutdown(wait=True)


class InlineWorker:
    """Runs at once, on the event loop: for virtual time, where a thread would run in real time."""

    async def run(self, function: Callable[[], T]) -> T:
        """Run ``function`` here and now."""
        return function()

    def beside(self, name: str) -> "InlineWorker":
        """Return another one: both run at once."""
        del name
        return InlineWorker()

    def close(self) -> None:
        """Nothing to stop."""
