"""One thread for each bus: what hangs on one bus delays no other, and no bus is used by two readers at once.

A thread that hangs in the kernel cannot be ended; it is left behind at the end of the process.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

BUS_THREADS_MAX = 12
"""The service may have 32 threads and processes in all (`TasksMax` of systemd/climahub.service). Further buses share
the last thread. A Pi with everything enabled has seven I2C buses and two 1-Wire masters."""

MACHINE = ""
"""The bus of what is on none: the processor, mains, batteries and radios."""

_T = TypeVar("_T")


class BusThreads:
    """The threads, each started with the first work for its bus."""

    def __init__(self) -> None:
        """Start none."""
        self._executors: dict[str, ThreadPoolExecutor] = {}
        self._abandoned: dict[ThreadPoolExecutor, tuple[str, Future[Any]]] = {}

    def executor(self, bus: str) -> ThreadPoolExecutor:
        """Return the thread of a bus."""
        found = self._executors.get(bus)
        if found is None:
            if len(self._executors) < BUS_THREADS_MAX:
                found = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"bus-{bus or 'machine'}")
            else:
                found = list(self._executors.values())[BUS_THREADS_MAX - 1]
            self._executors[bus] = found
        return found

    def submit(self, bus: str, work: Callable[[], _T]) -> Future[_T]:
        """Have work done on the thread of a bus, after the work that it has already."""
        return self.executor(bus).submit(work)

    def abandon(self, bus: str, name: str, work: Future[Any]) -> None:
        """Take it that nobody waits for this work any more; until it ends, the bus hangs."""
        if not work.cancel():
            self._abandoned.setdefault(self.executor(bus), (name, work))

    def hanging(self, bus: str) -> str:
        """Return the name of the abandoned work on which the thread of a bus hangs; empty while it does not."""
        name, work = self._abandoned.get(self.executor(bus), ("", None))
        if work is not None and work.done():
            del self._abandoned[self.executor(bus)]
            return ""
        return name

    def close(self) -> None:
        """End the threads without waiting for one that hangs."""
        for executor in set(self._executors.values()):
            executor.shutdown(wait=False, cancel_futures=True)
