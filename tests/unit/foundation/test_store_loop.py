import asyncio
import logging
from pathlib import Path

import pytest

from agent.errors import Corrupt, ReadFailed, StorageFull
from agent.foundation.log import ProblemLog
from agent.foundation.store_loop import READS_MAX, StoreOpener, run_on_store

ASIDE = Path("store.db.corrupt-1")


class Store:
    """What the opener opens: each attempt ends with the next of its outcomes, the last one again and again."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.asides: list[bool] = []
        self.quarantined: list[Path] = []
        self.opener: StoreOpener[str] = StoreOpener(
            self._open,
            problem_log=ProblemLog(logging.getLogger(__name__), "the store cannot be opened"),
            on_quarantined=self.quarantined.append,
            retry_s=0.0,
        )

    async def _open(self, put_aside: bool) -> tuple[str, Path | None]:
        self.asides.append(put_aside)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if outcome is not None:
            raise outcome
        return f"store {len(self.asides)}", ASIDE if put_aside else None


async def test_store_is_opened_again_until_the_disk_allows_it() -> None:
    store = Store(StorageFull("full"), StorageFull("full"), None)
    assert await store.opener.attempt() is None
    assert store.opener.problem == "full"
    assert await store.opener.open() == "store 3"
    assert (store.opener.problem, store.asides, store.quarantined) == ("", [False] * 3, [])


async def test_opening_is_given_up_after_the_given_attempts() -> None:
    store = Store(StorageFull("full"))
    assert await store.opener.open(attempts_max=2) is None
    assert len(store.asides) == 2


async def test_file_that_stays_unreadable_is_quarantined() -> None:
    store = Store(*[ReadFailed("no")] * READS_MAX, None)
    assert await store.opener.open() is not None
    assert store.asides == [False] * READS_MAX + [True]
    assert store.quarantined == [ASIDE]


async def test_corrupt_store_is_closed_quarantined_and_reopened() -> None:
    store = Store(None)
    closed, told, worked = list[str](), list[str](), list[str]()

    async def open_store() -> str:
        return await store.opener.open() or ""

    async def work(name: str) -> None:
        worked.append(name)
        if name == "store 1":
            raise Corrupt("its pages make no sense")
        if name == "store 2":
            return  # another one has taken its place
        await asyncio.Event().wait()

    def on_corrupt(reason: str) -> None:
        told.append(reason)
        store.opener.mark_corrupt()

    async def close(name: str) -> None:
        closed.append(name)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await run_on_store(open_store, work, close=close, on_corrupt=on_corrupt)
    assert worked == ["store 1", "store 2", "store 3"]
    assert (closed, told) == (["store 1"], ["its pages make no sense"])
    assert (store.asides, store.quarantined) == ([False, True, False], [ASIDE])


async def test_other_errors_end_the_loop() -> None:
    async def open_store() -> str:
        return "store"

    async def work(_: str) -> None:
        raise LookupError

    async def close(_: str) -> None:
        raise AssertionError

    with pytest.raises(LookupError):
        await run_on_store(open_store, work, close=close, on_corrupt=lambda _: None)
