"""A loop that can be ended for a while and begun again: the control, while the machine is about to be powered off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable


class Interruptible:
    """Runs a loop except while it is interrupted. The loop's own end, with every output off, is always waited for."""

    def __init__(self) -> None:
        """Begin without an interruption, and without a loop."""
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._must_end = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._has_ended.set()

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work``, again after each interruption, until it returns or fails, or the caller is cancelled."""
        while True:
            await self._may_run.wait()
            self._has_ended.clear()
            try:
                is_done = await self._run_once(work)
            finally:
                self._has_ended.set()
            if is_done:
                return

    @contextlib.asynccontextmanager
    async def interrupted(self) -> AsyncIterator[None]:
        """Keep the loop ended for the time of the block, which begins when it has ended."""
        self._may_run.clear()
        self._must_end.set()
        try:
            await self._has_ended.wait()
            yield
        finally:
            self._must_end.clear()
            self._may_run.set()

    async def _run_once(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Return whether the work has returned by itself; its exceptions are raised."""
        loop = asyncio.get_running_loop()
        task, ending = loop.create_task(_awaited(work)), loop.create_task(_awaited(self._must_end.wait))
        cancelled: asyncio.CancelledError | None = None
        is_own_end = False
        try:
            await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
            is_own_end = task.done()
        except asyncio.CancelledError as error:
            cancelled = error
        finally:
            ending.cancel()
        while not task.done():
            task.cancel()
            try:
                await asyncio.wait({task}, timeout=1.0)
            except asyncio.CancelledError as error:
                cancelled = error
        if not task.cancelled() and (failure := task.exception()) is not None:
            raise failure
        if cancelled is not None:
            raise cancelled
        return is_own_end


async def _awaited(work: Callable[[], Awaitable[object]]) -> None:
    await work()
