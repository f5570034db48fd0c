"""One thread for each bus: what hangs on one bus delays no other, and no bus is used by two readers at once.

A thread that hangs in the kernel cannot be ended; it is left behind at the end of the process.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

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

    def close(self) -> None:
        """End the threads without waiting for one that hangs."""
        for executor in set(self._executors.values()):
            executor.shutdown(wait=False, cancel_futures=True)
