"""Blocking work (SQLite, fsync) off the event loop, one piece at a time and in order."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def report(_: Future[T]) -> None:
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(wake)

        # Not `run_in_executor`: it copies the result from future to future, at a third of the cost of a hand-over.
        work = self._executor.submit(function)
        work.add_done_callback(report)
        cancellations = 0
        while not waiter.done():
            try:
                await waiter
            except asyncio.CancelledError:
                cancellations += 1
                if not work.done():
                    waiter = loop.create_future()
        task = asyncio.current_task()
        if cancellations and task is not None:
            task.uncancel()
            task.cancel()
        return work.result()

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
