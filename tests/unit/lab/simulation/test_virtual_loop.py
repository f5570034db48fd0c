"""The loop of simulations runs every callback at the instant, and in the order, of the loop that it is made from."""

import asyncio
import random

import async_solipsism
import pytest

from lab.simulation.virtual_loop import TURNS_PER_SECOND_MAX, Livelock, VirtualLoop

Trace = list[tuple[str, float]]


def run(loop: asyncio.AbstractEventLoop, seed: int) -> Trace:
    """Run a random program with ties, cancelled timers by the hundred, timeouts and chains of callbacks."""
    rng = random.Random(seed)
    trace: Trace = []

    def note(name: str) -> None:
        trace.append((name, loop.time()))

    sleepers: list[asyncio.Future[None]] = []

    async def work(number: int) -> None:
        for step in range(12):
            note(f"{number}.{step}")
            match rng.randrange(5):
                case 0:
                    await asyncio.sleep(rng.choice([0.0, 0.25, 0.5, 1.0, rng.random()]))
                case 1:
                    for _ in range(rng.randrange(60)):
                        loop.call_later(rng.uniform(1.0, 9.0), note, "never").cancel()
                case 2:
                    loop.call_soon(note, f"soon {number}.{step}")
                    loop.call_at(loop.time(), note, f"now {number}.{step}")
                case 3:
                    sleeper = asyncio.ensure_future(asyncio.sleep(rng.choice([0.1, 0.5, 2.0])))
                    sleepers.append(sleeper)
                    await asyncio.wait([sleeper], timeout=0.5)
                case _:
                    loop.call_later(0.5, note, f"later {number}.{step}")
                    await asyncio.sleep(0.5)

    async def work_all() -> None:
        await asyncio.gather(*(work(number) for number in range(40)))
        # One that is left behind pending is reported whenever it is collected, in the middle of another test.
        await asyncio.gather(*sleepers)

    try:
        loop.run_until_complete(work_all())
    finally:
        loop.close()
    return trace


@pytest.mark.parametrize("seed", range(5))
def test_order_and_instants_are_those_of_the_plain_loop(seed: int) -> None:
    found = run(VirtualLoop(), seed)
    assert found == run(async_solipsism.EventLoop(), seed)
    assert len(found) > 480
    assert "never" not in {name for name, _ in found}


def test_a_loop_that_is_busy_without_end_is_found() -> None:
    loop = VirtualLoop()

    async def spin() -> None:
        for _ in range(2 * TURNS_PER_SECOND_MAX):
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match=f"{TURNS_PER_SECOND_MAX} turns"):
        loop.run_until_complete(spin())
    loop.wind_up()
    loop.close()


def test_a_loop_in_which_nothing_will_happen_says_so() -> None:
    loop = VirtualLoop()
    with pytest.raises(async_solipsism.SleepForeverError):
        loop.run_until_complete(loop.create_future())
    loop.close()
