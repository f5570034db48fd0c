"""The radio's own thread with its own event loop: a stalled agent must not make the stick give up on its host."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from hal.errors import NetworkLost

T = TypeVar("T")

WORKERS_MAX = 2

STOP_S = 3.0
"""How long the thread may take to give the stick back; one that hangs in a driver is left behind.

A healthy stick takes a fraction of a second, and the agent is gone within 5 s of being told to stop."""


class RadioThread:
    """Runs one coroutine until it is told to stop, and others beside it on the same loop."""

    def __init__(self, work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        """Prepare; nothing runs yet.

        Args:
            work: Called on the thread with the event that tells it to end.
        """
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._thread is not None

    def start(self) -> None:
        """Start; once is enough."""
        if self._thread is not None:
            return
        begun = threading.Event()
        # A daemon: a driver that hangs must not keep the agent from ending.
        self._thread = threading.Thread(target=self._run, args=(begun,), name="zigbee", daemon=True)
        self._thread.start()
        begun.wait()

    def _run(self, begun: threading.Event) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            # For files and for opening the port; by default there would be a thread for each that ever waited.
            self._loop.set_default_executor(ThreadPoolExecutor(max_workers=WORKERS_MAX, thread_name_prefix="zigbee"))
            self._stop = asyncio.Event()
            begun.set()
            await self._work(self._stop)

        asyncio.run(main())

    async def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the thread and return what it returns, or raise what it raises.

        Raises:
            NetworkLost: The thread has ended.
        """
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            raise NetworkLost("the radio is stopped")
        coroutine = make()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise NetworkLost("the radio is stopped") from None
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise NetworkLost("the radio was stopped meanwhile") from None

    async def stop(self) -> None:
        """Let the work end, and wait for that at most `STOP_S` seconds."""
        thread, loop, stop = self._thread, self._loop, self._stop
        if thread is None or loop is None or stop is None:
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        await asyncio.get_running_loop().run_in_executor(None, thread.join, STOP_S)
