"""The loop that keeps a store usable: it is reopened after it was lost.

`run_on_store` and `StoreOpener` serve the databases of telemetry and commands. They decide when a file is put aside: at
once where its content makes no sense, after some attempts where the disk does not give it (`ReadFailed`), since an
error of the medium may pass.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.log import ProblemLog

S = TypeVar("S")

READS_MAX = 6
"""How often a file that the disk does not give is read before it is put aside."""


class StoreOpener(Generic[S]):
    """Opens one store.

    Attributes:
        problem: Why it is not open; empty where it is.
    """

    def __init__(
        self,
        open_store: Callable[[bool], Awaitable[tuple[S, Path | None]]],
        *,
        problem_log: ProblemLog,
        on_quarantined: Callable[[Path], None],
        retry_s: float,
    ) -> None:
        """Prepare.

        Args:
            open_store: Opens it, given whether the present file has to be put aside first; returns it with where an
                unreadable file is now. Raises `StorageFull` or `Corrupt`.
            problem_log: Where failures are logged, each once.
            on_quarantined: Called with where an unreadable file is now.
            retry_s: Between two attempts.
        """
        self._open_store = open_store
        self._problem_log = problem_log
        self._on_quarantined = on_quarantined
        self._retry_s = retry_s
        self._reads = 0
        self._is_corrupt = False

    @property
    def problem(self) -> str:
        """Why the last attempt failed; empty where it did not."""
        return self._problem_log.text

    def mark_corrupt(self) -> None:
        """Have the present file put aside when the store is opened next: it was found unreadable in use."""
        self._is_corrupt = True

    async def attempt(self) -> S | None:
        """Try once; return `None` where the disk refuses."""
        try:
            store, aside = await self._open_store(self._is_corrupt or self._reads >= READS_MAX)
        except (StorageFull, Corrupt) as error:
            self._reads += isinstance(error, ReadFailed)
            self._problem_log.report(str(error))
            return None
        self._reads, self._is_corrupt = 0, False
        self._problem_log.clear()
        if aside is not None:
            self._on_quarantined(aside)
        return store

    async def open(self, attempts_max: int | None = None) -> S | None:
        """Try until it succeeds, or so many times; return `None` where it does not."""
        attempts = 0
        while True:
            store = await self.attempt()
            attempts += 1
            if store is not None or attempts == attempts_max:
                return store
            await asyncio.sleep(self._retry_s)


async def run_on_store(
    open_store: Callable[[], Awaitable[S]],
    work: Callable[[S], Awaitable[None]],
    *,
    close: Callable[[S], Awaitable[None]],
    on_corrupt: Callable[[str], None],
) -> None:
    """Work on a store until cancelled; one that turns out unreadable is closed and opened again.

    Args:
        open_store: Returns the store to work on; waits for as long as there is none.
        work: Works on it. Returns where another store has taken its place, which is then opened.
        close: Closes an unreadable one.
        on_corrupt: Told that a store is unreadable, before it is closed.
    """
    while True:
        store = await open_store()
        try:
            await work(store)
        except* Corrupt as errors:
            on_corrupt(str(errors.exceptions[0]))
            await close(store)
