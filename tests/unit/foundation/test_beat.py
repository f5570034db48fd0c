"""Loops of one pace wake together, whenever each of them began."""

import asyncio

import pytest

from agent.foundation.beat import next_beat
from lab.simulation.virtual_loop import VirtualLoop


def test_loops_of_one_pace_wake_together_wherever_they_began() -> None:
    loop = VirtualLoop()
    woken_s: dict[str, list[float]] = {"now": [], "later": []}

    async def look(name: str, begin_s: float) -> None:
        await asyncio.sleep(begin_s)
        for _ in range(4):
            await next_beat(30.0)
            woken_s[name].append(round(loop.time(), 6))

    async def both() -> None:
        await asyncio.gather(look("now", 0.0), look("later", 17.3))

    began_s = loop.time()
    loop.run_until_complete(both())
    loop.close()
    assert woken_s["now"] == woken_s["later"]
    assert [each % 30 for each in woken_s["now"]] == [0] * 4
    assert woken_s["now"][0] - began_s <= 31


@pytest.mark.parametrize("before_s", [1e-9, 0.01, 0.9])
def test_a_timer_that_ends_a_little_early_has_had_its_beat(before_s: float) -> None:
    loop = VirtualLoop()

    async def look() -> float:
        await asyncio.sleep(300 - loop.time() % 300 - before_s)
        begin_s = loop.time()
        await next_beat(30.0)
        return loop.time() - begin_s

    slept_s = loop.run_until_complete(look())
    loop.close()
    assert slept_s == pytest.approx(30 + before_s, abs=1e-6)
