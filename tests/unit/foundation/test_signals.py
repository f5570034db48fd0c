import asyncio

from agent.foundation.signals import Signal


async def test_a_call_before_the_wait_is_not_lost() -> None:
    signal = Signal()
    signal.set()
    signal.set()
    assert signal.is_set
    assert await signal.wait(0.0)
    assert not signal.is_set


async def test_wait_returns_after_its_timeout() -> None:
    assert not await Signal().wait(0.0)


async def test_a_call_wakes_the_waiter() -> None:
    signal = Signal()
    waiter = asyncio.create_task(signal.wait())
    await asyncio.sleep(0)
    assert not waiter.done()
    signal.set()
    assert await waiter


async def test_signal_can_be_cleared() -> None:
    signal = Signal()
    signal.set()
    signal.clear()
    assert not await signal.wait(0.0)
