"""From the radio's thread to the agent's loop."""

import asyncio
import threading

import pytest

from hal.errors import NetworkLost
from hal.zigbee.network import RadioThread
from hal.zigbee.radio_events import ThreadMailbox


async def test_items_keep_their_order_and_none_is_lost() -> None:
    crossing: ThreadMailbox[int] = ThreadMailbox(100_000, "numbers")

    def fill() -> None:
        for number in range(20_000):
            crossing.put(number)

    thread = threading.Thread(target=fill)
    thread.start()
    taken: list[int] = []
    async with asyncio.timeout(60):
        while len(taken) < 20_000:
            await crossing.wait()
            taken += crossing.drain()
    thread.join()
    assert taken == list(range(20_000))


async def test_oldest_item_is_dropped_when_full_and_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    crossing: ThreadMailbox[int] = ThreadMailbox(3, "numbers")
    for number in range(5):
        crossing.put(number)
    assert list(crossing.drain()) == [2, 3, 4]
    assert "the oldest 2 numbers were lost" in caplog.text
    caplog.clear()
    crossing.put(5)
    assert list(crossing.drain()) == [5]
    assert not caplog.text


async def test_event_before_the_wait_is_not_lost_and_a_cancelled_wait_is_harmless() -> None:
    crossing: ThreadMailbox[int] = ThreadMailbox(3, "numbers")
    crossing.wake()
    await asyncio.wait_for(crossing.wait(), 60)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(crossing.wait(), 0.01)
    crossing.put(1)
    crossing.put(2)
    await asyncio.wait_for(crossing.wait(), 60)
    assert list(crossing.drain()) == [1, 2]


async def test_radio_thread_answers_until_it_is_stopped() -> None:
    async def work(stop: asyncio.Event) -> None:
        await stop.wait()

    async def name() -> str:
        return threading.current_thread().name

    async def for_ever() -> None:
        await asyncio.Event().wait()

    thread = RadioThread(work)
    with pytest.raises(NetworkLost):
        await thread.call(name)
    thread.start()
    thread.start()
    assert await thread.call(name) == "zigbee"
    hanging = asyncio.ensure_future(thread.call(for_ever))
    await asyncio.sleep(0)
    await thread.stop()
    with pytest.raises(NetworkLost):
        await hanging
    with pytest.raises(NetworkLost):
        await thread.call(name)


async def test_cancellation_of_the_caller_propagates() -> None:
    async def work(stop: asyncio.Event) -> None:
        await stop.wait()

    async def for_ever() -> None:
        await asyncio.Event().wait()

    thread = RadioThread(work)
    thread.start()
    hanging = asyncio.ensure_future(thread.call(for_ever))
    await asyncio.sleep(0)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    await thread.stop()
