"""The way from the radio's thread to the agent's loop: in order, bounded, and kept while the radio is started anew."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class ThreadMailbox(Generic[T]):
    """A buffer that any thread fills and one coroutine empties."""

    def __init__(self, items_max: int) -> None:
        """Start empty.

        Args:
            items_max: How many wait at most; the oldest makes room.
        """
        self._items: deque[T] = deque()
        self._items_max = items_max
        self._lock = threading.Lock()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._is_woken = False
        self.dropped = 0

    def put(self, item: T) -> None:
        """Add an item; any thread."""
        with self._lock:
            if len(self._items) >= self._items_max:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
        self.wake()

    def drain(self) -> Sequence[T]:
        """Return all that waits, oldest first, and keep nothing of it."""
        with self._lock:
            items, self._items = self._items, deque()
        return tuple(items)

    def wake(self) -> None:
        """Make the one that waits look again; any thread."""
        with self._lock:
            waiter, self._waiter = self._waiter, None
            self._is_woken = waiter is None
        if waiter is not None:
            loop, future = waiter
            # A loop that is closed waits for nothing.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_finish, future)

    async def wait(self) -> None:
        """Wait until there is an item, or somebody wakes; one that has done so since the last wait counts."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._is_woken:
                self._is_woken = False
                return
            self._waiter = (loop, future)
        await future


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
