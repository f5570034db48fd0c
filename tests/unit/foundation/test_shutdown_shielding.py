"""The last work of a loop ends however often the loop is cancelled, but never later than its time."""

import asyncio

import pytest

from agent.foundation.shutdown import run_shielded


class Work:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.is_done = False

    async def run(self) -> None:
        self.begun.set()
        await self.go_on.wait()
        self.is_done = True


async def test_shielded_work_is_awaited() -> None:
    work = Work()
    work.go_on.set()
    assert await run_shielded(work.run(), within_s=5.0)
    assert work.is_done


async def test_repeated_cancellation_finishes_the_work_then_propagates() -> None:
    work = Work()
    waiter = asyncio.get_running_loop().create_task(run_shielded(work.run(), within_s=5.0))
    await work.begun.wait()
    for _ in range(3):
        waiter.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not waiter.done()
    work.go_on.set()
    await asyncio.wait({waiter})
    assert waiter.cancelled()
    assert work.is_done


async def test_hanging_work_is_given_up_after_its_limit() -> None:
    work = Work()
    assert not await run_shielded(work.run(), within_s=0.01)
    assert not work.is_done


async def test_work_that_ignores_cancellation_does_not_block() -> None:
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await go_on.wait()
            ended.set()
            raise OSError("too late for anybody") from None

    assert not await run_shielded(stubborn(), within_s=0.01)
    go_on.set()
    await ended.wait()


async def test_error_of_shielded_work_propagates() -> None:
    async def broken() -> None:
        raise OSError("relay 3")

    with pytest.raises(OSError, match="relay 3"):
        await run_shielded(broken(), within_s=5.0)
