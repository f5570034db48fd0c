"""One thread for each bus: what hangs on one bus delays no other, and no bus is used by two readers at once.

Relays and the button have a thread for each device instead: they wait for no reading, and the kernel keeps apart what
it drives itself. A thread that hangs in the kernel cannot be ended; it is left behind at the end of the process.
"""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from hal.errors import HalError, SensorUnavailable

BUS_THREADS_MAX = 12
"""The service may have 32 threads and processes in all (`TasksMax` of systemd/climahub.service). Further buses share
the last thread until one of those that have their own is gone. A Pi with everything enabled has seven I2C buses and two
1-Wire masters."""

MACHINE = ""
"""The bus of what is on none: the processor, mains, batteries and radios."""

BUS_S_MAX = 3.0
"""A bus that has not carried out a call by then hangs. The adapter's own timeout is a second, and some retry."""

_T = TypeVar("_T")


class BusThreads:
    """The threads, each started with the first work for its bus."""

    def __init__(self) -> None:
        """Start none."""
        self._is_closed = False
        self._executors: dict[str, ThreadPoolExecutor] = {}
        self._works: dict[str, list[Future[Any]]] = {}
        self._present: Collection[str] | None = None
        self._abandoned: dict[ThreadPoolExecutor, tuple[str, Future[Any]]] = {}
        self._last_end: asyncio.Future[None] | None = None

    def take_place(self, end: "asyncio.Future[None]") -> "asyncio.Future[None] | None":
        """Take a place after all who read several channels at once; return the end of the one before, if any.

        Args:
            end: Of the caller's own work; ends in any case.
        """
        before, self._last_end = self._last_end, end
        return before

    def executor(self, bus: str) -> ThreadPoolExecutor:
        """Return the thread of a bus."""
        found = self._executors.get(bus)
        if found is None:
            threads = list(dict.fromkeys(self._executors.values()))
            if len(threads) >= BUS_THREADS_MAX:
                self._give_back()
                threads = list(dict.fromkeys(self._executors.values()))
            if len(threads) < BUS_THREADS_MAX:
                found = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"bus-{bus or 'machine'}")
            else:
                found = threads[-1]
            self._executors[bus] = found
        return found

    def follow(self, present: Collection[str]) -> None:
        """Give the threads of buses that are gone to those that share one. A thread that has work keeps its bus.

        Args:
            present: The buses that are there.
        """
        self._present = present
        self._give_back()

    def submit(self, bus: str, work: Callable[[], _T]) -> Future[_T]:
        """Have work done on the thread of a bus, after the work that it has already.

        Raises:
            SensorUnavailable: The threads have been closed.
        """
        if self._is_closed:
            raise SensorUnavailable("not read, as the hub stops")
        submitted = self.executor(bus).submit(work)
        self._works[bus] = [*self._unfinished(bus), submitted]
        return submitted

    def abandon(self, bus: str, what: str, work: Future[Any]) -> None:
        """Take it that nobody waits for this work any more; until it ends, the bus hangs.

        Args:
            bus: On whose thread it is.
            what: For people, such as "an earlier read of i2c-1-0076/bme280/temperature".
            work: What `submit` has returned.
        """
        if not work.cancel():
            self._abandoned.setdefault(self.executor(bus), (what, work))

    def hanging(self, bus: str) -> str:
        """Return the abandoned work on which the thread of a bus hangs, for people; empty while it does not."""
        what, work = self._abandoned.get(self.executor(bus), ("", None))
        if work is not None and work.done():
            del self._abandoned[self.executor(bus)]
            return ""
        return what

    def _unfinished(self, bus: str) -> list[Future[Any]]:
        return [work for work in self._works.get(bus, ()) if not work.done()]

    def _give_back(self) -> None:
        """End the threads of buses that are gone, and have buses that share one ask for a thread anew."""
        if self._present is None:
            return
        before = set(self._executors.values())
        kept: set[ThreadPoolExecutor] = set()
        for bus, executor in list(self._executors.items()):
            is_own = bus == MACHINE or (bus in self._present and executor not in kept)
            if is_own or self._unfinished(bus):
                kept.add(executor)
            else:
                del self._executors[bus]
                self._works.pop(bus, None)
        for executor in before - kept:
            self._abandoned.pop(executor, None)
            executor.shutdown(wait=False)

    def close(self) -> None:
        """End the threads without waiting for one that hangs."""
        self._is_closed = True
        for executor in set(self._executors.values()):
            executor.shutdown(wait=False, cancel_futures=True)


class DeviceThread:
    """The thread of one device whose bus can hang. Nothing is queued behind a call that hangs."""

    def __init__(self, device: str, name: str, error: type[HalError]) -> None:
        """Start none; it starts with the first call.

        Args:
            device: For people, such as "/dev/gpiochip1".
            name: Of the thread.
            error: Raised where the bus hangs.
        """
        self._device = device
        self._error = error
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._last: Future[Any] | None = None

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return what a call on the thread returns.

        Raises:
            HalError: What the call raises. Of the type `error` where an earlier call still hangs, or this one has not
                returned within `BUS_S_MAX`; it goes on.
        """
        advice = "switch the board's supply off and on, and check its cable"
        if self._last is not None and not self._last.done():
            raise self._error(f"{self._device}: the bus hangs in an earlier command; {advice}")
        work: Future[_T | HalError] = self._executor.submit(_outcome, call)
        self._last = work
        try:
            async with asyncio.timeout(BUS_S_MAX):
                outcome = await asyncio.shield(asyncio.wrap_future(work))
        except TimeoutError as error:
            raise self._error(f"{self._device}: no response within {BUS_S_MAX:.0f} s; {advice}") from error
        if isinstance(outcome, HalError):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the thread without waiting for a call that hangs."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _outcome(call: Callable[[], _T]) -> _T | HalError:
    # Returned: the exception of a call whose caller gave up would be logged as never retrieved.
    try:
        return call()
    except HalError as error:
        return error
