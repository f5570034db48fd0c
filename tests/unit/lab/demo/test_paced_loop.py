import asyncio
import selectors
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from lab.demo.paced_loop import UPTIME_S, PacedClock, PacedLoop, PacedSelector, people_context

SPEED = 10_000.0


def run(work: Callable[[], Awaitable[None]], real_s: Callable[[], float] = time.monotonic) -> float:
    """Run on a paced loop and return the paced seconds that it took."""
    loop = PacedLoop(SPEED, real_s)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:

        async def whole() -> float:
            await work()
            return loop.time()

        return runner.run(whole())


def test_sleeping_ends_exactly_at_its_timer() -> None:
    async def sleep() -> None:
        await asyncio.sleep(3600)

    assert run(sleep) == pytest.approx(3600)


def test_hour_takes_a_fraction_of_a_second() -> None:
    async def sleep() -> None:
        await asyncio.sleep(3600)

    began_s = time.monotonic()
    run(sleep)
    assert time.monotonic() - began_s >= 3600 / SPEED


def test_work_takes_no_time_so_it_cannot_time_out() -> None:
    async def work() -> None:
        async with asyncio.timeout(1.0):
            until_s = time.monotonic() + 0.01  # a hundred paced seconds
            while time.monotonic() < until_s:
                pass
            await asyncio.sleep(0)

    assert run(work) < 1.0


def test_a_late_wake_up_does_not_jump_over_the_next_timer() -> None:
    """A machine that was away for an hour between two looks at its clock."""
    readings = iter(range(0, 10**9, 3600))
    order: list[tuple[str, float]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        for delay_s in (5.0, 10.0):
            loop.call_later(delay_s, lambda: order.append(("timer", round(loop.time()))))
        await asyncio.sleep(20)

    run(work, real_s=lambda: float(next(readings)))
    assert order == [("timer", 5), ("timer", 10)]


def test_sockets_and_threads_are_real() -> None:
    async def work() -> None:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            loop = asyncio.get_running_loop()
            await asyncio.to_thread(other.sendall, b"x")
            assert await loop.sock_recv(one, 1) == b"x"

    run(work)


def test_waiting_for_a_file_alone_lets_time_pass() -> None:
    selector = PacedSelector(SPEED, iter([0.0, 0.5]).__next__)
    one, other = socket.socketpair()
    with one, other:
        key = selector.register(one, selectors.EVENT_READ)
        assert selector.get_map()[one] == key
        other.send(b"x")
        assert selector.select(None) == [(key, selectors.EVENT_READ)]
        assert selector.now_s == 0.5 * SPEED
        assert selector.unregister(one) == key
    selector.close()


def test_clock_follows_the_paced_loop() -> None:
    clock = PacedClock(lambda: 60.0, start_utc_ms=1_000_000_000_000)
    assert clock.boot_id == "demo"
    assert clock.monotonic_ms() == (60 + UPTIME_S) * 1000
    assert clock.utc_ms() == 1_000_000_000_000 + 60_000
    assert clock.zero_utc_ms + clock.monotonic_ms() == clock.utc_ms()


def test_people_wait_in_their_own_time() -> None:
    """A task for people and one for the house sleep side by side: an hour of the house passes in 0.36 s of people."""
    ended: list[tuple[str, float]] = []

    async def sleep(whose: str, delay_s: float) -> None:
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(delay_s)
        ended.append((whose, round(asyncio.get_running_loop().time() - began_s, 3)))

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleep("people", 0.5), context=people_context())
            group.create_task(sleep("house", 3600.0))

    assert run(work) == pytest.approx(0.5 * SPEED)
    assert ended == [("house", 3600.0), ("people", 0.5)]


def test_a_timer_of_people_finds_that_its_time_has_come() -> None:
    early: list[float] = []

    async def look() -> None:
        loop = asyncio.get_running_loop()
        for number in range(1, 300):
            due_s = number / 7000
            woken = asyncio.Event()
            loop.call_at(due_s, woken.set)
            await woken.wait()
            early.append(due_s - loop.time())

    async def work() -> None:
        await asyncio.get_running_loop().create_task(look(), context=people_context())

    run(work)
    assert max(early) <= 0


def test_the_clock_of_the_house_is_the_same_for_people() -> None:
    seen_s: list[float] = []

    async def look(loop: PacedLoop) -> None:
        seen_s.append(loop.house_s())

    async def whole(loop: PacedLoop) -> None:
        await asyncio.sleep(3600.0)
        await loop.create_task(look(loop), context=people_context())

    loop = PacedLoop(SPEED, time.monotonic)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(whole(loop))
    assert seen_s == [pytest.approx(3600.0)]
