"""The phase of polls: kept while nothing holds a hub up, drawn anew after what holds up every hub alike."""

import asyncio
import itertools
import random
from collections import Counter
from typing import Any, cast

import pytest

from agent.cloud.client import CommandsClient
from agent.cloud.contract import Endpoint
from agent.commands.journal import CommandJournal
from agent.commands.poll_schedule import HELD_UP_MS, is_held_up, next_due_ms
from agent.commands.poller import CommandPoller
from agent.foundation.clock import Now
from lab.simulation.virtual_loop import VirtualLoop

HUBS = 200
INTERVAL_S = 15.0


@pytest.mark.parametrize(
    ("now_ms", "expected_ms"),
    [
        (100_000, 115_000),
        (100_300, 115_000),
        (114_999, 115_000),
        (115_000, 130_000),  # a response took a whole interval: no second poll at once
        (161_000, 175_000),
        (99_000, 115_000),
    ],
)
def test_next_poll_keeps_the_phase(now_ms: int, expected_ms: int) -> None:
    assert next_due_ms(100_000, now_ms, 15_000) == expected_ms


@pytest.mark.parametrize(("now_ms", "expected"), [(100_000, False), (100_999, False), (101_000, True)])
def test_poll_that_starts_late_was_held_up(now_ms: int, expected: bool) -> None:
    assert is_held_up(100_000, now_ms) is expected
    assert HELD_UP_MS == 1000


class _Cloud:
    """A cloud without commands, whose quota is used up until one instant, the same for all hubs."""

    def __init__(self, loop: VirtualLoop, free_at_s: float) -> None:
        self._loop = loop
        self._free_at_s = free_at_s
        self.polls: list[tuple[int, float]] = []

    def client(self, hub: int) -> CommandsClient:
        cloud = self

        class Client:
            async def ready(self, endpoint: Endpoint) -> None:
                assert endpoint is Endpoint.COMMANDS_PENDING
                await asyncio.sleep(max(0.0, cloud._free_at_s - cloud._loop.time()))

            async def get_pending_commands(self) -> list[Any]:
                cloud.polls.append((hub, cloud._loop.time()))
                return []

        return cast("CommandsClient", Client())


class _Journal:
    async def add(self, arrivals: object, now: Now) -> int:
        return 0


def test_hubs_held_up_together_poll_apart_afterwards() -> None:
    loop = VirtualLoop()
    cloud = _Cloud(loop, free_at_s=48.1)

    async def poll_for_minutes() -> None:
        pollers = [
            CommandPoller(
                cloud.client(hub),
                now=lambda: Now("boot", int(loop.time() * 1000 + 0.5), None),
                rng=random.Random(hub),
                interval_s=lambda: INTERVAL_S,
            )
            for hub in range(HUBS)
        ]
        tasks = [asyncio.ensure_future(each.run(cast("CommandJournal", _Journal()))) for each in pollers]
        await asyncio.sleep(300.0)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    try:
        loop.run_until_complete(poll_for_minutes())
    finally:
        loop.close()
    a_second = Counter(int(at_s) for _, at_s in cloud.polls)
    assert max(a_second.values()) <= 3 * HUBS / INTERVAL_S
    for hub in range(HUBS):
        times_s = [at_s for polled, at_s in cloud.polls if polled == hub]
        assert times_s[0] <= 48.1 + INTERVAL_S
        gaps_s = {round(later_s - earlier_s, 3) for earlier_s, later_s in itertools.pairwise(times_s)}
        assert gaps_s == {INTERVAL_S}, "no two polls at once, and a steady interval"
