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


async def test_it_waits_for_the_end() -> None:
    work = Work()
    work.go_on.set()
    assert await run_shielded(work.run(), within_s=5.0)
    assert work.is_done


async def test_cancelled_again_and_again_it_ends_its_work_and_hands_the_cancellation_on() -> None:
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


async def test_what_hangs_is_given_up() -> None:
    work = Work()
    assert not await run_shielded(work.run(), within_s=0.01)
    assert not work.is_done


async def test_what_hangs_although_it_is_cancelled_holds_nothing_up() -> None:
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


async def test_its_error_is_the_waiters() -> None:
    async def broken() -> None:
        raise OSError("relay 3")

    with pytest.raises(OSError, match="relay 3"):
        await run_shielded(broken(), within_s=5.0)
