"""Runs the fact store: opens it, replaces an unreadable one, and removes what is too old.

Must never hold up anything else: a request for facts that the disk does not give is refused.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from agent.errors import Corrupt, StorageFull, Transient
from agent.facts.retention import FactLimits
from agent.facts.store import FILE_NAME, FactStore, open_fact_store
from agent.foundation.clock import Clock
from agent.foundation.disk import Disk
from agent.foundation.log import ProblemLog
from agent.foundation.store_loop import StoreOpener, run_on_store
from agent.foundation.text import plural
from agent.foundation.worker import Worker

_log = logging.getLogger(__name__)

RETRY_S = 30.0
"""Between two attempts to open the store."""

OPEN_S_MAX = 4.0
"""How long a caller waits for the store right after a start: the published client does not try again by itself."""

MAINTENANCE_S = 6 * 3600.0
"""Facts are kept for years: a quarter of a day more does not matter, and a look costs no write."""

T = TypeVar("T")


class TimeUnknown(Transient):
    """This boot has not learnt the time: a fact without a time is none."""


class FactService:
    """The fact store of one hub."""

    def __init__(
        self,
        state_dir: Path,
        *,
        clock: Clock,
        disk: Disk,
        worker: Worker,
        random_bits: Callable[[int], int],
        add_fault: Callable[[str], None],
        limits: FactLimits,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            state_dir: Contains `facts.db`.
            clock: Facts carry UTC.
            disk: Where durable operations are announced.
            worker: Where the store works.
            random_bits: Returns so many random bits, for ids.
            add_fault: Receives what went wrong and was survived.
            limits: How many facts are kept.
        """
        self._state_dir = state_dir
        self._clock = clock
        self._disk = disk
        self._worker = worker
        self._random_bits = random_bits
        self._add_fault = add_fault
        self._limits = limits
        self._store: FactStore | None = None
        self._opened = asyncio.Event()
        self._broken = asyncio.Event()
        self._opener = StoreOpener(
            self._open_file,
            problem_log=ProblemLog(_log, "facts cannot be opened"),
            on_quarantined=self._report_quarantined,
            retry_s=RETRY_S,
        )

    @property
    def problem(self) -> str:
        """Why there is no store; empty where there is one."""
        return self._opener.problem

    def utc_ms(self) -> int:
        """Return the present instant.

        Raises:
            TimeUnknown: This boot has not learnt it.
        """
        utc_ms = self._clock.utc_ms()
        if utc_ms is None:
            raise TimeUnknown("try again once the hub knows the time; check its network")
        return utc_ms

    async def wait_until_open(self) -> None:
        """Wait until there is a store."""
        await self._opened.wait()

    async def use(self, work: Callable[[FactStore, int], Awaitable[T]]) -> T:
        """Return what ``work`` makes of the store and the present instant.

        Raises:
            TimeUnknown: This boot has not learnt the time.
            StorageFull: There is no store now, the disk refuses, or the file was found unreadable.
        """
        utc_ms = self.utc_ms()
        if self._store is None and not self.problem:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OPEN_S_MAX):
                    await self._opened.wait()
        store = self._store
        if store is None:
            raise StorageFull(self.problem or "try again in a minute: the facts have not been opened yet")
        try:
            return await work(store, utc_ms)
        except Corrupt as error:
            self._broken.set()
            raise StorageFull("try again in a minute: the facts could not be read and are put aside") from error

    async def run(self) -> None:
        """Open the store and maintain it, until cancelled; an unreadable one is put aside and replaced."""
        await run_on_store(
            self._open, self._maintain, close=self._close, on_corrupt=lambda _: self._opener.mark_corrupt()
        )

    async def close(self) -> None:
        """Close the store, after its last use."""
        if self._store is not None:
            await self._close(self._store)

    async def _open_file(self, is_broken: bool) -> tuple[FactStore, Path | None]:
        return await open_fact_store(
            self._state_dir,
            limits=self._limits,
            random_bits=self._random_bits,
            worker=self._worker,
            disk=self._disk,
            is_broken=is_broken,
        )

    async def _open(self) -> FactStore:
        store = self._store or await self._opener.open()
        while store is None:
            store = await self._opener.open()
        if not store.has_index:
            _log.warning("install an SQLite with FTS5: without it, a search looks through the newest facts only")
        self._store = store
        self._opened.set()
        return store

    async def _maintain(self, store: FactStore) -> None:
        """Remove what is too old now and then.

        Raises:
            Corrupt: The file was found unreadable, here or by whoever used it.
        """
        while True:
            utc_ms = self._clock.utc_ms()
            if utc_ms is not None:
                # A full disk is shown to whoever stores a fact.
                with contextlib.suppress(StorageFull):
                    if moved := await store.maintain(utc_ms=utc_ms):
                        text = (
                            "%s of facts were ahead of the clock by more than a year, and are just before now instead"
                        )
                        _log.warning(text, plural(moved, "instant"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MAINTENANCE_S):
                    await self._broken.wait()
                self._broken.clear()
                raise Corrupt(f"{FILE_NAME} was found unreadable in use")

    async def _close(self, store: FactStore) -> None:
        self._store = None
        self._opened.clear()
        await store.close()

    def _report_quarantined(self, aside: Path) -> None:
        text = f"{FILE_NAME} could not be read and is kept as {aside.name}; earlier facts are in it, new ones go on"
        _log.error("%s", text)
        self._add_fault(text)
